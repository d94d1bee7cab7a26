"""Runs a peer of bench/grammar: PEER DUMP FIRST. Prints a line of JSON for each schema from number FIRST on, so that whoever reads
them knows how far it came if it crashes or hangs. Times are those of this thread, in microseconds."""
import importlib.metadata
import json
import sys
import time


def now_us():
    return time.thread_time_ns() / 1e3


class XGrammar:
    def __init__(self, vocabulary):
        import xgrammar
        self.lib = xgrammar
        info = xgrammar.TokenizerInfo([bytes.fromhex(t) for t in vocabulary["tokens"]], xgrammar.VocabType.RAW, stop_token_ids=vocabulary["ends"])
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self.bits, self.end = xgrammar.allocate_token_bitmask(1, info.vocab_size), vocabulary["ends"][0]

    def compile(self, schema):
        return self.compiler.compile_json_schema(schema, strict_mode=False, any_order=True)

    def start(self, grammar):
        self.matcher = self.lib.GrammarMatcher(grammar)

    def fill(self):
        self.matcher.fill_next_token_bitmask(self.bits)

    def accept(self, token):
        return self.matcher.accept_token(token)

    def may_end(self):
        return self.matcher.accept_token(self.end)


class LLGuidance:
    def __init__(self, vocabulary):
        import llguidance
        import llguidance.numpy
        self.lib = llguidance
        tokens = [bytes.fromhex(t) for t in vocabulary["tokens"]]
        ids = {t: i for i, t in reversed(list(enumerate(tokens)))}

        class Tokenizer:
            eos_token_id, bos_token_id, special_token_ids = vocabulary["ends"][0], None, vocabulary["special"]

            def __call__(self, text):
                return [ids[bytes([b])] for b in (text if isinstance(text, bytes) else text.encode()) if bytes([b]) in ids]

        Tokenizer.tokens = tokens
        self.tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Tokenizer()))
        self.bits = llguidance.numpy.allocate_token_bitmask(1, len(tokens))

    def compile(self, schema):
        grammar = self.lib.LLMatcher.grammar_from_json_schema(schema)
        matcher = self.lib.LLMatcher(self.tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return matcher

    def start(self, grammar):
        self.matcher = grammar.deep_copy()

    def fill(self):
        self.lib.numpy.fill_next_token_bitmask(self.matcher, self.bits, 0)

    def accept(self, token):
        return self.matcher.consume_token(token)

    def may_end(self):
        return self.matcher.is_accepting()


PEERS = {"xgrammar": XGrammar, "llguidance": LLGuidance}


def run(peer, row):
    out = {"covered": True, "mask_us": [], "right": 0, "false_accepts": 0, "valid_rejected": 0}
    compiling = now_us()
    try:
        grammar = peer.compile(row["schema"])
    except (ValueError, RuntimeError):
        return out | {"covered": False, "compile_us": now_us() - compiling}
    out["compile_us"] = now_us() - compiling
    for test in row["tests"]:
        peer.start(grammar)
        accepted = True
        for token in test["tokens"]:
            filling = now_us()
            peer.fill()
            out["mask_us"].append(now_us() - filling)
            accepted = peer.accept(token)
            if not accepted:
                break
        accepted = accepted and peer.may_end()
        out["right"] += accepted == test["valid"]
        out["false_accepts"] += accepted and not test["valid"]
        out["valid_rejected"] += not accepted and test["valid"]
    return out


def main():
    name, dump, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(dump, encoding="utf-8") as lines:
        peer = PEERS[name](json.loads(next(lines)))
        print(json.dumps({"version": importlib.metadata.version(name)}), flush=True)
        for number, line in enumerate(lines):
            if number >= first:
                print(json.dumps(run(peer, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
