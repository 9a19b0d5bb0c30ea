#!/usr/bin/env python3
"""Checks what the compiler cannot: the arrows between folders, build lists, and paths named in the docs.

    python tools/check_layers.py [ROOT]

* A folder of src/ includes only what is left of it (LAYERS below); including a public header is including the
  folder that its "Layer:" line names; include/penstock includes nothing of src/. *_test.cc and *_bench.cc may
  include anything.
* No Python, torch, libhdf5, Arrow or <iostream> in the core; nothing but tests includes a testing/ folder.
* Every .cc is named in a CMakeLists.txt of its folder or a folder above it.
* Every path named in ARCHITECTURE.md and CONTRIBUTING.md exists, and the line of arrows there is this one.
* C++ sources are ASCII outside string literals.
* Where the order of rows is decided (ORDER below), functions are those that IEEE 754 rounds correctly: the
  others differ between C libraries in the last bit, and a bit can be a row.
"""

from __future__ import annotations

import fnmatch
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# A layer may include the layers before it and itself; folders of one layer are siblings and may not include
# each other.
LAYERS = [
    {"base"},
    {"memory"},
    {"io", "codecs"},
    {"source"},
    {"store", "query"},
    {"hdf5", "parquet"},
    {"anndata"},
    {"dataset"},
    {"plan", "batch"},
    {"setup"},
    {"engine"},
    {"loader"},
    {"report"},
    {"cli", "python"},
]
LAYER_OF = {folder: i for i, layer in enumerate(LAYERS) for folder in layer}
# Pure kernels: whatever is left of them, they include base only. And who calls those that a folder keeps to
# itself: the readers of the two formats.
PURE = {"batch", "codecs/kernels"}
CALLS_KERNELS = {"codecs", "parquet"}
# A public header says of which folder it is.
LAYER_LINE = re.compile(r"^// Layer: (\w+)\.$", re.MULTILINE)
FOREIGN = re.compile(
    r"^(Python\.h|torch/|ATen/|c10/|hdf5\.h|H5\w*\.h|arrow/|parquet/api|nanobind/|pybind11/)"
)

ORDER = (
    "src/plan/*",
    "src/loader/create.cc",
    "src/loader/sample.cc",
    "src/setup/weights.cc",
    "src/dataset/split*",
    "src/dataset/group_assignment*",
    "src/dataset/apportion*",
)
INEXACT = re.compile(
    r"\b(?:std::)?(log|log2|log10|log1p|exp|exp2|expm1|pow|cbrt|hypot|sin|cos|tan|tanh|lgamma|tgamma|erf|fma)f?\s*\("
)

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
RAW_STRING = re.compile(r'R"(\w*)\((.*?)\)\1"', re.DOTALL)
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
SOURCES = {".h", ".cc"}
CODE_ROOTS = ("include", "src", "python/src", "tests", "benchmarks", "fuzz", "examples", "tools")
DOCS = ("ARCHITECTURE.md", "CONTRIBUTING.md")
MADE = ("build/", "data/", "demo-output/", "bench-output/", ".venv/")  # may be named, need not exist


def sources(root: Path) -> Iterator[Path]:
    for top in CODE_ROOTS:
        yield from sorted(p for p in (root / top).rglob("*") if p.suffix in SOURCES and p.is_file())


def folder_of(root: Path, path: str) -> str | None:
    """The layer folder of a file given relative to the project, or None outside of them."""
    parts = path.split("/")
    if path.startswith("include/penstock/"):
        said = LAYER_LINE.search((root / path).read_text(errors="replace"))
        return said[1] if said else "unknown"
    if path.startswith("python/src/"):
        return "python"
    if parts[0] != "src" or len(parts) < 3:
        return None
    return "codecs/kernels" if parts[1:3] == ["codecs", "kernels"] else parts[1]


def free(path: str) -> bool:
    """Tests and benchmarks may include anything."""
    stem = path.rsplit("/", 1)[-1].removesuffix(".cc").removesuffix(".h")
    in_source = path.startswith(("src/", "include/", "python/src/"))
    return not in_source or "/testing/" in path or stem.endswith(("_test", "_bench")) or stem == "testing"


def resolve(root: Path, includer: str, name: str) -> str | None:
    """The project file that `#include "name"` means, or None when it is a library's."""
    for candidate in (f"include/{name}", f"src/{name}", f"{includer.rsplit('/', 1)[0]}/{name}"):
        if (root / candidate).is_file():
            return candidate
    return None


def arrow_error(user: str, used: str) -> str | None:
    """Why folder `user` may not include folder `used`, or None when it may."""
    if user == used or used == "base":
        return None
    if user in PURE:
        return f"{user} may include base only"
    if used == "codecs/kernels":
        return (
            None
            if user in CALLS_KERNELS
            else f"only {' and '.join(sorted(CALLS_KERNELS))} call their kernels"
        )
    if user not in LAYER_OF or used not in LAYER_OF:
        return f"{user if user not in LAYER_OF else used} is not a folder that tools/check_layers.py knows"
    if LAYER_OF[used] == LAYER_OF[user]:
        return f"{used} is a sibling of {user}"
    if LAYER_OF[used] > LAYER_OF[user]:
        return f"{used} is right of {user}"
    return None


def check_includes(root: Path) -> Iterator[str]:
    for file in sources(root):
        path = file.relative_to(root).as_posix()
        user = folder_of(root, path)
        if user is None or free(path):
            continue
        text = file.read_text(errors="replace")
        for match in INCLUDE.finditer(text):
            name = match[1] or match[2]
            where = f"{path}:{text.count(chr(10), 0, match.start(match.lastindex or 0)) + 1}"
            used_path = resolve(root, path, name) if match[1] else None
            if match[1] and used_path is None and name.split("/")[0] in (LAYER_OF.keys() | {"penstock"}):
                yield f"{where}: {name} does not exist"
            if used_path is None:
                if user != "python" and FOREIGN.match(name):
                    yield f"{where}: <{name}> does not belong in the core"
                if user not in ("python", "cli") and name == "iostream":
                    yield f"{where}: the core prints nothing, so it needs no <iostream>"
                continue
            used = folder_of(root, used_path)
            if path.startswith("include/") and not used_path.startswith("include/"):
                yield f"{where}: public headers may not include src/ ({name})"
            elif used is None or free(used_path):
                yield f"{where}: {name} is for tests and benchmarks"
            elif error := arrow_error(user, used):
                yield f"{where}: includes {name}, but {error}"


def check_headers(root: Path) -> Iterator[str]:
    """Every public header has its line."""
    for file in sorted((root / "include/penstock").glob("*.h")):
        said = LAYER_LINE.search(file.read_text(errors="replace"))
        if said is None or said[1] not in LAYER_OF:
            yield f"{file.relative_to(root)}: says no layer: // Layer: base."


def check_targets(root: Path) -> Iterator[str]:
    """Every .cc is in a target: named, directly or by a glob, in a CMakeLists.txt beside or above it."""
    words: dict[Path, list[str]] = {}
    for file in sources(root):
        if file.suffix != ".cc":
            continue
        folder = file.parent
        while True:
            lists = folder / "CMakeLists.txt"
            if lists not in words:
                text = re.sub(r"#.*", "", lists.read_text()) if lists.is_file() else ""
                text = text.replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")
                words[lists] = re.findall(r"[^\s()\"]+", text)
            name = file.relative_to(folder).as_posix()
            if any(w == name or ("*" in w and fnmatch.fnmatch(name, w)) for w in words[lists]):
                break
            if folder == root:
                yield f"{file.relative_to(root)}: not in any target (name it in a CMakeLists.txt)"
                break
            folder = folder.parent


def expand(word: str) -> list[str]:
    """a/{b,c}.h -> a/b.h a/c.h"""
    match = re.search(r"\{([^{}]*)\}", word)
    if not match:
        return [word]
    return [
        x for part in match[1].split(",") for x in expand(word[: match.start()] + part + word[match.end() :])
    ]


def check_docs(root: Path) -> Iterator[str]:
    tops = {p.name for p in root.iterdir() if p.is_dir()} | {t.split("/")[0] for t in CODE_ROOTS}
    for doc in DOCS:
        file = root / doc
        if not file.is_file():
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            # A path has a slash and starts at a top folder, a folder of src/ or include/penstock.
            for word in re.findall(r"(?<![\w/.<-])[\w.-]+/[\w./{},*-]*", line):
                word = word.rstrip(".,")
                top = word.split("/")[0]
                if word.startswith(MADE) or not (top in tops or top in LAYER_OF):
                    continue
                for path in expand(word):
                    places = [root / path] if top in tops else []
                    if top in LAYER_OF:
                        places.append(root / "src" / path)
                    if not any(_exists(p) for p in places):
                        yield f"{doc}:{number}: {path} does not exist"


def arrows(layers: list[set[str]]) -> str:
    """base <- memory <- {codecs, io} <- ..."""
    words = [", ".join(sorted(layer)) for layer in layers]
    return " <- ".join(f"{{{w}}}" if "," in w else w for w in words)


def check_arrows(root: Path) -> Iterator[str]:
    """A line of arrows in ARCHITECTURE.md, in any order of siblings, is LAYERS."""
    file = root / "ARCHITECTURE.md"
    text = " ".join(file.read_text().split()) if file.is_file() else ""
    for line in re.findall(r"`(base <- [^`]*)`", text):
        layers = [set(re.findall(r"\w+", part)) for part in line.split("<-")]
        if layers != LAYERS:
            yield f"ARCHITECTURE.md: the arrows {line} are not those of tools/check_layers.py: {arrows(LAYERS)}"


def _exists(path: Path) -> bool:
    if "*" not in path.name:
        return path.exists()
    return path.parent.is_dir() and any(path.parent.glob(path.name))


def check_order(root: Path) -> Iterator[str]:
    for file in sources(root):
        path = file.relative_to(root).as_posix()
        if free(path) or not any(fnmatch.fnmatch(path, pattern) for pattern in ORDER):
            continue
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            if found := INEXACT.search(line.split("//")[0]):
                yield (
                    f"{path}:{number}: {found[1]}() is not the same on every machine, and the order of rows is decided "
                    "here: use + - * / sqrt and whole numbers"
                )


def check_ascii(root: Path) -> Iterator[str]:
    for file in sources(root):
        text = file.read_text(errors="replace")
        # Literals go, their newlines stay: line numbers hold.
        bare = RAW_STRING.sub(lambda m: "\n" * m[0].count("\n"), text)
        for number, line in enumerate(STRING.sub('""', bare).splitlines(), 1):
            if not line.isascii():
                odd = next(c for c in line if not c.isascii())
                where = f"{file.relative_to(root)}:{number}"
                yield f"{where}: {odd!r} outside a string literal: C++ sources are ASCII"


def check(root: Path) -> list[str]:
    return [
        e
        for c in (
            check_includes,
            check_headers,
            check_targets,
            check_docs,
            check_arrows,
            check_ascii,
            check_order,
        )
        for e in c(root)
    ]


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    errors = check(root)
    print("\n".join(errors) or "check_layers: arrows, targets, paths and characters are in order")
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
