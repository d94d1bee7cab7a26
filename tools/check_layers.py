#!/usr/bin/env python3
"""Checks who includes whom: every `#include "library/…"` under src/ must follow the table below.

usage: check_layers.py [ROOT]     prints violations as file:line; exit status 1 if there are any
"""
import pathlib
import re
import sys

# library: the libraries whose headers it may include besides its own. Written out directly; "indirectly allowed" counts as
# well (see allowed()), so each line names only the nearest ones.
TABLE = {
    "base": [],
    "tensor": ["base"],
    "kernels": [],
    "formats": ["base", "tensor"],
    "quant": ["formats", "tensor", "kernels"],
    "backend": ["quant", "kernels"],
    "ops": ["backend"],
    "text": ["base", "formats"],
    "text/chat_template": ["text"],
    "grammar": ["base", "text"],
    "model": ["ops", "formats"],
    "model/convert": ["model", "quant", "text"],
    "api": ["base"],
    "engine": ["model", "text", "text/chat_template", "grammar", "api"],
    "hub": ["base"],
    "net": ["base", "hub"],
    "store": ["base"],
    "remote": ["base", "api", "net"],
    "agent": ["base", "api"],
    "agent/memory": ["agent"],
    "agent/sandbox": ["base"],
    "agent/tools": ["agent", "agent/sandbox", "net"],
    "agent/mcp": ["agent/tools"],
    "agent/run": ["agent", "agent/memory", "store"],
    "server": ["base", "api", "agent", "agent/run"],
    "app": ["*"],
}
# Files below src/kernels/<level>/ see nothing but kernels/ headers: TABLE["kernels"] is empty on purpose.

# Heavy or replaceable third parties, and the only places that may include them ("src/…" prefixes).
WALLS = {
    r"nlohmann/": ["src/base/json.h", "src/base/json_fwd.h"],
    r"spdlog/": ["src/base/log.cpp"],
    r"toml\+\+/": ["src/app/toml_file.cpp"],
    r"CLI/": ["src/app/cli.cpp"],
    r"boost/(beast|asio)": ["src/server/", "src/hub/http_client.cpp", "src/net/http_call.cpp"],
    r"openssl/": ["src/server/", "src/hub/", "src/net/http_call.cpp"],
    r"prometheus/": ["src/server/", "src/app/"],
    r"boost/(multiprecision|math)": ["src/agent/tools/calculator_value."],
    r"valijson/": ["src/agent/run/check_arguments.cpp"],
    r"seccomp\.h": ["src/agent/sandbox/seccomp_filter.cpp"],
    r"sqlite3\.h": ["src/agent/tools/sql", "src/store/sqlite.cpp"],
    r"libpq-fe\.h": ["src/agent/tools/postgres_reader.cpp"],
    r"unicode/": ["src/agent/tools/"],
    r"(immintrin|x86intrin|cpuid)\.h": ["src/kernels/", "src/base/compute_pool.cpp"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
SOURCES = {".h", ".cpp", ".cc", ".cu", ".c", ".inc"}


def allowed(library, table=TABLE):
    """All libraries that `library` may include, itself among them."""
    seen, todo = set(), [library]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += table.get(name, [])
    return seen


def library_of(path):
    """'text/chat_template/parser.h' → 'text/chat_template'; None for a path that is in no library."""
    best = None
    for name in TABLE:
        if path.startswith(name + "/") and (best is None or len(name) > len(best)):
            best = name
    return best


def check(root):
    problems = []
    for source in sorted((root / "src").rglob("*")):
        if source.suffix not in SOURCES:
            continue
        relative = source.relative_to(root).as_posix()
        library = library_of(source.relative_to(root / "src").as_posix())
        if library is None:
            problems.append(f"{relative}:1: is in no library of the table in tools/check_layers.py")
            continue
        may = allowed(library)
        for number, line in enumerate(source.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            header = match.group(1) or match.group(2)
            target = library_of(header)
            if match.group(1) and target and "*" not in may and target not in may:
                problems.append(f"{relative}:{number}: {library} may not include {header} (allowed: {', '.join(sorted(may))})")
            if match.group(1) and not target and not (root / "src" / header).exists() and not (source.parent / header).exists():
                problems.append(f"{relative}:{number}: \"{header}\" is no header of ours")
            for pattern, places in WALLS.items():
                if re.match(pattern, header) and not any(relative.startswith(place) for place in places):
                    problems.append(f"{relative}:{number}: only {', '.join(places)} may include {header}")
    return problems


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[1]
    problems = check(root)
    for problem in problems:
        print(problem)
    print(f"layers: {len(problems)} violation(s)" if problems else "layers: every include follows the table")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
