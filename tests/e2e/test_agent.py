"""`hanlin agent` and /api/v1/agent/runs with the real default model: the classic example, consent, limits, traces, restarts."""
import http.client
import json
import os
import pathlib
import pty
import signal
import subprocess
import threading
import time

import pytest

from conftest import Service, clean_environment

AGENT_MODEL = "qwen2.5-coder-0.5b"
WEATHER = pathlib.Path(__file__).resolve().parents[1] / "tools/weather.json"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("agent-home")


@pytest.fixture(scope="module")
def agent(hanlin_bin, model_file, home):
    """agent(argument…) → the finished process of `hanlin agent`, without a terminal."""
    def run(*arguments, model=AGENT_MODEL):
        command = [hanlin_bin, "agent", *arguments]
        if model:
            command += ["--model", str(model_file(model))]
        return subprocess.run(command, cwd=home, env=clean_environment(home), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)

    return run


def test_the_classic_example(agent):
    done = agent("--tools", str(WEATHER), "--json", "北京今天天气怎么样?")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["state"] == "completed"
    assert run["calls"][0]["name"] == "get_weather"
    assert run["calls"][0]["arguments"]["location"] == "北京"
    assert run["calls"][0]["ok"] and "22" in run["calls"][0]["result"]
    assert "22" in run["answer"] or "晴" in run["answer"] or "sunny" in run["answer"]


def test_steps_on_stderr_answer_on_stdout(agent):
    done = agent("--tools", str(WEATHER), "What is the weather in Paris?")
    assert done.returncode == 0, done.stderr
    assert "● step 1" in done.stderr and "→ get_weather(location=" in done.stderr and "← " in done.stderr
    assert done.stdout.strip() and "● step" not in done.stdout
    quiet = agent("--quiet", "--tools", str(WEATHER), "What is the weather in Paris?")
    assert quiet.stdout == done.stdout  # greedy: the same bits
    assert "●" not in quiet.stderr


@pytest.mark.parametrize("model", [AGENT_MODEL, "smollm2-135m"])
def test_every_react_step_is_legal(agent, model):
    """The grammar holds the form, whatever the model: no turn is an error, every call fits its schema."""
    done = agent("--react", "--json", "--max-steps", "3", "--max-step-tokens", "100", "--tools", str(WEATHER), "What is the weather in Paris?", model=model)
    run = json.loads(done.stdout)
    assert run["state"] in ("completed", "not_finished"), run
    for call in run["calls"]:
        assert "does not" not in call["result"] and "there is no tool" not in call["result"], call
    replay = agent("--replay", run["id"], "--json", model=None)
    assert replay.returncode == 0, replay.stderr
    events = [json.loads(line) for line in replay.stdout.splitlines()]
    turns = [event["data"] for event in events if event["type"] == "turn"]
    assert turns and not [turn for turn in turns[:3] if "error" in turn], turns
    assert events[-1]["type"] == "finished"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def test_runs_are_listed_and_replayed(agent):
    done = agent("--json", "--max-steps", "2", "What is 17 * 23?")
    run = json.loads(done.stdout)
    listed = agent("--list", model=None)
    assert listed.returncode == 0, listed.stderr
    assert run["id"] in listed.stdout and "What is 17 * 23?" in listed.stdout
    shown = agent("--replay", run["id"], model=None)
    assert "● step 1" in shown.stderr
    assert agent("--replay", "run_none", model=None).returncode == 1


def test_without_a_terminal_nobody_allows_a_call(agent):
    done = agent("--json", "--tools", str(WEATHER), "--use-tools", "send_email", "--max-steps", "3",
                 "Send an email to bob@example.com with the subject 'Hi' and the body 'Hello Bob'.")
    run = json.loads(done.stdout)
    assert run["calls"], run
    assert all(not call["ok"] and "did not allow" in call["result"] for call in run["calls"]), run


def test_a_person_allows_a_call_at_the_terminal(hanlin_bin, model_file, home):
    main, terminal = pty.openpty()
    process = subprocess.Popen([hanlin_bin, "agent", "--tools", str(WEATHER), "--use-tools", "send_email", "--max-steps", "2", "--model", str(model_file(AGENT_MODEL)),
                                "Send an email to bob@example.com with the subject 'Hi' and the body 'Hello Bob'."],
                               cwd=home, env=clean_environment(home), stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
    os.close(terminal)
    seen, answered = b"", 0
    while True:
        try:
            piece = os.read(main, 4096)
        except OSError:  # the program has ended
            break
        if not piece:
            break
        seen += piece
        if seen.count(b"[y/N]") > answered:
            answered += 1
            os.write(main, b"y\n")
    process.wait(60)
    os.close(main)
    text = seen.decode(errors="replace")
    assert answered >= 1 and "allowed" in text and "has been sent" in text, text


@pytest.fixture(scope="module")
def agents(hanlin_bin, model_file, tmp_path_factory):
    home = tmp_path_factory.mktemp("agent-service")
    with Service(hanlin_bin, home, {AGENT_MODEL: model_file(AGENT_MODEL)}, "--tools", str(WEATHER)) as running:
        yield running


def events_of(service, run, after=0, on_event=lambda event: None):
    """The events of a run, streamed to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
    connection.request("GET", f"/api/v1/agent/runs/{run}/events?after={after}")
    response = connection.getresponse()
    assert response.status == 200 and response.headers["Content-Type"].startswith("text/event-stream")
    found = []
    for line in response:
        if line.startswith(b"data: {"):
            found.append(json.loads(line[6:]))
            on_event(found[-1])
    connection.close()
    return found


def wait_for(service, run, *states):
    deadline = time.monotonic() + 120
    while (view := json.loads(service.get(f"/api/v1/agent/runs/{run}")))["state"] not in states:
        assert time.monotonic() < deadline, view
        time.sleep(0.05)
    return view


def test_a_run_over_http(agents):
    run = agents.post("/api/v1/agent/runs", {"task": "What is the weather in Paris?", "wait": True}, timeout=300)
    assert run["state"] == "completed" and run["calls"][0]["name"] == "get_weather"
    events = events_of(agents, run["id"])
    assert events[0]["type"] == "step" and events[-1] == {**events[-1], "type": "finished", "answer": run["answer"]}
    assert [event["seq"] for event in events_of(agents, run["id"], after=2)] == [event["seq"] for event in events][2:]
    tools = {tool["name"]: tool["permission"] for tool in json.loads(agents.get("/api/v1/agent/tools"))["data"]}
    assert tools["send_email"] == "ask" and tools["calculator"] == "allow"


def test_consent_over_http(agents):
    status, _, body = agents.request("POST", "/api/v1/agent/runs", {"task": "Send an email to bob@example.com with the subject 'Hi' and the body 'Hello Bob'.",
                                                                     "tools": ["send_email"], "limits": {"max_steps": 2}})
    assert status == 201, body
    run = json.loads(body)["id"]
    view = wait_for(agents, run, "waiting")
    question = view["approvals"][0]
    path = f"/api/v1/agent/runs/{run}/approvals/{question['id']}"
    assert agents.error(path, {"approve": True, "arguments": {"to": "eve@example.com"}})[0] == 400
    agents.post(path, {"approve": True, "arguments": question["arguments"]})
    wait_for(agents, run, "waiting", "completed", "not_finished")
    first = json.loads(agents.get(f"/api/v1/agent/runs/{run}"))["calls"][0]
    assert first["ok"] and first["result"].endswith("has been sent.")
    agents.request("POST", f"/api/v1/agent/runs/{run}/cancel")


def test_a_run_goes_on_after_a_restart(hanlin_bin, model_file, tmp_path_factory):
    home = tmp_path_factory.mktemp("agent-restart")
    models = {AGENT_MODEL: model_file(AGENT_MODEL)}
    with Service(hanlin_bin, home, models, "--tools", str(WEATHER)) as first:
        run = json.loads(first.request("POST", "/api/v1/agent/runs", {"task": "Send an email to bob@example.com with the subject 'Hi' and the body 'Hello Bob'.",
                                                                      "tools": ["send_email"], "limits": {"max_steps": 2}})[2])["id"]
        wait_for(first, run, "waiting")
        watched, watching = [], threading.Event()
        watcher = threading.Thread(target=lambda: watched.extend(events_of(first, run, on_event=lambda event: watching.set())))
        watcher.start()
        assert watching.wait(60)
    watcher.join(60)
    assert watched[-1]["type"] == "interrupted"
    with Service(hanlin_bin, home, models, "--tools", str(WEATHER)) as second:
        view = json.loads(second.get(f"/api/v1/agent/runs/{run}"))
        assert view["state"] == "interrupted"
        second.post(f"/api/v1/agent/runs/{run}/resume", {})
        question = wait_for(second, run, "waiting")["approvals"][0]
        second.post(f"/api/v1/agent/runs/{run}/approvals/{question['id']}", {"approve": True, "arguments": question["arguments"]})
        deadline = time.monotonic() + 120
        while not (calls := json.loads(second.get(f"/api/v1/agent/runs/{run}"))["calls"]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert calls[0]["result"].endswith("has been sent.")
        second.request("POST", f"/api/v1/agent/runs/{run}/cancel")


def test_two_services_share_no_store(hanlin_bin, model_file, agents):
    """The second one says so and works."""
    with Service(hanlin_bin, agents.log_path.parent, {AGENT_MODEL: model_file("smollm2-135m")}) as second:
        assert json.loads(second.get("/api/v1/agent/runs"))["data"] == []


def test_ctrl_c_cancels(hanlin_bin, model_file, home):
    process = subprocess.Popen([hanlin_bin, "agent", "--model", str(model_file(AGENT_MODEL)), "--max-step-tokens", "4000", "Write a story of 3000 words about the sea."],
                               cwd=home, env=clean_environment(home), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "● step 1" in line:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 1 and "cancelled" in rest, rest
