"""Exceptions of Penstock, and the one table that maps the engine's errors to them.

=====================  ==========================================================
engine                 Python
=====================  ==========================================================
``invalid_argument``   `ValueError`
``not_found``          `FileNotFoundError` for paths, else `NotFoundError` (a `KeyError`)
``unsupported``        `NotImplementedError`
``corrupt``            `CorruptFileError` (an `OSError`)
``io_error``           `OSError`, with ``errno``
``budget``             `MemoryBudgetError` (a `MemoryError`)
``cancelled``          `RuntimeError` ("loader closed")
``internal``           `RuntimeError` ("bug in penstock, please report")
=====================  ==========================================================
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

__all__ = ["CorruptFileError", "MemoryBudgetError", "NotFoundError"]


class CorruptFileError(OSError):
    """The bytes of a file contradict the format or themselves.

    The message names the file, the object in it, the chunk and the byte offset.

    Examples
    --------
    >>> try:
    ...     ds = penstock.open("truncated.h5ad")
    ... except penstock.CorruptFileError as error:
    ...     print(error)
    """


class MemoryBudgetError(MemoryError):
    """A plan or a reservation does not fit the byte budget.

    The message says what was needed, what was free, and the ways out.

    Examples
    --------
    >>> try:
    ...     loader = penstock.Loader(ds, batch_size=100_000, memory="16MB", format="dense")
    ... except penstock.MemoryBudgetError as error:
    ...     print(error)
    """


class NotFoundError(KeyError):
    """A column, gene or object that is not there; a `KeyError` whose text reads well.

    Examples
    --------
    >>> ds.obs["cel_line"]
    Traceback (most recent call last):
    penstock.errors.NotFoundError: obs has no column 'cel_line'; did you mean 'cell_line'?
    """

    def __str__(self) -> str:
        # KeyError shows repr(key); this carries a sentence.
        return str(self.args[0]) if self.args else ""


def from_status(code: str, message: str, system_errno: int) -> BaseException:
    """The exception for a Status of the engine (called by the extension)."""
    if code == "invalid_argument":
        return ValueError(message)
    if code == "not_found":
        if system_errno == errno.ENOENT:
            return FileNotFoundError(errno.ENOENT, message)
        return NotFoundError(message)
    if code == "unsupported":
        return NotImplementedError(message)
    if code == "corrupt":
        return CorruptFileError(message)
    if code == "io_error":
        return OSError(system_errno, message) if system_errno else OSError(message)
    if code == "budget":
        return MemoryBudgetError(message)
    if code == "cancelled":
        return RuntimeError("loader closed")
    return RuntimeError(f"bug in penstock, please report: {message}")


def not_found(what: str, name: object, known: Iterable[str]) -> NotFoundError:
    """``what`` has no ``name``: suggests near names, else lists what there is."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.65)
    if not near:
        near = [n for n in names if n.lower() == str(name).lower()]
    if near:
        hint = "did you mean " + " or ".join(repr(n) for n in near) + "?"
    elif not names:
        hint = "there are none"
    else:
        hint = "there are: " + ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return NotFoundError(f"{what} {name!r}; {hint}")
