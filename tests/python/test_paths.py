"""From what users write to files: one rule for open() and for the command."""

from __future__ import annotations

import glob
import json
import os
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest
import scipy.sparse as sp
from test_cli import COMMAND, run

import penstock
from penstock import _core
from penstock.paths import expand

FILES = [
    "a.h5ad", "b.h5ad", "b1.h5ad", ".hidden.h5ad", "odd[1].h5ad", "x-y.h5ad", "deep/c.h5ad", "deep/er/d.h5ad",
    "deep/.secret/e.h5ad", "other/a.h5ad", "other/notes.txt",
]  # fmt: skip
PATTERNS = [
    "*.h5ad", "?.h5ad", "[ab].h5ad", "[!a].h5ad", "[a-b]*.h5ad", "**/*.h5ad", "deep/**/*.h5ad", "*/a.h5ad",
    "**/a.h5ad", ".*.h5ad", "*[[]1].h5ad", "d*/e*/*.h5ad", "deep/../*.h5ad", "./*.h5ad", "[x]-?.h5ad",
    "*/*", "*-*", "[!.]*.h5ad", "**/[c-e].h5ad",
]  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    made = ad.AnnData(sp.eye(3, format="csr", dtype="f4"), obs=pd.DataFrame(index=list("abc")))
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".h5ad"):
            made.write_h5ad(root / name)
        else:
            (root / name).write_text("notes")
    return root


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_globs_are_pythons(tree, monkeypatch, pattern, absolute):
    monkeypatch.chdir(tree)
    asked = os.path.join(tree, pattern) if absolute else pattern
    expected = sorted(glob.glob(asked, recursive=True))
    assert expected, "the pattern shows nothing"
    assert [os.path.normpath(p) for p in expand(asked)] == [os.path.normpath(p) for p in expected]


def test_home_and_types(tree, monkeypatch):
    monkeypatch.setenv("HOME", str(tree))
    assert expand("~/a.h5ad") == expand(Path("~/a.h5ad")) == expand(b"~/a.h5ad") == [str(tree / "a.h5ad")]
    assert expand("~nobody-of-this-name/a.h5ad") == ["~nobody-of-this-name/a.h5ad"]
    assert expand(["~/b.h5ad", tree / "a.h5ad"]) == [str(tree / "b.h5ad"), str(tree / "a.h5ad")]


def test_a_folder_and_what_there_is(tree):
    names = [name for name in FILES if "/" not in name]
    assert expand(tree) == [str(tree / name) for name in sorted(names)]
    assert expand(str(tree / "odd[1].h5ad")) == [str(tree / "odd[1].h5ad")]
    with pytest.raises(FileNotFoundError, match="no file matches"):
        expand(str(tree / "none*.h5ad"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        penstock.open(tree / "none.h5ad")


def test_both_kinds_in_a_folder(tmp_path):
    (tmp_path / "a.h5ad").touch()
    (tmp_path / "b.parquet").touch()
    with pytest.raises(ValueError, match=r"\*\.h5ad"):
        expand(tmp_path)
    (tmp_path / "a.h5ad").unlink()
    for name in ("gene_metadata.parquet", "sample_metadata.parquet", "obs.parquet", "var.parquet"):
        (tmp_path / name).touch()
    assert expand(tmp_path) == [str(tmp_path / "b.parquet")], "tables beside the rows are none"


def test_links_that_lead_back_end(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "back").symlink_to(tmp_path)
    (tmp_path / "a.h5ad").touch()
    assert str(tmp_path / "a.h5ad") in _core.expand_paths([str(tmp_path / "**" / "*.h5ad")])


@pytest.mark.skipif(COMMAND is None, reason="the command is not built")
def test_the_command_takes_what_open_takes(tree):
    for given in (str(tree), str(tree / "*.h5ad"), str(tree / "**" / "?.h5ad")):
        expected = expand(given)
        for command in ("info", "verify"):
            done = run(command, "--json", given)
            assert done.returncode == 0, done.stderr
            assert [found["path"] for found in json.loads(done.stdout)] == expected
        plan = run("plan", given, "--json", "--memory", "32MB")
        assert plan.returncode == 0 and json.loads(plan.stdout)["n_files"] == len(expected)
    done = run("info", str(tree / "none*.h5ad"))
    assert done.returncode == 1 and "no file matches" in done.stderr
