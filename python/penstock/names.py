"""The names of rows as an Index that takes what a batch holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from penstock.alignment import host_array

__all__ = ["ObsNames"]


class _LikeIndex(type):
    """As a class it equals Index, so that ``pandas.testing`` takes one for the other."""

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is pd.Index

    def __hash__(cls) -> int:
        return hash(pd.Index)


class ObsNames(pd.Index, metaclass=_LikeIndex):  # type: ignore[misc]
    """An Index of text that can be indexed by tensors, too: pandas takes a tensor without dimensions for an array.

    What is made from it, and what is pickled, is a plain Index.
    """

    @classmethod
    def of(cls, names: list[str]) -> pd.Index[Any]:
        made = pd.Index(np.array(names, dtype=object), dtype=object)
        made.__class__ = cls
        return made

    @property
    def _constructor(self) -> Any:
        return pd.Index

    def __getitem__(self, key: Any) -> Any:
        if type(key).__module__.partition(".")[0] == "torch":
            key = host_array(key)
            key = key.item() if key.ndim == 0 else key
        return super().__getitem__(key)

    def __reduce__(self) -> tuple[Any, ...]:
        plain: tuple[Any, ...] = pd.Index(self).__reduce__()
        return plain

    def __repr__(self) -> str:
        return repr(pd.Index(self))
