"""pyarrow at its best on single-cell Parquet, for benchmarks/bench.py: run as a program, prints one JSON object.
benchmarks/peers takes its conversions from here.

    python benchmarks/pyarrow_reader.py lists 4096 3 a.parquet b.parquet     layout, batch size, seconds to count, files

One thread pool of two threads, `iter_batches` without pre-buffering or memory maps, the files in shuffled order, rows
not shuffled. lists: genes, expressions and one string column are read; offsets and values become a torch CSR tensor
without a copy, indices narrowed to int32. pqdata: row, col and data; offsets are counted from the rows. dense: the CSR
arrays of a batch are scattered into a new tensor, or with `reused` into one that is zeroed again.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

GENES = 62_710 + 3  # tokens


def csr_parts(batch: pa.RecordBatch) -> tuple[Any, Any, Any]:
    """Row offsets, tokens as int32 and values of a batch whose first two columns are lists: values are not copied."""
    genes, values = batch.column(0), batch.column(1)
    offsets, others = genes.offsets.to_numpy(), values.offsets.to_numpy()
    crow = torch.from_numpy(offsets - offsets[0])
    col = torch.from_numpy(genes.values.to_numpy()[offsets[0] : offsets[-1]].astype(np.int32))
    val = torch.from_numpy(values.values.to_numpy()[others[0] : others[-1]])
    return crow, col, val


def lists(path: str, rows: int) -> Iterator[tuple[int, Any]]:
    file = pq.ParquetFile(path, pre_buffer=False, memory_map=False)
    for batch in file.iter_batches(rows, columns=["genes", "expressions", "drug"]):
        yield batch.num_rows, csr_parts(batch)


def pqdata(path: str, rows: int) -> Iterator[tuple[int, Any]]:
    file = pq.ParquetFile(f"{path}/X.parquet", pre_buffer=False, memory_map=False)
    for batch in file.iter_batches(rows * 1400, columns=["row", "col", "data"]):
        row = batch.column(0).to_numpy()
        first, n = int(row[0]), int(row[-1] - row[0]) + 1
        crow = torch.from_numpy(np.searchsorted(row, np.arange(first, first + n + 1)).astype(np.int32))
        # A row that goes on in the next batch is counted there.
        yield (
            n - 1,
            (
                crow,
                torch.from_numpy(batch.column(1).to_numpy()),
                torch.from_numpy(batch.column(2).to_numpy()),
            ),
        )


def as_csr(parts: Any, tokens: int = GENES) -> Any:
    crow, col, val = parts
    return torch.sparse_csr_tensor(crow, col, val, (len(crow) - 1, tokens), check_invariants=False)


def dense(n: int, parts: Any, out: Any, tokens: int = GENES) -> Any:
    """Scattered into `out`, or into a new tensor when that is None or has another shape."""
    crow, col, val = parts
    if out is None or out.shape[0] != n:
        out = torch.zeros(n, tokens)
    else:
        out.zero_()
    row = torch.repeat_interleave(torch.arange(n), crow.diff())
    return out.index_put_((row, col.long()), val)


def main() -> None:
    layout, rows, seconds, files = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
    pa.set_cpu_count(2)
    read = pqdata if layout == "pqdata" else lists
    start = counted = 0.0
    cells = 0
    kept = None
    began = time.perf_counter()
    order = random.Random(0)
    while True:
        order.shuffle(files)
        for path in files:
            for n, parts in read(path, rows):
                if layout.startswith("dense"):
                    kept = dense(n, parts, kept if layout == "dense-reused" else None)
                else:
                    as_csr(parts)
                now = time.perf_counter()
                if not start:
                    if now - began > min(1.0, seconds / 3):
                        start = now
                    continue
                cells += n
                counted = now - start
                if counted > seconds:
                    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
                    print(json.dumps({"cells_per_s": cells / counted, "peak": peak}))
                    return


if __name__ == "__main__":
    main()
