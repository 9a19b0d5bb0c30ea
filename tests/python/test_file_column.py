"""`@file`: which file a row is of, as an obs column that every Dataset has and none lists."""

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support import random_csr, random_obs, write_h5ad
from test_parquet_damage import write_lists

import penstock

SIZES = {"c.h5ad": 60, "a.h5ad": 30, "b.h5ad": 110}


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    return [
        write_h5ad(tmp_path / name, random_csr(rng, n, 12), random_obs(rng, n), chunks=50)
        for name, n in SIZES.items()
    ]


def expected() -> np.ndarray:
    return np.repeat(list(SIZES), list(SIZES.values()))


def loader_of(ds: penstock.Dataset, **options) -> penstock.Loader:
    return penstock.Loader(ds, batch_size=16, memory="32MB", to="numpy", **options)


def names_of(loader: penstock.Loader) -> dict[int, str]:
    """The file of each row that came, by its global number."""
    came = {}
    for batch in loader:
        codes = np.asarray(batch.obs["@file"])
        assert codes.dtype == np.int64
        came |= dict(zip(np.asarray(batch.index).tolist(), codes.tolist(), strict=True))
    return {row: loader.categories["@file"][code] for row, code in came.items()}


def test_as_a_column(files):
    ds = penstock.open(files)
    column = ds.obs["@file"]
    assert isinstance(column.dtype, pd.CategoricalDtype) and list(column.cat.categories) == list(SIZES)
    assert column.tolist() == expected().tolist()
    assert ds[column == "b.h5ad"].n_obs == 110
    assert ds[20:70].obs["@file"].tolist() == expected()[20:70].tolist()
    assert "@file" in ds.obs and "@file" not in ds.obs.columns and "@file" not in list(ds.obs)
    assert "@file" not in ds.obs.head() and "@file" not in ds.to_anndata().obs
    assert ds.categories("@file") == sorted(SIZES)
    with pytest.raises(KeyError, match="@fil"):
        ds.obs["@fil"]


@pytest.mark.parametrize("world_size", [1, 2])
def test_as_a_label(files, world_size):
    ds = penstock.open(files)[::2]
    came = {}
    for rank in range(world_size):
        loader = loader_of(ds, obs=["colour", "@file"], rank=rank, world_size=world_size)
        came |= names_of(loader)
    rows = np.arange(200)[::2]
    assert {row: name for row, name in came.items() if row >= 0} == dict(
        zip(rows.tolist(), expected()[rows].tolist(), strict=True)
    )
    batch = loader_of(ds, obs="@file", shuffle=False).peek()
    assert batch.obs_frame()["@file"].tolist() == expected()[::2][:16].tolist()


def test_given_categories_and_resume(files):
    ds = penstock.open(files)
    loader = loader_of(ds, obs={"@file": ["b.h5ad", "a.h5ad"]}, shuffle=False)
    codes = np.concatenate([batch.obs["@file"] for batch in loader])
    assert codes.tolist() == [-1] * 60 + [1] * 30 + [0] * 110
    loader = loader_of(ds, obs=["@file"], seed=3)
    it = iter(loader)
    for _ in range(4):
        next(it)
    state = loader.state_dict()
    rest = [np.asarray(batch.obs["@file"]).tolist() for batch in it]
    again = loader_of(ds, obs=["@file"], seed=3)
    again.load_state_dict(state)
    assert [np.asarray(batch.obs["@file"]).tolist() for batch in again] == rest


def test_balance_weights_split_query_and_mixing(files):
    ds = penstock.open(files)
    loader = loader_of(ds, obs=["@file"], balance="@file", epoch_size=300)
    counts = collections.Counter(np.concatenate([batch.obs["@file"] for batch in loader]).tolist())
    assert set(counts.values()) == {100}
    weighted = loader_of(ds, obs=["@file"], weights={"@file": {"b.h5ad": 0.0}}, epoch_size=90)
    assert set(names_of(weighted).values()) == {"a.h5ad", "c.h5ad"}
    train, test = ds.split([0.5, 0.5], group_by="@file", seed=0)
    assert not set(train.obs["@file"]) & set(test.obs["@file"]) and train.n_obs + test.n_obs == 200
    assert ds.query("`@file` == 'a.h5ad'").n_obs == 30
    assert ds.query("`@file` in ['a.h5ad', 'b.h5ad'] and n >= 0").n_obs <= 140
    assert ds.query("`@file` != @which", which="b.h5ad").n_obs == 90
    mixing = loader_of(ds).mixing("@file")
    assert mixing.n_categories == 3 and mixing.entropy_file_order < mixing.entropy


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for plate in ("plate1", "plate2"):
        (tmp_path / plate).mkdir()
        paths.append(write_h5ad(tmp_path / plate / "cells.h5ad", random_csr(rng, 5, 4)))
    assert penstock.open(paths).obs["@file"].tolist() == [paths[0]] * 5 + [paths[1]] * 5
    assert penstock.open(paths[0]).obs["@file"].tolist() == ["cells.h5ad"] * 5
    # One file given twice is one file.
    assert list(penstock.open([paths[0]] * 2).obs["@file"].cat.categories) == ["cells.h5ad"]


def test_a_column_of_this_name_comes_first(tmp_path):
    obs = pd.DataFrame({"@file": pd.Categorical(["x", "y", "x"])}, index=list("abc"))
    path = write_h5ad(tmp_path / "a.h5ad", random_csr(np.random.default_rng(0), 3, 4), obs)
    ds = penstock.open(path)
    assert ds.obs["@file"].tolist() == ["x", "y", "x"] and list(ds.obs.columns) == ["@file"]


def test_parquet(tmp_path):
    layout = write_lists(tmp_path)
    ds = penstock.open(layout.open)
    assert set(names_of(loader_of(ds, obs=["@file"])).values()) == {"a.parquet"}
