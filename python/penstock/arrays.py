"""Batches of numpy and scipy arrays (``to="numpy"``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from penstock import _core

__all__ = ["clone", "dense", "describe", "pin_memory", "to_device", "to_numpy", "wrap"]

DLPACK = False


def check_options(format: str, dtype: str) -> None:
    """What numpy and scipy cannot hold."""
    if dtype == "bfloat16":
        raise ValueError('numpy has no bfloat16: use to="torch" or another dtype')
    if dtype == "float16" and format == "csr":
        raise ValueError('scipy.sparse has no float16: use to="torch", format="dense" or another dtype')


def wrap(
    parts: tuple[int, tuple[Any, ...], Any, list[Any], Any], n_cols: int, names: Sequence[str]
) -> tuple[Any, dict[str, Any], Any, Any]:
    """(X, obs, index, total or None) on the memory that the engine handed out; no copy."""
    n_rows, x, index, labels, total = parts
    if len(x) == 1:
        matrix = x[0]
    else:
        # The constructor from three arrays would look at every index, and copy int64 ones.
        matrix = sp.csr_matrix((n_rows, n_cols), dtype=x[2].dtype)
        matrix.indptr, matrix.indices, matrix.data = x
        matrix.has_sorted_indices = True
        matrix.has_canonical_format = True
    return matrix, dict(zip(names, labels, strict=True)), index, total


def to_device(array: Any, device: Any, non_blocking: bool) -> Any:
    raise TypeError('batches of numpy arrays live on the CPU: use Loader(..., to="torch") to move them')


def pin_memory(array: Any) -> Any:
    raise TypeError('numpy arrays cannot be pinned: use Loader(..., to="torch")')


def dense(x: Any, dtype: Any = None, into: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
    if into is not None:
        into = into[: x.shape[0]]
        if not (
            sp.issparse(x) and into.flags.c_contiguous and _core.densify(x.indptr, x.indices, x.data, into)
        ):
            into[...] = dense(x, into.dtype)
        return into
    out_dtype = np.dtype(x.dtype if dtype is None else dtype)
    if not sp.issparse(x):
        return np.asarray(x).astype(out_dtype, copy=False)
    out = np.empty(x.shape, dtype=out_dtype)
    if not _core.densify(x.indptr, x.indices, x.data, out):
        out = np.empty(x.shape, dtype=x.dtype)
        _core.densify(x.indptr, x.indices, x.data, out)
        out = out.astype(out_dtype)
    return out


def clone(array: Any) -> Any:
    return array.copy()


def to_numpy(array: Any) -> np.ndarray[Any, Any]:
    return np.asarray(array)


def describe(x: Any) -> str:
    return f"csr {x.dtype} ({x.nnz:,} non-zeros)" if sp.issparse(x) else f"dense {x.dtype}"
