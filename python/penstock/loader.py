"""Shuffled batches of a Dataset inside a byte budget."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from penstock import _core
from penstock.ahead import AheadEpoch
from penstock.batch import Batch
from penstock.budget import MemoryBudget
from penstock.checkpoint import Resume, as_text, fingerprint, state_of
from penstock.dataset import Dataset
from penstock.distributed import compare_ranks, distributed, find_share, worker_number
from penstock.epoch import Epoch, epoch_counter
from penstock.errors import options_hinted
from penstock.in_process import InProcess
from penstock.options import INSTEAD, checked_options, integer
from penstock.plan import Mixing, Plan
from penstock.reporting import stats_in, versions

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Self

__all__ = ["Loader"]

_CLOSED = "loader closed: close() ends its iterators, too; make a new Loader to go on"
_BEGUN_AGAIN = (
    "another iter() of this loader began while this iterator had batches left, and a loader reads one epoch at a time. "
    "For a loop inside a loop, or zip(), make a second Loader of the same Dataset; both can share one MemoryBudget, "
    "memory=budget"
)
_LOADED = "load_state_dict() was called while this iterator had batches left: iter() again goes on where the state says"


def _spawning() -> bool:
    """What is pickled now goes to a process that multiprocessing starts."""
    context: Any = sys.modules.get("multiprocessing.context")
    return context is not None and context.get_spawning_popen() is not None


if TYPE_CHECKING:
    from torch.utils.data import IterableDataset

    _Base = IterableDataset[Batch]
else:
    # A real IterableDataset all the same: __new__ makes one where torch is there.
    _Base = object


class Loader(_Base):
    """Shuffled (or ordered) batches of a `Dataset` inside a byte budget.

    A `torch.utils.data.IterableDataset` where torch is there. Each ``iter()`` begins the next epoch, also
    after ``break``. It is for one loop and one thread at a time: an iterator that had batches left raises
    RuntimeError when another one has begun, and so does what a second thread calls meanwhile. For two loops at
    once make two loaders; they can share a `MemoryBudget`.

    The engine has its own threads: use the loader as it is, or in a ``DataLoader(loader, batch_size=None,
    num_workers=0)``. In a DataLoader with workers, worker 0 yields everything and the others nothing.

    `state_dict` and `load_state_dict` checkpoint it inside an epoch, also for another number of ranks. A copy,
    by pickle or ``copy.deepcopy``, goes on with the batch that comes next. A process that is started with the
    loader, by fork or spawn, begins with the epoch that comes next, and counts its epochs by itself; only a
    DataLoader's workers share the count with the process that they work for.

    The order of batches depends on the files, the selection, ``seed``, the epoch, ``world_size``,
    ``batch_size``, ``epoch_size``, ``balance``, ``weights``, ``block_rows`` and ``window_rows``, and on nothing
    else.

    Parameters
    ----------
    dataset
        What to stream: a `Dataset` or a selection of one.
    batch_size
        Rows per batch; more than there are: all in one. The last two batches share what is left where the last
        would have a single row, so that none has, unless ``batch_size=1``. (With a ``batch_size`` of 2 or 3 they
        may have up to 4 rows to that end.)
    memory
        Everything this loader may hold, in bytes: an int, text such as ``"2GB"``, or a `MemoryBudget` that
        several loaders share, of which it takes one share. Half of it is the window in which rows are shuffled.
    shuffle
        False: file order, so that outputs line up with ``dataset.obs_names``.
    seed
        Of the shuffle, from 0 to 2**64 - 1; the epoch's number is mixed in.
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
        obs=train_loader.categories)``. None: the column's own, or a column of numbers.
    obsm
        Entries of obsm that travel with the rows: a name or names, see `Dataset.obsm_entries`. Dense arrays, and the
        numeric columns of DataFrames (a missing value of a nullable column is NaN); each needs the same width in
        every file, and comes in the narrowest type that holds the values of all. Of AnnData files only.
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
        loop; an exception of it, or a result of None, surfaces at the ``next()`` that would have returned its result,
        and iterating can go on after it. What it allocates is outside ``memory``. It may ask its own loader for
        ``epoch``, ``len()``, ``state_dict()``, ``plan`` and ``stats()``, but not begin or end an epoch.
    epoch_size
        Rows of an epoch, over all ranks. None: every selected row once. Fewer are spread evenly over the data;
        with fewer than half of them, several epochs of large data share them, each reading another part.
    balance
        An obs column (categories, strings, integers or booleans) whose values come equally often, in an epoch
        of ``epoch_size`` rows (None: as many as are selected). Or labels that are no column: an array, a Series or
        a Categorical with one for each selected row, in the order of ``obs`` (a Series: as its index says, see
        ``weights``). Rows without a value are an error.
    weights
        How often rows come, relative to each other: numbers, one for each selected row in the order of ``obs``;
        the name of a numeric obs column; or ``{column: {value: weight}}``, where values that are not named, and
        missing ones, weigh 1. Finite and at least 0. A Series whose index holds the ``obs_names``, or the positions
        0 to n - 1, in any order is aligned by it; another index is refused. A row comes
        ``epoch_size * weight / sum of weights`` times, rounded up or down; with ``balance``, weights count among the
        rows of the same value.
    drop_last
        Leave out the last batch when it is short. With fewer rows than a batch nothing comes; the plan says so.
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
        ``obs`` or ``obsm`` names what is not there.
    ValueError, TypeError
        An option makes no sense. Or a column of ``obs`` has an integer that labels do not hold: beyond int64, or
        one of more than 53 bits where values may be missing; while iterating, if the column is read with the rows.
    ImportError
        ``to="torch"`` without torch.
    CorruptFileError, OSError
        While iterating: a read failed. The loader is then finished.
    RuntimeError
        While iterating: another ``iter()``, `load_state_dict` or `close` ended the iterator, or another thread is using
        the loader.

    Examples
    --------
    >>> loader = penstock.Loader(train, batch_size=4096, memory="2GB", obs=["cell_line"])
    >>> print(loader.plan)
    >>> for epoch in range(10):
    ...     for batch in loader:
    ...         loss = F.cross_entropy(model(batch.dense()), batch.obs["cell_line"])
    """

    _plain_class: type[Loader]

    def __new__(cls, *args: Any, to: str = "torch", **kwargs: Any) -> Self:
        if to == "torch" or (to == "numpy" and sys.modules.get("torch") is not None):
            try:
                from penstock.torch import iterable_class
            except ImportError as error:
                if to == "numpy":
                    return object.__new__(cls)
                raise ImportError(
                    "batches of torch tensors need torch: pip install torch, "
                    'or Loader(..., to="numpy") for numpy and scipy'
                ) from error
            return object.__new__(iterable_class(cls))
        return object.__new__(cls)

    @options_hinted("penstock.Loader", INSTEAD)
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
        obsm: str | Sequence[str] = (),
        totals: bool = False,
        normalize_total: float | None = None,
        log1p: bool = False,
        transform: Callable[[Batch], Any] | None = None,
        epoch_size: int | None = None,
        balance: str | npt.ArrayLike | None = None,
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
        self._options = checked_options(
            dataset,
            batch_size=batch_size,
            memory=memory,
            shuffle=shuffle,
            seed=seed,
            format=format,
            dtype=dtype,
            to=to,
            obs=obs,
            obsm=obsm,
            totals=totals,
            normalize_total=normalize_total,
            log1p=log1p,
            transform=transform,
            epoch_size=epoch_size,
            balance=balance,
            weights=weights,
            drop_last=drop_last,
            rank=rank,
            world_size=world_size,
            threads=threads,
            io_threads=io_threads,
            window_rows=window_rows,
            block_rows=block_rows,
            slot_timeout=slot_timeout,
        )
        self._dataset = dataset
        # The share of the process that it was pickled in.
        self._hint: tuple[int, int] | None = None
        self._closed = False
        self._resume = Resume()
        self._epoch = self._new_counter(0)
        self._process = InProcess()
        # Errors come here and not at the first batch.
        self._build(self._options.share or (0, 1))

    # --- the engine behind it ---

    def _new_counter(self, epoch: int) -> Any:
        return epoch_counter(epoch, for_workers=hasattr(type(self), "_plain_class"))

    def _own(self) -> InProcess:
        """What belongs to this process."""
        if not self._process.here():
            self._process = InProcess(parent=self._process)
        return self._process

    def _build(self, share: tuple[int, int]) -> _core.Loader:
        return self._process.build(self._options, self._dataset, share, self._resume.text)

    def _find_share(self) -> tuple[int, int]:
        return find_share(self._options.share, self._hint)

    def _current(self, resolve: bool = True) -> _core.Loader:
        """The engine of this process; with `resolve`, for what is this process's share of the rows now."""
        now = self._own()
        if self._closed:
            raise RuntimeError(_CLOSED)
        share = self._find_share() if resolve else (self._options.share or self._hint or (0, 1))
        return now.engine_for(self._options, self._dataset, share, self._resume.text, any_share=not resolve)

    def _for_reading(self) -> _core.Loader:
        """The engine to ask about plan and statistics: a closed one answers, too."""
        now = self._process
        return now.engine if self._closed and now.engine and now.here() else self._current(resolve=False)

    def _refuse_in_transform(self, what: str) -> None:
        if self._options.transform is not None:
            self._options.transform.refuse(what)

    def _start(self, engine: _core.Loader) -> int:
        number = int(self._epoch.get())
        self._process.start(engine, number)
        return number

    def _compare_ranks(self) -> None:
        """Once per engine, where torch.distributed says which rank this is."""
        now = self._process
        if (
            now.compared
            or self._options.share is not None
            or distributed() is None
            or worker_number() is not None
        ):
            return
        compare_ranks(fingerprint(self.state_dict()))
        now.compared = True

    def _batches_of(self, engine: _core.Loader) -> Epoch:
        o, now = self._options, self._process
        return Epoch(
            engine, o.kit(), self._dataset, o.engine.obs, o.engine.obsm, self.categories, now.one_thread
        )

    # --- iteration ---

    def __iter__(self) -> Iterator[Batch]:
        """Begin the next epoch; an iterator before it that had batches left raises RuntimeError from then on.

        Raises
        ------
        RuntimeError
            The loader is closed, another thread is using it, or its ``transform`` calls this.
        TypeError
            A DataLoader without ``batch_size=None`` asks: it would stack batches.

        Examples
        --------
        >>> for batch in loader:
        ...     ...
        """
        self._refuse_in_transform("iter()")
        if hasattr(type(self), "_plain_class"):
            from penstock.torch import refuse_stacking

            refuse_stacking(sys._getframe(1))
        worker = worker_number()
        if worker is not None:
            if worker[0] != 0:
                return iter(())
            warnings.warn(
                f"a penstock.Loader in a DataLoader with num_workers={worker[1]}: worker 0 yields every batch and "
                "the others none, because the engine has its own threads. num_workers=0 is faster: batches are "
                "then handed over without a copy between processes",
                stacklevel=2,
            )
        with self._own().one_thread:
            return self._begin_epoch()

    def _begin_epoch(self) -> Iterator[Batch]:
        now = self._process
        now.end_iterator(_BEGUN_AGAIN)
        engine = self._current()
        self._compare_ranks()
        number = self._start(engine)
        now.peeked = None
        self._resume = self._resume.begun()
        now.iterated = True
        self._epoch.set(number + 1)
        batches = self._batches_of(engine)
        transform = self._options.transform
        iterator = batches if transform is None else AheadEpoch(batches, transform, now.one_thread)
        now.hand_out(iterator)
        return iterator

    def __len__(self) -> int:
        """Batches of one epoch of this rank; of an epoch that is resumed, with those done before."""
        # Progress bars ask in the middle of an epoch, which must not end it.
        running = self._process.running() is not None
        engine = self._current(resolve=not running)
        resumed = running or self._resume.epoch == int(self._epoch.get())
        return int(engine.epoch_batches if resumed else engine.n_batches)

    def set_epoch(self, epoch: int) -> None:
        """Fix the number of the epoch that the next ``iter()`` begins, as in torch's samplers.

        Parameters
        ----------
        epoch
            At least 0.

        Raises
        ------
        RuntimeError
            Hugging Face accelerate calls it, which is about to share out the batches once more: leave out the
            DataLoader, ``accelerator.prepare(loader)``.

        Examples
        --------
        >>> loader.set_epoch(3)
        """
        number = integer(epoch, "epoch", 0)
        if hasattr(type(self), "_plain_class"):
            from penstock.torch import refuse_sharing

            o = self._options
            refuse_sharing(sys._getframe(1), o.engine.format == "csr" and o.transform is None)
        if self._process.running() is None:
            self._own().iterated = False
        self._epoch.set(number)

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
        RuntimeError
            Another thread is using the loader, or its ``transform`` calls this.

        Examples
        --------
        >>> model = Model(n_genes=loader.peek().X.shape[1])
        """
        self._refuse_in_transform("peek()")
        with self._own().one_thread:
            return self._peek()

    def _peek(self) -> Batch:
        now, transform = self._process, self._options.transform
        running = now.running()
        if isinstance(running, AheadEpoch):
            made: Batch | None = running.peek()
            if made is not None:
                return made
        if running is None:
            now.stop_dropped()
        engine = self._current(resolve=running is None)
        batch = self._look_at(engine) if running is not None else None
        if batch is None:
            if running is not None:
                running.end()
            self._process.peeked = self._start(engine)
            batch = self._look_at(engine)
        if batch is None:
            raise ValueError("this loader has no batches")
        copy = batch.clone()
        return copy if transform is None else transform(copy)

    def _look_at(self, engine: _core.Loader) -> Batch | None:
        """The engine's next batch, which stays there."""
        try:
            return self._batches_of(engine).take()[0]
        except StopIteration:
            return None

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
        done = None if batches_done is None else integer(batches_done, "batches_done", 0)
        worker = worker_number()
        if worker is not None and worker[0] != 0:
            return {}  # it has no batches
        engine = self._for_reading()
        number = int(self._epoch.get())
        if worker is None and self._epoch.moved():
            raise RuntimeError(
                "this loader is iterated by a DataLoader's worker, so its position is not known here: use "
                "torchdata.stateful_dataloader.StatefulDataLoader, or num_workers=0"
            )
        return state_of(self._process, engine, done, number, self._resume)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called: the next ``iter()`` begins inside that epoch.

        Its batches are those that would have come, bit for bit, from the same number of ranks. Another number
        of ranks shares out the rows that are left; each row still comes once in the epoch, which then has other
        batches. ``window_rows`` and ``block_rows`` are the checkpoint's from now on; ``memory``, ``threads``,
        ``format``, ``dtype``, ``obs`` and what is made of values need not be. Files may have moved to other folders. At
        most one window
        is read again.

        May be called before the first ``iter()``, between epochs or inside one: ``next()`` of a running iterator then
        raises RuntimeError.

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
        self._refuse_in_transform("load_state_dict()")
        if self._closed:
            raise RuntimeError(_CLOSED)
        worker = worker_number()
        if worker is not None and worker[0] != 0:
            return
        text = as_text(state_dict)
        with self._own().one_thread:
            self._go_on_from(text)

    def _go_on_from(self, text: str) -> None:
        epoch = None if self._epoch.moved() else self.epoch
        self._process.end_iterator(_LOADED)
        share = self._find_share()
        before, self._resume = self._resume, Resume(text)
        try:
            engine = self._build(share)
        except BaseException:
            self._resume = before
            self._build(share)
            if epoch is not None:
                self._epoch.set(epoch)
            raise
        self._resume = Resume(text, engine.next_epoch)
        self._epoch.set(engine.next_epoch)

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
        engine = self._for_reading()
        return self._process.plan(engine)

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
        self._dataset._check_obs(label)
        number = int(self._epoch.get()) if epoch is None else integer(epoch, "epoch", 0)
        return Mixing(self._current(resolve=False).mixing(label, number))

    @property
    def categories(self) -> dict[str, list[str] | None]:
        """What the codes of each obs column stand for: ``obs`` of another loader that is to have the same.

        Returns
        -------
        dict
            {column: list of str in code order}, in the order of ``obs``; None for columns of numbers and booleans,
            which come as they are. A categorical that has no category has an empty list, and codes of -1.

        Examples
        --------
        >>> loader.categories["cell_line"][:2]
        ['A498', 'A549']
        >>> val_loader = penstock.Loader(val, obs=loader.categories)
        """
        engine = self._for_reading()
        return self._process.categories(engine, self._options.engine.obs)

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
            ``blocks_decoded``; ``rows_deferred``, ``heads_too_short`` (blocks whose last
            chunks were read twice), ``values_rounded``, ``rows_sorted``, ``labels_missing``.

            ``bytes_read`` and ``reads`` of all epochs begun (the next one's first windows are read before
            you ask for it), ``epoch_bytes_read`` and ``epoch_reads`` of this one; ``bytes_decoded`` (what came out of
            the codecs) and ``epoch_bytes_decoded`` likewise; ``bytes_opening`` and
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
            ``memory``, see `MemoryBudget.usage` (of this loader's share where it is shared); ``who_waited`` and
            ``where_time_went``, in words.

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
        return stats_in(format, self._for_reading(), self.plan.rank, labels)

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
            self._dataset._check_obs(label)
        target = Path(path)
        self._for_reading().report(self._dataset._native(), str(target), label or "", versions())
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
        self._process.close(_CLOSED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- pickling: configuration and place ---

    def _place(self) -> dict[str, Any]:
        """What a copy goes on with: the batch that comes next, as state_dict() says."""
        now = self._process
        place: dict[str, Any] = {"_epoch": int(self._epoch.get())}
        if now.here() and now.iterated and not self._epoch.moved():
            state = self.state_dict()
            place["_epoch"] = state["epoch"]
            if state["lineage"]:
                place["_resume"] = Resume(json.dumps(state), state["epoch"])
        return place

    def __reduce__(self) -> tuple[Any, ...]:
        state = {key: value for key, value in self.__dict__.items() if key != "_process"}
        state["_hint"] = self._find_share()
        # A process that is started begins an epoch, as a forked one does; the counter goes to it as it is.
        if not _spawning():
            state.update(self._place())
        return (_restore, (getattr(type(self), "_plain_class", type(self)), self._options.to), state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self._epoch, int):
            self._epoch = self._new_counter(self._epoch)
        self._process = InProcess()

    def __repr__(self) -> str:
        o, ds = self._options.engine, self._dataset
        labels = (f", obs={o.obs}" if o.obs else "") + (f", obsm={o.obsm}" if o.obsm else "")
        state = " (closed)" if self._closed else ""
        return (
            f"<Loader of {ds.n_obs:,} x {ds.n_vars:,}: batch_size={o.batch_size}, {o.format} {o.dtype}, "
            f"shuffle={o.shuffle}, seed={o.seed}{labels}>{state}"
        )


def _restore(cls: type[Loader], to: str) -> Loader:
    return cls.__new__(cls, to=to)
