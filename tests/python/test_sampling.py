"""balance=, weights= and epoch_size=: which rows come how often, against the arithmetic in numpy."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from support import write_h5ad

import penstock

SIZES = [900, 40, 1300]


@pytest.fixture(scope="module", params=["h5ad", "parquet"])
def data(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, pd.DataFrame]:
    """Three files with classes of very different sizes, and a column of each kind that may be asked for."""
    rng = np.random.default_rng(5)
    folder: Path = tmp_path_factory.mktemp("sampling")
    tables, paths = [], []
    for i, n in enumerate(SIZES):
        kind = rng.choice(["T", "B", "NK", "rare"], n, p=[0.6, 0.3, 0.09, 0.01])
        obs = pd.DataFrame(
            {
                "kind": pd.Categorical(kind),
                "batch": rng.integers(-1, 3, n),
                "flag": rng.random(n) < 0.2,
                "score": rng.random(n),
                "some": pd.Categorical(np.where(rng.random(n) < 0.1, None, kind)),
            },
            index=[f"f{i}c{j}" for j in range(n)],
        )
        x = sp.random(n, 12, 0.3, "csr", np.float32, rng)
        x.data = np.ceil(x.data * 5)
        path = write_h5ad(folder / f"{i}.h5ad", x, obs, chunks=200)
        if request.param == "parquet":
            table = obs.assign(
                genes=[x.indices[a:b].astype(np.int64) for a, b in zip(x.indptr, x.indptr[1:], strict=False)],
                expressions=[x.data[a:b] for a, b in zip(x.indptr, x.indptr[1:], strict=False)],
            )
            path = str(folder / f"{i}.parquet")
            table.to_parquet(path, row_group_size=100)
        tables.append(obs)
        paths.append(path)
    options = {}
    if request.param == "parquet":
        pd.DataFrame({"token_id": range(12), "gene_symbol": [f"g{i}" for i in range(12)]}).to_csv(
            folder / "genes.csv", index=False
        )
        options["var"] = str(folder / "genes.csv")
    obs = pd.concat(tables)
    obs["kind"] = obs["kind"].astype(str)
    return penstock.open(paths, **options), obs


def times(loader: penstock.Loader, n: int, epoch: int = 0) -> np.ndarray:
    """How often each row of the files comes in an epoch."""
    loader.set_epoch(epoch)
    index = np.concatenate([np.array(batch.index) for batch in loader])
    return np.bincount(index[index >= 0], minlength=n)


def load(ds: penstock.Dataset, **options: Any) -> penstock.Loader:
    return penstock.Loader(ds, **{"batch_size": 50, "memory": "32MB", "to": "numpy", **options})


def test_classes_come_equally_often(data):
    ds, obs = data
    for column in ("kind", "batch", "flag"):
        classes = obs[column].astype(str)
        loader = load(ds, balance=column, epoch_size=4000)
        assert len(loader) == 80 and loader.plan.n_rows == 4000
        for epoch in (0, 1):
            got = times(loader, len(obs), epoch)
            assert got.sum() == 4000
            shares = pd.Series(got).groupby(classes.to_numpy()).sum() / 4000
            expected = 1 / classes.nunique()
            assert (abs(shares - expected) < 0.03 * expected + 0.005).all(), (column, shares)


def test_numbers_in_an_array_a_column_or_by_value(data):
    ds, obs = data
    rng = np.random.default_rng(0)
    array = rng.exponential(size=len(obs)) * (rng.random(len(obs)) < 0.7)
    by_value = {"T": 0.5, "rare": 20}
    cases = [
        (array, array),
        (list(array), array),
        (pd.Series(array, index=obs.index), array),
        (np.float32(array)[:, None][:, 0], np.float32(array)),
        ("score", obs["score"].to_numpy()),
        ("flag", obs["flag"].to_numpy().astype(float)),
        ({"kind": by_value}, obs["kind"].map(by_value).fillna(1.0).to_numpy()),
        ({"flag": {True: 3}}, np.where(obs["flag"], 3.0, 1.0)),
        ({"some": {"B": 0}}, (obs["some"].astype(object) != "B").to_numpy().astype(float)),
    ]
    for given_as, weights in cases:
        for epoch_size in (None, 333, 9000):
            n = len(obs) if epoch_size is None else epoch_size
            got = times(load(ds, weights=given_as, epoch_size=epoch_size), len(obs), epoch=2)
            expected = n * weights.astype(float) / weights.astype(float).sum()
            assert got.sum() == n
            assert (got >= np.floor(expected - 1e-6)).all() and (got <= np.ceil(expected + 1e-6)).all()


def test_weights_count_within_balanced_classes(data):
    ds, obs = data
    got = times(load(ds, balance="kind", weights="score", epoch_size=20_000), len(obs))
    sums = obs["score"].groupby(obs["kind"]).transform("sum")
    expected = 20_000 / obs["kind"].nunique() * (obs["score"] / sums).to_numpy()
    assert (abs(got - expected) <= 1.0 + 1e-6).all()


def test_labels_in_no_file(data):
    """Labels given in any form are balanced as a column of them would be, in the same order of rows."""
    ds, obs = data
    for column in ("kind", "batch", "flag"):
        want = [times(load(ds, balance=column, epoch_size=4000), len(obs), epoch) for epoch in (0, 1)]
        values = obs[column]
        for labels in (
            values, values.to_numpy(), values.tolist(), values.astype("category").array, pd.Index(values),
            values.sample(frac=1, random_state=0), values.astype(object).reset_index(drop=True),
            pd.Categorical(values, categories=values.unique()[::-1]),
        ):  # fmt: skip
            loader = load(ds, balance=labels, epoch_size=4000)
            for epoch in (0, 1):
                np.testing.assert_array_equal(times(loader, len(obs), epoch), want[epoch])
    assert loader.plan.balance == "labels given" and "balanced by labels given" in str(loader.plan)
    again = pickle.loads(pickle.dumps(loader))
    np.testing.assert_array_equal(times(again, len(obs), 1), want[1])
    unused = pd.Categorical(obs["kind"], categories=["absent", *obs["kind"].unique()])
    got = times(load(ds, balance=unused, epoch_size=4000, weights="score"), len(obs))
    np.testing.assert_array_equal(
        got, times(load(ds, balance="kind", epoch_size=4000, weights="score"), len(obs))
    )
    part = ds[::2]
    np.testing.assert_array_equal(
        times(load(part, balance=obs["kind"].to_numpy()[::2], rank=1, world_size=3), len(obs)),
        times(load(part, balance="kind", rank=1, world_size=3), len(obs)),
    )


def test_a_state_knows_its_labels(data):
    ds, obs = data
    labels = obs["kind"].to_numpy()
    state = json.loads(json.dumps(load(ds, balance=labels, epoch_size=900).state_dict()))
    load(ds, balance=pd.Series(labels, index=obs.index), epoch_size=900).load_state_dict(state)
    others = labels.copy()
    others[[0, -1]] = "T", "B"
    others[-1] = "T" if labels[-1] != "T" else "B"
    for balance in (others, "kind", None):
        with pytest.raises(ValueError, match="balance: 'labels given, "):
            load(ds, balance=balance, epoch_size=900).load_state_dict(state)


def test_labels_that_make_no_sense(data):
    ds, obs = data
    n = len(obs)
    some = obs["some"].astype(object)
    for labels, error, text in [
        (some, ValueError, rf"balance: {some.isna().sum():,} of {n:,} labels are missing.*ds\[mask\]"),
        (["T"] * (n - 1), ValueError, f"one is needed for each of the {n:,} selected rows"),
        (["kind"], ValueError, "named by a string"),
        (obs["score"], ValueError, r"labels are float64.*pandas\.cut"),
        (obs["kind"].to_numpy()[:, None], ValueError, "labels of shape"),
        (np.array([1, "a"] * (n // 2), dtype=object), ValueError, "labels are mixed-integer"),
        (np.array([b"a"] * n), ValueError, "labels are bytes"),
        (pd.date_range("2024-01-01", periods=n), ValueError, "labels are datetime64"),
    ]:
        with pytest.raises(error, match=text):
            load(ds, balance=labels)


def test_selections_have_weights_of_their_own(data):
    ds, obs = data
    kept = (obs["score"] > 0.5).to_numpy()
    part = ds.query("score > 0.5")
    weights = np.arange(kept.sum()) % 3
    got = times(load(part, weights=weights, epoch_size=1000), len(obs))
    assert (got[~kept] == 0).all()
    expected = 1000 * weights / weights.sum()
    assert (np.abs(got[kept] - expected) <= 1.0).all()
    balanced = times(load(part, balance="kind", epoch_size=2000), len(obs))
    assert (balanced[~kept] == 0).all()
    assert np.ptp(pd.Series(balanced).groupby(obs["kind"].to_numpy()).sum()) < 60


def test_an_epoch_of_another_size_without_weights(data):
    ds, obs = data
    for size in (1, 49, 1000, len(obs), 5 * len(obs) + 3):
        loader = load(ds, epoch_size=size)
        assert len(loader) == -(-size // 50)
        got = times(loader, len(obs))
        assert got.sum() == size
        assert got.max() - got.min() <= 1
    assert not load(ds, epoch_size=len(obs)).plan.sampled
    assert "sampling" in str(load(ds, epoch_size=1000).plan)


def test_file_order(data):
    ds, obs = data
    weights = (np.arange(len(obs)) % 2) * 2.0
    loader = load(ds, weights=weights, shuffle=False)
    index = np.concatenate([np.array(batch.index) for batch in loader])
    assert (np.diff(index) >= 0).all()
    assert (np.bincount(index, minlength=len(obs)) == weights).all()


def test_values_and_labels_are_the_rows_own(data):
    ds, obs = data
    loader = load(ds, balance="kind", weights="score", obs=["kind", "score"], epoch_size=3000)
    x = ds.to_anndata().X.tocsr()
    for batch in loader:
        rows = np.asarray(batch.index)
        kinds = np.asarray(loader.categories["kind"])[batch.obs["kind"]]
        assert (kinds == obs["kind"].to_numpy()[rows]).all()
        np.testing.assert_allclose(batch.obs["score"], obs["score"].to_numpy()[rows])
        assert (x[rows] != batch.X).nnz == 0


def test_ranks_share_the_epoch(data):
    ds, obs = data
    options = {"balance": "kind", "epoch_size": 1117}
    whole = times(load(ds, **options), len(obs))
    for world in (2, 5, 17):
        parts = [load(ds, rank=rank, world_size=world, **options) for rank in range(world)]
        assert len({len(part) for part in parts}) == 1
        assert (sum(times(part, len(obs)) for part in parts) == whole).all()


@settings(max_examples=15, deadline=None)
@given(done=st.integers(1, 40), epoch=st.integers(0, 2), world=st.sampled_from([1, 2, 3]))
def test_resume(data, done, epoch, world):
    ds, obs = data
    options = {"balance": "kind", "weights": "score", "epoch_size": 2100, "seed": 3}
    loader = load(ds, **options)
    loader.set_epoch(epoch)
    batches = [np.array(batch.index) for batch in loader]
    loader.set_epoch(epoch)
    for _ in zip(range(done), loader, strict=False):
        pass
    state = json.loads(json.dumps(loader.state_dict()))
    rest = []
    for rank in range(world):
        other = load(ds, **options, rank=rank, world_size=world)
        other.load_state_dict(state)
        rest.append([np.array(batch.index) for batch in other])
    if world == 1:
        assert len(rest[0]) == len(batches) - done
        assert all((a == b).all() for a, b in zip(rest[0], batches[done:], strict=True))
    left = np.concatenate([batch for part in rest for batch in part] or [np.zeros(0, int)])
    expected = np.concatenate(batches[done:])
    assert (np.sort(left[left >= 0]) == np.sort(expected)).all()


def test_a_state_knows_its_weights(data):
    ds, obs = data
    state = load(ds, weights="score").state_dict()
    for other, text in [
        ({}, "weights"),
        ({"weights": obs["score"].to_numpy()}, "weights: 'score' in the checkpoint, 'an array' here"),
        ({"weights": "score", "epoch_size": 100}, "epoch_size"),
        ({"weights": "score", "balance": "kind"}, "balance: '' in the checkpoint, 'kind' here"),
    ]:
        with pytest.raises(ValueError, match=text):
            load(ds, **other).load_state_dict(state)


def test_pickles(data):
    ds, obs = data
    loader = load(ds, weights=np.arange(len(obs)), balance="kind")
    again = pickle.loads(pickle.dumps(loader))
    assert (times(again, len(obs)) == times(loader, len(obs))).all()


def test_what_makes_no_sense(data):
    ds, obs = data
    n = len(obs)
    for options, error, text in [
        ({"balance": "kinds"}, KeyError, "did you mean 'kind'"),
        ({"balance": 3}, TypeError, "name of an obs column"),
        ({"balance": "score"}, ValueError, "balance: obs 'score' holds fractions"),
        ({"balance": "some"}, ValueError, "rows have no value in obs 'some'"),
        ({"weights": "kind"}, ValueError, "holds categories, not numbers"),
        ({"weights": "scores"}, KeyError, "did you mean 'score'"),
        ({"weights": {"kind": {"Tcell": 1}}}, KeyError, "no category 'Tcell'"),
        ({"weights": {"kind": {}}}, ValueError, "weighs nothing"),
        ({"weights": {"T": 1}}, TypeError, "name a column"),
        ({"weights": {"score": {"1": 1}}}, ValueError, "holds numbers"),
        ({"weights": np.ones(n + 1)}, ValueError, f"each of the {n:,} selected rows"),
        ({"weights": np.ones((n, 2))}, ValueError, "weights of shape"),
        ({"weights": ["a"] * n}, TypeError, "must be numbers"),
        ({"weights": np.full(n, np.nan)}, ValueError, "weight of row 0 of .* is nan"),
        ({"weights": np.full(n, -1.0)}, ValueError, "is -1"),
        ({"weights": np.zeros(n)}, ValueError, "no selected row has a weight above 0"),
        ({"epoch_size": 0}, ValueError, "epoch_size=0"),
        ({"epoch_size": 1.5}, TypeError, "not an integer"),
    ]:
        with pytest.raises(error, match=text):
            load(ds, **options)


def test_command(data, tmp_path):
    ds, obs = data
    path = tmp_path / "a.h5ad"
    x = sp.csr_matrix(np.ones((len(obs), 3), np.float32))
    write_h5ad(path, x, obs.assign(kind=pd.Categorical(obs["kind"]))[["kind", "score"]])
    command = [Path(sys.executable).with_name("penstock"), "plan", path, "--json", "--balance", "kind"]
    done = subprocess.run(
        [*command, "--epoch-size", "5000", "--weights", "score"], capture_output=True, check=True
    )
    plan = json.loads(done.stdout)
    assert plan["n_rows"] == 5000 and plan["balance"] == "kind" and plan["weights"] == "score"
    assert plan["distinct_rows"] <= len(obs) and plan["copies_per_window"] > 1
    done = subprocess.run([*command[:-1], "kinds"], capture_output=True, text=True)
    assert done.returncode != 0 and "did you mean 'kind'" in done.stderr
