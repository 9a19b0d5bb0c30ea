#!/usr/bin/env python3
"""Draws the pictures of docs/tuning.md and docs/how-it-works.md: `python tools/doc_pictures.py`.

What the pictures of docs/tuning.md show is planned, not measured: `loader.plan` of 200,000 Tahoe-shaped cells (made
once, cached) for a range of budgets. Nothing is streamed. The costs in hot-path.png are measured; see COSTS.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

import penstock

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import house_style  # noqa: E402
import make_demo_data  # noqa: E402

BUDGETS = np.unique(np.geomspace(24e6, 1.2e9, 40).astype(int))
BATCH_SIZES = (64, 256, 1024, 4096)
TAGS = ("window", "slots", "fetch", "scratch", "index", "obs", "dense")

# Microseconds per cell and thread, CSR batches of 4,096, 200,000 cells in a warm page cache, 2 threads on a 2-core
# Xeon VM: a `perf record` profile of build/release/benchmarks/engine_bench. Writing the batch varies from 0.7 to 1.2.
COSTS = [
    ("inflate (libdeflate)", 15.1),
    ("read (pread)", 1.0),
    ("write the CSR batch", 1.0),
    ("heads of straddled chunks", 0.6),
    ("encode and scatter rows", 0.5),
    ("rest, mostly locks", 1.0),
]


def plan(ds: penstock.Dataset, **options: Any) -> dict[str, Any] | None:
    """The numbers of a plan; None when it does not fit."""
    try:
        with penstock.Loader(ds, to="numpy", threads=2, **options) as loader:
            return loader.plan.to_dict()
    except penstock.MemoryBudgetError:
        return None


def plans(ds: penstock.Dataset, batch_size: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """(budgets that hold a plan in MB, the plans)."""
    found = [(budget / 1e6, plan(ds, batch_size=batch_size, memory=int(budget))) for budget in BUDGETS]
    good = [(budget, p) for budget, p in found if p is not None]
    return np.array([b for b, _ in good]), [p for _, p in good]


def axes_of_budget(axis: Any) -> None:
    axis.set_xscale("log")
    axis.set_xticks([32, 64, 128, 256, 512, 1024], ["32", "64", "128", "256", "512", "1,024"])
    axis.minorticks_off()
    axis.set_xlabel("memory, MB")


def draw_by_budget(
    found: dict[int, Any], left: Callable[[int, Any], float], right: str, titles: tuple[str, str]
) -> tuple[Axes, Axes]:
    """Two curves a batch size over the budget: left(batch_size, plan) and plan[right]."""
    figure, (one, two) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for batch_size, (budgets, of) in found.items():
        one.plot(budgets, [left(batch_size, p) for p in of], label=f"batch_size={batch_size:,}")
        two.plot(budgets, [p[right] for p in of])
    for axis, title in zip((one, two), titles, strict=True):
        axis.set_title(title)
        axes_of_budget(axis)
    one.legend()
    return one, two


def save(axis: Axes, path: Path) -> None:
    axis.figure.savefig(path)
    plt.close(axis.figure)


def draw_shuffle(found: dict[int, Any], path: Path) -> None:
    titles = ("what a batch is worth, in independent cells per cell", "rows of a block (rows read together)")
    left, right = draw_by_budget(found, lambda batch_size, p: p["q_eff"] / batch_size, "block_rows", titles)
    left.set_ylim(0, 1.05)
    right.set_ylim(bottom=0)
    save(left, path)


def draw_window(found: dict[int, Any], path: Path) -> None:
    titles = ("rows shuffled together, thousands", "bytes read / bytes of the file")
    left, right = draw_by_budget(found, lambda _, p: p["window_rows"] / 1e3, "read_amplification", titles)
    left.set_ylim(bottom=0)
    right.set_ylim(bottom=1)
    save(left, path)


def draw_memory(found: dict[int, Any], path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
    for axis, batch_size in zip(axes, (64, 4096), strict=True):
        budgets, of = found[batch_size]
        parts = [[100 * p["memory_by_tag"].get(tag, 0) / p["memory"] for p in of] for tag in TAGS]
        axis.stackplot(budgets, parts, labels=TAGS, colors=house_style.COLOURS, alpha=0.85)
        axis.set_title(f"batch_size={batch_size:,}")
        axes_of_budget(axis)
        axis.set_ylim(0, 100)
        axis.set_xlim(BUDGETS[0] / 1e6, BUDGETS[-1] / 1e6)
    axes[1].text(100, 50, "refused: four batches\ndo not fit", ha="center", va="center")
    axes[0].set_ylabel("% of the budget, at most, by tag")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right center")
    figure.savefig(path)
    plt.close(figure)


def draw_costs(path: Path) -> None:
    figure, axis = plt.subplots(figsize=(10, 2.2), layout="constrained")
    at = 0.0
    for (name, cost), colour in zip(COSTS, house_style.COLOURS[: len(COSTS)], strict=True):
        axis.barh(0, cost, left=at, color=colour, edgecolor="white", label=f"{name}: {cost:.1f}")
        at += cost
    axis.set_ylim(-0.5, 0.5)
    axis.set_yticks([])
    axis.set_xlim(0, at)
    axis.set_xlabel(f"microseconds per cell and thread, {at:.1f} in all")
    figure.legend(loc="outside upper left", ncols=3)
    axis.spines["left"].set_visible(False)
    axis.grid(False)
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=200_000, help="(default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs" / "images", help="(default: docs/images)"
    )
    args = parser.parse_args()
    house_style.for_matplotlib()
    spec = make_demo_data.Spec(cells=args.cells)
    ds = penstock.open([str(f) for f in make_demo_data.make(spec, make_demo_data.default_dir(spec))])
    found = {batch_size: plans(ds, batch_size) for batch_size in BATCH_SIZES}
    args.output.mkdir(parents=True, exist_ok=True)
    draw_shuffle(found, args.output / "tuning-shuffle.png")
    draw_window(found, args.output / "tuning-window.png")
    draw_memory(found, args.output / "tuning-memory.png")
    draw_costs(args.output / "hot-path.png")
    for batch_size, (budgets, of) in found.items():
        for at in (128, 256, 512, 1000):
            fitting = [p for b, p in zip(budgets, of, strict=True) if b <= at * 1.05]
            if fitting:
                p = fitting[-1]
                print(
                    f"batch {batch_size:5,}, {p['memory'] / 1e6:5.0f} MB: block {p['block_rows']}, "
                    f"window {p['window_rows']:,}, q_eff {p['q_eff']:.0f}, amplification {p['read_amplification']:.2f}"
                )


if __name__ == "__main__":
    main()
