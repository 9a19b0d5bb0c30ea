"""Hugging Face datasets, streaming Parquet through its shuffle buffer.

buffer = rows in the buffer, format = what an example is: "torch", as its pages advise, builds tensors row by row;
"arrow" leaves rows in Arrow's memory until a batch of them is turned into tensors, which is several times as fast.
Files come in random order, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import parquet_files

TITLE = "Hugging Face datasets"
ENV = "huggingface"
FORMAT = "parquet"
ORDER = "rows of a buffer"
ONCE = True
FULL_PASS = True
SMALL_FILES = 4

BEST: dict[tuple[int, str], dict[str, Any]] = {
    (64, "csr"): {"format": "arrow", "buffer": 10_000},
    (4096, "csr"): {"format": "arrow", "buffer": 10_000},
    (64, "dense"): {"format": "arrow", "buffer": 10_000, "reuse": True},
}
SWEEP: dict[tuple[int, str], list[dict[str, Any]]] = {
    (64, "csr"): [{"format": f, "buffer": b} for f in ("arrow", "torch") for b in (1000, 10_000)],
    (4096, "csr"): [{"format": f, "buffer": 10_000} for f in ("arrow", "torch")],
    (64, "dense"): [{"format": "arrow", "buffer": 10_000, "reuse": r} for r in (True, False)],
}

output_label = parquet_files.label


def imports() -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # local files: nothing to ask the hub
    import datasets
    import torch  # noqa: F401

    datasets.disable_progress_bars()


class Loader:
    def __init__(
        self,
        files: list[str],
        batch_size: int,
        output: str,
        format: str = "arrow",
        buffer: int = 10_000,
        reuse: bool = False,
    ) -> None:
        import datasets

        self.batch_size = batch_size
        self.cycle = max(batch_size, buffer)  # filling it is part of a cold rate, and no more than its share
        self.format = format
        self.convert = parquet_files.Converter(files, output, reuse)
        stream = datasets.load_dataset(
            "parquet", data_files=files, split="train", streaming=True, columns=parquet_files.COLUMNS
        )
        self.dataset = stream.with_format(format).shuffle(seed=0, buffer_size=buffer)
        self.number = 0

    def _parts(self, batch: Any) -> tuple[Any, Any]:
        """Offsets, tokens and values; the rows' numbers."""
        import torch

        if self.format == "arrow":
            whole = batch.combine_chunks().to_batches()[0]
            return self.convert.reader.csr_parts(whole), whole.column(3).to_numpy()
        lengths = torch.tensor([0] + [len(row) for row in batch["genes"]])
        parts = (
            lengths.cumsum(0).int(),
            torch.cat(batch["genes"]).int(),
            torch.cat(batch["expressions"]),
        )
        return parts, batch["row"].numpy()

    def epoch(self) -> Iterator[Any]:
        self.dataset.set_epoch(self.number)
        self.number += 1
        for batch in self.dataset.iter(batch_size=self.batch_size):
            parts, rows = self._parts(batch)
            yield (self.convert(parts), rows)

    def rows(self, batch: Any) -> np.ndarray:
        return np.array(batch[1])

    def matrix(self, batch: Any) -> Any:
        return self.convert.matrix(batch[0])
