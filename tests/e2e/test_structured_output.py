"""Constrained answers of a real model: valid for the jsonschema package at any temperature and with any max_tokens."""
import json
import re

import jsonschema
import pytest
from openai import BadRequestError, OpenAI

CHAT = "smollm2-135m"
SCHEMAS = {
    "person": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 130},
                                                "emails": {"type": "array", "items": {"type": "string", "format": "email"}, "maxItems": 2}},
               "required": ["name", "age"], "additionalProperties": False},
    "choice": {"oneOf": [{"type": "object", "properties": {"kind": {"const": "circle"}, "radius": {"type": "number", "exclusiveMinimum": 0}},
                          "required": ["kind", "radius"]},
                         {"type": "object", "properties": {"kind": {"const": "square"}, "side": {"type": "number", "multipleOf": 0.5, "minimum": 1}},
                          "required": ["kind", "side"]}]},
    "tree": {"$defs": {"node": {"type": "object", "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
                                "required": ["value"], "additionalProperties": False}}, "$ref": "#/$defs/node"},
    "map": {"type": "object", "patternProperties": {"^[a-z]{1,8}$": {"type": ["boolean", "null"]}}, "additionalProperties": False, "minProperties": 2},
    "tuple": {"type": "array", "prefixItems": [{"type": "string", "pattern": "^[A-Z]{3}$"}, {"type": "integer"}], "items": False, "minItems": 2},
    "not": {"type": "object", "properties": {"x": {"type": "integer", "not": {"multipleOf": 2}}}, "required": ["x"], "maxProperties": 2},
}


@pytest.fixture(scope="module")
def client(service):
    return OpenAI(base_url=f"http://127.0.0.1:{service.port}/v1", api_key="none", max_retries=0)


def ask(client, temperature, max_tokens, n=1, **fields):
    return client.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": "Give me an example as JSON."}],
                                          temperature=temperature, max_tokens=max_tokens, seed=5, n=n, **fields)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("temperature,max_tokens", [(0, 24), (0.7, 60), (1.5, 30), (2, 24), (2, 90)])
def test_answer_is_valid(client, name, temperature, max_tokens):
    schema = SCHEMAS[name]
    response = ask(client, temperature, max_tokens, n=3, response_format={"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}})
    for choice in response.choices:
        jsonschema.validate(json.loads(choice.message.content), schema, jsonschema.Draft202012Validator)


def test_json_object(client):
    for temperature in (0, 2):
        content = ask(client, temperature, 40, response_format={"type": "json_object"}).choices[0].message.content
        assert isinstance(json.loads(content), dict)


def test_streaming_and_stop_do_not_cut(client):
    stream = client.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": "JSON please"}], max_tokens=60, temperature=1, seed=1,
                                            stop=["\"", "}"], stream=True, extra_body={"guided_json": SCHEMAS["person"]})
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    jsonschema.validate(json.loads(text), SCHEMAS["person"])


def test_choice_regex_and_grammar(client):
    answer = ask(client, 2, 20, extra_body={"guided_choice": ["yes", "no", "maybe later"]}).choices[0]
    assert answer.message.content in ("yes", "no", "maybe later") and answer.finish_reason == "stop"
    answer = ask(client, 2, 30, extra_body={"guided_regex": "[a-f]{3,9}-\\d{2}"}).choices[0].message.content
    assert re.fullmatch("[a-f]{3,9}-\\d{2}", answer)
    answer = ask(client, 1, 30, extra_body={"grammar": 'root ::= [0-9]+ ("+" [0-9]+){2}'}).choices[0].message.content
    assert re.fullmatch(r"\d+\+\d+\+\d+", answer)


@pytest.mark.parametrize("temperature", [0, 1, 2])
def test_tags_hold_only_what_is_behind_a_trigger(client, temperature):
    tag = {"trigger": "<n>", "schema": {"type": "integer", "minimum": 500, "maximum": 599}, "end": "</n>"}
    answer = client.completions.create(model=CHAT, prompt="Numbers: <n>501</n> and <n>502</n> and <n>503</n> and", max_tokens=40, temperature=temperature, seed=3,
                                       extra_body={"guided_tags": [tag]}).choices[0].text
    parts = answer.split("<n>")[1:]
    assert all(re.match(r"\s*5\d\d\s*</n>", part) for part in parts), answer
    assert parts or temperature > 0, answer


def test_logprobs_are_the_models_own(client):
    choice = ask(client, 0, 20, logprobs=True, top_logprobs=2, extra_body={"guided_choice": ["zebra"]}).choices[0]
    assert choice.message.content == "zebra" and all(token.logprob < 0 for token in choice.logprobs.content)


@pytest.mark.parametrize("fields,param,part", [
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"properties": {"a": {"pattern": "(.)\\1"}}}}}}, "response_format", "/properties/a/pattern"),
    ({"extra_body": {"guided_json": {"$ref": "http://elsewhere/x"}}}, "guided_json", "/$ref"),
    ({"extra_body": {"guided_regex": "(("}}, "guided_regex", "missing )"),
    ({"extra_body": {"grammar": 'root ::= root "a" | "b"'}}, "grammar", "left recursion"),
    ({"extra_body": {"guided_tags": []}}, "guided_tags", "1 to 256"),
    ({"extra_body": {"guided_tags": [{"trigger": "<a", "schema": {}}, {"trigger": "<a>", "schema": {}}]}}, "guided_tags", "is part of"),
    ({"extra_body": {"guided_tags": [{"trigger": "<a>", "schema": {"$ref": "http://elsewhere/x"}}]}}, "guided_tags", "/$ref"),
    ({"extra_body": {"guided_json": {"const": "x" * 500}}, "max_tokens": 3}, "max_tokens", "at least"),
])
def test_refused_with_place(client, fields, param, part):
    fields = dict(fields)
    max_tokens = fields.pop("max_tokens", 50)
    with pytest.raises(BadRequestError) as error:
        ask(client, 1, max_tokens, **fields)
    assert error.value.body["param"] == param and part in error.value.body["message"]
