#!/usr/bin/env python3
"""Function-calling accuracy on BFCL questions, with and without constrained calls: a call counts if its name is right, every argument
has its parameter's type and one of the accepted values, and those left out may be (the benchmark's AST match).

usage: bfcl.py MODEL_FILE… [--cases DIR] [--limit N] [--every N] [--category simple_python|parallel] [--choice auto|required] [--hanlin PATH] [--json FILE]
needs: pip install httpx jsonschema
"""
import argparse
import concurrent.futures
import json
import pathlib
import sys

import httpx
import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from service import serve

ROOT = pathlib.Path(__file__).resolve().parents[2]
CATEGORIES = ["simple_python", "parallel"]
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


KINDS = {"integer": (int,), "float": (int, float), "string": (str,), "boolean": (bool,), "array": (list,), "tuple": (list,), "dict": (dict,)}


def well_typed(got, schema, accepted):
    """Whether a value has the type of its parameter (an integer is a float, 5.0 is no integer), or that of an accepted value."""
    kinds = KINDS.get(schema.get("type"))
    if kinds is None or type(got) in kinds:
        items = schema.get("items")
        return not isinstance(got, list) or not isinstance(items, dict) or all(well_typed(one, items, []) for one in got)
    return any(type(got) is type(value) and value != "" for value in accepted)


def arguments_match(arguments, accepted, properties=None):
    """`properties`: the parameters' schemas, where their types count."""
    if not isinstance(arguments, dict) or set(arguments) - set(accepted):
        return False
    for name, values in accepted.items():
        values = values if isinstance(values, list) else [values]
        if name not in arguments:
            if "" not in values:
                return False
        elif not any(same(arguments[name], value) for value in values):
            return False
        elif properties is not None and not well_typed(arguments[name], properties.get(name, {}), values):
            return False
    return True


def calls_match(calls, accepted, functions):
    """Every accepted call once, in any order. `functions`: those offered, as BFCL describes them."""
    left, schemas = list(calls), {function["name"]: function["parameters"].get("properties", {}) for function in functions}
    for wanted in accepted:
        (name, arguments), = wanted.items()
        hit = next((call for call in left if call[0] == name.replace(".", "_") and arguments_match(call[1], arguments, schemas.get(name))), None)
        if hit is None:
            return False
        left.remove(hit)
    return not left


def read_cases(folder, category):
    """Pairs of a question and its accepted calls."""
    name = f"BFCL_v4_{category}.json"
    lines = (folder / name).read_text(encoding="utf-8").splitlines()
    answers = {}
    for line in (folder / "possible_answer" / name).read_text(encoding="utf-8").splitlines():
        answer = json.loads(line)
        answers[answer["id"]] = answer["ground_truth"]
    cases = [json.loads(line) for line in lines]
    return [(case, answers[case["id"]]) for case in cases]


def ask(client, model, case, choice, constrained):
    """The calls as (name, arguments); arguments that are no JSON are None."""
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


def is_valid(call, functions):
    """Whether a call names an offered function and its arguments satisfy the function's schema."""
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in map(to_tool, functions)}
    return call[0] in schemas and jsonschema.Draft202012Validator(schemas[call[0]]).is_valid(call[1])


def measure(client, model, cases, choice, at_once=4):
    """Both ways → one row for each question: {"id", "free": {"calls", "right", "valid"}, "constrained": {…}}."""
    def one(pair):
        case, accepted = pair
        row = {"id": case["id"]}
        for side in ("free", "constrained"):
            calls = ask(client, model, case, choice, side == "constrained")
            row[side] = {"calls": calls, "right": calls_match(calls, accepted, case["function"]), "valid": all(is_valid(call, case["function"]) for call in calls)}
        return row

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, cases))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--hanlin", default=str(ROOT / "build/release/bin/hanlin"))
    parser.add_argument("--cases", type=pathlib.Path, default=ROOT.parent / "shared/cases/bfcl")
    parser.add_argument("--category", action="append", choices=CATEGORIES, help="repeat for several; default: all")
    parser.add_argument("--choice", default="auto", choices=["auto", "required"])
    parser.add_argument("--limit", type=int, default=1000, help="so many questions of each category at most")
    parser.add_argument("--every", type=int, default=1, help="only every n-th question")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--json")
    options = parser.parse_args()
    results = []
    print(f"tool_choice {options.choice}\n{'model':24} {'category':14} {'questions':>9} {'':12} {'right':>7} {'with a call':>12} {'all valid':>10}")
    for path in options.models:
        name = pathlib.Path(path).stem
        with serve(options.hanlin, {name: path}) as url, httpx.Client(base_url=url, timeout=600) as client:
            for category in options.category or CATEGORIES:
                rows = measure(client, name, read_cases(options.cases, category)[::options.every][:options.limit], options.choice, options.at_once)
                results.append({"model": name, "category": category, "questions": rows})
                for side in ("free", "constrained"):
                    share = lambda count: f"{sum(map(count, rows)) / len(rows):.1%}"
                    print(f"{name:24} {category:14} {len(rows):9} {side:12} {share(lambda row: row[side]['right']):>7} {share(lambda row: bool(row[side]['calls'])):>12} "
                          f"{share(lambda row: row[side]['valid']):>10}", flush=True)
                print(f"{'':24} right only without constraint: {' '.join(row['id'] for row in rows if row['free']['right'] and not row['constrained']['right']) or '-'}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
