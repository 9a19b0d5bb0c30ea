"""Penstock: the package of this tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

TITLE = "Penstock"
ENV = "penstock"
ORDER = "blocks in a window"
ONCE = True
FULL_PASS = True
SMALL_FILES = 4

# Four dense batches of 4,096 x 62,710 float32 are 4.1 GB: "late" makes CSR batches and calls batch.dense() on each,
# into one tensor ("out") or as it is ("plain", see penstock_plain.py).
BEST: dict[tuple[int, str], dict[str, Any]] = {
    (64, "csr"): {"memory": "512MB"},
    (4096, "csr"): {"memory": "512MB"},
    (64, "dense"): {"memory": "512MB"},
    (4096, "dense"): {"memory": "512MB", "late": "out"},
}
SWEEP: dict[tuple[int, str], list[dict[str, Any]]] = {
    (64, "csr"): [{"memory": m} for m in ("128MB", "256MB", "512MB", "1GB")],
    (4096, "csr"): [{"memory": m} for m in ("256MB", "512MB", "1GB")],
    (64, "dense"): [{"memory": m} for m in ("256MB", "512MB", "1GB")] + [{"memory": "512MB", "late": "out"}],
    (4096, "dense"): [{"memory": "512MB", "late": "out"}, {"memory": "9GB"}],
}


def output_label(output: str, settings: dict[str, Any]) -> str:
    if output == "csr":
        return "torch CSR int32"
    if settings.get("late") == "plain":
        return "torch float32, the loader's buffers"
    return "torch float32, reused" if settings.get("late") else "torch float32, own slot per batch"


def imports() -> None:
    import torch  # noqa: F401

    import penstock  # noqa: F401


class Loader:
    def __init__(
        self, files: list[str], batch_size: int, output: str, memory: str = "512MB", late: str = ""
    ) -> None:
        import penstock

        self.late = late
        self.dense = output == "dense"
        self.cycle = batch_size
        self.loader = penstock.Loader(
            penstock.open(files),
            batch_size=batch_size,
            format="dense" if self.dense and not late else "csr",
            memory=memory,
            obs=["drug"],
        )

    def epoch(self) -> Iterator[Any]:
        import torch

        out = torch.empty(self.cycle, 62_710) if self.late == "out" else None
        for batch in self.loader:
            yield (batch.dense(out=out) if self.late else batch.X, batch.index)

    def rows(self, batch: Any) -> np.ndarray:
        return np.array(batch[1].numpy())

    def matrix(self, batch: Any) -> Any:
        x = batch[0]
        if self.dense:
            return x.numpy()
        return tuple(part.numpy() for part in (x.crow_indices(), x.col_indices(), x.values()))
