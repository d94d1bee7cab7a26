"""Writes a GGUF file with the shape of TinyLlama-1.1B and random weights, for measuring speed only.

Usage: make_shape_model.py OUT.gguf [--layers N]      (needs numpy and the package `gguf`)
Types are those of a Q4_0 file: matrices Q4_0, the output matrix Q6_K, norms F32. The same seed gives the same file.
"""
import argparse

import gguf
import numpy as np

HIDDEN, HEADS, KV_HEADS, LAYERS, FFN, VOCAB, CONTEXT = 2048, 32, 4, 22, 5632, 32000, 2048


def scale_bytes(value, shape):
    return np.broadcast_to(np.frombuffer(np.float16(value).tobytes(), np.uint8), (*shape, 2))


def q4_0(rng, n, k):
    """Rows of blocks {d f16, 16 bytes of nibbles} with weights of variance about 1 / k."""
    blocks = (n, k // 32)
    return np.concatenate([scale_bytes(1 / (4.6 * k**0.5), blocks), rng.integers(0, 256, (*blocks, 16), np.uint8)], axis=-1).reshape(n, -1)


def q6_k(rng, n, k):
    """Rows of blocks {192 bytes of numbers, 16 scales i8, d f16}."""
    blocks = (n, k // 256)
    numbers = rng.integers(0, 256, (*blocks, 192), np.uint8)
    scales = rng.integers(16, 64, (*blocks, 16), np.uint8)
    return np.concatenate([numbers, scales, scale_bytes(1 / (18 * 40 * k**0.5), blocks)], axis=-1).reshape(n, -1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("--layers", type=int, default=LAYERS)
    args = parser.parse_args()
    rng = np.random.default_rng(20240101)
    writer = gguf.GGUFWriter(args.out, "llama")
    writer.add_name("TinyLlama-1.1B shape, random weights")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(args.layers)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCAB)
    # A vocabulary that both sides load; no text is read in the measurement.
    writer.add_tokenizer_model("llama")
    words = VOCAB - 3 - 256
    writer.add_token_list(["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + [f"\u2581w{i}" for i in range(words)])
    writer.add_token_scores([0.0] * 259 + [-float(i) for i in range(words)])
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * words)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)

    def add(name, data, dtype):
        writer.add_tensor(name, data, raw_dtype=dtype)

    q4, q6, f32 = gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q6_K, gguf.GGMLQuantizationType.F32
    kv = HIDDEN // HEADS * KV_HEADS
    add("token_embd.weight", q4_0(rng, VOCAB, HIDDEN), q4)
    for layer in range(args.layers):
        for name, n, k in [("attn_q", HIDDEN, HIDDEN), ("attn_k", kv, HIDDEN), ("attn_v", kv, HIDDEN), ("attn_output", HIDDEN, HIDDEN),
                           ("ffn_gate", FFN, HIDDEN), ("ffn_up", FFN, HIDDEN), ("ffn_down", HIDDEN, FFN)]:
            add(f"blk.{layer}.{name}.weight", q4_0(rng, n, k), q4)
        for name in ("attn_norm", "ffn_norm"):
            add(f"blk.{layer}.{name}.weight", np.ones(HIDDEN, np.float32), f32)
    add("output_norm.weight", np.ones(HIDDEN, np.float32), f32)
    add("output.weight", q6_k(rng, VOCAB, HIDDEN), q6)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
