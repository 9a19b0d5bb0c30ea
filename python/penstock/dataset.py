"""Datasets: the rows of files as one matrix, and selections of them."""

from __future__ import annotations

import functools
import html
import operator
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, SupportsIndex, overload

import numpy as np
import pandas as pd

from penstock import _core
from penstock.alignment import host_array
from penstock.budget import parse_memory
from penstock.columns import to_series
from penstock.errors import NotFoundError, near_names, not_found, options_hinted
from penstock.labels import columns_or_labels
from penstock.names import ObsNames
from penstock.notes import Note
from penstock.paths import PathLike, expand
from penstock.rows import as_array, difference, global_rows, positions_asked, refuse_another_order, row_array
from penstock.splits import Folds, checked_seed, rows_of_unit

if TYPE_CHECKING:
    import numpy.typing as npt
    from anndata import AnnData

__all__ = ["Dataset", "Obs", "Selection", "open"]

# Rows handled at a time where a selection is turned into bits.
_CHUNK = 1 << 20
# to_anndata is for a look: this many rows without being asked.
_LOOK = 100_000
# A selection of genes: numbers in the opened files (-1: zeros), names, notes.
_Genes = tuple[np.ndarray[Any, Any], list[str], list[Note]]
_NOT_READ = 'it is not read; anndata.read_h5ad(path, backed="r") has it'
# What users of AnnData look for.
_INSTEAD = {
    "X": "rows come in batches, penstock.Loader(ds), or in memory, ds.to_anndata(rows).X",
    "layers": 'it has one matrix, ds.matrix; open another with penstock.open(path, matrix="layers/NAME")',
    "raw": 'it has one matrix, ds.matrix; open this one with penstock.open(path, matrix="raw/X")',
    "obsm": "its entries travel with the rows, penstock.Loader(ds, obsm=[...]); ds.obsm_entries says what there is",
    "obsm_keys": "list(ds.obsm_entries) are the entries of obsm",
    "varm": _NOT_READ,
    "obsp": _NOT_READ,
    "varp": _NOT_READ,
    "uns": _NOT_READ,
    "to_memory": "ds.to_anndata(rows) has rows in memory",
    "to_df": "ds.to_anndata(rows).to_df() has rows in memory",
    "obs_keys": "list(ds.obs.columns) are the columns of obs",
    "var_keys": "list(ds.var.columns) are the columns of var",
    "isbacked": "rows are read when they are asked for, always",
    "filename": "ds.files has the paths",
    "copy": "selections share the files, and nothing of a Dataset changes",
}


class ObsmEntry(NamedTuple):
    """An entry of obsm: what a row of it is, or why it is not read."""

    width: int
    dtype: str
    columns: list[str] | None  # names, where they have some
    problem: str  # "" where it is read


class _Files:
    """What open was asked for: enough to open again, in a forked child or after unpickling."""

    def __init__(self, paths: list[str], options: dict[str, Any]) -> None:
        self.paths = paths
        self.absolute = [os.path.abspath(path) for path in paths]
        self.options = options
        # Somebody has been told that names are read again for every batch.
        self.warned_of_names = False

    def open(self) -> _core.Dataset:
        return _core.Dataset.open(self.paths, **self.options)

    def reopen(self) -> _core.Dataset:
        return _core.Dataset.open(self.absolute, **self.options)


@options_hinted(
    "penstock.open",
    {
        "layer": 'matrix="layers/{value}"',
        "layers": 'matrix="layers/NAME"',
        "use_raw": 'matrix="raw/X"',
        "raw": 'matrix="raw/X"',
        "backed": "nothing in its place: only metadata are read, and rows when they are asked for",
        "obs": "penstock.Loader(ds, obs=[...]): columns that travel with the rows",
        "memory": "index_memory= for metadata, penstock.Loader(ds, memory=...) for batches",
    },
)
def open(
    paths: PathLike | Iterable[PathLike],
    *,
    matrix: str = "X",
    join: str = "exact",
    var_key: str | None = None,
    genes: str = "genes",
    expressions: str = "expressions",
    var: PathLike | None = None,
    row: str | None = None,
    col: str | None = None,
    value: str | None = None,
    obs: str | Sequence[str] = (),
    genome: str | None = None,
    feature_type: str | None = None,
    index_memory: int | str = "256MB",
) -> Dataset:
    """Open ``.h5ad``, 10x ``.h5`` or Parquet files as one `Dataset`, reading metadata only.

    Parameters
    ----------
    paths
        A path, a glob, a directory (all ``.h5ad`` or all ``.parquet`` in it; a pqdata folder as one), or a list
        of these. Globs and directories are sorted by name, a list keeps its order.
    matrix
        ``"X"``, ``"raw/X"`` or ``"layers/NAME"``; in a MuData file ``"mod/rna/X"``, ``"mod/rna/layers/NAME"``.
        For a Parquet file that could be several: ``"lists"``, ``"triplets"`` or ``"wide"``.
    join
        ``"exact"``: all files must have the same genes in the same order. ``"inner"``: the genes that every
        file has, in the first one's order. ``"outer"``: the genes of any file, sorted by name (unless all have
        the same); a file without a gene has zeros. As in ``anndata.concat``.
    var_key
        The var column that names the genes; None: the index of var.
    genes, expressions
        Parquet files of lists: the columns that hold the genes and the values of each row.
    var
        Parquet files of lists: the table that says what the genes' numbers stand for (Parquet or CSV with
        columns ``token_id``, ``ensembl_id``, ``gene_symbol``). None: ``gene_metadata.parquet`` beside the files
        or in ``metadata/``.
    row, col, value
        Parquet files of triplets: the columns that hold the row number, the column number and the value of each
        entry, counted from 0. None: the usual names (``row``, ``col``, ``data``; ``cell_idx``, ``gene_idx``,
        ``count``; ``i``, ``j``, ``x``; ``soma_dim_0``, ``soma_dim_1``, ``soma_data``; ...). A file that does not
        state its matrix's shape is as large as its largest numbers say, and a note says so.
    obs
        Wide Parquet files, one numeric column per gene: the numeric columns that are obs, not genes. Columns of
        text always are.
    index_memory
        Bytes that metadata may hold: chunk indexes, row tables, names and the obs columns you read.

    Returns
    -------
    Dataset
        Of shape (rows of all files, genes).

    Raises
    ------
    FileNotFoundError
        No such file, or nothing matches.
    KeyError
        There is no such matrix, ``var_key``, gene table or column of a Parquet file; the message lists what there
        is.
    ValueError
        The files have different genes with ``join="exact"``; the first difference is named. Or a file has a
        gene's name twice and is to be joined.
    NotImplementedError
        The matrix is stored in a way that is not read yet; the message names it.
    CorruptFileError, OSError
        A file is damaged or cannot be read; the message says where.
    MemoryBudgetError
        Metadata needs more than ``index_memory``.

    Examples
    --------
    >>> ds = penstock.open("tahoe/plate*.h5ad")
    >>> ds = penstock.open(["a.h5ad", "b.h5ad"], matrix="layers/counts")
    >>> ds = penstock.open("tahoe/data/*.parquet", var="tahoe/metadata/gene_metadata.parquet")
    >>> ds = penstock.open("counts.parquet", row="cell", col="feature", value="n")
    >>> ds = penstock.open("wide.parquet", obs=["n_counts", "age"])
    >>> ds = penstock.open("filtered_feature_bc_matrix.h5", feature_type="Gene Expression")
    """
    files = _Files(
        expand(paths),
        {
            "matrix": matrix,
            "join": join,
            "var_key": var_key or "",
            "genes": genes,
            "expressions": expressions,
            "var": "" if var is None else os.path.abspath(os.path.expanduser(os.fspath(var))),
            "row": row or "",
            "col": col or "",
            "value": value or "",
            "obs": [obs] if isinstance(obs, str) else list(obs),
            "genome": genome or "",
            "feature_type": feature_type or "",
            "index_memory": parse_memory(index_memory, "index_memory"),
        },
    )
    return Dataset._make(files, files.open())


# The obs column that every Dataset has and none lists: the file that a row is of.
FILE_COLUMN = "@file"


class Obs:
    """The obs table of a `Dataset`; columns are read when asked for.

    Beside the columns of the files there is ``"@file"``: the name of the file that a row is of (without its
    folder, unless two files have the same name), a categorical that ``Loader(obs=)``, ``balance=``, ``Dataset.split``
    and reports take as any other column. It is not listed in ``columns``.

    Examples
    --------
    >>> ds.obs.columns
    Index(['cell_line', 'drug', 'n_counts'], dtype='object')
    >>> ds.obs["drug"].value_counts()
    >>> ds.obs[["cell_line", "drug"]]
    >>> ds.obs.drug.isna().sum()
    >>> ds.obs.head()
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    @property
    def columns(self) -> pd.Index[Any]:
        """Names of the columns, in the order of the first file. Of names that are not UTF-8 the bytes are shown; such
        columns cannot be read."""
        return pd.Index(self._dataset._handle.obs_column_names(), dtype=object)

    @property
    def dtypes(self) -> pd.Series[Any]:
        """The type of each column as stored, by name."""
        infos = self._dataset._handle.obs_columns()
        names = pd.Index([name for name, *_ in infos], dtype=object)
        return pd.Series([dtype for _, dtype, *_ in infos], index=names, dtype=object)

    def _column(self, name: str) -> pd.Series[Any]:
        try:
            if not isinstance(name, str):
                raise NotFoundError
            parts = self._dataset._handle.obs(name)
        except (
            NotFoundError
        ) as error:  # not looked up before: that takes time for each of thousands of columns
            if name in self:
                raise  # a file lacks it
            raise not_found("obs has no column", name, self.columns) from error
        return to_series(parts, pd.RangeIndex(len(self._dataset)))

    def __getitem__(self, key: str | Sequence[str]) -> Any:
        """A column as a Series, or several as a DataFrame; indexed by position in the Dataset.

        Categoricals are categorical; integers, floats and booleans have their stored type; nullable columns
        are pandas' nullable types. The index counts positions, so that ``ds[column == value]`` and
        ``ds[column.index[...]]`` select rows. ``ds.obs["@file"]`` is the file that each row is of.
        """
        if isinstance(key, str):
            return self._column(key)
        return pd.DataFrame(
            {name: self._column(name) for name in key}, index=pd.RangeIndex(len(self._dataset))
        )

    def __getattr__(self, name: str) -> Any:
        """A column as an attribute, as in pandas: ``ds.obs.drug`` is ``ds.obs["drug"]``."""
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._column(name)
        except NotFoundError as error:
            why = (
                f"obs is read column by column and has no {name!r}: ds[rows].obs.to_frame() makes a DataFrame, whose "
                "index is ds.obs_names"
                if hasattr(pd.DataFrame, name)
                else str(error)
            )
            raise AttributeError(why) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self.columns if name.isidentifier())]

    def __contains__(self, name: object) -> bool:
        return name == FILE_COLUMN or name in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self._dataset)

    def head(self, n: int = 5) -> pd.DataFrame:
        """The first rows of all columns that can be read, indexed by obs name.

        Parameters
        ----------
        n
            Rows.

        Examples
        --------
        >>> ds.obs.head(2)
                 cell_line     drug
        AAACCTGA      A549  DMSO_TF
        AAACGGGT      HeLa  Aspirin
        """
        return self._dataset[:n].obs.to_frame()

    def to_frame(self) -> pd.DataFrame:
        """All columns that can be read, indexed by obs name. Warns about the others.

        Examples
        --------
        >>> ds[:1000].obs.to_frame()
        """
        handle = self._dataset._handle
        # A column is read as soon as it was looked at: its part of the file is at hand.
        infos = (handle.obs_column(name) for name in handle.obs_column_names())
        return _frame("obs", infos, self._column, pd.Index(self._dataset.obs_names))

    def __repr__(self) -> str:
        infos = self._dataset._handle.obs_columns()
        lines = [f"obs of {len(self._dataset):,} rows, {len(infos)} columns"]
        lines += [
            f"  {name}: {dtype}" + ("" if usable else f" ({why})") for name, dtype, usable, why in infos
        ]
        return "\n".join(lines)


def _frame(
    table: str, infos: Iterable[tuple[str, str, bool, str]], column: Any, index: pd.Index[Any]
) -> pd.DataFrame:
    skipped, columns = [], {}
    for name, _, usable, why in infos:
        if not usable:
            skipped.append(f"{name} ({why})")
            continue
        try:
            columns[name] = column(name).set_axis(index)
        except ValueError as error:  # files hold it in types that do not fit together
            skipped.append(f"{name} ({error})")
    if skipped:
        warnings.warn(f"{table} columns left out: {', '.join(skipped)}", stacklevel=3)
    return pd.DataFrame(columns, index=index)


class Dataset:
    """The rows of one or more files as one matrix with obs and var; or a selection of its rows and genes.

    Made by `open`, by selecting (``ds[rows, genes]``), by `split` and by joining selections: ``a | b``, ``a & b``,
    ``a - b``. A selection is a set of rows in file order. Rows have two numbers: a *global* number over all
    rows of all files, which never changes and is what ``batch.index`` holds, and a *position* in this
    Dataset, which is what ``ds[rows]``, ``ds.obs`` and ``ds.obs_names`` count: `positions` gives one for the other.

    Examples
    --------
    >>> ds = penstock.open("tahoe/plate*.h5ad")
    >>> ds.shape
    (100648790, 62710)
    >>> treated = ds[ds.obs["drug"] != "DMSO_TF"]
    >>> train, val = treated.split([0.9, 0.1], seed=0)
    >>> loader = penstock.Loader(train, batch_size=4096, memory="2GB", obs=["cell_line"])
    """

    _files: _Files
    _handle_: _core.Dataset
    _pid: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("a Dataset is made by penstock.open(paths)")

    @classmethod
    def _make(cls, files: _Files, handle: _core.Dataset) -> Dataset:
        self = cls.__new__(cls)
        self._files = files
        self._handle_ = handle
        self._pid = os.getpid()
        return self

    @property
    def _handle(self) -> _core.Dataset:
        return self._handle_

    def _native(self) -> _core.Dataset:
        """The engine's dataset for a loader of this process; a forked child opens the files itself."""
        if self._pid != os.getpid():
            self._parent = self._handle_  # kept: nothing of the parent's is destroyed here
            self._handle_ = _reopen(
                self._files, len(self), self._handle_.n_obs_total, self._selection(), self._genes()
            )
            self._pid = os.getpid()
        return self._handle_

    # --- shape and names ---

    @property
    def n_obs(self) -> int:
        """Rows selected."""
        return int(self._handle.n_obs)

    @property
    def n_vars(self) -> int:
        """Genes selected."""
        return int(self._handle.n_vars)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows selected, genes)."""
        return self.n_obs, self.n_vars

    def __len__(self) -> int:
        return self.n_obs

    @property
    def matrix(self) -> str:
        """Which matrix is streamed: ``"X"``, ``"raw/X"``, ``"layers/NAME"`` or, of MuData, ``"mod/rna/X"``."""
        return self._handle.matrix

    @property
    def dtype(self) -> np.dtype[Any]:
        """The stored type of the matrix's values."""
        return np.dtype(self._handle.value_dtype)

    @functools.cached_property
    def obs_names(self) -> pd.Index[Any]:
        """Names of the rows, by position. Read at the first use; not necessarily unique.

        Python's strings take about 70 bytes a row, which ``index_memory`` does not count. `Batch.obs_names` has
        those of a batch, whatever is selected: ``ds[50:].obs_names[batch.index]`` would be those of other rows.
        """
        return ObsNames.of(self._handle.obs_names())

    def _names_of(self, index: Any) -> pd.Index[Any]:
        """The names of global rows; missing for -1."""
        rows = np.ascontiguousarray(host_array(index), dtype=np.int64)
        names = np.full(len(rows), None, dtype=object)
        real = rows >= 0
        found, read_again = self._native().names_of(rows[real])
        names[real] = found
        if read_again and not self._files.warned_of_names:
            self._files.warned_of_names = True
            warnings.warn(
                "obs_names of batches: the names do not fit into half of what index_memory has left, so they are read "
                "from the files again for every batch. penstock.open(..., index_memory=...) with twice 8 bytes and "
                "the name's length for each row keeps them",
                stacklevel=3,
            )
        return pd.Index(names, dtype=object)

    @functools.cached_property
    def var_names(self) -> pd.Index[Any]:
        """Names of the genes."""
        return pd.Index(self._handle.var_names(), dtype=object)

    @functools.cached_property
    def var(self) -> pd.DataFrame:
        """The var table of the first file, indexed by gene name; genes that it does not have (``join="outer"``,
        ``missing="zero"``) have missing values. Warns about columns that cannot be read."""
        positions = pd.RangeIndex(self.n_vars)
        return _frame(
            "var",
            self._handle.var_columns(),
            lambda name: to_series(self._handle.var(name), positions),
            self.var_names,
        )

    @property
    def obs(self) -> Obs:
        """The obs table, read column by column: ``ds.obs.columns``, ``ds.obs["drug"]``."""
        return Obs(self)

    # --- files ---

    @property
    def files(self) -> list[_core.FileInfo]:
        """What open found in each file: ``path``, ``n_obs``, ``first_row``, ``selected``, ``file_bytes``, ``entries``
        (stored values: all of a dense matrix, else its non-zeros) and ``layout``."""
        return self._handle.files()

    @property
    def nbytes(self) -> int:
        """Bytes of metadata held in memory, shared by all selections (bounded by ``index_memory``)."""
        return int(self._handle.index_bytes)

    @property
    def notes(self) -> list[Note]:
        """Advice in words: for instance that X is not counts but ``raw/X`` is, or how many genes of a panel there
        are. Each has a ``kind``, which stays the same when the words change."""
        return self._handle.notes()

    def locate(self, index: SupportsIndex) -> tuple[str, int]:
        """Where a global row number (of ``batch.index``) comes from.

        Parameters
        ----------
        index
            Global row number.

        Returns
        -------
        (str, int)
            The file's path and the row within it, from 0.

        Raises
        ------
        IndexError
            There is no such row.

        Examples
        --------
        >>> ds.locate(batch.index[0])
        ('tahoe/plate3.h5ad', 81723)
        """
        row = operator.index(index)
        total = int(self._handle.n_obs_total)
        if not 0 <= row < total:
            raise IndexError(f"global row {row} is not among the {total:,} rows of these files")
        file, local = self._handle.locate(row)
        return self._handle.files()[file].path, local

    def positions(self, index: Any) -> Any:
        """Where global row numbers (of ``batch.index``) are in this Dataset: what `obs_names` and `obs` count.

        Parameters
        ----------
        index
            Global row numbers in any order, repeated or not: an array, a tensor on any device, a list, or one number.

        Returns
        -------
        numpy.ndarray
            int64, of the shape of ``index``; a number for a number.

        Raises
        ------
        IndexError
            There is no such row in these files.
        ValueError
            A row is not selected here; or it is -1, which marks a row that was repeated to even out the batches of
            several ranks: leave those out, ``index[index >= 0]``.

        Examples
        --------
        >>> val = ds.split([0.9, 0.1])[1]
        >>> for batch in penstock.Loader(val, shuffle=True):
        ...     scores[val.positions(batch.index)] = model(batch.dense())
        >>> val.to_anndata(val.positions(batch.index))  # the rows of the batch, in its order
        """
        rows = host_array(index)
        found = self._handle.positions_of(global_rows(rows, int(self._handle.n_obs_total)))
        return found.reshape(rows.shape)[()]

    def categories(self, column: str) -> list[str]:
        """The categories that batches code a column by.

        Parameters
        ----------
        column
            A categorical or string column of obs.

        Returns
        -------
        list of str
            The sorted union over all rows of all files, the same for every selection and split.

        Raises
        ------
        KeyError
            There is no such column.
        ValueError
            The column holds numbers, or more than 65,536 different strings.

        Examples
        --------
        >>> ds.categories("cell_line")[:2]
        ['A498', 'A549']
        """
        self._check_obs(column)
        return self._handle.categories(column)

    @property
    def obsm_entries(self) -> dict[str, ObsmEntry]:
        """The entries of obsm of the first file, by name; each is opened, and none read.

        Examples
        --------
        >>> ds.obsm_entries
        {'X_pca': ObsmEntry(width=50, dtype='float32', columns=None, problem='')}
        """
        return {
            name: ObsmEntry(int(width), dtype, list(columns) or None, problem)
            for name, width, dtype, columns, problem in self._handle.obsm_entries()
        }

    def _check_obs(self, column: object) -> None:
        known = self._handle.obs_column_names()
        if column not in known and column != FILE_COLUMN:
            raise not_found("obs has no column", column, known)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            """What AnnData has and a Dataset has not: says where it is."""
            if name.startswith("_"):
                raise AttributeError(name)
            what = f"a Dataset has no {name!r}"
            if name in _INSTEAD:
                others = self._handle.other_matrices() if name in ("layers", "raw") else []
                there = f" (this file has {', '.join(others)})" if others else ""
                raise AttributeError(f"{what}: {_INSTEAD[name]}{there}")
            columns = self._handle.obs_column_names()
            if name in columns:
                raise AttributeError(f"{what}, but obs has: ds.obs[{name!r}]")
            public = [known for known in dir(type(self)) if not known.startswith("_")]
            hint = near_names(name, [*public, *columns])
            raise AttributeError(f"{what}; {hint}" if hint else what)

    # --- selections ---

    def __getitem__(self, key: Any) -> Dataset:
        """Select rows, or rows and genes: ``ds[rows]``, ``ds[rows, genes]``, ``ds[:, genes]``.

        Parameters
        ----------
        key
            Rows: a slice, a boolean mask, ascending positions or one position. Genes: the same in any order, or names
            (``"TP53"``, ``["TP53", "MYC"]``). A mask that is a Series is aligned by its index, which holds the
            positions or the names of obs (or var) in any order, as in pandas. `select_rows` takes global row numbers,
            `select_vars` names that may be missing, or of another column of var.

        Raises
        ------
        IndexError
            A position is out of range, or a mask has the wrong length.
        KeyError
            A gene is not there; near names, or the column of var that has it, are suggested (see `select_vars`).
        ValueError
            Positions are not in file order, or one is given twice: a Dataset is a set of rows in file order, so take
            ``ds[np.sort(positions)]``, or ``ds.to_anndata(positions)``, which keeps order and repeats. A gene is given
            twice, or its name is that of several genes. The index of a mask says nothing about these rows.

        Examples
        --------
        >>> ds[ds.obs["drug"] == "Bortezomib", ["TP53", "MYC"]].shape
        (1046, 2)
        """
        if isinstance(key, tuple):
            if len(key) != 2:
                raise IndexError(f"a Dataset has two dimensions, the index has {len(key)}")
            key, genes = key
            rows = self._make(self._files, self._select(key))
            if genes is Ellipsis or (isinstance(genes, slice) and genes == slice(None)):
                return rows
            return rows._make(self._files, rows._select_vars(genes))
        return self._make(self._files, self._select(key))

    def _select_vars(self, genes: Any) -> _core.Dataset:
        n = self.n_vars
        if isinstance(genes, str):
            genes = [genes]
        if isinstance(genes, slice):
            return self._handle.select_vars(np.arange(n, dtype=np.int64)[genes])
        if isinstance(genes, (bool, np.bool_, bytes)):
            raise TypeError(f"genes are selected by names, slice, mask or positions, not by {genes!r}")
        if isinstance(genes, (int, np.integer)):
            genes = [int(genes)]
        genes = as_array(genes, self, "var")
        if genes.ndim != 1:
            raise IndexError(f"genes must have one dimension, not {genes.ndim}")
        if genes.dtype == bool:
            if len(genes) != n:
                raise IndexError(f"the mask has {len(genes):,} entries for {n:,} genes")
            return self._handle.select_vars(np.flatnonzero(genes).astype(np.int64))
        if genes.size == 0:
            return self._handle.select_vars(np.zeros(0, np.int64))
        if genes.dtype.kind in "OUT":
            return self._handle.select_var_names(_names(genes), "", "error")
        if genes.dtype.kind not in "iu":
            raise TypeError(f"genes are selected by names, slice, mask or positions, not by {genes.dtype}")
        positions = genes.astype(np.int64)
        positions[positions < 0] += n
        if positions.min() < 0 or positions.max() >= n:
            raise IndexError(f"a position is out of range for {n:,} genes")
        return self._handle.select_vars(positions)

    def select_vars(
        self,
        names: Sequence[str],
        key: str | None = None,
        missing: Literal["error", "drop", "zero"] = "error",
    ) -> Dataset:
        """The Dataset with these genes only, in this order. Others are dropped as soon as they are decoded.

        Parameters
        ----------
        names
            Names of genes, each once.
        key
            The column of `var` that the names are of, ``"gene_symbol"`` for instance, in the first file that has
            the gene; None: `var_names`.
        missing
            Names that are not there: ``"error"``; ``"drop"`` leaves them out; ``"zero"`` makes each a gene of
            zeros under the name asked for, so that a model's panel keeps its width. Of ``"drop"`` and ``"zero"``,
            `notes` and the plan say how many names were found; that none is there is an error all the same.

        Raises
        ------
        KeyError
            A name, or the key, is not there. Where names are in another column of var, or differ in letter case, a
            version suffix (ENSG00000141510.4), blanks or a byte order mark, the message says so, and so do `notes`;
            else near names are suggested.
        ValueError
            A name is given twice, or is that of several genes.

        Examples
        --------
        >>> panel = ds.select_vars(model.genes, key="gene_symbol", missing="zero")
        >>> panel.n_vars == len(model.genes)
        True
        >>> panel.notes
        ["1,198 of 1,200 genes asked for by var 'gene_symbol' were found; missing, columns of zeros: 'GAGE1', 'XAGE5'"]
        """
        if isinstance(names, str):
            raise TypeError(f'names must be a list of names: select_vars(["{names}"])')
        wanted = _names(np.asarray(list(names), dtype=object))
        return self._make(self._files, self._handle.select_var_names(wanted, key or "", missing))

    def select_rows(self, index: Any) -> Dataset:
        """The rows with these global numbers (of ``batch.index``), which are rows of this Dataset.

        Parameters
        ----------
        index
            Global row numbers: an array, a tensor, a list, or one number. A set: their order does not matter, and one
            that is repeated counts once. `selection`.rows has those of a Dataset.

        Returns
        -------
        Dataset
            The rows in file order.

        Raises
        ------
        IndexError, ValueError, TypeError
            As `positions`.

        Examples
        --------
        >>> hard = torch.cat([batch.index[loss_of(batch) > 2] for batch in loader])
        >>> again = penstock.Loader(ds.select_rows(hard), batch_size=1024)
        """
        return self._make(self._files, self._handle.select_positions(np.unique(self.positions(index))))

    def _select(self, key: Any) -> _core.Dataset:
        n = self.n_obs
        if key is Ellipsis:
            return self._handle
        if isinstance(key, slice):
            start, stop, step = key.indices(n)
            count = len(range(start, stop, step))
            if step < 0 and count > 1:
                raise ValueError(
                    f"a slice with step {step} turns the rows round, but a Dataset is a set of rows in file order; "
                    "to_anndata(slice) keeps the order asked for"
                )
            if count < 2:
                return self._handle.select_slice(start, start + count, 1)
            return self._handle.select_slice(start, start + count * step, step)
        rows = row_array(key, self)
        if rows.dtype == bool:
            return self._handle.select_mask(np.ascontiguousarray(rows).view(np.uint8))
        refuse_another_order(rows)
        return self._handle.select_positions(rows)

    # --- joining selections ---

    def __or__(self, other: Dataset) -> Dataset:
        """Rows that one of two selections has, or both: ``a | b``. See `__sub__`."""
        return self._join(other, "either", "|")

    def __and__(self, other: Dataset) -> Dataset:
        """Rows that both selections have: ``a & b``. See `__sub__`."""
        return self._join(other, "both", "&")

    def __sub__(self, other: Dataset) -> Dataset:
        """Rows of the first selection that the second does not have: ``a - b``.

        Both are selections of the same files in the same order with the same genes; copies that were pickled or
        opened for themselves count. The result is in file order.

        Raises
        ------
        ValueError
            The files, what was asked of `open`, or the genes differ; the message says which.

        Examples
        --------
        >>> control = ds.query("drug == 'DMSO_TF'")
        >>> treated = ds - control
        >>> both = ds.query("n_counts > 500") & treated
        """
        return self._join(other, "without", "-")

    def _join(self, other: Any, how: str, sign: str) -> Dataset:
        if not isinstance(other, Dataset):
            raise TypeError(
                f"a {sign} b joins two selections, not a Dataset and a {type(other).__name__}: for a mask or positions "
                f"write a {sign} ds[mask], where ds is what the mask is of"
            )
        differs = difference(self, other)
        if differs:
            raise ValueError(f"a {sign} b joins selections of the same files and genes: {differs}")
        return self._make(self._files, self._handle.join_rows(other._handle, how))

    def query(self, expression: str, **params: Any) -> Dataset:
        """The rows for which an expression holds, in the grammar of ``pandas.DataFrame.query``.

        obs is read in blocks within ``index_memory``, only the columns that the expression names; blocks
        without a row of this Dataset and Parquet row groups whose statistics rule it out are not read.
        :doc:`query` has the grammar.

        Parameters
        ----------
        expression
            Comparisons (chained, too), ``and``/``or``/``not``, ``in``/``not in``, arithmetic,
            ``.str.startswith``, ``.isnull()``, ...; ``index`` is the obs name. Names that are no identifiers
            stand in back-quotes.
        **params
            What ``@name`` stands for: a number, a string, a boolean, None, or a list, array, set or Series of
            these.

        Returns
        -------
        Dataset
            The rows of this Dataset that ``obs.query(expression)`` would choose, in file order.

        Raises
        ------
        KeyError
            There is no such column or parameter; near names are suggested.
        ValueError
            The expression cannot be read, or compares what cannot be compared; the message shows where.
        NotImplementedError
            A column that it names is stored in a way that is not read.
        MemoryBudgetError
            The columns need more than ``index_memory``.

        Examples
        --------
        >>> ds.query("drug != 'DMSO_TF' and 500 < n_counts <= 10_000")
        >>> ds.query("cell_line in @lines and `pct.mito` < 0.1", lines=["A549", "HeLa"])
        """
        if not isinstance(expression, str):
            raise TypeError(f"a query is a string, not {type(expression).__name__}")
        values = {name: _parameter(name, value) for name, value in params.items()}
        return self._make(self._files, self._handle.query(expression, values))

    @property
    def selection(self) -> Selection:
        """Which rows are selected: ``ds.selection.rows``; to be saved and loaded: ``ds.selection.save(path)``."""
        return Selection(self)

    def __iter__(self) -> NoReturn:
        raise TypeError("a Dataset is not an iterator over rows: use penstock.Loader(ds)")

    def __getitems__(self, indices: Any) -> NoReturn:
        # What torch's DataLoader calls for a batch of a map-style dataset.
        raise TypeError(
            "a penstock.Dataset is not read row by row: use penstock.Loader(ds, batch_size=64) in place of "
            "DataLoader(ds, batch_size=64)"
        )

    @overload
    def split(
        self,
        fractions: Mapping[str, float],
        *,
        seed: int = 0,
        group_by: str | Sequence[str] | npt.ArrayLike | None = None,
        stratify_by: str | Sequence[str] | npt.ArrayLike | None = None,
        unit: str | int = "auto",
    ) -> dict[str, Dataset]: ...
    @overload
    def split(
        self,
        fractions: Sequence[float],
        *,
        seed: int = 0,
        group_by: str | Sequence[str] | npt.ArrayLike | None = None,
        stratify_by: str | Sequence[str] | npt.ArrayLike | None = None,
        unit: str | int = "auto",
    ) -> list[Dataset]: ...
    def split(
        self,
        fractions: Sequence[float] | Mapping[str, float],
        *,
        seed: int = 0,
        group_by: str | Sequence[str] | npt.ArrayLike | None = None,
        stratify_by: str | Sequence[str] | npt.ArrayLike | None = None,
        unit: str | int = "auto",
    ) -> list[Dataset] | dict[str, Dataset]:
        """Disjoint random parts.

        Parameters
        ----------
        fractions
            The share of each part, as a list or by name; they sum to at most 1. Rows that they leave are in no
            part.
        seed
            The same seed gives the same parts.
        group_by
            An obs column, or several for their combinations: rows with the same value are a group, which no two
            parts share. Strings, categories, integers or booleans; a missing value is a group of its own. Sizes
            are as near to the fractions as whole groups allow (a greedy assignment, larger groups first).
            Or labels that are no column: an array, a Series or a Categorical with one for each selected row, in the
            order of ``obs``; a Series whose index holds the ``obs_names``, or the positions 0 to n - 1, in any order
            is aligned by it. A list of strings names columns.
        stratify_by
            An obs column, or several, or labels: each part gets every class's fraction, rounded down or up. With
            ``group_by`` too, classes are balanced as well as whole groups allow, approximately.
        unit
            Rows of a run that stays together: ``"row"`` (1), a number, or ``"auto"``: single rows below
            1 million rows, else runs of 256 consecutive rows, so that each part is still read in runs.
            ``group_by`` keeps groups and ``stratify_by`` deals out rows, so they take ``"auto"`` or ``"row"``.

        Returns
        -------
        list of Dataset or dict of Dataset
            One per fraction, in their order; a dict for a mapping.

        Raises
        ------
        ValueError
            The fractions are not positive or sum to more than 1; there are fewer groups than parts; a column
            holds floats, or more than 65,536 different strings; labels are floats, of several kinds, or not one for
            each row.
        KeyError
            There is no such column.
        MemoryBudgetError
            The codes of the columns (1 to 4 bytes a row, and 4 of labels) do not fit into what ``index_memory`` has
            left.

        Examples
        --------
        >>> train, val = ds.split([0.9, 0.1], seed=0)
        >>> parts = ds.split({"train": 0.8, "val": 0.1, "test": 0.1}, group_by="donor")
        >>> parts["val"].n_obs
        9120
        >>> train, val = ds.split([0.9, 0.1], group_by=ds.obs_names.str.split("-").str[1])
        """
        values = list(fractions.values()) if isinstance(fractions, Mapping) else fractions
        groups, group_labels = columns_or_labels(group_by, self, "group_by")
        classes, class_labels = columns_or_labels(stratify_by, self, "stratify_by")
        handles = self._handle.split(
            [float(f) for f in values],
            checked_seed(seed),
            groups,
            classes,
            rows_of_unit(unit),
            group_labels,
            class_labels,
        )
        parts = [self._make(self._files, handle) for handle in handles]
        return dict(zip(fractions, parts, strict=True)) if isinstance(fractions, Mapping) else parts

    def k_fold(
        self,
        k: int,
        *,
        seed: int = 0,
        group_by: str | Sequence[str] | npt.ArrayLike | None = None,
        stratify_by: str | Sequence[str] | npt.ArrayLike | None = None,
        unit: str | int = "auto",
    ) -> Folds:
        """K pairs (train, test) for cross-validation; each row is in exactly one test part.

        Parameters
        ----------
        k
            Folds, at least 2.
        seed, group_by, stratify_by, unit
            As in `split`: the test parts are a split into ``k`` equal parts.

        Returns
        -------
        Folds
            A sequence of ``k`` pairs of Datasets. A train part is made when its pair is asked for.

        Raises
        ------
        ValueError
            ``k`` is less than 2, or more than there are rows or groups; else as `split`.
        KeyError, MemoryBudgetError
            As `split`.

        Examples
        --------
        >>> for train, test in ds.k_fold(5, group_by="donor"):
        ...     loader = penstock.Loader(train, batch_size=1024)
        """
        k = operator.index(k)
        if not 2 <= k <= self.n_obs:
            raise ValueError(f"k={k} must be from 2 to the number of rows, {self.n_obs:,}")
        tests = self.split([1 / k] * k, seed=seed, group_by=group_by, stratify_by=stratify_by, unit=unit)
        return Folds(tests, self.__sub__)

    # --- a look ---

    def to_anndata(self, rows: Any = None, *, obsm: str | Sequence[str] = ()) -> AnnData:
        """Rows in memory as an AnnData, for a look; training streams through a `Loader`.

        Parameters
        ----------
        rows
            As in ``ds[rows]``, but in any order, repeated or not: the result has them as asked, as in anndata. None:
            all, if they are at most 100,000. Positions are counted, not global numbers: the rows of a batch are
            ``ds.positions(batch.index)``.
        obsm
            Entries of obsm to read, too; those of a DataFrame come as one, with the columns that are numbers.

        Returns
        -------
        anndata.AnnData
            X as CSR in the stored type, obs and var; columns that cannot be read are left out with a warning. Of a
            Dataset of ``matrix="layers/NAME"``, ``layers[NAME]`` holds the matrix where the file has it, and X a copy.
            ``"raw/X"`` is X, and ``raw`` is empty.

        Raises
        ------
        ValueError
            More than 100,000 rows without being asked for.
        ImportError
            anndata is not installed.

        Examples
        --------
        >>> ds.to_anndata(slice(0, 1000))
        AnnData object with n_obs × n_vars = 1000 × 62710
        >>> neighbours = ds.to_anndata([812, 14, 3077])  # in this order
        """
        try:
            from anndata import AnnData
        except ImportError as error:
            raise ImportError("to_anndata needs anndata: pip install anndata") from error
        import scipy.sparse as sp

        if rows is None and self.n_obs > _LOOK:
            raise ValueError(
                f"to_anndata() of {self.n_obs:,} rows would fill memory: to_anndata(slice(0, 1000))"
            )
        # Metadata is read once for each row, and in file order.
        asked = positions_asked(slice(None) if rows is None else rows, self)
        unique, order = np.unique(asked, return_inverse=True)
        part = self._make(self._files, self._handle.select_positions(unique))
        n_rows, n_cols, indptr, indices, values, dtype = part._handle.read_rows(order)
        matrix = sp.csr_matrix((values.view(np.dtype(dtype)), indices, indptr), shape=(n_rows, n_cols))
        obs, var = part.obs.to_frame().iloc[order], self.var.copy()
        obs.index, var.index = obs.index.astype(str), var.index.astype(str)
        _, is_layer, layer = self.matrix.partition("layers/")
        vectors = {
            name: part._read_obsm(name, order, obs.index)
            for name in ([obsm] if isinstance(obsm, str) else obsm)
        }
        # A copy: what is done to X in place must not reach the counts.
        layers = {layer: matrix.copy()} if is_layer else None
        return AnnData(X=matrix, obs=obs, var=var, layers=layers, obsm=vectors or None)

    def _read_obsm(self, name: str, positions: np.ndarray[Any, Any], index: pd.Index[Any]) -> Any:
        """An entry of obsm, by position."""
        n_rows, width, values, dtype, columns = self._handle.read_obsm(name, positions)
        array = values.view(np.dtype(dtype)).reshape(n_rows, width)
        return pd.DataFrame(array, index=index, columns=columns) if columns else array

    def _lines(self) -> tuple[str, list[tuple[str, str]]]:
        files = self.files
        size = _core.format_bytes(sum(f.file_bytes for f in files))
        total = int(self._handle.n_obs_total)
        of = "" if self.n_obs == total else f" of {total:,}"
        total = int(self._handle.n_vars_total)
        of_genes = "" if self.n_vars == total and self._genes() is None else f" of {total:,}"
        layout = files[0].layout.split(",")[0] if files else ""
        head = (
            f"Dataset: {self.n_obs:,}{of} obs × {self.n_vars:,}{of_genes} vars, {len(files)} "
            f"file{'' if len(files) == 1 else 's'}, {layout}, {size} on disk"
        )
        columns = self._handle.obs_column_names()
        shown = ", ".join(columns[:12]) + (f", ... ({len(columns)} columns)" if len(columns) > 12 else "")
        lines = [
            ("matrix", f"{self.matrix}: {files[0].layout}" if files else self.matrix),
            ("obs", shown or "none"),
        ]
        others = self._handle.other_matrices()
        if others:
            lines.append(("other matrices", ", ".join(others)))
        lines += [("note", note) for note in self.notes]
        return head, lines

    def __repr__(self) -> str:
        head, lines = self._lines()
        return "\n".join([head, *(f"  {name}: {text}" for name, text in lines)])

    def _repr_html_(self) -> str:
        head, lines = self._lines()
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in lines
        )
        return f"<p><b>{html.escape(head)}</b></p><table>{rows}</table>"

    # --- pickling: paths, options and the selection as bits ---

    def _selection(self) -> np.ndarray[Any, Any] | None:
        """The selected rows as packed bits over all rows; None: all."""
        total, n = int(self._handle.n_obs_total), self.n_obs
        if n == total:
            return None
        selected = np.zeros(total, dtype=bool)
        for first in range(0, n, _CHUNK):
            selected[self._handle.global_rows(first, min(_CHUNK, n - first))] = True
        return np.packbits(selected)

    def _genes(self) -> _Genes | None:
        """The opened files' gene that each gene is, its name, and what selecting them by name had to say; None: all
        of them."""
        columns = self._handle.var_columns_opened()
        if self.n_vars > 0 and columns.size == 0:
            return None
        return columns, self._handle.var_names(), self._handle.var_notes()

    def __reduce__(self) -> tuple[Any, ...]:
        files = self._files
        total = int(self._handle.n_obs_total)
        state = (files.absolute, files.options, self.n_obs, total, self._selection(), self._genes())
        return (_unpickle, state)


class Selection:
    """The selected rows of a `Dataset`: ``ds.selection``.

    Examples
    --------
    >>> treated = ds.query("drug != 'DMSO_TF'")
    >>> treated.selection
    Selection: 98,112,004 of 100,648,790 obs in 14 files
    >>> treated.selection.save("treated.rows")
    >>> again = penstock.open("tahoe/plate*.h5ad").selection.load("treated.rows")
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def save(self, path: PathLike) -> None:
        """Write the selection to a small file, replacing one that is there.

        It holds compressed bitmaps and the names (without folders) and row counts of the files.

        Parameters
        ----------
        path
            Where to.

        Raises
        ------
        OSError
            The file cannot be written.

        Examples
        --------
        >>> ds.query("n_counts > 500").selection.save("large.rows")
        """
        self._dataset._handle.save_selection(os.path.expanduser(os.fspath(path)))

    def load(self, path: PathLike) -> Dataset:
        """The rows that `save` wrote, of this Dataset's files; whichever are selected now does not matter.

        Parameters
        ----------
        path
            A file that `save` wrote.

        Returns
        -------
        Dataset
            The same files with the saved rows.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            It is a selection of other files; the first difference is named.
        CorruptFileError
            The file is damaged.

        Examples
        --------
        >>> large = ds.selection.load("large.rows")
        """
        ds = self._dataset
        return ds._make(ds._files, ds._handle.load_selection(os.path.expanduser(os.fspath(path))))

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """The global numbers of the rows, ascending: int64, made anew at each use, 8 bytes a row.

        Examples
        --------
        >>> ds[50:].selection.rows[:3]
        array([50, 51, 52])
        >>> same = ds.select_rows(ds[50:].selection.rows)
        """
        return self._dataset._handle.global_rows(0, len(self._dataset))

    def __len__(self) -> int:
        return len(self._dataset)

    def __repr__(self) -> str:
        ds = self._dataset
        files = len(ds.files)
        return (
            f"Selection: {len(ds):,} of {int(ds._handle.n_obs_total):,} obs in "
            f"{files} file{'' if files == 1 else 's'}"
        )


def _parameter(name: str, value: Any) -> Any:
    """A query's parameter as the engine takes it: None, bool, int, float, str, or a list of these."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    elif isinstance(value, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)):
        value = list(value)
    if isinstance(value, (list, tuple, set, frozenset, range)):
        items = [_parameter(name, item) for item in value]
        if any(isinstance(item, list) for item in items):
            raise TypeError(f"the parameter {name} is a list of lists")
        return items
    if value is None or value is pd.NA:
        return None
    if isinstance(value, bytes) or not isinstance(value, (bool, int, float, str)):
        raise TypeError(
            f"the parameter {name} is a {type(value).__name__}; a query takes numbers, strings, booleans, None "
            "and lists of these"
        )
    return value


def _names(names: np.ndarray[Any, Any]) -> list[str]:
    wrong = next((name for name in names.tolist() if not isinstance(name, str)), None)
    if wrong is not None:
        raise TypeError(f"names of genes are strings, not {wrong!r}")
    return [str(name) for name in names.tolist()]


def _reopen(
    files: _Files,
    n_obs: int,
    n_total: int,
    selection: np.ndarray[Any, Any] | None,
    genes: _Genes | None,
) -> _core.Dataset:
    handle = files.reopen()
    if handle.n_obs_total != n_total:
        raise ValueError(
            f"the files have {handle.n_obs_total:,} rows now, {n_total:,} when they were opened first"
        )
    if selection is not None:
        handle = handle.select_mask(np.unpackbits(selection, count=n_total))
    return handle if genes is None else handle.select_opened(*genes)


def _unpickle(
    paths: list[str],
    options: dict[str, Any],
    n_obs: int,
    n_total: int,
    selection: np.ndarray[Any, Any] | None,
    genes: _Genes | None,
) -> Dataset:
    files = _Files(paths, options)
    return Dataset._make(files, _reopen(files, n_obs, n_total, selection, genes))
