"""The documents tell the truth: every ```sh and ```python block of README.md and of the guides under docs is run as it stands.

A block that a test cannot run has `<!-- not run: reason -->` on the line before it. A block that shows a refused request has
`<!-- refused: STATUS -->`; without it, curl fails on every HTTP error. Port 8000 becomes the port of the test's service.
The blocks of one document share a directory and run in order. In it are `my-model` (a tiny Hugging Face directory) and
`my-model.gguf`, which the examples use as "your own model".
"""
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy
import pytest
from safetensors.numpy import save_file

from conftest import Service

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", "docs/API.md", "docs/MODELS.md", "docs/TOOLS.md", "docs/AGENTS.md", "docs/STRUCTURED_OUTPUT.md"]
SERVED = ["qwen2.5-coder-0.5b", "all-minilm-l6-v2"]  # what `hanlin serve` serves without --model
NEEDED = SERVED + ["smollm2-135m"]
BLOCK = re.compile(r"(?:^<!-- (?P<mark>not run|refused): (?P<detail>[^\n]+) -->\n)?^```(?P<language>sh|python)\n(?P<text>.*?)^```$", re.M | re.S)


def blocks():
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match["mark"] != "not run":
                line = text.count("\n", 0, match.start("text")) + 1
                yield pytest.param(document, match["language"], match["text"], match["detail"], id=f"{document}:{line}")


def without_settings():
    """The environment without settings of this machine; the model cache stays."""
    return {key: value for key, value in os.environ.items() if not key.startswith("HANLIN_") and "proxy" not in key.lower()}


@pytest.fixture(scope="module")
def models_cached(hanlin_bin):
    if os.environ.get("HANLIN_SKIP_LARGE") == "1":
        pytest.skip("HANLIN_SKIP_LARGE=1: no real model files")
    listed = json.loads(subprocess.run([hanlin_bin, "list", "--json"], capture_output=True, text=True, check=True, timeout=60).stdout)
    missing = sorted(set(NEEDED) - {model["name"] for model in listed})
    if missing:
        pytest.skip(f"not in the model cache: {', '.join(missing)} (./test fetches them)")


@pytest.fixture(scope="module")
def service(models_cached, hanlin_bin, tmp_path_factory):
    """`hanlin serve` as it stands in the documents: the default models from the cache."""
    with Service(hanlin_bin, tmp_path_factory.mktemp("docs-server"), {}, environment=without_settings()) as running:
        yield running


def write_tiny_llama(directory):
    """A llama with random weights and a byte-level tokenizer without merges, as Hugging Face lays it out."""
    directory.mkdir()
    width, n_heads, n_kv, inner, n_layers, vocabulary = 64, 4, 2, 128, 2, 257
    rng = numpy.random.default_rng(7)
    shapes = {"model.embed_tokens.weight": (vocabulary, width), "model.norm.weight": (width,), "lm_head.weight": (vocabulary, width)}
    for layer in range(n_layers):
        prefix = f"model.layers.{layer}."
        head = width // n_heads
        shapes |= {prefix + "input_layernorm.weight": (width,), prefix + "post_attention_layernorm.weight": (width,),
                   prefix + "self_attn.q_proj.weight": (width, width), prefix + "self_attn.o_proj.weight": (width, width),
                   prefix + "self_attn.k_proj.weight": (n_kv * head, width), prefix + "self_attn.v_proj.weight": (n_kv * head, width),
                   prefix + "mlp.gate_proj.weight": (inner, width), prefix + "mlp.up_proj.weight": (inner, width),
                   prefix + "mlp.down_proj.weight": (width, inner)}
    save_file({name: (rng.standard_normal(shape) * 0.1 + (len(shape) == 1)).astype(numpy.float32) for name, shape in shapes.items()},
              directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": width, "intermediate_size": inner,
        "num_hidden_layers": n_layers, "num_attention_heads": n_heads, "num_key_value_heads": n_kv, "vocab_size": vocabulary,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": False, "bos_token_id": 256, "eos_token_id": 256}))
    # GPT-2's byte alphabet: printable bytes stand for themselves, the others for U+0100 and up, in order.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    end = {"id": 256, "content": "<|end|>", "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    (directory / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [end], "normalizer": None, "pre_tokenizer": byte_level,
        "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {characters[byte]: byte for byte in range(256)}, "merges": []}}))


@pytest.fixture(scope="module")
def workshops(models_cached, hanlin_bin, tmp_path_factory):
    """document → the directory its blocks run in."""
    smollm = subprocess.run([hanlin_bin, "pull", "--quiet", "smollm2-135m"], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    made = {}
    for document in DOCUMENTS:
        directory = made[document] = tmp_path_factory.mktemp(pathlib.Path(document).stem)
        write_tiny_llama(directory / "my-model")
        (directory / "my-model.gguf").symlink_to(smollm)
    return made


@pytest.fixture(scope="module")
def path_with_tools(hanlin_bin, tmp_path_factory):
    """PATH on which `hanlin` is the built program, `python3` has the clients, and `curl` fails on HTTP errors."""
    tools = tmp_path_factory.mktemp("tools")
    (tools / "hanlin").symlink_to(hanlin_bin.resolve())
    (tools / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    curl = shutil.which("curl")
    assert curl, "the documents' examples use curl, which is not installed"
    (tools / "curl").write_text(f'#!/bin/sh\nexec "{curl}" $HANLIN_DOCS_CURL "$@"\n')
    for name in ("python3", "curl"):
        (tools / name).chmod(0o755)
    return f"{tools}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("document, language, text, refused", list(blocks()))
def test_block_runs(document, language, text, refused, service, workshops, path_with_tools):
    text = re.sub(r"(localhost|127\.0\.0\.1):8000\b", rf"\1:{service.port}", text)
    environment = without_settings() | {"PATH": path_with_tools, "HANLIN_DOCS_CURL": "" if refused else "--fail-with-body"}
    program = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
    result = subprocess.run(program, cwd=workshops[document], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    story = f"{text}\n--- exit status {result.returncode}\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}\nthe end of the log:\n{service.log()}"
    assert service.process.poll() is None, story
    assert result.returncode == 0, story
    if refused:
        assert refused in result.stdout and '"error":{"message"' in result.stdout, story


def test_few_blocks_are_left_out():
    text = "".join((ROOT / document).read_text(encoding="utf-8") for document in DOCUMENTS)
    all_blocks, run = len(re.findall(r"^```(?:sh|python)$", text, re.M)), len(list(blocks()))
    left_out = len(re.findall(r"^<!-- not run: .+ -->\n```", text, re.M))
    assert run + left_out == all_blocks, "a mark that is not directly before its block, or has no reason"
    assert run >= 4 * left_out


def test_every_command_is_in_the_readme(hanlin_bin):
    shown = subprocess.run([hanlin_bin, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    names = re.findall(r"^  ([a-z]+) {2,}\S", shown[shown.index("Subcommands:"):], re.M)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(names) > 10
    assert [name for name in names if f"`hanlin {name}`" not in readme] == []


def test_every_route_is_in_the_reference():
    source = (ROOT / "src/server/routes.cpp").read_text(encoding="utf-8")
    routes = [(method, path) for method, path in re.findall(r'^    \{"(GET|POST|DELETE)", "([^"]+)", ', source, re.M) if path not in ("/favicon.ico", "/ui/{file*}")]
    reference = (ROOT / "docs/API.md").read_text(encoding="utf-8")
    assert len(routes) > 10
    assert [route for route in routes if "`{} {}`".format(*route).replace("*", "") not in reference] == []


def test_layers_in_the_architecture_page_are_the_checked_ones():
    spec = importlib.util.spec_from_file_location("check_layers", ROOT / "tools/check_layers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z_/]+)` \| [^|]+ \| ([^|]+) \|$", page, re.M))
    shown = {name: re.findall(r"`([a-z_/]+)`", may) if may != "everything" else ["*"] for name, may in rows.items()}
    assert shown == module.TABLE


@pytest.mark.parametrize("document", [*DOCUMENTS, "docs/ARCHITECTURE.md", "docs/DEPENDENCIES.md"])
def test_files_and_links_exist(document):
    path = ROOT / document
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"`((?:src|tests|tools|docs|cmake|bench|web)/[\w./-]*)`", text)
    linked = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    missing = [name for name in named if not (ROOT / name).exists()] + [link for link in linked if not (path.parent / link).exists()]
    assert missing == []
