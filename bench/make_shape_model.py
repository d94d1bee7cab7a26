"""Writes a GGUF file with the shape of a known model and random weights, for measuring speed only.

Usage: make_shape_model.py OUT.gguf [--shape tinyllama|llama-2-7b] [--layers N]      (needs numpy and the package `gguf`)
Types are those of a Q4_0 file: matrices Q4_0, the output matrix Q6_K, norms F32. The same seed gives the same file.
Tensors are made and written one after the other: the memory of one is enough.
"""
import argparse
from dataclasses import dataclass

import gguf
import numpy as np


@dataclass
class Shape:
    name: str
    hidden: int
    heads: int
    kv_heads: int
    layers: int
    ffn: int
    vocab: int
    context: int


SHAPES = {
    "tinyllama": Shape("TinyLlama-1.1B", 2048, 32, 4, 22, 5632, 32000, 2048),
    "llama-2-7b": Shape("Llama-2-7B", 4096, 32, 32, 32, 11008, 32000, 4096),
}


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


def f32_ones(rng, n, k):
    return np.ones(n, np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("--shape", choices=SHAPES, default="tinyllama")
    parser.add_argument("--layers", type=int, help="instead of the shape's own number")
    args = parser.parse_args()
    shape = SHAPES[args.shape]
    layers = args.layers or shape.layers
    writer = gguf.GGUFWriter(args.out, "llama")
    writer.add_name(f"{shape.name} shape, random weights")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.hidden // shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocab)
    # A vocabulary that both sides load; no text is read in the measurement.
    writer.add_tokenizer_model("llama")
    words = shape.vocab - 3 - 256
    writer.add_token_list(["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + [f"\u2581w{i}" for i in range(words)])
    writer.add_token_scores([0.0] * 259 + [-float(i) for i in range(words)])
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * words)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)

    types = gguf.GGMLQuantizationType
    hidden, ffn, kv = shape.hidden, shape.ffn, shape.hidden // shape.heads * shape.kv_heads
    tensors = [("token_embd.weight", types.Q4_0, shape.vocab, hidden)]
    for layer in range(layers):
        for name, n, k in [("attn_q", hidden, hidden), ("attn_k", kv, hidden), ("attn_v", kv, hidden), ("attn_output", hidden, hidden),
                           ("ffn_gate", ffn, hidden), ("ffn_up", ffn, hidden), ("ffn_down", hidden, ffn)]:
            tensors.append((f"blk.{layer}.{name}.weight", types.Q4_0, n, k))
        for name in ("attn_norm", "ffn_norm"):
            tensors.append((f"blk.{layer}.{name}.weight", types.F32, hidden, None))
    tensors += [("output_norm.weight", types.F32, hidden, None), ("output.weight", types.Q6_K, shape.vocab, hidden)]

    make = {types.Q4_0: q4_0, types.Q6_K: q6_k, types.F32: f32_ones}
    for name, dtype, n, k in tensors:
        block, size = gguf.GGML_QUANT_SIZES[dtype]
        if k is None:
            writer.add_tensor_info(name, [n], np.dtype(np.float32), n * 4)
        else:  # the writer takes the shape in bytes of a quantised type
            writer.add_tensor_info(name, [n, k // block * size], np.dtype(np.uint8), n * (k // block) * size, raw_dtype=dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    rng = np.random.default_rng(20240101)
    for _, dtype, n, k in tensors:
        writer.write_tensor_data(make[dtype](rng, n, k))
    writer.close()


if __name__ == "__main__":
    main()
