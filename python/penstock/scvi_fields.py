"""What a model of scvi-tools takes from each row: columns of obs, the numbers of their categories, tensors of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from penstock.batch import Batch
from penstock.dataset import Dataset
from penstock.errors import not_found

__all__ = ["TOTAL", "Categories", "Fields", "Tensors", "categories_of"]

# The name of a size factor that is no column but the rows' totals.
TOTAL = "penstock_total"

Categories = np.ndarray[Any, Any]


def _sample(dataset: Dataset, column: str, argument: str) -> pd.Series[Any]:
    """A row of a column, for its type."""
    if column not in dataset.obs:
        raise not_found(f"{argument}: obs has no column", column, dataset.obs.columns)
    found: pd.Series[Any] = dataset[:1].obs[column]
    return found


def _is_text(sample: pd.Series[Any]) -> bool:
    """Batches hold codes of it, not values."""
    return isinstance(sample.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(sample.dtype)


def categories_of(datasets: Sequence[Dataset], column: str, argument: str) -> Categories:
    """The categories of a column in any of the Datasets, each once, in the order of their codes.

    A categorical has those of all rows of its files, in their own type, and so have strings; integers have those of
    the Datasets' rows, ascending; booleans have False and True.

    Raises
    ------
    KeyError
        A Dataset has no such column.
    TypeError
        The column holds floating-point numbers.
    """
    parts: list[Any] = []
    for dataset in datasets:
        sample = _sample(dataset, column, argument)
        if isinstance(sample.dtype, pd.CategoricalDtype):
            parts.append(sample.cat.categories.to_numpy())
        elif _is_text(sample):
            parts.append(np.array(dataset.categories(column), dtype=object))
        elif pd.api.types.is_bool_dtype(sample.dtype):
            parts.append(np.array([False, True]))
        elif pd.api.types.is_integer_dtype(sample.dtype):
            values = np.unique(dataset.obs[column].dropna().to_numpy())
            if values.size and values[-1] > np.iinfo(np.int64).max:
                raise ValueError(f"{argument}={column!r} holds {values[-1]}, which is no int64: labels are")
            parts.append(values.astype(np.int64))
        else:
            raise TypeError(
                f"{argument}={column!r} holds {sample.dtype}: categories are strings, categoricals, integers or "
                "booleans (continuous_covariate_keys takes numbers)"
            )
    together: Categories = pd.unique(np.concatenate(parts))
    return np.sort(together) if together.dtype.kind == "i" else together


@dataclasses.dataclass(frozen=True)
class Fields:
    """Which columns of obs the model takes as what; None and () where there is none."""

    batch: str | None = None
    labels: str | None = None
    sample: str | None = None
    size_factor: str | None = None  # TOTAL: no column but the rows' totals
    categorical: tuple[str, ...] = ()
    continuous: tuple[str, ...] = ()
    # The label of rows without one.
    unlabeled: str | int | None = None
    # Of each column that has codes: the code of a row is the position of its value.
    categories: dict[str, Categories] = dataclasses.field(default_factory=dict)

    def with_categories(
        self, datasets: Sequence[Dataset], given: Mapping[str, Sequence[Any] | Categories]
    ) -> Fields:
        """The same with the categories of the Datasets, but for columns whose categories are given.

        Raises
        ------
        KeyError
            There is no such column, or categories are given for another one.
        TypeError, ValueError
            A column holds floating-point numbers; ``unlabeled`` is no label of the column's type; categories that are
            given contain duplicates.
        """
        columns = {column: argument for argument, column in self.coded()}
        for column in given:
            if column not in columns:
                raise not_found("categories: the model takes no column", column, columns)
        found: dict[str, Categories] = {}
        for column, argument in columns.items():
            if column not in given:
                found[column] = categories_of(datasets, column, argument)
                continue
            found[column] = pd.Index(given[column]).to_numpy()
            if len(np.unique(found[column])) < len(found[column]):
                raise ValueError(f"the categories given for {column!r} contain duplicates")
        if self.labels is not None and self.unlabeled is not None:
            found[self.labels] = self._unlabeled_last(datasets, found[self.labels])
        return dataclasses.replace(self, categories=found)

    def _unlabeled_last(self, datasets: Sequence[Dataset], labels: Categories) -> Categories:
        others = labels[labels != self.unlabeled]
        missing = f"`{self.labels}`.isnull()"
        if len(others) == len(labels) and not any(len(dataset.query(missing)) for dataset in datasets):
            return labels  # there is no such row
        if (labels.dtype.kind == "O") != isinstance(self.unlabeled, str):
            raise TypeError(
                f"unlabeled_category={self.unlabeled!r}, but the labels are {labels[:2].tolist()}, ..."
            )
        return np.append(others, np.array([self.unlabeled], dtype=labels.dtype))

    @property
    def takes_unlabeled(self) -> bool:
        """Rows may be without a label: they have its last category."""
        return (
            self.labels is not None
            and self.unlabeled is not None
            and bool(np.any(self.categories[self.labels] == self.unlabeled))
        )

    def coded(self) -> Iterator[tuple[str, str]]:
        """The argument and the column of each field of categories."""
        single = {"batch_key": self.batch, "label_key": self.labels, "sample_key": self.sample}
        yield from ((argument, column) for argument, column in single.items() if column is not None)
        yield from (("categorical_covariate_keys", column) for column in self.categorical)

    def measured(self) -> Iterator[tuple[str, str]]:
        """The argument and the column of each field of numbers."""
        if self.size_factor is not None and self.size_factor != TOTAL:
            yield "size_factor_key", self.size_factor
        yield from (("continuous_covariate_keys", column) for column in self.continuous)

    def loader_options(self, dataset: Dataset) -> dict[str, Any]:
        """What a Loader of the Dataset must send along."""
        obs: dict[str, list[str] | None] = {column: None for _, column in self.measured()}
        for argument, column in self.coded():
            if _is_text(_sample(dataset, column, argument)):
                obs[column] = [str(value) for value in self.categories[column]]
            else:
                obs[column] = None
        return {"obs": obs, "totals": self.size_factor == TOTAL}

    def check(self, dataset: Dataset, name: str) -> None:
        """Looks through the columns of a Dataset, in blocks: all that the model takes is there and known.

        Raises
        ------
        ValueError
            A value is missing, or none of the categories; the message names the first such row.
        TypeError
            A column of numbers holds something else.
        """

        def rows(wrong: Dataset) -> str:
            path, row = wrong.locate(wrong._handle.global_rows(0, 1)[0])
            return f"{len(wrong):,} of the {len(dataset):,} rows of {name} (the first: row {row:,} of {path})"

        def refuse_missing(argument: str, column: str, missing: Dataset, hint: str = "") -> None:
            if len(missing):
                raise ValueError(
                    f"{argument}={column!r} has no value in {rows(missing)}. Leave them out: "
                    f'{name}.query("`{column}`.notnull()"){hint}'
                )

        for argument, column in self.coded():
            known = self.categories[column].tolist()
            wrong = dataset.query(f"`{column}` not in @known", known=known)
            unknown = wrong.query(f"`{column}`.notnull()")
            if len(unknown):
                raise ValueError(
                    f"{argument}={column!r} has none of its {len(known):,} categories in {rows(unknown)}, but "
                    f"{unknown[:1].obs[column].iloc[0]!r}. A model keeps the categories that it was made with; "
                    f"a new one takes all of them from categories={{{column!r}: [...]}}. Or leave the rows out: "
                    f'{name}.query("`{column}` in @known")'
                )
            if argument != "label_key":
                refuse_missing(argument, column, wrong)
            elif not self.takes_unlabeled:
                refuse_missing(argument, column, wrong, ', or give unlabeled_category="Unknown"')
        for argument, column in self.measured():
            sample = _sample(dataset, column, argument)
            if _is_text(sample):
                raise TypeError(f"{argument}={column!r} holds {sample.dtype}; it must hold numbers")
            refuse_missing(argument, column, dataset.query(f"`{column}`.isnull()"))


class Tensors:
    """A `Loader`'s ``transform``: makes of each Batch the dict of tensors that the model takes.

    ``X`` as in the Batch; ``batch`` and ``labels`` int64 (rows, 1), zeros where the model has no such column. Where it
    has: ``extra_categorical_covs`` int64 and ``extra_continuous_covs`` float32 (rows, columns), ``size_factor`` float32
    (rows, 1), ``sample`` and with it ``ind_x``, the global row numbers, int64 (rows, 1).

    Parameters
    ----------
    fields
        What to take.
    paired
        Make (dict, dict of the labelled rows; None where no row is) of it: what semi-supervised plans take.
    """

    def __init__(self, fields: Fields, *, paired: bool = False) -> None:
        self._fields = fields
        self._paired = paired
        # Columns of numbers come as values: here are the values, ascending, and the code of each.
        self._numbers: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for column, values in fields.categories.items():
            if values.dtype.kind in "ib":
                order = np.argsort(values)
                self._numbers[column] = (
                    torch.from_numpy(values[order].astype(np.int64)),
                    torch.from_numpy(order),
                )

    def _codes(self, batch: Batch, column: str) -> torch.Tensor:
        """(rows, 1). `Fields.check` has seen that every value has a code, or is an unlabelled row's."""
        values: torch.Tensor = batch["obs"][column]
        if batch._categories.get(column) is None:
            ascending, codes = self._numbers[column]
            known = values.isfinite()
            values = codes[torch.searchsorted(ascending, values.where(known, ascending[0]).long())]
            values = values.masked_fill(~known, -1)
        return values[:, None]

    def __call__(self, batch: Batch) -> Any:
        fields, obs = self._fields, batch["obs"]
        none = torch.zeros(batch.n_obs, 1, dtype=torch.int64)
        tensors = {"X": batch["X"], "batch": none, "labels": none}
        if fields.batch is not None:
            tensors["batch"] = self._codes(batch, fields.batch)
        if fields.labels is not None:
            labels = self._codes(batch, fields.labels)
            tensors["labels"] = labels.masked_fill(labels < 0, len(fields.categories[fields.labels]) - 1)
        if fields.categorical:
            tensors["extra_categorical_covs"] = torch.cat(
                [self._codes(batch, c) for c in fields.categorical], 1
            )
        if fields.continuous:
            tensors["extra_continuous_covs"] = torch.stack([obs[c].float() for c in fields.continuous], 1)
        if fields.size_factor is not None:
            factor = batch["total"] if fields.size_factor == TOTAL else obs[fields.size_factor]
            tensors["size_factor"] = factor.float()[:, None]
        if fields.sample is not None:
            tensors["sample"] = self._codes(batch, fields.sample)
            tensors["ind_x"] = batch["index"][:, None]
        return (tensors, self._labelled(tensors)) if self._paired else tensors

    def _labelled(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
        fields = self._fields
        if not fields.takes_unlabeled or fields.labels is None:
            return tensors
        chosen = tensors["labels"][:, 0] < len(fields.categories[fields.labels]) - 1
        return {key: value[chosen] for key, value in tensors.items()} if chosen.any() else None
