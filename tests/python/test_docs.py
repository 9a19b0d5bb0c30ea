"""All code in the README and on the pages of docs/ runs, on small files with the names that the pages use.

Fenced blocks of a page run from top to bottom, in one namespace and one working folder:

* ```python  runs; ```sh runs line by line in a shell;
* a block whose first line is `# not run: <reason>` does not; readers see the reason, too;
* on the pages of docs/migrating/ blocks that begin with `# not run: code for <another loader>` are only compiled;
* ```text, ```{directive} and blocks without a language are no code. Commands `make TARGET` in them must exist.
"""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import ROOT, framework

import make_demo_data
import make_parquet_data

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MIGRATING = ROOT / "docs" / "migrating"
CODE = {"python", "sh"}
NO_CODE = {"", "text", "json", "mermaid"}
NOT_RUN = re.compile(r"# not run: \S")
OF_OTHERS = re.compile(r"# not run: code for \w+")
MOST_NOT_RUN = 4


@dataclass
class Block:
    page: Path
    line: int  # of the first line of code
    language: str
    code: str

    @property
    def runs(self) -> bool:
        return self.language in CODE and not NOT_RUN.match(self.code)

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, text: str | None = None) -> list[Block]:
    found: list[Block] = []
    fence, start, language, code = "", 0, "", [""]
    for number, line in enumerate((page.read_text() if text is None else text).splitlines(), 1):
        if not fence:
            opening = re.match(r"\s*(`{3,}|~{3,})\s*(\S*)", line)
            if opening:
                fence, language, start, code = opening[1], opening[2], number + 1, []
        elif line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            found.append(Block(page, start, language, "\n".join(code) + "\n"))
            fence = ""
        else:
            code.append(line)
    assert not fence, f"{page}: the block before line {start} is not closed"
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    files = make_demo_data.make(make_demo_data.Spec(cells=2000, genes=1000), folder / "tahoe", quiet=True)
    make_parquet_data.make("lists", folder / "lists", [str(file) for file in files])
    # The notebooks' study, which has donors.
    small_data = runpy.run_path(str(ROOT / "examples" / "notebooks" / "small_data.py"))
    small_data["make"](str(folder / "cells"), cells=250, genes=500)
    return folder


def stub_step(*batch: Any) -> None:
    """A training step of the pages that compare loaders; all it gets has a row for each cell."""
    assert len({len(part) for part in batch}) == 1 and len(batch[0]) > 0


def stub_model(x: Any, labels: Any) -> Any:
    """The README says "your model"; it takes a batch and its codes."""
    assert x.shape[0] == labels.shape[0]
    return x.values().sum()


# What a page takes for granted.
GIVEN: dict[str, dict[str, Any]] = {"README.md": {"model": stub_model}}
GIVEN_MIGRATING: dict[str, Any] = {
    "step": stub_step,
    "files": [f"tahoe/plate{i + 1}.h5ad" for i in range(make_demo_data.Spec.files)],
}


# Pages whose code needs a framework that only tests install.
FRAMEWORKS = {"scvi.md": "scvi", "accelerate.md": "accelerate"}


def run_page(page: Path, of_page: list[Block]) -> None:
    """In the working folder. Tracebacks name the line of the page."""
    given = GIVEN_MIGRATING if page.parent == MIGRATING else GIVEN.get(page.name, {})
    namespace: dict[str, Any] = {"__name__": "__page__", **given}
    env = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    for block in of_page:
        if not block.runs:
            continue
        if block.language == "sh":
            done = subprocess.run(["bash", "-eu", "-c", block.code], capture_output=True, text=True, env=env)
            assert done.returncode == 0, f"{block.where}\n{block.code}\n{done.stdout}{done.stderr}"
            continue
        code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
        try:
            exec(code, namespace)
        except Exception as error:
            lines = "".join(traceback.format_exception(error))
            raise AssertionError(f"{block.where}: the page's code fails\n{block.code}\n{lines}") from None
    for value in namespace.values():  # threads and memory of this page's loaders
        if hasattr(value, "plan") and hasattr(value, "close"):
            value.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_runs(page: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page.name in FRAMEWORKS:
        framework(FRAMEWORKS[page.name])
    monkeypatch.chdir(data)
    run_page(page, blocks(page))


def test_every_block_is_accounted_for() -> None:
    every = [block for page in PAGES for block in blocks(page)]
    strange = [b.where for b in every if b.language not in CODE | NO_CODE and not b.language.startswith("{")]
    assert not strange, "blocks in a language that nothing runs"
    not_run = [b.where for b in every if b.language in CODE and not b.runs and not of_others(b)]
    assert len(not_run) <= MOST_NOT_RUN, "too many blocks that do not run"
    assert sum(b.runs for b in every) > 20
    assert any(b.runs for b in blocks(ROOT / "README.md"))
    # Python in a block that says it is none would escape.
    hidden = [b.where for b in every if not b.language and re.search(r"^(import|from) \w+", b.code, re.M)]
    assert not hidden, "python blocks without a language"


def of_others(block: Block) -> bool:
    return block.page.parent == MIGRATING and OF_OTHERS.match(block.code) is not None


def test_pages_of_other_loaders_show_both() -> None:
    """Their code beside ours, and both at least Python."""
    pages = [page for page in PAGES if page.parent == MIGRATING and page.name != "index.md"]
    assert len(pages) == 5
    listed = (MIGRATING / "index.md").read_text()
    for page in pages:
        assert f"]({page.name})" in listed and f"\n{page.stem}\n" in listed, page.name
        found = blocks(page)
        assert any(b.runs for b in found) and any(of_others(b) for b in found), page.name
        for block in found:
            compile(block.code, block.where, "exec")
        # What is beside something else must not be cut off.
        beside = re.findall(r'<div class="side-by-side">\n\n(.*?)\n\n</div>', page.read_text(), re.S)
        assert beside, page.name
        for part in beside:
            assert [of_others(block) for block in blocks(page, part)] == [True, False], page.name
            assert max(map(len, part.splitlines())) <= 52, page.name


def test_the_first_page_lists_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    listed = set(re.findall(r"\]\(([\w/-]+\.md)\)", index))
    there = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.parent != ROOT}
    assert listed == there - {"index.md"}


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+)(?: [a-z -]+)?:", (ROOT / "Makefile").read_text(), re.M))
    assert "docs" in targets
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        text = page.read_text()
        named = set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^make ([a-z-]+)", text, re.M))
        assert named <= targets, page.name


def test_pictures_are_small_and_there() -> None:
    for page in PAGES:
        for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / name).stat().st_size < 150_000, name


def test_the_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "made-up.md"
    text = "a\n```python\nx = 1\n```\n```text\nno code\n```\n````\n```\n````\n```python\n# not run: a GPU\n1 / 0\n```\n"
    found = blocks(page, text)
    assert [(b.language, b.line, b.runs) for b in found] == [
        ("python", 3, True),
        ("text", 6, False),
        ("", 9, False),
        ("python", 12, False),
    ]
    run_page(page, found)
    run_page(page, blocks(page, "```python\nx = 1\n```\n```python\nassert x == 1\n```\n```sh\nls\n```\n"))
    with pytest.raises(AssertionError, match=r"made-up.md:2(.|\n)*line 3(.|\n)*ZeroDivisionError"):
        run_page(page, blocks(page, "```python\nx = 1\n1 / 0\n```\n"))
    with pytest.raises(AssertionError, match="no-such-command"):
        run_page(page, blocks(page, "```sh\nno-such-command\nls\n```\n"))
    # "not run" without a reason runs.
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_page(page, blocks(page, "```python\n# not run:\n1 / 0\n```\n"))
