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

    Parameters
    ----------
    limit
        Bytes: an int, or text such as ``"2GB"`` (powers of 1000) or ``"2GiB"`` (powers of 1024).

    Raises
    ------
    ValueError
        ``limit`` is not a number of bytes.

    Examples
    --------
    >>> budget = penstock.MemoryBudget("2GB")
    >>> train_loader = penstock.Loader(train, memory=budget)
    >>> val_loader = penstock.Loader(val, memory=budget, shuffle=False)
    >>> budget
    <MemoryBudget 2 GB: 1.2 GB used, 1.4 GB peak>
    """

    def __init__(self, limit: str | SupportsIndex) -> None:
        self._limit = parse_memory(limit, "memory")
        self._handle = _core.MemoryBudget(self._limit)
        self._pid = os.getpid()

    def _native(self) -> _core.MemoryBudget:
        # A forked child has the parent's loaders on its books, and maybe a lock that nobody will release.
        if self._pid != os.getpid():
            self._parent = self._handle
            self._handle = _core.MemoryBudget(self._limit)
            self._pid = os.getpid()
        return self._handle

    @property
    def limit(self) -> int:
        """The budget, in bytes."""
        return self._limit

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
            the tags ``index``, ``obs``, ``fetch``, ``scratch``, ``window`` and ``slots``.
        """
        return self._native().usage()

    def __repr__(self) -> str:
        fmt = _core.format_bytes
        return f"<MemoryBudget {fmt(self._limit)}: {fmt(self.used)} used, {fmt(self.peak)} peak>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self._limit,))
