"""Case `scale` of bench.py: what a cell costs in sets of 200,000 to 20 million cells.

The sets (tools/make_scale_data.py) are large in metadata and small on disk: the same chunks again and again, so that
decoding is real and reading warm. Every loader runs in a process of its own, over a part of an epoch that is the
same for every size. Ratios are to 200,000 cells in one file with h5py's own row offsets, measured in turns with
each of the others.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import house_style  # noqa: E402
import make_demo_data  # noqa: E402
import make_scale_data  # noqa: E402

SIZES = (200_000, 2_000_000, 20_000_000)
QUICK_SIZES = (20_000, 100_000)
FILES = (1, 14)
INDPTR = ("h5py", "1000000", "contiguous")
LOADERS = ((4096, "512MB"), (4096, "2GB"), (64, "512MB"), (64, "2GB"))
ROWS = 400_000  # on the clock: whole epochs of the smallest set, or what is ahead in its window would count
WARM = 200_000  # before them
THREADS = 2


@dataclass(frozen=True)
class Set:
    cells: int
    files: int
    indptr: str

    def make(self, pools: dict[tuple[int, int], make_scale_data.Pool]) -> list[str]:
        spec = make_scale_data.Spec(self.cells, self.files, self.indptr)
        folder = make_demo_data.default_root() / spec.name()
        return [str(path) for path in make_scale_data.make(spec, folder, pools)]

    def __str__(self) -> str:
        files = "1 file" if self.files == 1 else f"{self.files} files"
        return f"{self.cells:,} cells in {files}, indptr {self.indptr}"


def measure(files: list[str], batch_size: int, memory: str, warm: int, rows: int) -> dict[str, Any]:
    """In a process of its own: opening, the first batch, and the rate behind a warm-up."""
    import torch

    import penstock

    torch.ones(1000, 1000).sum()  # what torch takes is not the loader's
    start = time.perf_counter()
    dataset = penstock.open(files)
    out: dict[str, Any] = {"open_seconds": time.perf_counter() - start, "nbytes": dataset.nbytes}
    out["n_obs"] = dataset.n_obs
    gc.collect()
    start = time.perf_counter()
    try:
        loader = penstock.Loader(dataset, batch_size=batch_size, memory=memory, threads=THREADS, seed=1)
    except penstock.MemoryBudgetError as error:
        return {**out, "refused": str(error)}
    with loader:
        plan = loader.plan.to_dict()
        batches = (batch for _ in range(10**9) for batch in loader)
        seen = next(batches).n_obs
        out["first_batch_seconds"] = time.perf_counter() - start
        while seen < warm:
            seen += next(batches).n_obs
        before, start, seen = loader.stats(), time.perf_counter(), 0
        while seen < rows:
            seen += next(batches).n_obs
        out["rate"] = seen / (time.perf_counter() - start)
        after = loader.stats()
        decoded = after["rows_decoded"] - before["rows_decoded"]
        out["read_per_row"] = (after["bytes_read"] - before["bytes_read"]) / max(1, decoded)
        out["peak"] = after["memory"]["peak"]
        out["rows_deferred"] = after["rows_deferred"]
    stored = plan["bytes_of_selection"] / plan["read_amplification"]
    out["read_ratio"] = out["read_per_row"] / (stored / plan["n_selected"])
    out["planned_read_ratio"] = plan["read_amplification"]
    out["planned_rate"] = plan["n_rows"] / plan["seconds_per_epoch"]
    out["index_bytes"] = plan["memory_by_tag"]["index"]
    out["block_rows"], out["resident"] = plan["block_rows"], plan["resident_offsets"]
    return out


def in_a_process(**arguments: Any) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{arguments}\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def check(files: list[str], rows: int = 2_000) -> None:
    """Rows of the first batches are those that h5py reads."""
    import h5py
    import numpy as np

    import penstock

    opened = [h5py.File(name) for name in files]
    starts = np.cumsum([0, *(len(file["X/indptr"]) - 1 for file in opened)])
    with penstock.Loader(
        penstock.open(files), batch_size=500, memory="256MB", threads=THREADS, to="numpy"
    ) as loader:
        seen = 0
        for batch in loader:
            for i in range(0, batch.n_obs, 9):
                row = int(batch.index[i])
                of = int(np.searchsorted(starts, row, side="right")) - 1
                x = opened[of]["X"]
                first, last = x["indptr"][row - starts[of] : row - starts[of] + 2]
                got = batch.X[i]
                same = np.array_equal(got.indices, x["indices"][first:last]) and np.array_equal(
                    got.data, x["data"][first:last]
                )
                if not same:
                    raise RuntimeError(f"{files[of]}: row {row - starts[of]} is not what h5py reads")
            seen += batch.n_obs
            if seen >= rows:
                break
    for file in opened:
        file.close()


def run(quick: bool, runs: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """One entry for each set and loader: the medians, and the ratio of rates to the smallest set's."""
    sizes = QUICK_SIZES if quick else SIZES
    loaders = LOADERS[:1] if quick else LOADERS
    warm, rows = (20_000, 20_000) if quick else (WARM, ROWS)
    pools: dict[tuple[int, int], make_scale_data.Pool] = {}
    first = Set(sizes[0], 1, "h5py")
    sets = [Set(n, files, indptr) for n in sizes for files in FILES for indptr in INDPTR]
    if quick:  # whether it runs
        sets = [first, Set(sizes[1], 14, "1000000")]
    paths = {}
    for each in sets:
        say(f"making {each}")
        paths[each] = each.make(pools)
        check(paths[each])
    pools.clear()
    results = []
    for batch_size, memory in loaders:
        options = {"batch_size": batch_size, "memory": memory, "warm": warm, "rows": rows}
        for each in sets:
            outs, ratios = [], []
            for _ in range(runs):
                base = in_a_process(files=paths[first], **options)
                outs.append(in_a_process(files=paths[each], **options))
                if "refused" in outs[-1]:
                    break
                ratios.append(outs[-1]["rate"] / base["rate"])
            entry: dict[str, Any] = {
                "cells": each.cells,
                "files": each.files,
                "indptr": each.indptr,
                "batch_size": batch_size,
                "memory": memory,
            }
            for key, value in outs[0].items():
                number = isinstance(value, float)
                entry[key] = statistics.median(out[key] for out in outs) if number else value
            if ratios:
                entry["rate_ratio"], entry["rate_ratios"] = statistics.median(ratios), ratios
                say(
                    f"{each}, batch {batch_size:,}, {memory}: {entry['rate']:,.0f} cells/s "
                    f"({entry['rate_ratio']:.2f}), reads {entry['read_ratio']:.3f}x, open "
                    f"{entry['open_seconds']:.2f} s, first batch {entry['first_batch_seconds']:.2f} s"
                )
            else:
                say(f"{each}, batch {batch_size:,}, {memory}: refused: {entry['refused']}")
            results.append(entry)
    return results


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Time of a cell, and bytes of metadata that it takes, against the size of the set."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    house_style.for_matplotlib()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.6), layout="constrained")
    kinds = sorted({(r["files"], r["indptr"]) for r in results}, key=lambda k: (k[0], INDPTR.index(k[1])))
    batch_size, memory = results[0]["batch_size"], results[0]["memory"]
    for i, (files, indptr) in enumerate(kinds):
        here = [
            r
            for r in results
            if (r["files"], r["indptr"], r["batch_size"], r["memory"]) == (files, indptr, batch_size, memory)
            and "rate" in r
        ]
        label = f"{files} file{'s' * (files > 1)}, row offsets {'in chunks of ' * indptr.isdigit()}{indptr}"
        colour = house_style.COLOURS[i % len(house_style.COLOURS)]
        style = {"color": colour, "marker": "o", "markersize": 4, "linestyle": "-" if files == 1 else "--"}
        left.plot([r["cells"] for r in here], [THREADS * 1e6 / r["rate"] for r in here], label=label, **style)
        right.plot([r["cells"] for r in here], [r["nbytes"] / r["cells"] for r in here], **style)
    left.set(xscale="log", ylim=(0, None), xlabel="cells in the set", title="µs of a thread per cell")
    right.set(xscale="log", yscale="log", xlabel="cells in the set", title="bytes of metadata per cell")
    left.legend(fontsize=7.5)
    figure.suptitle(
        f"Cost against size: CSR, batch {batch_size:,}, memory={memory}, {THREADS} threads", x=0.01, ha="left"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
