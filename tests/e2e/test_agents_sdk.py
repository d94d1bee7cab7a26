"""The OpenAI Agents SDK against the service, over chat completions."""
import asyncio
import typing

import agents
import openai
import pydantic
import pytest

AGENT = "qwen2.5-coder-0.5b"
QUESTION = "What is the weather in Paris?"


@pytest.fixture(scope="module")
def url(serve, model_file):
    with serve({AGENT: model_file(AGENT)}) as service:
        yield service.url + "/v1"


@pytest.fixture
def calls():
    return []


@pytest.fixture
def make_agent(url, calls):
    agents.set_tracing_disabled(True)

    # With a format for the answer, a model of this size calls the tool again as long as it may.
    @agents.function_tool(is_enabled=lambda context, agent: agent.output_type is None or not calls)
    def get_weather(city: str, unit: typing.Literal["celsius", "fahrenheit"]) -> str:
        """Get the current weather of a city.

        Args:
            city: The city.
            unit: The unit of the temperature.
        """
        calls.append((city, unit))
        return f"In {city} it is raining at 17 degrees {unit}."

    def make(**fields):
        client = openai.AsyncOpenAI(base_url=url, api_key="none", timeout=300, max_retries=0)
        model = agents.OpenAIChatCompletionsModel(model=AGENT, openai_client=client)
        settings = fields.pop("model_settings", agents.ModelSettings(temperature=0, max_tokens=200))
        return agents.Agent(**{"name": "Assistant", "instructions": "You are a helpful assistant.", "model": model, "model_settings": settings, "tools": [get_weather]} | fields)

    return make


def kinds(result):
    return [item.type for item in result.new_items]


def test_run_sync(make_agent, calls):
    result = agents.Runner.run_sync(make_agent(), QUESTION, max_turns=4)
    ((city, unit),) = calls
    assert city == "Paris" and unit in ("celsius", "fahrenheit")
    assert kinds(result) == ["tool_call_item", "tool_call_output_item", "message_output_item"]
    assert "17" in result.final_output and result.context_wrapper.usage.requests == 2 and result.context_wrapper.usage.output_tokens > 0


def test_run_streamed(make_agent, calls):
    async def main():
        agent = make_agent()
        result = agents.Runner.run_streamed(agent, QUESTION, max_turns=4)
        text, arguments, names = "", "", []
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                text += event.data.delta
            elif event.type == "raw_response_event" and event.data.type == "response.function_call_arguments.delta":
                arguments += event.data.delta
            elif event.type == "run_item_stream_event":
                names.append(event.name)
        await agent.model._client.close()
        return result, text, arguments, names
    result, text, arguments, names = asyncio.run(main())
    assert len(calls) == 1 and calls[0][0] == "Paris" and "Paris" in arguments
    assert names == ["tool_called", "tool_output", "message_output_created"]
    assert text == result.final_output and "17" in text


def test_tool_choice(make_agent, calls):
    settings = agents.ModelSettings(temperature=0, max_tokens=200, tool_choice="required", parallel_tool_calls=False)
    result = agents.Runner.run_sync(make_agent(model_settings=settings, tool_use_behavior="stop_on_first_tool"), "Hello", max_turns=2)
    assert len(calls) == 1 and result.final_output.startswith(f"In {calls[0][0]} it is raining")


class Person(pydantic.BaseModel):
    name: str
    age: int


class Report(pydantic.BaseModel):
    city: str
    degrees: int


def test_output_type_beside_tools(make_agent, calls):
    """Tools and response_format in one request: a call first, the answer in its format then."""
    result = agents.Runner.run_sync(make_agent(output_type=Report), QUESTION, max_turns=4)
    assert calls and {city for city, _ in calls} == {"Paris"}
    assert result.final_output == Report(city="Paris", degrees=17)


def test_output_type(make_agent):
    result = agents.Runner.run_sync(make_agent(output_type=Person, tools=[]), "Anna is 31 years old.", max_turns=1)
    assert result.final_output == Person(name="Anna", age=31)


def test_handoff(make_agent, calls):
    """A handoff is a tool without parameters; the second agent sees the conversation with that call."""
    expert = make_agent(name="Weather expert", handoff_description="Answers questions about the weather")
    settings = agents.ModelSettings(temperature=0, max_tokens=200, tool_choice="required")
    first = make_agent(name="Desk", tools=[], handoffs=[expert], model_settings=settings)
    result = agents.Runner.run_sync(first, QUESTION, max_turns=6)
    assert result.last_agent.name == "Weather expert" and "handoff_output_item" in kinds(result) and result.final_output
