"""One `hanlin serve` in front of another: remote models, their tools, errors and keys, and fallbacks when the upstream is gone."""
import json
import signal

import openai
import pytest

from conftest import CHAT, EMBEDDER, Service, clean_environment

AGENT = "qwen2.5-coder-0.5b"
MESSAGES = [{"role": "user", "content": "Name three colours."}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Get the current weather of a place", "parameters": {
    "type": "object", "required": ["location"], "properties": {"location": {"type": "string"}}}}}]


@pytest.fixture(scope="module")
def upstream(serve, model_file):
    with serve({AGENT: model_file(AGENT), EMBEDDER: model_file(EMBEDDER)}) as service:
        yield service


@pytest.fixture(scope="module")
def front(serve, upstream):
    with serve({"far": f"{upstream.url}/v1#{AGENT}", "vectors": f"{upstream.url}/v1#embed:{EMBEDDER}", "wrong": f"{upstream.url}/v1#nobody"}) as service:
        yield service


def client_of(service):
    return openai.OpenAI(base_url=service.url + "/v1", api_key="none", timeout=300, max_retries=0)


def chat(service, model, **fields):
    return client_of(service).chat.completions.create(**({"model": model, "messages": MESSAGES, "temperature": 0, "max_tokens": 24} | fields))


def test_the_same_answer_as_upstream(front, upstream):
    far, near = chat(front, "far"), chat(upstream, AGENT)
    assert far.choices[0].message.content == near.choices[0].message.content != ""
    assert far.usage.prompt_tokens == near.usage.prompt_tokens and far.usage.completion_tokens == near.usage.completion_tokens
    assert far.model == "far" and far.choices[0].finish_reason == near.choices[0].finish_reason
    for fields in ({"stop": [","]}, {"n": 2, "temperature": 0.9, "seed": 7}, {"logit_bias": {"11": -100}}, {"frequency_penalty": 1.5}):
        assert [c.message.content for c in chat(front, "far", **fields).choices] == [c.message.content for c in chat(upstream, AGENT, **fields).choices], fields


def test_streams(front, upstream):
    whole = chat(upstream, AGENT).choices[0].message.content
    chunks = list(chat(front, "far", stream=True, stream_options={"include_usage": True}))
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == whole and len([text for text in texts if text]) > 3
    assert chunks[-1].usage.completion_tokens > 0


def test_logprobs_and_completions(front, upstream):
    far, near = (chat(s, m, logprobs=True, top_logprobs=2).choices[0].logprobs.content for s, m in ((front, "far"), (upstream, AGENT)))
    assert [(t.token, t.bytes) for t in far] == [(t.token, t.bytes) for t in near]
    assert [t.logprob for t in far] == pytest.approx([t.logprob for t in near], abs=1e-4)
    far, near = (client_of(s).completions.create(model=m, prompt="def add(a, b):", max_tokens=12, temperature=0, logprobs=1).choices[0] for s, m in ((front, "far"), (upstream, AGENT)))
    assert far.text == near.text and far.logprobs.tokens == near.logprobs.tokens


def test_tools_whole_and_streamed(front, upstream):
    question = {"messages": [{"role": "user", "content": "北京今天天气怎么样?"}], "tools": TOOLS, "max_tokens": 100}
    for fields in ({}, {"tool_choice": "required", "parallel_tool_calls": False}, {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}}):
        answer, near = chat(front, "far", **question, **fields).choices[0], chat(upstream, AGENT, **question, **fields).choices[0]
        (call,) = answer.message.tool_calls
        assert answer.finish_reason == near.finish_reason == "tool_calls" and call.id.startswith("call_")
        assert [(c.function.name, c.function.arguments) for c in near.message.tool_calls] == [(call.function.name, call.function.arguments)]
        assert "location" in json.loads(call.function.arguments)
    name, arguments, ids = "", "", []
    for chunk in chat(front, "far", **question, stream=True):
        for piece in chunk.choices[0].delta.tool_calls or []:
            ids += [piece.id] if piece.id else []
            name += piece.function.name or ""
            arguments += piece.function.arguments or ""
    assert name == "get_weather" and "location" in json.loads(arguments) and len(ids) == 1
    # The result goes back.
    turns = question["messages"] + [answer.message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "晴，25 度"}]
    assert chat(front, "far", messages=turns, tools=TOOLS, max_tokens=60).choices[0].message.content


def test_json_schema(front):
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"], "additionalProperties": False}
    fields = {"response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": schema, "strict": True}}, "max_tokens": 60}
    assert set(json.loads(chat(front, "far", **fields).choices[0].message.content)) == {"colour"}
    status, error = front.error("/v1/chat/completions", {"model": "far", "messages": MESSAGES, "guided_regex": "a+"})
    assert status == 400 and error["code"] == "unsupported" and error["param"] == "guided_regex"


def test_errors_are_the_services_own(front):
    status, error = front.error("/v1/chat/completions", {"model": "far", "messages": [{"role": "user", "content": "x " * 200_000}]})
    assert status == 400 and "HTTP 400: messages: the prompt has" in error["message"], error
    status, error = front.error("/v1/chat/completions", {"model": "wrong", "messages": MESSAGES})
    assert status == 404 and "nobody" in error["message"], error


def test_embeddings_and_tokens(front, upstream):
    texts = ["a cat", "ein Hund", "一只猫"]
    far = client_of(front).embeddings.create(model="vectors", input=texts)
    near = client_of(upstream).embeddings.create(model=EMBEDDER, input=texts)
    assert [item.embedding for item in far.data] == [item.embedding for item in near.data]
    assert far.usage.prompt_tokens == near.usage.prompt_tokens
    (short,) = client_of(front).embeddings.create(model="vectors", input="a cat", dimensions=8).data
    assert len(short.embedding) == 8
    assert front.post("/tokenize", {"model": "far", "prompt": "Hello"})["tokens"] == upstream.post("/tokenize", {"model": AGENT, "prompt": "Hello"})["tokens"]


def test_the_key_comes_from_the_environment(hanlin_bin, tmp_path_factory, model_file):
    def started(name, models, *flags, **variables):
        home = tmp_path_factory.mktemp(name)
        return Service(hanlin_bin, home, models, *flags, environment=clean_environment(home) | variables)

    with started("locked", {CHAT: model_file(CHAT)}, "--api-keys", "sk-upstream") as locked:
        far = {"far": f"{locked.url}/v1#{CHAT}"}
        with started("with", far, HANLIN_REMOTE_API_KEY="sk-upstream") as front:
            assert chat(front, "far").choices[0].message.content
            assert "sk-upstream" not in front.log()
        with started("other", far, "--remote-key-env", "MY_KEY", MY_KEY="sk-wrong") as front:
            status, error = front.error("/v1/chat/completions", {"model": "far", "messages": MESSAGES})
            assert status == 503 and "MY_KEY" in error["message"] and "sk-wrong" not in error["message"], error


def test_falls_back_when_the_upstream_is_gone(hanlin_bin, serve, tmp_path_factory, model_file):
    home = tmp_path_factory.mktemp("gone")
    upstream = Service(hanlin_bin, home, {CHAT: model_file(CHAT), EMBEDDER: model_file(EMBEDDER)})
    with upstream:
        models = {"near": model_file(AGENT), "far": f"{upstream.url}/v1#{CHAT}", "far-vectors": f"{upstream.url}/v1#embed:{EMBEDDER}", EMBEDDER: model_file(EMBEDDER)}
        with serve(models, "--fallback", "far=near", "--fallback", f"far-vectors={EMBEDDER}") as front:
            before = chat(front, "far").choices[0].message.content
            assert before == chat(upstream, CHAT).choices[0].message.content
            vector = client_of(front).embeddings.create(model="far-vectors", input="a cat").data[0].embedding
            upstream.process.send_signal(signal.SIGKILL)
            upstream.process.wait(60)
            local = chat(front, "near").choices[0].message.content
            for _ in range(4):  # also while the broken one is left out
                assert chat(front, "far").choices[0].message.content == local != before
            answer = chat(front, "far", messages=[{"role": "user", "content": "北京今天天气怎么样?"}], tools=TOOLS, tool_choice="required", max_tokens=100).choices[0]
            assert answer.finish_reason == "tool_calls" and answer.message.tool_calls[0].function.name == "get_weather"
            assert client_of(front).embeddings.create(model="far-vectors", input="a cat").data[0].embedding == pytest.approx(vector, abs=1e-6)
            assert "falling back to near" in front.log()
        upstream.process.returncode = 0  # we have ended it ourselves
