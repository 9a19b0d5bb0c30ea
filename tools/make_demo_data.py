#!/usr/bin/env python3
"""Writes a Tahoe-shaped set of .h5ad files: plates of cells, sorted by drug, gzip-compressed by anndata.

    python tools/make_demo_data.py                  # 4 files, 100,000 cells, ~360 MB, in data/tahoe-100000
    python tools/make_demo_data.py --cells 200000   # the set that `make bench` uses, ~730 MB

What makes it Tahoe-shaped: 62,710 genes in shuffled order whose popularity is Zipf-Mandelbrot (s = 1.35, q = 300;
x 0.02 beyond rank 38,000), 50 cell lines that each perturb it lognormally (sd 0.7), a lognormal number of draws
per cell (median 1,800, sd 0.45) and log-series counts per draw (theta 0.35): ~1,400 non-zeros a cell. X is CSR
with float32 values and int32 indices.

Drugs only label the cells, unless --drug-effect SD gives each drug but the control a lognormal perturbation of its
own: benchmarks/learning trains on such a set.

The same arguments give the same cells. A file appears under its name only when it is whole, and manifest.json
only when all files are: a second run finds it and does nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
N_LINES = 50
DRUGS_PER_PLATE = 96
CHUNK_CELLS = 2048  # cells sampled at once: ~4 M draws, ~100 MB of temporaries a process
BYTES_PER_CELL = 3_550  # on disk; only the progress bar believes it
FORMAT = 1  # in the manifest: raise it when the same arguments give other files


@dataclass(frozen=True)
class Spec:
    """The arguments that decide the content of a data set."""

    cells: int = 100_000
    files: int = 4
    genes: int = 62_710
    seed: int = 0
    drug_effect: float = 0.0  # sd of each drug's lognormal perturbation of the genes
    format: int = FORMAT

    def content(self) -> dict[str, Any]:
        """What the manifest says the files hold; without drug_effect the same as before there was one."""
        return {k: v for k, v in asdict(self).items() if k != "drug_effect" or v}

    def cells_of(self, file: int) -> int:
        return self.cells // self.files + (file < self.cells % self.files)


def default_root() -> Path:
    """Where data sets live: $PENSTOCK_DATA or data/ in the project."""
    return Path(os.environ.get("PENSTOCK_DATA") or ROOT / "data")


def default_dir(spec: Spec) -> Path:
    name = f"tahoe-{spec.cells}"
    if spec != Spec(cells=spec.cells):
        name += f"-{spec.files}files-{spec.genes}genes-seed{spec.seed}"
    if spec.drug_effect:
        name += f"-drug{spec.drug_effect:g}"
    return default_root() / name


def complete(directory: Path, spec: Spec) -> list[Path] | None:
    """The files of a whole data set made with these arguments, or None."""
    try:
        manifest = json.loads((directory / "manifest.json").read_text())
        files = [directory / f["name"] for f in manifest["files"]]
        sizes = [f["bytes"] for f in manifest["files"]]
        whole = manifest["spec"] == spec.content() and [f.stat().st_size for f in files] == sizes
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return files if whole else None


def line_weights(spec: Spec) -> np.ndarray:
    """How often each cell line draws each gene, lines x genes, in no unit."""
    rng = np.random.default_rng([spec.seed, 1])
    rank = rng.permutation(spec.genes).astype(np.float64)  # gene -> popularity rank
    popularity = (rank + 300.0) ** -1.35
    popularity[rank >= 38_000] *= 0.02
    return popularity * rng.lognormal(sigma=0.7, size=(N_LINES, spec.genes))


def cumulative(weights: np.ndarray) -> np.ndarray:
    """Cumulative probabilities along the last axis."""
    cdf = np.cumsum(weights, axis=-1)
    return cdf / cdf[..., -1:]


class Kinds:
    """The gene probabilities of each kind of cell: a line, or a line under a drug when drugs have an effect."""

    def __init__(self, spec: Spec, file: int) -> None:
        self._spec, self._file = spec, file
        self._weights = line_weights(spec)
        self._cdfs = None if spec.drug_effect else cumulative(self._weights)
        self._drug, self._effect = (
            0,
            np.ones(spec.genes),
        )  # of the drug asked for last; the control does nothing

    def of(self, lines: np.ndarray, drugs: np.ndarray) -> np.ndarray:
        """The kind of each cell, ascending by drug."""
        return lines if self._cdfs is not None else drugs * N_LINES + lines

    def cdf(self, kind: int) -> np.ndarray:
        if self._cdfs is not None:
            return self._cdfs[kind]
        drug, line = divmod(int(kind), N_LINES)
        if drug != self._drug:
            rng = np.random.default_rng([self._spec.seed, 3, self._file * DRUGS_PER_PLATE + drug])
            effect = rng.lognormal(sigma=self._spec.drug_effect, size=self._spec.genes)
            self._drug, self._effect = drug, effect if drug else np.ones(self._spec.genes)
        return cumulative(self._weights[line] * self._effect)


def sample_cells(rng: np.random.Generator, kinds: Kinds, of_cell: np.ndarray) -> tuple[Any, Any, Any]:
    """(non-zeros per cell, genes, counts) of cells of the given kinds; genes ascend within a cell."""
    n = len(of_cell)
    draws = np.maximum(1, np.rint(rng.lognormal(np.log(1800.0), 0.45, size=n))).astype(np.int64)
    # Kind by kind, so that each search stays in one 500 KB table. key = cell << 16 | gene: genes <= 65,536.
    keys = np.empty(draws.sum(), np.uint32)
    at = 0
    for kind in np.unique(of_cell):
        cells = np.flatnonzero(of_cell == kind)
        cell = np.repeat(cells.astype(np.uint32), draws[cells])
        gene = np.searchsorted(kinds.cdf(kind), rng.random(len(cell)), side="right")
        keys[at : at + len(cell)] = (cell << np.uint32(16)) | gene.astype(np.uint32)
        at += len(cell)
    keys.sort()
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    unique = keys[first]
    clumps = rng.logseries(0.35, size=len(keys)).astype(np.float32)
    counts = np.add.reduceat(clumps, first)
    per_cell = np.bincount(unique >> np.uint32(16), minlength=n)
    return per_cell, (unique & np.uint32(0xFFFF)).astype(np.int32), counts


def make_file(spec: Spec, file: int, directory: Path) -> dict[str, Any]:
    """Samples and writes one plate; returns its entry in the manifest."""
    import anndata
    import pandas as pd
    import scipy.sparse as sp

    rng = np.random.default_rng([spec.seed, 2, file])
    kinds = Kinds(spec, file)
    n = spec.cells_of(file)
    plate = f"plate{file + 1}"
    lines = rng.integers(0, N_LINES, size=n)
    drug = np.sort(rng.integers(0, DRUGS_PER_PLATE, size=n))  # sorted by drug, as the real plates are
    of_cell = kinds.of(lines, drug)

    per_cell, indices, counts = [], [], []
    for first in range(0, n, CHUNK_CELLS):
        a, b, c = sample_cells(rng, kinds, of_cell[first : first + CHUNK_CELLS])
        per_cell.append(a)
        indices.append(b)
        counts.append(c)
        if _sampled is not None:
            with _sampled.get_lock():
                _sampled.value += len(a)
    indptr = np.concatenate(([0], np.cumsum(np.concatenate(per_cell or [np.zeros(0, np.int64)]))))
    index_type = np.int32 if indptr[-1] < 2**31 else np.int64
    x = sp.csr_matrix((n, spec.genes), dtype=np.float32)
    x.indptr = indptr.astype(index_type)
    x.indices = np.concatenate(indices or [np.zeros(0, np.int32)]).astype(index_type, copy=False)
    x.data = np.concatenate(counts or [np.zeros(0, np.float32)])
    del indices, counts

    # Drug 0 of each plate is the control; the others are that plate's own.
    drug_names = [
        f"drug_{file * DRUGS_PER_PLATE + d:04d}" if d else "DMSO_TF" for d in range(DRUGS_PER_PLATE)
    ]
    obs = pd.DataFrame(
        {
            "cell_line": pd.Categorical.from_codes(lines, [f"CVCL_{1000 + 7 * i}" for i in range(N_LINES)]),
            "drug": pd.Categorical.from_codes(drug, drug_names),
            "plate": pd.Categorical([plate] * n, categories=[plate]),
            "n_counts": np.asarray(x.sum(axis=1)).ravel().astype(np.float32),
            "is_control": drug == 0,
        },
        index=[f"{plate}_cell{i:08d}" for i in range(n)],
    )
    var = pd.DataFrame(
        {"gene_symbol": [f"GENE{i}" for i in range(spec.genes)]},
        index=[f"ENSG{i:011d}" for i in range(spec.genes)],
    )
    name = f"{plate}.h5ad"
    partial = directory / f".{name}.partial"
    anndata.AnnData(X=x, obs=obs, var=var).write_h5ad(partial, compression="gzip")
    os.replace(partial, directory / name)
    return {"name": name, "bytes": (directory / name).stat().st_size, "cells": n, "nnz": int(x.nnz)}


_sampled: Any = None  # shared count of cells sampled, set in each worker


def _start_worker(counter: Any) -> None:
    global _sampled
    _sampled = counter


def written_bytes(directory: Path) -> int:
    return sum(f.stat().st_size for f in [*directory.glob("*.h5ad"), *directory.glob(".*.partial")])


def make(spec: Spec, directory: Path, jobs: int = 0, quiet: bool = False) -> list[Path]:
    """Makes the data set unless it is there; returns its files in order."""
    if not 1 <= spec.genes <= 65_536:
        raise ValueError(f"genes={spec.genes}: 1 to 65,536")
    if not 0 <= spec.drug_effect <= 3:
        raise ValueError(f"drug_effect={spec.drug_effect}: 0 to 3")
    if not 1 <= spec.files <= max(1, spec.cells):
        raise ValueError(f"files={spec.files}: 1 to the number of cells")
    files = complete(directory, spec)
    if files is not None:
        return files
    from tqdm import tqdm

    directory.mkdir(parents=True, exist_ok=True)
    for old in [*directory.glob("*.h5ad"), *directory.glob(".*.partial"), directory / "manifest.json"]:
        old.unlink(missing_ok=True)
    context = mp.get_context("fork")
    counter = context.Value("q", 0)
    jobs = jobs or min(spec.files, len(os.sched_getaffinity(0)))
    start = time.monotonic()
    # Sampling is about a quarter of the work, gzip the rest; a cell counts when both are done.
    with ProcessPoolExecutor(
        jobs, mp_context=context, initializer=_start_worker, initargs=(counter,)
    ) as pool:
        tasks = [pool.submit(make_file, spec, i, directory) for i in range(spec.files)]
        bar = tqdm(
            total=spec.cells,
            unit=" cells",
            unit_scale=True,
            desc=f"making {directory.name}",
            disable=quiet or None,
        )
        with bar:
            while not all(t.done() for t in tasks):
                if any(t.done() and t.exception() for t in tasks):
                    break
                time.sleep(0.3)
                done = 0.25 * counter.value + 0.75 * min(
                    spec.cells, written_bytes(directory) / BYTES_PER_CELL
                )
                bar.update(max(0, int(done) - bar.n))
            entries = [t.result() for t in tasks]
            bar.update(spec.cells - bar.n)
    partial = directory / ".manifest.partial"
    partial.write_text(json.dumps({"spec": spec.content(), "files": entries}, indent=1) + "\n")
    os.replace(partial, directory / "manifest.json")
    if not quiet:
        nnz = sum(e["nnz"] for e in entries)
        print(
            f"{directory}: {spec.files} files, {spec.cells:,} cells, {nnz / spec.cells:,.0f} non-zeros a cell, "
            f"{sum(e['bytes'] for e in entries) / 1e6:,.0f} MB in {time.monotonic() - start:.0f} s",
            file=sys.stderr,
        )
    return [directory / e["name"] for e in entries]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cells", type=int, default=Spec.cells, help="cells over all files (default: %(default)s)"
    )
    parser.add_argument("--files", type=int, default=Spec.files, help="plates (default: %(default)s)")
    parser.add_argument(
        "--genes", type=int, default=Spec.genes, help="genes, at most 65,536 (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=Spec.seed)
    parser.add_argument(
        "--drug-effect",
        type=float,
        default=Spec.drug_effect,
        help="sd of each drug's perturbation (default: none)",
    )
    parser.add_argument(
        "--out", type=Path, help="directory (default: tahoe-CELLS in $PENSTOCK_DATA or data/)"
    )
    parser.add_argument("--jobs", type=int, default=0, help="processes (default: the cores there are)")
    args = parser.parse_args()
    spec = Spec(args.cells, args.files, args.genes, args.seed, args.drug_effect)
    try:
        files = make(spec, args.out or default_dir(spec), args.jobs)
    except ValueError as error:
        parser.error(str(error))
    for file in files:
        print(file)


if __name__ == "__main__":
    main()
