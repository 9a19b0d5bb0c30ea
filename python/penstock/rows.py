"""Which rows (and genes) a user means: masks, positions, global numbers; and whether two selections can be joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from penstock.alignment import host_array, in_order

if TYPE_CHECKING:
    from penstock.dataset import Dataset

__all__ = ["as_array", "difference", "global_rows", "positions_asked", "refuse_another_order", "row_array"]


def as_array(values: Any, dataset: Dataset, table: Literal["obs", "var"]) -> npt.NDArray[Any]:
    """Masks and positions from lists, numpy arrays, tensors and pandas objects. A Series that is a mask is aligned by
    its index; other values are positions themselves."""
    if not isinstance(values, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)):
        return host_array(values)
    if not pd.api.types.is_bool_dtype(values.dtype):
        return np.asarray(values)
    if values.isna().any():
        raise ValueError("the mask has missing values: use mask.fillna(False)")
    n = dataset.n_obs if table == "obs" else dataset.n_vars
    mask = in_order(
        values, n, lambda: dataset.obs_names if table == "obs" else dataset.var_names, "the mask", table
    )
    return np.asarray(mask, dtype=bool)


def row_array(key: Any, dataset: Dataset) -> npt.NDArray[Any]:
    """Rows that are no slice: a mask of all of them, or int64 positions, each there, in the order asked for."""
    n = dataset.n_obs
    if isinstance(key, (bool, np.bool_, str, bytes)):
        raise TypeError(f"rows are selected by slice, mask or positions, not by {key!r}")
    rows = as_array(key, dataset, "obs")
    if rows.ndim == 0:
        if rows.dtype.kind not in "iu":
            raise TypeError(f"rows are selected by slice, mask or positions, not by {rows}")
        rows = rows.reshape(1)
    if rows.ndim != 1:
        raise IndexError(f"rows must have one dimension, not {rows.ndim}")
    if rows.dtype == bool:
        if len(rows) != n:
            raise IndexError(f"the mask has {len(rows):,} entries for {n:,} rows")
        return rows
    if rows.size == 0:
        return np.zeros(0, dtype=np.int64)
    if rows.dtype.kind not in "iu":
        raise TypeError(
            f"rows are selected by slice, mask or integer positions, not by {rows.dtype}; for obs names: "
            "ds[ds.obs_names.isin(names)]"
        )
    least, largest = int(rows.min()), int(rows.max())
    if least < -n or largest >= n:
        raise IndexError(f"position {least if least < -n else largest} is out of range for {n:,} rows")
    positions = rows.astype(np.int64)
    positions[positions < 0] += n
    return positions


def refuse_another_order(positions: npt.NDArray[np.int64]) -> None:
    """A Dataset is a set of rows in file order: it must not give back another order than was asked for."""
    steps = np.diff(positions)
    if steps.min(initial=1) > 0:
        return
    at = int(np.argmax(steps <= 0))
    found = (
        f"row {positions[at]} is asked for twice"
        if steps[at] == 0
        else f"rows are not in file order: {positions[at + 1]} comes after {positions[at]}"
    )
    raise ValueError(
        f"{found}; a Dataset is a set of rows in file order. ds[np.unique(rows)] takes the set; ds.to_anndata(rows) "
        "keeps order and repeats; a Loader shuffles, and repeats rows by weights="
    )


def positions_asked(key: Any, dataset: Dataset) -> npt.NDArray[np.int64]:
    """The positions that a key means, in the order asked for, 8 bytes a row."""
    if key is Ellipsis:
        key = slice(None)
    if isinstance(key, slice):
        return np.arange(*key.indices(dataset.n_obs), dtype=np.int64)
    rows = row_array(key, dataset)
    return np.flatnonzero(rows).astype(np.int64) if rows.dtype == bool else rows


def global_rows(rows: npt.NDArray[Any], total: int) -> npt.NDArray[np.int64]:
    """Global row numbers that exist, of `total`, as the engine takes them."""
    if rows.size == 0:
        return np.zeros(0, dtype=np.int64)
    if rows.dtype.kind not in "iu":
        raise TypeError(f"row numbers are integers, not {rows.dtype}")
    least, largest = int(rows.min()), int(rows.max())
    if least == -1:
        raise ValueError(
            "-1 is no row: it marks one that was repeated to even out the batches of several ranks; leave those out: "
            "index[index >= 0]"
        )
    if least < 0 or largest >= total:
        raise IndexError(
            f"global row {least if least < 0 else largest} is not among the {total:,} rows of these files"
        )
    return np.ascontiguousarray(rows.reshape(-1), dtype=np.int64)


def _columns(dataset: Dataset) -> npt.NDArray[np.int64]:
    """The opened files' gene that each gene is; -1: zeros."""
    columns = dataset._handle.var_columns_opened()
    return columns if columns.size else np.arange(dataset.n_vars, dtype=np.int64)


def difference(a: Dataset, b: Dataset) -> str:
    """Why the rows of two Datasets are not rows of one matrix; "" when they are."""
    mine, others = a._files, b._files
    if mine is not others:
        if len(mine.absolute) != len(others.absolute):
            return f"{len(mine.absolute)} files and {len(others.absolute)}"
        for i, (path, other) in enumerate(zip(mine.absolute, others.absolute, strict=True)):
            if path != other:
                return f"file {i} is {path} in one and {other} in the other"
        for name, value in mine.options.items():
            if name != "index_memory" and value != others.options[name]:
                return f"{name}={value!r} in one and {others.options[name]!r} in the other"
    if a.n_vars != b.n_vars:
        return f"{a.n_vars:,} genes and {b.n_vars:,}"
    columns = _columns(a)
    same = np.array_equal(columns, _columns(b))
    if same and mine is others and columns.min(initial=0) >= 0:
        return ""  # without a gene of zeros, whose name is the user's, columns say it all
    if not a.var_names.equals(b.var_names):
        at = int(np.argmax(a.var_names != b.var_names))
        return f"gene {at} is {a.var_names[at]!r} in one and {b.var_names[at]!r} in the other"
    return "" if same else "genes of the same names are other columns of the files"
