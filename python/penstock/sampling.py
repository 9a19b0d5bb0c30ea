"""The arguments of `penstock.Loader` that say how often rows come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from penstock.errors import not_found

if TYPE_CHECKING:
    from penstock.dataset import Dataset

__all__ = ["Weights", "checked_balance", "checked_weights"]


class Weights(NamedTuple):
    """Weights as the engine takes them: an array, or a column, or a column and what its values weigh."""

    array: npt.NDArray[np.float64] | None = None
    column: str = ""
    by_category: Mapping[str, float] | None = None


def _column(name: Any, dataset: Dataset) -> str:
    known = list(dataset.obs.columns)
    if name not in known:
        raise not_found("obs has no column", name, known)
    return str(name)


def checked_balance(balance: Any, dataset: Dataset) -> str:
    """A column of obs; "" for None."""
    if balance is None:
        return ""
    if not isinstance(balance, str):
        raise TypeError(f"balance={balance!r} must be the name of an obs column")
    return _column(balance, dataset)


def checked_weights(weights: Any, dataset: Dataset) -> Weights:
    """What `weights` means; the engine looks at the numbers themselves."""
    if weights is None:
        return Weights()
    if isinstance(weights, str):
        return Weights(column=_column(weights, dataset))
    if isinstance(weights, Mapping):
        if len(weights) != 1 or not isinstance(next(iter(weights.values())), Mapping):
            raise TypeError(
                'weights as a mapping name a column and what its values weigh: weights={"cell_type": {"T cell": 2.0}}'
            )
        ((name, values),) = weights.items()
        if not values:
            raise ValueError(
                f"weights={{{name!r}: {{}}}} weighs nothing: give at least one value and its weight"
            )
        return Weights(
            column=_column(name, dataset), by_category={str(key): float(w) for key, w in values.items()}
        )
    try:
        array = np.ascontiguousarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"weights must be numbers, one for each selected row, an obs column or a mapping, "
            f"not {type(weights).__name__}"
        ) from None
    if array.shape != (dataset.n_obs,):
        raise ValueError(
            f"weights of shape {array.shape}: one number for each of the {dataset.n_obs:,} selected rows, in the "
            "order of obs"
        )
    return Weights(array=array)
