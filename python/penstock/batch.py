"""A batch: a dict of arrays with a few methods."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

import pandas as pd

from penstock import _core

if TYPE_CHECKING:
    from penstock.dataset import Dataset

__all__ = ["Batch"]

# {column: categories in the order of their codes}; None: numbers.
_Categories = Mapping[str, "list[str] | None"]
_NO_CATEGORIES: _Categories = {}
# Of batches whose loader was not asked for any; nobody can write into it.
_NO_OBSM: Mapping[str, Any] = MappingProxyType({})
# Of batches whose loader is in another process.
_ALONE = _core.Densifier()


def _kit(x: Any) -> ModuleType:
    """The array functions for what X is made of."""
    if type(x).__module__.partition(".")[0] == "torch":
        from penstock import torch

        return torch
    from penstock import arrays

    return arrays


class Batch(dict[str, Any]):
    """Rows of the matrix with their labels. A ``dict`` whose keys are attributes too.

    Keys
    ----
    X
        ``format="csr"``: a CSR matrix of shape (rows, genes); columns sorted within a row, no duplicates. A
        ``torch.sparse_csr`` tensor, or `scipy.sparse.csr_matrix` with ``to="numpy"``. ``format="dense"``: a
        tensor or array (rows, genes). The dtype is the loader's ``dtype``.
    obs
        dict {column: tensor or array of shape (rows,)}. Strings and categoricals are int64 codes into
        `Loader.categories` (-1: missing or outside); integers int64, or float64 where some are missing (NaN);
        floats float32 or float64 (NaN: missing); bool. An integer that its type does not hold is an error that
        names the column and the row.
    index
        int64 of shape (rows,): global row numbers over all files, whatever is selected. `obs_names` has the rows'
        names, `Dataset.positions` their positions in a selection, `Dataset.locate` their files. -1 marks a row
        repeated to even out the batch counts of several ranks: with ``batch_size=1``, or where there are fewer rows
        than ranks, and nowhere else.
    total
        With ``totals=True``: float64 of shape (rows,): the sum of each row over all genes of its file, whatever
        genes are selected, before ``normalize_total`` and ``log1p``.
    obsm
        With ``obsm=[...]``: dict {entry: tensor or array of shape (rows, width)}, in the type that the file has, or
        the widest over the files; `Dataset.obsm_entries` has the names of its columns. As an attribute it is an empty
        mapping where nothing was asked for.

    The memory is yours to write into: it is never read again by the loader. ``obs``, ``index`` and ``total`` are
    small arrays of their own: keep them as long as you like. X and ``obsm`` are views on the loader's memory, which is
    not reused before the last tensor on it (a part such as ``X.values()``, too) is gone, and the loader's budget pays
    for what you hold: keep many batches with `clone`.

    Examples
    --------
    >>> batch = next(iter(loader))
    >>> batch
    <Batch of 4,096 x 62,710: X csr float32 (5,734,400 non-zeros), obs: cell_line, drug>
    >>> logits = model(batch.dense())
    >>> loss = F.cross_entropy(logits, batch.obs["cell_line"])
    """

    _categories: _Categories = _NO_CATEGORIES
    # What was streamed; None for a batch that came from another process.
    _dataset: Dataset | None = None
    _densifier: _core.Densifier = _ALONE

    # Keys as attributes, both ways: `batch.X += 1` reads X, adds in place and stores it back.
    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            if name == "obsm":
                return _NO_OBSM
            raise AttributeError(f"a Batch has no {name!r}; it has {', '.join(self)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self[name] = value

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    @property
    def n_obs(self) -> int:
        """Rows of this batch."""
        return int(self["X"].shape[0])

    @property
    def obs_names(self) -> pd.Index[Any]:
        """The names of this batch's rows, as text; missing for a row whose ``index`` is -1.

        Read from the files when they are first asked for. The Dataset then keeps the names of a file, for all
        batches, where they fit into half of what its ``index_memory`` has left: a name costs its bytes and 8, and a
        batch about a microsecond a row. Names that do not fit are read from the files again for every batch, in blocks
        of about 65,536 rows: a shuffled batch of many blocks then reads most of them, and a warning says so.

        Raises
        ------
        RuntimeError
            The batch came from another process (a DataLoader's worker, a queue) and has lost its Dataset: use
            ``ds.obs_names[ds.positions(batch.index)]``.

        Examples
        --------
        >>> batch.obs_names[:2]
        Index(['AAACCTGA-1', 'GGTCACGG-7'], dtype='object')
        """
        if "obs_names" in self:  # a key of the user's own
            names: pd.Index[Any] = self["obs_names"]
            return names
        if self._dataset is None:
            raise RuntimeError(
                "this batch has no Dataset to ask for names: it was pickled, as a DataLoader's workers do, or made by "
                "hand. With ds, the Dataset that was streamed: ds.obs_names[ds.positions(batch.index)], or "
                "ds.select_rows(batch.index)"
            )
        return self._dataset._names_of(self["index"])

    def _with(self, arrays: dict[str, Any]) -> Batch:
        other = type(self)(arrays)
        object.__setattr__(other, "_categories", self._categories)
        object.__setattr__(other, "_dataset", self._dataset)
        object.__setattr__(other, "_densifier", self._densifier)
        return other

    def _map(self, function: Any) -> Batch:
        """The same batch with every array replaced by function(array)."""

        def apply(value: Any) -> Any:
            return {k: apply(v) for k, v in value.items()} if isinstance(value, Mapping) else function(value)

        return self._with({key: apply(value) for key, value in self.items()})

    def to(self, device: Any, *, non_blocking: bool = False) -> Batch:
        """The batch on a device (torch only).

        Parameters
        ----------
        device
            As in `torch.Tensor.to`: ``"cuda"``, ``torch.device("cuda:1")``, ...
        non_blocking
            Copy asynchronously from pinned memory (see `pin_memory`).

        Examples
        --------
        >>> batch = batch.pin_memory().to("cuda", non_blocking=True)
        """
        kit = _kit(self["X"])
        return self._map(lambda array: kit.to_device(array, device, non_blocking))

    def pin_memory(self) -> Batch:
        """A copy in page-locked memory, for asynchronous copies to a GPU (torch only).

        Examples
        --------
        >>> pinned = batch.pin_memory()
        """
        return self._map(_kit(self["X"]).pin_memory)

    def dense(self, dtype: Any = None, out: Any = None) -> Any:
        """X as a dense tensor (rows, genes).

        On the CPU the loader's threads do it together with the caller's, into one of the buffers that the loader
        keeps (``loader.plan.dense_buffers``); a buffer is used again when the last tensor on it is gone. Where none
        is free the result is in fresh memory, outside the budget. On a device torch does it. With ``format="dense"``
        X is returned as it is.

        Parameters
        ----------
        dtype
            Of the result; default: that of X. Conversion follows numpy's `astype`.
        out
            A tensor or array of at least as many rows to write into; the result is its first rows. Where the budget
            has no room for buffers, keep one and reuse it: fresh memory costs more than the work itself.

        Returns
        -------
        torch.Tensor or numpy.ndarray
            Shape (rows, genes), C order.

        Raises
        ------
        TypeError
            ``out`` is of another kind than X.
        ValueError
            ``out`` has fewer rows or another number of columns, or ``dtype`` is given beside it; or
            X is no valid CSR matrix any more, because its row pointers or column indices were written to.

        Examples
        --------
        >>> batch.dense().shape
        torch.Size([4096, 62710])
        >>> batch.dense("bfloat16").dtype
        torch.bfloat16
        """
        x = self["X"]
        if out is not None:
            if dtype is not None:
                raise ValueError("give dtype or out, not both: the result has the type of out")
            shape = getattr(out, "shape", None)
            if shape is None:
                raise TypeError(f"out must be a tensor or array, not {type(out).__name__}")
            if len(shape) != 2 or out.shape[0] < x.shape[0] or out.shape[1] != x.shape[1]:
                raise ValueError(
                    f"out has shape {tuple(out.shape)}; {x.shape[0]} rows or more and {x.shape[1]} columns are needed"
                )
        return _kit(x).dense(x, dtype, out, self._densifier)

    def obs_frame(self, *, names: bool = False) -> pd.DataFrame:
        """The labels decoded, as a DataFrame indexed by global row number, or by name.

        Parameters
        ----------
        names
            Index it by `obs_names`.

        Returns
        -------
        pandas.DataFrame
            One row per row of the batch. Columns with categories are categorical.

        Examples
        --------
        >>> batch.obs_frame().head(2)
               cell_line     drug
        row
        81723       A549  Aspirin
        4511        HeLa  DMSO_TF
        """
        kit = _kit(self["X"])
        columns: dict[str, Any] = {}
        for name, values in self["obs"].items():
            array = kit.to_numpy(values)
            categories = self._categories.get(name)
            columns[name] = (
                array if categories is None else pd.Categorical.from_codes(array, categories=categories)
            )
        index = self.obs_names if names else pd.Index(kit.to_numpy(self["index"]), name="row")
        return pd.DataFrame(columns, index=index)

    def clone(self) -> Batch:
        """A copy in memory of its own, outside the loader's budget.

        Examples
        --------
        >>> kept = [batch.clone() for batch in loader]
        """
        return self._map(_kit(self["X"]).clone)

    def copy(self) -> Batch:
        """A shallow copy: the same arrays (see `clone`)."""
        return self._with(dict(self))

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Batch:
        return self.clone()

    # DataLoader workers send batches through here; tensors go by shared memory. The Dataset stays: it would open its
    # files anew for each batch.
    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), dict(self), dict(self._categories)))

    def __repr__(self) -> str:
        if "X" not in self:
            return f"<Batch with {', '.join(self) or 'nothing'}>"
        x = self["X"]
        labels = ", ".join(self.get("obs", {})) or "none"
        vectors = f", obsm: {', '.join(self['obsm'])}" if self.get("obsm") else ""
        return f"<Batch of {x.shape[0]:,} x {x.shape[1]:,}: X {_kit(x).describe(x)}, obs: {labels}{vectors}>"


def _rebuild(cls: type[Batch], arrays: dict[str, Any], categories: dict[str, list[str] | None]) -> Batch:
    batch = cls(arrays)
    object.__setattr__(batch, "_categories", categories)
    return batch


def make_batch(
    x: Any,
    obs: dict[str, Any],
    index: Any,
    total: Any,
    obsm: dict[str, Any] | None,
    categories: _Categories,
    dataset: Dataset,
    densifier: _core.Densifier,
) -> Batch:
    """A Batch without detours: this runs for every batch of an epoch."""
    # X first: Lightning takes the batch size from the first tensor it finds.
    batch = Batch(X=x, obs=obs, index=index)
    if total is not None:
        batch["total"] = total
    if obsm is not None:
        batch["obsm"] = obsm
    batch.__dict__["_categories"] = categories
    batch.__dict__["_dataset"] = dataset
    batch.__dict__["_densifier"] = densifier
    return batch
