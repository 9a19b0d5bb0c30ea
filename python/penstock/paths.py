"""From what users write to a list of files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Union

from penstock import _core

__all__ = ["PathLike", "expand"]

PathLike = Union[str, "os.PathLike[str]"]


def expand(paths: PathLike | Iterable[PathLike]) -> list[str]:
    """A path, a glob, a directory, or a list of these, as the files in order.

    The rule is the engine's (``expand_paths``), which the command follows, too.
    """
    if isinstance(paths, (str, bytes, os.PathLike)):
        paths = [paths]
    elif not isinstance(paths, Iterable):
        raise TypeError(
            f"paths must be a path, a glob, a directory or a list of these, not {type(paths).__name__}"
        )
    files = _core.expand_paths([os.fsdecode(path) for path in paths])
    if not files:
        raise ValueError("paths is empty: give at least one file")
    return files
