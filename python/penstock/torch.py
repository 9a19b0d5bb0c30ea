"""Everything that needs torch. Imported on demand, so that the package works without it."""

from __future__ import annotations

import functools
import os
import types
import warnings
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, default_collate, get_worker_info
from torch.utils.data._utils import collate, fetch
from torch.utils.dlpack import from_dlpack

from penstock import _core
from penstock.batch import Batch

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
    parts: tuple[int, tuple[Any, ...], Any, list[Any], Any, list[Any]], n_cols: int, names: Sequence[str]
) -> tuple[Any, dict[str, Any], Any, Any, list[Any]]:
    """(X, obs, index, total or None, obsm) on the memory that the engine handed out, without another copy."""
    n_rows, x, index, labels, total, obsm = parts
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
    total = None if total is None else from_dlpack(total)
    return matrix, obs, from_dlpack(index), total, [from_dlpack(entry) for entry in obsm]


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


def dense(x: torch.Tensor, dtype: Any, into: torch.Tensor | None, densifier: _core.Densifier) -> torch.Tensor:
    if into is not None:
        if not isinstance(into, torch.Tensor):
            raise TypeError(f"out must be a torch.Tensor, as X is, not {type(into).__name__}")
        into = into[: x.shape[0]]
    out_dtype = into.dtype if into is not None else x.dtype if dtype is None else torch_dtype(dtype)
    if x.layout != torch.sparse_csr:
        return x.to(out_dtype) if into is None else into.copy_(x)
    values = x.values()
    # The kernel knows nothing of gradients and devices.
    if x.device.type == "cpu" and not values.requires_grad:
        arrays = x.crow_indices(), x.col_indices(), values
        if into is not None and into.device.type == "cpu" and into.is_contiguous():
            if densifier.densify_into(*arrays, into):
                return into
        else:
            name = str(out_dtype).removeprefix("torch.")
            made = densifier.densify(*arrays, x.shape[1], name, True)
            if made is not None:
                out = from_dlpack(made)
                return out if into is None else into.copy_(out)
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


# To be told before a fork.
_counters: weakref.WeakValueDictionary[int, EpochCounter] = weakref.WeakValueDictionary()


class EpochCounter:
    """The number of the next epoch, shared with DataLoader workers: each epoch of a DataLoader has new ones, which
    would all begin with the same epoch otherwise. It is shared with nobody else: a rank that began as a copy of this
    process, by fork or spawn, has a counter of its own, which begins where this one stood when the rank did."""

    def __init__(self, epoch: int) -> None:
        self._own(epoch)

    def _own(self, epoch: int) -> None:
        self._shared = torch.tensor([epoch], dtype=torch.int64)
        try:
            self._shared.share_memory_()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise OSError(
                "the system refuses the 8 bytes of shared memory in which a loader and its DataLoader workers count "
                f"epochs: {error}"
            ) from error
        self._pid = os.getpid()
        self._known = epoch  # what this process knows; workers move the shared one on
        self._at_start = epoch  # for processes that begin as copies of this one
        _counters[id(self)] = self

    def _settle(self) -> None:
        # A DataLoader's worker is known as one only when it runs, so this is late.
        if self._pid != os.getpid() and worker_number() is None:
            self._own(self._at_start)

    def get(self) -> int:
        self._settle()
        return int(self._shared.item())

    def set(self, epoch: int) -> None:
        self._settle()
        self._shared[0] = self._known = epoch

    def moved(self) -> bool:
        """By a worker, so that this process does not know where its loader is."""
        return self.get() != self._known

    def before_start(self) -> None:
        """A process is about to begin as a copy of this one."""
        self._at_start = self.get()

    def __getstate__(self) -> dict[str, Any]:
        self.before_start()
        return {"_shared": self._shared, "_at_start": self._at_start, "_known": self._at_start, "_pid": 0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _counters[id(self)] = self


def _before_fork() -> None:
    for found in _counters.valuerefs():
        counter = found()
        if counter is not None:
            counter.before_start()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)


def worker_number() -> tuple[int, int] | None:
    """(id, number of workers) in a DataLoader worker."""
    info = get_worker_info()
    return None if info is None else (info.id, info.num_workers)


def _refuse_to_stack(*_: Any, **__: Any) -> Any:
    raise TypeError(
        "a DataLoader would stack batches of penstock.Loader, which are complete, along a new dimension: write "
        "DataLoader(loader, batch_size=None), or iterate the loader itself"
    )


# Wherever batches end up in torch's default_collate, through datasets around a loader too.
collate.default_collate_fn_map[Batch] = _refuse_to_stack


def refuse_stacking(caller: types.FrameType) -> None:
    """The same, where a DataLoader asks a loader for an iterator: what a transform makes of batches is of any type."""
    # Locals only of that one frame: to look at them keeps them alive.
    if caller.f_globals.get("__name__") == fetch.__name__:
        asked = caller.f_locals
        if asked.get("auto_collation") and asked.get("collate_fn") is default_collate:
            _refuse_to_stack()


def refuse_sharing(caller: types.FrameType, sparse: bool) -> None:
    """Accelerate shares out what a DataLoader yields on its own terms: it reads on the first process and sends parts to
    the others, or has each process skip the others' batches. A loader has given each process its share by then."""
    if caller.f_globals.get("__name__") != "accelerate.data_loader":
        return
    wrapper: Any = caller.f_locals.get("self")
    kind = type(wrapper).__name__
    if kind == "DataLoaderDispatcher":
        processes = int(wrapper.state.num_processes)
    elif kind == "IterableDatasetShard":
        processes = int(wrapper.num_processes)
    else:
        return
    if processes > 1 or (sparse and kind == "DataLoaderDispatcher"):
        raise RuntimeError(
            f"accelerate's {kind} would share out the batches of a penstock.Loader"
            + (
                ", which gives each process its share of the rows itself"
                if processes > 1
                else "; it cannot with CSR"
            )
            + ": leave out the DataLoader, accelerator.prepare(loader), and move each batch by "
            "batch.to(accelerator.device)"
        )


@functools.cache
def iterable_class(cls: type) -> type:
    """cls as a torch IterableDataset, so that DataLoader takes it."""
    if issubclass(cls, IterableDataset):
        return cls
    made = types.new_class(cls.__name__, (cls, IterableDataset))
    made.__module__, made.__qualname__, made.__doc__ = cls.__module__, cls.__qualname__, cls.__doc__
    made._plain_class = cls  # type: ignore[attr-defined]
    return made
