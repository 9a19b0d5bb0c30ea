"""One measurement of the Python package, in a process of its own: `make regress` starts it with the package of the
base or of the change on PYTHONPATH. Prints {"cost": seconds or bytes, "package": where it came from} as JSON.

    python benchmarks/regress/measure.py '{"what": "epochs", "files": ["a.h5ad"], "epochs": 2, "options": {...}}'
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import penstock


def epochs(files: list[str], epochs: int, options: dict[str, Any]) -> float:
    """Seconds of an epoch. The first counts, too: it pays for what the second finds read ahead."""
    with penstock.Loader(penstock.open(files), **options) as loader:
        start = time.perf_counter()
        rows = [sum(batch.n_obs for batch in loader) for _ in range(epochs)]
        seconds = time.perf_counter() - start
        if set(rows) != {loader.dataset.n_obs}:
            raise RuntimeError(f"epochs of {rows} rows")
    return seconds / epochs


def opening(files: list[str], epochs: int, options: dict[str, Any]) -> float:
    """Seconds of opening and planning, median of several."""
    seconds = []
    for _ in range(2 * epochs - 1):
        start = time.perf_counter()
        penstock.Loader(penstock.open(files), **options).close()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def memory(files: list[str], epochs: int, options: dict[str, Any]) -> float:
    """Bytes that the peak of resident memory grows by."""

    def status(key: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))

    dataset = penstock.open(files)
    penstock.Loader(dataset, **options).close()  # what the libraries take once
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM counts from here
    before = status("VmRSS")
    with penstock.Loader(dataset, **options) as loader:
        for _ in range(epochs):
            for _batch in loader:
                pass
    return max(1, status("VmHWM") - before)


WHAT = {"epochs": epochs, "open": opening, "memory": memory}

if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    cost = WHAT[request.pop("what")](**request)
    print(json.dumps({"cost": cost, "package": penstock.__file__}))
