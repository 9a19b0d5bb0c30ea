"""One measurement, or the verification, of one loader; peers.py runs it in the loader's own environment.

    python worker.py TASK.json RESULT.json

Everything that is measured here is stated in README.md. The parent samples the memory meanwhile.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import loaders
import numpy as np
import process_tree
import truth


class Endless:
    """Batches of one epoch after the other, and where we are in it."""

    def __init__(self, loader: Any, cells: int) -> None:
        self.loader = loader
        self.cells = cells
        self.cycle = min(loader.cycle, cells)
        self.rows: list[np.ndarray] = []  # row numbers of every batch
        self.epoch = 0
        self.in_epoch = 0  # rows of the current epoch so far
        self._batches = self._all()

    def _all(self) -> Iterator[Any]:
        while True:
            yield from self.loader.epoch()
            if not self.in_epoch:
                raise RuntimeError("an epoch brought no batch")
            self.epoch += 1
            self.in_epoch = 0

    def next(self) -> int:
        """Takes the next batch and lets go of it; returns its rows."""
        rows = self.loader.rows(next(self._batches))
        self.rows.append(rows)
        self.in_epoch += len(rows)
        return len(rows)

    def at_boundary(self) -> bool:
        """Whether all rows that were read at once have come: rates are taken from boundary to boundary."""
        return self.in_epoch % self.cycle == 0 or self.in_epoch >= self.cells


def make_loader(task: dict[str, Any]) -> Any:
    module = loaders.load(task["loader"])
    return module.Loader(task["files"], task["batch"], task["output"], **task["settings"])


def measure(task: dict[str, Any]) -> dict[str, Any]:
    start = time.perf_counter()
    source = Endless(make_loader(task), task["cells"])
    requested = time.perf_counter()
    cpu_before = process_tree.cpu_seconds(os.getpid())
    rows, batches = source.next(), 1
    first_batch = time.perf_counter() - start

    if task[
        "cold"
    ]:  # counts from the request of the first batch, and one epoch at most: the second would be warm
        began = requested
    else:
        warming = (
            time.perf_counter()
        )  # after the first batch: what was read ahead of it must be used up before we count
        while not (source.at_boundary() and time.perf_counter() - warming >= task["warm_up"]):
            if time.perf_counter() - warming > task["warm_up"] + task["patience"]:
                break
            source.next()
        rows = batches = 0
        cpu_before, began = process_tree.cpu_seconds(os.getpid()), time.perf_counter()
    ended = time.perf_counter()
    while True:
        spent = ended - began
        enough = spent >= task["seconds"] and batches >= 2
        if enough and (source.at_boundary() or spent > task["seconds"] + task["patience"]):
            break
        if task["cold"] and source.in_epoch >= task["cells"]:
            break
        got = source.next()
        if task["cold"] and source.epoch:
            source.rows.pop()
            break
        rows, batches, ended = rows + got, batches + 1, time.perf_counter()
    cpu = process_tree.cpu_seconds(os.getpid()) - cpu_before
    labels = np.load(task["truth"])
    return {
        "cells_per_second": rows / (ended - began),
        "cpu_seconds_per_million": cpu / rows * 1e6,
        "first_batch_seconds": first_batch,
        "rows": rows,
        "batches": batches,
        "seconds": ended - began,
        "entropy": {n: truth.batch_entropy(labels[n], source.rows, task["batch"]) for n in truth.LABELS},
    }


def steps(task: dict[str, Any]) -> dict[str, Any]:
    """Mean wait for a batch when the model takes a fixed time, over whole cycles."""
    source = Endless(make_loader(task), task["cells"])
    source.next()
    waits = {}
    for milliseconds in task["steps_ms"]:
        count = rows = 0
        waited, began = 0.0, time.perf_counter()
        while True:
            before = time.perf_counter()
            rows += source.next()
            waited += time.perf_counter() - before
            count += 1
            time.sleep(milliseconds / 1000)
            spent = time.perf_counter() - began
            if spent >= task["seconds"] and (rows >= source.cycle or spent > task["patience"]):
                break
        waits[str(milliseconds)] = {"wait_ms": waited / count * 1000, "steps": count}
    return {"waits": waits}


def verify(task: dict[str, Any]) -> dict[str, Any]:
    """One whole epoch, compared with the truth row by row."""
    comparison = truth.Comparison(np.load(task["truth"]), task["once"])
    loader = make_loader(task)
    for batch in loader.epoch():
        comparison.add(loader.rows(batch), loader.matrix(batch))
    return comparison.result()


def main() -> None:
    task = json.loads(Path(sys.argv[1]).read_text())
    loaders.load(task["loader"]).imports()
    result = {"measure": measure, "steps": steps, "verify": verify}[task["do"]](task)
    Path(sys.argv[2]).write_text(json.dumps(result))
    sys.stdout.flush()
    os._exit(0)  # workers of a DataLoader that are in the middle of an epoch need no goodbye


if __name__ == "__main__":
    main()
