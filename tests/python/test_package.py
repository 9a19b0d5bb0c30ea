"""The package itself: what is public, typed, documented, and that torch is optional."""

from __future__ import annotations

import ast
import copy
import inspect
import json
import pickle
import re

import pytest
from support import ROOT, run_python

import penstock
from penstock import _core
from penstock.notes import Note


def test_version():
    header = (ROOT / "include" / "penstock" / "version.h").read_text()
    assert penstock.__version__ == re.search(r'PENSTOCK_VERSION "(.*)"', header).group(1)


def test_public_things_are_documented():
    missing = []
    for name in penstock.__all__:
        thing = getattr(penstock, name)
        if not callable(thing):
            continue
        if not inspect.getdoc(thing):
            missing.append(name)
        if not inspect.isclass(thing) or thing is penstock.FileInfo:
            continue
        for key, member in vars(thing).items():
            if (
                not key.startswith("_")
                and (callable(member) or isinstance(member, property))
                and not inspect.getdoc(member)
            ):
                missing.append(f"{name}.{key}")
    assert not missing
    for thing in (
        penstock.open,
        penstock.Loader,
        penstock.Dataset,
        penstock.Batch,
        penstock.MemoryBudget,
        penstock.Plan,
    ):
        assert "Examples\n" in inspect.getdoc(thing)


def test_stub_is_current():
    """_core.pyi is what nanobind's stubgen says: python -m nanobind.stubgen -m penstock._core -o ..."""
    stubgen = pytest.importorskip("nanobind.stubgen")
    generator = stubgen.StubGen(_core)
    generator.put(_core)
    committed = (ROOT / "python" / "penstock" / "_core.pyi").read_text()
    assert ast.dump(ast.parse(generator.get())) == ast.dump(ast.parse(committed))


def test_import_is_light(corpus):
    code = """
        import sys
        import penstock
        ds = penstock.open(sys.argv[1:])
        batches = list(penstock.Loader(ds, to="numpy", memory="8MB"))
        heavy = {"torch", "anndata", "h5py", "lightning"} & set(sys.modules)
        print(len(batches), sorted(heavy))
    """
    done = run_python(code, *corpus.paths)
    assert done.stdout == "3 []\n", done.stderr


def test_without_torch(corpus):
    code = """
        import sys
        sys.modules["torch"] = None
        import penstock
        ds = penstock.open(sys.argv[1:])
        print(sum(b.n_obs for b in penstock.Loader(ds, to="numpy", memory="8MB")))
        try:
            penstock.Loader(ds)
        except ImportError as error:
            print(error)
    """
    done = run_python(code, *corpus.paths)
    assert done.stdout.startswith("3001\n"), done.stderr
    assert "pip install torch" in done.stdout and 'to="numpy"' in done.stdout


def test_errors_map_to_exceptions():
    from penstock.errors import from_status

    table = {
        "invalid_argument": ValueError,
        "not_found": KeyError,
        "unsupported": NotImplementedError,
        "corrupt": penstock.CorruptFileError,
        "io_error": OSError,
        "budget": penstock.MemoryBudgetError,
        "cancelled": RuntimeError,
        "internal": RuntimeError,
    }
    for code, kind in table.items():
        error = from_status(code, "what and where", 0)
        assert isinstance(error, kind)
        assert str(error) == ("bug in penstock, please report: " * (code == "internal")) + "what and where"
    assert isinstance(from_status("not_found", "x", 2), FileNotFoundError)
    assert from_status("io_error", "x", 5).errno == 5
    error = from_status("budget", "x", 0, 5, 3, {"batch_size": 7, "format": "csr"})
    assert (error.needed_bytes, error.free_bytes) == (5, 3)
    assert error.ways_out == {"batch_size": 7, "format": "csr"}
    bare = penstock.MemoryBudgetError("made by hand")
    assert str(bare) == "made by hand" and bare.needed_bytes == 0 and bare.ways_out == {}


def test_a_note_is_a_text_with_a_kind():
    note = Note("X is not counts", "not_counts")
    assert note == "X is not counts" and json.dumps([note]) == '["X is not counts"]'
    for same in (pickle.loads(pickle.dumps(note)), copy.deepcopy(note)):
        assert (same, same.kind) == (note, "not_counts")
    error = pickle.loads(
        pickle.dumps(penstock.MemoryBudgetError("x", needed_bytes=5, ways_out={"memory": 9}))
    )
    assert (str(error), error.needed_bytes, error.ways_out) == ("x", 5, {"memory": 9})


def test_repr(corpus):
    loader = penstock.Loader(corpus.open(), to="numpy", memory="8MB", obs=["colour"])
    assert repr(loader) == (
        "<Loader of 3,001 x 90: batch_size=1024, csr float32, shuffle=True, seed=0, obs=['colour']>"
    )
