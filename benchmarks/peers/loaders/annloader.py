"""AnnLoader of anndata: rows in random order from backed files, sorted within the batch for reading.

With workers AnnLoader itself reads row by row; here workers get whole batches through its own sampler, which is
better for it. Batches are converted in `collate`, not by its default converter, which copies once more.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import anndata_files

TITLE = "AnnLoader"
ENV = "annloader"
ORDER = "rows"
ONCE = True
FULL_PASS = False  # about 1,000 cells/s
SMALL_FILES = 4

_CORNERS = [(batch, output) for batch in (64, 4096) for output in ("csr", "dense")]
BEST: dict[tuple[int, str], dict[str, Any]] = {
    (batch, output): {"workers": 0, **({"reuse": True} if output == "dense" else {})}
    for batch, output in _CORNERS
}
SWEEP: dict[tuple[int, str], list[dict[str, Any]]] = {
    (64, "csr"): [{"workers": 0}, {"workers": 2}],
    (4096, "csr"): [{"workers": 0}, {"workers": 2}],
    (64, "dense"): [{"workers": 0, "reuse": True}, {"workers": 0}, {"workers": 2}],
    (4096, "dense"): [{"workers": 0, "reuse": True}, {"workers": 0}],
}

output_label = anndata_files.label


def imports() -> None:
    import anndata.experimental  # noqa: F401
    import torch  # noqa: F401


class Loader:
    def __init__(
        self, files: list[str], batch_size: int, output: str, workers: int = 0, reuse: bool = False
    ) -> None:
        from anndata.experimental.pytorch import AnnLoader
        from anndata.experimental.pytorch._annloader import BatchIndexSampler

        warnings.filterwarnings(
            "ignore", category=FutureWarning
        )  # AnnLoader is deprecated: annbatch follows it
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        self.dense = output == "dense"
        self.densify = anndata_files.Densifier(reuse and workers == 0)
        self.cycle = batch_size * max(1, workers)
        collection = anndata_files.open_collection(files)
        self.n_vars = collection.shape[1]
        self.loader = AnnLoader(
            collection,
            batch_size=None,
            use_default_converter=False,
            sampler=BatchIndexSampler(len(collection), batch_size=batch_size, shuffle=True),
            num_workers=workers,
            collate_fn=self._collate,
        )

    def _collate(self, view: Any) -> Any:
        x, rows = view.X, view.obs["row"].to_numpy()
        return (self.densify(x) if self.dense else anndata_files.csr_parts(x), rows)

    def epoch(self) -> Iterator[Any]:
        for x, rows in self.loader:
            yield (x if self.dense else anndata_files.csr_tensor(x, (len(rows), self.n_vars)), rows)

    def rows(self, batch: Any) -> np.ndarray:
        return np.asarray(batch[1])

    def matrix(self, batch: Any) -> Any:
        return batch[0].numpy() if self.dense else anndata_files.csr_numpy(batch[0])
