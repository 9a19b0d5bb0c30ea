"""The arguments of `penstock.Loader` that say how often rows come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from penstock.alignment import host_array, in_order
from penstock.labels import checked_column, label_codes

if TYPE_CHECKING:
    from penstock.dataset import Dataset

__all__ = ["Balance", "Weights", "checked_balance", "checked_weights"]


class Weights(NamedTuple):
    """Weights as the engine takes them: an array, or a column, or a column and what its values weigh."""

    array: npt.NDArray[np.float64] | None = None
    column: str = ""
    by_category: Mapping[str, float] | None = None


class Balance(NamedTuple):
    """Classes as the engine takes them: a column, or the class of each row."""

    column: str = ""
    labels: npt.NDArray[np.int32] | None = None


def checked_balance(balance: Any, dataset: Dataset) -> Balance:
    """What `balance` means: a column of obs, or labels of the rows, of which none is missing."""
    if balance is None:
        return Balance()
    if isinstance(balance, str):
        return Balance(column=checked_column(balance, dataset))
    if np.ndim(balance) == 0:
        raise TypeError(f"balance={balance!r} must be the name of an obs column, or a label for each row")
    codes = label_codes(balance, dataset, "balance")
    missing = int(np.count_nonzero(codes < 0))
    if missing:
        raise ValueError(
            f"balance: {missing:,} of {len(codes):,} labels are missing, so that their rows belong to no class; leave "
            "them out: mask = pandas.notna(labels), Loader(ds[mask], balance=labels[mask])"
        )
    return Balance(labels=codes)


def checked_weights(weights: Any, dataset: Dataset) -> Weights:
    """What `weights` means; the engine looks at the numbers themselves."""
    if weights is None:
        return Weights()
    if isinstance(weights, str):
        return Weights(column=checked_column(weights, dataset))
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
            column=checked_column(name, dataset),
            by_category={str(key): float(w) for key, w in values.items()},
        )
    given = type(weights).__name__
    weights = in_order(weights, dataset.n_obs, lambda: dataset.obs_names, "weights")
    try:
        array = np.ascontiguousarray(host_array(weights), dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"weights must be numbers, one for each selected row, an obs column or a mapping, not {given}"
        ) from None
    if array.shape != (dataset.n_obs,):
        raise ValueError(
            f"weights of shape {array.shape}: one number for each of the {dataset.n_obs:,} selected rows, in the "
            "order of obs"
        )
    return Weights(array=array)
