"""From what users write to a list of files."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Iterable
from typing import Union

__all__ = ["PathLike", "expand"]

PathLike = Union[str, "os.PathLike[str]"]


def _not_found(message: str, path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, message, path)


# Parquet files that lie beside those with rows.
_NOT_ROWS = {"gene_metadata.parquet", "sample_metadata.parquet", "obs.parquet", "var.parquet"}


def _expand_folder(folder: str) -> list[str]:
    names = sorted(os.listdir(folder))
    # A pqdata folder is opened as one.
    if "obs.parquet" in names and {"X.parquet", "raw", "layers"} & set(names):
        return [folder]
    h5ad = [name for name in names if name.endswith(".h5ad")]
    parquet = [name for name in names if name.endswith(".parquet") and name not in _NOT_ROWS]
    if h5ad and parquet:
        raise ValueError(
            f"{folder} has .h5ad and .parquet files: say which by a glob such as {os.path.join(folder, '*.h5ad')!r}"
        )
    if not h5ad and not parquet:
        raise _not_found("no .h5ad or .parquet file in this directory", folder)
    return [os.path.join(folder, name) for name in h5ad or parquet]


def _expand_one(path: PathLike) -> list[str]:
    text = os.path.expanduser(os.fspath(path))
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if "://" in text:
        raise NotImplementedError(
            f"{text}: only local files can be opened so far; download or mount it first"
        )
    if os.path.isdir(text):
        return _expand_folder(text)
    # A file may have [ or * in its name: what exists is taken as it is.
    if glob.has_magic(text) and not os.path.exists(text):
        found = sorted(glob.glob(text, recursive=True))
        if not found:
            raise _not_found("no file matches", text)
        return found
    return [text]


def expand(paths: PathLike | Iterable[PathLike]) -> list[str]:
    """A path, a glob, a directory, or a list of these, as the files in order."""
    if isinstance(paths, (str, bytes, os.PathLike)):
        paths = [paths]
    elif not isinstance(paths, Iterable):
        raise TypeError(
            f"paths must be a path, a glob, a directory or a list of these, not {type(paths).__name__}"
        )
    files = [file for path in paths for file in _expand_one(path)]
    if not files:
        raise ValueError("paths is empty: give at least one file")
    return files
