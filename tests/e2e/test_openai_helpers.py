"""The helpers of the openai client: pydantic classes as answers and tools, the event stream, raw bodies, the async client."""
import asyncio
import enum
import json
import typing

import openai
import pydantic
import pytest

AGENT = "qwen2.5-coder-0.5b"


class Unit(str, enum.Enum):
    celsius = "celsius"
    fahrenheit = "fahrenheit"


class GetWeather(pydantic.BaseModel):
    """Get the current weather of a place"""
    location: str = pydantic.Field(description="The city")
    unit: Unit


class Colour(pydantic.BaseModel):
    name: typing.Literal["red", "green", "yellow", "orange"]


class Fruit(pydantic.BaseModel):
    """Nested classes become $defs and $ref."""
    name: str
    colour: Colour
    grams: typing.Optional[int]


class Fruits(pydantic.BaseModel):
    fruits: list[Fruit]


FRUITS = [{"role": "user", "content": "Name two fruits with their colours and weights, as JSON."}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris in celsius?"}]


@pytest.fixture(scope="module")
def url(serve, model_file):
    with serve({AGENT: model_file(AGENT)}) as service:
        yield service.url + "/v1"


@pytest.fixture(scope="module")
def client(url):
    with openai.OpenAI(base_url=url, api_key="none", timeout=300, max_retries=0) as one:
        yield one


def fields(**more):
    return {"model": AGENT, "temperature": 0, "max_tokens": 200} | more


def test_parse_answer(client):
    message = client.chat.completions.parse(**fields(messages=FRUITS, response_format=Fruits)).choices[0].message
    assert isinstance(message.parsed, Fruits) and message.parsed.fruits
    assert message.parsed == Fruits.model_validate_json(message.content)


def test_parse_calls(client):
    tool = openai.pydantic_function_tool(GetWeather)
    assert tool["function"]["strict"] is True
    choice = client.chat.completions.parse(**fields(messages=WEATHER, tools=[tool])).choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.function.parsed_arguments == GetWeather(location="Paris", unit=Unit.celsius)


class Report(pydantic.BaseModel):
    city: str
    degrees: int


def test_answer_with_a_format_beside_tools(client):
    """Calls stay possible; what is no call has the format."""
    tools = [openai.pydantic_function_tool(GetWeather)]
    first = client.chat.completions.parse(**fields(messages=WEATHER, tools=tools, response_format=Report)).choices[0]
    assert first.finish_reason == "tool_calls" and first.message.tool_calls[0].function.parsed_arguments == GetWeather(location="Paris", unit=Unit.celsius)
    demanded = client.chat.completions.parse(**fields(messages=FRUITS, tools=tools, tool_choice="required", response_format=Report)).choices[0].message
    assert isinstance(demanded.tool_calls[0].function.parsed_arguments, GetWeather) and demanded.parsed is None
    result = {"role": "tool", "tool_call_id": first.message.tool_calls[0].id, "content": "In Paris it is raining at 17 degrees."}
    last = client.chat.completions.parse(**fields(messages=[*WEATHER, first.message, result], tools=tools, tool_choice="none", response_format=Report)).choices[0].message
    assert last.parsed == Report(city="Paris", degrees=17) and not last.tool_calls


def test_stream_of_calls(client):
    tool = openai.pydantic_function_tool(GetWeather, name="get_weather")
    deltas, done, content = [], [], []
    with client.chat.completions.stream(**fields(messages=WEATHER, tools=[tool], stream_options={"include_usage": True})) as stream:
        for event in stream:
            if event.type == "tool_calls.function.arguments.delta":
                assert (event.name, event.index) == ("get_weather", 0)
                deltas.append(event.arguments_delta)
            elif event.type == "tool_calls.function.arguments.done":
                done.append(event)
            elif event.type == "content.delta":
                content.append(event.delta)
        completion = stream.get_final_completion()
    assert not content
    (event,) = done
    assert event.parsed_arguments == GetWeather(location="Paris", unit=Unit.celsius)
    assert "".join(deltas) == event.arguments and len(deltas) > 2
    (call,) = completion.choices[0].message.tool_calls
    assert call.id.startswith("call_") and call.type == "function" and call.function.parsed_arguments == event.parsed_arguments
    assert completion.choices[0].finish_reason == "tool_calls" and completion.usage.completion_tokens > 0


def test_stream_of_an_answer(client):
    with client.chat.completions.stream(**fields(messages=FRUITS, response_format=Fruits)) as stream:
        pieces, parsed = "", []
        for event in stream:
            if event.type == "content.delta":
                pieces += event.delta
                assert event.snapshot == pieces
            elif event.type == "content.done":
                parsed.append(event.parsed)
    whole = client.chat.completions.parse(**fields(messages=FRUITS, response_format=Fruits)).choices[0].message
    assert pieces == whole.content and parsed == [whole.parsed]


def test_log_probabilities_of_a_call(client):
    request = fields(messages=WEATHER, tools=[openai.pydantic_function_tool(GetWeather)], logprobs=True)
    with client.chat.completions.stream(**request) as stream:
        streamed = [token.token for event in stream if event.type == "logprobs.content.delta" for token in event.content]
    whole = client.chat.completions.create(**request).choices[0]
    assert streamed == [token.token for token in whole.logprobs.content] and "Paris" in "".join(streamed)


def test_whole_round_with_typed_messages(client):
    """The parsed message goes back as it is, with the client's own fields, and the answer is made from the result."""
    tools = [openai.pydantic_function_tool(GetWeather)]
    first = client.chat.completions.parse(**fields(messages=WEATHER, tools=tools)).choices[0].message
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": json.dumps({"temperature": 17, "unit": "celsius"})}
    # The tools stay in the request; this small model would call again.
    second = client.chat.completions.parse(**fields(messages=[*WEATHER, first, result], tools=tools, tool_choice="none")).choices[0]
    assert second.finish_reason == "stop" and "17" in second.message.content and not second.message.tool_calls


def test_fields_that_clients_send_for_other_models(client):
    """Known to the client, without a meaning here: they do no harm."""
    answer = client.chat.completions.create(**fields(messages=WEATHER, tools=[openai.pydantic_function_tool(GetWeather)], store=False, user="u", metadata={"a": "b"},
                                                     service_tier="auto", safety_identifier="s", prompt_cache_key="k", verbosity="low", reasoning_effort="low",
                                                     modalities=["text"], parallel_tool_calls=True))
    assert answer.choices[0].message.tool_calls


def test_raw_body_and_headers(client):
    raw = client.chat.completions.with_raw_response.create(**fields(messages=WEATHER, tools=[openai.pydantic_function_tool(GetWeather)]))
    assert raw.headers["content-type"].startswith("application/json") and raw.parse().choices[0].message.tool_calls


def test_async_client(url):
    async def main():
        async with openai.AsyncOpenAI(base_url=url, api_key="none", timeout=300, max_retries=0) as one:
            async with one.chat.completions.stream(**fields(messages=WEATHER, tools=[openai.pydantic_function_tool(GetWeather)])) as stream:
                completion = await stream.get_final_completion()
        return completion.choices[0].message.tool_calls
    (call,) = asyncio.run(main())
    assert call.function.parsed_arguments == GetWeather(location="Paris", unit=Unit.celsius)


def test_an_answer_that_max_tokens_shortens_is_whole(client):
    """Its end comes in time, so nothing has to be thrown away."""
    message = client.chat.completions.parse(**fields(messages=FRUITS, response_format=Fruits, max_tokens=30)).choices[0].message
    assert isinstance(message.parsed, Fruits)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.parse(**fields(messages=FRUITS, response_format=Fruits, max_tokens=2))
    assert caught.value.param == "max_tokens"


def test_a_strict_schema_that_cannot_be_enforced_is_refused(client):
    tool = openai.pydantic_function_tool(GetWeather)
    tool["function"]["parameters"]["properties"]["location"] = {"type": "string", "pattern": r"(.)\1"}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**fields(messages=WEATHER, tools=[tool]))
    assert caught.value.param.startswith("tools[0].function.parameters") and "pattern" in caught.value.message
