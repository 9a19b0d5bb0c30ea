"""Dense matrices in h5ad: any chunks, types and byte orders give what anndata gives, inside the budget."""

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
    to_scipy,
    write_h5ad,
)
from test_cli import COMMAND, run

import penstock


def write_dense(path: Path, x: np.ndarray[Any, Any], obs: Any = None, **layout: Any) -> str:
    """An h5ad file whose X is dense, laid out as h5py is asked to."""
    write_h5ad(path, sp.csr_matrix(x.shape, dtype=np.float32), obs)
    with h5py.File(path, "r+") as file:
        del file["X"]
        made = file.create_dataset("X", data=x, **layout)
        made.attrs["encoding-type"], made.attrs["encoding-version"] = "array", "0.2.0"
    return str(path)


def sparse(x: np.ndarray[Any, Any]) -> sp.csr_matrix:
    """Without zeros, NaN kept."""
    return canonical(sp.csr_matrix(x.astype(np.float64)))


LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "whole rows": {"chunks": (16, 90), "compression": "gzip", "shuffle": True},
    "one row": {"chunks": (1, 90)},
    "genes cut": {"chunks": (33, 7), "compression": "gzip"},
    "genes cut, lzf": {"chunks": (50, 50), "compression": "lzf", "fletcher32": True},
    "one chunk": {"chunks": (400, 90), "compression": "gzip"},
}


@pytest.fixture(scope="module")
def corpus() -> tuple[np.ndarray[Any, Any], Any]:
    rng = np.random.default_rng(7)
    return random_csr(rng, 400, 90, density=0.3).toarray(), random_obs(rng, 400)


def epoch(path: str, **options: Any) -> list[tuple[Any, Any, Any]]:
    loader = penstock.Loader(
        penstock.open(path), batch_size=32, block_rows=20, window_rows=128, memory="64MB", to="numpy",
        obs=["colour"], seed=5, **options,
    )  # fmt: skip
    return [(batch.X, batch.index.copy(), batch.obs["colour"].copy()) for batch in loader]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("format", ["csr", "dense"])
def test_batches_are_those_of_the_csr_file(corpus, tmp_path, layout, format):
    x, obs = corpus
    path = write_dense(tmp_path / "dense.h5ad", x, obs, **LAYOUTS[layout])
    twin = write_h5ad(tmp_path / "csr.h5ad", canonical(sp.csr_matrix(x)), obs)
    options: dict[str, Any]
    for options in ({}, {"shuffle": False}, {"normalize_total": 1e4, "log1p": True}):
        found, wanted = epoch(path, format=format, **options), epoch(twin, format=format, **options)
        assert len(found) == len(wanted) == 13
        for (a, rows, labels), (b, rows_there, labels_there) in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(rows, rows_there)
            np.testing.assert_array_equal(labels, labels_there)
            if format == "dense":
                np.testing.assert_array_equal(a, b)
            else:
                assert_same(to_scipy(a), to_scipy(b))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_everything_else_that_a_dataset_does(corpus, tmp_path, layout):
    x, obs = corpus
    path = write_dense(tmp_path / "dense.h5ad", x, obs, **LAYOUTS[layout])
    ds = penstock.open(path)
    assert ds.shape == x.shape and ds.dtype == np.float32
    np.testing.assert_array_equal(ds[100:300].to_anndata().X.toarray(), x[100:300])
    red = ds.query("colour == 'red'")
    np.testing.assert_array_equal(red.to_anndata().X.toarray(), x[(obs["colour"] == "red").to_numpy()])
    genes = [f"g{i}" for i in (80, 3, 4)]
    np.testing.assert_array_equal(ds[:, genes].to_anndata().X.toarray(), x[:, [80, 3, 4]])
    for options in ({}, {"totals": True}):
        loader = penstock.Loader(ds[:, genes], batch_size=64, memory="64MB", to="numpy", **options)
        for batch in loader:
            np.testing.assert_array_equal(batch.X.toarray(), x[:, [80, 3, 4]][batch.index])
            if options:
                np.testing.assert_allclose(batch.total, x[batch.index].sum(axis=1))
    if COMMAND is not None:
        assert run("verify", path).returncode == 0


def test_genes_selected_read_the_chunks_of_their_columns(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.random((2000, 200), dtype=np.float32)
    path = write_dense(tmp_path / "a.h5ad", x, chunks=(500, 10), compression="gzip")
    ds = penstock.open(path)
    options: dict[str, Any] = {"batch_size": 100, "memory": "64MB", "to": "numpy"}
    few = penstock.Loader(ds[:, ["g15", "g17"]], **options)
    assert few.plan.bytes_to_read < penstock.Loader(ds, **options).plan.bytes_to_read / 15
    for batch in few:
        np.testing.assert_array_equal(batch.X.toarray(), x[:, [15, 17]][batch.index])


def test_the_order_does_not_depend_on_totals(tmp_path):
    x = random_csr(np.random.default_rng(1), 3000, 60).toarray()
    ds = penstock.open(write_dense(tmp_path / "a.h5ad", x, chunks=(100, 7), compression="gzip"))[:, ["g3"]]
    orders = [
        [batch.index.tolist() for batch in penstock.Loader(ds, batch_size=50, memory="20MB", to="numpy", **o)]
        for o in ({}, {"totals": True})
    ]
    assert orders[0] == orders[1]


def test_a_band_that_does_not_fit_is_decoded_in_parts(tmp_path):
    rng = np.random.default_rng(2)
    x = np.where(rng.random((6000, 1500)) < 0.1, rng.random((6000, 1500)), 0).astype(np.float32)
    path = write_dense(tmp_path / "a.h5ad", x, chunks=(6000, 100), compression="gzip")
    for memory in ("400MB", "64MB"):
        loader = penstock.Loader(
            penstock.open(path), batch_size=100, memory=memory, to="numpy", threads=1, block_rows=3000,
            window_rows=3000,
        )  # fmt: skip
        rows = 0
        for batch in loader:
            assert_batch(batch, sp.csr_matrix(x))
            rows += batch.n_obs
        assert rows == 6000
    with pytest.raises(penstock.MemoryBudgetError, match="scratch needs .* memory >= "):
        penstock.Loader(penstock.open(path), batch_size=10, memory="8MB")


@st.composite
def matrices(draw: Any) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    n, genes = draw(st.integers(1, 120)), draw(st.integers(1, 60))
    dtype = draw(
        st.sampled_from(
            ["<f4", ">f4", "<f8", ">f8", "<f2", ">f2", "|i1", "|u1", "<i2", ">i2", "<u2", "<i4", ">i4", "<u4",
             "<i8", ">i8", "<u8", "bool"]
        )
    )  # fmt: skip
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    x = np.where(rng.random((n, genes)) < density, rng.integers(1, 120, (n, genes)), 0).astype(dtype)
    if np.dtype(dtype).kind == "f" and draw(st.booleans()):
        x[rng.random(x.shape) < 0.05] = np.nan
    layout: dict[str, Any] = {}
    if draw(st.booleans()):
        layout["chunks"] = (draw(st.integers(1, 130)), draw(st.integers(1, 70)))
        layout["maxshape"] = (None, None)
        layout["compression"] = draw(st.sampled_from([None, "gzip", "lzf"]))
        layout["shuffle"] = draw(st.booleans())
        layout["fletcher32"] = draw(st.booleans())
    return x, layout


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(matrices(), st.integers(1, 100), st.booleans(), st.sampled_from(["csr", "dense"]))
def test_random_matrices(spec, batch_size, shuffle, format):
    x, layout = spec
    with tempfile.TemporaryDirectory() as folder:
        path = write_dense(Path(folder) / "a.h5ad", x, **layout)
        wanted = anndata.read_h5ad(path).X
        np.testing.assert_array_equal(wanted, x)
        ds = penstock.open(path)
        loader = penstock.Loader(
            ds,
            batch_size=batch_size,
            shuffle=shuffle,
            format=format,
            dtype="float64",
            memory="64MB",
            to="numpy",
        )
        rows = []
        for batch in loader:
            rows.append(batch.index.copy())
            if format == "dense":
                np.testing.assert_array_equal(batch.X, x.astype(np.float64)[batch.index])
            else:
                assert_same(to_scipy(batch.X), sparse(x)[batch.index])
        np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(len(x)))
        assert ds.to_anndata().X.dtype == (x.dtype.newbyteorder("=") if x.dtype != bool else np.int8)


def test_damage_is_an_error_and_never_a_wrong_value(corpus, tmp_path):
    x, obs = corpus
    path = Path(
        write_dense(tmp_path / "a.h5ad", x, obs, chunks=(100, 20), compression="gzip", fletcher32=True)
    )
    for batch in batches_of_damaged(path.read_bytes(), tmp_path / "bad.h5ad", seed=3, copies=150):
        if batch.X.shape[1] == x.shape[1]:
            np.testing.assert_array_equal(batch.X.toarray(), x[batch.index])
