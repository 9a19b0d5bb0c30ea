"""Byte budgets."""

from __future__ import annotations

import operator
import os
from typing import Any, SupportsIndex

from penstock import _core

__all__ = ["MemoryBudget", "parse_memory"]


def parse_memory(value: str | SupportsIndex, name: str) -> int:
    """Bytes from ``"2GB"``, ``"512 MiB"`` or a number."""
    if isinstance(value, str):
        return _core.parse_bytes(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(
            f'{name}={value!r} is not a number of bytes: write {name}="2GB" or {name}=2_000_000_000'
        )
    return number


class MemoryBudget:
    """A byte budget that several loaders share, and never exceed together.

    Each loader plans for ``limit / loaders``, whoever else is alive: a loader that is made again, by the same line, has
    the same order of rows, and takes the checkpoints of the one before.

    Parameters
    ----------
    limit
        Bytes: an int, or text such as ``"2GB"`` (powers of 1000) or ``"2GiB"`` (powers of 1024).
    loaders
        How many loaders share it: 2 for training and validation. A loader that needs less than its share leaves the
        rest to others, so there may be more; one that finds too little is refused (`MemoryBudgetError`), and the
        message says who holds what.

    Raises
    ------
    ValueError
        ``limit`` is not a number of bytes, or ``loaders`` not a whole number of at least 1.

    Examples
    --------
    >>> budget = penstock.MemoryBudget("2GB")
    >>> train_loader = penstock.Loader(train, memory=budget)
    >>> val_loader = penstock.Loader(val, memory=budget, shuffle=False)
    >>> budget
    <MemoryBudget 2 GB for 2 loaders: 1.2 GB used, 1.4 GB peak>
    """

    def __init__(self, limit: str | SupportsIndex, loaders: int = 2) -> None:
        self._limit = parse_memory(limit, "memory")
        if isinstance(loaders, bool) or not hasattr(loaders, "__index__") or not 1 <= loaders < 1 << 32:
            raise ValueError(f"loaders={loaders!r} is not a number of loaders: 1 or more")
        self._loaders = operator.index(loaders)
        self._handle = _core.MemoryBudget(self._limit, self._loaders)
        self._pid = os.getpid()

    def _native(self) -> _core.MemoryBudget:
        # A forked child has the parent's loaders on its books, and maybe a lock that nobody will release.
        if self._pid != os.getpid():
            self._parent = self._handle
            self._handle = _core.MemoryBudget(self._limit, self._loaders)
            self._pid = os.getpid()
        return self._handle

    @property
    def limit(self) -> int:
        """The budget, in bytes."""
        return self._limit

    @property
    def loaders(self) -> int:
        """How many loaders share it: each plans for ``limit / loaders``."""
        return self._loaders

    @property
    def used(self) -> int:
        """Bytes held now."""
        return int(self.usage()["used"])

    @property
    def peak(self) -> int:
        """The most bytes ever held."""
        return int(self.usage()["peak"])

    def usage(self) -> dict[str, Any]:
        """Bytes held now and at most, in all and by tag.

        Returns
        -------
        dict
            ``limit``, ``used`` and ``peak`` in bytes; ``used_by_tag`` and ``peak_by_tag`` are dicts over
            the tags ``index``, ``obs``, ``fetch``, ``scratch``, ``window``, ``slots`` and ``dense``.
        """
        return self._native().usage()

    def __repr__(self) -> str:
        fmt = _core.format_bytes
        of = f"{self._loaders} loader{'s' if self._loaders > 1 else ''}"
        return f"<MemoryBudget {fmt(self._limit)} for {of}: {fmt(self.used)} used, {fmt(self.peak)} peak>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self._limit, self._loaders))
