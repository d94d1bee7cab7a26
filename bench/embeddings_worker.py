"""Measures one peer on embeddings; compare_onnxruntime starts it with the peers' Python.

Usage: embeddings_worker.py onnxruntime-int8|onnxruntime-f32|sentence-transformers DIRECTORY THREADS REPEATS CACHE
Prints one line of JSON. The int8 graph and the float32 one are written to CACHE once.
"""
import importlib.metadata
import json
import pathlib
import sys
import time

import numpy as np


def median(values):
    return sorted(values)[len(values) // 2]


class BertGraph:
    """The ONNX graph of a BERT encoder with mean pooling and normalisation: input_ids, attention_mask [B, S] -> [B, D]."""

    def __init__(self, directory):
        import onnx
        from safetensors.numpy import load_file
        self.onnx = onnx
        config = json.loads((directory / "config.json").read_text())
        self.heads, self.layers = config["num_attention_heads"], config["num_hidden_layers"]
        self.eps, self.hidden = config["layer_norm_eps"], config["hidden_size"]
        weights = load_file(directory / "model.safetensors")
        self.weights = {name.removeprefix("bert."): value.astype(np.float32) for name, value in weights.items() if value.dtype.kind == "f"}
        self.nodes, self.tensors, self.count = [], [], 0

    def constant(self, value):
        self.count += 1
        self.tensors.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), f"c{self.count}"))
        return f"c{self.count}"

    def op(self, kind, *inputs, output=None, **attributes):
        self.count += 1
        output = output or f"t{self.count}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def linear(self, x, name):
        product = self.op("MatMul", x, self.constant(self.weights[f"{name}.weight"].T))
        return self.op("Add", product, self.constant(self.weights[f"{name}.bias"]))

    def norm(self, x, name):
        return self.op("LayerNormalization", x, self.constant(self.weights[f"{name}.weight"]), self.constant(self.weights[f"{name}.bias"]), axis=-1, epsilon=self.eps)

    def layer(self, x, mask, prefix):
        head_dim = self.hidden // self.heads
        split = self.constant(np.array([0, 0, self.heads, head_dim], np.int64))
        q, k, v = (self.op("Reshape", self.linear(x, f"{prefix}.attention.self.{name}"), split) for name in ("query", "key", "value"))
        q = self.op("Transpose", q, perm=[0, 2, 1, 3])
        k = self.op("Transpose", k, perm=[0, 2, 3, 1])
        v = self.op("Transpose", v, perm=[0, 2, 1, 3])
        scores = self.op("Mul", self.op("MatMul", q, k), self.constant(np.array(head_dim**-0.5, np.float32)))
        probabilities = self.op("Softmax", self.op("Add", scores, mask), axis=-1)
        joined = self.op("Transpose", self.op("MatMul", probabilities, v), perm=[0, 2, 1, 3])
        joined = self.op("Reshape", joined, self.constant(np.array([0, 0, self.hidden], np.int64)))
        x = self.norm(self.op("Add", self.linear(joined, f"{prefix}.attention.output.dense"), x), f"{prefix}.attention.output.LayerNorm")
        inner = self.op("Gelu", self.linear(x, f"{prefix}.intermediate.dense"))
        return self.norm(self.op("Add", self.linear(inner, f"{prefix}.output.dense"), x), f"{prefix}.output.LayerNorm")

    def write(self, path):
        helper, proto = self.onnx.helper, self.onnx.TensorProto
        one, last = np.array(1.0, np.float32), np.array([-1], np.int64)
        words = self.op("Gather", self.constant(self.weights["embeddings.word_embeddings.weight"]), "input_ids")
        length = self.op("Shape", "input_ids", start=1, end=2)
        positions = self.op("Slice", self.constant(self.weights["embeddings.position_embeddings.weight"]), self.constant(np.array([0], np.int64)), length)
        types = self.constant(self.weights["embeddings.token_type_embeddings.weight"][0])
        x = self.norm(self.op("Add", self.op("Add", words, positions), types), "embeddings.LayerNorm")
        mask = self.op("Cast", "attention_mask", to=proto.FLOAT)
        wide = self.op("Unsqueeze", mask, self.constant(np.array([1, 2], np.int64)))
        bias = self.op("Mul", self.op("Sub", wide, self.constant(one)), self.constant(np.array(1e9, np.float32)))
        for i in range(self.layers):
            x = self.layer(x, bias, f"encoder.layer.{i}")
        weight = self.op("Unsqueeze", mask, self.constant(last))
        axis = self.constant(np.array([1], np.int64))
        total = self.op("ReduceSum", self.op("Mul", x, weight), axis, keepdims=0)
        mean = self.op("Div", total, self.op("ReduceSum", weight, axis, keepdims=0))
        length = self.op("Sqrt", self.op("ReduceSum", self.op("Mul", mean, mean), axis, keepdims=1))
        self.op("Div", mean, length, output="embedding")
        inputs = [helper.make_tensor_value_info(name, proto.INT64, ["batch", "length"]) for name in ("input_ids", "attention_mask")]
        outputs = [helper.make_tensor_value_info("embedding", proto.FLOAT, ["batch", self.hidden])]
        graph = helper.make_graph(self.nodes, "bert", inputs, outputs, self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        self.onnx.checker.check_model(model)
        self.onnx.save(model, path)


def onnx_runner(directory, threads, int8, cache):
    import onnxruntime
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{directory.resolve().parent.name}-{directory.name}.onnx"
    if not path.exists():
        BertGraph(directory).write(path)
    if int8:
        quantised = path.with_suffix(".int8.onnx")
        if not quantised.exists():
            from onnxruntime.quantization import QuantType, quantize_dynamic
            quantize_dynamic(path, quantised, weight_type=QuantType.QInt8)
        path = quantised
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda ids: session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]


def torch_runner(directory, threads):
    import torch
    from sentence_transformers import SentenceTransformer
    torch.set_num_threads(threads)
    model = SentenceTransformer(str(directory), device="cpu").eval()

    def run(ids):
        with torch.inference_mode():
            tensor = torch.from_numpy(ids)
            return model({"input_ids": tensor, "attention_mask": torch.ones_like(tensor)})["sentence_embedding"].numpy()

    return run


def main():
    peer, directory, threads, repeats, cache = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), pathlib.Path(sys.argv[5])
    vocab = json.loads((directory / "config.json").read_text())["vocab_size"]
    run = torch_runner(directory, threads) if peer == "sentence-transformers" else onnx_runner(directory, threads, peer.endswith("int8"), cache)
    rng = np.random.default_rng(1)
    seconds = {}
    for n, length, count in ((32, 128, repeats), (1, 16, 10 * repeats)):
        ids = rng.integers(0, vocab, (n, length), np.int64)
        times = []
        for _ in range(count + 1):
            start = time.perf_counter()
            run(ids)
            times.append(time.perf_counter() - start)
        seconds[n] = median(times[1:])
    version = importlib.metadata.version("sentence-transformers" if peer == "sentence-transformers" else "onnxruntime")
    print(json.dumps({"version": version, "tokens_per_s": 32 * 128 / seconds[32], "one_ms": seconds[1] * 1e3}))


if __name__ == "__main__":
    main()
