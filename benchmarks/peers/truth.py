"""What is in the files, row by row, as h5py reads it; the comparison with what a loader brought; label diversity."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

LABELS = ("drug", "plate")


class WrongData(Exception):
    """A loader brought something else than what is in the files."""


def row_sums(rows: np.ndarray, indptr: np.ndarray, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each row the sum of well-mixed (row, gene, value bits): any order of its entries gives the same."""
    sums = np.zeros(len(rows), np.uint64)
    for first in range(0, len(rows), 256):  # temporaries stay in cache
        ptr = np.asarray(indptr[first : first + 257], np.int64)
        part = slice(ptr[0], ptr[-1])
        row = np.repeat(np.asarray(rows[first : first + 256], np.uint64), np.diff(ptr))
        bits = np.ascontiguousarray(values[part], np.float32).view(np.uint32).astype(np.uint64)
        x = row * np.uint64(0x9E3779B97F4A7C15)
        x ^= genes[part].astype(np.uint64) << np.uint64(32) | bits
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(32)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(29)
        total = np.concatenate(([np.uint64(0)], np.cumsum(x, dtype=np.uint64)))
        sums[first : first + 256] = total[ptr[1:] - ptr[0]] - total[ptr[:-1] - ptr[0]]
    return sums


def to_csr(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(indptr, genes, values) of the non-zeros of a dense batch."""
    genes, values, counts = [], [], []
    for row in x:
        at = np.flatnonzero(row)
        genes.append(at)
        values.append(row[at])
        counts.append(len(at))
    return np.concatenate(([0], np.cumsum(counts))), np.concatenate(genes), np.concatenate(values)


def _read(files: Sequence[str]) -> dict[str, np.ndarray]:
    import h5py

    sums, nnz, codes = [], [], {name: [] for name in LABELS}
    names: dict[str, dict[str, int]] = {name: {} for name in LABELS}
    first_row = 0
    for path in files:
        with h5py.File(path) as file:
            indptr = file["X/indptr"][:].astype(np.int64)
            nnz.append(np.diff(indptr))
            for start in range(0, len(indptr) - 1, 4096):
                ptr = indptr[start : start + 4097]
                part = slice(ptr[0], ptr[-1])
                rows = np.arange(first_row + start, first_row + start + len(ptr) - 1)
                sums.append(row_sums(rows, ptr - ptr[0], file["X/indices"][part], file["X/data"][part]))
            for name in LABELS:  # one code per category name over all files
                categories = [c.decode() for c in file[f"obs/{name}/categories"][:]]
                known = np.array([names[name].setdefault(c, len(names[name])) for c in categories])
                codes[name].append(known[file[f"obs/{name}/codes"][:]])
            first_row += len(indptr) - 1
    parts = {"sums": sums, "nnz": nnz, **codes}
    return {name: np.concatenate(part) for name, part in parts.items()}


def make(files: Sequence[str], path: Path) -> Path:
    """Reads the truth unless `path` holds it already."""
    newest = max(os.stat(f).st_mtime for f in files)
    if not path.exists() or path.stat().st_mtime < newest:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **_read(files))
        os.replace(partial, path)
    return path


class Comparison:
    """Takes in a loader's batches of one epoch and says whether they are the truth."""

    def __init__(self, truth: Any, once: bool) -> None:
        self.sums, self.nnz, self.once = truth["sums"], truth["nnz"], once
        self.seen = np.zeros(len(self.sums), np.int64)
        self.checksum = self.entries = 0

    def add(self, rows: np.ndarray, matrix: Any) -> None:
        indptr, genes, values = to_csr(matrix) if isinstance(matrix, np.ndarray) else matrix
        stored = values != 0  # explicit zeros are no entries
        if not stored.all():
            kept = np.concatenate(([0], np.cumsum(stored)))
            indptr, genes, values = kept[indptr], genes[stored], values[stored]
        if len(indptr) != len(rows) + 1:
            raise WrongData(f"a batch of {len(indptr) - 1} rows came with {len(rows)} row numbers")
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self.seen):
            raise WrongData(f"row numbers {rows.min()} to {rows.max()} of {len(self.seen)} rows")
        np.add.at(self.seen, rows, 1)
        sums = row_sums(rows, indptr, genes, values)
        wrong = np.flatnonzero((sums != self.sums[rows]) | (np.diff(indptr) != self.nnz[rows]))
        if len(wrong):
            raise WrongData(
                f"{len(wrong)} of {len(rows)} rows of a batch are wrong, row {rows[wrong[0]]} first"
            )
        self.checksum = (self.checksum + int(sums.sum(dtype=np.uint64))) % 2**64
        self.entries += len(values)

    def result(self) -> dict[str, Any]:
        """Rows, entries and the checksum; raises when rows came twice, or did not come and should have."""
        twice, missing = int((self.seen > 1).sum()), int((self.seen == 0).sum())
        if twice:
            raise WrongData(f"{twice:,} rows came more than once, row {np.argmax(self.seen > 1)} first")
        if missing and self.once or missing == len(self.seen):
            raise WrongData(f"{missing:,} rows did not come, row {np.argmin(self.seen)} first")
        came = self.seen == 1
        if self.entries != int(self.nnz[came].sum()):
            raise WrongData(f"{self.entries:,} entries instead of {int(self.nnz[came].sum()):,}")
        expected = int(self.sums[came].sum(dtype=np.uint64))
        if self.checksum != expected:
            raise WrongData(f"checksum {self.checksum:016x} instead of {expected:016x}")
        return {
            "rows": int(came.sum()),
            "left_out": missing,
            "entries": self.entries,
            "checksum": f"{self.checksum:016x}",
        }


def entropy(codes: np.ndarray) -> float:
    """Shannon entropy of the labels, in bits."""
    share = np.bincount(codes) / len(codes)
    share = share[share > 0]
    return float(abs((share * np.log2(share)).sum()))


def batch_entropy(codes: np.ndarray, batches: Sequence[np.ndarray], batch_size: int) -> float:
    """Mean over the whole batches; batches cut short by the end of an epoch would lower it."""
    whole = [b for b in batches if len(b) == batch_size] or list(batches)
    return float(np.mean([entropy(codes[b]) for b in whole]))


def full_shuffle_entropy(codes: np.ndarray, batch_size: int, samples: int = 100) -> float:
    """What batches of rows drawn at random from everything would have."""
    rng = np.random.default_rng(0)
    size = min(batch_size, len(codes))
    return float(
        np.mean([entropy(codes[rng.choice(len(codes), size, replace=False)]) for _ in range(samples)])
    )
