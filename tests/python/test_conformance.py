"""Real files: what anndata says is what comes out, and what is out of scope says so."""

from __future__ import annotations

import csv
import re
import warnings
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from support import SHARED, assert_same, canonical, to_scipy

import penstock

pytestmark = pytest.mark.conformance

FILES = sorted(p.name for p in SHARED.glob("*.h5ad")) if SHARED.is_dir() else []


def read(path: Path) -> anndata.AnnData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_h5ad(path)


def matrices(file: h5py.File) -> list[str]:
    found = [name for name in ("X", "raw/X") if name in file]
    found += ["raw/X"] if "raw.X" in file else []
    return found + [f"layers/{name}" for name in file.get("layers", {})]


def node_of(file: h5py.File, matrix: str) -> Any:
    return file["raw.X" if matrix == "raw/X" and "raw.X" in file else matrix]


def in_scope(file: h5py.File, matrix: str) -> bool:
    """CSR, CSC or dense."""
    node = node_of(file, matrix)
    if isinstance(node, h5py.Dataset):
        return node.ndim == 2
    formats = (node.attrs.get("encoding-type"), f"{node.attrs.get('h5sparse_format')}_matrix")
    return any(name in formats for name in ("csr_matrix", "csc_matrix"))


def expected(adata: anndata.AnnData, matrix: str) -> Any:
    if matrix == "X":
        return adata.X
    return adata.raw.X if matrix == "raw/X" else adata.layers[matrix.removeprefix("layers/")]


def cases() -> list[Any]:
    found = []
    for name in FILES:
        with h5py.File(SHARED / name) as file:
            found += [pytest.param(name, matrix, id=f"{name}:{matrix}") for matrix in matrices(file) or ["X"]]
    return found


@pytest.mark.parametrize(("name", "matrix"), cases())
def test_matrix(name, matrix):
    path = SHARED / name
    with h5py.File(path) as file:
        absent = not matrices(file)
        scope = not absent and in_scope(file, matrix)
    if absent:
        with pytest.raises(KeyError, match="/X does not exist"):
            penstock.Loader(penstock.open(path), batch_size=2, memory="64MB")
        return
    if not scope:
        with pytest.raises((NotImplementedError, KeyError)) as caught:
            penstock.open(path, matrix=matrix)
        assert name in str(caught.value) and len(str(caught.value)) > len(name) + 20
        return
    adata = read(path)
    x = expected(adata, matrix)
    ds = penstock.open(path, matrix=matrix)
    assert ds.shape == x.shape and ds.dtype == x.dtype
    names = adata.raw.var_names if matrix == "raw/X" else adata.var_names
    assert list(ds.var_names) == list(names) and list(ds.obs_names) == list(adata.obs_names)
    reference = canonical(x)
    if ds.dtype.name in ("float32", "float64", "int32", "int64", "int16", "uint8"):
        dtype = ds.dtype.name
    else:
        dtype = "float64"
        reference = reference.astype(np.float64)
    for options in ({"shuffle": False, "batch_size": 97}, {"batch_size": 1000}):
        loader = penstock.Loader(ds, memory="256MB", dtype=dtype, to="numpy", **options)
        parts, order = [], []
        for batch in loader:
            assert_same(to_scipy(batch.X), reference[batch.index])
            parts.append(batch.X.copy())
            order.append(batch.index.copy())
        np.testing.assert_array_equal(np.sort(np.concatenate(order)), np.arange(len(ds)))
        if not options.get("shuffle", True):
            assert_same(sp.csr_matrix(sp.vstack(parts)), reference)


@pytest.mark.parametrize("name", FILES)
def test_obs_and_var(name):
    path = SHARED / name
    with h5py.File(path) as file:
        good = [m for m in matrices(file) if in_scope(file, m)]
    if not good:
        pytest.skip("no matrix in scope")
    adata, ds = read(path), penstock.open(path, matrix=good[0])
    assert list(ds.obs.columns) == list(adata.obs.columns)
    usable = {name: (ok, why) for name, _, ok, why in ds._handle.obs_columns()}
    for column in adata.obs.columns:
        ok, why = usable[column]
        if not ok:
            assert why
            with pytest.raises(NotImplementedError):
                _ = ds.obs[column]
            continue
        assert_column(ds.obs[column], adata.obs[column])
    var = adata.raw.var if good[0] == "raw/X" else adata.var
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = ds.var
    for column in found.columns:
        assert_column(found[column], var[column])


def assert_column(found: pd.Series, wanted: pd.Series) -> None:
    assert found.name == wanted.name
    if isinstance(wanted.dtype, pd.CategoricalDtype):
        assert isinstance(found.dtype, pd.CategoricalDtype)
        np.testing.assert_array_equal(found.cat.codes, wanted.cat.codes)
        assert list(found.cat.categories) == list(wanted.cat.categories)
        assert found.cat.ordered == wanted.cat.ordered
        return
    left, right = found.reset_index(drop=True), wanted.reset_index(drop=True)
    pd.testing.assert_series_equal(
        left, right, check_dtype=wanted.dtype.kind in "iufb", check_index_type=False
    )


@pytest.mark.parametrize("name", FILES)
def test_labels_decode_to_what_anndata_says(name):
    path = SHARED / name
    with h5py.File(path) as file:
        good = [m for m in matrices(file) if in_scope(file, m)]
    if not good:
        pytest.skip("no matrix in scope")
    adata, ds = read(path), penstock.open(path, matrix=good[0])
    columns = [c for c, dtype, ok, _ in ds._handle.obs_columns() if ok and dtype == "category"]
    if not columns:
        pytest.skip("no categorical columns")
    loader = penstock.Loader(ds, memory="256MB", obs=columns, to="numpy", batch_size=200)
    for batch in loader:
        for column in columns:
            categories = loader.categories.get(column, [])
            decoded = [categories[c] if c >= 0 else None for c in batch.obs[column]]
            values = adata.obs[column].iloc[batch.index]
            assert decoded == [None if pd.isna(v) else str(v) for v in values]


def test_expected_table(shared_data):
    """The numbers of EXPECTED.tsv, for every csr matrix in scope."""
    checked = 0
    with open(shared_data / "EXPECTED.tsv", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    for row in rows:
        path, matrix = shared_data / row["file"], row["path"]
        if row["kind"] != "csr_matrix" or path.suffix != ".h5ad":
            continue
        if not re.fullmatch(r"X|raw/X|layers/.*", matrix):
            continue
        with h5py.File(path) as file:
            if not in_scope(file, matrix):
                continue
        ds = penstock.open(path, matrix=matrix)
        n, m = map(int, row["shape"].split("x"))
        assert ds.shape == (n, m)
        assert ds.files[0].entries == int(row["nnz_or_size"])
        loader = penstock.Loader(ds, shuffle=False, to="numpy", dtype="float64", memory="256MB", batch_size=n)
        x = next(iter(loader)).X
        assert x.sum() == pytest.approx(float(row["sum_f64"]), rel=1e-9)
        assert x[0].sum() == pytest.approx(float(row["row0_sum"]), rel=1e-6)
        assert x[-1].sum() == pytest.approx(float(row["rowlast_sum"]), rel=1e-6)
        checked += 1
    assert checked >= 5
