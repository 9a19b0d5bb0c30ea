"""What a loader is asked for: checked, and in the engine's words."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from penstock import _core
from penstock.ahead import Transform
from penstock.batch import Batch
from penstock.budget import MemoryBudget, parse_memory
from penstock.dataset import Dataset
from penstock.distributed import decode_threads
from penstock.sampling import Balance, Weights, checked_balance, checked_weights
from penstock.splits import checked_seed

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["INSTEAD", "Options", "checked_options", "integer"]

# What other loaders call it.
INSTEAD = {
    "matrix": "penstock.open(path, matrix=...)",
    "layer": 'penstock.open(path, matrix="layers/{value}")',
    "layers": 'penstock.open(path, matrix="layers/NAME")',
    "use_raw": 'penstock.open(path, matrix="raw/X")',
    "genes": "ds.select_vars([...]), a Dataset with these genes",
    "num_workers": "threads=: the engine has its own",
    "collate_fn": "transform=",
    "sampler": "balance=, weights= or a selection of rows",
    "generator": "seed=",
    "random_state": "seed=",
    "label": "obs=",
    "labels": "obs=",
    "columns": "obs=",
    "obs_keys": "obs=",
    "device": "batch.to(device) in the loop",
    "pin_memory": "batch.pin_memory() in the loop",
}


@dataclasses.dataclass(frozen=True)
class EngineOptions:
    """Options of `_core.LoaderOptions`, by the same names, that do not depend on the process."""

    batch_size: int
    memory: int
    shuffle: bool
    seed: int
    format: str
    dtype: str
    obs: list[str]
    obsm: list[str]
    categories: dict[str, list[str]]
    totals: bool
    normalize_total: float | None
    log1p: bool
    epoch_size: int
    balance: str
    drop_last: bool
    io_threads: int
    window_rows: int
    block_rows: int
    slot_timeout: float


@dataclasses.dataclass(frozen=True)
class Options:
    """Everything a loader was asked for. It goes with the loader into other processes."""

    engine: EngineOptions
    to: str
    share: tuple[int, int] | None  # (rank, world size) that were given
    threads: int
    budget: MemoryBudget | None
    balance: Balance
    weights: Weights
    transform: Transform | None

    def kit(self) -> ModuleType:
        """The functions for the kind of arrays that batches are made of."""
        if self.to == "torch":
            from penstock import torch

            return torch
        from penstock import arrays

        return arrays

    def create(self, dataset: Dataset, share: tuple[int, int], resume: str) -> _core.Loader:
        """An engine for a share of the rows."""
        options = _core.LoaderOptions()
        for name, value in dataclasses.asdict(self.engine).items():
            setattr(options, name, value)
        options.shared_budget = None if self.budget is None else self.budget._native()
        options.rank, options.world_size = share
        options.threads = self.threads or decode_threads()
        options.resume = resume
        options.balance_labels = self.balance.labels
        options.weights = self.weights.array
        options.weights_column = self.weights.column
        options.category_weights = dict(self.weights.by_category or {})
        return _core.Loader.create(dataset._native(), options)


def checked_options(
    dataset: Dataset,
    *,
    batch_size: int,
    memory: int | str | MemoryBudget,
    shuffle: bool,
    seed: int,
    format: str,
    dtype: Any,
    to: str,
    obs: str | Sequence[str] | Mapping[str, Sequence[str] | None],
    obsm: str | Sequence[str],
    totals: bool,
    normalize_total: float | None,
    log1p: bool,
    transform: Callable[[Batch], Any] | None,
    epoch_size: int | None,
    balance: str | npt.ArrayLike | None,
    weights: npt.ArrayLike | str | Mapping[str, Mapping[Any, float]] | None,
    drop_last: bool,
    rank: int | None,
    world_size: int | None,
    threads: int | None,
    io_threads: int | None,
    window_rows: int | None,
    block_rows: int | None,
    slot_timeout: float,
) -> Options:
    """The arguments of `penstock.Loader`, or an error that says what is wrong with one."""
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"Loader takes a penstock.Dataset, not {type(dataset).__name__}: Loader(penstock.open(path))"
        )
    if to not in ("torch", "numpy"):
        raise ValueError(f'to={to!r} is not known: use "torch" or "numpy"')
    share = _share(rank, world_size)
    if not float(slot_timeout) >= 0:
        raise ValueError(f"slot_timeout={slot_timeout!r} must be seconds, at least 0")
    if transform is not None and not callable(transform):
        raise TypeError(f"transform must be a function of a batch, not {transform!r}")
    names, categories = _labels(obs, dataset)
    weighed = checked_weights(weights, dataset)
    balanced = checked_balance(balance, dataset)
    budget = memory if isinstance(memory, MemoryBudget) else None
    options = Options(
        to=to,
        share=share,
        threads=_choice(threads, "threads"),
        budget=budget,
        balance=balanced,
        weights=weighed,
        transform=None if transform is None else Transform(transform),
        engine=EngineOptions(
            batch_size=integer(batch_size, "batch_size", 1),
            memory=0 if isinstance(memory, MemoryBudget) else parse_memory(memory, "memory"),
            shuffle=bool(shuffle),
            seed=checked_seed(seed),
            format=format,
            dtype=_dtype_name(dtype),
            obs=names,
            obsm=_vectors(obsm),
            categories=categories,
            totals=bool(totals),
            normalize_total=_target(normalize_total),
            log1p=bool(log1p),
            epoch_size=_choice(epoch_size, "epoch_size"),
            balance=balanced.column,
            drop_last=bool(drop_last),
            io_threads=_choice(io_threads, "io_threads"),
            window_rows=_choice(window_rows, "window_rows"),
            block_rows=_choice(block_rows, "block_rows"),
            slot_timeout=float(slot_timeout),
        ),
    )
    options.kit().check_options(options.engine.format, options.engine.dtype)
    return options


def integer(value: SupportsIndex, name: str, least: int) -> int:
    """A number of at least `least`, or an error that names the argument."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is not an integer") from None
    if isinstance(value, bool) or not least <= number < 1 << 63:
        raise ValueError(f"{name}={value!r} must be an integer of at least {least}")
    return number


def _share(rank: int | None, world_size: int | None) -> tuple[int, int] | None:
    if rank is None and world_size is None:
        return None
    if rank is None or world_size is None:
        raise ValueError("give both rank and world_size, or none of them")
    share = integer(rank, "rank", 0), integer(world_size, "world_size", 1)
    if share[0] >= share[1]:
        raise ValueError(f"rank={rank} must be less than world_size={world_size}")
    return share


def _target(value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, (bool, str)):
        raise TypeError(f"normalize_total={value!r} is not a number: the sum that rows get, 1e4 for instance")
    return float(value)


def _choice(value: SupportsIndex | None, name: str) -> int:
    """A number of at least 1, or the engine's choice, which it calls 0."""
    return 0 if value is None else integer(value, name, 1)


def _dtype_name(dtype: Any) -> str:
    """The name of a dtype given as text, numpy or torch dtype, or Python type."""
    text = dtype if isinstance(dtype, str) else str(dtype)
    if dtype is None or text.startswith("torch."):
        return text.removeprefix("torch.")
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        return text


def _vectors(obsm: str | Sequence[str]) -> list[str]:
    """Entries of obsm that travel with the rows."""
    if not isinstance(obsm, (str, list, tuple)):
        raise TypeError(f"obsm= is a name of ds.obsm_entries or a list of them, not {type(obsm).__name__}")
    names = [obsm] if isinstance(obsm, str) else list(obsm)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"obsm names entries of obsm, which are text, not {name!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"obsm={names!r} names an entry twice")
    return names


def _labels(
    obs: str | Sequence[str] | Mapping[str, Sequence[str] | None], dataset: Dataset
) -> tuple[list[str], dict[str, list[str]]]:
    """Columns that travel with the rows, and the categories given for some of them."""
    names = [obs] if isinstance(obs, str) else list(obs)
    for name in names:
        dataset._check_obs(name)
    if len(set(names)) < len(names):
        raise ValueError(f"obs={names!r} names a column twice")
    categories: dict[str, list[str]] = {}
    if isinstance(obs, Mapping):
        for name, values in obs.items():
            if values is None:
                continue
            if isinstance(values, (str, bytes)):
                raise TypeError(f"the categories of {name!r} must be a list of strings, not one string")
            categories[name] = [str(value) for value in values]
            if len(set(categories[name])) < len(categories[name]):
                raise ValueError(f"the categories given for {name!r} contain duplicates")
    return names, categories
