"""scDataset: blocks of rows in random order, many batches read at once and mixed.

b = rows per block, f = batches per read, w = DataLoader workers (read-ahead of f + 1 batches each).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import anndata_files

TITLE = "scDataset"
ENV = "scdataset"
ORDER = "blocks in a read"
ONCE = True
FULL_PASS = True
SMALL_FILES = 4

BEST: dict[tuple[int, str], dict[str, Any]] = {
    (64, "csr"): {"block": 256, "fetch": 256, "workers": 0},
    (4096, "csr"): {"block": 256, "fetch": 4, "workers": 2},
    (64, "dense"): {"block": 16, "fetch": 256, "workers": 0, "reuse": True},
    (4096, "dense"): {"block": 256, "fetch": 4, "workers": 0, "reuse": True},
}
SWEEP: dict[tuple[int, str], list[dict[str, Any]]] = {
    (64, "csr"): [
        {"block": b, "fetch": f, "workers": w} for b in (16, 256) for f in (64, 256) for w in (0, 2)
    ],
    (4096, "csr"): [{"block": b, "fetch": 4, "workers": w} for b in (64, 256, 1024) for w in (0, 2)],
    (64, "dense"): [{"block": b, "fetch": 256, "workers": 0, "reuse": True} for b in (16, 256)]
    + [{"block": 256, "fetch": 256, "workers": w} for w in (0, 2)],
    (4096, "dense"): [
        {"block": 256, "fetch": f, "workers": 0, "reuse": r} for f in (2, 4) for r in (True, False)
    ],
}

output_label = anndata_files.label


def imports() -> None:
    import anndata.experimental  # noqa: F401
    import scdataset  # noqa: F401
    import torch  # noqa: F401


class Loader:
    def __init__(
        self,
        files: list[str],
        batch_size: int,
        output: str,
        block: int = 256,
        fetch: int = 4,
        workers: int = 0,
        reuse: bool = False,
    ) -> None:
        import scdataset
        from torch.utils.data import DataLoader

        self.dense = output == "dense"
        self.densify = anndata_files.Densifier(reuse and workers == 0)
        self.cycle = batch_size * fetch * max(1, workers)
        collection = anndata_files.open_collection(files)
        self.n_vars = collection.shape[1]
        self.dataset = scdataset.scDataset(
            collection,
            scdataset.BlockShuffling(block_size=block),
            batch_size=batch_size,
            fetch_factor=fetch,
            fetch_transform=lambda view: (view.X, np.asarray(view.obs["row"].to_numpy())),
            batch_callback=self._batch,
            seed=0,
        )
        ahead = {"prefetch_factor": fetch + 1} if workers else {}
        self.loader = DataLoader(self.dataset, batch_size=None, num_workers=workers, **ahead)

    def _batch(self, fetched: Any, which: np.ndarray) -> Any:
        x, rows = fetched[0][which], fetched[1][which]
        return (self.densify(x) if self.dense else anndata_files.csr_parts(x), rows)

    def epoch(self) -> Iterator[Any]:
        for x, rows in self.loader:
            yield (x if self.dense else anndata_files.csr_tensor(x, (len(rows), self.n_vars)), rows)

    def rows(self, batch: Any) -> np.ndarray:
        return np.array(batch[1])

    def matrix(self, batch: Any) -> Any:
        return batch[0].numpy() if self.dense else anndata_files.csr_numpy(batch[0])
