"""Shuffled batches of a Dataset inside a byte budget."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import operator
import os
import re
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, overload

import numpy as np

from penstock import _core
from penstock.ahead import AheadEpoch
from penstock.batch import Batch, make_batch
from penstock.budget import MemoryBudget, parse_memory
from penstock.dataset import Dataset
from penstock.distributed import compare_ranks, decode_threads, distributed, resolve_rank
from penstock.errors import not_found
from penstock.plan import Mixing, Plan
from penstock.sampling import checked_balance, checked_weights

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Self

__all__ = ["Loader"]


def _integer(value: SupportsIndex, name: str, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is not an integer") from None
    if isinstance(value, bool) or not least <= number < 1 << 63:
        raise ValueError(f"{name}={value!r} must be an integer of at least {least}")
    return number


def _target(value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, (bool, str)):
        raise TypeError(f"normalize_total={value!r} is not a number: the sum that rows get, 1e4 for instance")
    return float(value)


def _choice(value: SupportsIndex | None, name: str) -> int:
    """A number of at least 1, or the engine's choice, which it calls 0."""
    return 0 if value is None else _integer(value, name, 1)


def _dtype_name(dtype: Any) -> str:
    """The name of a dtype given as text, numpy or torch dtype, or Python type."""
    text = dtype if isinstance(dtype, str) else str(dtype)
    if dtype is None or text.startswith("torch."):
        return text.removeprefix("torch.")
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        return text


def _labels(
    obs: str | Sequence[str] | Mapping[str, Sequence[str] | None], dataset: Dataset
) -> tuple[list[str], dict[str, list[str]]]:
    """Columns that travel with the rows, and the categories given for some of them."""
    names = [obs] if isinstance(obs, str) else list(obs)
    known = list(dataset.obs.columns)
    for name in names:
        if name not in known:
            raise not_found("obs has no column", name, known)
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


def _versions() -> list[tuple[str, str]]:
    """Of Python and of what is loaded beside penstock."""
    found = [("Python", sys.version.split()[0]), ("numpy", np.__version__)]
    if sys.modules.get("torch") is not None:
        found.append(("torch", str(sys.modules["torch"].__version__)))
    return found


@dataclasses.dataclass(frozen=True)
class _Options:
    """What the engine is asked for, but for rank and threads."""

    batch_size: int
    memory: int
    shuffle: bool
    seed: int
    format: str
    dtype: str
    obs: list[str]
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
    test_window_bytes: int


class _PlainCounter:
    """The number of the next epoch (see torch.EpochCounter)."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def get(self) -> int:
        return self._epoch

    def set(self, epoch: int) -> None:
        self._epoch = epoch


class _Epoch(Iterator[Batch]):
    """One pass over the batches. Ends when the loader begins another."""

    __slots__ = ("__weakref__", "_categories", "_dlpack", "_engine", "_n_cols", "_names", "_wrap")

    def __init__(self, engine: _core.Loader, kit: ModuleType, loader: Loader) -> None:
        self._engine: _core.Loader | None = engine
        self._wrap = kit.wrap
        self._dlpack = kit.DLPACK
        self._n_cols = loader._n_cols
        self._names = loader._options.obs
        self._categories = loader.categories

    def __iter__(self) -> _Epoch:
        return self

    def __next__(self) -> Batch:
        if self._engine is None:
            raise StopIteration
        parts = self._engine.next(self._dlpack)
        if parts is None:
            self._engine = None
            raise StopIteration
        x, obs, index, total = self._wrap(parts, self._n_cols, self._names)
        return make_batch(x, obs, index, total, self._categories)

    def end(self) -> None:
        self._engine = None

    def running(self) -> bool:
        return self._engine is not None


if TYPE_CHECKING:
    from torch.utils.data import IterableDataset

    _Base = IterableDataset[Batch]
else:
    # A real IterableDataset all the same: __new__ makes one where torch is there.
    _Base = object


@dataclasses.dataclass
class _Process:
    """What belongs to one process: made anew after fork and unpickling."""

    pid: int
    engine: _core.Loader | None = None
    # (rank, world size) that the engine was made for.
    share: tuple[int, int] | None = None
    plan: Plan | None = None
    categories: dict[str, list[str]] | None = None
    # The iterator handed out last.
    iterator: weakref.ref[_Epoch] | None = None
    # With a transform, that iterator: its thread uses the engine until it has been settled.
    ahead: AheadEpoch | None = None
    # The epoch that peek() has begun and no iterator has taken yet.
    peeked: int | None = None
    # An iterator has been handed out, and nothing since then says where the next one begins.
    iterated: bool = False
    # Fingerprints of all ranks were compared for this engine.
    compared: bool = False
    # The number of the next epoch as this process knows it: a DataLoader's worker moves it on.
    next_epoch: int | None = None
    # A forked child keeps what its parent had, so that no destructor runs on it.
    parent: _Process | None = None


class Loader(_Base):
    """Shuffled (or ordered) batches of a `Dataset` inside a byte budget.

    A `torch.utils.data.IterableDataset` where torch is there. Each ``iter()`` begins the next epoch, also
    after ``break``, and ends the iterator before it. The engine has its own threads: use the loader as it
    is, or in a ``DataLoader(loader, batch_size=None, num_workers=0)``. In a DataLoader with workers, worker
    0 yields everything and the others nothing.

    `state_dict` and `load_state_dict` checkpoint it inside an epoch, also for another number of ranks.

    The order of batches depends on the files, the selection, ``seed``, the epoch, ``world_size``,
    ``batch_size``, ``epoch_size``, ``balance``, ``weights``, ``block_rows`` and ``window_rows``, and on nothing
    else.

    Parameters
    ----------
    dataset
        What to stream: a `Dataset` or a selection of one.
    batch_size
        Rows per batch.
    memory
        Everything this loader may hold, in bytes: an int, text such as ``"2GB"``, or a `MemoryBudget` that
        several loaders share. Half of it is the window in which rows are shuffled.
    shuffle
        False: file order, so that outputs line up with ``dataset.obs_names``.
    seed
        Of the shuffle; the epoch's number is mixed in.
    format
        ``"csr"`` or ``"dense"``.
    dtype
        Of X: float32, float64, float16, bfloat16, int32, int64, int16 or uint8, as text, numpy or torch
        dtype. Conversion follows numpy's `astype`; `stats` counts the values it rounded.
    to
        ``"torch"`` for tensors, ``"numpy"`` for numpy arrays and `scipy.sparse.csr_matrix`.
    obs
        Columns that travel with the rows: names, or a mapping {column: categories}. With a mapping, codes
        follow the categories given and values outside become -1: ``Loader(val,
        obs=train_loader.categories)``.
    totals
        Adds ``batch.total``: the sum of each row over all genes of its file, float64 of shape (rows,), taken
        before genes are left out.
    normalize_total
        Divide each row by its total over all genes and multiply by this number: what ``scanpy.pp.normalize_total``
        does to the whole matrix, whatever genes are selected. Floating ``dtype`` only.
    log1p
        The natural logarithm of 1 + value, after ``normalize_total``, as ``scanpy.pp.log1p``. Floating ``dtype``
        only.
    transform
        A function of a `Batch`; iterating gives what it returns. It runs on one thread, one batch ahead of the
        loop; an exception of it surfaces at the ``next()`` that would have returned its result, and iterating
        can go on after it. What it allocates is outside ``memory``.
    epoch_size
        Rows of an epoch, over all ranks. None: every selected row once. Fewer are spread evenly over the data;
        with fewer than half of them, several epochs of large data share them, each reading another part.
    balance
        An obs column (categories, strings, integers or booleans) whose values come equally often, in an epoch
        of ``epoch_size`` rows (None: as many as are selected). Rows without a value are an error.
    weights
        How often rows come, relative to each other: numbers, one for each selected row in the order of ``obs``;
        the name of a numeric obs column; or ``{column: {value: weight}}``, where values that are not named, and
        missing ones, weigh 1. Finite and at least 0. A row comes ``epoch_size * weight / sum of weights`` times,
        rounded up or down; with ``balance``, weights count among the rows of the same value.
    drop_last
        Leave out the last batch when it is short.
    rank, world_size
        This process's share; give both or none. None: torch.distributed when it is initialised, else the
        environment's RANK and WORLD_SIZE (torchrun), else (0, 1), looked up when an epoch begins or at
        ``len()``. Ranks of torch.distributed compare what they are about to do before the first batch; give
        rank and world size where only some of its ranks use this loader.
    threads
        Decode threads. None: the cores this process may use, divided by LOCAL_WORLD_SIZE. Shrinks to fit
        the budget.
    io_threads
        Readers. None: the engine's default.
    window_rows, block_rows
        Rows shuffled together and rows read together. None: from the data and ``memory``.
    slot_timeout
        Seconds that ``next()`` waits when you hold every batch the budget has room for.

    Raises
    ------
    MemoryBudgetError
        The plan does not fit; the message has the numbers and the ways out. While iterating: all batches
        are held.
    KeyError
        ``obs`` names a column that is not there.
    ValueError, TypeError
        An option makes no sense.
    ImportError
        ``to="torch"`` without torch.
    CorruptFileError, OSError
        While iterating: a read failed. The loader is then finished.

    Examples
    --------
    >>> loader = penstock.Loader(train, batch_size=4096, memory="2GB", obs=["cell_line"])
    >>> print(loader.plan)
    >>> for epoch in range(10):
    ...     for batch in loader:
    ...         loss = F.cross_entropy(model(batch.dense()), batch.obs["cell_line"])
    """

    _plain_class: type[Loader]
    # Tests only: bytes of window pages to really have.
    _test_window_bytes = 0

    def __new__(cls, *args: Any, to: str = "torch", **kwargs: Any) -> Self:
        if to == "torch" or (to == "numpy" and sys.modules.get("torch") is not None):
            try:
                from penstock.torch import iterable_class
            except ImportError as error:
                if to == "numpy":
                    return object.__new__(cls)
                raise ImportError(
                    'batches of torch tensors need torch: pip install "penstock[torch]", '
                    'or Loader(..., to="numpy") for numpy and scipy'
                ) from error
            return object.__new__(iterable_class(cls))
        return object.__new__(cls)

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int = 1024,
        memory: int | str | MemoryBudget = "1GB",
        shuffle: bool = True,
        seed: int = 0,
        format: str = "csr",
        dtype: Any = "float32",
        to: str = "torch",
        obs: str | Sequence[str] | Mapping[str, Sequence[str] | None] = (),
        totals: bool = False,
        normalize_total: float | None = None,
        log1p: bool = False,
        transform: Callable[[Batch], Any] | None = None,
        epoch_size: int | None = None,
        balance: str | None = None,
        weights: npt.ArrayLike | str | Mapping[str, Mapping[Any, float]] | None = None,
        drop_last: bool = False,
        rank: int | None = None,
        world_size: int | None = None,
        threads: int | None = None,
        io_threads: int | None = None,
        window_rows: int | None = None,
        block_rows: int | None = None,
        slot_timeout: float = 10.0,
    ) -> None:
        if not isinstance(dataset, Dataset):
            raise TypeError(
                f"Loader takes a penstock.Dataset, not {type(dataset).__name__}: Loader(penstock.open(path))"
            )
        if to not in ("torch", "numpy"):
            raise ValueError(f'to={to!r} is not known: use "torch" or "numpy"')
        if (rank is None) != (world_size is None):
            raise ValueError("give both rank and world_size, or none of them")
        self._share: tuple[int, int] | None = None
        if rank is not None and world_size is not None:
            self._share = _integer(rank, "rank", 0), _integer(world_size, "world_size", 1)
            if self._share[0] >= self._share[1]:
                raise ValueError(f"rank={rank} must be less than world_size={world_size}")
        if not float(slot_timeout) >= 0:
            raise ValueError(f"slot_timeout={slot_timeout!r} must be seconds, at least 0")
        if transform is not None and not callable(transform):
            raise TypeError(f"transform must be a function of a batch, not {transform!r}")
        names, categories = _labels(obs, dataset)
        self._transform = transform
        self._dataset = dataset
        self._weights = checked_weights(weights, dataset)
        self._budget = memory if isinstance(memory, MemoryBudget) else None
        self._to = to
        self._threads = _choice(threads, "threads")
        self._options = _Options(
            batch_size=_integer(batch_size, "batch_size", 1),
            memory=0 if isinstance(memory, MemoryBudget) else parse_memory(memory, "memory"),
            shuffle=bool(shuffle),
            seed=_integer(seed, "seed", 0),
            format=format,
            dtype=_dtype_name(dtype),
            obs=names,
            categories=categories,
            totals=bool(totals),
            normalize_total=_target(normalize_total),
            log1p=bool(log1p),
            epoch_size=_choice(epoch_size, "epoch_size"),
            balance=checked_balance(balance, dataset),
            drop_last=bool(drop_last),
            io_threads=_choice(io_threads, "io_threads"),
            window_rows=_choice(window_rows, "window_rows"),
            block_rows=_choice(block_rows, "block_rows"),
            slot_timeout=float(slot_timeout),
            test_window_bytes=self._test_window_bytes,
        )
        self._kit().check_options(self._options.format, self._options.dtype)
        self._n_cols = dataset.n_vars
        self._hint: tuple[int, int] | None = None
        self._closed = False
        # The state that was loaded, as JSON: its windows and blocks hold for good, its position for one epoch.
        self._resume = ""
        # The epoch whose position it holds, until an iterator has begun there.
        self._resume_epoch: int | None = None
        self._epoch = self._new_counter(0)
        self._process = _Process(os.getpid(), next_epoch=0)
        # Errors come here and not at the first batch.
        self._build(self._share or (0, 1))

    # --- the engine behind it ---

    def _kit(self) -> ModuleType:
        if self._to == "torch":
            from penstock import torch

            return torch
        from penstock import arrays

        return arrays

    def _new_counter(self, epoch: int) -> Any:
        if self._to == "torch":
            from penstock.torch import EpochCounter

            return EpochCounter(epoch)
        return _PlainCounter(epoch)

    def _build(self, share: tuple[int, int]) -> _core.Loader:
        now = self._process
        if now.engine is not None:
            now.engine.close()
            now.engine = None
        engine = _core.Loader.create(
            self._dataset._native(),
            shared_budget=None if self._budget is None else self._budget._native(),
            rank=share[0],
            world_size=share[1],
            threads=self._threads or decode_threads(),
            resume=self._resume,
            weights=self._weights.array,
            weights_column=self._weights.column,
            category_weights=dict(self._weights.by_category or {}),
            **dataclasses.asdict(self._options),
        )
        now.engine, now.share = engine, share
        now.plan = now.categories = now.peeked = None
        now.iterated = now.compared = False
        return engine

    def _current(self, resolve: bool = True) -> _core.Loader:
        """The engine of this process; with `resolve`, for what is this process's share of the rows now."""
        if self._process.pid != os.getpid():
            self._process = _Process(os.getpid(), parent=self._process)
        now = self._process
        if self._closed:
            raise RuntimeError("loader closed")
        if now.engine is not None and not resolve:
            return now.engine
        share = self._find_share() if resolve else (self._share or self._hint or (0, 1))
        if now.engine is None or share != now.share:
            return self._build(share)
        return now.engine

    def _for_reading(self) -> _core.Loader:
        """The engine to ask about plan and statistics: a closed one answers, too."""
        if self._closed and self._process.engine is not None and self._process.pid == os.getpid():
            return self._process.engine
        return self._current(resolve=False)

    def _find_share(self) -> tuple[int, int]:
        if self._share is not None:
            return self._share
        found = resolve_rank()
        # A spawned DataLoader worker has no torch.distributed: what held where it was pickled, holds.
        if found == (0, 1) and self._hint is not None and self._worker() is not None:
            return self._hint
        return found

    def _worker(self) -> tuple[int, int] | None:
        if sys.modules.get("torch") is None:
            return None
        from penstock.torch import worker_number

        return worker_number()

    def _iterating(self) -> _Epoch | AheadEpoch | None:
        """The iterator in use, if there is one; the engine is free to be used."""
        if self._process.iterator is None or self._process.pid != os.getpid():
            return None
        ahead = self._process.ahead
        if ahead is not None and ahead.running():
            ahead.settle()
            return ahead
        epoch = self._process.iterator()
        return epoch if epoch is not None and epoch.running() else None

    def _start(self, engine: _core.Loader) -> int:
        number = int(self._epoch.get())
        if self._process.peeked != number:
            # Without a number the engine goes on with what it has read ahead.
            engine.start_epoch(None if engine.next_epoch == number else number)
        return number

    def _set_next_epoch(self, number: int) -> None:
        self._epoch.set(number)
        self._process.next_epoch = number

    def _compare_ranks(self) -> None:
        """Once per engine, where torch.distributed says which rank this is."""
        now = self._process
        if now.compared or self._share is not None or distributed() is None or self._worker() is not None:
            return
        state = self.state_dict()
        files = state.pop("files")
        rows = [(file.pop("selected"), file.pop("selection")) for file in files]
        # What other things follow from comes first: the message has room for three.
        first = ("matrix", "n_obs", "n_vars", "seed", "batch_size")
        fingerprint = {name: state.pop(name) for name in first}
        for name, value in {"files": files, "which rows are selected": rows}.items():
            fingerprint[name] = hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
        fingerprint["weights of rows"] = state.pop("masses")
        compare_ranks({**fingerprint, **state})
        now.compared = True

    # --- iteration ---

    def __iter__(self) -> Iterator[Batch]:
        """Begin the next epoch; ends the iterator before it."""
        worker = self._worker()
        if worker is not None:
            if worker[0] != 0:
                return iter(())
            warnings.warn(
                f"a penstock.Loader in a DataLoader with num_workers={worker[1]}: worker 0 yields every batch and "
                "the others none, because the engine has its own threads. num_workers=0 is faster: batches are "
                "then handed over without a copy between processes",
                stacklevel=2,
            )
        running = self._iterating()
        if running is not None:
            running.end()
        engine = self._current()
        self._compare_ranks()
        number = self._start(engine)
        self._process.peeked = None
        if self._resume_epoch is not None:
            # Its position was for this once, its windows and blocks are for good.
            self._resume = json.dumps({**json.loads(self._resume), "lineage": []})
            self._resume_epoch = None
        self._process.iterated = True
        self._set_next_epoch(number + 1)
        epoch = _Epoch(engine, self._kit(), self)
        self._process.iterator = weakref.ref(epoch)
        if self._transform is None:
            return epoch
        self._process.ahead = AheadEpoch(epoch, self._transform)
        return self._process.ahead

    def __len__(self) -> int:
        """Batches of one epoch of this rank; of an epoch that is resumed, with those done before."""
        # Progress bars ask in the middle of an epoch, which must not end it.
        running = self._iterating() is not None
        engine = self._current(resolve=not running)
        resumed = running or self._resume_epoch == int(self._epoch.get())
        return int(engine.epoch_batches if resumed else engine.n_batches)

    def set_epoch(self, epoch: int) -> None:
        """Fix the number of the epoch that the next ``iter()`` begins, as in torch's samplers.

        Parameters
        ----------
        epoch
            At least 0.

        Examples
        --------
        >>> loader.set_epoch(3)
        """
        number = _integer(epoch, "epoch", 0)
        if self._iterating() is None:
            self._process.iterated = False
        self._set_next_epoch(number)

    def peek(self) -> Batch:
        """A copy of the first batch, without counting it: the next ``iter()`` begins with it. With ``transform``,
        what that makes of it.

        While an epoch is being iterated, a copy of the batch that comes next in it.

        Returns
        -------
        Batch
            In memory of its own.

        Raises
        ------
        ValueError
            The loader has no batches.

        Examples
        --------
        >>> model = Model(n_genes=loader.peek().X.shape[1])
        """
        running = self._iterating()
        if isinstance(running, AheadEpoch):
            made: Batch | None = running.peek()
            if made is not None:
                return made
        kit = self._kit()
        engine = self._current(resolve=running is None)
        parts = engine.peek(kit.DLPACK) if running is not None else None
        if parts is None:
            if running is not None:
                running.end()
            self._process.peeked = self._start(engine)
            parts = engine.peek(kit.DLPACK)
        if parts is None:
            raise ValueError("this loader has no batches")
        x, obs, index, total = kit.wrap(parts, self._n_cols, self._options.obs)
        batch = make_batch(x, obs, index, total, self.categories).clone()
        if self._transform is not None:
            batch = self._transform(batch)
        return batch

    # --- checkpoints ---

    @property
    def epoch(self) -> int:
        """The epoch that the next batch belongs to: 0 at first.

        Examples
        --------
        >>> for epoch in range(loader.epoch, 10):  # goes on after load_state_dict()
        ...     for batch in loader:
        ...         ...
        """
        return int(self.state_dict()["epoch"])

    def state_dict(self, *, batches_done: int | None = None) -> dict[str, Any]:
        """Where this loader stands: what `load_state_dict` needs to go on with the batch that comes next.

        The same on every rank, so that the checkpoint of one serves all. When all batches of an epoch were
        returned it says the beginning of the next epoch, also before the ``for`` loop has ended.

        Parameters
        ----------
        batches_done
            For wrappers that take batches ahead of who uses them: how many of those that ``next()`` returned
            since ``iter()`` are done. None: all.

        Returns
        -------
        dict
            Numbers, strings and lists: ``json.dump`` and ``torch.save`` take it. ``epoch``; ``lineage``, a list of
            [world_size, batches_done]; what the order follows from: ``seed``, ``shuffle``, ``batch_size``,
            ``drop_last``, ``window_rows``, ``block_rows``; what the rows are: ``matrix``, ``n_obs``, ``n_vars``,
            ``genes``, ``files``, each with digests of its metadata and of the rows selected. About 250 bytes a file.

        Raises
        ------
        ValueError
            Fewer than ``batches_done`` batches were returned.
        RuntimeError
            A DataLoader's worker iterates this loader, so that this process does not know where it is: use
            torchdata's StatefulDataLoader, or num_workers=0.

        Examples
        --------
        >>> torch.save({"model": model.state_dict(), "loader": loader.state_dict()}, "checkpoint.pt")
        """
        done = None if batches_done is None else _integer(batches_done, "batches_done", 0)
        worker = self._worker()
        if worker is not None and worker[0] != 0:
            return {}  # it has no batches
        running = self._iterating()
        if done is None and isinstance(running, AheadEpoch):
            done = running.delivered
        engine, now = self._for_reading(), self._process
        number = int(self._epoch.get())
        if worker is None and now.next_epoch is not None and now.next_epoch != number:
            raise RuntimeError(
                "this loader is iterated by a DataLoader's worker, so its position is not known here: use "
                "torchdata.stateful_dataloader.StatefulDataLoader, or num_workers=0"
            )
        state: dict[str, Any] = json.loads(engine.state_json(done))
        if not now.iterated and state["epoch"] != number:
            state.update(epoch=number, lineage=[])
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called: the next ``iter()`` begins inside that epoch.

        Its batches are those that would have come, bit for bit, from the same number of ranks. Another number
        of ranks shares out the rows that are left; each row still comes once in the epoch, which then has other
        batches. ``window_rows`` and ``block_rows`` are the checkpoint's from now on; ``memory``, ``threads``,
        ``format``, ``dtype``, ``obs`` and what is made of values need not be. Files may have moved to other folders. At
        most one window
        is read again.

        May be called before the first ``iter()``, between epochs or inside one: a running iterator ends.

        Parameters
        ----------
        state_dict
            Of `state_dict`, of this version or an earlier one.

        Raises
        ------
        ValueError
            It is no such dict, or of other files, rows or options: the message names the differences. The
            loader is then at the beginning of the epoch it was in.
        MemoryBudgetError
            ``memory`` cannot hold windows of the checkpoint's size.

        Examples
        --------
        >>> loader = penstock.Loader(penstock.open("plates/*.h5ad"), batch_size=4096, memory="2GB")
        >>> loader.load_state_dict(torch.load("checkpoint.pt")["loader"])
        """
        if self._closed:
            raise RuntimeError("loader closed")
        worker = self._worker()
        if worker is not None and worker[0] != 0:
            return
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"load_state_dict takes a dict of state_dict(), not {type(state_dict).__name__}")
        try:
            text = json.dumps(dict(state_dict), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"not a state of a penstock loader: {error}") from None
        running = self._iterating()
        if running is not None:
            running.end()
        if self._process.pid != os.getpid():
            self._process = _Process(os.getpid(), parent=self._process)
        share = self._find_share()
        before, self._resume = self._resume, text
        try:
            engine = self._build(share)
        except BaseException:
            self._resume = before
            self._build(share)
            raise
        self._resume_epoch = engine.next_epoch
        self._set_next_epoch(engine.next_epoch)

    # --- what it is doing ---

    @property
    def dataset(self) -> Dataset:
        """The Dataset that is streamed."""
        return self._dataset

    @property
    def plan(self) -> Plan:
        """What will be read, how well it is shuffled, and where the memory goes.

        Examples
        --------
        >>> print(loader.plan)
        """
        engine, now = self._for_reading(), self._process
        if now.plan is None:
            now.plan = Plan(engine.plan())
        return now.plan

    def mixing(self, label: str, *, epoch: int | None = None) -> Mixing:
        """Predict how an obs column is mixed over the batches of an epoch, before anything of X is read.

        The order of rows is a pure function of the plan, so batches are known; up to 1,024 of them are looked at,
        spread over the epoch of this rank, the ramp of epoch 0 included. The column's codes are read once; at most
        64 MB are held meanwhile, outside of ``memory``.

        Parameters
        ----------
        label
            The obs column, of categories, strings or booleans; it need not be one of ``obs``.
        epoch
            At least 0. None: the one that the next ``iter()`` begins.

        Returns
        -------
        Mixing
            Entropies in bits and ``q_eff`` in cells.

        Raises
        ------
        KeyError
            There is no such column.
        ValueError
            The column holds numbers.
        MemoryBudgetError
            The column has too many values for 64 MB.
        OSError
            It cannot be read.

        Examples
        --------
        >>> loader.mixing("drug").entropy
        5.44
        """
        self._check_column(label)
        number = int(self._epoch.get()) if epoch is None else _integer(epoch, "epoch", 0)
        return Mixing(self._current(resolve=False).mixing(label, number))

    @property
    def categories(self) -> dict[str, list[str]]:
        """Categories of the obs columns that have codes, in code order.

        Returns
        -------
        dict
            {column: list of str}; columns of numbers are absent.

        Examples
        --------
        >>> loader.categories["cell_line"][:2]
        ['A498', 'A549']
        >>> val_loader = penstock.Loader(val, obs=loader.categories)
        """
        engine, now = self._for_reading(), self._process
        if now.categories is None:
            found = {name: engine.categories(name) for name in self._options.obs}
            given = self._options.categories
            now.categories = {name: values for name, values in found.items() if values or name in given}
        return now.categories

    @overload
    def stats(self, format: Literal["dict"] = "dict") -> dict[str, Any]: ...
    @overload
    def stats(
        self, format: Literal["json", "prometheus"], *, labels: Mapping[str, str] | None = None
    ) -> str: ...

    def stats(self, format: str = "dict", *, labels: Mapping[str, str] | None = None) -> dict[str, Any] | str:
        """Counters since the loader was made. Cheap: call it as often as you like, from any thread.

        Parameters
        ----------
        format
            ``"dict"``; ``"json"``, the same as one line of text for a log of JSON lines; or
            ``"prometheus"``, its text format, for a scrape or node-exporter's textfile collector: names begin
            with ``penstock_``, counters end in ``_total``.
        labels
            With ``"prometheus"``: labels for every sample, beside ``rank``, to tell several loaders apart.

        Returns
        -------
        dict or str
            ``epoch``; ``batches``, ``rows``, ``entries`` (non-zeros) delivered; ``rows_decoded``,
            ``blocks_decoded``, ``bytes_decoded``; ``rows_deferred``, ``heads_too_short`` (blocks whose last
            chunks were read twice), ``values_rounded``, ``rows_sorted``, ``labels_missing``.

            ``bytes_read`` and ``reads`` of all epochs begun (the next one's first windows are read before
            you ask for it), ``epoch_bytes_read`` and ``epoch_reads`` of this one; ``bytes_opening`` and
            ``bytes_planning`` before the first; ``bytes_reread`` and ``rereads`` for deferred rows and heads
            too short; ``bytes_read_all`` from the Dataset's files by anyone.

            Times in seconds. Summed over all threads: ``read_seconds``; over the decode threads:
            ``worker_read_seconds`` (their part of reading), ``decode_seconds`` and of it ``decompress_seconds``
            (codecs) and ``scatter_seconds`` (putting rows into the window; what is left turns bytes into rows),
            ``assemble_seconds``, ``worker_idle_seconds`` and of it
            ``idle_for_reads_seconds``, ``idle_for_pages_seconds`` (no room in the window),
            ``idle_for_consumer_seconds`` (every batch ahead of you is built). Of your loop:
            ``consumer_wait_seconds``, ``consumer_busy_seconds``; since the first epoch began:
            ``elapsed_seconds``, ``first_batch_seconds``, ``last_batch_seconds``.

            ``slots_held``, the batches you hold; ``window_bytes_used`` and ``slot_bytes_used`` of what is reserved;
            ``memory``, see `MemoryBudget.usage`; ``who_waited`` and ``where_time_went``, in words.

        Raises
        ------
        ValueError
            Another format, labels with another format than Prometheus', or a label name that Prometheus
            does not allow.

        Examples
        --------
        >>> print(loader.stats()["who_waited"])
        the training loop waited for data 3 % of the time (0.21 of 7.02 s); ...
        >>> log.write(loader.stats("json") + "\\n")
        >>> print(loader.stats("prometheus", labels={"loader": "train"}).splitlines()[2])
        penstock_epoch{loader="train",rank="0"} 0
        """
        engine = self._for_reading()
        if labels and format != "prometheus":
            raise ValueError('labels= goes with format="prometheus"')
        if format == "dict":
            return engine.stats()
        if format == "json":
            return engine.stats_json()
        if format != "prometheus":
            raise ValueError(f'format={format!r} is not known: use "dict", "json" or "prometheus"')
        chosen = {"rank": str(self.plan.rank), **{str(k): str(v) for k, v in (labels or {}).items()}}
        for name in chosen:
            if not re.fullmatch(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", name) or name in ("tag", "stage", "reason"):
                raise ValueError(
                    f"{name!r} cannot be the name of a label: letters, digits and _, not tag, stage or reason"
                )
        return engine.stats_prometheus(chosen)

    def _check_column(self, label: str) -> None:
        known = list(self._dataset.obs.columns)
        if label not in known:
            raise not_found("obs has no column", label, known)

    def report(self, path: str | os.PathLike[str], *, label: str | None = None) -> Path:
        """Write a page about the run so far: where time and memory went, how well batches were mixed.

        One HTML file that loads nothing, for a browser or a mail. Works before, during and after iteration
        and after `close`; what it shows was recorded anyway. All its numbers are in it as JSON, in the element
        with the id ``penstock-data``.

        Parameters
        ----------
        path
            The file to write; one that is there is replaced.
        label
            The obs column, of categories, strings or booleans, whose mixture over batches is shown. It
            need not be one of ``obs``; its codes are read once. None: the first such column of ``obs``, if
            there is one.

        Returns
        -------
        pathlib.Path
            ``path``.

        Raises
        ------
        KeyError
            There is no such column.
        ValueError
            The column holds numbers.
        OSError
            The file cannot be written, or the column not be read.

        Examples
        --------
        >>> for batch in loader:
        ...     ...
        >>> loader.report("report.html", label="drug")
        PosixPath('report.html')
        """
        if label is not None:
            self._check_column(label)
        target = Path(path)
        self._for_reading().report(self._dataset._native(), str(target), label or "", _versions())
        return target

    # --- the end ---

    def close(self) -> None:
        """Stop the threads and free all memory but that of batches still held. May be called again.

        Examples
        --------
        >>> with penstock.Loader(ds) as loader:
        ...     batch = next(iter(loader))
        """
        self._closed = True
        ahead = self._process.ahead
        if self._process.engine is not None and self._process.pid == os.getpid():
            self._process.engine.close()  # what the thread waits for ends, too
            if ahead is not None:
                ahead.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- pickling: configuration only ---

    def __reduce__(self) -> tuple[Any, ...]:
        state = {key: value for key, value in self.__dict__.items() if key != "_process"}
        state["_hint"] = self._find_share()
        return (_restore, (getattr(type(self), "_plain_class", type(self)), self._to), state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._process = _Process(os.getpid())

    def __repr__(self) -> str:
        o = self._options
        labels = f", obs={o.obs}" if o.obs else ""
        state = " (closed)" if self._closed else ""
        return (
            f"<Loader of {self._dataset.n_obs:,} x {self._n_cols:,}: batch_size={o.batch_size}, {o.format} {o.dtype}, "
            f"shuffle={o.shuffle}, seed={o.seed}{labels}>{state}"
        )


def _restore(cls: type[Loader], to: str) -> Loader:
    return cls.__new__(cls, to=to)
