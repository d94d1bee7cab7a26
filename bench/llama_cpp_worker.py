"""Measures llama.cpp on one workload; compare_llama_cpp and contention start it with the peer's Python.

Usage: llama_cpp_worker.py SPEC      (SPEC: JSON, see `main`)
Prints one line of JSON. The steps are those of `hanlin bench`: the first repeat warms up, the median of the others counts;
random ids; logits of the last prompt token, or of every stream.
"""
import ctypes
import json
import random
import sys
import time

import llama_cpp as llama


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def drop_log(_level, _text, _data):
    pass


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def median(values):
    return sorted(values)[len(values) // 2]


class Session:
    """One model with a context of n_seq sequences of n_tokens each."""

    def __init__(self, path, n_seq, n_tokens, threads, flash):
        model_params = llama.llama_model_default_params()
        model_params.n_gpu_layers = 0
        self.model = llama.llama_model_load_from_file(path.encode(), model_params)
        if not self.model:
            sys.exit(f"{path}: llama.cpp could not load it")
        params = llama.llama_context_default_params()
        params.n_ctx = n_seq * ((n_tokens + 255) // 256 * 256)
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = n_seq
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = 1 if flash else 0
        params.no_perf = True
        self.context = llama.llama_init_from_model(self.model, params)
        if not self.context:
            sys.exit(f"{path}: llama.cpp could not create a context")
        self.batch = llama.llama_batch_init(512, 0, 1)
        self.n_vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))

    def clear(self, depth):
        """Forgets all that is behind the first `depth` tokens of each sequence."""
        llama.llama_memory_seq_rm(llama.llama_get_memory(self.context), -1, depth, -1)

    def step(self, rows):
        """One forward pass; rows: (token, position, sequence, wants logits)."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = logits
        code = llama.llama_decode(self.context, batch)
        if code != 0:
            sys.exit(f"llama_decode: {code}")
        llama.llama_synchronize(self.context)

    def random_ids(self, n, rng):
        return [rng.randrange(self.n_vocab) for _ in range(n)]

    def fill(self, sequence, ids):
        for begin in range(0, len(ids), 512):
            end = min(len(ids), begin + 512)
            self.step([(ids[i], i, sequence, i + 1 == len(ids)) for i in range(begin, end)])

    def prefill(self, n_tokens, repeats, rng):
        speeds = []
        for _ in range(repeats + 1):
            ids = self.random_ids(n_tokens, rng)
            self.clear(0)
            start = time.perf_counter()
            self.fill(0, ids)
            speeds.append(n_tokens / (time.perf_counter() - start))
        return median(speeds[1:])

    def decode(self, n_seq, n_tokens, depth, repeats, rng):
        speeds = []
        for sequence in range(n_seq):
            self.fill(sequence, self.random_ids(depth, rng))
        for _ in range(repeats + 1):
            ids = self.random_ids(n_seq, rng)
            self.clear(depth)
            start = time.perf_counter()
            for t in range(n_tokens):
                self.step([(ids[s], depth + t, s, True) for s in range(n_seq)])
            speeds.append(n_seq * n_tokens / (time.perf_counter() - start))
        return median(speeds[1:])


def main():
    # {"path", "threads", "repeats", "flash": bool, "kind": "prefill" | "decode", "tokens", "streams", "depth"}
    spec = json.loads(sys.argv[1])
    llama.llama_log_set(drop_log, ctypes.c_void_p(0))
    llama.llama_backend_init()
    before, start = resident_bytes(), time.perf_counter()
    session = Session(spec["path"], spec["streams"], spec["depth"] + spec["tokens"] + 1, spec["threads"], spec["flash"])
    load = time.perf_counter() - start
    rng = random.Random(1)
    if spec["kind"] == "prefill":
        speed = session.prefill(spec["tokens"], spec["repeats"], rng)
    else:
        speed = session.decode(spec["streams"], spec["tokens"], spec["depth"], spec["repeats"], rng)
    print(json.dumps({"load_s": load, "tokens_per_s": speed, "resident_mb": (resident_bytes() - before) / 1e6,
                      "version": llama.__version__, "system": llama.llama_print_system_info().decode()}))


if __name__ == "__main__":
    main()
