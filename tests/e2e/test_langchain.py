"""LangChain with langchain-openai against the service: models with tools, structured answers, agents, embeddings."""
import os

import pytest

os.environ["LANGSMITH_TRACING"] = "false"

import langchain.agents
import pydantic
import tiktoken
from langchain.agents.middleware import wrap_model_call
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_classic.agents import AgentExecutor, create_react_agent, create_tool_calling_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

AGENT, EMBEDDER = "qwen2.5-coder-0.5b", "all-minilm-l6-v2"


@pytest.fixture(scope="module")
def url(serve, model_file):
    """Exact activations: a model this small is often undecided between two answers, and rounding then chooses another one on every
    processor."""
    with serve({name: model_file(name) for name in (AGENT, EMBEDDER)}, "--activations", "f32") as service:
        yield service.url + "/v1"


@pytest.fixture
def model(url):
    return ChatOpenAI(base_url=url, api_key="none", model=AGENT, temperature=0, max_tokens=200, timeout=300, max_retries=0)


@pytest.fixture
def calls():
    """What the tool was called with."""
    return []


@pytest.fixture
def weather(calls):
    @tool
    def get_weather(city: str) -> str:
        """Get the current weather of a city."""
        assert isinstance(city, str)
        calls.append(city)
        return f"In {city} it is raining at 17 degrees."
    return get_weather


class Person(pydantic.BaseModel):
    """A person"""
    name: str
    age: int = pydantic.Field(ge=0, le=130)


def test_bind_tools(model, weather):
    answer = model.bind_tools([weather]).invoke("What is the weather in Paris?")
    (call,) = answer.tool_calls
    assert call["name"] == "get_weather" and call["args"] == {"city": "Paris"} and call["id"].startswith("call_")
    assert not answer.invalid_tool_calls and answer.response_metadata["finish_reason"] == "tool_calls" and answer.usage_metadata["output_tokens"] > 0


@pytest.mark.parametrize("choice", ["any", "get_weather", True])
def test_bind_tools_with_a_choice(model, weather, choice):
    answer = model.bind_tools([weather], tool_choice=choice, strict=True).invoke("Hello")
    assert [call["name"] for call in answer.tool_calls] == ["get_weather"] and set(answer.tool_calls[0]["args"]) == {"city"}


def test_stream_of_call_chunks(model, weather):
    whole, chunks = None, []
    for piece in model.bind_tools([weather]).stream("What is the weather in Paris?"):
        whole = piece if whole is None else whole + piece
        chunks += piece.tool_call_chunks
    assert [chunk["name"] for chunk in chunks if chunk["name"]] == ["get_weather"] and {chunk["index"] for chunk in chunks} == {0}
    assert sum(bool(chunk["args"]) for chunk in chunks) > 1, "the arguments come in pieces"
    assert whole.tool_calls[0]["args"] == {"city": "Paris"} and not whole.content


def test_result_goes_back(model, weather):
    question = HumanMessage("What is the weather in Paris?")
    call = AIMessage("", tool_calls=[{"name": "get_weather", "args": {"city": "Paris"}, "id": "call_1"}])
    answer = model.bind_tools([weather], tool_choice="none").invoke([question, call, ToolMessage("It is raining at 17 degrees.", tool_call_id="call_1")])
    assert "17" in answer.content and not answer.tool_calls


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_with_structured_output(model, method):
    question = "Anna is 31 years old. Answer as JSON with the keys name and age."
    answer = model.with_structured_output(Person, method=method).invoke(question)
    assert answer == Person(name="Anna", age=31)


def test_structured_output_streamed_and_raw(model):
    pieces = list(model.with_structured_output(Person.model_json_schema() | {"title": "person"}, method="json_schema").stream("Anna is 31 years old."))
    assert pieces[-1] == {"name": "Anna", "age": 31}
    raw = model.with_structured_output(Person, include_raw=True).invoke("Anna is 31 years old.")
    assert raw["parsed"] == Person(name="Anna", age=31) and raw["parsing_error"] is None


def test_create_agent(model, weather, calls):
    agent = langchain.agents.create_agent(model, [weather])
    messages = agent.invoke({"messages": [HumanMessage("What is the weather in Paris?")]}, {"recursion_limit": 8})["messages"]
    assert calls == ["Paris"]
    assert [type(message).__name__ for message in messages] == ["HumanMessage", "AIMessage", "ToolMessage", "AIMessage"]
    assert "17" in messages[-1].content


def test_create_agent_streams_its_steps(model, weather, calls):
    agent = langchain.agents.create_agent(model, [weather], system_prompt="You are a helpful assistant.")
    steps = list(agent.stream({"messages": [HumanMessage("What is the weather in Paris?")]}, {"recursion_limit": 8}, stream_mode="messages"))
    text = "".join(message.content for message, where in steps if where["langgraph_node"] == "model")
    assert calls == ["Paris"] and "17" in text


class Report(pydantic.BaseModel):
    """The weather"""
    city: str
    degrees: int


def test_create_agent_whose_answer_is_a_call(model, weather, calls):
    agent = langchain.agents.create_agent(model, [weather], response_format=ToolStrategy(Report))
    result = agent.invoke({"messages": [HumanMessage("What is the weather in Paris?")]}, {"recursion_limit": 12})
    assert calls and set(calls) == {"Paris"}
    assert result["structured_response"] == Report(city="Paris", degrees=17)


# With a format for the answer, a model of this size calls the tool again as long as it may.
@wrap_model_call
def tools_until_a_result(request, handler):
    done = any(isinstance(message, ToolMessage) for message in request.messages)
    return handler(request.override(tools=[]) if done else request)


def test_create_agent_whose_answer_has_a_format(model, weather, calls):
    """Tools and response_format in one request: a call first, the answer in its format then."""
    agent = langchain.agents.create_agent(model, [weather], middleware=[tools_until_a_result], response_format=ProviderStrategy(Report))
    result = agent.invoke({"messages": [HumanMessage("What is the weather in Paris?")]}, {"recursion_limit": 12})
    assert calls and set(calls) == {"Paris"}
    assert result["structured_response"] == Report(city="Paris", degrees=17)


def test_classic_tool_calling_agent(model, weather, calls):
    prompt = ChatPromptTemplate.from_messages([("system", "You are a helpful assistant."), ("human", "{input}"), ("placeholder", "{agent_scratchpad}")])
    executor = AgentExecutor(agent=create_tool_calling_agent(model, [weather], prompt), tools=[weather], max_iterations=4, return_intermediate_steps=True)
    result = executor.invoke({"input": "What is the weather in Paris?"})
    assert calls == ["Paris"] and "17" in result["output"]
    ((action, observation),) = result["intermediate_steps"]
    assert action.tool == "get_weather" and action.tool_input == {"city": "Paris"} and "17" in observation


REACT = """Answer the following questions as best you can. You have access to the following tools:

{tools}

Use the following format:

Question: the input question you must answer
Thought: you should always think about what to do
Action: the action to take, should be one of [{tool_names}]
Action Input: the input to the action
Observation: the result of the action
... (this Thought/Action/Action Input/Observation can repeat N times)
Thought: I now know the final answer
Final Answer: the final answer to the original input question

Begin!

Question: {input}
Thought:{agent_scratchpad}"""


def test_classic_react_agent(model, weather, calls):
    """The text form: it lives on `stop`, which ends the step before the model writes an observation itself."""
    agent = create_react_agent(model, [weather], PromptTemplate.from_template(REACT))
    executor = AgentExecutor(agent=agent, tools=[weather], max_iterations=6, handle_parsing_errors=True, return_intermediate_steps=True)
    result = executor.invoke({"input": "What is the weather in Paris?"})
    assert calls and "Paris" in calls[0]
    assert any("17" in observation for _, observation in result["intermediate_steps"])
    assert "17" in result["output"]


def test_completions(url):
    """The model without a chat's form."""
    llm = OpenAI(base_url=url, api_key="none", model=AGENT, temperature=0, max_tokens=8, timeout=300, max_retries=0)
    text = llm.invoke("def add(a, b):\n    return")
    assert "a + b" in text and "".join(llm.stream("def add(a, b):\n    return")) == text


def test_embeddings(url):
    plain = OpenAIEmbeddings(base_url=url, api_key="none", model=EMBEDDER, check_embedding_ctx_length=False, timeout=300, max_retries=0)
    cat, kitten, car = plain.embed_documents(["a cat", "a kitten", "a lorry"])
    assert len(cat) == 384
    near = lambda a, b: sum(x * y for x, y in zip(a, b))
    assert near(cat, kitten) > near(cat, car)
    assert near(plain.embed_query("a cat"), cat) > 0.999


def test_embeddings_of_token_ids(url, monkeypatch):
    """By default the client sends token ids of OpenAI's vocabulary, which it cuts at the model's context. They are taken as ids of our
    model's vocabulary: here both vocabularies have the same 256 tokens."""
    bytes_only = tiktoken.Encoding("bytes", pat_str=r"[\s\S]", mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={})
    monkeypatch.setattr(tiktoken, "encoding_for_model", lambda name: bytes_only)
    ids = OpenAIEmbeddings(base_url=url, api_key="none", model=EMBEDDER, timeout=300, max_retries=0)
    assert ids.check_embedding_ctx_length
    plain = OpenAIEmbeddings(base_url=url, api_key="none", model=EMBEDDER, check_embedding_ctx_length=False, timeout=300, max_retries=0)
    (vector,) = ids.embed_documents(["cat"])
    expected = plain.client.create(model=EMBEDDER, input=[list(b"cat")]).data[0].embedding
    assert vector == pytest.approx(expected, abs=1e-6)
