"""For scvi-tools: its models train on files larger than memory, with what they take from each row named once."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

try:
    import scvi
    import torch
    from lightning.pytorch.utilities import CombinedLoader

    from penstock import lightning
    from penstock.scvi_fields import TOTAL, Fields, Tensors
    from penstock.scvi_registry import make_registry
except ImportError as error:
    raise ImportError("penstock.scvi needs scvi-tools: pip install scvi-tools") from error

from penstock import _core
from penstock import torch as kit
from penstock.budget import MemoryBudget
from penstock.dataset import Dataset
from penstock.loader import Loader

__all__ = ["PenstockDataModule"]

# What this module decides, not the user.
_OURS = {
    "obs": "batch_key=, label_key=, ... name the columns",
    "transform": "a model takes what its registry says",
    "to": "models take tensors",
    "shuffle": "training rows are shuffled, all others are not",
}


class PenstockDataModule(lightning.PenstockDataModule):
    """Training and validation rows of a model of scvi-tools, and the registry that describes them.

    The batches have the keys that the model's ``setup_anndata`` would register, and `registry` is the one that it would
    write, so that a model trained on files is saved and loaded like any other, and takes AnnData afterwards. Memory,
    ranks and resuming are those of `penstock.lightning.PenstockDataModule`.

    Parameters
    ----------
    train, val
        Datasets of counts: ``penstock.open(path, matrix="raw/X")``, or ``matrix="layers/counts"``. Other values in X
        while counts are elsewhere draw a warning.
    model
        The class of the model: `scvi.model.SCVI`, ``LinearSCVI``, ``SCANVI``, `scvi.external.TorchMRVI`, ...
    batch_key, label_key, sample_key
        Columns of obs with categories: strings, categoricals, integers or booleans.
    unlabeled_category
        The label of rows without one; a missing label counts as it. SCANVI needs it, and so does an SCVI that is to
        become one by ``SCANVI.from_scvi_model``.
    size_factor_key
        A column of numbers to scale the expected counts with.
    totals
        Instead: each row's sum over all genes of its file, also when a panel of genes is selected.
    categorical_covariate_keys, continuous_covariate_keys
        Columns of categories, and of numbers.
    categories
        {column: its categories in the order of their codes}, where they are not those that training and validation
        have: more batches are to come, for instance.
    batch_size
        Rows per batch. No batch has a single row, of which batch normalisation can make nothing.
    memory
        Of all loaders together, shared evenly by those of training and validation (and of the labelled rows, for
        SCANVI; two at least). See `penstock.lightning.PenstockDataModule`.
    evaluation
        See `penstock.lightning.PenstockDataModule`.
    **options
        Options of `penstock.Loader`: ``seed``, ``drop_last``, ``threads``, ... With ``format="csr"`` batches are made
        dense where the model is, which saves copies to a GPU.

    Raises
    ------
    ImportError
        When ``penstock.scvi`` is imported without scvi-tools.
    KeyError
        obs has no such column.
    ValueError
        A row has no value in one of the columns, or a category that is not known; the message names the first. The
        columns are looked through once when the module is made.
    TypeError
        The model takes no such column, or needs one; a column holds the wrong type.

    Examples
    --------
    >>> ds = penstock.open("atlas.h5ad", matrix="raw/X")
    >>> data = PenstockDataModule(**ds.split({"train": 0.9, "val": 0.1}), batch_key="donor", memory="4GB")
    >>> model = scvi.model.SCVI(registry=data.registry)
    >>> model.train(max_epochs=20, datamodule=data)
    >>> latent = model.get_latent_representation(dataloader=data.inference_dataloader(ds))
    >>> pd.DataFrame(latent, index=ds.obs_names)
    """

    def __init__(
        self,
        train: Dataset,
        val: Dataset | None = None,
        *,
        model: type = scvi.model.SCVI,
        batch_key: str | None = None,
        label_key: str | None = None,
        unlabeled_category: str | int | None = None,
        sample_key: str | None = None,
        size_factor_key: str | None = None,
        totals: bool = False,
        categorical_covariate_keys: Sequence[str] | None = None,
        continuous_covariate_keys: Sequence[str] | None = None,
        categories: Mapping[str, Sequence[Any]] | None = None,
        batch_size: int = 128,
        memory: int | str | MemoryBudget = "1GB",
        evaluation: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        for name in {**options, **(evaluation or {})}:
            if name in _OURS:
                raise TypeError(f"PenstockDataModule takes no {name}: {_OURS[name]}")
        if totals and size_factor_key is not None:
            raise TypeError("give size_factor_key or totals, not both: a row has one size factor")
        for name, keys in (
            ("categorical_covariate_keys", categorical_covariate_keys),
            ("continuous_covariate_keys", continuous_covariate_keys),
        ):
            if isinstance(keys, str):
                raise TypeError(f'{name} is a list of columns: {name}=["{keys}"]')
        # Semi-supervised plans take pairs of batches: any rows, and labelled ones, which are drawn for themselves
        # where they are not all.
        self._paired = "datamodule" in inspect.signature(model).parameters
        if not isinstance(memory, MemoryBudget):
            own_labelled = self._paired and unlabeled_category is not None
            memory = MemoryBudget(memory, loaders=max(2, 1 + (val is not None) + own_labelled))
        super().__init__(
            train,
            val,
            memory=memory,
            evaluation=evaluation,
            batch_size=batch_size,
            **{"format": "dense", **options},
        )
        self._train = train
        parts = {"train": train} if val is None else {"train": train, "val": val}
        if val is not None:
            self._refuse_other_genes(val, "val")
        self._fields = Fields(
            batch=batch_key,
            labels=label_key,
            sample=sample_key,
            size_factor=TOTAL if totals else size_factor_key,
            categorical=tuple(categorical_covariate_keys or ()),
            continuous=tuple(continuous_covariate_keys or ()),
            unlabeled=unlabeled_category,
        ).with_categories(list(parts.values()), categories or {})
        for name, part in parts.items():
            self._fields.check(part, name)
        for note in train.notes:
            if note.kind == "not_counts":  # as setup_anndata warns
                warnings.warn(note, stacklevel=2)
        layer = train.matrix.removeprefix("layers/")
        self._registry = make_registry(
            model,
            scvi.__version__,
            None if layer == train.matrix else layer,
            self._fields,
            self.n_obs,
            np.asarray(train.var_names),
            None if sample_key is None else torch.tensor(self._counts(sample_key), dtype=torch.float32),
        )
        if self._paired and self._fields.takes_unlabeled:
            known = self._fields.categories[str(label_key)][:-1].tolist()
            labelled = train.query(f"`{label_key}` in @known", known=known)
            self._datasets["labelled"] = labelled
            if not len(labelled):
                raise ValueError(f"label_key={label_key!r}: no row of train has a label")

    @classmethod
    def of_model(
        cls,
        model: Any,
        train: Dataset,
        val: Dataset | None = None,
        **options: Any,
    ) -> PenstockDataModule:
        """The rows of other files for a model that is there: with its columns, categories and genes.

        Parameters
        ----------
        model
            A model of scvi-tools, trained or loaded, on files or on AnnData.
        train, val
            Datasets. Genes are chosen by name, in the model's order. Without the column of labels they are for
            inference alone: what SCANVI predicts labels for.
        **options
            ``batch_size``, ``memory`` and others of `PenstockDataModule`, which take precedence over what the model
            knows.

        Raises
        ------
        KeyError, ValueError
            A Dataset lacks a column or a gene of the model, a row has a category that the model does not know, or
            ``categories`` are given that are not the model's.

        Examples
        --------
        >>> model = scvi.model.SCVI.load("model")
        >>> data = PenstockDataModule.of_model(model, penstock.open("new.h5ad", matrix="raw/X"), memory="1GB")
        >>> latent = model.get_latent_representation(dataloader=data.inference_dataloader())
        """
        keys, fields = model.registry["setup_args"], model.registry["field_registries"]

        def state(field: str) -> dict[str, Any]:
            return dict(fields.get(field, {}).get("state_registry", {}))

        columns = {
            "batch": keys.get("batch_key"),
            "labels": keys.get("labels_key"),
            "sample": keys.get("sample_key"),
        }
        kind, unlabeled = type(model), state("labels").get("unlabeled_category")
        if columns["labels"] is not None and columns["labels"] not in train.obs:
            # Nothing to learn labels from, and inference does not look at them.
            columns["labels"], kind, unlabeled = None, scvi.model.SCVI, None
        categories = dict(state("extra_categorical_covs").get("mappings", {}))
        for field, column in columns.items():
            if column is not None:
                categories[column] = state(field)["categorical_mapping"]
        for column, given in options.get("categories", {}).items():
            if column in categories and list(given) != list(categories[column]):
                raise ValueError(
                    f"categories={{{column!r}: ...}}: the model has {len(categories[column]):,} of its own, to whose "
                    "numbers its weights belong. Leave rows with other values out, or train a new model"
                )
        totals = keys.get("size_factor_key") == TOTAL
        genes = [str(name) for name in state("X")["column_names"]]

        def panel(dataset: Dataset) -> Dataset:
            return dataset if list(dataset.var_names) == genes else dataset.select_vars(genes)

        known = {
            "model": kind,
            "batch_key": columns["batch"],
            "label_key": columns["labels"],
            "sample_key": columns["sample"],
            "unlabeled_category": unlabeled,
            "size_factor_key": None if totals else keys.get("size_factor_key"),
            "totals": totals,
            "categorical_covariate_keys": keys.get("categorical_covariate_keys"),
            "continuous_covariate_keys": keys.get("continuous_covariate_keys"),
            "categories": categories,
        }
        return cls(panel(train), None if val is None else panel(val), **{**known, **options})

    def inference_dataloader(self, dataset: Dataset | None = None, **options: Any) -> Loader:
        """Batches of every row once, in the order of ``dataset.obs_names``, for the model's ``dataloader=``.

        Parameters
        ----------
        dataset
            Which rows; None: the training rows. It needs the genes and the columns that training has.
        **options
            Options of `penstock.Loader` where they differ: ``batch_size``, ``memory``. It takes a share of
            the module's memory, which must not be held by others (fitting gives back what it took), and gives it back
            when it is closed or forgotten.

        Returns
        -------
        penstock.Loader
            Of dicts of tensors, on this process alone whatever the number of ranks.

        Raises
        ------
        ValueError
            The Dataset has other genes, or a row that the model cannot take (see `PenstockDataModule`).

        Examples
        --------
        >>> latent = model.get_latent_representation(dataloader=data.inference_dataloader(ds))
        >>> elbo = model.get_elbo(dataloader=data.inference_dataloader(val, batch_size=1024))
        """
        if dataset is None:
            dataset = self._train
        else:
            self._refuse_other_genes(dataset, "dataset")
            self._fields.check(dataset, "dataset")
        chosen = {
            "memory": self._budget,
            **self._evaluation,
            "format": "dense",
            "rank": 0,
            "world_size": 1,
            "transform": Tensors(self._fields),
            **self._fields.loader_options(dataset),
            **options,
        }
        return Loader(dataset, **chosen)

    # --- what scvi-tools asks for ---

    @property
    def registry(self) -> dict[str, Any]:
        """What the model is made from: ``SCVI(registry=data.registry)``."""
        return self._registry

    @property
    def n_train(self) -> int:
        """Training rows."""
        return len(self._train)

    @property
    def n_val(self) -> int:
        """Validation rows."""
        return len(self._datasets["val"] or ())

    @property
    def n_obs(self) -> int:
        """Training and validation rows."""
        return self.n_train + self.n_val

    @functools.cached_property
    def labels_(self) -> pd.Categorical:
        """The label of each training row, for SCANVI. Read at the first use and kept, 1 to 4 bytes a row."""
        column = self._fields.labels
        if column is None:
            raise AttributeError("this PenstockDataModule has no label_key")
        labels = pd.Categorical(self._train.obs[column], categories=self._fields.categories[column])
        return labels.fillna(self._fields.unlabeled) if self._fields.takes_unlabeled else labels

    # For ``save(datamodule=)`` of models that are loaded with the module: the sizes of their networks, and codes.

    @property
    def n_vars(self) -> int:
        return self._train.n_vars

    @property
    def n_batch(self) -> int:
        return self._size("batch")

    @property
    def n_labels(self) -> int:
        return self._size("labels") - (self._paired and self._fields.takes_unlabeled)

    @property
    def n_samples(self) -> int:
        return 0 if self._fields.sample is None else self._size("sample")

    @property
    def batch_labels(self) -> np.ndarray[Any, Any]:
        return self._mapping("batch")

    @property
    def label_keys(self) -> np.ndarray[Any, Any]:
        return self._mapping("labels")

    def _mapping(self, field: str) -> np.ndarray[Any, Any]:
        mapping: np.ndarray[Any, Any] = self._registry["field_registries"][field]["state_registry"][
            "categorical_mapping"
        ]
        return mapping

    def _size(self, field: str) -> int:
        return len(self._mapping(field))

    def _refuse_other_genes(self, dataset: Dataset, name: str) -> None:
        if not dataset.var_names.equals(self._train.var_names):
            raise ValueError(f"{name} has other genes than train: {name}.select_vars(train.var_names)")

    def _counts(self, column: str) -> list[int]:
        counts = self._train.obs[column].value_counts()
        return [int(counts.get(value, 0)) for value in self._fields.categories[column]]

    # --- loaders ---

    def _options_of(self, name: str) -> dict[str, Any]:
        options = super()._options_of("train" if name == "labelled" else name)
        if name == "labelled":
            options = {key: value for key, value in options.items() if key not in ("weights", "epoch_size")}
            if not isinstance(options.get("balance"), str):  # labels of the rows of train
                options.pop("balance", None)
        dataset = self._datasets[name]
        assert dataset is not None
        paired = self._paired and not (name in ("train", "labelled") and "labelled" in self._datasets)
        return {
            **options,
            **self._fields.loader_options(dataset),
            "transform": Tensors(self._fields, paired=paired),
        }

    def train_dataloader(self) -> Any:
        if "labelled" not in self._datasets:
            return super().train_dataloader()
        return CombinedLoader([self.loader("train"), self.loader("labelled")], "max_size_cycle")

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Makes X dense on the model's device, with ``format="csr"``."""
        for tensors in batch if isinstance(batch, (list, tuple)) else (batch,):
            if tensors is not None:
                tensors["X"] = kit.dense(tensors["X"], None, None, _core.Densifier())
        return batch
