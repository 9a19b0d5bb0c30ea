"""pyarrow.dataset over all files: `to_batches`, its threads and read-ahead on. Nothing is shuffled.

It yields record batches within row groups: of larger batches the pieces are joined, which copies them; smaller ones
are cut without copies. ahead = batches (of up to 131,072 rows, so row groups) and files that it reads ahead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import parquet_files
from .pyarrow import imports as imports

TITLE = "pyarrow dataset"
ENV = "pyarrow"
FORMAT = "parquet"
ORDER = "not shuffled"
ONCE = True
FULL_PASS = True
SMALL_FILES = 4

BEST: dict[tuple[int, str], dict[str, Any]] = {
    (64, "csr"): {"ahead": 2},
    (4096, "csr"): {"ahead": 2},
    (64, "dense"): {"ahead": 2, "reuse": True},
}
SWEEP: dict[tuple[int, str], list[dict[str, Any]]] = {
    (64, "csr"): [{"ahead": n} for n in (2, 16)],
    (4096, "csr"): [{"ahead": n} for n in (2, 16)],
    (64, "dense"): [{"ahead": 2, "reuse": r} for r in (True, False)],
}

output_label = parquet_files.label


class Loader:
    def __init__(
        self, files: list[str], batch_size: int, output: str, ahead: int = 16, reuse: bool = False
    ) -> None:
        import pyarrow
        import pyarrow.dataset

        pyarrow.set_cpu_count(parquet_files.THREADS)
        self.batch_size = batch_size
        self.cycle = max(batch_size, 1000)
        self.convert = parquet_files.Converter(files, output, reuse)
        self.dataset = pyarrow.dataset.dataset(files, format="parquet")
        scan = pyarrow.dataset.ParquetFragmentScanOptions(pre_buffer=False)
        self.options = {
            "columns": parquet_files.COLUMNS,
            "batch_readahead": ahead,
            "fragment_readahead": 1 if ahead < 4 else 4,
            "fragment_scan_options": scan,
        }

    def _pieces(self) -> Iterator[list[Any]]:
        """Record batches that together have the rows of a batch; the last ones of an epoch may have fewer."""
        pieces: list[Any] = []
        missing = self.batch_size
        for batch in self.dataset.to_batches(**self.options):
            first = 0
            while first < batch.num_rows:
                pieces.append(batch.slice(first, missing))
                first += pieces[-1].num_rows
                missing -= pieces[-1].num_rows
                if missing == 0:
                    yield pieces
                    pieces, missing = [], self.batch_size
        if pieces:
            yield pieces

    def epoch(self) -> Iterator[Any]:
        import torch

        for pieces in self._pieces():
            parts = [self.convert.reader.csr_parts(piece) for piece in pieces]
            if len(parts) > 1:
                ends = torch.cumsum(torch.cat([crow.diff() for crow, _, _ in parts]), 0, dtype=torch.int32)
                crow = torch.cat([ends.new_zeros(1), ends])
                joined = (crow, torch.cat([p[1] for p in parts]), torch.cat([p[2] for p in parts]))
            else:
                joined = parts[0]
            yield (self.convert(joined), [piece.column(3) for piece in pieces])

    def rows(self, batch: Any) -> np.ndarray:
        return np.concatenate([rows.to_numpy() for rows in batch[1]])

    def matrix(self, batch: Any) -> Any:
        return self.convert.matrix(batch[0])
