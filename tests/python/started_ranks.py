"""Run by test_started_ranks.py: loaders made here, and handed to ranks that begin as copies of this process.

started_ranks.py METHOD OUT FILE...      METHOD: fork or spawn
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import torch.distributed as dist
import torch.multiprocessing as mp
from torch.utils.data import DataLoader

import penstock

RANKS = 2
EPOCHS = 3
# Made before, in this order; what a rank does with it.
KINDS = ("new", "peeked", "in its second epoch", "module", "workers", "more workers")


def make(paths: list[str]) -> dict[str, Any]:
    # Not above: spawned workers, which are many, would import it.
    from penstock.lightning import PenstockDataModule

    def loader() -> penstock.Loader:
        return penstock.Loader(penstock.open(paths), batch_size=64, memory="16MB", threads=1)

    made: dict[str, Any] = {kind: loader() for kind in KINDS if kind != "module"}
    made["peeked"].peek()
    batches = iter(made["in its second epoch"])
    next(batches)
    made["in its second epoch"].kept = batches  # and in use
    ds = penstock.open(paths)
    made["module"] = PenstockDataModule(ds, ds[:100], memory="32MB", batch_size=64, threads=1)
    assert made["module"].loader("train").peek().n_obs == 64
    return made


def batches_of(kind: str, made: Any, method: str) -> Any:
    if kind == "module":
        return made.train_dataloader()
    if "workers" in kind:
        # The rank itself never touches the loader before its worker does.
        return DataLoader(
            made,
            batch_size=None,
            num_workers=1,
            multiprocessing_context=method,
            persistent_workers=kind == "more workers",
        )
    return made


def train(rank: int, made: dict[str, Any], method: str, out: str) -> None:
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", init_method=f"file://{out}.store", rank=rank, world_size=RANKS)
    found: dict[str, Any] = {}
    for kind in KINDS:
        batches = batches_of(kind, made[kind], method)
        found[kind] = []
        for _ in range(EPOCHS):
            time.sleep(0.1 * rank)  # ranks are never quite even
            found[kind].append([row for batch in batches for row in batch.index.tolist()])
        dist.barrier()
        if "workers" in kind:
            try:
                made[kind].state_dict()
            except RuntimeError as error:
                found[f"{kind}: state"] = str(error)
        else:
            loader = batches
            found[f"{kind}: state"] = [loader.epoch, loader.state_dict()["lineage"]]
    with open(f"{out}.{rank}.json", "w") as file:
        json.dump(found, file)
    dist.destroy_process_group()


def main() -> None:
    method, out, *paths = sys.argv[1:]
    warnings.simplefilter("ignore")
    made = make(paths)
    kept = made["in its second epoch"].__dict__.pop("kept")
    mp.start_processes(train, (made, method, out), nprocs=RANKS, start_method=method)
    # Nobody moved what is this process's.
    second = made.pop("in its second epoch")
    assert second.state_dict()["lineage"] == [[1, 1]] and sum(1 for _ in kept) == len(second) - 1
    for kind, loader in made.items():
        loader = loader.loader("train") if kind == "module" else loader
        assert loader.epoch == 0, kind
        assert sum(batch.n_obs for batch in loader) == loader.plan.n_rows, kind


if __name__ == "__main__":
    main()
