"""pyarrow, tuned: `ParquetFile(pre_buffer=False).iter_batches` with its threads on, values as tensors without copies.

n = rows per iter_batches; larger than the batch, they are cut without copies. Nothing is shuffled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import parquet_files

TITLE = "pyarrow"
ENV = "pyarrow"
FORMAT = "parquet"
ORDER = "not shuffled"
ONCE = True
FULL_PASS = True
SMALL_FILES = 4

BEST: dict[tuple[int, str], dict[str, Any]] = {
    (64, "csr"): {"read": 64},
    (4096, "csr"): {"read": 4096},
    (64, "dense"): {"read": 64, "reuse": True},
}
SWEEP: dict[tuple[int, str], list[dict[str, Any]]] = {
    (64, "csr"): [{"read": n} for n in (64, 1024, 4096)],
    (4096, "csr"): [{"read": 4096}, {"read": 8192}],
    (64, "dense"): [{"read": n, "reuse": r} for n in (64, 1024) for r in (True, False)],
}

output_label = parquet_files.label


def imports() -> None:
    import pyarrow.parquet  # noqa: F401
    import torch  # noqa: F401


class Loader:
    def __init__(
        self, files: list[str], batch_size: int, output: str, read: int = 4096, reuse: bool = False
    ) -> None:
        import pyarrow

        pyarrow.set_cpu_count(parquet_files.THREADS)
        self.files = files
        self.batch_size = batch_size
        self.read = max(read, batch_size)
        self.cycle = self.read
        self.convert = parquet_files.Converter(files, output, reuse)

    def epoch(self) -> Iterator[Any]:
        import pyarrow.parquet as pq

        for path in self.files:
            file = pq.ParquetFile(path, pre_buffer=False, memory_map=False)
            for batch in file.iter_batches(self.read, columns=parquet_files.COLUMNS, use_threads=True):
                for first in range(0, batch.num_rows, self.batch_size):
                    part = batch.slice(first, self.batch_size)
                    yield (self.convert(self.convert.reader.csr_parts(part)), part.column(3))

    def rows(self, batch: Any) -> np.ndarray:
        return np.array(batch[1].to_numpy())

    def matrix(self, batch: Any) -> Any:
        return self.convert.matrix(batch[0])
