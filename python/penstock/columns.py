"""Columns of the engine as pandas objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["to_series"]


def _categories(names: list[str], kind: str) -> pd.Index[Any]:
    """Category labels in the type that their file gave them."""
    if kind == "integer":
        numbers = [int(n) for n in names]
        if not numbers or max(numbers) < 1 << 63:
            return pd.Index(np.array(numbers, dtype=np.int64))
        # No integer type of 64 bits holds negative numbers beside such.
        return pd.Index(np.array(numbers, dtype=np.uint64 if min(numbers) >= 0 else object))
    if kind == "floating":
        return pd.Index(np.array([float(n) for n in names], dtype=np.float64))
    if kind == "boolean":
        return pd.Index(np.array([n == "True" for n in names], dtype=bool))
    return pd.Index(names, dtype=object)


def _stored_dtype(name: str, default: type[np.generic]) -> np.dtype[Any]:
    try:
        return np.dtype(name)
    except TypeError:
        return np.dtype(default)


def _array(parts: dict[str, Any]) -> Any:
    kind, values, missing = parts["kind"], parts["values"], parts["missing"]
    mask = None if missing is None else np.asarray(missing, dtype=bool)
    if kind == "categorical":
        categories = _categories(parts["categories"], parts["categories_kind"])
        return pd.Categorical.from_codes(values, categories=categories, ordered=parts["ordered"])
    if kind == "string":
        if mask is None:
            return np.array(values, dtype=object)
        return pd.array([None if m else v for v, m in zip(values, mask, strict=True)], dtype="string")
    if kind == "boolean":
        if mask is None:
            return values.astype(bool)
        return pd.arrays.BooleanArray(values.astype(bool), mask)
    if kind == "integer":
        if parts["unsigned"]:
            values = values.view(np.uint64)
        if mask is None:
            return values.astype(_stored_dtype(parts["dtype"], values.dtype.type), copy=False)
        return pd.arrays.IntegerArray(values, mask)
    values = values.astype(_stored_dtype(parts["dtype"], np.float64), copy=False)
    return values if mask is None else pd.arrays.FloatingArray(values, mask)


def to_series(parts: dict[str, Any], index: pd.Index[Any]) -> pd.Series[Any]:
    """A column as the extension hands it out (see bind_dataset.cc), as a Series."""
    return pd.Series(_array(parts), index=index, name=parts["name"], copy=False)
