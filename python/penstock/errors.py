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
``cancelled``          `RuntimeError`
``internal``           `RuntimeError` ("bug in penstock, please report")
=====================  ==========================================================
"""

from __future__ import annotations

import difflib
import errno
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

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

    Attributes
    ----------
    ways_out
        {option: value}: each change alone lets the call through. A number is the most rows (``"batch_size"``,
        ``"window_rows"``) or the least bytes (``"memory"``, ``"index_memory"``, and ``"shared_budget"``: of the
        `penstock.MemoryBudget` that was given as ``memory``); None: only the direction is known, which is less for rows
        and more for bytes.
    needed_bytes, free_bytes
        Where it was one reservation that was refused: what it asked for, and what there was. Else 0.

    Examples
    --------
    >>> try:
    ...     loader = penstock.Loader(ds, batch_size=100_000, memory="16MB", format="dense")
    ... except penstock.MemoryBudgetError as error:
    ...     print(error)
    ...     loader = penstock.Loader(
    ...         ds, batch_size=100_000, memory=error.ways_out["memory"], format="dense"
    ...     )
    """

    def __init__(
        self,
        message: str = "",
        *,
        needed_bytes: int = 0,
        free_bytes: int = 0,
        ways_out: Mapping[str, int | str | None] | None = None,
    ) -> None:
        super().__init__(message)
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes
        self.ways_out: dict[str, int | str | None] = dict(ways_out or {})


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


def from_status(
    code: str,
    message: str,
    system_errno: int,
    needed_bytes: int = 0,
    free_bytes: int = 0,
    ways_out: Mapping[str, int | str | None] | None = None,
) -> BaseException:
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
        return MemoryBudgetError(message, needed_bytes=needed_bytes, free_bytes=free_bytes, ways_out=ways_out)
    if code == "cancelled":
        return RuntimeError(message)
    return RuntimeError(f"bug in penstock, please report: {message}")


_Function = TypeVar("_Function", bound=Callable[..., Any])


def options_hinted(what: str, instead: Mapping[str, str]) -> Callable[[_Function], _Function]:
    """For a function of many keywords: one that it does not take is a `TypeError` that says what it may mean.

    Parameters
    ----------
    what
        What is called, for the message: ``"penstock.open"``.
    instead
        {keyword of another library: what there is instead}; ``{value}`` stands for what it was given.

    Examples
    --------
    >>> penstock.open("a.h5ad", layer="counts")
    Traceback (most recent call last):
    TypeError: penstock.open takes no layer=; use matrix="layers/counts"
    """

    def decorate(function: _Function) -> _Function:
        known = [name for name in inspect.signature(function).parameters if name not in ("self", "args")]

        @functools.wraps(function)
        def checked(*args: Any, **options: Any) -> Any:
            for name, value in options.items():
                if name in known:
                    continue
                if name in instead:
                    raise TypeError(f"{what} takes no {name}=; use {instead[name].format(value=value)}")
                raise TypeError(f"{what} takes no {name}=; {_hint(name, known)}")
            return function(*args, **options)

        return cast(_Function, checked)

    return decorate


def not_found(what: str, name: object, known: Iterable[str]) -> NotFoundError:
    """``what`` has no ``name``: suggests near names, else lists what there is."""
    return NotFoundError(f"{what} {name!r}; {_hint(name, list(known))}")


def near_names(name: object, known: Iterable[str]) -> str:
    """``did you mean 'drug' or 'drugs'?``, or nothing."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.65)
    if not near:
        near = [n for n in names if n.lower() == str(name).lower()]
    return "did you mean " + " or ".join(repr(n) for n in near) + "?" if near else ""


def _hint(name: object, names: list[str]) -> str:
    if not names:
        return "there are none"
    listed = "there are: " + ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return near_names(name, names) or listed
