"""A batch: a dict of arrays with a few methods."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pandas as pd

__all__ = ["Batch"]

_NO_CATEGORIES: Mapping[str, list[str]] = {}


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
        `Loader.categories` (-1: missing or outside); integers int64; floats float32 or float64 (NaN:
        missing); bool.
    index
        int64 of shape (rows,): global row numbers over all files (see `Dataset.locate`). -1 marks a row
        repeated to even out the batch counts of several ranks.
    total
        With ``totals=True``: float64 of shape (rows,): the sum of each row over all genes of its file, whatever
        genes are selected, before ``normalize_total`` and ``log1p``.

    The memory is yours to write into: it is never read again by the loader, and not reused before the last
    tensor on it is gone. Keep many batches with `clone`: the loader's budget pays for those you hold.

    Examples
    --------
    >>> batch = next(iter(loader))
    >>> batch
    <Batch of 4,096 x 62,710: X csr float32 (5,734,400 non-zeros), obs: cell_line, drug>
    >>> logits = model(batch.dense())
    >>> loss = F.cross_entropy(logits, batch.obs["cell_line"])
    """

    _categories: Mapping[str, list[str]] = _NO_CATEGORIES

    # Keys as attributes, both ways: `batch.X += 1` reads X, adds in place and stores it back.
    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
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

    def _with(self, arrays: dict[str, Any]) -> Batch:
        other = type(self)(arrays)
        object.__setattr__(other, "_categories", self._categories)
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

        On the CPU the engine's kernel does it, several times faster than ``X.to_dense()``; on a device
        torch does. A loader with ``format="dense"`` is faster still, since its memory is reused; X is then
        returned as it is.

        Parameters
        ----------
        dtype
            Of the result; default: that of X. Conversion follows numpy's `astype`.
        out
            A tensor or array of at least as many rows to write into; the result is its first rows. A new one for
            every batch costs page faults, many times the work itself: for large batches keep one and reuse it.

        Returns
        -------
        torch.Tensor or numpy.ndarray
            Shape (rows, genes), C order.

        Raises
        ------
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
            if len(out.shape) != 2 or out.shape[0] < x.shape[0] or out.shape[1] != x.shape[1]:
                raise ValueError(
                    f"out has shape {tuple(out.shape)}; {x.shape[0]} rows or more and {x.shape[1]} columns are needed"
                )
        return _kit(x).dense(x, dtype, out)

    def obs_frame(self) -> pd.DataFrame:
        """The labels decoded, as a DataFrame indexed by global row number.

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
        return pd.DataFrame(columns, index=pd.Index(kit.to_numpy(self["index"]), name="row"))

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

    # DataLoader workers send batches through here; tensors go by shared memory.
    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), dict(self), dict(self._categories)))

    def __repr__(self) -> str:
        if "X" not in self:
            return f"<Batch with {', '.join(self) or 'nothing'}>"
        x = self["X"]
        labels = ", ".join(self.get("obs", {})) or "none"
        return f"<Batch of {x.shape[0]:,} x {x.shape[1]:,}: X {_kit(x).describe(x)}, obs: {labels}>"


def _rebuild(cls: type[Batch], arrays: dict[str, Any], categories: dict[str, list[str]]) -> Batch:
    batch = cls(arrays)
    object.__setattr__(batch, "_categories", categories)
    return batch


def make_batch(
    x: Any, obs: dict[str, Any], index: Any, total: Any, categories: Mapping[str, list[str]]
) -> Batch:
    """A Batch without detours: this runs for every batch of an epoch."""
    # X first: Lightning takes the batch size from the first tensor it finds.
    batch = Batch(X=x, obs=obs, index=index)
    if total is not None:
        batch["total"] = total
    batch.__dict__["_categories"] = categories
    return batch
