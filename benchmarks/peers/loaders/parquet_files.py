"""What the loaders of Parquet files of lists have in common.

A row's lists come as they are stored: the mark (token 1, value -2.0) first, tokens instead of columns (column + 3).
Penstock drops the one and translates the others; that costs a copy, so here it is done for the verification only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

FIRST_TOKEN = 3
THREADS = len(os.sched_getaffinity(0))
COLUMNS = ["genes", "expressions", "drug", "row"]  # lists first, a label, the number over all files


def reader() -> ModuleType:
    """benchmarks/pyarrow_reader.py, which has the conversions."""
    folder = str(Path(__file__).resolve().parents[2])
    if folder not in sys.path:
        sys.path.append(folder)
    import pyarrow_reader

    return pyarrow_reader


def n_tokens(files: list[str]) -> int:
    """One more than the largest token of the files' gene table."""
    import pyarrow.parquet as pq

    table = pq.read_table(Path(files[0]).parent / "metadata" / "gene_metadata.parquet", columns=["token_id"])
    return int(table.column(0).to_numpy().max()) + 1


def label(output: str, settings: dict[str, Any]) -> str:
    if output == "csr":
        return "torch CSR int32, mark and tokens as stored"
    return "torch float32, one reused buffer" if settings.get("reuse") else "torch float32, new per batch"


class Converter:
    """Offsets, tokens and values of a batch -> the tensor that is handed out."""

    def __init__(self, files: list[str], output: str, reuse: bool) -> None:
        self.reader = reader()
        self.tokens = n_tokens(files)
        self.dense = output == "dense"
        self.reuse = reuse
        self.kept: Any = None

    def __call__(self, parts: Any) -> Any:
        if not self.dense:
            return self.reader.as_csr(parts, self.tokens)
        x = self.reader.dense(len(parts[0]) - 1, parts, self.kept, self.tokens)
        if self.reuse:
            self.kept = x
        return x

    def matrix(self, x: Any) -> Any:
        """As the truth knows it: without marks, columns instead of tokens."""
        if self.dense:
            return x.numpy()[:, FIRST_TOKEN:]
        indptr, tokens, values = (part.numpy() for part in (x.crow_indices(), x.col_indices(), x.values()))
        gene = tokens >= FIRST_TOKEN
        kept = np.concatenate(([0], np.cumsum(gene)))
        return kept[indptr], tokens[gene] - FIRST_TOKEN, values[gene]
