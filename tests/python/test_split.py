"""Splits: by row, by run, by group, by class; k-fold. The oracle is counting with pandas."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from support import write_h5ad

import penstock


def rows(ds: penstock.Dataset) -> np.ndarray:
    return ds._handle.global_rows(0, ds.n_obs)


def owners(n: int, parts: list[penstock.Dataset]) -> np.ndarray:
    """The part of each of n rows of all files, -1 for none; no row is in two."""
    owner = np.full(n, -1)
    for i, part in enumerate(parts):
        mine = rows(part)
        assert (np.diff(mine) > 0).all() and (owner[mine] == -1).all()
        owner[mine] = i
    return owner


def obs_of_file(rng: np.random.Generator, n: int, donors: list[str]) -> pd.DataFrame:
    """Donors in runs, classes of very different sizes, and a column of each kind that may be asked for."""
    donor = np.sort(rng.choice(donors, n)).astype(object)
    donor[rng.random(n) < 0.05] = None
    kind = rng.choice(["T", "B", "NK", "rare"], n, p=[0.6, 0.3, 0.097, 0.003])
    return pd.DataFrame(
        {
            "donor": pd.Categorical(donor),  # each file with its own list
            "text": pd.Series(donor).fillna("none").to_numpy(),
            "kind": pd.Categorical(kind),
            "batch": rng.integers(0, 6, n),
            "flag": rng.random(n) < 0.3,
            "score": rng.normal(size=n),
        },
        index=[f"c{i}" for i in range(n)],
    )


@pytest.fixture(scope="module", params=["h5ad", "parquet"])
def data(request, tmp_path_factory) -> tuple[penstock.Dataset, pd.DataFrame]:
    """Three files; donors of a file are partly those of others."""
    rng = np.random.default_rng(5)
    folder: Path = tmp_path_factory.mktemp("split")
    tables, paths = [], []
    for i, (n, donors) in enumerate([(900, "abcde"), (40, "z"), (1300, "defghijkl")]):
        obs = obs_of_file(rng, n, list(donors))
        x = sp.random(n, 12, 0.3, "csr", np.float32, rng)
        path = folder / f"p{i}.{request.param}"
        if request.param == "h5ad":
            paths.append(write_h5ad(path, x, obs))
        else:
            wide = pd.DataFrame(x.toarray(), columns=[f"g{j}" for j in range(12)], index=obs.index)
            lists = obs.astype({"donor": object, "kind": object})
            lists["genes"] = [np.flatnonzero(row).tolist() for row in wide.to_numpy()]
            lists["expressions"] = [row[row != 0].tolist() for row in wide.to_numpy()]
            lists.to_parquet(path, row_group_size=500)
            paths.append(str(path))
        tables.append(obs.astype({"donor": object, "kind": object}))
    options = {}
    if request.param == "parquet":
        genes = pd.DataFrame({"token_id": range(12), "ensembl_id": [f"E{j}" for j in range(12)]})
        genes["gene_symbol"] = [f"g{j}" for j in range(12)]
        genes.to_parquet(folder / "genes.pq")
        options["var"] = folder / "genes.pq"
    return penstock.open(paths, **options), pd.concat(tables, ignore_index=True)


FRACTIONS = st.lists(st.integers(1, 100), min_size=1, max_size=5).flatmap(
    lambda w: st.sampled_from([1.0, 0.9, 0.5]).map(lambda total: [total * x / sum(w) for x in w])
)
SELECTIONS = st.sampled_from([slice(None), slice(None, None, 2), slice(100, 1500), slice(930, None, 3)])


def near(have: float, want: float) -> bool:
    """Rounded down or up."""
    return math.floor(want + 1e-6) <= have <= math.ceil(want - 1e-6)


@settings(max_examples=40, deadline=None)
@given(FRACTIONS, SELECTIONS, st.integers(0, 9), st.sampled_from(["auto", "row", 7, 256, 10**12]))
def test_by_row_and_run(data, fractions, selection, seed, unit):
    ds = data[0][selection]
    parts = ds.split(fractions, seed=seed, unit=unit)
    owner = owners(data[0].n_obs, parts)
    assert set(np.flatnonzero(owner >= 0)) <= set(rows(ds))
    # The ends of parts are rounded: a part that would be 207 rows from 11.5 to 218.5 has 206 of 12 to 218.
    assert all(abs(p.n_obs - f * ds.n_obs) < 1 + 1e-6 for p, f in zip(parts, fractions, strict=True))
    if sum(fractions) > 1 - 1e-9:
        assert sum(p.n_obs for p in parts) == ds.n_obs
    if isinstance(unit, int):  # parts change at the ends of runs, and where a part ends in one
        positions = owner[rows(ds)]
        changes = np.flatnonzero(np.diff(positions)) + 1
        assert (changes % unit != 0).sum() <= 2 * len(fractions)


@settings(max_examples=60, deadline=None)
@given(
    FRACTIONS,
    SELECTIONS,
    st.integers(0, 9),
    st.sampled_from(["kind", "donor", "text", "batch", "flag", ["kind", "flag"], ["donor", "batch"]]),
)
def test_classes_keep_their_shares(data, fractions, selection, seed, by):
    ds, obs = data[0][selection], data[1].iloc[rows(data[0][selection])]
    parts = ds.split(fractions, seed=seed, stratify_by=by)
    owner = owners(data[0].n_obs, parts)[obs.index]
    columns = [by] if isinstance(by, str) else by
    if sum(fractions) > 1 - 1e-9:
        assert (owner >= 0).all()
    for _, members in obs.assign(owner=owner).groupby(columns, dropna=False):
        for i, fraction in enumerate(fractions):
            assert near((members["owner"] == i).sum(), fraction * len(members))
    for i, fraction in enumerate(fractions):
        assert near((owner == i).sum(), fraction * len(obs))


@settings(max_examples=60, deadline=None)
@given(
    FRACTIONS,
    SELECTIONS,
    st.integers(0, 9),
    st.sampled_from(["donor", "text", "batch", ["donor", "flag"], ["batch", "kind"]]),
    st.sampled_from([None, "kind"]),
)
def test_groups_never_cross(data, fractions, selection, seed, by, stratify):
    ds, obs = data[0][selection], data[1].iloc[rows(data[0][selection])]
    columns = [by] if isinstance(by, str) else by
    sizes = obs.groupby(columns, dropna=False).size()
    if len(sizes) < len(fractions):
        with pytest.raises(ValueError, match=f"split by .*: {len(fractions)} parts.*: {len(sizes)}"):
            ds.split(fractions, seed=seed, group_by=by, stratify_by=stratify)
        return
    parts = ds.split(fractions, seed=seed, group_by=by, stratify_by=stratify)
    owner = owners(data[0].n_obs, parts)[obs.index]
    assert (obs.assign(owner=owner).groupby(columns, dropna=False)["owner"].nunique() == 1).all()
    assert all(p.n_obs > 0 for p in parts)
    if sum(fractions) > 1 - 1e-9:
        assert (owner >= 0).all()
    # A part is off by a few of the largest groups at most.
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(part.n_obs - fraction * len(obs)) <= 2 * sizes.max()
    again = ds.split(fractions, seed=seed, group_by=by, stratify_by=stratify)
    assert all((rows(a) == rows(b)).all() for a, b in zip(parts, again, strict=True))


def test_many_groups_meet_the_fractions(data):
    ds, obs = data
    sizes = obs.groupby(["donor", "batch", "flag"], dropna=False).size()
    for seed in range(5):
        parts = ds.split([0.8, 0.1, 0.1], seed=seed, group_by=["donor", "batch", "flag"])
        for part, fraction in zip(parts, [0.8, 0.1, 0.1], strict=True):
            assert abs(part.n_obs - fraction * len(obs)) <= sizes.median()


def test_groups_and_classes_together(data):
    """Class shares come nearer to the whole's than without stratify_by, over seeds."""
    ds, obs = data
    groups = ["donor", "batch"]
    want = obs["kind"].value_counts(normalize=True)

    def distance(**by):
        total = 0.0
        for seed in range(8):
            for part in ds.split([0.5, 0.5], seed=seed, group_by=groups, **by):
                have = obs["kind"].iloc[rows(part)].value_counts(normalize=True)
                total += float(((have.reindex(want.index).fillna(0) - want) ** 2 / want).sum())
        return total

    assert distance(stratify_by="kind") < 0.7 * distance()


@pytest.mark.parametrize(
    "by", [{}, {"group_by": "donor"}, {"stratify_by": "kind"}, {"group_by": "batch", "stratify_by": "kind"}]
)
def test_k_fold(data, by):
    ds, obs = data[0][::2], data[1].iloc[::2]
    folds = ds.k_fold(4, seed=1, **by)
    assert len(folds) == 4 and "4 folds" in repr(folds) and len(folds[1:]) == 3
    owner = owners(data[0].n_obs, [test for _, test in folds])
    assert (owner[rows(ds)] >= 0).all() and (owner >= 0).sum() == ds.n_obs
    for train, test in folds:
        assert sorted([*rows(train), *rows(test)]) == list(rows(ds))
        if by.get("group_by") == "donor":
            a, b = (set(obs["donor"].fillna("?")[rows(p)]) for p in (train, test))
            assert not a & b
        if by == {"stratify_by": "kind"}:
            counts = obs["kind"].loc[rows(test)].value_counts()
            assert all(near(counts.get(kind, 0), n / 4) for kind, n in obs["kind"].value_counts().items())
    with pytest.raises(IndexError):
        folds[4]


LABELS = {
    "array": lambda column: column.to_numpy(),
    "series": lambda column: column,
    "shuffled": lambda column: column.sample(frac=1, random_state=3),
    "categorical": lambda column: pd.Categorical(column),
    "nullable": lambda column: pd.array(column, dtype="string"),
    "index": lambda column: pd.Index(column),
}


@pytest.mark.parametrize("form", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("selection", [slice(None), slice(3, None, 2)])
def test_labels_in_no_file_split_as_a_column_does(data, form, selection):
    ds, obs = data[0][selection], data[1][selection].reset_index(drop=True)
    donor, kind = form(obs["donor"]), form(obs["kind"])
    for labels, by in (
        ({"group_by": donor}, {"group_by": "donor"}),
        ({"stratify_by": kind}, {"stratify_by": "kind"}),
        ({"group_by": donor, "stratify_by": kind}, {"group_by": "donor", "stratify_by": "kind"}),
        ({"group_by": donor, "stratify_by": "kind"}, {"group_by": "donor", "stratify_by": "kind"}),
    ):
        for a, b in zip(
            ds.split([0.6, 0.3], seed=4, **labels), ds.split([0.6, 0.3], seed=4, **by), strict=True
        ):
            np.testing.assert_array_equal(rows(a), rows(b))
    for (_, a), (_, b) in zip(ds.k_fold(3, group_by=donor), ds.k_fold(3, group_by="donor"), strict=True):
        np.testing.assert_array_equal(rows(a), rows(b))
    before = ds.nbytes
    parts = ds.split([0.5, 0.5], group_by=donor)
    assert ds.nbytes - before < 4096
    del parts
    assert ds.nbytes == before


def test_labels_of_numbers_and_booleans(data):
    ds, obs = data
    for labels in (
        obs["batch"],
        obs["batch"].tolist(),
        pd.array(obs["batch"], dtype="Int64"),
        obs["flag"].to_numpy(),
    ):
        values = np.asarray(labels)
        train, test = ds.split([0.5, 0.5], group_by=labels)
        assert not set(values[rows(train)]) & set(values[rows(test)])
    with pytest.raises(ValueError, match=r"split by the labels given: 3 parts need a group each.*: 2"):
        ds.split([0.3, 0.3, 0.3], group_by=obs["flag"])


def test_labels_that_make_no_sense(data):
    ds, obs = data
    for name in ("group_by", "stratify_by"):
        for labels, error, text in [
            (obs["score"], ValueError, r"labels are float64.*pandas\.cut.*Int64"),
            (obs["kind"].tolist(), KeyError, r"a list of strings names columns.*np\.asarray\(labels\)"),
            (obs[["kind"]], TypeError, "DataFrame: give one of its columns"),
            (obs["kind"].to_numpy()[1:], ValueError, f"for each of the {ds.n_obs:,} selected rows"),
            (3, TypeError, f"{name}=3 must be a column"),
        ]:
            with pytest.raises(error, match=text):
                ds.split([0.5], **{name: labels})
        with pytest.raises(ValueError, match="leave unit out"):
            ds.split([0.5], unit=256, **{name: obs["kind"].to_numpy()})


def test_k_fold_arguments(data):
    ds = data[0]
    for k in (1, 0, -3, ds.n_obs + 1):
        with pytest.raises(ValueError, match="k="):
            ds.k_fold(k)
    with pytest.raises(ValueError, match=r"7 parts.*: 6"):
        ds.k_fold(7, group_by="batch")
    with pytest.raises(TypeError):
        ds.k_fold(2.5)


def test_names_give_a_dict(data):
    ds = data[0]
    named = ds.split({"train": 0.8, "val": 0.1, "test": 0.1}, seed=2)
    assert list(named) == ["train", "val", "test"]
    for a, b in zip(named.values(), ds.split([0.8, 0.1, 0.1], seed=2), strict=True):
        np.testing.assert_array_equal(rows(a), rows(b))
    part = pickle.loads(pickle.dumps(named["val"]))
    np.testing.assert_array_equal(rows(part), rows(named["val"]))


def test_seeds(data):
    ds = data[0]
    for by in ({}, {"group_by": "donor"}, {"stratify_by": "kind"}):
        first = [tuple(rows(ds.split([0.5, 0.5], seed=s, **by)[0])) for s in (1, 1, 2)]
        assert first[0] == first[1] != first[2]
    assert ds.split([0.5])[0].categories("kind") == ds.categories("kind")


def test_arguments(data):
    ds = data[0]
    for bad in ([0.9, 0.2], [-0.1, 0.5], [], {}, [float("nan")]):
        for by in ({}, {"group_by": "donor"}, {"stratify_by": "kind"}):
            with pytest.raises(ValueError):
                ds.split(bad, **by)
    with pytest.raises(ValueError, match="seed"):
        ds.split([0.5], seed=-1)
    for name in ("group_by", "stratify_by"):
        with pytest.raises(KeyError, match="did you mean 'donor'"):
            ds.split([0.5], **{name: "doner"})
        with pytest.raises(KeyError, match="there are"):
            ds.split([0.5], **{name: ["donor", "colour"]})
        with pytest.raises(ValueError, match=r"float64.*pandas\.cut"):
            ds.split([0.5], **{name: "score"})
        with pytest.raises(ValueError, match="leave unit out"):
            ds.split([0.5], unit=256, **{name: "donor"})
        with pytest.raises(ValueError, match="names no column"):
            ds.split([0.5], **{name: []})
    for unit in ("block", 0, -1):
        with pytest.raises(ValueError, match="unit"):
            ds.split([0.5], unit=unit)
    # Nothing selected: no groups, but parts of no rows.
    assert [p.n_obs for p in ds[:0].split([0.5, 0.5], stratify_by="kind")] == [0, 0]
    with pytest.raises(ValueError, match="2 parts need a group each"):
        ds[:0].split([0.5, 0.5], group_by="donor")


def test_codes_are_given_back(data):
    ds = data[0]
    ds.split([0.5, 0.5], group_by="text", stratify_by="kind")  # what columns keep is kept from now on
    before = ds.nbytes
    parts = ds.split([0.5, 0.5], group_by="text", stratify_by="kind")
    held = ds.nbytes - before  # the bitmaps of the parts
    assert 0 < held < 4096
    del parts
    assert ds.nbytes == before


def test_seeds_keep_their_splits(tmp_path):
    """A split is published by its seed: rows and runs as version 0.1 gave them."""
    import zlib

    obs = pd.DataFrame(index=pd.RangeIndex(400_000).astype(str))
    more = pd.DataFrame(index=pd.RangeIndex(600_003).astype(str))
    ds = penstock.open(
        [
            write_h5ad(tmp_path / f"{i}.h5ad", sp.csr_matrix((len(o), 3), dtype=np.float32), o)
            for i, o in enumerate([obs, more])
        ]
    )
    seen = [
        [(p.n_obs, zlib.crc32(rows(p).tobytes())) for p in part.split([0.7, 0.2], seed=5)]
        for part in (ds, ds[::2])
    ]
    assert seen == [
        [(700002, 4056931719), (200001, 1030345651)],
        [(350001, 126394258), (100001, 2003086703)],
    ]


def test_the_plan_says_what_scattered_rows_cost(large):
    ds = large.open()
    whole = penstock.Loader(ds, batch_size=64, memory="64MB").plan
    scattered = penstock.Loader(ds.split([0.02], unit="row")[0], batch_size=64, memory="64MB").plan
    together = penstock.Loader(ds.split([0.5], unit=8192)[0], batch_size=64, memory="64MB").plan
    assert scattered.read_amplification > 2
    assert f"reads {scattered.read_amplification:.1f} times the bytes of its rows" in str(scattered)
    for plan in (whole, together):
        assert plan.read_amplification < 2 and "scattered" not in str(plan)
