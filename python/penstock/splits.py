"""Arguments of `Dataset.split`, and the pairs that `penstock.Dataset.k_fold` gives."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Protocol, SupportsIndex, TypeVar

__all__ = ["Folds"]


def checked_seed(seed: SupportsIndex) -> int:
    """A seed: an integer from 0 to 2^64 - 1."""
    try:
        number = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed={seed!r} is not an integer") from None
    if isinstance(seed, bool) or not 0 <= number < 1 << 64:
        raise ValueError(f"seed={seed!r} must be an integer from 0 to 2**64 - 1")
    return number


def rows_of_unit(unit: str | SupportsIndex) -> int:
    """What the engine calls a unit: rows of a run, 0 for "auto"."""
    if isinstance(unit, str):
        if unit not in ("auto", "row"):
            raise ValueError(f'unit={unit!r} must be "auto", "row" or a number of rows')
        return int(unit == "row")
    rows = operator.index(unit)
    if not 1 <= rows < 1 << 63:
        raise ValueError(f'unit={rows} must be at least 1 row, or "auto"')
    return rows


class _Rows(Protocol):
    @property
    def n_obs(self) -> int: ...


_Part = TypeVar("_Part", bound=_Rows)  # a Dataset


class Folds(Sequence[Any]):
    """The pairs (train, test) of `penstock.Dataset.k_fold`, by number.

    Examples
    --------
    >>> folds = ds.k_fold(5)
    >>> len(folds)
    5
    >>> train, test = folds[0]
    """

    def __init__(self, tests: list[_Part], without: Callable[[_Part], _Part]) -> None:
        self._tests = tests
        self._without = without

    def __len__(self) -> int:
        return len(self._tests)

    def __getitem__(self, fold: Any) -> Any:
        if isinstance(fold, slice):
            return Folds(self._tests[fold], self._without)
        test = self._tests[fold]
        return self._without(test), test

    def __repr__(self) -> str:
        return f"{len(self)} folds of {', '.join(f'{test.n_obs:,}' for test in self._tests[:12])} rows" + (
            ", ..." if len(self) > 12 else ""
        )
