"""What a loader is about to do, and how well its batches are mixed."""

from __future__ import annotations

import html
import json
from typing import Any

from penstock import _core

__all__ = ["Mixing", "Plan"]


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


class Mixing(_core.Mixing):
    """How one obs column is mixed over the batches of an epoch; made by `Loader.mixing`.

    Entropies are in bits, means over batches: ``entropy`` of the loader's batches, ``entropy_full_shuffle`` and
    ``entropy_file_order`` of as many cells without any order and in a row, ``entropy_of_cells`` of all selected
    cells. ``q_eff`` is what a batch is worth in independent cells, told by this column: as many independent draws
    would make the shares of its values vary from batch to batch as much as they do, sum p (1 - p) / mean of
    sum (share - p)², at most ``batch_rows``; of full batches, the less mixed ones of epoch 0's growing windows left
    out. ``label``, ``epoch``, ``n_categories``, ``n_batches``, ``batches_looked_at`` and ``batch_rows`` say of what.

    Examples
    --------
    >>> print(loader.mixing("drug"))
    drug: 384 values, 8.58 bits over all cells; a batch has 5.44 (a full shuffle 5.47, file order 0.12) and is worth
    59 independent cells; epoch 0, 1,024 of 1,563 batches
    """

    def to_dict(self) -> dict[str, Any]:
        """All numbers by name; entropies in bits."""
        mixing: dict[str, Any] = json.loads(self.to_json())
        return mixing

    def __repr__(self) -> str:
        return self.to_text()

    __str__ = __repr__
