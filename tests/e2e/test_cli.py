"""The command line as a newcomer meets it: help, settings and where they come from, diagnosis, wrong usage."""
import json
import os
import re
import socket
import subprocess

import pytest


@pytest.fixture
def run(hanlin_bin, tmp_path):
    def call(*arguments, **environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HANLIN_", "XDG_"))}
        clean |= {"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")} | environment
        return subprocess.run([hanlin_bin, *arguments], env=clean, cwd=tmp_path, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)

    return call


def commands(run):
    text = run("--help").stdout
    return re.findall(r"^  ([a-z]+) {2,}\S", text[text.index("Subcommands:"):], re.MULTILINE)


def test_help_lists_commands_and_each_has_help_with_examples(run):
    names = commands(run)
    assert {"pull", "list", "rm", "config", "doctor", "version"} <= set(names)
    for name in names:
        result = run(name, "--help")
        assert result.returncode == 0
        assert f"hanlin {name}" in result.stdout and "Examples:" in result.stdout, name


def test_without_a_command_help_is_shown(run):
    assert run().stdout == run("--help").stdout


def test_settings_come_from_file_variable_and_flag_in_that_order(run, tmp_path):
    (tmp_path / "hanlin.toml").write_text('port = 1001\nmax_queue = 7\n[service]\nhost = "0.0.0.0"\n')
    table = json.loads(run("config", "--json", "--max-queue", "9", HANLIN_PORT="1002").stdout)
    assert table["host"] == {"value": "0.0.0.0", "source": "file", "origin": "hanlin.toml"}
    assert table["port"] == {"value": 1002, "source": "environment", "origin": "HANLIN_PORT"}
    assert table["max_queue"] == {"value": 9, "source": "flag", "origin": "--max-queue"}
    assert table["step_tokens"]["source"] == "default"
    text = run("config", "--model", "a", "--model", "b=c", HANLIN_API_KEYS="sk-1").stdout
    assert re.search(r"^  model +a,b=c +flag --model$", text, re.MULTILINE)
    assert "sk-1" not in text and "***" in text
    table = json.loads(run("config", "--json", "--cors-origins", "http://a,http://b", "--cors-origins", "http://c", "--model", "a,b.gguf").stdout)
    assert table["cors_origins"]["value"] == ["http://a", "http://b", "http://c"]  # as in the variable
    assert table["model"]["value"] == ["a,b.gguf"]  # a path may hold a comma


@pytest.mark.parametrize("file, arguments, expected", [
    ("prt = 1", ["config"], 'hanlin.toml: unknown setting "prt" (did you mean "port"?)'),
    ("port = 1.5", ["config"], "hanlin.toml: port: expected a whole number from 0 to 65535, got 1.5"),
    ("port = ", ["config"], "hanlin.toml:1:"),
    ("", ["config", "--port", "x"], '--port: expected a whole number from 0 to 65535, got "x"'),
    ("", ["config", "--isa", "sse"], "--isa: expected one of auto, scalar"),
    ("", ["config", "--prot", "1"], "did you mean --port?"),
    ("", ["confg"], "did you mean config?"),
    ("", ["pull"], "MODEL"),
    ("", ["config", "--config", "absent.toml"], "absent.toml"),
])
def test_wrong_usage_is_one_line_and_where_to_look(run, tmp_path, file, arguments, expected):
    (tmp_path / "hanlin.toml").write_text(file)
    result = run(*arguments)
    assert result.returncode == 2
    assert expected in result.stderr
    assert result.stderr.splitlines()[1].startswith("Try: hanlin ")


def test_doctor_sees_machine_and_busy_port(run):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        findings = {f["what"]: f for f in json.loads(run("doctor", "--json", "--port", str(busy.getsockname()[1])).stdout)}
    assert "scalar" in findings["levels"]["value"]
    assert not findings["port"]["ok"] and "--port" in findings["port"]["advice"]
    assert not findings["models"]["ok"] and "hanlin pull" in findings["models"]["advice"]
    assert "problem port" in run("doctor", "--port", "1", "--host", "192.0.2.1").stdout


def test_version(run):
    assert re.fullmatch(r"hanlin \d+\.\d+\.\d+\n", run("--version").stdout)
    assert json.loads(run("version", "--json").stdout)["version"] == run("--version").stdout.split()[1]
