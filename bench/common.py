"""What the programs in bench/ share: finding the program, models and peers; running them; tables and JSON."""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
SHARED = ROOT.parent / "shared"
SHAPES = {"tinyllama-shape": "tinyllama", "llama-2-7b-shape": "llama-2-7b", "smollm2-shape-q4_0": "smollm2"}  # name here: name in make_shape_model.py


def fail(message):
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {message}")


def parser(doc):
    """An argument parser with what every program takes."""
    result = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--hanlin", default=str(ROOT / "build" / "release" / "bin" / "hanlin"), help="the program to measure")
    result.add_argument("--threads", type=int, default=2)
    result.add_argument("--isa", default="auto", help="Hanlin's instruction set level")
    result.add_argument("--json", metavar="FILE", help="write all numbers here")
    return result


def parse(arguments):
    args = arguments.parse_args()
    if not os.access(args.hanlin, os.X_OK):
        fail(f"{args.hanlin}: not there; build it first (cmake --preset release && cmake --build --preset release)")
    args.load_average = os.getloadavg()[0]
    return args


def peer_python(given, venv, modules, requirements, options=(), environment=None):
    """A Python that has `modules`: the given one, or that of build/VENV, which is made from the files `requirements` where needed."""
    directory = ROOT / "build" / venv
    python = given or str(directory / "bin" / "python")
    if os.access(python, os.X_OK) and subprocess.run([python, "-c", f"import {', '.join(modules)}"], capture_output=True).returncode == 0:
        return python
    if given:
        fail(f"{given}: it cannot import {', '.join(modules)}")
    print(f"installing {', '.join(modules)} in {directory.relative_to(ROOT)} (may take minutes) …", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    files = [part for name in requirements for part in ("-r", BENCH / name)]
    if subprocess.run([python, "-m", "pip", "install", "--quiet", *options, *files], env=dict(os.environ, **(environment or {}))).returncode != 0:
        fail(f"{', '.join(modules)} could not be installed: it needs the package index; or name a Python that has them")
    return python


def llama_cpp_python(given):
    """A Python that has llama-cpp-python, compiled for this machine with clang: builds by g++ 12 crash on machines with AMX."""
    build = {"CC": "clang-19", "CXX": "clang++-19", "CMAKE_ARGS": "-DGGML_NATIVE=ON", "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count())}
    return peer_python(given, "bench-venv", ["llama_cpp", "gguf"], ["requirements.txt"], ["--no-binary", "llama-cpp-python"], build)


def onnx_python(given, *more):
    """A Python that has ONNX Runtime and Hugging Face's tokenizers."""
    files = ["requirements-onnx.txt"] + (["requirements-sentence-transformers.txt"] if "sentence_transformers" in more else [])
    return peer_python(given, "bench-onnx-venv", ["onnxruntime", "onnx", "safetensors", "tokenizers", "gguf", *more], files)


def continue_in(python):
    """Goes on with this program in another Python, because this one lacks packages."""
    if os.path.abspath(python) != os.path.abspath(sys.executable):
        os.execv(python, [python, *sys.argv])


def model_paths(name):
    directories = [os.environ.get("HANLIN_TEST_MODELS"), ROOT / "build" / "test-models"]
    return [pathlib.Path(name).absolute(), *(pathlib.Path(d) / suffixed for d in directories if d for suffixed in (f"{name}.gguf", name))]


def find_gguf(name, python=None):
    """The GGUF file of a path, of a name in $HANLIN_TEST_MODELS or build/test-models, or a generated shape (`python` has gguf)."""
    if name in SHAPES:
        path = ROOT / "build" / "bench-models" / f"{name}.gguf"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            subprocess.run([python or llama_cpp_python(None), BENCH / "make_shape_model.py", part, "--shape", SHAPES[name]], check=True)
            part.rename(path)
        return path
    for path in model_paths(name):
        if path.is_file():
            return path
    fail(f"no model '{name}': expected a GGUF file, the name of one in $HANLIN_TEST_MODELS, or one of {', '.join(SHAPES)}")


def run(command, **options):
    """Standard output and standard error of a command that must succeed."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace", **options)
    if result.returncode != 0:
        fail(f"{command[0]}: exit status {result.returncode}: {(result.stderr or result.stdout).strip()[-500:]}")
    return result.stdout, result.stderr


def run_json(command, **options):
    return json.loads(run(command, **options)[0])


def hanlin_bench(args, path, *flags, **options):
    """({test: value}, what computed) of `hanlin bench`."""
    report = run_json([args.hanlin, "bench", path, "--json", "--threads", args.threads, "--isa", args.isa, *flags], **options)
    model = report["models"][0]
    return {row["test"]: row["value"] for row in model["results"]}, f"{report['cpu']}; {model['backend']}"


def only(rows, start):
    """The value of the one test whose name begins so."""
    return next(value for test, value in rows.items() if test.startswith(start))


def choices(args, flag):
    """What `hanlin bench --help` lists behind a flag, such as ["f16", "f32"] for "--kv-type"; the default first; [] without that flag."""
    found = re.search(rf"^ *{flag} (\S+)(.*?)(?=^ *--|^$|\Z)", run([args.hanlin, "bench", "--help"])[0], re.MULTILINE | re.DOTALL)
    if not found:
        return []
    default = re.findall(r"\[(.*?)\]", found[2])[-1:]
    return default + [name for name in found[1].split("|") if name not in default]


class Service:
    """A running `hanlin serve` with one model under the name "bench", as a context manager."""

    def __init__(self, args, path, *flags):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = tempfile.TemporaryFile()
        command = [args.hanlin, "serve", "--host", "127.0.0.1", "--port", self.port, "--model", f"bench={path}", "--threads", args.threads, "--isa", args.isa, *flags]
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def __enter__(self):
        deadline = time.monotonic() + 120
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.get("/health/ready")[0] == 200:
                    return self
            time.sleep(0.05)
        self.__exit__()
        self.log.seek(0)
        fail(f"hanlin serve was not ready: {self.log.read()[-500:].decode(errors='replace')}")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def get(self, path, body=None, timeout=10):
        """(status, text) of a GET or, with a body, of a POST of that JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return response.status, response.read().decode()

    def metric(self, name):
        """The sum of a metric over its labels."""
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.get("/metrics")[1].splitlines() if line.startswith(f"{name}{{"))


def compared(workload, unit, ours, theirs, higher_is_better=True, **more):
    """A row of a table: medians of both sides and of the rounds' ratios; above 1 Hanlin is ahead."""
    ratios = [a / b if higher_is_better else b / a for a, b in zip(ours, theirs)]
    return {"workload": workload, "unit": unit, "hanlin": statistics.median(ours), "peer": statistics.median(theirs), "ratio": statistics.median(ratios),
            "ratio_min": min(ratios), "ratio_max": max(ratios), "hanlin_all": ours, "peer_all": theirs, **more}


def ratio_cells(row):
    return [f"{row['hanlin']:.2f}", f"{row['peer']:.2f}", row["unit"], f"{row['ratio']:.2f}", f"({row['ratio_min']:.2f}–{row['ratio_max']:.2f})"]


def print_table(header, rows):
    """Aligned columns; those of numbers stand right."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    right = [all(re.fullmatch(r"[-+]?[\d.]+( %)?|–?", line[i]) for line in rows) for i in range(len(header))]
    for line in [header, *rows]:
        print("  ".join(cell.rjust(width) if on_right else cell.ljust(width) for cell, width, on_right in zip(line, widths, right)).rstrip(), flush=True)


def describe(args, about, *peers):
    """The lines above a table."""
    print("\n".join([about, *peers]))
    print(f"{args.threads} threads; load average before: {args.load_average:.2f}\n")


def write_json(args, **content):
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"threads": args.threads, "isa": args.isa, "load_average_before": args.load_average, **content}, indent=2) + "\n")
