"""The Penstock engine. Internal: use the penstock package."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy
import numpy.typing
from numpy.typing import NDArray

import penstock.notes

version: str = "0.1.0"

class MemoryBudget:
    """A byte budget that loaders never exceed."""

    def __init__(self, limit: int, loaders: int) -> None:
        """limit: bytes; loaders: how many share it."""

    @property
    def limit(self) -> int:
        """Bytes."""

    def usage(self) -> dict[str, Any]:
        """Bytes held now and at most, in all and by tag."""

def parse_bytes(text: str) -> int:
    """'2GB' -> 2000000000."""

def format_bytes(bytes: int) -> str:
    """1234567 -> '1.23 MB'."""

def expand_paths(paths: Sequence[str]) -> list[str]:
    """Files, globs and folders as the files in order."""

class FileInfo:
    """What open found in one file."""

    @property
    def path(self) -> str: ...
    @property
    def n_obs(self) -> int:
        """All rows of the file."""

    @property
    def first_row(self) -> int:
        """Global number of the file's row 0."""

    @property
    def selected(self) -> int:
        """Rows of this Dataset's selection."""

    @property
    def file_bytes(self) -> int:
        """Bytes of the file."""

    @property
    def entries(self) -> int:
        """Stored values of the matrix: all of a dense one, else its non-zeros."""

    @property
    def layout(self) -> str:
        """Encoding, chunks and codecs of the matrix, in words."""

    def __repr__(self) -> str: ...

class Dataset:
    """Internal: see penstock.Dataset."""

    @staticmethod
    def open(
        paths: Sequence[str],
        matrix: str,
        join: str,
        var_key: str,
        genes: str,
        expressions: str,
        var: str,
        row: str,
        col: str,
        value: str,
        obs: Sequence[str],
        genome: str,
        feature_type: str,
        index_memory: int,
    ) -> Dataset: ...
    @property
    def n_obs(self) -> int: ...
    @property
    def n_obs_total(self) -> int: ...
    @property
    def n_vars(self) -> int: ...
    @property
    def n_vars_total(self) -> int: ...
    @property
    def index_bytes(self) -> int: ...
    @property
    def matrix(self) -> str: ...
    @property
    def value_dtype(self) -> str: ...
    def files(self) -> list[FileInfo]: ...
    def notes(self) -> list[penstock.notes.Note]: ...
    def other_matrices(self) -> list[str]: ...
    def obs_columns(self) -> list[tuple[str, str, bool, str]]:
        """(name, dtype, usable, why not) of each column: opens them all."""

    def obs_column(self, name: str) -> tuple[str, str, bool, str]:
        """The same of one."""

    def obs_column_names(self) -> list[str]: ...
    def obs(self, name: str) -> dict[str, Any]: ...
    def obs_names(self) -> list[str]: ...
    def names_of(self, global_rows: numpy.typing.NDArray[numpy.int64]) -> tuple[list[str], bool]:
        """Names of rows, and whether some of them are read again for each call."""

    def var_columns(self) -> list[tuple[str, str, bool, str]]: ...
    def var(self, name: str) -> dict[str, Any]: ...
    def var_names(self) -> list[str]: ...
    def var_notes(self) -> list[penstock.notes.Note]: ...
    def categories(self, column: str) -> list[str]: ...
    def select_slice(self, start: int, stop: int, step: int) -> Dataset: ...
    def select_mask(self, keep: numpy.typing.NDArray[numpy.uint8]) -> Dataset: ...
    def select_positions(self, positions: numpy.typing.NDArray[numpy.int64]) -> Dataset: ...
    def join_rows(self, other: Dataset, how: str) -> Dataset:
        """how: "either", "both" or "without"."""

    def select_vars(self, columns: numpy.typing.NDArray[numpy.int64]) -> Dataset: ...
    def select_var_names(self, names: Sequence[str], key: str, missing: str) -> Dataset: ...
    def var_columns_opened(self) -> numpy.typing.NDArray[numpy.int64]:
        """
        The opened files' gene that each gene is (-1: zeros); empty: all of them.
        """

    def select_opened(
        self, columns: numpy.typing.NDArray[numpy.int64], names: Sequence[str], notes: Sequence[str]
    ) -> Dataset: ...
    def split(
        self,
        fractions: Sequence[float],
        seed: int,
        group_by: Sequence[str],
        stratify_by: Sequence[str],
        unit: int,
        group_labels: Annotated[
            NDArray[numpy.int32], dict(shape=(None,), order="C", device="cpu", writable=False)
        ]
        | None,
        stratify_labels: Annotated[
            NDArray[numpy.int32], dict(shape=(None,), order="C", device="cpu", writable=False)
        ]
        | None,
    ) -> list[Dataset]: ...
    def query(self, expression: str, params: dict[str, Any]) -> Dataset: ...
    def save_selection(self, path: str) -> None: ...
    def load_selection(self, path: str) -> Dataset: ...
    def locate(self, row: int) -> tuple[int, int]:
        """(file number, row within the file) of a global row number."""

    def global_rows(self, first: int, count: int) -> numpy.typing.NDArray[numpy.int64]: ...
    def positions_of(
        self, global_rows: numpy.typing.NDArray[numpy.int64]
    ) -> numpy.typing.NDArray[numpy.int64]: ...
    def read_rows(
        self, positions: numpy.typing.NDArray[numpy.int64]
    ) -> tuple[
        int,
        int,
        numpy.typing.NDArray[numpy.int64],
        numpy.typing.NDArray[numpy.int64],
        numpy.typing.NDArray[numpy.uint8],
        str,
    ]:
        """
        (n_rows, n_cols, indptr, indices, bytes of the values, dtype of the values)
        """

    def obsm_entries(self) -> list[tuple[str, int, str, list[str], str]]:
        """
        (name, width, dtype, names of the columns, why it is not read) of each entry of obsm.
        """

    def read_obsm(
        self, name: str, positions: numpy.typing.NDArray[numpy.int64]
    ) -> tuple[int, int, numpy.typing.NDArray[numpy.uint8], str, list[str]]:
        """
        (n_rows, width, bytes of the values, their dtype, names of the columns)
        """

class Plan:
    """What a loader is about to do."""

    def __init__(self, arg: Plan, /) -> None: ...
    @property
    def n_files(self) -> int:
        """Files."""

    @property
    def n_rows(self) -> int:
        """Rows of an epoch, over all ranks."""

    @property
    def n_selected(self) -> int:
        """Selected rows: n_rows unless they are sampled."""

    @property
    def n_cols(self) -> int:
        """Genes."""

    @property
    def sampled(self) -> bool:
        """An epoch does not hold every row once."""

    @property
    def balance(self) -> str:
        """The column whose values come equally often, or ''."""

    @property
    def weights(self) -> str:
        """What rows are weighted by, in words, or ''."""

    @property
    def epochs_per_pass(self) -> int:
        """Epochs that share the data."""

    @property
    def most_copies(self) -> int:
        """How often a row comes in an epoch, at most."""

    @property
    def distinct_rows(self) -> int:
        """Different rows that an epoch is expected to hold."""

    @property
    def copies_per_window(self) -> float:
        """How often each of them comes, on average."""

    @property
    def shuffle(self) -> bool:
        """False: file order."""

    @property
    def seed(self) -> int: ...
    @property
    def batch_size(self) -> int:
        """Rows."""

    @property
    def block_rows(self) -> int:
        """Rows a block aims at; real blocks end at chunk boundaries."""

    @property
    def n_blocks(self) -> int: ...
    @property
    def window_rows(self) -> int:
        """Rows shuffled together; a multiple of batch_size."""

    @property
    def blocks_per_window(self) -> float: ...
    @property
    def q_eff(self) -> float:
        """Independent cells a batch is worth when a block shares one label."""

    @property
    def ramp_batches(self) -> int:
        """
        Batches of epoch 0 that are worth less: its windows grow, so that the first batch comes soon.
        """

    @property
    def first_q_eff(self) -> float:
        """As q_eff, of the first of them."""

    @property
    def rank(self) -> int: ...
    @property
    def world_size(self) -> int: ...
    @property
    def rows_this_rank(self) -> int: ...
    @property
    def n_batches(self) -> int:
        """Batches of an epoch of this rank."""

    @property
    def format(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def threads(self) -> int:
        """Decode threads."""

    @property
    def io_threads(self) -> int:
        """Readers."""

    @property
    def slots(self) -> int:
        """Batches that can exist at once, at the typical size."""

    @property
    def slot_bytes(self) -> int:
        """Bytes of a typical batch."""

    @property
    def slot_bytes_max(self) -> int:
        """Bytes of the largest batch the metadata allows."""

    @property
    def dense_buffers(self) -> int:
        """
        Buffers that batch.dense() fills again and again; 0: it takes fresh memory.
        """

    @property
    def dense_bytes(self) -> int:
        """Bytes of such a buffer."""

    @property
    def compact_row_bytes(self) -> int:
        """Estimated bytes of a row in the window."""

    @property
    def resident_offsets(self) -> bool:
        """Row offsets stay in memory."""

    @property
    def resident_labels(self) -> bool:
        """Labels stay in memory."""

    @property
    def bytes_to_read(self) -> int:
        """Bytes read by one epoch of this rank."""

    @property
    def bytes_to_decode(self) -> int:
        """Bytes decoded by one epoch of this rank."""

    @property
    def requests(self) -> int:
        """Reads of one epoch of this rank."""

    @property
    def passes(self) -> int:
        """Passes of an epoch over matrices stored by columns; 0: there are none."""

    @property
    def pass_bytes(self) -> int:
        """Bytes read by one pass."""

    @property
    def n_rows_of_files(self) -> int:
        """Rows of the files, selected or not."""

    @property
    def bytes_of_selection(self) -> int:
        """Bytes to read of the blocks that have selected rows, over all ranks."""

    @property
    def bytes_of_all_rows(self) -> int:
        """The same if every row of the files were selected."""

    @property
    def read_amplification(self) -> float:
        """Bytes read / bytes needed once."""

    @property
    def seconds_per_epoch(self) -> float:
        """Estimate from a sample; 0 when unknown."""

    @property
    def first_window_rows(self) -> int:
        """Rows read before the first batch."""

    @property
    def first_batch_seconds(self) -> float:
        """Estimate from the sample; what reading waits for comes on top."""

    @property
    def memory(self) -> int:
        """The budget, in bytes."""

    @property
    def memory_by_tag(self) -> dict[str, int]:
        """The most bytes each tag will hold."""

    @property
    def notes(self) -> list[penstock.notes.Note]:
        """Advice and warnings in words."""

    @property
    def summary(self) -> str:
        """One line for people."""

    def to_text(self) -> str:
        """Several lines for people."""

    def to_json(self) -> str:
        """All numbers as JSON."""

class Mixing:
    """How an obs column is mixed over the batches of an epoch."""

    def __init__(self, arg: Mixing, /) -> None: ...
    @property
    def label(self) -> str:
        """The column."""

    @property
    def epoch(self) -> int: ...
    @property
    def n_batches(self) -> int:
        """Of the epoch, of this rank."""

    @property
    def batches_looked_at(self) -> int:
        """Of those."""

    @property
    def batch_rows(self) -> int:
        """Rows looked at in a full batch."""

    @property
    def n_categories(self) -> int:
        """
        Values that cells have; a missing one is none, though entropies count it.
        """

    @property
    def entropy_of_cells(self) -> float:
        """Of all selected cells, in bits."""

    @property
    def entropy(self) -> float:
        """Of a batch, in bits: the mean."""

    @property
    def entropy_full_shuffle(self) -> float:
        """The same if cells came in any order."""

    @property
    def entropy_file_order(self) -> float:
        """The same in file order."""

    @property
    def q_eff(self) -> float:
        """Independent cells a batch is worth by this column."""

    def to_text(self) -> str:
        """One line for people."""

    def to_json(self) -> str:
        """All numbers as JSON."""

class Densifier:
    """CSR arrays to dense ones; of a loader, with its threads and buffers."""

    def __init__(self) -> None: ...
    def densify(self, indptr: Any, indices: Any, values: Any, n_cols: int, dtype: str, dlpack: bool) -> Any:
        """
        (rows, n_cols), as a DLPack capsule or a numpy array; None when the kernel does not have these types.
        """

    def densify_into(self, indptr: Any, indices: Any, values: Any, out: Any) -> bool:
        """False when the kernel does not have these types."""

class LoaderOptions:
    """
    What Loader.create is asked for: see penstock.Loader. Some can be set, not read.
    """

    def __init__(self) -> None: ...
    @property
    def batch_size(self) -> int: ...
    @batch_size.setter
    def batch_size(self, arg: int, /) -> None: ...
    @property
    def memory(self) -> int:
        """Bytes."""

    @memory.setter
    def memory(self, arg: int, /) -> None: ...
    @property
    def shuffle(self) -> bool: ...
    @shuffle.setter
    def shuffle(self, arg: bool, /) -> None: ...
    @property
    def seed(self) -> int: ...
    @seed.setter
    def seed(self, arg: int, /) -> None: ...
    @property
    def obs(self) -> list[str]: ...
    @obs.setter
    def obs(self, arg: Sequence[str], /) -> None: ...
    @property
    def obsm(self) -> list[str]: ...
    @obsm.setter
    def obsm(self, arg: Sequence[str], /) -> None: ...
    @property
    def totals(self) -> bool: ...
    @totals.setter
    def totals(self, arg: bool, /) -> None: ...
    @property
    def normalize_total(self) -> float | None: ...
    @normalize_total.setter
    def normalize_total(self, arg: float | None, /) -> None: ...
    @property
    def log1p(self) -> bool: ...
    @log1p.setter
    def log1p(self, arg: bool, /) -> None: ...
    @property
    def epoch_size(self) -> int:
        """0: every row once."""

    @epoch_size.setter
    def epoch_size(self, arg: int, /) -> None: ...
    @property
    def balance(self) -> str:
        """A column, or ''."""

    @balance.setter
    def balance(self, arg: str, /) -> None: ...
    @property
    def weights_column(self) -> str: ...
    @weights_column.setter
    def weights_column(self, arg: str, /) -> None: ...
    @property
    def drop_last(self) -> bool: ...
    @drop_last.setter
    def drop_last(self, arg: bool, /) -> None: ...
    @property
    def rank(self) -> int: ...
    @rank.setter
    def rank(self, arg: int, /) -> None: ...
    @property
    def world_size(self) -> int: ...
    @world_size.setter
    def world_size(self, arg: int, /) -> None: ...
    @property
    def threads(self) -> int:
        """0: the engine's choice; so of the next three."""

    @threads.setter
    def threads(self, arg: int, /) -> None: ...
    @property
    def io_threads(self) -> int: ...
    @io_threads.setter
    def io_threads(self, arg: int, /) -> None: ...
    @property
    def window_rows(self) -> int: ...
    @window_rows.setter
    def window_rows(self, arg: int, /) -> None: ...
    @property
    def block_rows(self) -> int: ...
    @block_rows.setter
    def block_rows(self, arg: int, /) -> None: ...
    @property
    def slot_timeout(self) -> float:
        """Seconds."""

    @slot_timeout.setter
    def slot_timeout(self, arg: float, /) -> None: ...

    shared_budget: MemoryBudget | None

    format: str

    dtype: str

    categories: Mapping[str, Sequence[str]]

    balance_labels: (
        Annotated[NDArray[numpy.int32], dict(shape=(None,), order="C", device="cpu", writable=False)] | None
    )

    weights: (
        Annotated[NDArray[numpy.float64], dict(shape=(None,), order="C", device="cpu", writable=False)] | None
    )

    category_weights: Mapping[str, float]

    resume: str
    """A checkpoint as JSON, or ''."""

def usable_cores() -> int:
    """Cores this process may use: affinity and cgroup quota, at least 1."""

def refuse_reservation(nth: int) -> None:
    """Tests only: the nth reservation from now on is refused; 0: none is."""

def reservations_asked() -> int:
    """Tests only: reservations since then."""

def starve_windows(bytes: int) -> None:
    """
    Tests only: bytes of window pages that loaders made from now on really have; 0: as planned.
    """

def keep_nothing(on: bool) -> None:
    """
    Tests only: loaders made from now on read row offsets and labels again with each block.
    """

class Loader:
    """Internal: see penstock.Loader."""

    @staticmethod
    def create(dataset: Dataset, options: LoaderOptions) -> Loader: ...
    def plan(self) -> Plan: ...
    def state_json(self, batches_done: int | None) -> str:
        """A checkpoint as JSON, for LoaderOptions.resume."""

    @property
    def epoch_batches(self) -> int: ...
    @property
    def batches_left(self) -> int:
        """Of the epoch that was begun."""

    @property
    def n_batches(self) -> int: ...
    def categories(self, column: str) -> list[str] | None:
        """None: a column of numbers."""

    def start_epoch(self, epoch: int | None) -> None: ...
    @property
    def next_epoch(self) -> int: ...
    def peek(self, dlpack: bool) -> Any:
        """
        The next batch, which stays; None at the end of the epoch. See batch_to_dlpack.
        """

    def densifier(self) -> Densifier: ...
    def advance(self) -> bool:
        """
        Takes the batch that was peeked at. False: it is not the next one any more.
        """

    def stats(self) -> dict[str, Any]: ...
    def epoch_cost(self, epoch: int) -> dict[str, int]: ...
    def mixing(self, label: str, epoch: int) -> Mixing: ...
    def stats_json(self) -> str:
        """stats() as one line of JSON."""

    def stats_prometheus(self, labels: Mapping[str, str]) -> str:
        """stats() in Prometheus' text format."""

    def report(self, dataset: Dataset, path: str, label: str, environment: Sequence[tuple[str, str]]) -> None:
        """Writes the page; label '': the first of obs that has labels."""

    def close(self) -> None: ...

def meet_transform_thread() -> None:
    """The end of the process waits for it."""

def transform_thread_ends() -> None: ...
def threads_ended() -> bool:
    """end_threads() has begun. Does not return to a daemon thread then."""

def end_threads(seconds: float) -> None:
    """Daemon threads stay out of Python from now on; waits until they do."""

def forget_threads() -> None:
    """In a forked child."""

def wait_for_lock(lock: Any) -> None:
    """
    Until a threading.Lock is free. In Python a Ctrl-C between two lines could leave it locked.
    """

class OneThread:
    """A `with` block for one thread at a time; others are refused."""

    def __init__(self) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *args: object) -> None: ...

class Signal:
    """What one thread raises and another waits for."""

    def __init__(self) -> None: ...
    def set(self) -> None: ...
    def close(self) -> None:
        """Every wait ends from now on."""

    def wait(self) -> None:
        """Until it is raised or closed; 50 ms at most."""

    def rest(self) -> bool:
        """
        Until it is raised, for the thread of a transform. False: it is closed.
        """

class Handed:
    """Internal: see penstock.ahead.Progress."""

    def __init__(self) -> None: ...
    @property
    def delivered(self) -> int: ...
    def accept(self) -> bool:
        """The loop has `result`: forgets it, counts it and asks for the next."""

class HandOver:
    """An iterator whose next() loses nothing to Ctrl-C."""

    def __init__(self) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
