"""Small h5ad files of every shape, and what the batches of a loader must equal."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import penstock

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"


def random_csr(
    rng: np.random.Generator,
    n_obs: int,
    n_vars: int,
    density: float = 0.2,
    dtype: Any = np.float32,
    counts: bool = True,
) -> sp.csr_matrix:
    """A CSR matrix of counts (or of any values) with some empty rows."""
    x = sp.random(n_obs, n_vars, density=density, format="csr", random_state=rng, dtype=np.float64)
    if counts:
        x.data = np.minimum(rng.geometric(0.3, size=x.nnz), 120).astype(np.float64)
    else:
        x.data = rng.normal(size=x.nnz)
    empty = rng.random(n_obs) < 0.05
    x = sp.csr_matrix(sp.diags((~empty).astype(np.float64)) @ x)
    x.eliminate_zeros()
    x.sort_indices()
    return x.astype(dtype)


def random_obs(rng: np.random.Generator, n_obs: int) -> pd.DataFrame:
    """One column of each kind."""
    colours = np.array(["red", "green", "blue"])[rng.integers(0, 3, n_obs)]
    line = pd.Categorical.from_codes(rng.integers(-1, 4, n_obs), categories=["z9", "a1", "m5", "never", "b2"])
    return pd.DataFrame(
        {
            "colour": pd.Categorical(colours),
            "line": line,
            "n": rng.integers(-5, 1000, n_obs),
            "small": rng.integers(0, 100, n_obs).astype(np.int8),
            "score": rng.normal(size=n_obs),
            "score32": rng.normal(size=n_obs).astype(np.float32),
            "flag": rng.random(n_obs) < 0.5,
        },
        index=[f"cell{i}" for i in range(n_obs)],
    )


def write_csr(
    group: h5py.Group,
    x: sp.csr_matrix,
    *,
    chunks: int | None = None,
    index_chunks: int | None = None,
    index_dtype: Any = None,
    indptr_dtype: Any = None,
    **filters: Any,
) -> None:
    """A csr_matrix element with the chunk shapes, integer types and filters that are asked for."""
    group.attrs["encoding-type"] = "csr_matrix"
    group.attrs["encoding-version"] = "0.1.0"
    group.attrs["shape"] = np.array(x.shape, dtype=np.int64)

    def write(name: str, array: np.ndarray, size: int | None) -> None:
        if size is None and not filters:
            group.create_dataset(name, data=array)  # contiguous
        else:
            shape = (min(size or 4096, max(len(array), 1)),)
            group.create_dataset(name, data=array, chunks=shape, maxshape=(None,), **filters)

    write("data", x.data, chunks)
    write("indices", x.indices.astype(index_dtype or x.indices.dtype), index_chunks or chunks)
    write("indptr", x.indptr.astype(indptr_dtype or x.indptr.dtype), chunks)


def write_h5ad(
    path: str | os.PathLike[str],
    x: sp.csr_matrix,
    obs: pd.DataFrame | None = None,
    var: pd.DataFrame | None = None,
    raw: sp.csr_matrix | None = None,
    layers: dict[str, Any] | None = None,
    **layout: Any,
) -> str:
    """An h5ad file as anndata writes it, with X laid out as asked for."""
    if obs is None:
        obs = pd.DataFrame(index=[f"cell{i}" for i in range(x.shape[0])])
    if var is None:
        var = pd.DataFrame(index=[f"g{i}" for i in range(x.shape[1])])
    adata = anndata.AnnData(X=sp.csr_matrix(x.shape, dtype=np.float32), obs=obs, var=var, layers=layers)
    if raw is not None:
        names = pd.DataFrame(index=[f"r{i}" for i in range(raw.shape[1])])
        adata.raw = anndata.AnnData(X=raw, obs=obs, var=names)
    adata.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        del file["X"]
        write_csr(file.create_group("X"), x, **layout)
    return str(path)


def canonical(x: Any) -> sp.csr_matrix:
    """Columns sorted and duplicates summed, explicit zeros kept: what batches hold."""
    x = sp.csr_matrix(x, copy=True)
    x.sort_indices()
    x.sum_duplicates()
    return x


def to_scipy(x: Any) -> sp.csr_matrix:
    """X of a batch, whatever it is made of; dense matrices lose their zeros."""
    if sp.issparse(x):
        return x
    if isinstance(x, np.ndarray):
        return sp.csr_matrix(x)
    import torch

    if x.layout == torch.sparse_csr:
        parts = (x.values().numpy(), x.col_indices().numpy(), x.crow_indices().numpy())
        return sp.csr_matrix(parts, shape=tuple(x.shape))
    return sp.csr_matrix(x.numpy())


def assert_same(found: sp.csr_matrix, expected: sp.csr_matrix) -> None:
    """Equal bit for bit."""
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert found.data.dtype == expected.data.dtype
    assert found.data.tobytes() == expected.data.tobytes()


def assert_batch(batch: penstock.Batch, x: sp.csr_matrix, dtype: Any = np.float32) -> None:
    """The batch holds the rows of x (over all files) that its index names."""
    index = np.asarray(batch.index)
    expected = canonical(x[index]).astype(dtype)
    if sp.issparse(batch.X) or "sparse_csr" in str(getattr(batch.X, "layout", "")):
        assert_same(to_scipy(batch.X), expected)
    else:
        found = np.asarray(batch.X)
        assert found.dtype == dtype
        assert found.tobytes() == expected.toarray().tobytes()


def indices(batches: Iterable[penstock.Batch]) -> list[np.ndarray]:
    return [np.asarray(batch.index).copy() for batch in batches]


def flat(batches: Iterable[penstock.Batch]) -> np.ndarray:
    parts = indices(batches)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def batches_of_damaged(good: bytes, bad: Path, seed: int, copies: int) -> Iterator[penstock.Batch]:
    """What a loader makes of copies of a file, written to `bad`, each cut somewhere or with one bit flipped; a
    documented error ends a copy."""
    rng = np.random.default_rng(seed)
    for i in range(copies):
        data = bytearray(good)
        if i % 3 == 0:
            data = data[: rng.integers(0, len(data))]
        else:
            data[int(rng.integers(0, len(data)))] ^= 1 << int(rng.integers(0, 8))
        bad.write_bytes(data)
        try:
            yield from penstock.Loader(penstock.open(bad), batch_size=64, memory="64MB", to="numpy")
        except (OSError, NotImplementedError, ValueError, KeyError, MemoryError):
            continue


def framework(name: str) -> Any:
    """The module of a framework that only tests use. Without it the caller is skipped, but never in `make test`,
    which installs them all."""
    if os.environ.get("PENSTOCK_FRAMEWORKS") == "required":
        return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{name} is not installed (make setup-test)")


def run_python(code: str, *args: str, timeout: float = 300, **env: str) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *args],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]), **env},
    )
