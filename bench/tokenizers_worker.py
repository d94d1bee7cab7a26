"""Measures one peer's tokenizer on a text; bench/tokenizers starts it with the peer's Python.

Usage: tokenizers_worker.py llama.cpp|tokenizers MODEL.gguf TEXT REPEATS
Prints one line of JSON. One thread, the whole text at once, special tokens' names as plain text, none added. The tokenizer of
Hugging Face's `tokenizers` is built from the vocabulary and merges of the GGUF file.
"""
import importlib.metadata
import json
import os
import sys
import time

QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def llama_cpp(path):
    import llama_cpp
    model = llama_cpp.Llama(path, vocab_only=True, verbose=False)
    return lambda text: model.tokenize(text, add_bos=False, special=False)


def hugging_face(path):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import gguf
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    fields = gguf.GGUFReader(path).fields
    kind = fields["tokenizer.ggml.pre"].contents()
    tokens, merges = fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.merges"].contents()
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, [tuple(merge.split(" ")) for merge in merges]))
    if kind == "smollm":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    elif kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        sys.exit(f"{path}: no pre-tokenizer for '{kind}' here")
    # Without offsets, its fastest call.
    return lambda text: tokenizer.encode_batch_fast([text.decode()], add_special_tokens=False)[0].ids


def main():
    peer, path, text, repeats = sys.argv[1], sys.argv[2], open(sys.argv[3], "rb").read(), int(sys.argv[4])
    encode = llama_cpp(path) if peer == "llama.cpp" else hugging_face(path)
    speeds = []
    for _ in range(repeats + 1):  # the first warms up
        start = time.perf_counter()
        n_tokens = len(encode(text))
        speeds.append(len(text) / 1e6 / (time.perf_counter() - start))
    version = importlib.metadata.version("llama_cpp_python" if peer == "llama.cpp" else "tokenizers")
    print(json.dumps({"mb_per_s": sorted(speeds[1:])[repeats // 2], "tokens": n_tokens, "about": f"{peer} {version}"}))


if __name__ == "__main__":
    main()
