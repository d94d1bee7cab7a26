"""The service as its users meet it: the real openai client, raw HTTP, many clients at once, clients that misbehave."""
import http.client
import json
import math
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openai
import pytest

from conftest import CHAT, EMBEDDER

HELLO = [{"role": "user", "content": "Say hello to the world."}]


@pytest.fixture(scope="module")
def client(service):
    with openai.OpenAI(base_url=service.url + "/v1", api_key="none", timeout=120, max_retries=0) as one:
        yield one


def chat(client, **fields):
    return client.chat.completions.create(**({"model": CHAT, "messages": HELLO, "max_tokens": 16} | fields))


def text_of(answer):
    return answer.choices[0].message.content


def complete(client, prompt, **fields):
    return client.completions.create(**({"model": CHAT, "prompt": prompt, "max_tokens": 8, "temperature": 0} | fields))


def open_stream(service, max_tokens, **fields):
    """A raw socket on which a stream of exactly max_tokens tokens was asked for."""
    body = json.dumps({"model": CHAT, "messages": HELLO, "stream": True, "max_tokens": max_tokens, "ignore_eos": True} | fields).encode()
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=120)
    connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return connection


def read_all(connection):
    data = b""
    while piece := connection.recv(65536):
        data += piece
    connection.close()
    return data


# --- Chat -------------------------------------------------------------------------------------------------------------

def test_chat(client):
    answer = chat(client, temperature=0)
    assert answer.object == "chat.completion" and answer.model == CHAT and answer.id.startswith("chatcmpl-")
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content.strip()
    assert choice.finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens > 10 and 1 <= usage.completion_tokens <= 16


def test_greedy_text_is_the_references(client, shared):
    """As far as the reference is sure: the fast path's rounding may turn a choice that was close. (test_quality.py has the exact path.)"""
    prompts = json.loads(shared("oracles/real/smollm2-135m-instruct.json").read_text())["prompts"]
    sure = [prompt for prompt in prompts if "messages" in prompt and min(prompt["greedy_margin"]) >= 0.8]
    assert sure
    for prompt in sure:
        answer = chat(client, messages=prompt["messages"], temperature=0, max_tokens=len(prompt["greedy_ids"]))
        assert text_of(answer) == prompt["greedy_text"].removesuffix("<|im_end|>")
        assert answer.usage.prompt_tokens == len(prompt["ids"])


def test_streamed_chat(client):
    whole = chat(client, temperature=0)
    chunks = list(chat(client, temperature=0, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert all(chunk.choices[0].delta.role is None for chunk in chunks[1:-1])
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == text_of(whole)
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1] if chunk.choices[0].finish_reason] == [whole.choices[0].finish_reason]
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({chunk.id for chunk in chunks}) == 1


def test_stream_frames_raw(service):
    body = {"model": CHAT, "messages": HELLO, "max_tokens": 4, "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}
    status, headers, data = service.request("POST", "/v1/chat/completions", body)
    assert status == 200 and headers["Content-Type"].startswith("text/event-stream")
    frames = data.decode().split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2] if not frame.startswith(":")]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 4


def test_chat_logprobs(client):
    tokens = chat(client, temperature=0, logprobs=True, top_logprobs=3, max_tokens=5).choices[0].logprobs.content
    for token in tokens:
        assert len(token.top_logprobs) == 3 and token.logprob <= 0
        assert token.top_logprobs[0].token == token.token and token.top_logprobs[0].logprob == pytest.approx(token.logprob)
        assert bytes(token.bytes).decode() == token.token


def test_several_choices_and_their_seed(client):
    first, second = (chat(client, n=2, seed=11, temperature=1.2) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in second.choices]
    assert texts[0] != texts[1] and [choice.index for choice in first.choices] == [0, 1]


def test_seed_gives_the_same_text_alone_and_in_a_crowd(client):
    def one(seed):
        return text_of(chat(client, seed=seed, temperature=1, max_tokens=24))

    alone = one(5)
    with ThreadPoolExecutor(8) as pool:
        crowd = list(pool.map(one, [1, 2, 5, 3, 4, 5, 6, 7]))
    assert [crowd[2], crowd[5]] == [alone, alone]
    assert len(set(crowd)) > 3


def test_stop_strings(client):
    whole = complete(client, "One, two, three, four,", max_tokens=24).choices[0].text
    # Borders of the stop text lie inside tokens.
    stop = whole[len(whole) // 2:][:5]
    answer = complete(client, "One, two, three, four,", max_tokens=24, stop=[stop, "never to be seen"]).choices[0]
    assert answer.text == whole[:whole.index(stop)] and answer.finish_reason == "stop"
    streamed = complete(client, "One, two, three, four,", max_tokens=24, stop=stop, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == answer.text


def test_logit_bias(client, service):
    [forced] = service.post("/tokenize", {"model": CHAT, "prompt": " hello"})["tokens"]
    assert complete(client, "I say", max_tokens=3, logit_bias={str(forced): 100}).choices[0].text == " hello" * 3
    likeliest = complete(client, "The capital of France is", max_tokens=1)
    [banned] = service.post("/tokenize", {"model": CHAT, "prompt": likeliest.choices[0].text})["tokens"]
    assert complete(client, "The capital of France is", max_tokens=1, logit_bias={str(banned): -100}).choices[0].text != likeliest.choices[0].text


# --- Completions ------------------------------------------------------------------------------------------------------

def test_completion_prompts_as_text_texts_and_ids(client, service):
    prompts = ["The capital of France is", "Water is made of"]
    ids = [service.post("/tokenize", {"model": CHAT, "prompt": prompt})["tokens"] for prompt in prompts]
    alone = [complete(client, prompt).choices[0].text for prompt in prompts]
    assert "Paris" in alone[0]
    assert [choice.text for choice in complete(client, prompts).choices] == alone
    assert complete(client, ids[0]).choices[0].text == alone[0]
    both = complete(client, ids)
    assert [choice.text for choice in both.choices] == alone and [choice.index for choice in both.choices] == [0, 1]
    assert both.usage.prompt_tokens == sum(map(len, ids))


def test_completion_scores_a_prompt(client):
    text = "The capital of France is Paris. 巴黎"
    choice = complete(client, text, echo=True, logprobs=2, max_tokens=0).choices[0]
    logprobs = choice.logprobs
    names = "".join(name for name in logprobs.tokens if not name.startswith("bytes:"))  # parts of a character have no text
    assert choice.text == text and names.startswith("The capital of France is Paris.")
    assert logprobs.token_logprobs[0] is None and all(value < 0 for value in logprobs.token_logprobs[1:])
    assert logprobs.text_offset[0] == 0 and logprobs.text_offset == sorted(logprobs.text_offset)
    paris = logprobs.tokens.index(" Paris")
    assert logprobs.token_logprobs[paris] > math.log(0.05)
    assert max(logprobs.top_logprobs[paris].values()) >= logprobs.token_logprobs[paris]
    # Echo and generation together: what was scored stays, what is new follows.
    more = complete(client, text, echo=True, logprobs=0, max_tokens=2).choices[0]
    assert more.text.startswith(text) and len(more.logprobs.tokens) == len(logprobs.tokens) + 2
    assert more.logprobs.token_logprobs[1:len(logprobs.tokens)] == pytest.approx(logprobs.token_logprobs[1:], abs=0.05)


# --- Embeddings, reranking, models ------------------------------------------------------------------------------------

def test_embeddings(client):
    texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "Stock prices fell sharply."]
    data = client.embeddings.create(model=EMBEDDER, input=texts).data  # base64 on the wire
    vectors = np.array([item.embedding for item in data])
    assert vectors.shape == (3, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    plain = client.embeddings.create(model=EMBEDDER, input=texts[0], encoding_format="float").data[0].embedding
    assert plain == pytest.approx(vectors[0].tolist(), abs=1e-5)
    short = np.array(client.embeddings.create(model=EMBEDDER, input=texts[0], dimensions=64).data[0].embedding)
    assert short.shape == (64,) and short == pytest.approx(vectors[0][:64] / np.linalg.norm(vectors[0][:64]), abs=1e-5)


def test_rerank(service):
    documents = ["Berlin has many lakes.", "Paris is the capital of France.", "Bread is baked."]
    answer = service.post("/v1/rerank", {"model": EMBEDDER, "query": "What is the capital of France?", "documents": documents,
                                         "top_n": 2, "return_documents": True})
    results = answer["results"]
    assert len(results) == 2 and results[0]["index"] == 1 and results[0]["document"]["text"] == documents[1]
    assert results[0]["relevance_score"] > results[1]["relevance_score"]


def test_models(client):
    assert {model.id for model in client.models.list()} == {CHAT, EMBEDDER}
    assert client.models.retrieve(CHAT).id == CHAT
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("absent")


# --- The service's own endpoints --------------------------------------------------------------------------------------

def test_tokenize_round_trip(service):
    for text in ["Hello, world", "naïve 你好 🙂\n\ttabs", "<|im_start|>user"]:
        tokens = service.post("/tokenize", {"model": CHAT, "prompt": text})["tokens"]
        assert service.post("/detokenize", {"model": CHAT, "tokens": tokens})["prompt"] == text
    as_text = service.post("/tokenize", {"model": CHAT, "prompt": "<|im_start|>", "parse_special": False})
    assert service.post("/tokenize", {"model": CHAT, "prompt": "<|im_start|>"})["count"] == 1 < as_text["count"]


def test_service_api(service):
    answer = service.post("/api/v1/chat", {"message": "Say hello.", "max_tokens": 8})
    assert answer["response"] and answer["tokens_used"] > 8
    assert service.post("/api/v1/generation", {"prompt": "The capital of France is", "max_tokens": 4, "temperature": 0})["response"].startswith(" Paris")
    assert len(service.post("/api/v1/embedding", {"text": "hello"})["embedding"]) == 384


def test_health_documents_and_metrics(service):
    assert json.loads(service.get("/health")) == {"status": "healthy", "models_loaded": True}
    assert service.get("/health/live") and service.get("/health/ready")
    paths = json.loads(service.get("/openapi.json"))["paths"]
    assert {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/api/v1/chat", "/tokenize"} <= set(paths)
    assert "<html" in service.get("/docs") and "<html" in service.get("/")
    before = service.metric("hanlin_generated_tokens_total")
    service.post("/v1/completions", {"model": CHAT, "prompt": "a", "max_tokens": 5, "ignore_eos": True})
    assert service.metric("hanlin_generated_tokens_total") == before + 5
    text = service.get("/metrics")
    assert 'nlp_requests_total{endpoint="/v1/completions",status="200"}' in text
    for name in ("nlp_request_duration_seconds_count", "nlp_request_duration_seconds_bucket", "nlp_model_memory_bytes", "hanlin_queue_waiting",
                 "hanlin_requests_running", "hanlin_time_to_first_token_seconds_count", "hanlin_time_per_output_token_seconds_count",
                 "hanlin_prompt_tokens_total", "hanlin_kv_blocks_used", "hanlin_kv_blocks_total"):
        service.metric(name)
    assert service.metric("nlp_model_memory_bytes") > 100e6


# --- Wrong requests ---------------------------------------------------------------------------------------------------

def test_client_sees_errors_as_its_own_exceptions(client):
    with pytest.raises(openai.NotFoundError) as unknown:
        chat(client, model="absent")
    assert unknown.value.code == "model_not_found" and unknown.value.param == "model" and "absent" in unknown.value.message
    with pytest.raises(openai.BadRequestError) as wrong:
        chat(client, temperature=-1)
    assert wrong.value.param == "temperature"


def test_client_retries_when_the_service_is_full(serve, model_file):
    with serve({CHAT: model_file(CHAT)}, "--max-running", "1", "--max-queue", "1") as full:
        # More than two requests can neither run nor wait; the client comes again by itself.
        with openai.OpenAI(base_url=full.url + "/v1", api_key="none", timeout=120, max_retries=20) as patient, ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: chat(patient, max_tokens=24, extra_body={"ignore_eos": True}), range(6)))
        assert [answer.usage.completion_tokens for answer in answers] == [24] * 6
        assert full.metric("hanlin_generation_rejected_total") > 0
        text = full.get("/metrics")
        assert 'status="429"' in text or 'status="503"' in text


@pytest.mark.parametrize("fields, param", [
    ({"temperature": 2.5}, "temperature"),
    ({"temperature": "warm"}, "temperature"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"top_p": 0}, "top_p"),
    ({"n": 0}, "n"),
    ({"n": 1000000}, "n"),
    ({"stop": ["x"] * 1000}, "stop"),
    ({"stop": 7}, "stop"),
    ({"logit_bias": {"one": 1}}, "logit_bias"),
    ({"logit_bias": {"99999999": 1}}, "logit_bias"),
    ({"logit_bias": {"1": 1e9}}, "logit_bias"),
    ({"seed": "x"}, "seed"),
    ({"stream": "yes"}, "stream"),
    ({"messages": []}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
    ({"model": 5}, "model"),
    ({"response_format": {"type": "unknown"}}, "response_format"),
    ({"top_logprobs": 5}, "top_logprobs"),
])
def test_wrong_field(service, fields, param):
    status, error = service.error("/v1/chat/completions", {"model": CHAT, "messages": HELLO} | fields)
    assert (status, error["param"], error["type"]) == (400, param, "invalid_request_error"), error


def test_prompt_that_is_too_long_says_by_how_much(service):
    n_tokens = service.post("/tokenize", {"model": CHAT, "prompt": "hello " * 9000})["count"]
    status, error = service.error("/v1/completions", {"model": CHAT, "prompt": "hello " * 9000})
    assert status == 400 and error["param"] == "prompt"
    assert str(n_tokens) in error["message"] and str(n_tokens - 8191) in error["message"]
    status, error = service.error("/v1/embeddings", {"model": EMBEDDER, "input": "hello " * 300})
    assert status == 400 and error["param"] == "input" and "302" in error["message"] and "256" in error["message"]


@pytest.mark.parametrize("body, expected", [
    (b"", "JSON"),
    (b"{", "JSON"),
    (b'{"model": NaN}', "JSON"),
    (b"[1]", "object"),
    (b"[" * 100_000, "JSON"),
    (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "JSON"),
    (b'{"messages":[{"role":"user","content":"\xff\xfe"}]}', "UTF-8"),
])
def test_body_that_is_no_right_json(service, body, expected):
    status, error = service.error("/v1/chat/completions", body)
    assert status == 400 and expected.lower() in error["message"].lower(), error


def test_routes_and_methods(service):
    assert service.error("/v1/absent", {})[0] == 404
    assert service.error("/v1/chat/completions", None, method="GET")[0] == 405
    status, error = service.error("/v1/embeddings", {"model": CHAT, "input": "x"})
    assert (status, error["param"]) == (400, "model")
    assert service.error("/v1/completions", {"model": EMBEDDER, "prompt": "x"})[0] == 400


@pytest.mark.parametrize("request_bytes", [
    b"nonsense\r\n\r\n",
    b"\x00\x01\x02\x03\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: minus one\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
])
def test_malformed_http(service, request_bytes):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = read_all(connection)
        except ConnectionResetError:
            answer = b""  # closed while our bytes were still on their way
    assert answer == b"" or answer.split(b" ")[1][:1] == b"4", answer[:200]
    assert service.get("/health")


def test_body_that_is_too_large(service):
    def post(header):
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\n" + header + b"\r\n\r\n")
            return connection.recv(65536)

    assert post(b"Content-Length: 104857600").split(b" ")[1] == b"413"
    before = service.resident_bytes()
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    try:
        connection.request("POST", "/v1/completions", json.dumps({"prompt": "x" * (20 << 20)}), {"Content-Type": "application/json"})
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # it stopped reading
    finally:
        connection.close()
    assert service.resident_bytes() < before + (64 << 20)
    assert service.get("/health")


# --- Many clients -----------------------------------------------------------------------------------------------------

def test_64_streams_at_once(service):
    def one(i):
        with open_stream(service, 24, seed=i) as connection:
            data = read_all(connection)
        assert data.startswith(b"HTTP/1.1 200") and b"data: [DONE]" in data, data[-300:]
        return data.count(b'"delta":{"content":')

    before = service.metric("hanlin_generated_tokens_total")
    with ThreadPoolExecutor(64) as pool:
        pieces = list(pool.map(one, range(64)))
    assert min(pieces) > 0
    assert service.metric("hanlin_generated_tokens_total") == before + 64 * 24
    service.wait_for_metric("hanlin_requests_running", 0)


def test_slow_reader_blocks_nobody(service):
    slow = open_stream(service, 150)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    assert slow.recv(100).startswith(b"HTTP/1.1 200")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: service.post("/v1/completions", {"model": CHAT, "prompt": "a", "max_tokens": 8, "ignore_eos": True}), range(8)))
    assert all(answer["usage"]["completion_tokens"] == 8 for answer in answers)
    assert b"data: [DONE]" in read_all(slow)


def test_vanished_clients_free_their_places(service):
    before = service.metric("hanlin_generated_tokens_total")
    connections = [open_stream(service, 4000) for _ in range(8)]
    for connection in connections:
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    service.wait_for_metric("hanlin_requests_running", 8)  # a head may also come with a keep-alive, before its request runs
    for connection in connections:
        connection.close()
    service.wait_for_metric("hanlin_requests_running", 0)
    service.wait_for_metric("hanlin_kv_blocks_used", 0)
    assert service.metric("hanlin_generated_tokens_total") < before + 8 * 4000


def test_memory_returns_to_its_level(service):
    def load(n_bodies):
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda i: service.post("/v1/completions", {"model": CHAT, "prompt": f"{i} " * 30, "max_tokens": 4}), range(16)))
        for _ in range(n_bodies):
            assert service.request("POST", "/v1/completions", b'{"prompt":"' + b"x" * (8 << 20))[0] == 400

    for _ in range(20):  # until buffers, threads' stacks and cache pages are there: an idle engine makes pages ready by itself, in its own time
        before = service.resident_bytes()
        load(1)
        if service.resident_bytes() < before + (1 << 20):
            break
    before = service.resident_bytes()
    load(20)
    assert service.resident_bytes() < before + (24 << 20)


def test_log_settings_hold(serve, model_file):
    models = {EMBEDDER: model_file(EMBEDDER)}
    with serve(models, "--log-format", "json") as talking:
        talking.get("/v1/models")
    lines = [json.loads(line) for line in talking.log().splitlines()]
    assert [line["route"] for line in lines if line["message"] == "request" and line["route"] == "/v1/models"]
    with serve(models, "--log-level", "error") as silent:
        silent.get("/v1/models")
    assert silent.log() == ""


def test_sigterm_lets_a_stream_finish(serve, model_file):
    with serve({CHAT: model_file(CHAT)}) as ending:
        stream = open_stream(ending, 60)
        data = stream.recv(100)
        ending.process.send_signal(signal.SIGTERM)
        data += read_all(stream)
        assert b"data: [DONE]" in data and b'"finish_reason":"length"' in data
        assert ending.process.wait(30) == 0


def test_second_signal_ends_at_once(serve, model_file):
    ending = serve({CHAT: model_file(CHAT)})
    with pytest.raises(AssertionError, match="ended with"), ending:
        with open_stream(ending, 8000) as stream:
            stream.recv(100)
            ending.process.send_signal(signal.SIGTERM)
            while True:  # not ready any more: the first signal has arrived
                try:
                    if ending.request("GET", "/health/ready")[0] == 503:
                        break
                except OSError:
                    break
            ending.process.send_signal(signal.SIGTERM)
            assert ending.process.wait(10) != 0
