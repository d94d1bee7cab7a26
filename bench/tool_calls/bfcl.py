#!/usr/bin/env python3
"""Function-calling accuracy on BFCL questions, with and without constrained calls: a call counts if its name is right, every argument
has one of the accepted values, and those left out may be (the benchmark's AST match).

usage: bfcl.py MODEL_FILE… [--cases DIR] [--limit N] [--category simple_python|parallel] [--choice auto|required] [--hanlin PATH] [--json FILE]
needs: pip install httpx
"""
import argparse
import concurrent.futures
import json
import pathlib
import sys

import httpx

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from service import serve

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPES = {"dict": "object", "float": "number", "tuple": "array"}


def to_json_schema(schema):
    """BFCL's type names → JSON Schema's."""
    out = {}
    for key, value in schema.items():
        if key == "type":
            if value != "any":
                out["type"] = TYPES.get(value, value)
        elif key == "properties":
            out[key] = {name: to_json_schema(one) for name, one in value.items()}
        elif key == "items" and isinstance(value, dict):
            out[key] = to_json_schema(value)
        else:
            out[key] = value
    return out


def to_tool(function):
    return {"type": "function", "function": {"name": function["name"].replace(".", "_"), "description": function["description"],
                                             "parameters": to_json_schema(function["parameters"])}}


def same(got, wanted):
    """Whether a value is the accepted one: texts without regard to case and punctuation, 5 as 5.0."""
    if isinstance(got, str) and isinstance(wanted, str):
        plain = [text.translate(str.maketrans("", "", " ,./-_*^'\"")).lower() for text in (got, wanted)]
        return plain[0] == plain[1]
    if isinstance(got, bool) or isinstance(wanted, bool):
        return got is wanted
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(same(a, b) for a, b in zip(got, wanted))
    if isinstance(got, dict) and isinstance(wanted, dict):  # its values are lists of accepted ones
        return arguments_match(got, wanted)
    return got == wanted


def arguments_match(arguments, accepted):
    if not isinstance(arguments, dict) or set(arguments) - set(accepted):
        return False
    for name, values in accepted.items():
        values = values if isinstance(values, list) else [values]
        if name not in arguments:
            if "" not in values:
                return False
        elif not any(same(arguments[name], value) for value in values):
            return False
    return True


def calls_match(calls, accepted):
    """Every accepted call once, in any order."""
    left = list(calls)
    for wanted in accepted:
        (name, arguments), = wanted.items()
        hit = next((call for call in left if call[0] == name.replace(".", "_") and arguments_match(call[1], arguments)), None)
        if hit is None:
            return False
        left.remove(hit)
    return not left


def read_cases(folder, category, limit):
    name = f"BFCL_v4_{category}.json"
    lines = (folder / name).read_text(encoding="utf-8").splitlines()
    answers = {}
    for line in (folder / "possible_answer" / name).read_text(encoding="utf-8").splitlines():
        answer = json.loads(line)
        answers[answer["id"]] = answer["ground_truth"]
    cases = [json.loads(line) for line in lines]
    return [(case, answers[case["id"]]) for case in cases[:limit]]


def ask(client, model, case, choice, constrained):
    body = {"model": model, "messages": case["question"][0], "tools": [to_tool(f) for f in case["function"]], "tool_choice": choice,
            "temperature": 0, "max_tokens": 256, "constrain_calls": constrained}
    response = client.post("/v1/chat/completions", json=body)
    response.raise_for_status()
    calls = []
    for call in response.json()["choices"][0]["message"].get("tool_calls") or []:
        try:
            calls.append((call["function"]["name"], json.loads(call["function"]["arguments"])))
        except json.JSONDecodeError:
            calls.append((call["function"]["name"], None))
    return calls


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--hanlin", default=str(ROOT / "build/release/bin/hanlin"))
    parser.add_argument("--cases", type=pathlib.Path, default=ROOT.parent / "shared/cases/bfcl")
    parser.add_argument("--category", default="simple_python", choices=["simple_python", "parallel"])
    parser.add_argument("--choice", default="auto", choices=["auto", "required"])
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--json")
    options = parser.parse_args()
    cases = read_cases(options.cases, options.category, options.limit)
    results = []
    print(f"{options.category}, {len(cases)} questions, tool_choice {options.choice}\n{'model':24} {'calls':14} {'right':>7} {'with a call':>12}")
    for path in options.models:
        name = pathlib.Path(path).stem
        with serve(options.hanlin, {name: path}) as url, httpx.Client(base_url=url, timeout=600) as client, concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
            for constrained in (False, True):
                answers = list(pool.map(lambda case: ask(client, name, case[0], options.choice, constrained), cases))
                right = sum(calls_match(calls, case[1]) for calls, case in zip(answers, cases)) / len(cases)
                called = sum(bool(calls) for calls in answers) / len(cases)
                results.append({"model": name, "constrained": constrained, "right": right, "called": called})
                print(f"{name:24} {'constrained' if constrained else 'free':14} {right:7.1%} {called:12.1%}", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
