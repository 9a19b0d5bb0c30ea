"""Files that are cut off, changed, or go away: an error that says where; never a crash or wrong data unnoticed."""

from __future__ import annotations

import os
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from support import assert_batch, random_csr, random_obs, run_python, write_h5ad

import penstock

# What reading a damaged file may raise.
EXPECTED = (OSError, KeyError, ValueError, NotImplementedError, MemoryError)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    rng = np.random.default_rng(3)
    x = random_csr(rng, 60, 25)
    path = write_h5ad(
        tmp_path_factory.mktemp("bad") / "source.h5ad", x, random_obs(rng, 60), chunks=100, compression="gzip",
        fletcher32=True,
    )  # fmt: skip
    return path, x


def read_all(path):
    ds = penstock.open(path, index_memory="8MB")
    _ = list(ds.obs_names), list(ds.var_names)
    with penstock.Loader(
        ds, batch_size=16, memory="8MB", to="numpy", obs=["colour", "n"], threads=1
    ) as loader:
        return [(np.asarray(b.index).copy(), b.X.copy(), b.obs["n"].copy()) for b in loader]


SWEEP = """
    import sys
    import numpy as np
    from test_bad_input import EXPECTED, read_all
    path, mode, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    good = open(path, "rb").read()
    wanted = read_all(path)
    rng = np.random.default_rng(seed)
    kinds = {}
    for i in range(count):
        if mode == "truncate":
            bad = good[: int(rng.integers(0, len(good)))]
        else:
            bad = bytearray(good)
            for at in rng.integers(0, len(good), int(rng.integers(1, 4))):
                bad[at] = {0: bad[at] ^ (1 << int(rng.integers(8))), 1: 0, 2: 255}[int(rng.integers(3))]
        with open(path + ".bad", "wb") as file:
            file.write(bad)
        try:
            found = read_all(path + ".bad")
            kind = "same"
            for (index, x, n), (index0, x0, n0) in zip(found, wanted):
                # Chunks of X carry checksums: what decodes is what was written, wherever it was put.
                if not np.array_equal(index, index0) or (x != x0).nnz or not np.array_equal(n, n0):
                    kind = "different"
        except EXPECTED as error:
            kind = type(error).__name__
            assert str(error), "an error without a message"
        kinds[kind] = kinds.get(kind, 0) + 1
    print(kinds)
"""


@pytest.mark.parametrize(
    ("mode", "count"),
    [("truncate", 150), ("flip", 400)]
    + [
        pytest.param("truncate", 1500, marks=pytest.mark.slow),
        pytest.param("flip", 1500, marks=pytest.mark.slow),
    ],
)
def test_damage(source, tmp_path, mode, count):
    path = shutil.copy(source[0], tmp_path / "a.h5ad")
    done = run_python(SWEEP, str(path), mode, "1", str(count), timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    if mode == "truncate":
        assert "'same'" not in done.stdout and "'different'" not in done.stdout


def test_truncation_names_the_file(source, tmp_path):
    path = tmp_path / "a.h5ad"
    shutil.copy(source[0], path)
    os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(penstock.CorruptFileError, match=r"a\.h5ad"):
        read_all(path)


def test_a_bad_chunk_is_named(source, tmp_path):
    path = str(tmp_path / "a.h5ad")
    shutil.copy(source[0], path)
    with h5py.File(path) as file:
        chunk = file["X/data"].id.get_chunk_info(2)
    with open(path, "r+b") as file:
        file.seek(chunk.byte_offset + chunk.size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x55]))
    with pytest.raises(penstock.CorruptFileError) as caught:
        read_all(path)
    message = str(caught.value)
    assert "a.h5ad" in message and "X/data" in message and "chunk 2" in message
    assert f"{chunk.byte_offset:x}" in message or f"{chunk.byte_offset}" in message


def test_a_failed_loader_says_so(source, tmp_path):
    path = str(tmp_path / "a.h5ad")
    shutil.copy(source[0], path)
    ds = penstock.open(path)
    loader = penstock.Loader(ds, batch_size=16, memory="8MB", to="numpy")
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 4)
    with pytest.raises(OSError, match=r"a\.h5ad"):
        list(loader)
    with pytest.raises((OSError, RuntimeError)):
        list(loader)


def test_a_file_that_vanishes(source, tmp_path):
    path = str(tmp_path / "a.h5ad")
    shutil.copy(source[0], path)
    ds = penstock.open(path)
    os.unlink(path)
    try:
        for batch in penstock.Loader(ds, batch_size=16, memory="8MB", to="numpy"):
            assert_batch(batch, source[1])  # the descriptor may still be open
    except OSError as error:
        assert "a.h5ad" in str(error)


def edit(tmp_path, change, x=None):
    """A file whose X/… arrays were changed."""
    x = random_csr(np.random.default_rng(1), 40, 30) if x is None else x
    path = write_h5ad(tmp_path / "edited.h5ad", x, random_obs(np.random.default_rng(2), x.shape[0]))
    with h5py.File(path, "r+") as file:
        change(file)
    return path


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("decreasing", lambda f: f["X/indptr"].__setitem__(5, f["X/indptr"][4] - 1)),
        ("first is not 0", lambda f: f["X/indptr"].__setitem__(0, 1)),
        ("last", lambda f: f["X/indptr"].__setitem__(-1, 10**6)),
        ("index too large", lambda f: f["X/indices"].__setitem__(7, 30)),
        ("index negative", lambda f: f["X/indices"].__setitem__(7, -1)),
        ("code too large", lambda f: f["obs/colour/codes"].__setitem__(3, 99)),
        ("code negative", lambda f: f["obs/colour/codes"].__setitem__(3, -7)),
        ("shape is huge", lambda f: f["X"].attrs.__setitem__("shape", np.array([2**62, 30]))),
        ("shape is negative", lambda f: f["X"].attrs.__setitem__("shape", np.array([-40, 30]))),
    ],
)
def test_contradictions(tmp_path, name, change):
    kinds = (penstock.CorruptFileError, *([NotImplementedError] if name == "shape is huge" else []))
    with pytest.raises(kinds, match="edited"):
        read_all(edit(tmp_path, change))


def test_lengths_that_do_not_fit(tmp_path):
    def shorter(file):
        data = file["X/data"][:-3]
        del file["X/data"]
        file["X/data"] = data

    with pytest.raises(penstock.CorruptFileError):
        read_all(edit(tmp_path, shorter))

    def missing(file):
        del file["X/indices"]

    with pytest.raises((penstock.CorruptFileError, KeyError), match="indices"):
        read_all(edit(tmp_path, missing))


def test_other_encodings_are_named(tmp_path):
    def change(file):
        file["X"].attrs["encoding-type"] = "awkward-array"

    with pytest.raises(NotImplementedError, match="awkward-array"):
        read_all(edit(tmp_path, change))


def test_rows_said_to_be_columns_are_refused(tmp_path):
    def change(file):
        file["X"].attrs["encoding-type"] = "csc_matrix"

    with pytest.raises(penstock.CorruptFileError, match=r"indptr has .* expected .* \(columns \+ 1\)"):
        read_all(edit(tmp_path, change))


def test_unknown_filters_are_named(tmp_path):
    x = sp.random(40, 30, density=0.3, format="csr", dtype=np.float32, random_state=1)
    path = write_h5ad(tmp_path / "a.h5ad", x)
    with h5py.File(path, "r+") as file:
        del file["X/data"]
        file["X"].create_dataset("data", data=x.data, chunks=(16,), scaleoffset=2)
    with pytest.raises(NotImplementedError, match=r"(?i)scale-?offset|filter"):
        penstock.open(path)


def test_obs_in_dense_links_is_read(tmp_path):
    """A column whose name is not ASCII can make h5py move the group's links to a heap."""
    rng = np.random.default_rng(0)
    obs = random_obs(rng, 30)
    obs["細胞"] = pd.Categorical(["a", "b"] * 15)
    path = write_h5ad(tmp_path / "x.h5ad", random_csr(rng, 30, 5), obs)
    assert list(penstock.open([path]).obs["細胞"]) == ["a", "b"] * 15
