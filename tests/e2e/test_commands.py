"""The commands that compute, on the small real models: what they print for people and for programs."""
import json
import subprocess

import numpy as np
import pytest
from safetensors.numpy import load_file

from conftest import CHAT, EMBEDDER, clean_environment

QUESTION = "What is the capital of France? Answer in one sentence."


@pytest.fixture(scope="module")
def hanlin(hanlin_bin, tmp_path_factory):
    """hanlin(*arguments, input=…) → what it printed; it must succeed unless another status is expected."""
    home = tmp_path_factory.mktemp("commands")

    def call(*arguments, input="", status=0):
        result = subprocess.run([hanlin_bin, *map(str, arguments)], env=clean_environment(home), cwd=home, input=input.encode(),
                                capture_output=True, timeout=300)
        assert result.returncode == status, result.stderr.decode()
        return result.stdout.decode() if status == 0 else result.stderr.decode()

    return call


@pytest.fixture(scope="module")
def chat_model(model_file):
    return model_file(CHAT)


@pytest.fixture(scope="module")
def embedder(model_file):
    return model_file(EMBEDDER)


def compute_logits(hanlin, tmp_path, model, ids, *flags):
    (tmp_path / "ids.json").write_text(json.dumps(ids))
    hanlin("logits", model, "--ids", tmp_path / "ids.json", "--out", tmp_path / "out.safetensors", *flags)
    return load_file(tmp_path / "out.safetensors")


def test_inspect(hanlin, chat_model, embedder):
    facts = json.loads(hanlin("inspect", "--json", chat_model))
    assert facts["architecture"] == "llama" and facts["parameters"] == 134515008 and facts["context_length"] == 8192
    assert facts["kv_bytes_per_token"] == 30 * 2 * 3 * 64 * 2  # layers, keys and values, heads, head size, bytes
    assert "llama" in hanlin("inspect", chat_model)
    assert "token_embd.weight" in hanlin("inspect", chat_model, "--tensors")
    assert json.loads(hanlin("inspect", "--json", embedder))["architecture"] == "bert"


def test_tokenize(hanlin, chat_model, embedder, shared):
    prompt = json.loads(shared("oracles/real/smollm2-135m-instruct.json").read_text())["prompts"][0]
    assert json.loads(hanlin("tokenize", chat_model, "--ids", input=prompt["text"])) == prompt["ids"]
    plain = json.loads(hanlin("tokenize", chat_model, "--ids", "--no-special", input="<|im_start|>"))
    assert len(plain) > 1
    assert '" world"' in hanlin("tokenize", chat_model, input="Hello, world")
    for item in json.loads(shared("oracles/embeddings/all-minilm-l6-v2.json").read_text())["items"]:
        if len(item["ids"]) < 256:
            assert json.loads(hanlin("tokenize", embedder, "--ids", input=item["text"])) == item["ids"]


def test_logits_are_the_references(hanlin, chat_model, shared, tmp_path):
    prompt = json.loads(shared("oracles/real/smollm2-135m-instruct.json").read_text())["prompts"][0]
    ids = prompt["ids"]
    whole = compute_logits(hanlin, tmp_path, chat_model, ids, "--activations", "f32", "--kv-type", "f32")
    assert whole["logits"].shape == (1, len(ids), 49152) and whole["hidden"].shape == (1, len(ids), 576)
    logits = whole["logits"][0].astype(np.float64)
    logprobs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    next_logprobs = logprobs[np.arange(len(ids) - 1), ids[1:]]
    assert np.mean(np.abs(next_logprobs - prompt["next_logprob"])) <= 1e-4
    chunked = compute_logits(hanlin, tmp_path, chat_model, ids, "--activations", "f32", "--kv-type", "f32", "--chunk", "7")
    assert np.abs(chunked["logits"] - whole["logits"]).max() <= 1e-4 * np.abs(whole["logits"]).max()


def test_generate(hanlin, chat_model):
    flags = ["generate", "--model", chat_model, "--temperature", "0"]
    assert hanlin(*flags, QUESTION) == "The capital of France is Paris.\n"
    answer = json.loads(hanlin(*flags, "--json", input=QUESTION))
    assert answer["text"] == "The capital of France is Paris." and answer["finish_reason"] == "stop" and answer["completion_tokens"] == 8
    cut = json.loads(hanlin(*flags, "--json", "--max-tokens", "3", QUESTION))
    assert cut["finish_reason"] == "length" and answer["text"].startswith(cut["text"]) and cut["completion_tokens"] == 3
    assert "Paris" in hanlin(*flags, "--raw", "--max-tokens", "4", "The capital of France is")
    seeded = ["generate", "--model", chat_model, "--temperature", "1", "--seed", "3", "--max-tokens", "12", "Tell me a story."]
    assert hanlin(*seeded) == hanlin(*seeded)


def test_chat_through_a_pipe(hanlin, chat_model, tmp_path):
    saved = tmp_path / "chat.json"
    text = hanlin("chat", "--model", chat_model, "--temperature", "0", "--max-tokens", "40",
                  input=f"{QUESTION}\nAnd of Italy?\n/undo\n/save {saved}\n/nonsense\n/exit\nnot read any more\n")
    assert "The capital of France is Paris." in text and "no command" in text
    messages = json.loads(saved.read_text())
    assert [message["role"] for message in messages][-2:] == ["user", "assistant"]
    assert messages[-2]["content"] == QUESTION and messages[-1]["content"] == "The capital of France is Paris."


def test_embed(hanlin, embedder, shared):
    items = json.loads(shared("oracles/embeddings/all-minilm-l6-v2.json").read_text())["items"]
    items = [item for item in items if item["text"].strip() and "\n" not in item["text"] and len(item["ids"]) < 256]
    printed = hanlin("embed", "--model", embedder, "--json", input="".join(item["text"] + "\n" for item in items))
    found = [json.loads(line) for line in printed.splitlines()]
    assert [one["text"] for one in found] == [item["text"] for item in items]
    for one, item in zip(found, items):
        a, b = np.array(one["embedding"]), np.array(item["vector"])
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.99999


def test_rerank(hanlin, embedder):
    documents = ["Berlin has many lakes.", "Paris is the capital of France.", "Bread is baked."]
    arguments = ["rerank", "--model", embedder, "--json", "--top", "2", "What is the capital of France?"]
    results = [json.loads(line) for line in hanlin(*arguments, *documents).splitlines()]
    assert len(results) == 2 and results[0]["index"] == 1 and results[0]["document"] == documents[1]
    assert results[0]["relevance_score"] > results[1]["relevance_score"]
    assert [json.loads(line) for line in hanlin(*arguments, input="\n".join(documents) + "\n").splitlines()] == results


def test_quantize(hanlin, chat_model, tmp_path):
    """Between types: the file is a model again, and eight bits keep what four bits said."""
    out = tmp_path / "q8.gguf"
    hanlin("quantize", "--quiet", chat_model, out, "--type", "Q8_0")
    before, after = (json.loads(hanlin("inspect", "--json", path)) for path in (chat_model, out))
    assert after["parameters"] == before["parameters"] and after["weight_bytes"] > before["weight_bytes"]
    assert hanlin("generate", "--model", out, "--temperature", "0", QUESTION) == "The capital of France is Paris.\n"
    assert "Q9_9" in hanlin("quantize", "--quiet", chat_model, tmp_path / "x.gguf", "--type", "Q9_9", status=2)
    assert not (tmp_path / "x.gguf").exists()


def test_quantize_a_directory(hanlin, shared, tmp_path):
    """Hugging Face → GGUF without loss: the same logits."""
    directory = shared("oracles/models/llama-gqa-tied")
    hanlin("quantize", "--quiet", directory, tmp_path / "tiny.gguf", "--type", "F32")
    oracle = load_file(directory / "oracle.safetensors")
    found = compute_logits(hanlin, tmp_path, tmp_path / "tiny.gguf", oracle["input_ids"].tolist(), "--activations", "f32", "--kv-type", "f32")
    assert np.abs(found["logits"] - oracle["logits"]).max() <= 1e-4 * np.abs(oracle["logits"]).max()


def test_bench(hanlin, chat_model):
    report = json.loads(hanlin("bench", "--json", "--prompt", "16", "--generate", "2", "--streams", "1,2", "--repeats", "1", chat_model))
    results = {row["test"]: row for row in report["models"][0]["results"]}
    assert {"load", "prefill 16", "decode 2 × 1 stream", "decode 2 × 2 streams"} <= set(results)
    assert all(row["value"] > 0 and row["unit"] for row in results.values())
    assert "--streams" in hanlin("bench", "--streams", "1,x", chat_model, status=2)


def test_bench_of_a_tokenizer(hanlin, chat_model, tmp_path):
    text = "The quick brown fox. 机器学习 <|im_start|>\n"
    (tmp_path / "text.txt").write_text(text)
    report = json.loads(hanlin("bench", "--json", "--tokenizer", tmp_path / "text.txt", "--repeats", "1", chat_model))
    results = {row["test"]: row["value"] for row in report["models"][0]["results"]}
    assert results["encode"] > 0
    assert results["tokens of the text"] == len(json.loads(hanlin("tokenize", chat_model, "--ids", "--no-special", input=text)))
    assert "absent.txt" in hanlin("bench", "--tokenizer", "absent.txt", chat_model, status=1)


@pytest.mark.parametrize("damage", ["truncated", "no model", "absent"])
def test_a_file_that_is_no_model_is_named(hanlin, chat_model, tmp_path, damage):
    path = tmp_path / "broken.gguf"
    if damage == "truncated":
        path.write_bytes(chat_model.open("rb").read(1 << 20))
    elif damage == "no model":
        path.write_bytes(b"this is no model file")
    for command in (["inspect", path], ["generate", "--model", path, "x"]):
        message = hanlin(*command, status=1 if damage != "absent" else 1)
        assert "broken.gguf" in message
