"""Totals, normalising and log1p, against scanpy's formulas on the full matrix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from test_genes import write
from test_parquet import gene_table, list_table, matrix

import penstock

NAMES = [f"ENSG{i:05d}" for i in range(300)]


@pytest.fixture(scope="module", params=["counts", "fractions"])
def x(request: pytest.FixtureRequest) -> Any:
    m = matrix(250, counts=request.param == "counts")
    m.data = np.abs(m.data)
    return m


@pytest.fixture(scope="module")
def files(x: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("transforms")
    gene_table(folder)
    pq.write_table(list_table(x), folder / "lists.parquet", row_group_size=60)
    return {
        "csr": write(folder / "a.h5ad", x, NAMES),
        "f64": write(folder / "f64.h5ad", x.astype(np.float64), NAMES),
        "dense": write(folder / "d.h5ad", x.toarray(), NAMES),
        "lists": folder / "lists.parquet",
    }


def scanpy(x: Any, target: float | None, log1p: bool) -> Any:
    """pp.normalize_total and pp.log1p of the whole matrix, in float64."""
    full = x.toarray().astype(np.float64)
    if target is not None:
        counts = full.sum(1, keepdims=True)
        full = full / np.where(counts == 0, 1, counts) * target
    return np.log1p(full) if log1p else full


@pytest.mark.parametrize("genes", [None, [7, 3, 250, 0, 11]])
@pytest.mark.parametrize(("target", "log1p"), [(1e4, True), (1e4, False), (None, True)])
@pytest.mark.parametrize("kind", ["csr", "f64", "lists"])
@pytest.mark.parametrize(
    ("format", "dtype"),  # scipy.sparse has no float16
    [
        ("csr", "float32"),
        ("csr", "float64"),
        ("dense", "float32"),
        ("dense", "float64"),
        ("dense", "float16"),
    ],
)
def test_equal_scanpy_on_the_whole_matrix(
    files: dict[str, Path],
    x: Any,
    genes: list[int] | None,
    target: float | None,
    log1p: bool,
    kind: str,
    format: str,
    dtype: str,
) -> None:
    want = scanpy(x, target, log1p)
    ds = penstock.open(files[kind])
    if genes is not None:
        ds, want = ds[:, genes], want[:, genes]
    loader = penstock.Loader(
        ds,
        batch_size=64,
        memory="64MB",
        to="numpy",
        dtype=dtype,
        format=format,
        normalize_total=target,
        log1p=log1p,
        totals=True,
    )
    tolerance = {"float32": 1e-6, "float64": 1e-12, "float16": 1e-3}[dtype]
    seen = 0
    for batch in loader:
        got = batch.X if format == "dense" else batch.X.toarray()
        assert got.dtype == dtype
        with np.errstate(over="ignore"):
            np.testing.assert_allclose(
                got.astype(np.float64), want[batch.index].astype(dtype).astype(np.float64), rtol=tolerance
            )
        np.testing.assert_allclose(batch.total, np.asarray(x.astype(np.float64).sum(1)).ravel()[batch.index])
        seen += batch.n_obs
    assert seen == 250


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 1e-3), ("bfloat16", 8e-3)])
@pytest.mark.parametrize("format", ["csr", "dense"])
def test_narrow_types_are_rounded_once(
    files: dict[str, Path], x: Any, dtype: str, tolerance: float, format: str
) -> None:
    want = scanpy(x, 1e4, True)[:, 10:40]
    loader = penstock.Loader(
        penstock.open(files["csr"])[:, 10:40],
        batch_size=64,
        memory="64MB",
        dtype=dtype,
        format=format,
        normalize_total=1e4,
        log1p=True,
    )
    for batch in loader:
        got = batch.X if format == "dense" else batch.X.to_dense()
        np.testing.assert_allclose(got.float().numpy(), want[batch.index.numpy()], rtol=tolerance)


def test_the_same_for_rows_that_are_read_again(
    x: Any, tmp_path: Path, starve_windows: Callable[[int], None]
) -> None:
    path = write(tmp_path / "many.h5ad", sp.vstack([x] * 20).tocsr(), NAMES)
    options: dict[str, Any] = {
        "batch_size": 32,
        "memory": "64MB",
        "to": "numpy",
        "normalize_total": 1e4,
        "totals": True,
        "seed": 5,
    }
    ds = penstock.open(path)[:, :150]
    plain = [batch.clone() for batch in penstock.Loader(ds, **options)]
    starve_windows(1)
    again = penstock.Loader(ds, **options)
    for one, two in zip(plain, again, strict=True):
        np.testing.assert_array_equal(one.index, two.index)
        np.testing.assert_array_equal(one.total, two.total)
        np.testing.assert_array_equal(one.X.toarray(), two.X.toarray())
    assert again.stats()["rows_deferred"] > 0


def test_totals_are_of_the_file_whatever_the_join(tmp_path: Path) -> None:
    a = write(tmp_path / "a.h5ad", sp.csr_matrix(np.float32([[1, 2, 4]])), ["A", "B", "C"])
    b = write(tmp_path / "b.h5ad", sp.csr_matrix(np.float32([[8, 16]])), ["C", "D"])
    for join, genes in (("inner", ["C"]), ("outer", ["A", "D"])):
        ds = penstock.open([a, b], join=join)[:, genes]
        batch = penstock.Loader(ds, batch_size=2, memory="64MB", shuffle=False, totals=True).peek()
        assert batch.total.tolist() == [7, 24]
        assert "total" in batch and batch.clone().total.tolist() == [7, 24]


def test_what_makes_no_sense_is_refused(files: dict[str, Path]) -> None:
    ds = penstock.open(files["csr"])
    with pytest.raises(ValueError, match="normalize_total gives fractions, dtype=int32 has none"):
        penstock.Loader(ds, normalize_total=1e4, dtype="int32")
    with pytest.raises(ValueError, match="log1p gives fractions"):
        penstock.Loader(ds, log1p=True, dtype="uint8")
    for text in (True, "1e4"):
        with pytest.raises(TypeError, match="not a number"):
            penstock.Loader(ds, normalize_total=text)  # type: ignore[arg-type]
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="positive number"):
            penstock.Loader(ds, normalize_total=wrong)
    assert "total" not in penstock.Loader(ds, batch_size=8, memory="64MB").peek()
