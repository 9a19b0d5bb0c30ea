"""The registry of a model of scvi-tools: what ``setup_anndata`` would have written about the same rows in memory."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from penstock.scvi_fields import Fields

__all__ = ["make_registry"]

Registry = dict[str, Any]


def _setup_arguments(model: type, layer: str | None, fields: Fields) -> dict[str, Any]:
    """The arguments that the model's ``setup_anndata`` would be called with.

    Raises
    ------
    TypeError
        The model takes AnnData alone; it does not take one of the fields, or needs one that is not there.
    """
    if "registry" not in inspect.signature(model).parameters:
        raise TypeError(f"{model.__name__} takes AnnData alone: SCVI, SCANVI and TorchMRVI take a registry")
    given: dict[str, Any] = {
        "layer": layer,
        "batch_key": fields.batch,
        "labels_key": fields.labels,
        "sample_key": fields.sample,
        "size_factor_key": fields.size_factor,
        "categorical_covariate_keys": list(fields.categorical) or None,
        "continuous_covariate_keys": list(fields.continuous) or None,
    }
    known = inspect.signature(model.setup_anndata).parameters  # type: ignore[attr-defined]
    for name, value in given.items():
        if value is not None and name not in known:
            raise TypeError(f"{model.__name__} takes no {name}")
    given["unlabeled_category"] = fields.unlabeled
    arguments: dict[str, Any] = {}
    for name, parameter in known.items():
        if name != "adata" and parameter.kind is not parameter.VAR_KEYWORD:
            needed = parameter.default is parameter.empty
            arguments[name] = given.get(name, None if needed else parameter.default)
            if needed and arguments[name] is None:
                raise TypeError(f"{model.__name__} needs {name}")
    return arguments


def make_registry(
    model: type,
    version: str,
    layer: str | None,
    fields: Fields,
    n_obs: int,
    var_names: np.ndarray[Any, Any],
    rows_of_sample: Any,
) -> Registry:
    """The registry of `fields` over `n_obs` rows with genes `var_names`.

    `rows_of_sample` is a tensor that goes with a sample column: the rows of each sample.

    Raises
    ------
    TypeError
        The model cannot be made with these fields; the message says why.
    """
    arguments = _setup_arguments(model, layer, fields)
    registries: Registry = {
        "X": _field(
            ("X", None) if layer is None else ("layers", layer),
            {"n_obs": n_obs, "n_vars": len(var_names), "column_names": var_names},
            {"n_vars": len(var_names), "n_cells": n_obs},
        )
    }
    for key, column in (("batch", fields.batch), ("labels", fields.labels), ("sample", fields.sample)):
        if key == "sample" and column is None:
            continue
        mapping = np.zeros(1, dtype=np.int64) if column is None else fields.categories[column]
        registries[key] = _field(
            ("obs", f"_scvi_{key}"),
            {"categorical_mapping": mapping, "original_key": column or f"_scvi_{key}"},
            {f"n_{key}": len(mapping)},
        )
    if fields.unlabeled is not None:
        registries["labels"]["state_registry"]["unlabeled_category"] = fields.unlabeled
    if fields.sample is not None:
        registries["sample"]["n_obs_per_sample"] = {"n_obs_per_sample": rows_of_sample}
        registries["ind_x"] = _field(("obs", "_indices"), {}, {})
    factor = fields.size_factor
    registries["size_factor"] = _field(None if factor is None else ("obs", factor), {}, {})
    columns = list(fields.categorical)
    registries["extra_categorical_covs"] = _field(
        ("obsm", "_scvi_extra_categorical_covs") if columns else None,
        {
            "mappings": {column: fields.categories[column] for column in columns},
            "field_keys": columns,
            "n_cats_per_key": [len(fields.categories[column]) for column in columns],
        },
        {"n_extra_categorical_covs": len(columns)},
    )
    registries["extra_continuous_covs"] = _field(
        ("obsm", "_scvi_extra_continuous_covs") if fields.continuous else None,
        {"columns": np.array(fields.continuous, dtype=object)},
        {"n_extra_continuous_covs": len(fields.continuous)},
    )
    return {
        "scvi_version": version,
        "model_name": model.__name__,
        "setup_method_name": _setup_method(model, fields),
        "setup_args": arguments,
        "field_registries": registries,
    }


def _setup_method(model: type, fields: Fields) -> str:
    """How the model is loaded again.

    As one of AnnData where it can be: it is then made from the registry, and takes AnnData, too. A model that is
    itself given the data module is loaded without AnnData only as one of a data module; scvi-tools 1.4 then makes its
    network without a size factor and of the sum of all categorical covariates.
    """
    if "datamodule" not in inspect.signature(model).parameters:
        return "setup_anndata"
    lost = "size factor" if fields.size_factor is not None else "categorical covariates but one"
    if fields.size_factor is not None or len(fields.categorical) > 1:
        raise TypeError(f"{model.__name__} would be loaded without its {lost}: leave them out")
    return "setup_datamodule"


def _field(place: tuple[str, str | None] | None, state: Registry, summary: Registry) -> Registry:
    """A field's part of the registry; `place` is (attribute of AnnData, key), None for a field that is not used."""
    if place is None:
        return {"data_registry": {}, "state_registry": {}, "summary_stats": summary}
    name, key = place
    return {
        "data_registry": {"attr_name": name, "attr_key": key},
        "state_registry": state,
        "summary_stats": summary,
    }
