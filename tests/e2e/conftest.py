"""What the end-to-end tests share: where the program and the test models are, and a running `hanlin serve`."""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
CHAT, EMBEDDER = "smollm2-135m", "all-minilm-l6-v2"


@pytest.fixture(scope="session")
def hanlin_bin():
    path = pathlib.Path(os.environ.get("HANLIN_BIN", ROOT / "build/release/bin/hanlin"))
    assert path.exists(), f"{path} does not exist: build it first (./test e2e does)"
    return path


@pytest.fixture(scope="session")
def model_dir():
    """Directory with the test models (./test makes it); tests skip where it is absent."""
    path = os.environ.get("HANLIN_TEST_MODELS", "")
    if not path:
        pytest.skip("HANLIN_TEST_MODELS is not set: no real model files")
    return pathlib.Path(path)


@pytest.fixture(scope="session")
def model_file(model_dir):
    """model_file(name): path of a test model; the test skips where that one is absent."""
    def find(name):
        for path in (model_dir / f"{name}.gguf", model_dir / name):
            if path.exists():
                return path
        pytest.skip(f"{name} is not among the test models")

    return find


@pytest.fixture(scope="session")
def shared():
    """shared(path): a file of the shared test material; the test skips where it is absent."""
    def find(path):
        if not (SHARED / path).exists():
            pytest.skip(f"shared/{path} is absent")
        return SHARED / path

    return find


def clean_environment(home):
    """The environment without settings of this machine, so that only the test decides. Packed weights are kept for all tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HANLIN_", "XDG_"))}
    return kept | {"HOME": str(home), "HF_HOME": str(home / "hf"), "XDG_CACHE_HOME": str(ROOT / "build/test-cache")}


class Service:
    """A running `hanlin serve`: use as a context manager; leaving it sends SIGTERM and expects exit status 0.

    models: name → path; empty: the program's default models, which `environment` must let it find.
    """

    def __init__(self, program, home, models, *flags, environment=None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = home / "serve.log"
        command = [program, "serve", "--port", str(self.port), *flags]
        for name, path in models.items():
            command += ["--model", f"{name}={path}"]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=home, env=environment or clean_environment(home), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        deadline = time.monotonic() + 120
        while True:
            assert self.process.poll() is None, f"hanlin serve ended early:\n{self.log()}"
            try:
                if self.request("GET", "/health/ready")[0] == 200:
                    return self
            except OSError:
                pass
            assert time.monotonic() < deadline, f"hanlin serve was not ready in time:\n{self.log()}"
            time.sleep(0.05)

    def __exit__(self, failure, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        if failure is None:
            assert status == 0, f"hanlin serve ended with {status}:\n{self.log()}"

    def log(self):
        return self.log_path.read_text(errors="replace")[-4000:]

    def request(self, method, path, body=None, headers=None, timeout=60):
        """One request on a connection of its own → (status, headers, body as bytes). A body that is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            if body is not None and not isinstance(body, bytes):
                body = json.dumps(body).encode()
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get(self, path):
        status, _, body = self.request("GET", path)
        assert status == 200, (path, status, body)
        return body.decode()

    def post(self, path, body, timeout=60):
        """Posts JSON, expects 200 → the answer's JSON."""
        status, _, answer = self.request("POST", path, body, timeout=timeout)
        assert status == 200, (path, status, answer[:2000])
        return json.loads(answer)

    def error(self, path, body, method="POST"):
        """A request that is refused → (status, error object), with the shape checked."""
        status, headers, answer = self.request(method, path, body)
        assert headers["Content-Type"].startswith("application/json"), answer
        error = json.loads(answer)["error"]
        assert set(error) == {"message", "type", "param", "code"} and error["message"], error
        assert error["code"] is None or isinstance(error["code"], str), error
        return status, error

    def metric(self, name):
        """Sum of a metric over its labels."""
        lines = [line for line in self.get("/metrics").splitlines() if line.split("{")[0].split(" ")[0] == name]
        assert lines, f"no metric {name}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def wait_for_metric(self, name, value, seconds=30):
        deadline = time.monotonic() + seconds
        while (now := self.metric(name)) != value:
            assert time.monotonic() < deadline, f"{name} is {now}, expected {value}"
            time.sleep(0.02)

    def resident_bytes(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def serve(hanlin_bin, tmp_path_factory):
    """serve(models, *flags): a Service to be used as a context manager; models: name → path."""
    return lambda models, *flags: Service(hanlin_bin, tmp_path_factory.mktemp("serve"), models, *flags)


@pytest.fixture(scope="module")
def service(serve, model_file):
    """One service for a file of tests, with the small chat model and the embedder."""
    with serve({CHAT: model_file(CHAT), EMBEDDER: model_file(EMBEDDER)}) as running:
        yield running
