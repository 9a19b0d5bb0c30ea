"""Arguments with one value for each row or gene: arrays, and Series, whose index says which value is whose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["host_array", "in_order", "values_of"]


def host_array(values: Any) -> np.ndarray[Any, Any]:
    """A numpy array of a list, an array, or a tensor on any device."""
    if type(values).__module__.partition(".")[0] == "torch":
        values = values.detach().cpu()
    return np.asarray(values)


def values_of(values: pd.Series[Any] | pd.Index[Any]) -> Any:
    """Without the index: a numpy array, or an extension array where numpy has no such dtype."""
    return values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array


def _permutation(index: pd.Index[Any], n: int) -> np.ndarray[Any, Any] | None:
    """Where each of the numbers 0 to n - 1 lies in an index of whole numbers; None: it does not hold each once."""
    if index.hasnans:
        return None
    numbers = index.to_numpy(dtype=None if isinstance(index.dtype, np.dtype) else np.int64)
    if n and (numbers.min() < 0 or numbers.max() >= n):
        return None
    places = np.full(n, -1, dtype=np.int64)
    places[numbers.astype(np.int64)] = np.arange(n)
    return places if not n or places.min() >= 0 else None


def _places(index: pd.Index[Any], n: int, names: Callable[[], pd.Index[Any]]) -> np.ndarray[Any, Any] | None:
    """Where the value of each row lies in a Series with this index of n labels; None: the labels do not say."""
    if isinstance(index, pd.MultiIndex):
        return None
    if pd.api.types.is_integer_dtype(index.dtype):
        return _permutation(index, n)
    labels, wanted = pd.Index(index.astype(object), dtype=object), pd.Index(names())
    if labels.equals(wanted):
        return np.arange(n)
    if not (labels.is_unique and wanted.is_unique):
        return None
    places = labels.get_indexer(wanted)
    return places if places.min(initial=0) >= 0 else None


def in_order(values: Any, n: int, names: Callable[[], pd.Index[Any]], what: str, whose: str = "obs") -> Any:
    """The values of a Series in the order of the rows (or genes) that its index names; anything else as it is.

    An index of whole numbers counts positions, any other holds names. One that is neither, in any order, is refused:
    what was sorted, filtered or merged would go to other rows. A Series of another length comes back as it is, for the
    caller to refuse.
    """
    if isinstance(values, pd.DataFrame):
        raise TypeError(f"{what} is a DataFrame: give one of its columns")
    if not isinstance(values, pd.Series):
        return values
    if len(values) != n or values.index.equals(pd.RangeIndex(n)):
        return values_of(values)
    places = _places(values.index, n, names)
    if places is None:
        raise ValueError(
            f"{what} is a Series whose index is neither the positions 0 to {n - 1:,} nor {whose}_names, each once in "
            "any order, so it does not say which value is whose: give it one of these, or values in the order of "
            f"{whose} without an index, series.to_numpy()"
        )
    return values_of(values).take(places)
