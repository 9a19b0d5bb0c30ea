#!/usr/bin/env python3
"""Trains a linear classifier on .h5ad files that are read while it trains: `make demo`.

    python examples/demo.py                                           a Tahoe-shaped set, made once
    python examples/demo.py --format parquet                          the same cells as Parquet lists
    python examples/demo.py --data a.h5ad b.h5ad --label cell_type    yours

One epoch with a budget of 256 MB, then accuracy on cells held back, a picture of throughput and memory, and a report
page.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

import penstock

ROOT = Path(__file__).resolve().parent.parent
FEW = 10_000  # distinct labels beyond which this is no classification


# --- the model: softmax regression on log-normalised counts -------------------------------------------------


class CsrMatmul(torch.autograd.Function):
    """X @ W for a CSR batch X. torch has the forward pass, fast; its backward pass converts X to CSC, slowly."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.x = x
        return x @ weight

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[None, torch.Tensor]:
        x = ctx.x
        parts = [part.numpy() for part in (x.values(), x.col_indices(), x.crow_indices())]
        transposed = scipy.sparse.csr_matrix(tuple(parts), shape=tuple(x.shape)).T  # shares the memory
        return None, torch.from_numpy(transposed @ grad.numpy())


class Linear(nn.Module):
    def __init__(self, n_genes: int, n_labels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_genes, n_labels))
        self.bias = nn.Parameter(torch.zeros(n_labels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return CsrMatmul.apply(x, self.weight) + self.bias


def log_normalise_(x: torch.Tensor) -> torch.Tensor:
    """In place: log(1 + counts per 10,000), then rows of length 1. A batch is ours to write into."""
    values, offsets = x.values(), x.crow_indices().long()
    lengths = offsets.diff()

    def per_row(row_values: torch.Tensor) -> torch.Tensor:
        return torch.repeat_interleave(row_values, lengths)

    if values.numel() and values.min() >= 0:  # else not counts: somebody scaled them
        total = torch.segment_reduce(values, "sum", offsets=offsets)
        values.mul_(per_row(1e4 / total.clamp(min=1e-12))).log1p_()
    square = torch.segment_reduce(values.square(), "sum", offsets=offsets)
    values.mul_(per_row(square.clamp(min=1e-12).rsqrt()))
    return x


# --- watching it --------------------------------------------------------------------------------------------


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Recorder:
    """Notes cells seen and memory held ten times a second, until stopped."""

    def __init__(self, loader: Any, resident_before: int) -> None:
        self.cells = 0  # the training loop counts here
        self.times: list[float] = []
        self.seen: list[int] = []
        self.memory: list[dict[str, Any]] = []
        self.grown: list[int] = []
        self._before = resident_before
        self._loader = loader
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._start = time.perf_counter()
        self._thread.start()

    def _run(self) -> None:
        while True:
            self.times.append(time.perf_counter() - self._start)
            self.seen.append(self.cells)
            self.memory.append(self._loader.stats()["memory"])
            self.grown.append(resident() - self._before)
            if self._stop.wait(0.1):
                return

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def draw(self, path: Path, title: str) -> None:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt

        sys.path.insert(0, str(ROOT / "tools"))
        import house_style

        house_style.for_matplotlib()
        t, seen = np.array(self.times), np.array(self.seen, dtype=float)
        figure, (top, bottom) = plt.subplots(2, sharex=True, figsize=(9, 6), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left")
        span = max(0.5, t[-1] / 20)  # the rate is that of the last `span` seconds: batches come in steps
        rates = [(seen[i] - np.interp(t[i] - span, t, seen)) / min(span, t[i]) for i in range(1, len(t))]
        top.plot(t[1:], np.array(rates) / 1e3)
        top.set_ylabel("thousand cells/s\nread and trained on")
        top.set_ylim(bottom=0)

        tags = [k for k in self.memory[-1]["used_by_tag"] if any(m["used_by_tag"][k] for m in self.memory)]
        held = [[m["used_by_tag"][tag] / 1e6 for m in self.memory] for tag in tags]
        bottom.stackplot(t, held, labels=tags, colors=house_style.COLOURS, alpha=0.85)
        limit = self.memory[-1]["limit"] / 1e6
        grown = np.array(self.grown) / 1e6
        bottom.plot(t, grown, color="gray", linewidth=1, label="process: loader + model")
        bottom.axhline(limit, color="black", linestyle="--", label=f"budget, {limit:,.0f} MB")
        bottom.set_ylim(0, 1.1 * max(limit, grown.max()))
        bottom.set_ylabel("MB held by the loader,\nby purpose")
        bottom.set_xlabel("seconds")
        handles, labels = bottom.get_legend_handles_labels()
        bottom.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1, 0.5))
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
        plt.close(figure)


# --- the demo -----------------------------------------------------------------------------------------------


def usable_labels(ds: Any) -> list[str]:
    """obs columns that name kinds of cells."""
    dtypes = ds.obs.dtypes.astype(str)
    return [c for c in ds.obs.columns if any(k in dtypes[c] for k in ("categor", "str", "object"))]


def choose_label(ds: Any, wanted: str | None) -> str:
    if wanted is not None:
        return wanted
    usual = ("cell_line", "cell_type", "celltype", "louvain", "leiden", "cluster", "clusters")
    found = [c for c in usual if c in ds.obs.columns]
    if not found:
        raise SystemExit(
            f"which column is the label? LABEL=..., one of: {', '.join(usable_labels(ds)) or 'none'}"
        )
    return found[0]


def usual_mix(ds: Any, label: str) -> str:
    """The column whose mixture the report shows: the one that the Tahoe-shaped files are sorted by, or the label."""
    return "drug" if "drug" in usable_labels(ds) else label


def open_data(args: argparse.Namespace) -> tuple[Any, str]:
    if args.data:
        ds = penstock.open(args.data, matrix=args.matrix)
    else:
        sys.path.insert(0, str(ROOT / "tools"))
        import make_demo_data

        spec = make_demo_data.Spec(cells=args.cells)
        folder = make_demo_data.default_dir(spec)
        files = [str(f) for f in make_demo_data.make(spec, folder)]
        if args.format == "parquet":
            import make_parquet_data

            files = [str(f) for f in make_parquet_data.make("lists", Path(f"{folder}-lists"), files)]
        ds = penstock.open(files)
    return ds, choose_label(ds, args.label)


def bar_of(total: int, label: str) -> Any:
    # Without a terminal a line now and then, not ten a second.
    interval = 0.1 if sys.stderr.isatty() else 10.0
    form = "{desc} {percentage:3.0f} % |{bar:24}| {n_fmt}/{total_fmt} [{elapsed}, {rate_fmt}{postfix}]"
    return tqdm(
        total=total, unit=" cells", unit_scale=True, desc=label, mininterval=interval, bar_format=form
    )


def make_model(n_genes: int, n_labels: int, rate: float) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The model after one step on an empty cell: changes nothing, but torch now has all the memory it needs."""
    torch.manual_seed(0)
    model = Linear(n_genes, n_labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    nothing = torch.zeros(1, n_genes).to_sparse_csr()
    (0.0 * model(nothing).sum()).backward()
    optimizer.step()
    return model, optimizer


def train(
    loader: Any, model: nn.Module, optimizer: torch.optim.Optimizer, label: str, recorder: Recorder
) -> None:
    budget = loader.plan.memory / 1e6
    with bar_of(loader.dataset.n_obs, "training") as bar:
        for batch in loader:
            loss = F.cross_entropy(model(log_normalise_(batch.X)), batch.obs[label], ignore_index=-1)
            if loss.isfinite():  # not so when no cell of the batch has a label
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            recorder.cells += batch.n_obs
            held = loader.stats()["memory"]["used"] / 1e6
            bar.set_postfix_str(
                f"loss {loss.item():.3f}, memory {held:.0f} of {budget:.0f} MB", refresh=False
            )
            bar.update(batch.n_obs)


@torch.no_grad()
def evaluate(loader: Any, model: nn.Module, label: str, n_labels: int) -> tuple[float, float, int]:
    """(accuracy, share of the commonest label, labelled cells)."""
    right, counts = 0, torch.zeros(n_labels, dtype=torch.long)
    with bar_of(loader.dataset.n_obs, "evaluating") as bar:
        for batch in loader:
            truth = batch.obs[label]
            right += int((model(log_normalise_(batch.X)).argmax(1) == truth).sum())
            counts += torch.bincount(truth[truth >= 0], minlength=n_labels)
            bar.update(batch.n_obs)
    total = int(counts.sum())
    return right / max(1, total), int(counts.max()) / max(1, total), total


def run(args: argparse.Namespace) -> None:
    ds, label = open_data(args)
    try:
        labels = ds.categories(label)
    except ValueError:
        usable = ", ".join(usable_labels(ds)) or "none"
        raise SystemExit(f"{label} holds numbers, not labels. LABEL= one of: {usable}") from None
    train_set, test_set = ds.split([0.9, 0.1], seed=0)
    if not 2 <= len(labels) <= FEW:
        raise SystemExit(f"{label} has {len(labels):,} distinct values; a classifier needs 2 to {FEW:,}")
    model, optimizer = make_model(ds.n_vars, len(labels), args.rate)
    before = resident()
    # Some tens of steps even on little data.
    batch_size = args.batch_size or max(1, min(1024, train_set.n_obs // 50))
    options = {"batch_size": batch_size, "memory": args.memory, "threads": args.threads}
    loader = penstock.Loader(train_set, obs=[label], seed=0, **options)
    print(loader.plan.summary)
    for note in [*ds.notes, *loader.plan.notes]:
        print(f"note: {note}")
    what = f"{ds.n_vars:,} genes, {len(labels)} labels, {train_set.n_obs:,} cells"
    print(f"a linear classifier of {label}: {what}", flush=True)

    recorder = Recorder(loader, before)
    start = time.perf_counter()
    with loader:
        try:
            train(loader, model, optimizer, label, recorder)
        finally:
            recorder.stop()
        seconds = time.perf_counter() - start
        stats = loader.stats()
        args.output.mkdir(parents=True, exist_ok=True)
        page = loader.report(args.output / "report.html", label=usual_mix(ds, label))
    per_second = train_set.n_obs / seconds
    if test_set.n_obs:
        with penstock.Loader(test_set, obs={label: labels}, shuffle=False, **options) as test_loader:
            accuracy, chance, n = evaluate(test_loader, model, label, len(labels))
        print(
            f"accuracy {accuracy:.1%} on {n:,} cells held back; chance is {chance:.1%} (the commonest label)"
        )
    else:
        print("too few cells to hold any back: no accuracy")
    peak = stats["memory"]["peak"] / 1e6
    print(
        f"{train_set.n_obs:,} cells in {seconds:.1f} s = {per_second:,.0f} cells/s; at most {peak:.0f} MB held"
    )
    picture = args.output / "demo.png"
    recorder.draw(picture, f"{train_set.n_obs:,} cells of {len(ds.files)} files, {per_second:,.0f} cells/s")
    print(stats["who_waited"])
    print(f"throughput and memory over time: {picture}")
    print(f"the report, for a browser: {page}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", nargs="+", help=".h5ad files, globs or folders (default: the Tahoe-shaped set)"
    )
    parser.add_argument(
        "--format",
        choices=["h5ad", "parquet"],
        default="h5ad",
        help="of the Tahoe-shaped set (default: h5ad)",
    )
    parser.add_argument("--label", help="obs column to predict (default: cell_line, cell_type, ...)")
    parser.add_argument("--matrix", default="X", help='"X", "raw/X" or "layers/NAME" (default: %(default)s)')
    parser.add_argument("--memory", default="256MB", help="the loader's budget (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, help="(default: 1,024; less for little data)")
    parser.add_argument("--threads", type=int, help="decode threads (default: the cores there are)")
    parser.add_argument("--rate", type=float, default=0.02, help="learning rate (default: %(default)s)")
    parser.add_argument("--cells", type=int, default=100_000, help="of the set made (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "demo-output", help="(default: demo-output)")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
    try:
        run(args)
    except (OSError, ValueError, KeyError, NotImplementedError, MemoryError) as error:
        # What a user can do something about is one line; everything else keeps its traceback.
        print(f"demo: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
