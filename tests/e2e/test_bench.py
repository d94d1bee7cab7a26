"""The programs in bench/: that they run and what they write; never how fast anything is."""
import json
import os
import subprocess
import sys

import pytest

from conftest import CHAT, ROOT

BENCH = ROOT / "bench"
PROGRAMS = ["compare_llama_cpp", "compare_onnxruntime", "contention", "quality", "service", "speculation", "tokenizers"]
sys.path.insert(0, str(BENCH))
import common  # noqa: E402  (bench/common.py)


@pytest.mark.parametrize("name", PROGRAMS)
def test_help(name):
    result = subprocess.run([sys.executable, BENCH / name, "--help"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert f"bench/{name}" in result.stdout and "--json" in result.stdout
    assert f"`{name}`" in (BENCH / "README.md").read_text()


def test_a_ratio_above_1_is_in_hanlins_favour():
    faster = common.compared("decode", "tokens/s", [30.0, 20.0, 40.0], [10.0, 20.0, 20.0])
    assert (faster["hanlin"], faster["peer"], faster["ratio"], faster["ratio_min"], faster["ratio_max"]) == (30, 20, 2, 1, 3)
    assert common.compared("load", "s", [1.0], [4.0], higher_is_better=False)["ratio"] == 4


def test_columns_of_numbers_stand_right(capsys):
    common.print_table(["what", "value", "share"], [["load", "2.5", "50 %"], ["decode 8", "1000.0", "–"]])
    assert capsys.readouterr().out == "what       value  share\nload         2.5   50 %\ndecode 8  1000.0      –\n"


def test_choices_are_read_from_the_help(hanlin_bin):
    args = type("Arguments", (), {"hanlin": hanlin_bin})
    assert common.choices(args, "--kv-type") == ["f16", "q8_0", "f32"]
    assert common.choices(args, "--absent") == []


def test_service(hanlin_bin, model_file, tmp_path):
    counts = {"streams": 2, "generate": 16, "long": 64, "prompt": 64, "rounds": 1}
    flags = [part for name, value in counts.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, BENCH / "service", model_file(CHAT), "--hanlin", hanlin_bin, "--json", tmp_path / "out.json", *flags]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
    assert result.returncode == 0, result.stderr
    assert "engine alone" in result.stdout and "vanished" in result.stdout
    (measured,) = json.loads((tmp_path / "out.json").read_text())["rounds"]
    assert measured["cached_tokens"] == 32 and measured["blocks_held"] >= 2
    assert all(value > 0 for value in measured.values())


def test_speculation(hanlin_bin, model_file, tmp_path):
    command = [sys.executable, BENCH / "speculation", model_file(CHAT), "--hanlin", hanlin_bin, "--json", tmp_path / "out.json", "--generate", "24", "--rounds", "1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
    assert result.returncode == 0, result.stderr
    (rows,) = json.loads((tmp_path / "out.json").read_text())["results"].values()
    assert len(rows) == 5 and all(row["hanlin"] > 0 and row["peer"] > 0 and 16 <= row["tokens"][0] <= 24 for row in rows)
