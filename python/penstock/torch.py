"""Everything that needs torch. Imported on demand, so that the package works without it."""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info
from torch.utils.dlpack import from_dlpack

from penstock import _core

__all__ = ["clone", "dense", "describe", "pin_memory", "to_device", "to_numpy", "wrap"]

DLPACK = True


def _silence_beta_warning() -> None:
    # torch says once per process that CSR is in beta; the first tensor takes the message away.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        empty = torch.zeros(0, dtype=torch.int64)
        torch.sparse_csr_tensor(
            torch.zeros(1, dtype=torch.int64), empty, empty, size=(0, 1), check_invariants=False
        )


_silence_beta_warning()


def check_options(format: str, dtype: str) -> None:
    """torch holds every format and dtype."""


def wrap(
    parts: tuple[int, tuple[Any, ...], Any, list[Any], Any], n_cols: int, names: Sequence[str]
) -> tuple[Any, dict[str, Any], Any, Any]:
    """(X, obs, index, total or None) on the memory that the engine handed out; no copy."""
    n_rows, x, index, labels, total = parts
    if len(x) == 1:
        matrix = from_dlpack(x[0])
    else:
        # Valid by construction; the check would cost more than the rest of the batch.
        matrix = torch.sparse_csr_tensor(
            from_dlpack(x[0]),
            from_dlpack(x[1]),
            from_dlpack(x[2]),
            size=(n_rows, n_cols),
            check_invariants=False,
        )
    obs = dict(zip(names, map(from_dlpack, labels), strict=True))
    return matrix, obs, from_dlpack(index), None if total is None else from_dlpack(total)


def _map_csr(x: torch.Tensor, function: Any) -> torch.Tensor:
    return torch.sparse_csr_tensor(
        function(x.crow_indices()),
        function(x.col_indices()),
        function(x.values()),
        size=x.shape,
        check_invariants=False,
    )


def _map(array: Any, function: Any) -> Any:
    if not isinstance(array, torch.Tensor):
        return array
    return _map_csr(array, function) if array.layout == torch.sparse_csr else function(array)


def to_device(array: Any, device: Any, non_blocking: bool) -> Any:
    return _map(array, lambda part: part.to(device, non_blocking=non_blocking))


def pin_memory(array: Any) -> Any:
    return _map(array, lambda part: part.pin_memory())


def clone(array: Any) -> Any:
    return _map(array, lambda part: part.clone())


def torch_dtype(dtype: Any) -> torch.dtype:
    """A torch dtype from a torch dtype, a numpy dtype or a name."""
    if isinstance(dtype, torch.dtype):
        return dtype
    name = dtype.removeprefix("torch.") if isinstance(dtype, str) else np.dtype(dtype).name
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"dtype={dtype!r} is not a torch dtype")
    return found


def dense(x: torch.Tensor, dtype: Any = None, into: torch.Tensor | None = None) -> torch.Tensor:
    if into is not None:
        into = into[: x.shape[0]]
        dtype = into.dtype
    out_dtype = x.dtype if dtype is None else torch_dtype(dtype)
    if x.layout != torch.sparse_csr:
        return x.to(out_dtype) if into is None else into.copy_(x)
    values = x.values()
    # The kernel knows nothing of gradients and devices.
    if x.device.type == "cpu" and not values.requires_grad:
        on_cpu = into is not None and into.device.type == "cpu" and into.is_contiguous()
        out = into if into is not None and on_cpu else torch.empty(x.shape, dtype=out_dtype)
        if _core.densify(x.crow_indices(), x.col_indices(), values, out):
            return out if into is None or on_cpu else into.copy_(out)
    return x.to_dense().to(out_dtype) if into is None else into.copy_(x.to_dense())


def to_numpy(array: torch.Tensor) -> np.ndarray[Any, Any]:
    result: np.ndarray[Any, Any] = array.detach().cpu().numpy()
    return result


def describe(x: torch.Tensor) -> str:
    dtype = str(x.dtype).removeprefix("torch.")
    where = "" if x.device.type == "cpu" else f" on {x.device}"
    if x.layout == torch.sparse_csr:
        return f"csr {dtype} ({x.values().numel():,} non-zeros){where}"
    return f"dense {dtype}{where}"


class EpochCounter:
    """The number of the next epoch, shared with DataLoader workers: each epoch of a DataLoader has new ones, which
    would all begin with the same epoch otherwise."""

    def __init__(self, epoch: int) -> None:
        self._value = torch.tensor([epoch], dtype=torch.int64)
        self._value.share_memory_()  # type: ignore[no-untyped-call]

    def get(self) -> int:
        return int(self._value.item())

    def set(self, epoch: int) -> None:
        self._value[0] = epoch

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Shared between processes when multiprocessing pickles it for a worker; else a copy.
        self._value = state["_value"]
        self._value.share_memory_()  # type: ignore[no-untyped-call]


def worker_number() -> tuple[int, int] | None:
    """(id, number of workers) in a DataLoader worker."""
    info = get_worker_info()
    return None if info is None else (info.id, info.num_workers)


@functools.cache
def iterable_class(cls: type) -> type:
    """cls as a torch IterableDataset, so that DataLoader takes it."""
    if issubclass(cls, IterableDataset):
        return cls
    made = types.new_class(cls.__name__, (cls, IterableDataset))
    made.__module__, made.__qualname__, made.__doc__ = cls.__module__, cls.__qualname__, cls.__doc__
    made._plain_class = cls  # type: ignore[attr-defined]
    return made
