"""What a loader is about to do."""

from __future__ import annotations

import html
import json
from typing import Any

from penstock import _core

__all__ = ["Plan"]


class Plan(_core.Plan):
    """What a loader will read, how well it shuffles and where its memory goes, before anything is read.

    Every number is an attribute: ``window_rows``, ``block_rows``, ``n_batches``, ``q_eff``, ``threads``,
    ``memory`` and ``memory_by_tag`` (bytes), ``bytes_to_read``, ``seconds_per_epoch``, ``notes``, ... (see
    `to_dict`).

    Examples
    --------
    >>> print(loader.plan.summary)
    4 files · 100,000 cells · 256 MB → window 28,672 cells, 480 blocks · 2 threads · ~2 s/epoch
    >>> loader.plan.window_rows
    28672
    >>> loader.plan.to_dict()["memory_by_tag"]["window"]
    128000000
    """

    def to_dict(self) -> dict[str, Any]:
        """All numbers by name; counts in rows, sizes in bytes, times in seconds."""
        plan: dict[str, Any] = json.loads(self.to_json())
        return plan

    def __repr__(self) -> str:
        return self.to_text().rstrip("\n")

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return f"<p><b>{html.escape(self.summary)}</b></p><pre>{html.escape(repr(self))}</pre>"
