"""CSC matrices in h5ad: the rows, and the batches, of the same matrix in CSR, inside the budget."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import (
    assert_batch,
    assert_same,
    batches_of_damaged,
    canonical,
    random_csr,
    random_obs,
    write_csr,
    write_h5ad,
)
from test_cli import COMMAND, run

import penstock


def write_csc(path: Path, x: sp.csr_matrix, obs: Any = None, unsorted: bool = False, **layout: Any) -> str:
    """An h5ad file whose X is CSC, laid out as asked for."""
    write_h5ad(path, sp.csr_matrix(x.shape, dtype=np.float32), obs)
    columns = sp.csc_matrix(x)
    if unsorted:
        for i in range(columns.shape[1]):  # the rows of each column in falling order
            part = slice(columns.indptr[i], columns.indptr[i + 1])
            columns.indices[part] = columns.indices[part][::-1].copy()
            columns.data[part] = columns.data[part][::-1].copy()
    with h5py.File(path, "r+") as file:
        del file["X"]
        write_csr(file.create_group("X"), columns, **layout)
        file["X"].attrs["encoding-type"] = "csc_matrix"
    return str(path)


LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "gzip": {"chunks": 1000, "compression": "gzip", "shuffle": True},
    "lzf, unsorted": {"chunks": 333, "index_chunks": 250, "compression": "lzf", "unsorted": True},
    "int64": {"chunks": 4096, "compression": "gzip", "index_dtype": np.int64, "indptr_dtype": np.int64},
    "uint8 rows": {"chunks": 64, "index_dtype": np.uint16, "fletcher32": True},
    "tiny chunks": {"chunks": 5, "compression": "gzip"},
}


@pytest.fixture(scope="module")
def corpus() -> tuple[sp.csr_matrix, Any]:
    rng = np.random.default_rng(7)
    x = random_csr(rng, 700, 90, density=0.2).tolil()
    x[:, 40:50] = 0  # columns of nothing
    return canonical(x.tocsr()), random_obs(rng, 700)


def batches(path: str, **options: Any) -> list[tuple[Any, ...]]:
    found = []
    for batch in penstock.Loader(penstock.open(path), to="numpy", **{"memory": "16MB", **options}):
        x = batch.X if isinstance(batch.X, np.ndarray) else (batch.X.indptr, batch.X.indices, batch.X.data)
        parts = [x] if isinstance(x, np.ndarray) else list(x)
        found.append((batch.index.tobytes(), *(part.tobytes() for part in parts)))
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_batches_are_those_of_the_csr_file(corpus, tmp_path, layout):
    """For equal block_rows and window_rows, whatever else is asked for."""
    x, obs = corpus
    columns = write_csc(tmp_path / "csc.h5ad", x, obs, **LAYOUTS[layout])
    rows = write_h5ad(tmp_path / "csr.h5ad", x, obs)
    options: dict[str, Any]
    for options in (
        {},
        {"shuffle": False},
        {"format": "dense"},
        {"rank": 1, "world_size": 3},
        {"threads": 1, "dtype": "float64"},
        {"obs": ["colour", "n"], "log1p": True, "normalize_total": 1e4},
        {"balance": "colour"},
    ):
        asked: dict[str, Any] = {"batch_size": 50, "block_rows": 16, "window_rows": 200, "seed": 3, **options}
        assert batches(columns, **asked) == batches(rows, **asked), options


def test_values_and_types(tmp_path):
    rng = np.random.default_rng(1)
    for dtype in (np.float32, np.float64, np.int32, np.uint16, np.uint8, np.int64):
        x = random_csr(rng, 120, 40, dtype=dtype)
        path = write_csc(tmp_path / "a.h5ad", x, chunks=128, compression="gzip")
        ds = penstock.open(path)
        assert ds.shape == x.shape and ds.dtype == dtype
        seen = np.zeros(120, int)
        for batch in penstock.Loader(ds, batch_size=32, memory="16MB", to="numpy", dtype="float64"):
            assert_batch(batch, x.astype(np.float64), np.float64)
            np.add.at(seen, batch.index, 1)
        assert (seen == 1).all()


def test_as_anndata_writes_it(corpus, tmp_path):
    """X, raw/X and layers of one file, and what else a Dataset does."""
    x, obs = corpus
    adata = anndata.AnnData(sp.csc_matrix(x), obs=obs, layers={"twice": sp.csc_matrix(x * 2)})
    adata.raw = anndata.AnnData(sp.csc_matrix(x * 3), obs=obs)
    adata.write_h5ad(tmp_path / "a.h5ad", compression="gzip")
    for matrix, factor in (("X", 1), ("layers/twice", 2), ("raw/X", 3)):
        ds = penstock.open(tmp_path / "a.h5ad", matrix=matrix)
        for batch in penstock.Loader(ds, batch_size=64, memory="16MB", to="numpy"):
            assert_batch(batch, x * factor)
    ds = penstock.open(tmp_path / "a.h5ad")
    assert_same(canonical(ds[[3, 250, 699]].to_anndata().X), canonical(x[[3, 250, 699]]))
    assert_same(canonical(ds.to_anndata().X), x)
    part = ds.query("n < 500")
    rows = np.flatnonzero(obs["n"].to_numpy() < 500)
    seen = []
    for batch in penstock.Loader(part, batch_size=64, memory="16MB", to="numpy"):
        assert_batch(batch, x)
        seen.append(batch.index)
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), rows)


def test_older_files(corpus, tmp_path):
    x, obs = corpus
    path = write_csc(tmp_path / "a.h5ad", x, obs, chunks=500, compression="gzip")
    with h5py.File(path, "r+") as file:
        shape = file["X"].attrs["shape"]
        for name in list(file["X"].attrs):
            del file["X"].attrs[name]
        file["X"].attrs["h5sparse_format"], file["X"].attrs["h5sparse_shape"] = b"csc", shape
    for batch in penstock.Loader(penstock.open(path), batch_size=64, memory="16MB", to="numpy"):
        assert_batch(batch, x)


def test_genes_selected_and_joined(corpus, tmp_path):
    x, obs = corpus
    path = write_csc(tmp_path / "a.h5ad", x, obs, chunks=500, compression="gzip")
    genes = ["g80", "g3", "g45", "g7"]
    want = canonical(x[:, [80, 3, 45, 7]])
    ds = penstock.open(path)[:, genes]
    np.testing.assert_array_equal(ds[10:30].to_anndata().X.toarray(), want[10:30].toarray())
    options: dict[str, Any]
    for options in ({}, {"totals": True}, {"format": "dense"}):
        seen = np.zeros(700, int)
        for batch in penstock.Loader(ds, batch_size=64, memory="16MB", to="numpy", **options):
            np.add.at(seen, batch.index, 1)
            assert_batch(batch, want)
            if "totals" in options:
                np.testing.assert_allclose(batch.total, np.asarray(x[batch.index].sum(axis=1)).ravel())
        assert (seen == 1).all()


def test_several_files_of_both_kinds(corpus, tmp_path):
    x, obs = corpus
    paths = [
        write_csc(tmp_path / "a.h5ad", x, obs, chunks=500, compression="gzip"),
        write_h5ad(tmp_path / "b.h5ad", x, obs),
        write_csc(tmp_path / "c.h5ad", x, obs),
    ]
    whole = canonical(sp.vstack([x] * 3))
    options: dict[str, Any]
    for options in ({"memory": "16MB"}, {"memory": "4MB", "batch_size": 16}):
        loader = penstock.Loader(penstock.open(paths), to="numpy", **{"batch_size": 50, **options})
        for epoch in range(2):
            loader.set_epoch(epoch)
            seen = np.zeros(2100, int)
            for batch in loader:
                assert_batch(batch, whole)
                np.add.at(seen, batch.index, 1)
            assert (seen == 1).all()


def test_nothing_stored(tmp_path):
    for shape in ((30, 20), (30, 0), (0, 20)):
        path = write_csc(tmp_path / "a.h5ad", sp.csr_matrix(shape, dtype=np.float32))
        found = list(penstock.Loader(penstock.open(path), batch_size=7, memory="8MB", to="numpy"))
        assert sum(len(batch.index) for batch in found) == shape[0]
        assert all(batch.X.nnz == 0 for batch in found)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, sp.csr_matrix]:
    """12 MB as the file has them, 12 bytes an entry in memory: more than small budgets hold at once."""
    rng = np.random.default_rng(5)
    x = random_csr(rng, 20_000, 500, density=0.1)
    path = tmp_path_factory.mktemp("large") / "a.h5ad"
    return write_csc(path, x, chunks=20_000, compression="gzip"), x


def test_small_budgets_take_more_passes(large):
    """The plan says how many, exactly what they read, and keeps to its memory."""
    path, x = large
    ds = penstock.open(path)
    passes = []
    for memory in ("6MB", "10MB", "200MB"):
        loader = penstock.Loader(ds, batch_size=100, memory=memory, to="numpy", threads=2)
        plan = loader.plan
        passes.append(plan.passes)
        assert plan.bytes_to_read == plan.passes * plan.pass_bytes > 0
        assert "stored by columns (CSC)" in str(loader.plan)
        seen = np.zeros(x.shape[0], int)
        for batch in loader:
            np.add.at(seen, batch.index, 1)
        assert_batch(batch, x)
        assert (seen == 1).all()
        stats = loader.stats()
        assert stats["rows_deferred"] == 0 and stats["epoch_bytes_read"] == plan.bytes_to_read
        loader.close()
    assert passes[0] > passes[1] > passes[2] == 1


def test_more_than_eight_passes_are_refused(large):
    path, _ = large
    with pytest.raises(penstock.MemoryBudgetError, match=r"passes an epoch.*no more than 8") as caught:
        penstock.Loader(penstock.open(path), batch_size=64, memory="2MB")
    assert "memory >= " in str(caught.value) and "a copy in CSR" in str(caught.value)


def test_a_run_goes_on_where_it_stopped(large):
    path, x = large
    ds = penstock.open(path)
    options: dict[str, Any] = {"batch_size": 100, "memory": "12MB", "to": "numpy", "seed": 4}
    whole = [batch.index.copy() for batch in penstock.Loader(ds, **options)]
    first = penstock.Loader(ds, **options)
    for _, batch in zip(range(73), first, strict=False):
        assert_batch(batch, x)
    state = first.state_dict()
    first.close()
    rest = penstock.Loader(ds, **options)
    rest.load_state_dict(state)
    found = [batch.index.copy() for batch in rest]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(whole[73:]))


def test_another_epoch_in_the_middle_of_a_pass(large):
    path, x = large
    loader = penstock.Loader(penstock.open(path), batch_size=100, memory="12MB", to="numpy")
    for epoch in (3, 0, 7):
        loader.set_epoch(epoch)
        assert_batch(next(iter(loader)), x)
    loader.close()


@pytest.mark.skipif(COMMAND is None, reason="the command is not built")
def test_commands(large):
    path, _ = large
    assert "csc float32/int32" in run("info", path).stdout
    assert "stored by columns (CSC)" in run("plan", path, "--memory", "64MB").stdout
    assert run("verify", path).returncode == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_matrices(data):
    n, m = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x = random_csr(rng, n, m, density=data.draw(st.sampled_from([0.0, 0.05, 0.5, 1.0])), counts=False)
    layout = {"chunks": data.draw(st.integers(1, 80)), "unsorted": data.draw(st.booleans())}
    if data.draw(st.booleans()):
        layout["compression"] = data.draw(st.sampled_from(["gzip", "lzf"]))
    with tempfile.TemporaryDirectory() as folder:
        path = write_csc(Path(folder) / "a.h5ad", x, **layout)
        seen = np.zeros(n, int)
        size, shuffle = data.draw(st.integers(1, 70)), data.draw(st.booleans())
        for batch in penstock.Loader(
            penstock.open(path), batch_size=size, memory="8MB", to="numpy", shuffle=shuffle
        ):
            assert_batch(batch, x)
            np.add.at(seen, batch.index, 1)
        assert (seen == 1).all()


def test_damage_is_an_error_and_never_a_wrong_value(corpus, tmp_path):
    x, obs = corpus
    path = write_csc(tmp_path / "a.h5ad", x, obs, chunks=1000, compression="gzip", fletcher32=True)
    for batch in batches_of_damaged(Path(path).read_bytes(), tmp_path / "bad.h5ad", seed=1, copies=60):
        assert_batch(batch, x)
