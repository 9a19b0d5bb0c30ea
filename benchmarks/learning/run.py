#!/usr/bin/env python3
"""Does shuffling in blocks cost learning? Linear probes after one epoch, by order of the rows: `make learning`.

    python benchmarks/learning/run.py            6 orders x 3 seeds on 60,000 cells sorted by drug
    python benchmarks/learning/run.py --quick    little data, one seed: does it work? The figures mean nothing

Two linear probes, one of the cell line and one of the drug, see each training cell once, in batches of 64. The
orders differ in nothing else:

    file order      rows as the files have them
    B = 1 ... 256   blocks of 64 training rows, shuffled; rows shuffled in windows of B blocks (window_rows = 64 B)
    full shuffle    one window that holds every row

Learning rate: each order and seed trains the probes once for each rate of a grid, on the same batches. Validation
cells choose the rate: per probe the one rate that is best on average over all orders ("same rate"), and each order's
own best ("own rate"). Figures are from test cells that neither training nor the choice has seen.

Writes learning.json, learning.md (the table) and learning.png to bench-output/learning, or to --output.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

import penstock

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import house_style  # noqa: E402
import make_demo_data  # noqa: E402

LABELS = ("cell_line", "drug")
BATCH = BLOCK = 64
BLOCK_FILE_ROWS = 80  # block_rows counts rows of the file; four in five are training cells: 64
DRUG_EFFECT = 0.2  # without one no order could learn the drug


@dataclass(frozen=True)
class Order:
    name: str
    shuffle: bool = True
    blocks: int = 0  # in a window; 0: the window holds all rows


ORDERS = [
    Order("file order", shuffle=False),
    *(Order(f"B = {b}", blocks=b) for b in (1, 16, 64, 256)),
    Order("full shuffle"),
]


@dataclass
class Result:
    """One probe of one order, seed and learning rate."""

    order: str
    seed: int
    label: str
    rate: float
    validation_f1: float
    test_f1: float
    test_loss: float


def macro_f1(truth: np.ndarray, guess: np.ndarray, n_labels: int) -> float:
    """Mean over the labels that occur of 2 TP / (2 TP + FP + FN)."""
    table = np.bincount(truth * n_labels + guess, minlength=n_labels**2).reshape(n_labels, n_labels)
    hits, found, there = np.diag(table), table.sum(0), table.sum(1)
    return float(np.mean((2 * hits / np.maximum(1, found + there))[there > 0]))


def entropy(codes: np.ndarray) -> float:
    """Bits."""
    p = np.unique(codes, return_counts=True)[1] / len(codes)
    return float(-(p * np.log2(p)).sum())


def features(x: torch.Tensor) -> torch.Tensor:
    """log(1 + counts per 10,000), then rows of length 1."""
    return F.normalize(torch.log1p(x * (1e4 / x.sum(1, keepdim=True).clamp(min=1))))


def loader_options(order: Order, n_rows: int) -> dict[str, Any]:
    if not order.shuffle:
        return {"shuffle": False}
    if order.blocks:
        return {"block_rows": BLOCK_FILE_ROWS, "window_rows": BLOCK * order.blocks}
    return {"block_rows": BLOCK_FILE_ROWS, "window_rows": -(-n_rows // BATCH) * BATCH}


def collect(ds: penstock.Dataset, obs: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """All cells of a small part, in memory."""
    with penstock.Loader(ds, batch_size=256, format="dense", shuffle=False, obs=obs) as loader:
        batches = [(features(b.X), {k: v.clone() for k, v in b.obs.items()}) for b in loader]
    return torch.cat([x for x, _ in batches]), {k: torch.cat([o[k] for _, o in batches]) for k in LABELS}


def train(
    ds: penstock.Dataset, order: Order, seed: int, categories: dict[str, list[str]], rates: list[float]
) -> tuple[list[dict[str, torch.nn.Linear]], dict[str, Any]]:
    """One epoch; a probe per rate and label, and what the batches were like."""
    torch.manual_seed(seed)
    probes = [{k: torch.nn.Linear(ds.n_vars, len(categories[k])) for k in LABELS} for _ in rates]
    groups = [
        {"params": [p for probe in pair.values() for p in probe.parameters()], "lr": rate}
        for rate, pair in zip(rates, probes, strict=True)
    ]
    optimizer = torch.optim.Adam(groups)  # each parameter on its own: probes do not influence one another
    bits, steps = [], 0
    loader = penstock.Loader(
        ds,
        batch_size=BATCH,
        memory="1GB",
        format="dense",
        seed=seed,
        obs=categories,
        **loader_options(order, ds.n_obs),
    )
    with loader:
        loader.set_epoch(1)  # epoch 0 begins with smaller windows, to be quick
        for batch in loader:
            x = features(batch.X)
            loss = sum(F.cross_entropy(pair[k](x), batch.obs[k]) for pair in probes for k in LABELS)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            bits.append(entropy(batch.obs["drug"].numpy()))
            steps += 1
        plan = loader.plan
    facts = {
        "order": order.name,
        "seed": seed,
        "steps": steps,
        "window_rows": plan.window_rows,
        "blocks_per_window": plan.blocks_per_window,
        "q_eff": plan.q_eff,
        "drug_bits": mean(bits),
    }
    return probes, facts


@torch.no_grad()
def judge(probe: torch.nn.Linear, x: torch.Tensor, truth: torch.Tensor, n_labels: int) -> tuple[float, float]:
    """(macro-F1, mean cross-entropy)."""
    logits = probe(x)
    return macro_f1(truth.numpy(), logits.argmax(1).numpy(), n_labels), float(F.cross_entropy(logits, truth))


def choose_rates(results: list[Result], label: str) -> tuple[float, dict[str, float]]:
    """(the rate with the best validation F1 over all orders, the best rate of each order)."""

    def best(of: list[Result]) -> float:
        rates = sorted({r.rate for r in of})
        return max(rates, key=lambda rate: mean(r.validation_f1 for r in of if r.rate == rate))

    of_label = [r for r in results if r.label == label]
    orders = dict.fromkeys(r.order for r in of_label)
    return best(of_label), {name: best([r for r in of_label if r.order == name]) for name in orders}


def summarise(results: list[Result], facts: list[dict[str, Any]]) -> dict[str, Any]:
    """What the table and the picture show."""
    rows = []
    same = {label: choose_rates(results, label) for label in LABELS}
    for name in dict.fromkeys(r.order for r in results):
        of_order = [f for f in facts if f["order"] == name]
        row: dict[str, Any] = {"order": name, "steps": of_order[0]["steps"], "labels": {}}
        row["drug_bits"] = mean(f["drug_bits"] for f in of_order)
        row["blocks_per_window"] = of_order[0]["blocks_per_window"]
        for label, (shared, own) in same.items():
            cell: dict[str, Any] = {}
            for kind, rate in (("same", shared), ("own", own[name])):
                of = [r for r in results if (r.order, r.label, r.rate) == (name, label, rate)]
                f1, loss = [r.test_f1 for r in of], [r.test_loss for r in of]
                cell[kind] = {"rate": rate, "f1": f1, "loss": loss}
            row["labels"][label] = cell
        rows.append(row)
    return {"rates": {label: same[label][0] for label in LABELS}, "rows": rows}


def spread(values: list[float], digits: int) -> str:
    """Mean and, of several, the least and the greatest."""
    text = f"{mean(values):.{digits}f}"
    return text + (f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else "")


def table(summary: dict[str, Any]) -> str:
    lines = [
        "| order | drugs in a batch, bits | drug: macro-F1 | loss | drug, at the order's own best rate "
        "| cell line: macro-F1 | loss |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in summary["rows"]:
        cells = [row["order"], f"{row['drug_bits']:.2f}"]
        for label in reversed(LABELS):
            same, own = row["labels"][label]["same"], row["labels"][label]["own"]
            cells += [spread(same["f1"], 3), spread(same["loss"], 2)]
            if label == "drug":
                cells.append(f"{mean(own['f1']):.3f}, loss {mean(own['loss']):.2f} (rate {own['rate']:g})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(summary: dict[str, Any], path: Path, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    house_style.for_matplotlib()
    names = [row["order"] for row in summary["rows"]]
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharex=True)
    figure.suptitle(title, x=0.01, ha="left")
    for axis, key, what in zip(
        axes, ("f1", "loss"), ("macro-F1 (more is better)", "loss (less is better)"), strict=True
    ):
        for label, color in zip(reversed(LABELS), (house_style.GREEN, house_style.OCHRE), strict=True):
            for kind, style in (("same", "-o"), ("own", ":")):
                values = [row["labels"][label][kind][key] for row in summary["rows"]]
                centre = np.array([mean(v) for v in values])
                text = label.replace("_", " ") + (", each order's own best rate" if kind == "own" else "")
                axis.plot(range(len(names)), centre, style, color=color, label=text, markersize=4)
                if kind == "same":
                    low, high = [min(v) for v in values], [max(v) for v in values]
                    axis.fill_between(range(len(names)), low, high, color=color, alpha=0.25, linewidth=0)
        axis.set_xticks(range(len(names)), names, fontsize=8)
        axis.set_title(what)
    axes[0].set_ylim(bottom=0)
    axes[1].set_yscale("log")
    axes[0].legend(loc="center left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def run(args: argparse.Namespace) -> None:
    start = time.perf_counter()
    torch.set_num_threads(1)  # the layers are small, and two threads that wait for each other spin
    rates = [0.01, 0.03] if args.quick else [0.003, 0.01, 0.03, 0.1, 0.3]
    seeds = range(1 if args.quick else args.seeds)
    spec = make_demo_data.Spec(
        cells=2_000 if args.quick else args.cells, genes=200 if args.quick else 2_000, drug_effect=DRUG_EFFECT
    )
    files = make_demo_data.make(spec, make_demo_data.default_dir(spec), quiet=args.quick)
    ds = penstock.open([str(f) for f in files])
    categories = {label: list(ds.categories(label)) for label in LABELS}
    parts = ds.split([0.8, 0.1, 0.1], seed=0)
    held = [collect(part, categories) for part in parts[1:]]
    print(
        f"{parts[0].n_obs:,} cells to train on, {parts[1].n_obs:,} to choose rates, {parts[2].n_obs:,} to test"
    )

    results: list[Result] = []
    facts: list[dict[str, Any]] = []
    for order in ORDERS:
        for seed in seeds:
            probes, fact = train(parts[0], order, seed, categories, rates)
            facts.append(fact)
            for rate, pair in zip(rates, probes, strict=True):
                for label in LABELS:
                    (f1, _), (test_f1, loss) = (
                        judge(pair[label], x, truth[label], len(categories[label])) for x, truth in held
                    )
                    results.append(Result(order.name, seed, label, rate, f1, test_f1, loss))
            seconds = time.perf_counter() - start
            print(f"[{seconds:4.0f} s] {order.name}, seed {seed}: {fact['steps']:,} steps", flush=True)

    summary = summarise(results, facts)
    lines = table(summary)
    print(lines)
    args.output.mkdir(parents=True, exist_ok=True)
    report = {
        "command": "python benchmarks/learning/run.py" + (" --quick" if args.quick else ""),
        "quick": args.quick,
        "data": spec.content(),
        "labels": {k: len(v) for k, v in categories.items()},
        "seconds": time.perf_counter() - start,
        "batch_rows": BATCH,
        "block_rows": BLOCK,
        "grid": rates,
        **summary,
        "epochs": facts,
        "results": [asdict(r) for r in results],
    }
    (args.output / "learning.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.output / "learning.md").write_text(lines)
    cells = f"{parts[0].n_obs:,} cells sorted by drug"
    title = f"Linear probes after one epoch of {cells}, batch {BATCH}, seeds: {len(seeds)}"
    draw(summary, args.output / "learning.png", title)
    for label, rate in summary["rates"].items():
        print(f"{label.replace('_', ' ')}: learning rate {rate:g}")
    print(f"learning.json, learning.md and learning.png are in {args.output}; {report['seconds']:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="little data, one seed, two rates")
    parser.add_argument("--cells", type=int, default=60_000, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "bench-output" / "learning")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
