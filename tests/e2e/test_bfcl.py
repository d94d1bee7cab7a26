"""Some BFCL questions (bench/tool_calls/bfcl.py asks them all): constrained calls are all valid and not less often right than free ones."""
import pathlib
import sys

import httpx
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench/tool_calls"))
import bfcl

AGENT = "qwen2.5-coder-0.5b"


@pytest.fixture(scope="module")
def client(serve, model_file):
    with serve({AGENT: model_file(AGENT)}) as service, httpx.Client(base_url=service.url, timeout=600) as one:
        yield one


def test_constraints_do_no_harm(client, shared):
    cases = bfcl.read_cases(shared("cases/bfcl"), "simple_python")[::40] + bfcl.read_cases(shared("cases/bfcl"), "parallel")[::50]
    rows = bfcl.measure(client, AGENT, cases, "auto", at_once=7)
    right = {side: sum(row[side]["right"] for row in rows) for side in ("free", "constrained")}
    assert right["constrained"] >= right["free"], [row for row in rows if row["free"]["right"] and not row["constrained"]["right"]]
    assert all(row["constrained"]["valid"] for row in rows)
    assert right["constrained"] >= len(rows) / 3  # it can do something


def test_the_match_is_exact():
    functions = [{"name": "math.add", "parameters": {"properties": {"a": {"type": "integer"}, "b": {"type": "float"}, "unit": {"type": "string"}}}}]
    accepted = [{"math.add": {"a": [1], "b": [2, 2.5], "unit": ["km", ""]}}]
    right = lambda *calls: bfcl.calls_match(list(calls), accepted, functions)
    assert right(("math_add", {"a": 1, "b": 2})) and right(("math_add", {"a": 1, "b": 2.5, "unit": "KM"}))
    assert not right() and not right(("math_add", {"a": 1})) and not right(("math_add", None)) and not right(("add", {"a": 1, "b": 2}))
    assert not right(("math_add", {"a": 1, "b": 3})) and not right(("math_add", {"a": 1, "b": 2, "c": 1})) and not right(("math_add", {"a": 1.0, "b": 2}))
    assert not right(("math_add", {"a": "1", "b": 2})) and not right(("math_add", {"a": 1, "b": 2}), ("math_add", {"a": 1, "b": 2}))
