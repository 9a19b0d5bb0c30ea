"""HDF5 of every generation: what h5py and anndata write with any `libver`, chunk index and filter is what
comes out, and what is not read says so with the way out."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from h5py import h5d, h5p, h5s, h5t
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import assert_same, canonical, random_csr, random_obs, write_h5ad
from test_cli import COMMAND, run
from test_dense_files import sparse, write_dense

import penstock

LIBVERS = ("earliest", "v108", "v110", "v112", "v114", "latest")
Array = np.ndarray[Any, Any]


def rows_of(path: Any, matrix: str = "X") -> sp.csr_matrix:
    """All rows of a matrix in the order of the file, as batches hold them."""
    loader = penstock.Loader(
        penstock.open(path, matrix=matrix), batch_size=64, shuffle=False, memory="64MB", to="numpy"
    )
    return canonical(sp.vstack([batch.X for batch in loader], format="csr"))


def write(path: Path, libver: str, adata: anndata.AnnData, **how: Any) -> Path:
    """As `write_h5ad` does, with a `libver`."""
    with h5py.File(path, "w", libver=libver, **how) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        anndata.io.write_elem(file, "/", adata)
    return path


@pytest.fixture(scope="module")
def corpus() -> anndata.AnnData:
    rng = np.random.default_rng(16)
    x = random_csr(rng, 500, 120)
    var = pd.DataFrame({"length": rng.integers(0, 9000, 120)}, index=[f"g{i}" for i in range(120)])
    adata = anndata.AnnData(x, obs=random_obs(rng, 500), var=var, layers={"dense": x.toarray()})
    adata.raw = anndata.AnnData(random_csr(rng, 500, 150), obs=adata.obs)
    return adata


def assert_table(found: Any, expected: pd.DataFrame) -> None:
    assert sorted(found.columns) == sorted(expected.columns)
    for name in expected.columns:
        pd.testing.assert_series_equal(
            pd.Series(np.asarray(found[name], object)), pd.Series(np.asarray(expected[name], object))
        )


# --- Generations ---


@pytest.mark.parametrize("track_order", [False, True], ids=["", "in order"])
@pytest.mark.parametrize("libver", LIBVERS)
def test_generations(corpus, tmp_path, libver, track_order):
    path = write(tmp_path / "a.h5ad", libver, corpus, track_order=track_order)
    ds = penstock.open(path)
    assert list(ds.obs_names) == list(corpus.obs_names) and list(ds.var_names) == list(corpus.var_names)
    assert_table(ds.obs, corpus.obs)
    assert_table(ds.var, corpus.var)
    assert ds.notes == []
    assert_same(rows_of(path), canonical(corpus.X))
    assert_same(rows_of(path, "raw/X"), canonical(corpus.raw.X))
    assert_same(rows_of(path, "layers/dense"), canonical(corpus.X))


@pytest.mark.parametrize("libver", LIBVERS)
def test_many_links_and_attributes(tmp_path, libver):
    """Hundreds of columns lie in a heap, and beyond `earliest` the list of their names has over 64 KB."""
    rng = np.random.default_rng(3)
    name = "column" * (1 if libver == "earliest" else 60)
    obs = pd.DataFrame(
        {f"{name}{i}": rng.integers(0, 9, 40) for i in range(200)}, index=[f"cell{i}" for i in range(40)]
    )
    adata = anndata.AnnData(random_csr(rng, 40, 10), obs=obs)
    path = write(tmp_path / "a.h5ad", libver, adata)
    with h5py.File(path, "r+", libver=libver) as file:
        for i in range(100):
            file["X"].attrs[f"attribute {i}"] = i
            file["X/data"].attrs[f"attribute {i}"] = "x" * i
            file["obs"].attrs[f"attribute {i}"] = np.arange(i)
        for i in range(800):
            file.create_group(f"another {i}")
    ds = penstock.open(path)
    assert list(ds.obs.columns) == list(obs.columns)
    for column in obs.columns[::20]:
        np.testing.assert_array_equal(ds.obs[column], obs[column])
    assert_same(rows_of(path), canonical(adata.X))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_groups_that_grew_and_shrank(tmp_path, libver):
    rng = np.random.default_rng(4)
    adata = anndata.AnnData(random_csr(rng, 30, 10), obs=random_obs(rng, 30))
    path = write(tmp_path / "a.h5ad", libver, adata)
    with h5py.File(path, "r+", libver=libver) as file:
        for i in range(300):
            file["obs"].create_group(f"more {i}")
        for i in range(40):
            file["obs"].attrs[f"more {i}"] = "x" * 100
    assert_table(penstock.open(path).obs, adata.obs)
    with h5py.File(path, "r+", libver=libver) as file:
        for i in range(300):
            del file["obs"][f"more {i}"]
        for i in range(1, 40):  # libhdf5 takes a minute for hundreds of them
            del file["obs"].attrs[f"more {i}"]
    assert_table(penstock.open(path).obs, adata.obs)


def test_a_file_left_open_is_read_and_noted(corpus, tmp_path):
    with h5py.File(tmp_path / "a.h5ad", "w", libver="latest") as file:
        anndata.io.write_elem(file, "/", anndata.AnnData(corpus.X, obs=corpus.obs))
        file.flush()
        left = Path(shutil.copy(tmp_path / "a.h5ad", tmp_path / "left.h5ad"))
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(left)
    ds = penstock.open(left)
    assert [note.kind for note in ds.notes] == ["left_open"]
    assert "left.h5ad: its writer has not closed it" in ds.notes[0]
    assert_same(rows_of(left), canonical(corpus.X))
    assert penstock.open(tmp_path / "a.h5ad").notes == []
    if COMMAND is not None:
        assert "has not closed it" in run("info", left).stdout


# --- Chunk indexes ---


def implicit(group: h5py.Group, name: str, array: Array) -> None:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((100,))
    plist.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    made = h5d.create(
        group.id, name.encode(), h5t.py_create(array.dtype), h5s.create_simple(array.shape), plist
    )
    made.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(array))


def vector(chunk: int, *most: int | None) -> Callable[..., None]:
    """One that may grow to so many elements, None for without an end."""

    def make(group: h5py.Group, name: str, array: Array, **filters: Any) -> None:
        size = chunk if most else min(chunk, len(array))
        group.create_dataset(name, data=array, chunks=(size,), maxshape=most or None, **filters)

    return make


VECTORS: dict[str, Callable[..., None]] = {
    "single": vector(10**6),
    "fixed array": vector(100),
    "fixed array that may grow": vector(100, 100_000),
    "fixed array of pages": vector(2),
    "extensible array": vector(100, None),
    "extensible array, one element a chunk": vector(1, None),
    "chunk longer than the vector": vector(10**5, None),
    "implicit": implicit,
}


@pytest.mark.parametrize(
    "filters", [{}, {"compression": "gzip", "shuffle": True, "fletcher32": True}], ids=["", "gzip"]
)
@pytest.mark.parametrize("libver", ["v110", "latest"])
@pytest.mark.parametrize("kind", VECTORS)
def test_chunk_indexes_of_sparse_matrices(corpus, tmp_path, kind, libver, filters):
    if kind == "implicit" and filters:
        pytest.skip("an implicit index has no filters")
    x = corpus.X[:120]
    path = write(tmp_path / "a.h5ad", libver, anndata.AnnData(sp.csr_matrix(x.shape, dtype="f4")))
    with h5py.File(path, "r+", libver=libver) as file:
        for name in ("data", "indices", "indptr"):
            del file["X"][name]
            VECTORS[kind](file["X"], name, getattr(x, name), **filters)
    assert_same(rows_of(path), canonical(x))
    for batch in penstock.Loader(penstock.open(path), batch_size=32, memory="64MB", to="numpy", seed=1):
        assert_same(canonical(batch.X), canonical(x[batch.index]))


GRIDS: dict[str, dict[str, Any]] = {
    "single": {"chunks": (60, 50)},
    "fixed array": {"chunks": (7, 9)},
    "fixed array that may grow": {"chunks": (7, 9), "maxshape": (100, 200)},
    "extensible array": {"chunks": (7, 9), "maxshape": (None, 50)},
    "extensible array, second axis": {"chunks": (7, 9), "maxshape": (60, None)},
    "B-tree": {"chunks": (7, 9), "maxshape": (None, None)},
    "B-tree of several levels": {"chunks": (1, 1), "maxshape": (None, None)},
    "larger chunk": {"chunks": (64, 64), "maxshape": (None, None)},
}


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("libver", ["v110", "latest"])
@pytest.mark.parametrize("kind", GRIDS)
def test_chunk_indexes_of_dense_matrices(corpus, tmp_path, kind, libver, compression):
    x = corpus.X[:60, :50].toarray()
    path = write(tmp_path / "a.h5ad", libver, anndata.AnnData(sp.csr_matrix(x.shape, dtype="f4")))
    with h5py.File(path, "r+", libver=libver) as file:
        del file["X"]
        made = file.create_dataset("X", (60, 50), "f4", compression=compression, **GRIDS[kind])
        made.attrs["encoding-type"], made.attrs["encoding-version"] = "array", "0.2.0"
        made[:] = x
        made[20:30, 10:30] = 0  # and chunks that were never written, where they are this small
    x[20:30, 10:30] = 0
    assert_same(rows_of(path), sparse(x).astype("f4"))


def test_pages_of_an_extensible_array(tmp_path):
    """Its data blocks have pages from chunk 131,060 on; those of the rows between were never written."""
    x = np.zeros((140_000, 1), "u1")
    path = write_dense(tmp_path / "a.h5ad", x[:1])
    rows = np.concatenate([np.arange(0, 3000), np.arange(131_000, 133_000), np.arange(139_900, 140_000)])
    x[rows, 0] = rows % 250 + 1
    with h5py.File(tmp_path / "b.h5ad", "w", libver="latest") as file:
        with h5py.File(path) as old:
            old.copy("obs", file)
            old.copy("var", file)
        del file["obs/_index"]
        made = file["obs"].create_dataset("_index", data=np.arange(140_000).astype("S6").astype(object))
        made.attrs["encoding-type"], made.attrs["encoding-version"] = "string-array", "0.2.0"
        made = file.create_dataset("X", x.shape, "u1", chunks=(1, 1), maxshape=(None, 1))
        made.attrs["encoding-type"], made.attrs["encoding-version"] = "array", "0.2.0"
        for run_of in (slice(0, 3000), slice(131_000, 133_000), slice(139_900, 140_000)):
            made[run_of] = x[run_of]
    ds = penstock.open(tmp_path / "b.h5ad")
    np.testing.assert_array_equal(ds[130_500:140_000].to_anndata().X.toarray(), x[130_500:])
    np.testing.assert_array_equal(ds[2_500:3_500].to_anndata().X.toarray(), x[2_500:3_500])


# --- Filters ---

FILTERS: dict[str, dict[str, Any]] = {
    "lz4": dict(hdf5plugin.LZ4()),
    "lz4, small blocks": dict(hdf5plugin.LZ4(nbytes=256)),
    "zstd": dict(hdf5plugin.Zstd()),
    "zstd 19": dict(hdf5plugin.Zstd(clevel=19)),
    "bitshuffle": dict(hdf5plugin.Bitshuffle(cname="none")),
    "bitshuffle, lz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
    "bitshuffle, zstd": dict(hdf5plugin.Bitshuffle(cname="zstd", nelems=64)),
    **{
        f"blosc, {codec}, shuffle {shuffle}": dict(hdf5plugin.Blosc(cname=codec, shuffle=shuffle))
        for codec in ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
        for shuffle in (hdf5plugin.Blosc.NOSHUFFLE, hdf5plugin.Blosc.SHUFFLE, hdf5plugin.Blosc.BITSHUFFLE)
    },
}


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("kind", FILTERS)
def test_filters(corpus, tmp_path, kind, libver):
    path = write(tmp_path / "a.h5ad", libver, anndata.AnnData(sp.csr_matrix(corpus.shape, dtype="f4")))
    more = {} if libver == "latest" else {"shuffle": True, "fletcher32": True}
    with h5py.File(path, "r+", libver=libver) as file:
        for name in ("data", "indices", "indptr"):
            del file["X"][name]
            vector(1003, None)(file["X"], name, getattr(corpus.X, name), **more, **FILTERS[kind])
    assert_same(rows_of(path), canonical(corpus.X))


# --- Any of them ---


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_layout(data):
    draw = data.draw
    rng = np.random.default_rng(draw(st.integers(0, 2**32), "seed"))
    shape = draw(st.tuples(st.integers(1, 90), st.integers(1, 40)), "shape")
    libver = draw(st.sampled_from(LIBVERS), "libver")
    kind = draw(st.sampled_from(["f4", "f8", "i4", ">i2", "u1", ">f4", "f2"]), "type")
    filters = draw(
        st.sampled_from([{}, {"compression": "gzip"}, {"compression": "lzf"}, *FILTERS.values()]), "filters"
    )
    more = {key: True for key in ("shuffle", "fletcher32") if draw(st.booleans(), key)}
    x = random_csr(rng, *shape, density=draw(st.sampled_from([0.01, 0.3, 0.9]), "density"))

    def layout(of: tuple[int, ...], what: str) -> dict[str, Any]:
        chunks = tuple(draw(st.integers(1, n + 3), f"chunks of {what}") for n in of)
        most = tuple(
            draw(st.sampled_from([None, max(n, c), n + c + 5]), f"most of {what}")
            for n, c in zip(of, chunks, strict=True)
        )
        return {"chunks": chunks, "maxshape": most, **more, **filters}

    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.h5ad", libver, anndata.AnnData(sp.csr_matrix(shape, dtype="f4")))
        with h5py.File(path, "r+", libver=libver) as file:
            if draw(st.booleans(), "dense"):
                del file["X"]
                made = file.create_dataset("X", data=x.toarray().astype(kind), **layout(shape, "X"))
                made.attrs["encoding-type"], made.attrs["encoding-version"] = "array", "0.2.0"
            else:
                for name in ("data", "indices", "indptr"):
                    array = getattr(x, name).astype(kind if name == "data" else "i4")
                    del file["X"][name]
                    file["X"].create_dataset(name, data=array, **layout(array.shape, name))
        assert_same(rows_of(path), canonical(x.astype("f4")))


# --- Refusals ---


def external(group: h5py.Group, name: str, array: Array) -> None:
    group.create_dataset(name, array.shape, array.dtype, external=[("raw.bin", 0, h5py.h5f.UNLIMITED)])


def virtual(group: h5py.Group, name: str, array: Array) -> None:
    layout = h5py.VirtualLayout(array.shape, array.dtype)
    layout[:] = h5py.VirtualSource("other.h5", "data", array.shape)
    group.create_virtual_dataset(name, layout)


def nbit(group: h5py.Group, name: str, array: Array) -> None:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((100,))
    plist.set_filter(h5py.h5z.FILTER_NBIT)
    made = h5d.create(
        group.id, name.encode(), h5t.py_create(array.dtype), h5s.create_simple(array.shape), plist
    )
    made.write(h5s.ALL, h5s.ALL, array)


REPACK = "h5repack"
REFUSED: dict[str, tuple[Callable[..., None], list[str]]] = {
    "external": (external, ["external file list", REPACK]),
    "virtual": (virtual, ["virtual dataset", "new_file[NAME] = file[NAME][:]"]),
    "link": (
        lambda group, name, array: group.__setitem__(name, h5py.ExternalLink("other.h5", "/data")),
        ["is a link to another file"],
    ),
    "szip": (lambda g, n, a: vector(100)(g, n, a, compression="szip"), ["filter 4 (szip)", REPACK]),
    "nbit": (nbit, ["filter 5 (nbit)", REPACK]),
    "scale-offset": (
        lambda g, n, a: vector(100)(g, n, a, scaleoffset=2),
        ["filter 6 (scale-offset)", REPACK],
    ),
    "blosc2": (
        lambda g, n, a: vector(100)(g, n, a, **hdf5plugin.Blosc2()),
        ["filter 32026 (blosc2)", REPACK],
    ),
    "zfp": (lambda g, n, a: vector(100)(g, n, a, **hdf5plugin.Zfp()), ["filter 32013 (zfp)", REPACK]),
}


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("kind", REFUSED)
def test_refused_with_the_way_out(corpus, tmp_path, kind, libver):
    if kind == "virtual" and libver == "earliest":
        pytest.skip("HDF5 1.10 began with them")
    make, words = REFUSED[kind]
    path = write(tmp_path / "a.h5ad", libver, anndata.AnnData(corpus.X))
    with h5py.File(path, "r+", libver=libver) as file:
        del file["X/data"]
        make(file["X"], "data", corpus.X.data)
    with pytest.raises(NotImplementedError) as caught:
        penstock.open(path)
    for word in [str(path), "/X", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("dense", [False, True], ids=["csr", "dense"])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_one_chunk_beyond_the_budget(tmp_path, libver, dense):
    """Some writers make one chunk of the whole matrix: never taken whole where it does not fit."""
    x = np.zeros((200, 40_000), "f4")  # 32 MB
    x[:, ::20] = 1
    kept = sp.csr_matrix(x)
    path = tmp_path / "a.h5ad"
    write_h5ad(path, sp.csr_matrix(x.shape, dtype="f4"))
    with h5py.File(path) as old, h5py.File(tmp_path / "b.h5ad", "w", libver=libver) as file:
        old.copy("obs", file)
        old.copy("var", file)
        if dense:
            made = file.create_dataset("X", data=x, chunks=x.shape, compression="gzip")
            made.attrs["encoding-type"], made.attrs["encoding-version"] = "array", "0.2.0"
        else:
            old.copy("X", file)
            for name in ("data", "indices", "indptr"):
                del file["X"][name]
                # A chunk of 32 MB, of which the array fills a part.
                chunk = 8 << 20 if name != "indptr" else 201
                file["X"].create_dataset(
                    name, data=getattr(kept, name), chunks=(chunk,), maxshape=(None,), compression="gzip"
                )
    ds = penstock.open(tmp_path / "b.h5ad")
    with pytest.raises(penstock.MemoryBudgetError) as caught:
        penstock.Loader(ds, batch_size=16, memory="24MB", to="numpy")
    assert caught.value.needed_bytes > 24e6 and "memory" in caught.value.ways_out, caught.value
    loader = penstock.Loader(ds, batch_size=16, memory=caught.value.ways_out["memory"], to="numpy")
    for batch in loader:
        assert_same(canonical(batch.X), canonical(kept[batch.index]))
