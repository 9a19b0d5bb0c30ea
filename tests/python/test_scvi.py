"""penstock.scvi: models of scvi-tools on files, beside the same models on AnnData in memory."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import framework, run_python, write_h5ad

import penstock

scvi = framework("scvi")
import torch  # noqa: E402

from penstock.scvi import PenstockDataModule  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

# Small models: what is tested is what they are fed.
TINY = {"n_hidden": 32, "n_latent": 4}
RUN = {"accelerator": "cpu", "enable_progress_bar": False, "logger": None}


@dataclasses.dataclass
class Cells:
    """Counts of four kinds of cells in one file, and the same in memory."""

    path: str
    adata: anndata.AnnData

    def open(self, matrix: str = "X") -> penstock.Dataset:
        return penstock.open(self.path, matrix=matrix)


def make_cells(folder: Path, n_obs: int, n_vars: int, seed: int, **layout: Any) -> Cells:
    """X are logarithms of the counts; the counts are in raw/X, with more genes, and in layers/counts."""
    rng = np.random.default_rng(seed)
    kind, donor = rng.integers(0, 4, n_obs), rng.integers(0, 3, n_obs)
    rates = np.exp(rng.normal(-0.5, 1, (4, n_vars + 20)))
    depth = rng.lognormal(0, 0.3, (n_obs, 1))
    counts = sp.csr_matrix(rng.poisson(rates[kind] * depth).astype(np.float32))
    kinds = np.array(["T", "B", "NK", "mono"], dtype=object)[kind]
    hidden = rng.random(n_obs) < 0.7
    obs = pd.DataFrame(
        {
            "donor": pd.Categorical.from_codes(donor, ["d2", "d0", "d1"]),
            "kind": kinds,
            "some": np.where(hidden, "Unknown", kinds),
            "known": pd.Categorical(np.where(hidden, None, kinds)),
            "plate": rng.integers(0, 3, n_obs) * 5 + 2,
            "day": pd.Categorical(rng.integers(0, 12, n_obs)),
            "flag": rng.random(n_obs) < 0.5,
            "score": rng.normal(size=n_obs).astype(np.float32),
            "age": rng.integers(20, 80, n_obs),
            "holes": np.where(np.arange(n_obs) == 7, np.nan, 1.0),
            "total": np.asarray(counts[:, :n_vars].sum(axis=1)).ravel(),
        },
        index=[f"cell{i}" for i in range(n_obs)],
    )
    narrow = counts[:, :n_vars]
    x = narrow.copy()
    x.data = np.log1p(x.data)
    path = write_h5ad(folder / "cells.h5ad", x, obs, raw=counts, layers={"counts": narrow}, **layout)
    return Cells(path, anndata.read_h5ad(path))


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    return make_cells(tmp_path_factory.mktemp("cells"), 700, 40, seed=3)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # scvi-tools and Lightning write logs.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scvi.settings, "logging_dir", tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    scvi.settings.seed = 0
    yield
    torch.set_num_threads(before)


def joined(batches: Any) -> dict[str, torch.Tensor]:
    parts = [{key: tensor.clone() for key, tensor in batch.items()} for batch in batches]
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def as_setup(keys: dict[str, Any]) -> dict[str, Any]:
    """Arguments of the data module as those of setup_anndata."""
    return {{"label_key": "labels_key"}.get(name, name): value for name, value in keys.items()}


def in_memory(cells: Cells, model: Any, keys: dict[str, Any], rows: Any = slice(None)) -> Any:
    """The model on AnnData in memory, of the layer of counts."""
    adata = cells.adata[rows].copy()
    model.setup_anndata(adata, layer="counts", **as_setup(keys))
    return model(adata, **TINY)


def same(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, dict):
        assert set(found) == set(expected), where
        for key, value in expected.items():
            same(found[key], value, f"{where}.{key}")
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected, err_msg=where)
        assert found.dtype.kind == expected.dtype.kind, where
    else:
        assert found == expected, where


KEYS: dict[str, list[Any]] = {
    "batch_key": [None, "donor", "plate", "flag"],
    "label_key": [None, "kind", "donor", "plate"],
    "size_factor_key": [None, "total", "age"],
    "categorical_covariate_keys": [None, ["plate"], ["kind", "day"], ["flag", "day", "plate"]],
    "continuous_covariate_keys": [None, ["score"], ["age", "flag", "score"]],
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_registry_and_batches_are_those_of_anndata(cells: Cells, data: st.DataObject) -> None:
    keys = {name: data.draw(st.sampled_from(choices), name) for name, choices in KEYS.items()}
    rows = data.draw(st.sampled_from([slice(None), slice(100, 611), slice(0, 700, 3)]), "rows")
    size = data.draw(st.sampled_from([1, 64, 1000]), "batch_size")
    ds = cells.open("layers/counts")[rows]
    module = PenstockDataModule(ds, memory="16MB", batch_size=size, **keys)
    reference = in_memory(cells, scvi.model.SCVI, keys, rows)
    expected = {key: value for key, value in reference.registry.items() if key != "_scvi_uuid"}
    same(module.registry, {**expected, "field_registries": dict(expected["field_registries"])}, "registry")
    with module.inference_dataloader() as loader:
        found = joined(loader)
    wanted = joined(reference._make_data_loader(reference.adata))
    assert set(found) == set(wanted)
    for key, tensor in wanted.items():
        assert found[key].dtype == tensor.dtype and torch.equal(found[key], tensor), key


@pytest.mark.slow
def test_trains_on_a_file_larger_than_memory_like_in_memory(tmp_path: Path) -> None:
    cells = make_cells(tmp_path, 20_000, 230, seed=5, chunks=5_000)
    ds = cells.open("raw/X")
    keys: dict[str, Any] = {"batch_key": "donor", "categorical_covariate_keys": ["plate", "day"]}
    train, val = ds.split([0.9, 0.1], seed=0)
    assert 8 * sum(file.entries for file in ds.files) > 17_000_000  # bytes of raw/X
    module = PenstockDataModule(train, val, memory="14MB", **keys)
    model = scvi.model.SCVI(registry=module.registry)
    model.train(max_epochs=4, datamodule=module, check_val_every_n_epoch=1, **RUN)
    assert len(model.history["elbo_validation"]) == 4
    assert module._budget.peak <= 14_000_000 and module._budget.used == 0

    raw = cells.adata.raw.to_adata()
    rows = [np.flatnonzero(ds.obs_names.isin(part.obs_names)) for part in (train, val)]
    scvi.model.SCVI.setup_anndata(raw, **keys)
    scvi.settings.seed = 0
    reference = scvi.model.SCVI(raw)
    untrained = float(reference.get_elbo(raw))
    scvi.settings.seed = 0
    reference.train(
        max_epochs=4, check_val_every_n_epoch=1, datasplitter_kwargs={"external_indexing": rows}, **RUN
    )
    # The same weights at first, then other batches and other noise: over three seeds 0.1 to 0.5 % lay between the two.
    # An ELBO draws one latent vector a cell; over 20,000 cells that is less.
    found = float(model.get_elbo(dataloader=module.inference_dataloader(ds)))
    expected = float(reference.get_elbo(raw))
    assert found == pytest.approx(expected, rel=0.01)
    assert untrained < 1.2 * expected, "the bar can be missed"
    by_epoch = [m.history["elbo_validation"].to_numpy(dtype=float) for m in (model, reference)]
    np.testing.assert_allclose(by_epoch[0][-1], by_epoch[1][-1], rtol=0.01)

    latent = model.get_latent_representation(dataloader=module.inference_dataloader(ds))
    model.save(str(tmp_path / "model"))
    loaded = scvi.model.SCVI.load(str(tmp_path / "model"), adata=raw)
    assert list(raw.obs_names) == list(ds.obs_names)
    np.testing.assert_allclose(loaded.get_latent_representation(), latent, atol=1e-4)


def test_a_saved_model_is_one_like_any_other(cells: Cells, tmp_path: Path) -> None:
    """With all that a registry knows of; loaded for files, and for AnnData."""
    ds = cells.open("layers/counts")
    module = PenstockDataModule(
        ds,
        batch_key="donor",
        label_key="kind",
        totals=True,
        categorical_covariate_keys=["plate", "day"],
        continuous_covariate_keys=["score"],
        memory="16MB",
    )
    model = scvi.model.SCVI(registry=module.registry, dispersion="gene-label", **TINY)
    model.train(max_epochs=3, datamodule=module, **RUN)
    latent = model.get_latent_representation(dataloader=module.inference_dataloader())
    elbo = float(model.get_elbo(dataloader=module.inference_dataloader()))
    model.save(str(tmp_path / "model"))

    loaded = scvi.model.SCVI.load(str(tmp_path / "model"))
    assert loaded.module.use_size_factor_key
    again = PenstockDataModule.of_model(loaded, ds, memory="16MB")
    same(again.registry, module.registry, "registry")
    found = loaded.get_latent_representation(dataloader=again.inference_dataloader(batch_size=100))
    np.testing.assert_allclose(found, latent, atol=1e-5)
    # One sample a cell: the ELBO is noisy.
    found = float(loaded.get_elbo(dataloader=again.inference_dataloader()))
    assert found == pytest.approx(elbo, rel=0.02)

    adata = cells.adata.copy()
    adata.obs["penstock_total"] = adata.obs["total"]
    beside = scvi.model.SCVI.load(str(tmp_path / "model"), adata=adata)
    np.testing.assert_allclose(beside.get_latent_representation(), latent, atol=1e-5)
    assert float(beside.get_elbo()) == pytest.approx(elbo, rel=0.02)
    # It learns on.
    loaded.train(max_epochs=1, datamodule=again, **RUN)
    assert len(loaded.history["elbo_train"]) == 4


def test_a_model_takes_a_sample_of_the_files(cells: Cells) -> None:
    """``to_anndata`` has the counts where the model, trained on files or in memory, looks for them."""
    keys = {"batch_key": "donor"}
    for matrix in ("layers/counts", "raw/X"):
        ds = cells.open(matrix)
        module = PenstockDataModule(ds, memory="16MB", **keys)
        model = scvi.model.SCVI(registry=module.registry, **TINY)
        model.train(max_epochs=1, datamodule=module, **RUN)
        latent = model.get_latent_representation(dataloader=module.inference_dataloader())
        for rows in (None, [400, 7, 30]):
            # scvi-tools makes a manager for an AnnData from the registry once it knows one.
            model.setup_anndata(
                sample := ds.to_anndata(rows), **keys, layer=ds.matrix.partition("layers/")[2] or None
            )
            found = model.get_latent_representation(sample)
            np.testing.assert_allclose(found, latent if rows is None else latent[rows], atol=1e-5)
    model = in_memory(cells, scvi.model.SCVI, keys)
    model.train(max_epochs=1, **RUN)
    found = model.get_latent_representation(cells.open("layers/counts").to_anndata(slice(20, 50)))
    np.testing.assert_allclose(found, model.get_latent_representation()[20:50], atol=1e-5)


@pytest.mark.parametrize("label", ["some", "known", "kind"])
def test_scanvi(cells: Cells, label: str, tmp_path: Path) -> None:
    """Rows without a label: named so, missing, or none."""
    ds = cells.open("layers/counts")
    train, val = ds.split([0.8, 0.2], seed=0)
    module = PenstockDataModule(
        train, val, model=scvi.model.SCANVI, batch_key="donor", label_key=label, unlabeled_category="Unknown",
        memory="16MB", batch_size=64,
    )  # fmt: skip
    model = scvi.model.SCANVI(registry=module.registry, datamodule=module, **TINY)
    assert model.n_labels == 4
    model.train(max_epochs=12, datamodule=module, check_val_every_n_epoch=1, **RUN)
    assert model.history["train_accuracy"].iloc[-1].item() > 0.8
    assert model.history["validation_accuracy"].iloc[-1].item() > 0.8
    assert module._budget.used == 0
    found = np.asarray(model.predict(dataloader=module.inference_dataloader(ds)))
    assert (found == cells.adata.obs["kind"].to_numpy()).mean() > 0.8
    model.save(str(tmp_path / "model"), datamodule=module)
    loaded = scvi.model.SCANVI.load(str(tmp_path / "model"), datamodule=module)
    np.testing.assert_array_equal(loaded.predict(dataloader=module.inference_dataloader(ds)), found)
    # A file that nobody has labelled.
    nameless = cells.adata[:200].copy()
    obs = nameless.obs[["donor"]]
    path = write_h5ad(tmp_path / "new.h5ad", nameless.layers["counts"], obs, nameless.var)
    new = PenstockDataModule.of_model(loaded, penstock.open(path), memory="16MB")
    np.testing.assert_array_equal(loaded.predict(dataloader=new.inference_dataloader()), found[:200])


def test_scanvi_begins_with_an_scvi(cells: Cells) -> None:
    ds = cells.open("layers/counts")
    options: dict[str, Any] = {"label_key": "some", "unlabeled_category": "Unknown", "memory": "16MB"}
    first = PenstockDataModule(ds, **options)
    scvi_model = scvi.model.SCVI(registry=first.registry, **TINY)
    scvi_model.train(max_epochs=2, datamodule=first, **RUN)
    second = PenstockDataModule(ds, model=scvi.model.SCANVI, **options)
    model = scvi.model.SCANVI.from_scvi_model(
        scvi_model, "Unknown", registry=second.registry, datamodule=second
    )
    before = scvi_model.module.z_encoder.encoder.fc_layers[0][0].weight
    assert torch.equal(model.module.z_encoder.encoder.fc_layers[0][0].weight, before)
    model.train(max_epochs=1, datamodule=second, **RUN)


def test_mrvi_takes_samples(cells: Cells) -> None:
    ds = cells.open("layers/counts")
    mrvi = scvi.external.TorchMRVI
    module = PenstockDataModule(ds, model=mrvi, sample_key="donor", batch_key="plate", memory="16MB")
    counts = module.registry["field_registries"]["sample"]["n_obs_per_sample"]["n_obs_per_sample"]
    expected = ds.obs["donor"].value_counts()
    assert counts.tolist() == [expected[d] for d in ("d2", "d0", "d1")]
    model = mrvi(registry=module.registry)
    model.train(max_epochs=1, datamodule=module, **RUN)
    with module.inference_dataloader() as loader:
        rows = joined(loader)
    assert rows["sample"][:, 0].tolist() == ds.obs["donor"].cat.codes.tolist()
    assert rows["ind_x"][:, 0].tolist() == list(range(len(ds)))
    assert model.get_latent_representation(dataloader=module.inference_dataloader()).shape[0] == len(ds)


def test_other_files_for_a_model(cells: Cells, tmp_path: Path) -> None:
    """A model that was trained in memory meets files with its genes in another order."""
    keys: dict[str, Any] = {
        "batch_key": "donor", "categorical_covariate_keys": ["plate"], "size_factor_key": "total"
    }  # fmt: skip
    reference = in_memory(cells, scvi.model.SCVI, keys)
    reference.train(max_epochs=1, **RUN)
    expected = reference.get_latent_representation()
    order = np.random.default_rng(0).permutation(cells.adata.n_vars)
    moved = cells.adata[:300, order].copy()
    path = write_h5ad(tmp_path / "moved.h5ad", moved.layers["counts"], moved.obs, moved.var)
    module = PenstockDataModule.of_model(reference, penstock.open(path), memory="16MB")
    found = reference.get_latent_representation(dataloader=module.inference_dataloader())
    np.testing.assert_allclose(found, expected[:300], atol=1e-5)
    assert module.registry["field_registries"]["batch"]["state_registry"][
        "categorical_mapping"
    ].tolist() == list(
        reference.registry["field_registries"]["batch"]["state_registry"]["categorical_mapping"]
    )
    less = write_h5ad(tmp_path / "less.h5ad", moved.layers["counts"][:, 1:], moved.obs, moved.var[1:])
    with pytest.raises(KeyError, match=moved.var_names[0]):
        PenstockDataModule.of_model(reference, penstock.open(less), memory="16MB")
    moved.obs["plate"] = 99
    other = write_h5ad(tmp_path / "other.h5ad", moved.layers["counts"], moved.obs, moved.var)
    with pytest.raises(
        ValueError, match=r"none of its 3 categories in 300 of the 300 rows of train .*row 0 of .*99"
    ):
        PenstockDataModule.of_model(reference, penstock.open(other), memory="16MB")
    with pytest.raises(ValueError, match="the model has 3 of its own"):
        PenstockDataModule.of_model(
            reference, penstock.open(other), memory="16MB", categories={"plate": [99, 1, 2, 3]}
        )


def test_codes_are_the_same_for_every_part(cells: Cells) -> None:
    ds = cells.open("layers/counts")
    plate = ds.obs["plate"]
    # Validation has a plate that training has not; both are known from the start.
    module = PenstockDataModule(ds[plate != 7], ds[plate == 7], batch_key="plate", memory="16MB")
    assert set(joined(module.val_dataloader())["batch"].ravel().tolist()) == {1}
    assert set(joined(module.train_dataloader())["batch"].ravel().tolist()) == {0, 2}
    module.teardown()
    # A part with one donor has the code that it has everywhere.
    donor = ds.obs["donor"]
    module = PenstockDataModule(ds[donor != "d0"], ds[donor == "d1"], batch_key="donor", memory="16MB")
    assert set(joined(module.val_dataloader())["batch"].ravel().tolist()) == {2}
    module.teardown()
    # Given categories: room for what is to come, and an error for the rest.
    given = PenstockDataModule(
        ds, batch_key="donor", categories={"donor": ["d9", "d1", "d0", "d2"]}, memory="16MB"
    )
    assert given.registry["field_registries"]["batch"]["summary_stats"] == {"n_batch": 4}
    with given.inference_dataloader() as loader:
        codes = joined(loader)["batch"].ravel().numpy()
    np.testing.assert_array_equal(codes, pd.Categorical(donor, ["d9", "d1", "d0", "d2"]).codes)
    with pytest.raises(ValueError, match=r"batch_key='donor' has none of its 2 categories .* but 'd2'"):
        PenstockDataModule(ds, batch_key="donor", categories={"donor": ["d0", "d1"]}, memory="16MB")
    narrow = PenstockDataModule(ds[plate == 2], batch_key="plate", memory="16MB")
    with pytest.raises(ValueError, match=r"none of its 1 categories in .* rows of dataset"):
        narrow.inference_dataloader(ds)


def test_sparse_batches_give_the_same_training(cells: Cells) -> None:
    ds = cells.open("layers/counts")
    histories = []
    for format in ("dense", "csr"):
        module = PenstockDataModule(ds, batch_key="donor", memory="16MB", format=format)
        scvi.settings.seed = 1
        model = scvi.model.SCVI(registry=module.registry, **TINY)
        model.train(max_epochs=2, datamodule=module, **RUN)
        histories.append(model.history["elbo_train"].to_numpy(dtype=float))
        assert module.loader("train").plan.format == format
        module.teardown()
        assert model.get_latent_representation(dataloader=module.inference_dataloader()).shape == (700, 4)
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-6)


def test_a_stopped_run_goes_on_inside_the_epoch(cells: Cells, tmp_path: Path) -> None:
    from lightning.pytorch.callbacks import Callback, ModelCheckpoint

    class Seen(Callback):
        def __init__(self) -> None:
            self.sums: list[float] = []

        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
            self.sums.append(float(batch["X"].sum()) + float(batch["extra_continuous_covs"].sum()))

    def run(callbacks: list[Any], **options: Any) -> list[float]:
        seen = Seen()
        module = PenstockDataModule(
            cells.open("layers/counts"), memory="16MB", batch_size=32, continuous_covariate_keys=["score"]
        )
        model = scvi.model.SCVI(registry=module.registry, **TINY)
        model.train(max_epochs=2, datamodule=module, callbacks=[seen, *callbacks], **RUN, **options)
        return seen.sums

    whole = run([])
    saved = ModelCheckpoint(
        str(tmp_path), filename="stop", every_n_train_steps=10, save_on_train_epoch_end=False
    )
    first = run([saved], max_steps=10, enable_checkpointing=True)
    rest = run([], ckpt_path=str(tmp_path / "stop.ckpt"))
    assert len(whole) == 2 * 22 and len(first) == 10
    assert first + rest == whole


def test_no_batch_has_one_row(cells: Cells) -> None:
    ds = cells.open("layers/counts")
    module = PenstockDataModule(ds[:257], ds[257:386], memory="16MB")
    scvi.model.SCVI(registry=module.registry, **TINY).train(max_epochs=2, datamodule=module, **RUN)
    for loader, sizes in ((module.train_dataloader(), [128, 65, 64]), (module.val_dataloader(), [65, 64])):
        assert [len(batch["X"]) for batch in loader] == sizes and len(loader) == len(sizes)
    module.teardown()
    # Of two ranks with 129 rows, too.
    for rank in range(2):
        module = PenstockDataModule(ds[:258], memory="16MB", rank=rank, world_size=2)
        assert [len(batch["X"]) for batch in module.train_dataloader()] == [65, 64]
    # Inference is of all rows, on whatever rank.
    whole = PenstockDataModule(ds[:257], memory="16MB", rank=1, world_size=2).inference_dataloader()
    assert sum(len(batch["X"]) for batch in whole) == 257


def test_mistakes_are_named(cells: Cells) -> None:
    ds = cells.open("layers/counts")

    def refused(error: type[Exception], match: str, **options: Any) -> None:
        with pytest.raises(error, match=match):
            PenstockDataModule(ds, **{"memory": "16MB", **options})

    refused(KeyError, r"batch_key: obs has no column 'donr'; did you mean 'donor'\?", batch_key="donr")
    refused(KeyError, "continuous_covariate_keys: obs has no column 'x'", continuous_covariate_keys=["x"])
    missing = r"label_key='known' has no value in \d+ of the 700 rows of train \(the first: row \d+ of .*cells.h5ad\)"
    refused(ValueError, missing + r".*train\.query\(.*unlabeled_category", label_key="known")
    refused(ValueError, r"batch_key='known' has no value in", batch_key="known")
    refused(ValueError, r"'holes' has no value in 1 of the .*row 7 of", continuous_covariate_keys=["holes"])
    refused(ValueError, r"size_factor_key='holes' has no value", size_factor_key="holes")
    refused(TypeError, "'score' holds float32: categories are", batch_key="score")
    refused(TypeError, "size_factor_key='kind' holds .*must hold numbers", size_factor_key="kind")
    refused(TypeError, "is a list of columns", categorical_covariate_keys="plate")
    refused(TypeError, "not both", totals=True, size_factor_key="total")
    refused(TypeError, "takes no obs: batch_key=", obs=["donor"])
    refused(TypeError, "SCANVI needs labels_key", model=scvi.model.SCANVI, unlabeled_category="Unknown")
    refused(TypeError, "SCANVI needs unlabeled_category", model=scvi.model.SCANVI, label_key="some")
    refused(TypeError, "SCVI takes no sample_key", sample_key="donor")
    refused(TypeError, "LinearSCVI takes AnnData alone", model=scvi.model.LinearSCVI)
    semi: dict[str, Any] = {"model": scvi.model.SCANVI, "label_key": "some", "unlabeled_category": "Unknown"}
    refused(TypeError, "would be loaded without its size factor", totals=True, **semi)
    refused(
        TypeError, "without its categorical covariates", categorical_covariate_keys=["plate", "day"], **semi
    )
    refused(KeyError, "the model takes no column 'plate'", categories={"plate": [1]})
    refused(ValueError, "contain duplicates", batch_key="donor", categories={"donor": ["d0", "d0"]})
    refused(TypeError, "unlabeled_category=1, but the labels are", label_key="known", unlabeled_category=1)
    with pytest.raises(TypeError, match=r"train must be a penstock\.Dataset, not str"):
        PenstockDataModule("cells.h5ad")  # type: ignore[arg-type]
    module = PenstockDataModule(ds, memory="16MB")
    with pytest.raises(ValueError, match="other genes than train"):
        module.inference_dataloader(ds[:, :10])
    with pytest.raises(ValueError, match="val has other genes than train"):
        PenstockDataModule(ds, ds[:, ::-1], memory="16MB")
    nobody = ds[ds.obs["some"] == "Unknown"]
    with pytest.raises(ValueError, match="no row of train has a label"):
        PenstockDataModule(nobody, model=scvi.model.SCANVI, label_key="some", unlabeled_category="Unknown")


def test_memory_of_inference_is_given_back(cells: Cells) -> None:
    module = PenstockDataModule(cells.open("layers/counts"), batch_key="donor", memory="16MB")
    model = scvi.model.SCVI(registry=module.registry, **TINY)
    model.train(max_epochs=1, datamodule=module, **RUN)
    for _ in range(8):
        model.get_latent_representation(dataloader=module.inference_dataloader())
    assert module._budget.used == 0


def test_without_scvi_tools_it_says_what_to_install() -> None:
    done = run_python(
        """
        import sys
        sys.modules["scvi"] = None
        import penstock.scvi
        """
    )
    assert done.returncode != 0
    assert "penstock.scvi needs scvi-tools: pip install scvi-tools" in done.stderr


def test_values_that_are_no_counts_draw_a_warning(cells: Cells) -> None:
    with pytest.warns(UserWarning, match="not counts.*open it with matrix="):
        PenstockDataModule(cells.open("X"), memory="16MB")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PenstockDataModule(cells.open("layers/counts"), batch_key="donor", memory="16MB")
