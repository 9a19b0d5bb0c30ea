#!/usr/bin/env python3
"""Trains a classifier on several ranks with DistributedDataParallel; each rank streams its share of the cells.

    torchrun --nproc-per-node 2 examples/train_ddp.py                           a small Tahoe-shaped set, made once
    torchrun --nproc-per-node 2 examples/train_ddp.py --data a.h5ad b.h5ad --label cell_type               yours
    torchrun --nproc-per-node 4 examples/train_ddp.py --resume     goes on from checkpoint.pt, also on other ranks
    sbatch examples/train_ddp.sbatch                                                           on several machines

On GPUs where there are some. examples/train_ray.py trains the same model under Ray Train.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import torch
import torch.distributed as dist
import torch.distributed.nn  # before there is a process group: see main()
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import record
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

import penstock

ROOT = Path(__file__).resolve().parent.parent


# --- the model ----------------------------------------------------------------------------------------------


class Probe(nn.Module):
    """One hidden layer on the CSR matrix of a batch: the bag of a cell's genes, weighted by their values."""

    def __init__(self, n_genes: int, n_labels: int, width: int = 64) -> None:
        super().__init__()
        self.hidden = nn.EmbeddingBag(n_genes, width, mode="sum", include_last_offset=True)
        nn.init.normal_(self.hidden.weight, std=0.02)
        self.output = nn.Linear(width, n_labels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(F.relu(self.hidden(x.col_indices(), x.crow_indices(), x.values())))


def loss_of(model: nn.Module, batch: penstock.Batch, label: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(mean loss, cells it is the mean of). All ranks make the same number of steps: a row that a rank repeats to
    that end has index -1. It goes through the model, so that the ranks meet, and counts for nothing; nor does a
    row without a label."""
    truth = batch.obs[label].where(batch.index >= 0, -1)
    n = (truth >= 0).sum()
    total = F.cross_entropy(model(batch.X), truth, ignore_index=-1, reduction="sum")
    return total / n.clamp(min=1), n


def digest(model: nn.Module) -> str:
    """Of all parameters, bit for bit."""
    found = hashlib.sha256()
    for parameter in model.parameters():
        found.update(parameter.detach().cpu().numpy().tobytes())
    return found.hexdigest()[:16]


# --- the data -----------------------------------------------------------------------------------------------


def demo_files(cells: int) -> list[str]:
    """A Tahoe-shaped set, made once."""
    sys.path.insert(0, str(ROOT / "tools"))
    import make_demo_data

    spec = make_demo_data.Spec(cells=cells, genes=5000)
    return [str(path) for path in make_demo_data.make(spec, make_demo_data.default_dir(spec))]


# --- training -----------------------------------------------------------------------------------------------


def open_trace(folder: Path | None) -> TextIO | None:
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f"rank{dist.get_rank()}.jsonl").open("a", buffering=1)


def note(trace: TextIO | None, **what: Any) -> None:
    if trace is not None:
        trace.write(json.dumps(what) + "\n")


def train(
    args: argparse.Namespace,
    device: torch.device,
    found: dict[str, Any] | None,
    save: Callable[[dict[str, Any], dict[str, Any]], None],
) -> None:
    """One rank's part, in a process group that exists.

    `found`: the checkpoint to go on from, the same on every rank. `save(checkpoint, metrics)` is called by all ranks
    at the same step; the checkpoint of one is enough.
    """
    rank, world_size = dist.get_rank(), dist.get_world_size()
    # Rank and world size are those of the process group; `memory` is each rank's own.
    loader = penstock.Loader(
        penstock.open(args.data),
        batch_size=args.batch_size,
        memory=args.memory,
        seed=args.seed,
        obs=[args.label],
        normalize_total=1e4,
        log1p=True,
    )
    torch.manual_seed(0)
    model = Probe(loader.dataset.n_vars, len(loader.categories[args.label])).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.rate)
    step = 0
    if found is not None:
        model.load_state_dict(found["model"])
        optimizer.load_state_dict(found["optimizer"])
        loader.load_state_dict(found["loader"])
        step = found["step"]
    if rank == 0:
        print(f"{world_size} ranks, each: {loader.plan.summary}", flush=True)
        if found is not None:
            print(f"going on in epoch {loader.epoch}, after step {step}", flush=True)
    ranks = DistributedDataParallel(model)
    trace = open_trace(args.trace)

    def checkpoint(epoch: int, loss: float) -> None:
        # backward() is where ranks meet: all have done as many batches.
        parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
        save({**parts, "loader": loader.state_dict()}, {"epoch": epoch, "step": step, "loss": loss})

    for epoch in range(loader.epoch, args.epochs):
        sums = torch.zeros(2, dtype=torch.float64, device=device)  # of losses, of cells
        for batch in loader:
            step += 1
            note(trace, epoch=epoch, step=step, rows=batch.index.tolist())
            loss, n = loss_of(ranks, batch.to(device), args.label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sums += torch.stack([loss.detach().double() * n, n])
            if step % args.save_every == 0:
                checkpoint(epoch, loss.item())
        dist.all_reduce(sums)
        mean, n_cells = float(sums[0] / sums[1].clamp(min=1)), int(sums[1])
        if rank == 0:
            print(f"epoch {epoch}: loss {mean:.4f} over {n_cells:,} cells", flush=True)
        checkpoint(epoch, mean)

    every: list[str] = [""] * world_size
    dist.all_gather_object(every, digest(model))
    note(trace, parameters=every[rank])
    if len(set(every)) > 1:
        raise RuntimeError(f"the ranks ended with different parameters: {every}")
    if rank == 0:
        print(f"parameters {every[0]} on every rank")
        print(loader.stats()["who_waited"], flush=True)
    loader.close()


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", nargs="+", help="files, globs or folders (default: a Tahoe-shaped set)")
    parser.add_argument("--label", default="cell_line", help="obs column to predict (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="in all (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=256, help="of a rank (default: %(default)s)")
    parser.add_argument("--memory", default="128MB", help="of a rank's loader (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=0.003, help="learning rate (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the order of cells (default: %(default)s)")
    parser.add_argument("--save-every", type=int, default=20, help="steps (default: %(default)s)")
    parser.add_argument(
        "--trace", type=Path, help="folder for a file a rank with the rows of every step, as JSON lines"
    )
    parser.add_argument("--cells", type=int, default=20_000, help="of the set made (default: %(default)s)")


# --- under torchrun -----------------------------------------------------------------------------------------


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any] | None:
    if not path.exists():
        return None
    found: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return found


def write_checkpoint(path: Path, parts: dict[str, Any]) -> None:
    """A kill in between leaves the one that was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    torch.save(parts, partial)
    os.replace(partial, path)


@record  # torchrun then shows the error of the rank that failed first
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=Path("checkpoint.pt"),
        help="on a disk that all ranks see (default: %(default)s)",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint, if there is one")
    args = parser.parse_args()
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    if not args.data and local_rank == 0:
        demo_files(args.cells)  # the others wait for it in the next line
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    args.data = args.data or demo_files(args.cells)

    def save(checkpoint: dict[str, Any], metrics: dict[str, Any]) -> None:
        if dist.get_rank() == 0:
            write_checkpoint(args.checkpoint, checkpoint)

    try:
        train(args, device, read_checkpoint(args.checkpoint, device) if args.resume else None, save)
    finally:
        # The threads of Gloo end with the last reference to the group. One that outlives Python can abort a rank that
        # has finished, and torchrun then starts all of them again. DistributedDataParallel holds a reference, from
        # inside a cycle. It also imports torch.distributed.nn, whose functions have the group of that moment as a
        # default argument, for ever: that is why this file imports it while there is none.
        gc.collect()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
