"""Penstock by the call that users write first: ``batch.dense()``, without ``out``. Only where it differs much."""

from __future__ import annotations

from . import penstock
from .penstock import Loader as Loader
from .penstock import imports as imports
from .penstock import output_label as output_label

TITLE = "Penstock, batch.dense()"
VARIANT_OF = "penstock"
ENV = penstock.ENV
ORDER = penstock.ORDER
ONCE = penstock.ONCE
FULL_PASS = penstock.FULL_PASS
SMALL_FILES = penstock.SMALL_FILES
# Two buffers of a gigabyte are part of it.
BEST = {(4096, "dense"): {"memory": "4GB", "late": "plain"}}
SWEEP = {(4096, "dense"): [{"memory": m, "late": "plain"} for m in ("512MB", "4GB")]}
