"""Run by test_accelerate.py, alone or on the ranks of torchrun: what accelerate's prepare() makes of a loader.

accelerated.py OUT FILE...
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from torch.utils.data import DataLoader

import penstock


def loader_of(paths: list[str], **options: Any) -> penstock.Loader:
    return penstock.Loader(
        penstock.open(paths), **{"batch_size": 64, "memory": "8MB", "threads": 1, **options}
    )


def epochs(prepared: Any, n: int = 2) -> Any:
    """Rows of n epochs, or the error."""
    try:
        return [[row for batch in prepared for row in batch.index.tolist()] for _ in range(n)]
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def train(accelerator: Accelerator, paths: list[str], folder: str) -> dict[str, Any]:
    """As docs/accelerate.md has it: an epoch and a half, a checkpoint, and the rest by another loader."""

    def prepared() -> tuple[Any, ...]:
        torch.manual_seed(0)
        model = torch.nn.Linear(90, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        loader = loader_of(paths, obs=["colour"])
        parts = accelerator.prepare(model, optimizer, loader)
        assert parts[2] is loader
        accelerator.register_for_checkpointing(loader)
        return parts

    def steps(
        model: Any, optimizer: Any, loader: Any, until: tuple[int, int] | None = None
    ) -> list[list[int]]:
        seen = []
        for epoch in range(loader.epoch, 2):
            for number, batch in enumerate(loader):
                moved = batch.to(accelerator.device)
                loss = torch.nn.functional.cross_entropy(model(moved.dense()), moved.obs["colour"])
                optimizer.zero_grad()
                accelerator.backward(loss)
                optimizer.step()
                seen.append(batch.index.tolist())
                if (epoch, number) == until:
                    accelerator.save_state(folder)
                    return seen
        return seen

    whole = steps(*prepared())
    accelerator.free_memory()
    accelerator._custom_objects.clear()
    first = steps(*prepared(), until=(1, 5))
    accelerator.free_memory()
    accelerator._custom_objects.clear()
    parts = prepared()
    accelerator.load_state(folder)
    return {"whole": whole, "first": first, "rest": steps(*parts)}


def main() -> None:
    warnings.simplefilter("ignore")
    out, *paths = sys.argv[1:]
    found: dict[str, Any] = {}
    for dispatch in (None, True, False):
        config = DataLoaderConfiguration(dispatch_batches=dispatch)
        accelerator = Accelerator(cpu=True, dataloader_config=config)
        for format in ("csr", "dense"):
            name = f"{format} {dispatch}"
            found[f"loader {name}"] = epochs(accelerator.prepare(loader_of(paths, format=format)))
            for workers in (0, 1):
                wrapped = DataLoader(loader_of(paths, format=format), batch_size=None, num_workers=workers)
                found[f"dataloader {workers} {name}"] = epochs(accelerator.prepare(wrapped))
        found[f"stacked {dispatch}"] = epochs(
            accelerator.prepare(DataLoader(loader_of(paths, format="dense")))
        )
    found["training"] = train(accelerator, paths, f"{out}.state")
    with open(f"{out}.{accelerator.process_index}.json", "w") as file:
        json.dump(found, file)
    accelerator.end_training()


if __name__ == "__main__":
    main()
