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
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

import torch
import torch.distributed as dist
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


def loss_of(model: nn.Module, batch: penstock.Batch, label: str) -> tuple[torch.Tensor, int]:
    """(mean loss, rows it is the mean of). All ranks make the same number of steps: a row that a rank repeats to
    that end has index -1. It goes through the model, so that the ranks meet, and counts for nothing; nor does a
    row without a label."""
    truth = batch.obs[label].where(batch.index >= 0, -1)
    n = int((truth >= 0).sum())
    total = F.cross_entropy(model(batch.X), truth, ignore_index=-1, reduction="sum")
    return total / max(1, n), n


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


def make_loader(files: list[str], label: str, batch_size: int, memory: str, seed: int) -> Any:
    """This rank's. Rank and world size are those of torch.distributed; `memory` is each rank's own."""
    return penstock.Loader(
        penstock.open(files),
        batch_size=batch_size,
        memory=memory,
        seed=seed,
        obs=[label],
        normalize_total=1e4,
        log1p=True,
    )


# --- training -----------------------------------------------------------------------------------------------


def write_checkpoint(path: Path, **parts: Any) -> None:
    """A kill in between leaves the one that was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    torch.save(parts, partial)
    os.replace(partial, path)


def open_trace(folder: Path | None) -> TextIO | None:
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f"rank{dist.get_rank()}.jsonl").open("a", buffering=1)


def note(trace: TextIO | None, **what: Any) -> None:
    if trace is not None:
        trace.write(json.dumps(what) + "\n")


def train(args: argparse.Namespace, files: list[str], device: torch.device) -> None:
    rank, world_size = dist.get_rank(), dist.get_world_size()
    loader = make_loader(files, args.label, args.batch_size, args.memory, args.seed)
    if rank == 0:
        print(f"{world_size} ranks, each: {loader.plan.summary}", flush=True)
    torch.manual_seed(0)
    model = Probe(loader.dataset.n_vars, len(loader.categories[args.label])).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.rate)
    step = 0
    if args.resume and args.checkpoint.exists():
        # Every rank reads the one file that rank 0 wrote.
        found = torch.load(args.checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(found["model"])
        optimizer.load_state_dict(found["optimizer"])
        loader.load_state_dict(found["loader"])
        step = found["step"]
        if rank == 0:
            print(f"going on in epoch {loader.epoch}, after step {step}", flush=True)
    ranks = DistributedDataParallel(model)
    trace = open_trace(args.trace)

    def save() -> None:
        # backward() is where ranks meet: all have done as many batches as rank 0.
        if rank == 0:
            parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            write_checkpoint(args.checkpoint, loader=loader.state_dict(), **parts)

    for epoch in range(loader.epoch, args.epochs):
        seen = torch.zeros(2, dtype=torch.float64)
        for batch in loader:
            step += 1
            note(trace, epoch=epoch, step=step, rows=batch.index.tolist())
            loss, n = loss_of(ranks, batch.to(device), args.label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += torch.tensor([loss.item() * n, n])
            if step % args.save_every == 0:
                save()
        save()
        seen = seen.to(device)
        dist.all_reduce(seen)
        if rank == 0:
            total, n_rows = seen.tolist()
            print(f"epoch {epoch}: loss {total / max(1, n_rows):.4f} over {n_rows:,.0f} cells", flush=True)

    every: list[str] = [""] * world_size
    dist.all_gather_object(every, digest(model))
    note(trace, parameters=every[rank])
    if len(set(every)) > 1:
        raise RuntimeError(f"the ranks ended with different parameters: {every}")
    if rank == 0:
        print(f"parameters {every[0]} on every rank")
        print(loader.stats()["who_waited"])
    loader.close()


@record  # torchrun then shows the error of the rank that failed first
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", help="files, globs or folders (default: a Tahoe-shaped set)")
    parser.add_argument("--label", default="cell_line", help="obs column to predict (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="in all (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=256, help="of a rank (default: %(default)s)")
    parser.add_argument("--memory", default="128MB", help="of a rank's loader (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=0.003, help="learning rate (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the order of cells (default: %(default)s)")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=Path("checkpoint.pt"),
        help="on a disk that all ranks see (default: %(default)s)",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint, if there is one")
    parser.add_argument("--save-every", type=int, default=20, help="steps (default: %(default)s)")
    parser.add_argument(
        "--trace", type=Path, help="folder for a file a rank with the rows of every step, as JSON lines"
    )
    parser.add_argument("--cells", type=int, default=20_000, help="of the set made (default: %(default)s)")
    args = parser.parse_args()
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    if not args.data and local_rank == 0:
        demo_files(args.cells)  # the others wait for it in the next line
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        train(args, args.data or demo_files(args.cells), device)
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
