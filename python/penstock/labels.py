"""Labels of rows that may be in no file: what `split`, `k_fold` and ``balance=`` take beside names of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from penstock.alignment import host_array, in_order, values_of
from penstock.errors import not_found

if TYPE_CHECKING:
    from penstock.dataset import Dataset

__all__ = ["checked_column", "columns_or_labels", "label_codes"]

_KINDS = ("string", "integer", "boolean", "empty")


def checked_column(name: Any, dataset: Dataset) -> str:
    """The name of an obs column that exists."""
    dataset._check_obs(name)
    return str(name)


def label_codes(labels: Any, dataset: Dataset, argument: str) -> npt.NDArray[np.int32]:
    """The class of each row as a number: 0 for the first in sorted order (of a categorical: in its own), -1 without."""
    n = dataset.n_obs
    labels = in_order(labels, n, lambda: dataset.obs_names, argument)
    if isinstance(labels, pd.Index):
        labels = values_of(labels)
    if not isinstance(labels, pd.api.extensions.ExtensionArray):
        labels = host_array(labels)
    if labels.shape != (n,):
        raise ValueError(
            f"{argument}: labels of shape {labels.shape}, but one is needed for each of the {n:,} selected rows, in "
            f"the order of obs. (Columns of obs are named by a string or a list of strings.)"
        )
    if isinstance(labels, pd.Categorical):
        return np.ascontiguousarray(labels.codes, dtype=np.int32)
    kind = pd.api.types.infer_dtype(labels, skipna=True)
    if kind == "floating":
        raise ValueError(
            f"{argument}: labels are {labels.dtype}: nearly every row is a group of its own; use strings, categories, "
            "integers or booleans (pandas.cut makes categories of numbers; whole numbers of which some are missing "
            'are .astype("Int64"))'
        )
    if kind not in _KINDS:
        raise ValueError(
            f"{argument}: labels are {kind} ({labels.dtype}); they must be strings, categories, integers or booleans, "
            "all of one kind"
        )
    codes, _ = pd.factorize(labels, sort=True)
    return np.ascontiguousarray(codes, dtype=np.int32)


def columns_or_labels(
    value: Any, dataset: Dataset, argument: str
) -> tuple[list[str], npt.NDArray[np.int32] | None]:
    """What an argument tells rows apart by: columns of obs, which exist, or the codes of labels given."""
    if value is None:
        return [], None
    if isinstance(value, str):
        return [checked_column(value, dataset)], None
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        if not value:
            raise ValueError(f"{argument}=[] names no column; leave it out")
        if len(value) == dataset.n_obs and not set(value) & set(dataset.obs.columns):
            raise not_found(
                f"{argument}: a list of strings names columns; labels are an array, np.asarray(labels). "
                "obs has no column",
                value[0],
                dataset.obs.columns,
            )
        return [checked_column(name, dataset) for name in value], None
    if np.ndim(value) == 0:
        raise TypeError(f"{argument}={value!r} must be a column of obs, several, or labels of the rows")
    return [], label_codes(value, dataset, argument)
