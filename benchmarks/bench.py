#!/usr/bin/env python3
"""Measures what the project claims, each claim against its bar: `make bench`.

    python benchmarks/bench.py                          all cases on 200,000 Tahoe-shaped cells (made once, cached)
    python benchmarks/bench.py --only csr4096,dense64   some of them; --list names all
    python benchmarks/bench.py --only scale             sets of up to 20 million cells: hours, and 5 GB on disk
    python benchmarks/bench.py --quick                  small data and few runs: does it work? judges nothing

How: a case first reads everything once and compares an order-independent checksum of (row, gene, value), the row
count, each row exactly once and the number of non-zeros with what h5py reads. Then it alternates the floor
(benchmarks/floor: pread + libdeflate, as many threads) with the loader, on the same warm files; a figure is the
median of the ratios to the neighbouring floors. A run of a loader is a warm-up epoch and then whole epochs on the
clock. Only ratios are judged: absolute rates differ between machines and hours.

Results go to the terminal and to bench-output/bench.json.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import mmap
import os
import platform
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import scale as scale_sets  # noqa: E402

import chunk_list  # noqa: E402
import make_demo_data  # noqa: E402
import make_parquet_data  # noqa: E402

MiB = 1 << 20
THREADS = 2  # what the bars are stated for


# --- data and truth -----------------------------------------------------------------------------------------


class Checksum:
    """Sum of well-mixed (row, gene, value bits), any order; benchmarks/engine/engine_bench.cc has the same in C++."""

    def __init__(self, n_rows: int) -> None:
        self.sum = 0
        self.entries = 0
        self.seen = np.zeros(n_rows, np.int64)

    def add_csr(self, rows: np.ndarray, indptr: np.ndarray, genes: np.ndarray, values: np.ndarray) -> None:
        np.add.at(self.seen, rows, 1)
        for first in range(0, len(rows), 256):  # temporaries stay in cache
            last = min(first + 256, len(rows))
            part = slice(indptr[first], indptr[last])
            row = np.repeat(rows[first:last], np.diff(indptr[first : last + 1]))
            self._mix(row, genes[part], values[part])

    def add_dense(self, rows: np.ndarray, x: np.ndarray) -> None:
        np.add.at(self.seen, rows, 1)
        for row, values in zip(rows, x, strict=True):
            genes = np.flatnonzero(values)
            self._mix(np.full(len(genes), row), genes, values[genes])

    def _mix(self, row: np.ndarray, gene: np.ndarray, value: np.ndarray) -> None:
        bits = np.ascontiguousarray(value, np.float32).view(np.uint32).astype(np.uint64)
        x = row.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x ^= gene.astype(np.uint64) << np.uint64(32) | bits
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(32)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(29)
        self.sum = (self.sum + int(x.sum(dtype=np.uint64))) % 2**64
        self.entries += len(x)

    def result(self) -> dict[str, int]:
        rows = np.arange(len(self.seen), dtype=np.int64)
        return {
            "sum": self.sum,
            "entries": self.entries,
            "rows": int(self.seen.sum()),
            "rows_sum": int((rows * self.seen).sum()),
        }


@dataclass
class Data:
    """The files of a bench, what is in them, and their chunk list."""

    files: list[str]
    cells: int
    truth: dict[str, int]
    chunks: Path
    bytes: int

    @classmethod
    def make(cls, cells: int) -> Data:
        spec = make_demo_data.Spec(cells=cells)
        folder = make_demo_data.default_dir(spec)
        files = [str(f) for f in make_demo_data.make(spec, folder)]
        size = sum(os.path.getsize(f) for f in files)
        chunks, truth_file = folder / "chunks.tsv", folder / "truth.json"
        newest = max(os.path.getmtime(f) for f in files)
        if not chunks.exists() or chunks.stat().st_mtime < newest:
            chunks.write_text("\n".join(chunk_list.chunk_lines(files)) + "\n")
        if not truth_file.exists() or truth_file.stat().st_mtime < newest:
            say("reading the truth with h5py")
            truth_file.write_text(json.dumps(cls._truth(files, cells)))
        return cls(files, cells, json.loads(truth_file.read_text()), chunks, size)

    @staticmethod
    def _truth(files: list[str], cells: int) -> dict[str, int]:
        checksum = Checksum(cells)
        first_row = 0
        for name in files:
            with h5py.File(name) as file:
                indptr = file["X/indptr"][:].astype(np.int64)
                for start in range(0, len(indptr) - 1, 4096):
                    ptr = indptr[start : start + 4097]
                    part = slice(ptr[0], ptr[-1])
                    rows = np.arange(first_row + start, first_row + start + len(ptr) - 1)
                    checksum.add_csr(rows, ptr - ptr[0], file["X/indices"][part], file["X/data"][part])
                first_row += len(indptr) - 1
        return checksum.result()


def big_file(rows: int) -> str:
    """A valid .h5ad of that many rows on little disk: all chunks of data, and of indices, are the same bytes."""
    path = make_demo_data.default_root() / f"rows-{rows}.h5ad"
    if path.exists():
        return str(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    say(f"writing {path}")
    genes, per_row, chunk_rows = 62_710, 350, 40
    partial = path.with_suffix(".partial")
    with h5py.File(partial, "w") as file:

        def encode(item: Any, kind: str, version: str, **attributes: Any) -> Any:
            item.attrs.update({"encoding-type": kind, "encoding-version": version, **attributes})
            return item

        encode(file, "anndata", "0.1.0")
        x = encode(file.create_group("X"), "csr_matrix", "0.1.0", shape=np.array([rows, genes]))
        x.create_dataset("indptr", data=np.arange(rows + 1) * per_row, chunks=(16_384,), compression="gzip")
        one_row = np.linspace(0, genes - 1, per_row).astype(np.int32)
        for name, values in (("data", np.ones(per_row, np.float32)), ("indices", one_row)):
            chunk = np.tile(values, chunk_rows)
            dataset = x.create_dataset(
                name, (rows * per_row,), chunk.dtype, chunks=(len(chunk),), compression="gzip"
            )
            stored = zlib.compress(chunk.tobytes(), 4)
            for first in range(0, rows * per_row, len(chunk)):
                dataset.id.write_direct_chunk((first,), stored)
        # Strings that were never written read as "": names for 10 million rows without 10 million strings.
        order = np.array(["cell_line"], dtype=h5py.string_dtype())
        columns = {"column-order": order, "_index": "_index"}
        obs = encode(file.create_group("obs"), "dataframe", "0.2.0", **columns)
        text = h5py.string_dtype()
        encode(obs.create_dataset("_index", (rows,), text, chunks=(16_384,)), "string-array", "0.2.0")
        column = encode(obs.create_group("cell_line"), "categorical", "0.2.0", ordered=False)
        codes = (np.arange(rows) % 50).astype(np.int8)
        codes_set = column.create_dataset("codes", data=codes, chunks=(65_536,), compression="gzip")
        encode(codes_set, "array", "0.2.0")
        lines = np.array([f"line{i}" for i in range(50)], dtype=object)
        encode(column.create_dataset("categories", data=lines, dtype=text), "string-array", "0.2.0")
        columns = {"column-order": np.array([], dtype=text), "_index": "_index"}
        var = encode(file.create_group("var"), "dataframe", "0.2.0", **columns)
        names = np.array([f"ENSG{i:011d}" for i in range(genes)], dtype=object)
        encode(var.create_dataset("_index", data=names, dtype=text), "string-array", "0.2.0")
    os.replace(partial, path)
    return str(path)


# --- the page cache -----------------------------------------------------------------------------------------


def read_all(files: list[str]) -> None:
    buffer = bytearray(8 * MiB)
    for name in files:
        with open(name, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def cached_share(files: list[str]) -> float:
    """Share of the files' pages that are in the page cache, by mincore."""
    libc = ctypes.CDLL(None, use_errno=True)
    page = mmap.PAGESIZE
    resident = total = 0
    for name in files:
        size = os.path.getsize(name)
        with open(name, "rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as area:
            pages = (size + page - 1) // page
            vector = (ctypes.c_ubyte * pages)()
            start = ctypes.c_char.from_buffer(area)
            failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(size), vector)
            del start  # the map cannot close while it is exported
            if failed:
                raise OSError(ctypes.get_errno(), "mincore", name)
            resident += int((np.frombuffer(vector, np.uint8) & 1).sum())
            total += pages
    return resident / total


def drop(files: list[str]) -> None:
    """Drops the files from the page cache and makes sure of it."""
    for name in files:
        with open(name, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with contextlib.suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("1")
    share = cached_share(files)
    if share > 0.01:
        raise RuntimeError(f"{share:.0%} of the files stayed in the page cache: no cold figures here")


# --- runs ---------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    print(f"[bench] {text}", file=sys.stderr, flush=True)


def program(name: str) -> str:
    path = ROOT / "build" / "release" / "benchmarks" / name
    if not path.exists():
        raise SystemExit(f"{path} is not built: make build")
    return str(path)


def run_json(*command: Any) -> dict[str, Any]:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@dataclass
class Figure:
    case: str
    name: str
    value: float
    bar: float
    higher: bool  # is better
    unit: str = ""
    spread: list[float] = field(default_factory=list)
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.value >= self.bar if self.higher else self.value <= self.bar


def densifier(how: str) -> Callable[[Any], Any]:
    """X of a batch: as it comes, by ``batch.dense()`` ("plain"), or by ``batch.dense(out=)`` ("out")."""
    if how == "plain":
        return lambda batch: batch.dense()
    kept: list[Any] = []

    def into_one(batch: Any) -> Any:
        import torch

        if not kept:
            kept.append(torch.empty(batch.X.shape))
        return batch.dense(out=kept[0])

    return into_one if how == "out" else lambda batch: batch.X


@dataclass
class Bench:
    data: Data
    runs: int
    long_runs: int
    epochs: int
    quick: bool
    verified: set[str] = field(default_factory=set)

    # -- floor --
    def floor(self, threads: int = THREADS, readers: int = 0) -> float:
        """Cells per second."""
        repeats = 1 if readers else self.epochs
        out = run_json(
            program("floor"),
            "--threads",
            threads,
            "--readers",
            readers,
            "--repeats",
            repeats,
            self.data.chunks,
        )
        return self.data.cells * repeats / sum(out["seconds"])

    # -- loader --
    @contextlib.contextmanager
    def loader(
        self, files: list[str] | None = None, genes: list[int] | None = None, **options: Any
    ) -> Iterator[Any]:
        import penstock

        options = {"batch_size": 4096, "memory": "512MB", "threads": THREADS, **options}
        dataset = penstock.open(files or self.data.files)
        loader = penstock.Loader(dataset if genes is None else dataset[:, genes], **options)
        try:
            yield loader
        finally:
            loader.close()
            del loader
            gc.collect()

    def rate(self, **options: Any) -> float:
        """Cells per second of whole epochs after one that warms up. `densify`: see densifier()."""
        densify = densifier(options.pop("densify", ""))
        with self.loader(**options) as loader:
            x, rows = None, 0
            for epoch in range(self.epochs + 1):
                if epoch == 1:
                    start, rows = time.perf_counter(), 0
                for batch in loader:
                    x = densify(batch)  # as users write it: the x before goes when the next one is there
                    rows += x.shape[0]
            return rows / (time.perf_counter() - start)

    def first_epoch_rate(self, **options: Any) -> float:
        """Cells per second of the first epoch, from before the Loader is made."""
        start = time.perf_counter()
        with self.loader(**options) as loader:
            rows = sum(batch.n_obs for batch in loader)
            return rows / (time.perf_counter() - start)

    def verify(self, ranks: int = 1, **options: Any) -> None:
        """One full pass, of all ranks together, must give exactly what h5py gives."""
        key = json.dumps([ranks, options], sort_keys=True)
        if key in self.verified:
            return
        say(f"verifying {options}" + (f" on {ranks} ranks" if ranks > 1 else ""))
        checksum = Checksum(self.data.cells)
        for rank in range(ranks):
            self._add_to(checksum, rank=rank, world_size=ranks, **options)
        if not (checksum.seen == 1).all():
            raise RuntimeError(f"{options}: some rows did not come exactly once")
        self._compare(checksum.result(), str(options))
        self.verified.add(key)

    def _add_to(self, checksum: Checksum, **options: Any) -> None:
        densify = densifier(options.pop("densify", ""))
        with self.loader(**options) as loader:
            for batch in loader:
                rows = batch.index.numpy()
                if rows[0] < 0:
                    continue  # what a rank repeats to have as many batches as the others
                x = densify(batch)
                if not x.is_sparse_csr:
                    checksum.add_dense(rows, x.numpy())
                else:
                    parts = (x.crow_indices(), x.col_indices(), x.values())
                    checksum.add_csr(rows, *(p.numpy() for p in parts))

    def verify_part(self, genes: list[int] | None = None, **options: Any) -> None:
        """Batches in file order with these genes and transforms are what numpy makes of whole rows."""
        target, log1p = options.get("normalize_total"), options.get("log1p", False)
        whole = {"batch_size": 512, "format": "dense", "shuffle": False, "memory": "2GB"}
        with self.loader(**whole) as full, self.loader(genes=genes, **{**options, **whole}) as part:
            for want, got, _ in zip(full, part, range(2), strict=False):
                x = want.X.numpy().astype(np.float64)
                if target is not None:
                    x *= target / np.maximum(x.sum(1, keepdims=True), 1)
                if log1p:
                    x = np.log1p(x)
                x = x if genes is None else x[:, genes]
                if not np.allclose(got.X.numpy(), x, rtol=1e-6, atol=0):
                    raise RuntimeError(f"{options}: not what numpy makes of it")

    def _compare(self, got: dict[str, int], what: str) -> None:
        if got != self.data.truth:
            raise RuntimeError(f"{what}: wrong data.\n  got      {got}\n  expected {self.data.truth}")

    def engine(self, *arguments: Any) -> dict[str, Any]:
        return run_json(program("engine_bench"), "--threads", THREADS, "--json", *arguments, *self.data.files)

    # -- the common case --
    def against_floor(self, case: str, name: str, bar: float, **options: Any) -> tuple[Figure, float, float]:
        """floor, loader, floor, loader, ..., floor; returns the figure and the median rates (loader, floor)."""
        if "genes" in options:
            self.verify_part(**options)
        else:
            self.verify(**options)
        read_all(self.data.files)
        floors, rates = [self.floor()], []
        for i in range(self.runs):
            rates.append(self.rate(**options))
            floors.append(self.floor())
            say(f"{case} {i + 1}/{self.runs}: loader {rates[-1]:,.0f}, floor {floors[-1]:,.0f} cells/s")
        ratios = [r / ((floors[i] + floors[i + 1]) / 2) for i, r in enumerate(rates)]
        rate, floor = statistics.median(rates), statistics.median(floors)
        detail = f"{rate:,.0f} of {floor:,.0f} cells/s"
        return Figure(case, name, statistics.median(ratios), bar, True, "", ratios, detail), rate, floor


# --- cases --------------------------------------------------------------------------------------------------

Case = Callable[[Bench], list[Figure]]
CASES: dict[str, Case] = {}
ON_REQUEST = {"scale"}  # takes hours: only where --only names it


def case(name: str) -> Callable[[Case], Case]:
    def register(function: Case) -> Case:
        CASES[name] = function
        return function

    return register


@case("csr4096")
def csr4096(bench: Bench) -> list[Figure]:
    figure, rate, floor = bench.against_floor(
        "csr4096", "CSR, shuffled, batch 4096 / floor", 0.82, batch_size=4096
    )
    us, floor_us = THREADS * 1e6 / rate, THREADS * 1e6 / floor
    in_us = Figure("csr4096", "the same in µs per cell and thread", us, 1.05 * floor_us + 2.6, False, "µs")
    in_us.detail = f"floor {floor_us:.1f} µs"
    return [figure, in_us]


@case("csr64")
def csr64(bench: Bench) -> list[Figure]:
    name = "CSR, shuffled, batch 64, Python and torch / floor"
    return [bench.against_floor("csr64", name, 0.78, batch_size=64)[0]]


@case("csr128mb")
def csr128mb(bench: Bench) -> list[Figure]:
    # Four batches of 4,096 (47 MB each) do not fit beside a window in 128 MB; the default size does.
    name = "CSR, shuffled, batch 1024, 128 MB / floor"
    return [bench.against_floor("csr128mb", name, 0.75, batch_size=1024, memory="128MB")[0]]


@case("dense64")
def dense64(bench: Bench) -> list[Figure]:
    name = "dense float32, batch 64, Python and torch / floor"
    return [bench.against_floor("dense64", name, 0.6, batch_size=64, format="dense")[0]]


@case("dense")
def dense(bench: Bench) -> list[Figure]:
    """The ways to dense batches of all genes: 1 GB each at 4,096."""
    figures = []
    for name, bar, options in [
        ('format="dense", 4096, 9 GB', 0.55, {"format": "dense", "memory": "9GB"}),
        ("batch.dense(out=), 4096, 4 GB", 0.5, {"densify": "out", "memory": "4GB"}),
        ("batch.dense(), 4096, 4 GB", 0.3, {"densify": "plain", "memory": "4GB"}),
        ("batch.dense(out=), 64", 0.5, {"densify": "out", "batch_size": 64}),
        ("batch.dense(), 64", 0.3, {"densify": "plain", "batch_size": 64}),
    ]:
        figures.append(bench.against_floor("dense", f"dense float32, {name} / floor", bar, **options)[0])
    return figures


@case("panel")
def panel(bench: Bench) -> list[Figure]:
    import penstock

    n = penstock.open(bench.data.files).n_vars
    genes = list(range(0, n, max(1, n // 2000)))[:2000]
    name = f"dense float32, {len(genes):,} of {n:,} genes, batch 1024 / floor"
    return [bench.against_floor("panel", name, 0.75, batch_size=1024, format="dense", genes=genes)[0]]


@case("transforms")
def transforms(bench: Bench) -> list[Figure]:
    """What normalize_total and log1p cost a cell, alternating with a loader that has neither."""
    made: dict[str, Any] = {"normalize_total": 1e4, "log1p": True}
    bench.verify_part(**made)
    read_all(bench.data.files)
    plain, costs = [bench.rate()], []
    for i in range(bench.runs):
        rate = bench.rate(**made)
        plain.append(bench.rate())
        costs.append(THREADS * 1e6 * (1 / rate - 2 / (plain[i] + plain[i + 1])))
        say(f"transforms {i + 1}/{bench.runs}: {rate:,.0f} with, {plain[-1]:,.0f} cells/s without")
    name = "normalize_total and log1p, CSR, batch 4096, per cell and thread"
    detail = f"without them {statistics.median(plain):,.0f} cells/s"
    return [Figure("transforms", name, statistics.median(costs), 3, False, "µs", costs, detail)]


@case("weights")
def weights(bench: Bench) -> list[Figure]:
    """Epochs of as many cells as there are, weighted, against every cell once; alternating."""
    n = bench.data.cells
    given = np.random.default_rng(0).exponential(size=n)
    cases = {
        "weights= an array": {"weights": given, "epoch_size": n},
        "balance= drug": {"balance": "drug", "epoch_size": n},
    }
    figures = []
    for name, options in cases.items():
        say(f"verifying {name}")
        times = np.zeros(n, np.int64)
        with bench.loader(**options) as loader:
            for batch in loader:
                times += np.bincount(batch.index.numpy(), minlength=n)
        expected = n * given / given.sum() if "weights" in options else None
        if times.sum() != n or (expected is not None and (abs(times - expected) > 1).any()):
            raise RuntimeError(f"{name}: rows do not come as often as they weigh")
        read_all(bench.data.files)
        plain, ratios = [bench.rate()], []
        for i in range(bench.runs):
            rate = bench.rate(**options)
            plain.append(bench.rate())
            ratios.append(2 * rate / (plain[i] + plain[i + 1]))
            say(f"weights {i + 1}/{bench.runs}: {rate:,.0f} with, {plain[-1]:,.0f} cells/s without")
        detail = f"without them {statistics.median(plain):,.0f} cells/s; {(times > 0).mean():.0%} of the cells come"
        what = f"{name}, CSR, batch 4096 / every cell once"
        figures.append(Figure("weights", what, statistics.median(ratios), 0.9, True, "", ratios, detail))
    return figures


@case("scaling")
def scaling(bench: Bench) -> list[Figure]:
    bench.verify(batch_size=4096)
    read_all(bench.data.files)
    ratios, loads, floors = [], [], []
    for i in range(bench.runs):
        floor = [bench.floor(threads) for threads in (1, 2)]
        load = [bench.rate(threads=threads) for threads in (1, 2)]
        loads.append(load[1] / load[0])
        floors.append(floor[1] / floor[0])
        ratios.append(loads[-1] / floors[-1])
        say(f"scaling {i + 1}/{bench.runs}: loader {loads[-1]:.2f}, floor {floors[-1]:.2f}")
    figure = Figure("scaling", "1 -> 2 threads / the floor's own", statistics.median(ratios), 0.95, True)
    figure.spread = ratios
    figure.detail = f"{statistics.median(loads):.2f}x of {statistics.median(floors):.2f}x"
    return [figure]


@case("ranks")
def ranks(bench: Bench) -> list[Figure]:
    """As many ranks as threads, a process and a thread each, against one loader with all threads in as much memory."""
    whole: dict[str, Any] = {"batch_size": 1024, "memory": "512MB"}
    share = {**whole, "memory": "256MB"}
    bench.verify(ranks=THREADS, **share)
    read_all(bench.data.files)
    ones, ratios, rates = [bench.rate(**whole)], [], []
    for i in range(bench.runs):
        rates.append(ranks_rate(bench, share))
        ones.append(bench.rate(**whole))
        ratios.append(rates[-1] / ((ones[i] + ones[i + 1]) / 2))
        say(f"ranks {i + 1}/{bench.runs}: together {rates[-1]:,.0f}, one loader {ones[-1]:,.0f} cells/s")
    name = f"{THREADS} ranks with a thread each / one loader with {THREADS} threads"
    detail = f"{statistics.median(rates):,.0f} of {statistics.median(ones):,.0f} cells/s"
    return [Figure("ranks", name, statistics.median(ratios), 0.9, True, "", ratios, detail)]


def ranks_rate(bench: Bench, options: dict[str, Any]) -> float:
    """Cells per second of all ranks together: from when they start, at once, until the last one is through."""
    processes = []
    for rank in range(THREADS):
        arguments = {"files": bench.data.files, "epochs": bench.epochs}
        arguments["options"] = {**options, "rank": rank, "world_size": THREADS, "threads": 1}
        command = [sys.executable, __file__, "--child", "rank", json.dumps(arguments)]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
    try:
        for process in processes:
            assert process.stdout
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"a rank ended with {process.wait()}")
        start = time.perf_counter()  # the same clock in all processes
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        outs = [json.loads(process.communicate()[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return sum(out["rows"] for out in outs) / (max(out["end"] for out in outs) - start)


@case("cold")
def cold(bench: Bench) -> list[Figure]:
    bench.verify(batch_size=4096)
    ratios, detail = [], ""
    for i in range(bench.long_runs):
        read_all(bench.data.files)
        warm = bench.first_epoch_rate()
        drop(bench.data.files)
        floor = bench.floor(readers=16)
        drop(bench.data.files)
        rate = bench.first_epoch_rate()
        ratios.append(rate / min(warm, floor))
        detail = f"cold {rate:,.0f}, warm {warm:,.0f}, cold floor {floor:,.0f} cells/s"
        say(f"cold {i + 1}/{bench.long_runs}: {detail}")
    name = "cold cache / min(warm, cold floor with 16 readers)"
    return [Figure("cold", name, statistics.median(ratios), 0.9, True, "", ratios, "last: " + detail)]


@case("delay")
def delay(bench: Bench) -> list[Figure]:
    read_all(bench.data.files)
    bench._compare(bench.engine("--epochs", 1, "--verify")["checksum"], "engine_bench")
    bench._compare(
        bench.engine("--epochs", 1, "--verify", "--delay-ms", 5)["checksum"], "engine_bench, delayed"
    )
    ratios, detail = [], ""
    for i in range(bench.long_runs):
        rates = []
        for ms in (0, 5):
            out = bench.engine("--epochs", 1 + bench.epochs, "--delay-ms", ms)
            rates.append(sum(out["epoch_rows"][1:]) / sum(out["epoch_seconds"][1:]))
        ratios.append(rates[1] / rates[0])
        detail = f"{rates[1]:,.0f} of {rates[0]:,.0f} cells/s"
        say(f"delay {i + 1}/{bench.long_runs}: {detail}")
    name = "5 ms added to every read / undelayed (engine)"
    return [Figure("delay", name, statistics.median(ratios), 0.8, True, "", ratios, "last: " + detail)]


@case("overlap")
def overlap(bench: Bench) -> list[Figure]:
    bench.verify(batch_size=4096)
    read_all(bench.data.files)

    def epochs(step: float) -> tuple[float, float, float]:
        """(5 epochs, first batch, the steps alone) in seconds, all from before the Loader is made."""
        start = time.perf_counter()
        first = slept = 0.0
        with bench.loader() as loader:
            for _ in range(5):
                for batch in loader:
                    first = first or time.perf_counter() - start
                    if step:
                        before = time.perf_counter()
                        time.sleep(step * batch.n_obs / 4096)
                        slept += time.perf_counter() - before
            return time.perf_counter() - start, first, slept

    ratios, firsts, detail = [], [], ""
    for i in range(bench.long_runs):
        alone, first, _ = epochs(0)
        both, _, steps = epochs(0.040)
        ratios.append(both / max(steps, alone))
        firsts.append(first / (alone / 5))
        detail = f"5 epochs {both:.2f} s, steps alone {steps:.2f} s, loading alone {alone:.2f} s"
        say(f"overlap {i + 1}/{bench.long_runs}: {detail}; first batch {first:.3f} s")
    return [
        Figure(
            "overlap",
            "40 ms step: both / max(steps, loading)",
            statistics.median(ratios),
            1.05,
            False,
            "",
            ratios,
            "last: " + detail,
        ),
        Figure("overlap", "first batch / epoch", statistics.median(firsts), 0.15, False, "", firsts),
    ]


@case("rss")
def rss(bench: Bench) -> list[Figure]:
    epochs = 4 if bench.quick else 20
    return rss_figures("rss", bench.data.files, epochs)


def rss_figures(case: str, files: list[str], epochs: int) -> list[Figure]:
    """Growth of resident memory over epochs in 256 MB, and whether it goes on."""
    out = run_child("rss", {"files": files, "memory": 256_000_000, "epochs": epochs})
    grown = (out["peak"] - out["before"]) / 1e6
    size = sum(os.path.getsize(f) for f in files if os.path.isfile(f))
    name = f"peak RSS growth, {epochs} epochs, memory=256MB, {size / 1e6:,.0f} MB of files"
    detail = f"{out['before'] / 1e6:,.0f} MB before, {out['peak'] / 1e6:,.0f} MB peak"
    # A leak raises RSS epoch after epoch. One batch larger than any before raises it, too, by a huge page, and ever
    # more rarely: a fitted slope could not tell this from a leak, the number of new highs can.
    late = out["after_epoch"][epochs // 5 :]
    highs = sum(value > max(late[:i]) + 65_536 for i, value in enumerate(late) if i)
    return [
        Figure(case, name, grown, (256_000_000 + 16 * MiB) / 1e6, False, "MB", detail=detail),
        Figure(case, f"new highs of RSS in the last {len(late) - 1} epochs", highs, len(late) // 5, False),
    ]


@case("open")
def open_files(bench: Bench) -> list[Figure]:
    import penstock

    files = Data.make(100_000).files if not bench.quick else bench.data.files
    seconds = []
    for _ in range(bench.runs):
        start = time.perf_counter()
        dataset = penstock.open(files)
        seconds.append(time.perf_counter() - start)
        n_obs = dataset.n_obs
        del dataset
    name = f"open {n_obs:,} cells in {len(files)} files"
    return [Figure("open", name, statistics.median(seconds), 0.5, False, "s", seconds)]


@case("open10m")
def open_10_million(bench: Bench) -> list[Figure]:
    rows = 200_000 if bench.quick else 10_000_000
    path = big_file(rows)
    read_all([path])
    outs = [run_child("open", {"files": [path]}) for _ in range(bench.long_runs)]
    for out in outs:
        if out["n_obs"] != rows:
            raise RuntimeError(f"{path}: {out['n_obs']:,} rows")
    seconds = [out["seconds"] for out in outs]
    held = max(max(out["grown"], out["nbytes"]) for out in outs) / 1e6
    name = f"open {rows:,} rows"
    detail = f"ds.nbytes {outs[0]['nbytes'] / 1e6:.1f} MB, peak RSS growth {outs[0]['grown'] / 1e6:.1f} MB"
    return [
        Figure("open10m", name + ": memory", held, 64, False, "MB", detail=detail),
        Figure("open10m", name + ": time", statistics.median(seconds), 5, False, "s", seconds),
    ]


@case("scale")
def scale(bench: Bench) -> list[Figure]:
    """Sets of 200,000 to 20 million cells: the largest against the smallest. All of it: bench-output/scale.json."""
    results = scale_sets.run(bench.quick, bench.long_runs, say)
    output = ROOT / "bench-output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "scale.json").write_text(json.dumps(results, indent=1) + "\n")
    scale_sets.draw(results, output / "scale.png")
    figures = []
    most = max(r["cells"] for r in results)
    for r in (r for r in results if r["cells"] == most):
        name = f"{r['cells']:,} cells, {r['files']} file(s), indptr {r['indptr']}, {r['batch_size']}, {r['memory']}"
        if "refused" in r:
            figures.append(Figure("scale", f"{name}: refused", 1, 0, False, detail=r["refused"]))
            continue
        detail = f"{r['rate']:,.0f} cells/s, plan {r['planned_rate']:,.0f}; blocks of {r['block_rows']:,}"
        ratio = Figure("scale", f"{name}: rate", r["rate_ratio"], 0.95, True, "", r["rate_ratios"], detail)
        # The offsets of all rows, once, are a part of what may be read.
        once = f"planned {r['planned_read_ratio']:.3f}"
        read = Figure("scale", f"{name}: bytes read", r["read_ratio"], 1.1, False, "x", detail=once)
        first = Figure("scale", f"{name}: first batch", r["first_batch_seconds"], 2, False, "s")
        opened = Figure("scale", f"{name}: open", r["open_seconds"], 5, False, "s")
        opened.detail = f"ds.nbytes {r['nbytes'] / 1e6:.1f} MB, {r['nbytes'] / r['cells']:.2f} B a cell"
        figures += [ratio, read, first, opened]
    return figures


@case("mixing")
def mixing(bench: Bench) -> list[Figure]:
    """Entropy of `drug` in a batch and what a batch is worth, as they came, against what the plan says of them."""
    import penstock

    opened = penstock.open(bench.data.files)
    names, codes = np.unique(opened.obs["drug"].astype(str), return_inverse=True)
    p = np.bincount(codes) / len(codes)
    # Four batches of 4,096 cells with all genes are more than what 256 MB leave beside the window.
    half = list(range(0, opened.n_vars, 2))
    figures = []
    for q, memory, genes in (
        (64, "256MB", None),
        (64, "1GB", None),
        (4096, "256MB", half),
        (4096, "1GB", None),
    ):
        with bench.loader(batch_size=q, memory=memory, genes=genes) as loader:
            off, worth, details = [], [], []
            for _ in range(3):  # the first has the small windows
                told = loader.mixing("drug")
                shares = [
                    np.bincount(codes[batch.index.numpy()], minlength=len(names)) / batch.n_obs
                    for batch in loader
                ]
                with np.errstate(divide="ignore", invalid="ignore"):
                    bits = np.mean([-np.nansum(s * np.log2(s)) for s in shares])
                off.append(float(100 * abs(bits / told.entropy - 1)))
                details.append(f"{bits:.3f} of {told.entropy:.3f}")
                whole = shares[: bench.data.cells // q]
                spread = np.mean([((s - p) ** 2).sum() for s in whole])
                worth.append(float((p * (1 - p)).sum() / spread / loader.plan.q_eff))
            name = f"entropy of drug, batch {q:,}, {memory}: off the prediction"
            detail = (
                f"bits, epochs 0 to 2: {', '.join(details)}; a full shuffle {told.entropy_full_shuffle:.3f}"
            )
            figures.append(Figure("mixing", name, max(off), 2, False, "%", off, detail))
            name = f"worth of a batch of {q:,}, {memory} / what the plan states"
            detail = f"stated {loader.plan.q_eff:.0f} independent cells; epochs 1 and 2"
            figures.append(Figure("mixing", name, min(worth[1:]), 1, True, "", worth[1:], detail))
    return figures


@case("planning")
def planning(bench: Bench) -> list[Figure]:
    """Planning for cells of which there is only metadata: a billion of them."""
    cells = 10_000_000 if bench.quick else 1_000_000_000
    runs = [
        run_json(program("plan_bench"), "--cells", cells, "--json", *arguments)
        for arguments in (
            (),
            ("--world-size", 8, "--rank", 3),
            ("--keep", 1, "--of", 10),
            ("--ordered", "--batch", 64),
        )
    ]
    seconds, peaks = [r["plan_seconds"] for r in runs], [r["rss_peak"] / 1e6 for r in runs]
    what = f"planning for {cells:,} cells"
    detail = "all, a rank of 8, every tenth run of 256, file order"
    return [
        Figure("planning", f"{what}: time", max(seconds), 60, False, "s", seconds, detail),
        Figure("planning", f"{what}: peak RSS", max(peaks), 1000, False, "MB", peaks, detail),
    ]


# --- Parquet, against pyarrow ---


def parquet_files(bench: Bench, layout: str, **options: Any) -> list[str]:
    """The bench's cells as Parquet, made once."""
    folder = Path(f"{bench.data.chunks.parent}-{layout}{''.join(f'-{v}' for v in options.values())}")
    return [str(path) for path in make_parquet_data.make(layout, folder, bench.data.files, **options)]


def against_pyarrow(
    bench: Bench,
    case: str,
    name: str,
    bar: float,
    files: list[str],
    arms: list[tuple[str, int]],
    **options: Any,
) -> list[Figure]:
    """Penstock's rate over that of pyarrow's best arm (layout, batch size), alternating; and the memory of both."""
    options = {"files": files, "memory": "1GB", **options}
    bench.verify(**options)
    for path in files:
        read_all([path] if os.path.isfile(path) else [str(p) for p in Path(path).rglob("*.parquet")])
    seconds = 0.2 if bench.quick else 5
    arms = arms[:1] if bench.quick else arms

    def pyarrow(arm: tuple[str, int]) -> dict[str, Any]:
        script = ROOT / "benchmarks" / "pyarrow_reader.py"
        return run_json(sys.executable, script, arm[0], arm[1], seconds, *files)

    best = max(arms, key=lambda arm: pyarrow(arm)["cells_per_s"]) if len(arms) > 1 else arms[0]
    peers, rates = [pyarrow(best)], []
    for i in range(1 if bench.quick else bench.runs):
        rates.append(bench.rate(**options))
        peers.append(pyarrow(best))
        say(
            f"{case} {i + 1}/{bench.runs}: loader {rates[-1]:,.0f}, pyarrow {peers[-1]['cells_per_s']:,.0f} cells/s"
        )
    speed = [p["cells_per_s"] for p in peers]
    ratios = [r / ((speed[i] + speed[i + 1]) / 2) for i, r in enumerate(rates)]
    detail = f"{statistics.median(rates):,.0f} of {statistics.median(speed):,.0f} cells/s, pyarrow's batch {best[1]}"
    return [Figure(case, name, statistics.median(ratios), bar, True, "", ratios, detail)]


@case("parquet4096")
def parquet4096(bench: Bench) -> list[Figure]:
    files = parquet_files(bench, "lists")
    arms = [("lists", n) for n in (64, 1000, 4096)]
    name = "Parquet lists, snappy, CSR, shuffled, batch 4096 / pyarrow"
    return against_pyarrow(bench, "parquet4096", name, 2.5, files, arms, batch_size=4096)


@case("parquet64")
def parquet64(bench: Bench) -> list[Figure]:
    files = parquet_files(bench, "lists")
    name = "Parquet lists, snappy, CSR, shuffled, batch 64 / pyarrow"
    return against_pyarrow(bench, "parquet64", name, 2.5, files, [("lists", 64)], batch_size=64)


@case("parquet_zstd")
def parquet_zstd(bench: Bench) -> list[Figure]:
    files = parquet_files(bench, "lists", compression="zstd")
    arms = [("lists", n) for n in (64, 1000, 4096)]
    name = "Parquet lists, zstd, CSR, shuffled, batch 4096 / pyarrow"
    return against_pyarrow(bench, "parquet_zstd", name, 2, files, arms, batch_size=4096)


@case("pqdata")
def pqdata(bench: Bench) -> list[Figure]:
    files = parquet_files(bench, "pqdata")
    arms = [("pqdata", n) for n in (64, 1000, 4096)]
    name = "Parquet triplets, CSR, shuffled, batch 4096 / pyarrow"
    return against_pyarrow(bench, "pqdata", name, 2.5, files, arms, batch_size=4096)


@case("parquet_dense64")
def parquet_dense64(bench: Bench) -> list[Figure]:
    files = parquet_files(bench, "lists")
    arms = [("dense", 64), ("dense-reused", 64)]
    name = "Parquet lists, dense float32, batch 64 / pyarrow and torch"
    return against_pyarrow(bench, "parquet_dense64", name, 3, files, arms, batch_size=64, format="dense")


@case("parquet_rss")
def parquet_rss(bench: Bench) -> list[Figure]:
    return rss_figures("parquet_rss", parquet_files(bench, "lists"), 4 if bench.quick else 20)


# --- parts that need a process of their own -----------------------------------------------------------------


def run_child(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return run_json(sys.executable, __file__, "--child", name, json.dumps(arguments))


def status_bytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def reset_peak() -> None:
    """From here on VmHWM is the peak since now."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")


def child_rss(files: list[str], memory: int, epochs: int) -> dict[str, Any]:
    import torch

    import penstock

    torch.ones(1000, 1000).sum()
    dataset = penstock.open(files)
    reset_peak()
    before = status_bytes("VmRSS")
    loader = penstock.Loader(dataset, batch_size=1024, memory=memory, threads=THREADS)
    after = []
    for _ in range(epochs):
        for _batch in loader:
            pass
        after.append(status_bytes("VmRSS"))
    return {"before": before, "peak": status_bytes("VmHWM"), "after_epoch": after}


def child_open(files: list[str]) -> dict[str, Any]:
    import penstock

    reset_peak()
    before = status_bytes("VmRSS")
    start = time.perf_counter()
    dataset = penstock.open(files)
    seconds = time.perf_counter() - start
    grown = status_bytes("VmHWM") - before
    return {"seconds": seconds, "grown": grown, "nbytes": dataset.nbytes, "n_obs": dataset.n_obs}


def child_rank(files: list[str], options: dict[str, Any], epochs: int) -> dict[str, Any]:
    import penstock

    loader = penstock.Loader(penstock.open(files), **options)
    rows = sum(batch.n_obs for batch in loader)
    print("ready", flush=True)
    sys.stdin.readline()
    rows = sum(batch.n_obs for _ in range(epochs) for batch in loader)
    return {"rows": rows, "end": time.perf_counter()}


CHILDREN: dict[str, Callable[..., dict[str, Any]]] = {
    "rss": child_rss,
    "open": child_open,
    "rank": child_rank,
}


# --- report -------------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    cpu = next(
        (
            x.split(":")[1].strip()
            for x in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in x
        ),
        "?",
    )
    huge = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    versions = {}
    for name in ("penstock", "torch", "numpy", "h5py"):
        with contextlib.suppress(ImportError, AttributeError):
            versions[name] = __import__(name).__version__
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "ram_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": platform.release(),
        "huge_pages": huge.read_text().strip() if huge.exists() else "?",
        "python": platform.python_version(),
        "versions": versions,
    }


def number(value: float, unit: str) -> str:
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{text} {unit}".strip()


def table(figures: list[Figure], quick: bool) -> str:
    lines = [("figure", "measured", "bar", "", "spread", "")]
    for f in figures:
        spread = f"{min(f.spread):.3f}..{max(f.spread):.3f} of {len(f.spread)}" if f.spread else ""
        sign = "≥" if f.higher else "≤"
        verdict = "-" if quick else "pass" if f.ok else "FAIL"
        bar = f"{sign} {number(f.bar, f.unit)}"
        lines.append((f.name, number(f.value, f.unit), bar, verdict, spread, f.detail))
    widths = [max(len(line[i]) for line in lines) for i in range(6)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(x, widths, strict=True)).rstrip() for x in lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="names of cases, by commas")
    parser.add_argument("--quick", action="store_true", help="20,000 cells, few runs; judges nothing")
    parser.add_argument("--runs", type=int, help="runs of a case (default: 5; 3 of the long ones)")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--strict", action="store_true", help="fail when a figure misses its bar")
    parser.add_argument("--output", type=Path, default=ROOT / "bench-output", help="(default: bench-output)")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(CHILDREN[args.child[0]](**json.loads(args.child[1]))))
        return 0
    names = args.only.split(",") if args.only else [n for n in CASES if n not in ON_REQUEST]
    if unknown := [n for n in names if n not in CASES]:
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    if args.list:
        print("\n".join(CASES))
        return 0

    runs, long_runs = (2, 1) if args.quick else (5, 3)
    data = Data.make(20_000 if args.quick else 200_000)
    bench = Bench(data, args.runs or runs, args.runs or long_runs, 1 if args.quick else 2, args.quick)
    card = machine()
    say(f"{card['cpu']}, {card['cores']} cores, {card['ram_gb']} GB, kernel {card['kernel']}")
    say(
        f"{data.cells:,} cells, {data.truth['entries'] / data.cells:,.0f} non-zeros and "
        f"{data.bytes / data.cells:,.0f} B a cell, {len(data.files)} gzip .h5ad files"
    )
    figures: list[Figure] = []
    errors: dict[str, str] = {}
    for name in names:
        say(f"--- {name}")
        try:
            figures += CASES[name](bench)
        except Exception as error:  # the other cases still run; the exit code tells
            errors[name] = f"{type(error).__name__}: {error}"
            say(f"{name}: {errors[name]}")
    print(table(figures, args.quick))
    for name, error in errors.items():
        print(f"{name}: ERROR {error.splitlines()[0]}")
    print("one of them again: python benchmarks/bench.py --only CASE   (" + ", ".join(names) + ")")
    output: Path = args.output
    output.mkdir(parents=True, exist_ok=True)
    report = {
        "quick": args.quick,
        "machine": card,
        "cells": data.cells,
        "bytes": data.bytes,
        "non_zeros": data.truth["entries"],
        "figures": [
            {**asdict(f), "ok": f.ok, "command": f"python benchmarks/bench.py --only {f.case}"}
            for f in figures
        ],
        "errors": errors,
    }
    (output / "bench.json").write_text(json.dumps(report, indent=1) + "\n")
    missed = sum(not f.ok for f in figures)
    print(
        f"{len(figures) - missed} of {len(figures)} figures meet their bars; all in {output / 'bench.json'}"
    )
    return bool(errors) or (args.strict and missed > 0)


if __name__ == "__main__":
    sys.exit(main())
