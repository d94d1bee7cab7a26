"""Hanlin, llama.cpp and programs like it: each `measure(path, workload)` gives tokens_per_s, and what else it can tell."""
import dataclasses
import json
import os
import pathlib
import re
import tempfile

import common


@dataclasses.dataclass
class Workload:
    name: str
    kind: str  # prefill, decode
    tokens: int
    streams: int = 1
    depth: int = 0  # tokens in the cache before decoding


class Hanlin:
    def __init__(self, args):
        self.args, self.about = args, None

    def measure(self, path, work, **options):
        flags = ["--repeats", self.args.repeats, "--streams", work.streams, "--depth", work.depth]
        flags += ["--prompt", work.tokens, "--generate", 0] if work.kind == "prefill" else ["--prompt", 0, "--generate", work.tokens]
        rows, self.about = common.hanlin_bench(self.args, path, *flags, **options)
        return {"tokens_per_s": common.only(rows, work.kind), "load_s": rows["load"], "resident_mb": rows["resident memory"]}


class LlamaCppPython:
    """llama-cpp-python, driven as `hanlin bench` drives Hanlin; flash attention off and on, the faster counts."""

    name = "llama.cpp"

    def __init__(self, args):
        self.args, self.python, self.about = args, common.llama_cpp_python(args.python), None

    def measure(self, path, work, **options):
        def one(flash):
            spec = {"path": str(path), "threads": self.args.threads, "repeats": self.args.repeats, "flash": flash,
                    "kind": work.kind, "tokens": work.tokens, "streams": work.streams, "depth": work.depth}
            return common.run_json([self.python, common.BENCH / "llama_cpp_worker.py", json.dumps(spec)], **options)

        best = max((one(False), one(True)), key=lambda answer: answer["tokens_per_s"])
        self.about = f"llama-cpp-python {best['version']}; {best['system']}"
        return best


class LlamaBench:
    """A program with llama-bench's options, and llama-batched-bench beside it for several streams. Flash attention off and on, and
    where it has repacking at load (ik_llama.cpp: -rtr) that too; the fastest counts."""

    def __init__(self, args, program):
        self.args, self.program = args, pathlib.Path(program).resolve()
        if not os.access(self.program, os.X_OK):
            common.fail(f"{program}: no such program")
        self.help = common.run([self.program, "--help"])
        self.repacks, self.name = "-rtr" in "".join(self.help), self.program.parts[-4] if len(self.program.parts) > 4 else self.program.name
        self.about = None

    def measure(self, path, work):
        if work.streams > 1:
            return {"tokens_per_s": max(self.batched(path, work, flash, repack) for flash in "01" for repack in {False, self.repacks})}
        command = [self.program, "-m", path, "-t", self.args.threads, "-r", self.args.repeats, "-fa", "0,1", "-o", "json"]
        command += ["-rtr", "0,1"] if self.repacks else []
        if work.kind == "prefill":
            command += ["-p", work.tokens, "-n", 0]
        elif work.depth and "-gp" in "".join(self.help):  # ik_llama.cpp: generation behind a prompt, of which only the generation is timed
            command += ["-p", 0, "-n", 0, "-gp", f"{work.depth},{work.tokens}"]
        else:
            command += ["-p", 0, "-n", work.tokens] + (["-d", work.depth] if work.depth else [])
        results = common.run_json(command)
        self.about = f"{self.name} {results[0]['build_commit']}; {results[0]['cpu_info']}"
        return {"tokens_per_s": max(result["avg_ts"] for result in results)}

    def batched(self, path, work, flash, repack):
        program = self.program.with_name("llama-batched-bench")
        with tempfile.TemporaryDirectory() as directory:  # it may write a log where it runs
            command = [program, "-m", path, "-t", self.args.threads, "-fa", flash, "-c", work.streams * (work.tokens + 32), "-npp", 1,
                       "-ntg", work.tokens, "-npl", work.streams] + (["-rtr"] if repack else [])
            printed = "".join(common.run(command, cwd=directory))
        header, *rows = [re.split(r" *\| *", line.strip(" |")) for line in printed.splitlines() if line.startswith("|")]
        return float(rows[-1][header.index("S_TG t/s")])
