"""What the loaders on top of anndata have in common."""

from __future__ import annotations

from typing import Any

import numpy as np


def open_collection(files: list[str]) -> Any:
    """All files backed, obs cut to one column: the row number over all files."""
    import anndata
    import pandas as pd
    from anndata.experimental import AnnCollection

    parts, first = [], 0
    for name in files:
        part = anndata.read_h5ad(name, backed="r")
        part.obs = pd.DataFrame({"row": np.arange(first, first + part.n_obs)}, index=part.obs_names)
        first += part.n_obs
        parts.append(part)
    return AnnCollection(parts, join_vars="inner", join_obs="inner")


def csr_parts(x: Any) -> tuple[Any, ...]:
    """Three tensors on the memory of a scipy matrix, which pass cheaply between processes."""
    import torch

    return tuple(torch.from_numpy(part) for part in (x.indptr, x.indices, x.data))


def csr_tensor(parts: Any, shape: tuple[int, int]) -> Any:
    import torch

    return torch.sparse_csr_tensor(*parts, size=shape, check_invariants=False)


class Densifier:
    """scipy CSR -> dense torch tensor: into one buffer again and again (`reuse`), or a new one per batch."""

    def __init__(self, reuse: bool) -> None:
        self.reuse = reuse
        self.buffer: np.ndarray | None = None

    def __call__(self, x: Any) -> Any:
        import torch

        if not self.reuse:
            return torch.from_numpy(x.toarray())
        if self.buffer is None or len(self.buffer) < x.shape[0]:
            self.buffer = np.zeros(x.shape, np.float32)
        return torch.from_numpy(x.toarray(out=self.buffer[: x.shape[0]]))


def csr_numpy(x: Any) -> tuple[np.ndarray, ...]:
    """(indptr, indices, values) of a torch CSR tensor."""
    return tuple(part.numpy() for part in (x.crow_indices(), x.col_indices(), x.values()))


def label(output: str, settings: dict[str, Any]) -> str:
    if output == "csr":
        return "torch CSR int32"
    return "torch float32, one reused buffer" if settings.get("reuse") else "torch float32, new per batch"
