"""Penstock on the Parquet files: the same package and settings as on .h5ad."""

from __future__ import annotations

from . import penstock
from .penstock import Loader as Loader
from .penstock import imports as imports
from .penstock import output_label as output_label

TITLE = "Penstock on Parquet"
ENV = penstock.ENV
FORMAT = "parquet"
ORDER = penstock.ORDER
ONCE = penstock.ONCE
FULL_PASS = penstock.FULL_PASS
SMALL_FILES = penstock.SMALL_FILES

_CORNERS = [(64, "csr"), (4096, "csr"), (64, "dense")]  # those of the loaders beside it
BEST = {corner: penstock.BEST[corner] for corner in _CORNERS}
SWEEP = {corner: penstock.SWEEP[corner] for corner in _CORNERS}
