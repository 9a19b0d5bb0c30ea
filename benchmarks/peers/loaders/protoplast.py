"""PROTOplast: contiguous ranges of rows in random order inside each file; rows within a range keep their order.

f = batches per range, w = DataLoader workers. A file's rows beyond its last whole range are left out of the epoch, so
ONCE is False: what comes must be right and must come once, but not all comes.

protoplast/__init__.py imports its trainer, and with it ray, daft and more, several GB that loading does not use. The
dataset's modules are imported without it: the packages above them are made by hand.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import random
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import anndata_files

TITLE = "PROTOplast"
ENV = "protoplast"
ORDER = "ranges only"
ONCE = False
FULL_PASS = True
SMALL_FILES = 1  # with files shorter than a range it repeats ranges, so that every worker has one

BEST: dict[tuple[int, str], dict[str, Any]] = {
    (64, "csr"): {"fetch": 16, "workers": 0},
    (4096, "csr"): {"fetch": 4, "workers": 2},
    (64, "dense"): {"fetch": 16, "workers": 0, "reuse": True},
    (4096, "dense"): {"fetch": 4, "workers": 0, "reuse": True},
}
SWEEP: dict[tuple[int, str], list[dict[str, Any]]] = {
    (64, "csr"): [{"fetch": f, "workers": w} for f in (16, 64, 256) for w in (0, 2)],
    (4096, "csr"): [{"fetch": f, "workers": w} for f in (1, 2, 4) for w in (0, 2)],
    (64, "dense"): [{"fetch": f, "workers": 0, "reuse": True} for f in (16, 64)]
    + [{"fetch": 16, "workers": w} for w in (0, 2)],
    (4096, "dense"): [{"fetch": 4, "workers": 0, "reuse": r} for r in (True, False)]
    + [{"fetch": 4, "workers": 2}],
}


def output_label(output: str, settings: dict[str, Any]) -> str:
    return "torch CSR int64" if output == "csr" else anndata_files.label(output, settings)


def _modules() -> tuple[types.ModuleType, types.ModuleType]:
    """protoplast.scrna.anndata.torch_dataloader and .strategy"""
    if "protoplast" not in sys.modules:
        spec = importlib.util.find_spec("protoplast")
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError("No module named 'protoplast'")
        root = Path(next(iter(spec.submodule_search_locations)))
        for name in ("protoplast", "protoplast.scrna", "protoplast.scrna.anndata"):
            package = types.ModuleType(name)
            package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
            sys.modules[name] = package
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it patches in anndata
        import protoplast.scrna.anndata.strategy as strategy
        import protoplast.scrna.anndata.torch_dataloader as torch_dataloader
    return torch_dataloader, strategy


def imports() -> None:
    _modules()


class Loader:
    def __init__(
        self,
        files: list[str],
        batch_size: int,
        output: str,
        fetch: int = 4,
        workers: int = 0,
        reuse: bool = False,
    ) -> None:
        import anndata
        from torch.utils.data import DataLoader

        torch_dataloader, strategy = _modules()
        self.dense = output == "dense"
        self.cycle = batch_size * fetch * max(1, workers)
        split = strategy.ann_split_data(
            files, batch_size, max(1, workers), prefetch_factor=fetch, rng=random.Random(42)
        )
        counts = [anndata.read_h5ad(name, backed="r").n_obs for name in files]
        first_rows = dict(zip(files, np.cumsum([0, *counts]).tolist(), strict=False))
        densify = anndata_files.Densifier(reuse and workers == 0)
        dense = self.dense

        class Rows(torch_dataloader.DistributedAnnDataset):
            """Its batches, and where their rows begin."""

            def transform(self, start: int, end: int) -> Any:
                x = densify(self.X) if dense else super().transform(start, end)
                return x, first_rows[str(self.ad.filename)] + start, end - start

        dataset = Rows(
            split["files"], split["train_indices"], {}, "X", mini_batch_size=batch_size, random_seed=42
        )
        ahead = {"prefetch_factor": fetch} if workers else {}
        self.loader = DataLoader(dataset, batch_size=None, num_workers=workers, **ahead)

    def epoch(self) -> Iterator[Any]:
        yield from self.loader

    def rows(self, batch: Any) -> np.ndarray:
        return np.arange(batch[1], batch[1] + batch[2])

    def matrix(self, batch: Any) -> Any:
        return batch[0].numpy() if self.dense else anndata_files.csr_numpy(batch[0])
