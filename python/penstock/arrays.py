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
    parts: tuple[int, tuple[Any, ...], Any, list[Any], Any, list[Any]], n_cols: int, names: Sequence[str]
) -> tuple[Any, dict[str, Any], Any, Any, list[Any]]:
    """(X, obs, index, total or None, obsm) on the memory that the engine handed out, without another copy."""
    n_rows, x, index, labels, total, obsm = parts
    if len(x) == 1:
        matrix = x[0]
    else:
        # The constructor from three arrays would look at every index, and copy int64 ones.
        matrix = sp.csr_matrix((n_rows, n_cols), dtype=x[2].dtype)
        matrix.indptr, matrix.indices, matrix.data = x
        matrix.has_sorted_indices = True
        matrix.has_canonical_format = True
    return matrix, dict(zip(names, labels, strict=True)), index, total, obsm


def to_device(array: Any, device: Any, non_blocking: bool) -> Any:
    raise TypeError('batches of numpy arrays live on the CPU: use Loader(..., to="torch") to move them')


def pin_memory(array: Any) -> Any:
    raise TypeError('numpy arrays cannot be pinned: use Loader(..., to="torch")')


def dense(
    x: Any, dtype: Any, into: np.ndarray[Any, Any] | None, densifier: _core.Densifier
) -> np.ndarray[Any, Any]:
    if into is not None:
        if not isinstance(into, np.ndarray):
            raise TypeError(f"out must be a numpy array, as X is, not {type(into).__name__}")
        into = into[: x.shape[0]]
        if not (
            sp.issparse(x)
            and into.flags.c_contiguous
            and densifier.densify_into(x.indptr, x.indices, x.data, into)
        ):
            into[...] = dense(x, into.dtype, None, densifier)
        return into
    if dtype == "bfloat16":
        raise ValueError('numpy has no bfloat16: use Loader(..., to="torch") or another dtype')
    out_dtype = np.dtype(x.dtype if dtype is None else dtype)
    if not sp.issparse(x):
        return np.asarray(x).astype(out_dtype, copy=False)

    def make(name: str) -> Any:
        return densifier.densify(x.indptr, x.indices, x.data, x.shape[1], name, False)

    out = make(out_dtype.name)
    if out is None:
        out = make(x.dtype.name)
        # X of a type that only users make, such as bool or complex.
        out = (x.toarray() if out is None else out).astype(out_dtype)
    result: np.ndarray[Any, Any] = out
    return result


def clone(array: Any) -> Any:
    return array.copy()


def to_numpy(array: Any) -> np.ndarray[Any, Any]:
    return np.asarray(array)


def describe(x: Any) -> str:
    return f"csr {x.dtype} ({x.nnz:,} non-zeros)" if sp.issparse(x) else f"dense {x.dtype}"
