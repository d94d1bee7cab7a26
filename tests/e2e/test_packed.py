"""Packed weights: a second start maps what the first one wrote and says the same; `hanlin rm` removes them with the model."""
import json
import os
import subprocess

import pytest

from conftest import CHAT, clean_environment

QUESTION = "What is the capital of France? Answer in one sentence."


@pytest.fixture
def hanlin(hanlin_bin, tmp_path):
    """hanlin(*arguments, status=0, NAME=value…) → (standard output, standard error), with a home of its own."""

    def call(*arguments, status=0, **environment):
        result = subprocess.run([hanlin_bin, *map(str, arguments)], env=clean_environment(tmp_path) | {"XDG_CACHE_HOME": ""} | environment, cwd=tmp_path,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        assert result.returncode == status, result.stderr
        return result.stdout, result.stderr

    return call


def test_the_second_start_maps_and_says_the_same(hanlin, model_file, tmp_path):
    packed = tmp_path / "packed"
    ask = ["generate", "--model", model_file(CHAT), "--temperature", "0", "--packed-dir", packed]
    plain, _ = hanlin(*ask, "--packed-cache", "off", QUESTION)
    assert not packed.exists()
    first, log = hanlin(*ask, "--packed-cache", "on", QUESTION)
    [file] = packed.iterdir()
    before = file.stat()
    second, quiet = hanlin(*ask, "--packed-cache", "on", QUESTION)
    assert plain == first == second == "The capital of France is Paris.\n"
    assert [path.name for path in packed.iterdir()] == [file.name] and file.stat().st_ino == before.st_ino
    assert "packed weights written" not in quiet
    # Another content of the file: written anew, with the same answer.
    os.truncate(file, before.st_size // 2)
    assert hanlin(*ask, "--packed-cache", "on", QUESTION)[0] == plain
    assert file.stat().st_size == before.st_size


def test_default_place_and_settings(hanlin, model_file, tmp_path):
    ask = ["generate", "--model", model_file(CHAT), "--temperature", "0", "--max-tokens", "2", QUESTION]
    hanlin(*ask)  # auto: this model is too small to be worth it
    assert not (tmp_path / ".cache/hanlin").exists()
    hanlin(*ask, HANLIN_PACKED_CACHE="on")
    assert len(list((tmp_path / ".cache/hanlin/packed").iterdir())) == 1
    findings = {one["what"]: one for one in json.loads(hanlin("doctor", "--json")[0])}
    assert findings["packed"]["ok"] and ".cache/hanlin/packed" in findings["packed"]["value"]
    hanlin(*ask, HANLIN_PACKED_CACHE="on", XDG_CACHE_HOME=str(tmp_path / "xdg"))
    assert len(list((tmp_path / "xdg/hanlin/packed").iterdir())) == 1


def test_what_cannot_be_written_is_a_warning(hanlin, model_file, tmp_path):
    (tmp_path / "file").write_text("")
    text, log = hanlin("generate", "--model", model_file(CHAT), "--temperature", "0", "--packed-cache", "on", "--packed-dir", tmp_path / "file/x", QUESTION)
    assert text == "The capital of France is Paris.\n" and "packed weights are not kept" in log


def test_rm_removes_the_packed_file(hanlin, model_file, tmp_path):
    repository = tmp_path / "hf/hub/models--org--tiny"
    for folder in ("blobs", "refs", "snapshots/abc"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs/main").write_text("abc")
    os.symlink(model_file(CHAT).resolve(), repository / "blobs/0123")
    os.symlink("../../blobs/0123", repository / "snapshots/abc/m.gguf")
    hanlin("generate", "--model", "org/tiny:m.gguf", "--temperature", "0", "--max-tokens", "1", "--packed-cache", "on", QUESTION)
    packed = tmp_path / ".cache/hanlin/packed"
    assert len(list(packed.iterdir())) == 1
    hanlin("rm", "org/tiny:m.gguf")
    assert list(packed.iterdir()) == [] and model_file(CHAT).exists()
