"""Files of anndata before 0.7, files without X, and matrices without entries, genes or cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from support import assert_same, canonical, random_csr, to_scipy, write_h5ad

import penstock


def write_old(path: Path, x: sp.csr_matrix, raw: sp.csr_matrix, **layout: Any) -> str:
    """As anndata 0.5 and 0.6 wrote: compound tables, h5sparse attributes, links called raw.X and raw.var."""
    n, genes = x.shape
    rng = np.random.default_rng(0)
    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        for name, matrix in (("X", x), ("raw.X", raw)):
            group = file.create_group(name)
            group.attrs["h5sparse_format"], group.attrs["h5sparse_shape"] = "csr", np.array(matrix.shape)
            group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        obs = np.zeros(
            n,
            dtype=[("index", "S12"), ("kind", "i1"), ("n", "i4"), ("score", ">f4"), ("flag", "?"), ("word", text),
                   ("pair", "f4", (2,))],
        )  # fmt: skip
        obs["index"] = [f"cell {i}" for i in range(n)]
        obs["kind"], obs["n"] = rng.integers(-1, 3, n), rng.integers(-9, 9, n)
        obs["score"], obs["flag"] = rng.random(n), rng.random(n) < 0.5
        obs["word"] = [f"word {i % 7}" for i in range(n)]
        file.create_dataset("obs", data=obs, **layout)
        for name, width in (("var", genes), ("raw.var", raw.shape[1])):
            var = np.zeros(width, dtype=[("index", text), ("mean", "f8")])
            var["index"], var["mean"] = [f"{name} {i}" for i in range(width)], rng.random(width)
            file[name] = var
        file["uns/kind_categories"] = np.array(["a", "b", "c"], dtype=text)
    return str(path)


@pytest.mark.parametrize("layout", [{}, {"chunks": (7,), "compression": "gzip"}])
def test_tables_of_records(tmp_path, layout):
    rng = np.random.default_rng(5)
    x, raw = random_csr(rng, 50, 9), random_csr(rng, 50, 14)
    path = write_old(tmp_path / "old.h5ad", x, raw, **layout)
    with h5py.File(path) as file:
        records, kinds = file["obs"][()], np.array(["a", "b", "c", None], dtype=object)
    for matrix, wanted, var in (("X", x, "var"), ("raw/X", raw, "raw.var")):
        ds = penstock.open(path, matrix=matrix)
        assert ds.shape == wanted.shape and ds.var_names[3] == f"{var} 3" and ds.obs_names[4] == "cell 4"
        assert list(ds.obs.columns) == ["kind", "n", "score", "flag", "word", "pair"]
        assert list(ds.obs["kind"].astype(object).where(ds.obs["kind"].notna(), None)) == list(
            kinds[records["kind"]]
        )
        for column in ("n", "score", "flag"):
            np.testing.assert_array_equal(ds.obs[column], records[column])
        assert list(ds.obs["word"]) == [word.decode() for word in records["word"]]
        with pytest.raises(NotImplementedError, match="pair"):
            _ = ds.obs["pair"]
        loader = penstock.Loader(
            ds, batch_size=16, memory="64MB", to="numpy", obs=["kind", "n", "score", "flag"]
        )
        for batch in loader:
            assert_same(to_scipy(batch.X), canonical(wanted)[batch.index].astype(np.float32))
            for column in ("n", "score", "flag"):
                np.testing.assert_array_equal(batch.obs[column], records[column][batch.index])
        assert ds.query("kind == 'b' and n > 0").n_obs == int(
            ((records["kind"] == 1) & (records["n"] > 0)).sum()
        )
    assert list(ds.var["mean"]) == list(h5py.File(path)["raw.var"]["mean"])


def test_names_that_are_numbers(tmp_path):
    path = write_h5ad(tmp_path / "a.h5ad", random_csr(np.random.default_rng(0), 4, 3))
    with h5py.File(path, "r+") as file:
        del file["obs"], file["var"]
        file["obs"] = np.array(
            [(7, 1.5), (8, 2.5), (9, 3.5), (10, 4.5)], dtype=[("index", "i8"), ("v", "f8")]
        )
        file["var"] = np.array([(0,), (1,), (2,)], dtype=[("index", "i8")])
    ds = penstock.open(path)
    assert list(ds.obs_names) == ["7", "8", "9", "10"] and list(ds.obs["v"]) == [1.5, 2.5, 3.5, 4.5]


@pytest.mark.parametrize("null", [False, True])
def test_without_x_there_are_tables(tmp_path, null):
    x = random_csr(np.random.default_rng(1), 30, 5)
    adata = anndata.AnnData(
        obs=pd.DataFrame({"n": range(30)}, index=[f"c{i}" for i in range(30)]),
        var=pd.DataFrame(index=[f"g{i}" for i in range(5)]),
        layers={"counts": x},
    )
    path = tmp_path / "a.h5ad"
    adata.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        if "X" in file:
            del file["X"]
        if null:
            file["X"] = h5py.Empty("f4")
            file["X"].attrs["encoding-type"] = "null"
    ds = penstock.open(path)
    assert ds.shape == (30, 5) and list(ds.obs["n"]) == list(range(30))
    with pytest.raises(KeyError, match='matrix="layers/counts"'):
        penstock.Loader(ds, batch_size=4, memory="64MB")
    with pytest.raises(KeyError, match="X does not exist"):
        ds.to_anndata()
    loader = penstock.Loader(
        penstock.open(path, matrix="layers/counts"), batch_size=30, memory="64MB", to="numpy"
    )
    batch = next(iter(loader))
    assert_same(to_scipy(batch.X), canonical(x)[batch.index])


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("shape", [(20, 6), (20, 0), (0, 6), (0, 0)])
def test_nothing_to_read(tmp_path, dense, shape):
    x = np.zeros(shape, dtype=np.float32) if dense else sp.csr_matrix(shape, dtype=np.float32)
    path = tmp_path / "a.h5ad"
    anndata.AnnData(X=x).write_h5ad(path)
    ds = penstock.open(path)
    assert ds.shape == shape
    if shape[0] == 0:
        return
    loader = penstock.Loader(ds, batch_size=8, memory="64MB", to="numpy")
    batches = list(loader)
    assert sum(len(batch.index) for batch in batches) == shape[0]
    assert all(batch.X.shape[1] == shape[1] and batch.X.nnz == 0 for batch in batches)
