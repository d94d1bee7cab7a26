#!/usr/bin/env python3
"""Whether answers under constraints are valid, whatever the model: random schemas x temperatures 0 to 2 x budgets of 1 to 200
tokens, half of them structured answers, half of them tool calls (demanded, named, by the model's choice; streamed or not), judged by
the Python package jsonschema.

usage: validity.py MODEL_FILE… [--hanlin PATH] [--schemas 1000] [--at-once 8] [--seed 1] [--json FILE]
needs: pip install httpx jsonschema
"""
import argparse
import collections
import concurrent.futures
import json
import pathlib
import sys

import httpx
import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import random_schemas
from service import serve

QUESTIONS = ["What is the weather in Paris?", "Find cheap flights to Oslo.", "北京今天天气怎么样?", "Tell me a story.", "Book it, please."]


def is_valid(schema, instance):
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).is_valid(instance)


def make_case(seed):
    """The request and what judges the answer."""
    rng = random_schemas.generator(seed)
    body = {"messages": [{"role": "user", "content": rng.choice(QUESTIONS)}], "temperature": rng.choice([0, 0.3, 0.7, 1, 1.5, 2]),
            "max_tokens": rng.randint(1, 200), "seed": seed}
    if rng.random() < 0.5:
        schema = random_schemas.parameters(rng)
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        return body, ("answer", schema)
    tools = random_schemas.tools(rng, rng.randint(1, 4))
    named = {"type": "function", "function": {"name": rng.choice(tools)["function"]["name"]}}
    body |= {"tools": tools, "tool_choice": rng.choice(["required", "required", named, "auto"]), "parallel_tool_calls": rng.random() < 0.5, "stream": rng.random() < 0.5}
    return body, ("calls", {t["function"]["name"]: t["function"]["parameters"] for t in tools})


def read_answer(response, stream):
    """content, calls as (name, arguments)."""
    if not stream:
        message = response.json()["choices"][0]["message"]
        return message["content"], [(c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or []]
    content, calls = "", {}
    for line in response.text.splitlines():
        if not line.startswith("data: {"):
            continue
        for choice in json.loads(line[6:])["choices"]:
            content += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls") or []:
                name, arguments = calls.get(call["index"], ("", ""))
                calls[call["index"]] = (name + (call["function"].get("name") or ""), arguments + call["function"]["arguments"])
    return content, [calls[i] for i in sorted(calls)]


def judge(client, model, seed):
    """("valid" | "short" | "text" | "invalid" | "failed", kind, details)."""
    body, (kind, schema) = make_case(seed)
    response = client.post("/v1/chat/completions", json=body | {"model": model})
    how = kind if kind == "answer" else body["tool_choice"] if isinstance(body["tool_choice"], str) else "named"
    if response.status_code == 400 and response.json()["error"]["param"] == "max_tokens":
        return "short", how, ""  # no legal answer is that short, and the message says so
    if response.status_code != 200:
        return "failed", how, f"seed {seed}: {response.status_code} {response.text[:300]}"
    content, calls = read_answer(response, body.get("stream", False))
    try:
        if kind == "answer":
            good = is_valid(schema, json.loads(content))
        else:
            good = all(name in schema and is_valid(schema[name], json.loads(arguments)) for name, arguments in calls)
            good = good and (bool(calls) or how == "auto") and (len(calls) <= 1 or body["parallel_tool_calls"])
    except json.JSONDecodeError:
        good = False
    details = "" if good else f"seed {seed}: {how} t={body['temperature']} max_tokens={body['max_tokens']}: {content!r} {calls}"
    return ("valid" if good and (calls or kind == "answer") else "text" if good else "invalid"), how, details


def run(url, model, seeds, at_once):
    counts, problems = collections.Counter(), []
    with httpx.Client(base_url=url, timeout=600, limits=httpx.Limits(max_connections=at_once)) as client, concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for verdict, how, details in pool.map(lambda seed: judge(client, model, seed), seeds):
            counts[how, verdict] += 1
            if details:
                problems.append(details)
    return counts, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--hanlin", default=str(pathlib.Path(__file__).resolve().parents[2] / "build/release/bin/hanlin"))
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json")
    options = parser.parse_args()
    all_counts, n_bad = {}, 0
    for path in options.models:
        name = pathlib.Path(path).stem
        with serve(options.hanlin, {name: path}) as url:
            counts, problems = run(url, name, range(options.seed, options.seed + options.schemas), options.at_once)
        print(f"{name}: {options.schemas} schemas")
        print(f"  {'':10} {'valid':>6} {'no call':>8} {'too short':>10} {'invalid':>8} {'failed':>7}")
        for how in ("answer", "required", "named", "auto"):
            print(f"  {how:10} {counts[how, 'valid']:6} {counts[how, 'text']:8} {counts[how, 'short']:10} {counts[how, 'invalid']:8} {counts[how, 'failed']:7}")
        for line in problems[:20]:
            print("  " + line)
        n_bad += len(problems)
        all_counts[name] = {f"{how} {verdict}": n for (how, verdict), n in sorted(counts.items())}
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(all_counts, indent=1))
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
