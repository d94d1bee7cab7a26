"""Random JSON Schemas that have values, for tools and structured answers. The same seed gives the same schemas."""
import random

WORDS = ["city", "unit", "count", "name", "tags", "when", "size", "mode", "limit", "query", "price", "path", "名字", "größe"]
PATTERNS = ["^[A-Z]{2}-[0-9]{3}$", "^(red|green|blue)+$", "^[a-z]+@[a-z]+\\.com$", "^\\d{1,4}$"]


def scalar(rng):
    kind = rng.randrange(9)
    if kind == 0:
        return {"type": "string"}
    if kind == 1:
        low = rng.randrange(4)
        return {"type": "string", "minLength": low, "maxLength": low + rng.randrange(12)}
    if kind == 2:
        return {"type": "string", "enum": rng.sample(WORDS, rng.randint(1, 4))}
    if kind == 3:
        return {"type": "string", "pattern": rng.choice(PATTERNS)}
    if kind == 4:
        low = rng.randint(-1000, 1000)
        return {"type": "integer", "minimum": low, "maximum": low + rng.randrange(500)}
    if kind == 5:
        return {"type": "number", "exclusiveMinimum": rng.choice([-1.5, 0, 3]), "maximum": rng.choice([3.25, 10, 1e6])}
    if kind == 6:
        return {"type": "boolean"}
    if kind == 7:
        return {"type": "integer", "multipleOf": rng.choice([2, 5, 7])}
    return {"type": ["string", "null"], "format": rng.choice(["date", "uuid", "ipv4", "email"])}


def value(rng, depth):
    kind = rng.randrange(10)
    if depth <= 0 or kind < 6:
        return scalar(rng)
    if kind < 8:
        low = rng.randrange(3)
        return {"type": "array", "items": value(rng, depth - 1), "minItems": low, "maxItems": low + rng.randrange(4)}
    if kind == 8:
        return {"anyOf": [value(rng, depth - 1), value(rng, depth - 1)]}
    return parameters(rng, depth - 1)


def parameters(rng, depth=2):
    """An object schema with up to five properties."""
    names = rng.sample(WORDS, rng.randint(0, 5))
    schema = {"type": "object", "properties": {name: value(rng, depth) for name in names},
              "required": [name for name in names if rng.random() < 0.6]}
    if rng.random() < 0.5:
        schema["additionalProperties"] = False
    return schema


def tools(rng, n):
    return [{"type": "function", "function": {"name": f"{rng.choice(['get', 'set', 'find'])}_{i}", "parameters": parameters(rng), "strict": True}} for i in range(n)]


def generator(seed):
    return random.Random(seed)
