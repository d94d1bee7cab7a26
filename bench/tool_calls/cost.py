#!/usr/bin/env python3
"""What constraints cost and save: the same greedy text with and without, in turn. "per token" rows: the time from the first piece of
the text to the last, where no token is forced (prose in a string; any text at all). "record" rows: JSON whose keys are forced.
"call" rows: a whole request that ends in the same tool call, prompt known already.

usage: cost.py [MODEL…] [--pairs N] [--threads N] [--json FILE]
Times are the service's own computing time (all its threads): other work on the machine hardly counts. Wall time stands beside it.
needs: pip install httpx
"""
import json
import pathlib
import statistics
import sys
import time

import httpx

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import common

STRINGS = 'A JSON array of long sentences about the mountains:\n["The mountains are high and their tops are covered with snow in winter.", "Rivers begin there."]\nA JSON array of long sentences about the sea:\n'
RECORDS = "The employees of the company, one JSON object a line, without repetition:\n" + "".join(f'{{"employee_name": "{name}", "department": "{where}", "years_of_service": {years}, "office_location": "{city}"}}\n' for name, where, years, city in
                  [("Anna", "sales", 3, "Oslo"), ("Boris", "support", 12, "Lima"), ("Chen", "research", 7, "Kyoto"), ("Dora", "finance", 1, "Oslo"), ("Emil", "sales", 21, "Lima")])
RECORD = {"type": "object", "additionalProperties": False, "required": ["employee_name", "department", "years_of_service", "office_location"],
          "properties": {"employee_name": {"type": "string"}, "department": {"type": "string"}, "years_of_service": {"type": "integer"}, "office_location": {"type": "string"}}}
PROSE = "The history of the bicycle begins in the nineteenth century."
# name, kind, prompt, constraint
TEXTS = [
    ("any text, by a regular expression", "per token", PROSE, {"guided_regex": r"[\s\S]*"}),
    ("array of strings, JSON Schema", "per token", STRINGS, {"guided_json": {"type": "array", "items": {"type": "string"}}}),
    ("four string and number fields, JSON Schema", "record", RECORDS, {"guided_json": RECORD}),
]
TOOLS = [{"type": "function", "function": function} for function in (
    {"name": "get_current_weather", "description": "Get the current weather of a city", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}, "temperature_unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}, "required": ["city", "temperature_unit"]}},
    {"name": "send_email_message", "description": "Send an email", "parameters": {
        "type": "object", "properties": {"recipient_address": {"type": "string"}, "subject_line": {"type": "string"}, "message_body": {"type": "string"}},
        "required": ["recipient_address", "subject_line", "message_body"]}},
    {"name": "convert_currency_amount", "description": "Convert an amount of money", "parameters": {
        "type": "object", "properties": {"amount": {"type": "number"}, "source_currency": {"type": "string"}, "target_currency": {"type": "string"}},
        "required": ["amount", "source_currency", "target_currency"]}})]
QUESTIONS = ["What is the weather in Paris in celsius?", "Convert 100 dollars to euros.", "Send an email to anna@example.com with the subject Hello and the text See you soon."]


class Meter:
    """The service's computing time and the wall time since it was made."""

    def __init__(self, pid):
        self.tasks = pathlib.Path(f"/proc/{pid}/task")
        self.cpu, self.wall = self.computed(), time.perf_counter()

    def computed(self):
        total = 0
        for task in self.tasks.iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except OSError:  # a thread that has just ended
                pass
        return total / 1e9

    def read(self):
        return {"cpu_s": self.computed() - self.cpu, "wall_s": time.perf_counter() - self.wall}


def stream_text(client, pid, body, n_characters):
    """The text up to n characters, and what it took behind its first piece."""
    text, meter = "", None
    with client.stream("POST", "/v1/completions", json=body | {"stream": True}) as response:
        if response.status_code != 200:
            common.fail(response.read().decode())
        for line in response.iter_lines():
            if not line.startswith("data: {"):
                continue
            choices = json.loads(line[6:])["choices"]
            text += choices[0]["text"] if choices else ""
            if text and meter is None:
                meter, first = Meter(pid), len(text)
            if len(text) >= n_characters:
                break
    return text[:n_characters], meter.read() | {"characters": min(len(text), n_characters) - first}


def call(client, pid, question, constrained):
    body = {"model": "bench", "temperature": 0, "max_tokens": 200, "tools": TOOLS, "constrain_calls": constrained, "messages": [{"role": "user", "content": question}]}
    meter = Meter(pid)
    response = client.post("/v1/chat/completions", json=body)
    taken = meter.read()
    response.raise_for_status()
    message = response.json()["choices"][0]["message"]
    return [(one["function"]["name"], json.loads(one["function"]["arguments"])) for one in message.get("tool_calls") or []], taken


def compare(pairs, free, constrained):
    """Ratios of the medians of pairs; whether every text was the same."""
    rounds, same = [], True
    for i in range(pairs + 1):
        sides = [free, constrained] if i % 2 else [constrained, free]
        answers = {side: side() for side in sides}
        same = same and answers[free][0] == answers[constrained][0]
        if i > 0:  # the first one compiles and fills caches
            rounds.append((answers[free][1], answers[constrained][1]))
    out = {"same": same, "rounds": rounds}
    for clock in ("cpu_s", "wall_s"):
        out[clock] = {"free": statistics.median(a[clock] for a, _ in rounds), "constrained": statistics.median(b[clock] for _, b in rounds),
                      "ratio": statistics.median(b[clock] / a[clock] for a, b in rounds)}
    return out


def measure(service, model, pairs, n_tokens):
    rows, pid = [], service.process.pid
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=600) as client:
        for name, kind, prompt, constraint in TEXTS:
            # `n_tokens` without constraint, and as far as the constrained text is the same.
            body = {"model": "bench", "prompt": prompt, "temperature": 0}
            free_body, held_body = body | {"max_tokens": n_tokens}, body | {"max_tokens": n_tokens + 200} | constraint
            texts = [stream_text(client, pid, one, 10**6)[0] for one in (free_body, held_body)]
            n = next((i for i, (a, b) in enumerate(zip(*texts)) if a != b), min(map(len, texts)))
            if n < 40:
                print(f"  {model}: {name}: the texts differ too early: {texts[0][:60]!r}, {texts[1][:60]!r}", file=sys.stderr)
                continue
            row = compare(pairs, lambda: stream_text(client, pid, free_body, n), lambda: stream_text(client, pid, held_body, n))
            rows.append({"model": model, "what": name, "kind": kind, "characters": n} | row)
        for question in QUESTIONS:
            row = compare(pairs, lambda: call(client, pid, question, False), lambda: call(client, pid, question, True))
            if not row["same"]:
                print(f"  {model}: {question} is answered by different calls", file=sys.stderr)
            rows.append({"model": model, "what": question, "kind": "call"} | row)
    return rows


def main():
    parser = common.parser(__doc__)
    parser.add_argument("models", nargs="*", default=["smollm2-135m", "qwen2.5-coder-0.5b"], help="GGUF files or names of files in $HANLIN_TEST_MODELS")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=150)
    parser.add_argument("--speculation", default="auto", choices=["auto", "off"])
    parser.set_defaults(threads=1)
    args = common.parse(parser)
    rows = []
    for model in args.models:
        with common.Service(args, common.find_gguf(model), "--speculation", args.speculation) as service:
            rows += measure(service, model, args.pairs, args.tokens)
    cells = [[row["model"], row["what"], row["kind"], "yes" if row["same"] else "no", *(f"{1000 * row['cpu_s'][side]:.1f}" for side in ("free", "constrained")),
              *(f"{100 * (row[clock]['ratio'] - 1):+.1f} %" for clock in ("cpu_s", "wall_s"))] for row in rows]
    print(f"{args.threads} threads; {args.pairs} pairs; load average before: {args.load_average:.2f}")
    common.print_table(["model", "what", "kind", "same text", "free ms", "constrained ms", "cost", "in wall time"], cells)
    common.write_json(args, rows=rows)


if __name__ == "__main__":
    main()
