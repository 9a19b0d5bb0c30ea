"""Sphinx: `make docs` builds these pages into build/docs; warnings are errors."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from sphinx.application import Sphinx

import penstock

# The pages of the command run it: the one that is installed beside this Python.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

project = "Penstock"
author = "the Penstock developers"
copyright = author
version = release = penstock.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxcontrib.programoutput",
]
html_theme = "furo"
html_title = f"Penstock {version}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
exclude_patterns = ["images"]

myst_heading_anchors = 3
# A name in single backticks in a docstring is a name in Python.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # they are in the text of the docstrings
autodoc_class_signature = "mixed"
# Its adapter is described where it is not installed, too.
autodoc_mock_imports = [] if importlib.util.find_spec("scvi") else ["scvi"]
napoleon_custom_sections = [("Keys", "params_style")]

# References are checked, but for libraries whose pages would have to be downloaded.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(numpy|pandas|scipy|scvi|torch|anndata|collections|pathlib|typing)(\..*)?"),
    (r"py:.*", r"([A-Z]\w*(Error|Warning)|astype|int|str|dict|list|bool|float|tuple)"),
]


def join_first_line(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Napoleon reads the first line of a property as "type: text"; ours are sentences, which may have a colon."""
    types = [i for i, line in enumerate(lines) if line.startswith(":type: ")]
    if what == "property" and types:
        lines[0] = f"{lines.pop(types[0]).removeprefix(':type: ')}: {lines[0]}"


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", join_first_line, priority=600)  # after napoleon
