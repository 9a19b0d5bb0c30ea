"""No batch has a single row: sizes, ranks, selections and samples, resuming at every batch, checkpoints of before."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Corpus, make_corpus

import penstock

SMALL: dict[str, Any] = {"memory": "16MB", "to": "numpy", "seed": 4}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("rows"), [120, 80], 12, seed=3, chunks=200, compression="gzip")


def loaders_of(ds: penstock.Dataset, world_size: int, **options: Any) -> list[penstock.Loader]:
    return [
        penstock.Loader(ds, rank=rank, world_size=world_size, **{**SMALL, **options})
        for rank in range(world_size)
    ]


def take(loader: penstock.Loader) -> list[list[int]]:
    return [batch.index.tolist() for batch in loader]


def delivered(ranks: Iterable[list[list[int]]]) -> list[int]:
    return sorted(row for batches in ranks for batch in batches for row in batch if row >= 0)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [2, 3, 8, 32])
@pytest.mark.parametrize(
    ("n", "world_size"), [(2, 1), (3, 1), (33, 1), (65, 2), (97, 3), (129, 2), (67, 2), (131, 4)]
)
def test_every_row_once_in_batches_of_two_or_more(rows, n, world_size, batch_size, shuffle):
    ds = rows.open()[:n]
    for window_rows in (None, batch_size, 2 * batch_size):
        loaders = loaders_of(ds, world_size, batch_size=batch_size, shuffle=shuffle, window_rows=window_rows)
        for _ in range(2):
            ranks = [take(loader) for loader in loaders]
            assert delivered(ranks) == list(range(n))
            assert {len(batches) for batches in ranks} == {len(loader) for loader in loaders}
            sizes = [len(batch) for batches in ranks for batch in batches]
            assert min(sizes) >= 2 and max(sizes) <= max(4, batch_size)
            assert all(row >= 0 for batches in ranks for batch in batches for row in batch)
            if not shuffle:
                assert [row for batches in ranks for batch in batches for row in batch] == list(range(n))


def test_what_is_left_is_said(rows):
    ds = rows.open()
    one, _, other = loaders_of(ds[:4], 3, batch_size=8)
    assert [len(batch) for batch in take(one)] == [1]
    assert any("rank 0 of 3 has a single row of 4 rows" in note for note in one.plan.notes)
    assert take(other) and not any("single row" in note for note in other.plan.notes)
    without = loaders_of(ds[:2], 3, batch_size=8)[0]
    assert take(without) == [[-1]]
    assert any("has no row of 2 rows" in note and "index -1" in note for note in without.plan.notes)
    # Asked for.
    assert [len(batch) for batch in take(penstock.Loader(ds[:3], batch_size=1, **SMALL))] == [1, 1, 1]


@pytest.mark.parametrize(
    "options", [{"epoch_size": 33}, {"epoch_size": 65}, {"balance": "colour", "epoch_size": 97}]
)
@pytest.mark.parametrize("world_size", [1, 2])
def test_samples(rows, options, world_size):
    for loader in loaders_of(rows.open(), world_size, batch_size=32, **options):
        for _ in range(3):
            sizes = [len(batch) for batch in take(loader)]
            assert min(sizes) >= 2 and len(sizes) == len(loader)


@pytest.mark.parametrize("drop_last", [False, True])
def test_values_of_shared_batches(rows, drop_last):
    ds = rows.open()[:161]
    for format in ("csr", "dense"):
        loader = penstock.Loader(ds, batch_size=32, format=format, drop_last=drop_last, obs=["line"], **SMALL)
        codes = {name: code for code, name in enumerate(loader.categories["line"])}
        for batch in loader:
            np.testing.assert_array_equal(np.asarray(batch.dense()), rows.x[batch.index].toarray())
            expected = [codes.get(name, -1) for name in rows.obs["line"].to_numpy()[batch.index]]
            assert batch.obs["line"].tolist() == expected
        assert len(loader) == (5 if drop_last else 6)


@pytest.mark.parametrize(("n", "batch_size"), [(23, 2), (34, 3), (65, 16), (98, 16), (161, 16), (161, 32)])
def test_resumed_at_every_batch(rows, n, batch_size):
    ds = rows.open()[:n]
    for before in (1, 2, 3):
        options = {"batch_size": batch_size, "window_rows": 3 * batch_size}
        whole = [take(loader) for loader in loaders_of(ds, before, **options)]
        for done in range(1, len(whole[0])):
            loaders = loaders_of(ds, before, **options)
            for loader in loaders:
                it = iter(loader)
                for _ in range(done):
                    next(it)
            state = json.loads(json.dumps(loaders[0].state_dict()))
            assert all(loader.state_dict() == state for loader in loaders)
            for after in {before, 1, 2, 5}:
                resumed = loaders_of(ds, after, **options)
                for loader in resumed:
                    loader.load_state_dict(state)
                rest = [take(loader) for loader in resumed]
                if after == before:
                    assert rest == [batches[done:] for batches in whole]
                gone = [batches[:done] for batches in whole]
                assert delivered([*gone, *rest]) == list(range(n))
                left = n - len(delivered(gone))
                assert len({len(batches) for batches in rest}) == 1
                if left >= 2 * after:
                    assert min(len(batch) for batches in rest for batch in batches) >= 2


def test_checkpoints_of_earlier_versions(rows):
    """Their last batch could have a single row: taken where that changes nothing, else refused."""
    ds = rows.open()
    for n, world_size, done, taken in (
        (100, 1, 3, True),  # ends in a batch of 4 rows, then as now
        (97, 1, 1, True),  # in one of a single row, but that is behind
        (97, 1, 3, False),  # the third had 32 rows
        (65, 2, 1, False),  # a rank ended with a row of index -1
        (65, 2, 0, True),
    ):
        loader = penstock.Loader(ds[:n], batch_size=32, rank=0, world_size=world_size, **SMALL)
        it = iter(loader)
        expected = [next(it).index.tolist() for _ in range(min(done, len(loader)))]
        state = {**loader.state_dict(), "version": 2, "lineage": [[world_size, done]] if done else []}
        again = penstock.Loader(ds[:n], batch_size=32, rank=0, world_size=world_size, **SMALL)
        if taken:
            again.load_state_dict(state)
            assert again.state_dict()["version"] == 3
            again.set_epoch(0)
            rest = take(again) if done else take(again)
            assert len(expected + rest) >= len(loader)
        else:
            with pytest.raises(ValueError, match=r"earlier version of Penstock.*set_epoch\(0\) repeats"):
                again.load_state_dict(state)


def test_batch_size_beyond_the_rows(rows, tmp_path: Path):
    ds = rows.open()
    for options in ({}, {"shuffle": False}, {"format": "dense"}, {"drop_last": False, "obs": ["line"]}):
        with penstock.Loader(ds, batch_size=10**8, **SMALL, **options) as loader:
            plan = loader.plan
            assert (plan.batch_size, plan.n_batches, plan.window_rows) == (200, 1, 200)
            assert loader.state_dict()["batch_size"] == 10**8  # as asked, for checkpoints
            for _ in range(2):
                (batch,) = list(loader)
                np.testing.assert_array_equal(np.asarray(batch.dense()), rows.x[batch.index].toarray())
                assert sorted(batch.index.tolist()) == list(range(200))
    for loader in loaders_of(ds, 3, batch_size=10**8):
        assert loader.plan.batch_size == 67 and loader.plan.n_batches == 1
    ranks = [take(loader) for loader in loaders_of(ds, 3, batch_size=10**8)]
    assert delivered(ranks) == list(range(200)) and all(len(batches) == 1 for batches in ranks)
    # A state of one loads into another number of ranks.
    first = penstock.Loader(ds, batch_size=150, **SMALL)
    it = iter(first)
    begin = next(it).index.tolist()
    state = first.state_dict()
    rest = []
    for loader in loaders_of(ds, 2, batch_size=150):
        loader.load_state_dict(state)
        rest.append(take(loader))
    assert delivered([[begin], *rest]) == list(range(200))
