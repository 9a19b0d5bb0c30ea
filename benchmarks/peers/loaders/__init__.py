"""The competitors, one file each; a new one is a new file here, a lock in ../env and a name in ALL.

A file says what `make peers` must know without importing the loader's packages:

    TITLE, ENV, ORDER   its name, the lock in ../env, and what it shuffles
    FORMAT              "parquet" when it reads the cells as Parquet; without it: "h5ad"
    ONCE                True when an epoch must bring each row exactly once; False when it may leave rows out
    FULL_PASS           False when a pass over the whole data set would take minutes: verified on the small set only
    SMALL_FILES         over how many files, at most, the small set is spread
    BEST                {(batch, output): settings}, the best known ones (performance notes, `--sweep`); corners that
                        are not there are not measured
    VARIANT_OF          the loader that this one is another use of: in README.md its rows are in that one's column
    SWEEP               {(batch, output): [settings, ...]}, what --sweep tries
    output_label(output, settings)    what a batch is: type, index width, who owns it

and how to run it, in its own environment:

    imports()           imports what the loader needs, so that no time or first batch includes it
    Loader(files, batch_size, output, **settings)
        .epoch()        iterates over the batches of one epoch (the next call: the next epoch)
        .rows(batch)    the batch's row numbers over all files, an array of its own; must be cheap
        .matrix(batch)  (indptr, indices, values) or a dense array, as numpy; only for the verification
        .cycle          rows that are read at once: rates are counted over whole cycles, since batches come in bursts
"""

from __future__ import annotations

import importlib
from types import ModuleType

FORMATS = ("h5ad", "parquet")
ALL = (
    "penstock",
    "penstock_plain",
    "annloader",
    "scdataset",
    "protoplast",
    "penstock_parquet",
    "pyarrow",
    "pyarrow_dataset",
    "huggingface",
)


def load(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def variant_of(name: str) -> str | None:
    return getattr(load(name), "VARIANT_OF", None)


def format_of(name: str) -> str:
    return str(getattr(load(name), "FORMAT", "h5ad"))
