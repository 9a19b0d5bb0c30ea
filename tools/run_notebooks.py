#!/usr/bin/env python3
"""Runs the notebooks of examples/notebooks and draws the pictures of docs/notebooks.md.

    python tools/run_notebooks.py                  # all of them, a minute
    python tools/run_notebooks.py linear_probe

A notebook runs in a copy of examples/ and stays as it is: it is stored without outputs. Its n-th picture becomes
docs/images/notebook-NAME-n.png. Needs tools/requirements-frameworks.txt (`make setup-test`).
"""

from __future__ import annotations

import argparse
import base64
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples" / "notebooks"
IMAGES = ROOT / "docs" / "images"
SECONDS = 240  # of a cell, on a busy machine; a whole notebook takes 10 to 20


def execute(path: Path, work: Path) -> Any:
    """The notebook with its outputs, run by this Python in `work`, which becomes a copy of its folder; the files of
    the folder above, the other examples, come beside it."""
    import nbclient
    import nbformat

    shutil.copytree(path.parent, work, ignore=shutil.ignore_patterns("cells", "__pycache__"))
    for example in path.parent.parent.iterdir():
        if example.is_file():
            shutil.copy(example, work.parent)
    notebook = nbformat.read(path, as_version=4)
    # Whichever kernels the machine knows by this name; and the pictures as all others are.
    check = nbformat.v4.new_code_cell(
        f"import sys\nassert sys.prefix == {sys.prefix!r}, sys.prefix\n"
        f"sys.path.append({str(ROOT / 'tools')!r})\n"
        "import house_style\nhouse_style.for_matplotlib(dpi=100)"
    )
    notebook.cells.insert(0, check)
    options = {"timeout": SECONDS, "kernel_name": "python3", "resources": {"metadata": {"path": str(work)}}}
    nbclient.NotebookClient(notebook, **options).execute()
    return notebook


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def pictures(notebook: Any) -> list[bytes]:
    """Its pictures, as PNG."""
    found = [output.get("data", {}).get("image/png") for output in outputs(notebook)]
    return [base64.b64decode(picture) for picture in found if picture]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="of notebooks (default: all)")
    for name in parser.parse_args().names or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(FOLDER / f"{name}.ipynb", Path(folder) / "notebooks")
        for number, png in enumerate(pictures(notebook), 1):
            target = IMAGES / f"notebook-{name}-{number}.png"
            target.write_bytes(png)
            print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
