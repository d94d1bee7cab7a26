"""Random schemas x temperatures 0 to 2 x budgets of 1 to 200 tokens: answers and calls are valid for the jsonschema package, or refused
because no legal one is that short. bench/tool_calls/validity.py runs the same cases by the thousand."""
import concurrent.futures
import pathlib
import sys

import httpx
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench/tool_calls"))
import validity

CHAT = "smollm2-135m"


@pytest.fixture(scope="module")
def verdicts(service):
    """seed → (verdict, kind, details)"""
    with httpx.Client(base_url=service.url, timeout=300) as client, concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda seed: validity.judge(client, CHAT, seed), range(1, 41)))


def test_nothing_is_invalid(verdicts):
    assert not [details for _, _, details in verdicts if details]


def test_of_all_kinds_there_are_valid_ones(verdicts):
    kinds = {kind for verdict, kind, _ in verdicts if verdict == "valid"}
    assert kinds >= {"answer", "required", "named"}, kinds  # with `auto` a small model may well write text


def test_the_judge_sees_what_is_wrong():
    body, (kind, schema) = next(case for case in map(validity.make_case, range(1, 100)) if case[1][0] == "answer" and case[1][1]["required"])
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"choices": [{"message": {"content": "{}"}}]}))
    seed = next(seed for seed in range(1, 100) if validity.make_case(seed)[0] == body)
    with httpx.Client(base_url="http://judge", transport=transport) as client:
        assert validity.judge(client, CHAT, seed)[0] == "invalid"
