"""Tools with the real openai client on real models: calls by choice and by force, streamed, results sent back, the older functions."""
import json
import re

import openai
import pytest

AGENT, SMALL = "qwen2.5-coder-0.5b", "smollm2-135m"
WEATHER = {"name": "get_weather", "description": "Get the current weather of a place", "parameters": {
    "type": "object", "required": ["location"],
    "properties": {"location": {"type": "string", "description": "City"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}}}
EMAIL = {"name": "send_email", "description": "Send an email", "parameters": {
    "type": "object", "required": ["to", "subject", "body"],
    "properties": {"to": {"type": "string"}, "subject": {"type": "string"}, "body": {"type": "string"}}}}
TOOLS = [{"type": "function", "function": function} for function in (WEATHER, EMAIL)]
QUESTION = [{"role": "user", "content": "北京今天天气怎么样?"}]


@pytest.fixture(scope="module")
def client(serve, model_file):
    """Exact activations, as in test_langchain.py."""
    with serve({name: model_file(name) for name in (AGENT, SMALL)}, "--activations", "f32") as service:
        with openai.OpenAI(base_url=service.url + "/v1", api_key="none", timeout=300, max_retries=0) as one:
            yield one


def ask(client, **fields):
    return client.chat.completions.create(**({"model": AGENT, "messages": QUESTION, "tools": TOOLS, "temperature": 0, "max_tokens": 200} | fields))


def check_call(call, name):
    assert re.fullmatch(r"call_[A-Za-z0-9]{24}", call.id) and call.type == "function"
    assert call.function.name == name
    return json.loads(call.function.arguments)


def test_auto(client):
    choice = ask(client).choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    (call,) = choice.message.tool_calls
    assert "北京" in check_call(call, "get_weather")["location"]


def test_stream_is_the_whole_answer_in_pieces(client):
    whole = ask(client).choices[0].message.tool_calls[0].function
    name, arguments, ids, reasons = "", "", [], []
    for chunk in ask(client, stream=True):
        (choice,) = chunk.choices
        assert not choice.delta.content
        reasons.append(choice.finish_reason)
        for call in choice.delta.tool_calls or []:
            assert call.index == 0
            ids += [call.id] if call.id else []
            name += call.function.name or ""
            arguments += call.function.arguments
    assert (name, arguments) == (whole.name, whole.arguments)
    assert len(ids) == 1 and reasons[-1] == "tool_calls" and set(reasons[:-1]) == {None}


def test_required(client):
    choice = ask(client, tool_choice="required").choices[0]
    assert choice.finish_reason == "tool_calls"
    assert check_call(choice.message.tool_calls[0], "get_weather")


def test_named(client):
    choice = ask(client, tool_choice={"type": "function", "function": {"name": "send_email"}}).choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    check_call(call, "send_email")


def test_none(client):
    choice = ask(client, tool_choice="none").choices[0]
    assert choice.finish_reason == "stop" and choice.message.content and not choice.message.tool_calls


def test_allowed_tools(client):
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_weather"}}]}}
    choice = ask(client, tool_choice=allowed).choices[0]
    check_call(choice.message.tool_calls[0], "get_weather")


def test_result_is_sent_back(client):
    message = ask(client).choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": json.dumps({"temperature": 22, "sky": "晴"}, ensure_ascii=False)}
    answer = ask(client, messages=[*QUESTION, message, result], tools=openai.omit).choices[0]
    assert answer.finish_reason == "stop" and "22" in answer.message.content


def test_legacy_functions(client):
    choice = ask(client, tools=openai.omit, functions=[WEATHER, EMAIL]).choices[0]
    assert choice.finish_reason == "function_call" and choice.message.content is None
    assert choice.message.function_call.name == "get_weather" and json.loads(choice.message.function_call.arguments)
    history = [*QUESTION, choice.message, {"role": "function", "name": "get_weather", "content": "22"}]
    assert ask(client, tools=openai.omit, messages=history).choices[0].message.content
    pieces = [chunk.choices[0] for chunk in ask(client, tools=openai.omit, functions=[WEATHER], function_call={"name": "get_weather"}, stream=True)]
    calls = [piece.delta.function_call for piece in pieces if piece.delta.function_call]
    assert [call.name for call in calls if call.name] == ["get_weather"] and json.loads("".join(call.arguments for call in calls))
    assert pieces[-1].finish_reason == "function_call"


def test_logprobs_of_a_call(client):
    choice = ask(client, logprobs=True).choices[0]
    assert choice.message.tool_calls and "".join(token.token for token in choice.logprobs.content).count("get_weather") == 1


def test_model_whose_template_knows_no_tools(client):
    """What a small model makes of it is its own business; the service must take every step."""
    for choice in ("auto", "required", {"type": "function", "function": {"name": "get_weather"}}):
        answer = ask(client, model=SMALL, tool_choice=choice, max_tokens=60)
        assert answer.choices[0].message.content or answer.choices[0].message.tool_calls
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"location": "北京"}'}}
    history = [*QUESTION, {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": "22"}]
    assert ask(client, model=SMALL, messages=history, max_tokens=30).choices[0].message.content


def test_calls_can_be_left_unconstrained(client):
    """For comparisons: without the grammar a model that is asked for a place writes one that the schema does not have."""
    parameters = {"type": "object", "required": ["location"], "properties": {"location": {"enum": ["Oslo", "Lima"]}}, "additionalProperties": False}
    tools = [{"type": "function", "function": {**WEATHER, "parameters": parameters}}]
    question = [{"role": "user", "content": "What is the weather in Paris?"}]
    held, free = (json.loads(ask(client, messages=question, tools=tools, extra_body={"constrain_calls": constrained}).choices[0].message.tool_calls[0].function.arguments)
                  for constrained in (True, False))
    assert held["location"] in ("Oslo", "Lima") and free["location"] == "Paris"
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, extra_body={"constrain_calls": "no"})
    assert caught.value.param == "constrain_calls"


def test_mistakes_are_named(client):
    bad = {"type": "function", "function": {"name": "a b"}}
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, tools=[bad])
    assert caught.value.param == "tools[0].function.name"
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, tool_choice={"type": "function", "function": {"name": "fly"}})
    assert caught.value.param == "tool_choice"
