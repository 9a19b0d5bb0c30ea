"""Every row once per epoch, and an order that depends on nothing it should not depend on."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import Corpus, make_corpus
from support import assert_batch, flat, indices, random_csr, write_h5ad

import penstock

SMALL = "8MB"


def loader_of(ds, **options):
    options.setdefault("memory", SMALL)
    options.setdefault("batch_size", 64)
    options.setdefault("to", "numpy")
    return penstock.Loader(ds, **options)


def same(one, two):
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("format", ["csr", "dense"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000, 3001, 5000])
def test_every_row_once(corpus, batch_size, shuffle, format):
    memory = "64MB" if format == "dense" else SMALL
    with loader_of(
        corpus.open(), batch_size=batch_size, shuffle=shuffle, format=format, memory=memory
    ) as loader:
        assert len(loader) == -(-3001 // batch_size)
        seen = []
        for batch in loader:
            left = 3001 - batch_size * (len(loader) - 1)
            expected = batch_size if len(seen) < len(loader) - 1 else left
            if left == 1 < batch_size and len(seen) >= len(loader) - 2:  # the last two share
                expected = (batch_size + 1 + (len(seen) < len(loader) - 1)) // 2
            assert batch.n_obs == expected
            assert_batch(batch, corpus.x)
            seen.append(np.asarray(batch.index).copy())
        order = np.concatenate(seen)
        assert len(seen) == len(loader)
        np.testing.assert_array_equal(np.sort(order), np.arange(3001))
        assert shuffle == (not np.array_equal(order, np.arange(3001)))


@pytest.mark.parametrize(
    "options", [{}, {"block_rows": 16}, {"window_rows": 640}, {"block_rows": 5, "window_rows": 128}]
)
def test_order_does_not_depend_on_the_machine(large, options):
    ds = large.open()
    base = {"batch_size": 100, "seed": 5, **options}
    expected = indices(loader_of(ds, **base))
    np.testing.assert_array_equal(np.sort(np.concatenate(expected)), np.arange(35_000))
    for change in (
        {"threads": 1}, {"threads": 2}, {"threads": 5}, {"threads": 16}, {"io_threads": 1},
        {"io_threads": 16}, {"dtype": "float64"}, {"dtype": "uint8"}, {"to": "torch"}, {"obs": ["colour"]},
    ):  # fmt: skip
        # Labels take room in the window, which decides its rows where they are not given.
        if "obs" in change and not {"block_rows", "window_rows"} <= set(options):
            continue
        loader = loader_of(ds, **{**base, **change})
        same(indices(loader), expected)


def test_format_does_not_change_the_order(corpus):
    fixed = {"memory": "32MB", "block_rows": 20, "window_rows": 640}
    same(
        indices(loader_of(corpus.open(), format="csr", **fixed)),
        indices(loader_of(corpus.open(), format="dense", **fixed)),
    )


def test_seeds_and_epochs_differ(corpus):
    loader = loader_of(corpus.open(), seed=1)
    epochs = [flat(loader) for _ in range(3)]
    for a, b in itertools.combinations(epochs, 2):
        assert not np.array_equal(a, b)
    np.testing.assert_array_equal(flat(loader_of(corpus.open(), seed=1)), epochs[0])
    assert not np.array_equal(flat(loader_of(corpus.open(), seed=2)), epochs[0])
    loader.set_epoch(1)
    np.testing.assert_array_equal(flat(loader), epochs[1])
    np.testing.assert_array_equal(flat(loader), epochs[2])


def test_file_order_lines_up_with_obs_names(corpus):
    ds = corpus.open()[::3]
    order = flat(loader_of(ds, shuffle=False))
    assert list(corpus.obs.index[order]) == list(ds.obs_names)


@pytest.mark.parametrize("budget", ["smallest", "2MB", "20MB", "500MB"])
def test_budgets(large, budget):
    ds = large.open()
    memory = smallest_budget(ds, batch_size=256) if budget == "smallest" else budget
    try:
        loader = loader_of(ds, batch_size=256, memory=memory)
    except penstock.MemoryBudgetError:
        assert budget == "2MB"
        return
    seen = []
    for batch in loader:
        assert_batch(batch, large.x)
        seen.append(np.asarray(batch.index).copy())
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(35_000))
    memory_used = loader.stats()["memory"]
    assert memory_used["peak"] <= memory_used["limit"]


@pytest.mark.parametrize("format", ["csr", "dense"])
@pytest.mark.parametrize("memory", ["1KB", "100KB", "700KB", "2MB"])
@pytest.mark.parametrize("batch_size", [64, 4096])
def test_the_budget_that_a_refusal_suggests_is_accepted(large, memory, batch_size, format):
    options = {"batch_size": batch_size, "format": format, "obs": ["colour"]}
    try:
        loader_of(large.open(), memory=memory, **options)
    except penstock.MemoryBudgetError as error:
        suggested = re.search(r"memory >= ([\d.]+ [kMG]?B)\.$", str(error))
        assert suggested, error
        loader_of(large.open(), memory=suggested[1], **options)
    else:
        assert memory == "2MB" and batch_size == 64


def test_the_plan_says_what_the_first_batches_are_worth(large):
    plan = loader_of(large.open(), batch_size=64, memory="8MB").plan
    assert 0 < plan.ramp_batches < plan.n_batches
    assert plan.first_q_eff < plan.q_eff
    assert "the first epoch's windows grow" in str(plan)


def smallest_budget(ds, **options):
    low, high = 1, 1 << 30
    while low < high:
        middle = (low + high) // 2
        try:
            loader_of(ds, memory=middle, **options).close()
            high = middle
        except penstock.MemoryBudgetError:
            low = middle + 1
    return low


@pytest.mark.parametrize("format", ["csr", "dense"])
def test_some_batches_can_always_be_kept(large, format):
    ds = large.open()
    memory = smallest_budget(ds, batch_size=50, format=format)
    kept = list(itertools.islice(loader_of(ds, batch_size=50, format=format, memory=memory), 4))
    for batch in kept:
        assert_batch(batch, large.x)


def test_files_of_very_different_sizes(tmp_path):
    corpus = make_corpus(
        tmp_path, [1, 5000, 0, 3, 40], 30, seed=4, chunks=100, compression="lzf", shuffle=True
    )
    loader = loader_of(corpus.open(), batch_size=33)
    for epoch in range(2):
        seen = []
        for batch in loader:
            assert_batch(batch, corpus.x)
            seen.append(np.asarray(batch.index).copy())
        np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(5044), err_msg=str(epoch))


@pytest.mark.parametrize("n", [1, 2])
def test_one_cell(tmp_path, n):
    corpus = make_corpus(tmp_path, [n], 10, seed=5)
    for batch_size in (1, 2, 64):
        batches = list(loader_of(corpus.open(), batch_size=batch_size))
        assert sorted(flat(batches)) == list(range(n))


def test_nothing_to_read(corpus, tmp_path):
    import scipy.sparse as sp

    zeros = sp.csr_matrix((100, 7), dtype=np.float32)
    ds = penstock.open(write_h5ad(tmp_path / "zeros.h5ad", zeros, chunks=64))
    batches = list(loader_of(ds, batch_size=30))
    assert [b.X.nnz for b in batches] == [0] * 4
    for to in ("numpy", "torch"):
        for format in ("csr", "dense"):
            for batch in loader_of(ds, batch_size=30, to=to, format=format):
                assert batch.n_obs in (30, 10)
    none = loader_of(corpus.open()[[]])
    assert len(none) == 0 and list(none) == []
    with pytest.raises(ValueError, match="no batches"):
        none.peek()


def test_unsorted_indices_and_duplicates(tmp_path):
    import scipy.sparse as sp

    rng = np.random.default_rng(6)
    lengths = rng.integers(0, 12, 400)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    x = sp.csr_matrix(
        (rng.integers(1, 9, indptr[-1]).astype(np.float32), rng.integers(0, 20, indptr[-1]), indptr),
        shape=(400, 20),
    )
    ds = penstock.open(write_h5ad(tmp_path / "a.h5ad", x, chunks=50, compression="gzip"))
    for to, format in (("numpy", "csr"), ("torch", "csr"), ("numpy", "dense")):
        loader = loader_of(ds, to=to, format=format, batch_size=32)
        for batch in loader:
            assert_batch(batch, x)
    assert loader.stats()["rows_sorted"] > 0


def test_rows_longer_than_chunks_and_pages(tmp_path):
    rng = np.random.default_rng(7)
    x = random_csr(rng, 40, 70_000, density=0.4, counts=False)
    path = write_h5ad(
        tmp_path / "a.h5ad", x, chunks=1000, index_chunks=7000, compression="gzip", compression_opts=1
    )
    for options in ({}, {"window_rows": 8}, {"block_rows": 1}):
        for batch in loader_of(penstock.open(path), batch_size=4, memory="100MB", **options):
            assert_batch(batch, x)


@pytest.mark.parametrize("index_dtype", ["uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("indptr_dtype", ["int32", "int64", "uint64"])
def test_integer_types_of_the_indices(tmp_path, index_dtype, indptr_dtype):
    x = random_csr(np.random.default_rng(8), 300, 100)
    path = write_h5ad(
        tmp_path / "a.h5ad",
        x,
        chunks=77,
        index_chunks=200,
        index_dtype=index_dtype,
        indptr_dtype=indptr_dtype,
    )
    for batch in loader_of(penstock.open(path)):
        assert_batch(batch, x)


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"chunks": 1},
        {"chunks": 10**6, "compression": "gzip"},
        {"chunks": 100, "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": 100, "compression": "lzf"},
        {"chunks": 64, "fletcher32": True},
        {"chunks": 500, "index_chunks": 33, "shuffle": True},
    ],
)
def test_layouts(tmp_path, layout):
    corpus = make_corpus(tmp_path, [120], 30, seed=9, **layout)
    for options in ({}, {"shuffle": False}, {"block_rows": 3, "window_rows": 30}):
        loader = loader_of(corpus.open(), batch_size=10, **options)
        for batch in loader:
            assert_batch(batch, corpus.x)


def test_deferred_rows_give_the_same_batches(large, starve_windows):
    ds = large.open()
    options = {"batch_size": 100, "obs": ["colour", "score", "flag"], "memory": "16MB"}
    expected = [
        (np.asarray(b.index).copy(), b.X.copy(), {k: v.copy() for k, v in b.obs.items()})
        for b in loader_of(ds, **options)
    ]
    starve_windows(300_000)
    loader = loader_of(ds, **options)
    for batch, (index, x, obs) in zip(loader, expected, strict=True):
        np.testing.assert_array_equal(batch.index, index)
        assert (x != batch.X).nnz == 0
        for name, values in obs.items():
            np.testing.assert_array_equal(batch.obs[name], values)
    assert loader.stats()["rows_deferred"] > 0


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("selected", [False, True])
def test_heads_that_compress_badly(tmp_path, request, resident, selected):
    if not resident:
        request.getfixturevalue("keep_nothing")
    # Chunks that begin with noise and go on with one value: a block's last row takes more of its last chunk
    # than its share of the stored bytes.
    rng = np.random.default_rng(5)
    x = sp.random(4000, 3000, density=0.1, format="csr", dtype=np.float32, rng=rng)
    at = np.arange(x.nnz) % 10_000
    x.data[:] = np.where(at < 1500, rng.random(x.nnz, dtype=np.float32), 1)
    path = write_h5ad(tmp_path / "a.h5ad", x, chunks=10_000, compression="gzip")
    ds = penstock.open(path)
    rows = np.sort(rng.permutation(4000)[:1500]) if selected else np.arange(4000)
    loader = loader_of(
        ds[rows] if selected else ds, batch_size=16, block_rows=33, memory="100MB" if resident else "5MB"
    )
    assert loader.plan.resident_offsets == resident
    seen = []
    for batch in loader:
        index = np.array(batch.index)
        assert (x[index] != batch.X).nnz == 0
        seen.append(index)
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), rows)
    if resident:  # else bytes between the arrays are read along, and heads are whole
        assert loader.stats()["heads_too_short"] > 0
    assert loader.stats()["memory"]["peak"] <= loader.stats()["memory"]["limit"]


def test_drop_last(corpus):
    loader = loader_of(corpus.open(), batch_size=1000, drop_last=True)
    assert len(loader) == 3
    seen = indices(loader)
    assert [len(s) for s in seen] == [1000] * 3 and len(np.unique(np.concatenate(seen))) == 3000
    assert len(loader_of(corpus.open(), batch_size=5000, drop_last=True)) == 0


def test_plan_says_what_happens(large):
    ds = large.open()
    loader = loader_of(ds, batch_size=500, memory="16MB", threads=2, seed=9)
    plan = loader.plan
    assert plan.n_rows == 35_000 and plan.n_batches == len(loader) == 70 and plan.seed == 9
    assert plan.window_rows % 500 == 0 or plan.window_rows >= 35_000
    assert plan.memory == 16_000_000 and sum(plan.memory_by_tag.values()) <= plan.memory
    assert set(plan.memory_by_tag) == {"index", "obs", "fetch", "scratch", "window", "slots", "dense"}
    assert "2 files" in plan.summary and plan.summary in str(plan) and plan.summary[:7] in plan._repr_html_()
    as_dict = plan.to_dict()
    assert as_dict["window_rows"] == plan.window_rows and as_dict["memory_by_tag"] == plan.memory_by_tag
    for _ in loader:
        pass
    stats = loader.stats()
    assert stats["rows"] == 35_000 and stats["batches"] == 70 and stats["entries"] == large.x.nnz
    assert stats["bytes_read"] <= 1.5 * plan.bytes_to_read
    assert stats["memory"]["peak"] <= 16_000_000
    assert isinstance(stats["who_waited"], str) and stats["who_waited"]


def test_given_rows_are_kept(large: Corpus):
    plan = loader_of(large.open(), block_rows=40, window_rows=1280, batch_size=64).plan
    assert plan.window_rows == 1280 and plan.block_rows == 40


def test_shuffle_mixes(large):
    loader = loader_of(large.open(), batch_size=1000, memory="16MB")
    window = loader.plan.window_rows
    positions = indices(loader)
    assert all(len(np.unique(p // 100)) > 20 for p in positions if len(p) == 1000 and window >= 4000)


MOST = 2**64 - 1


def test_seeds_up_to_64_bits(corpus):
    ds = corpus.open()
    orders = {}
    for seed in (0, 2**63 - 1, 2**63, np.uint64(MOST), MOST - 1):
        loader = penstock.Loader(ds, batch_size=64, memory="8MB", to="numpy", seed=seed)
        assert loader.plan.seed == seed and f"seed={int(seed)}" in repr(loader)
        state = json.loads(json.dumps(loader.state_dict()))
        assert state["seed"] == seed
        it = iter(loader)
        first = [next(it).index.tolist() for _ in range(3)]
        state = json.loads(json.dumps(loader.state_dict()))
        again = penstock.Loader(ds, batch_size=64, memory="8MB", to="numpy", seed=int(seed))
        again.load_state_dict(state)
        assert next(iter(again)).index.tolist() == next(it).index.tolist()
        assert json.loads(loader.plan.to_json())["seed"] == seed
        orders[int(seed)] = str(first)
    assert len(set(orders.values())) == 5
    other = penstock.Loader(ds, batch_size=64, memory="8MB", to="numpy", seed=MOST)
    with pytest.raises(ValueError, match=f"seed: {MOST - 1:,} in the checkpoint, {MOST:,} here"):
        other.load_state_dict({**state, "seed": MOST - 1})


@pytest.mark.parametrize("bad", [-1, 2**64, True])
def test_seeds_out_of_range(corpus, bad):
    for use in (
        lambda: penstock.Loader(corpus.open(), seed=bad),
        lambda: corpus.open().split([0.5, 0.5], seed=bad),
    ):
        with pytest.raises(ValueError, match=r"must be an integer from 0 to 2\*\*64 - 1"):
            use()
    with pytest.raises(TypeError, match="seed=1.5 is not an integer"):
        penstock.Loader(corpus.open(), seed=1.5)


def test_splits_with_any_seed(corpus):
    ds = corpus.open()
    parts = [ds.split([0.5, 0.5], seed=seed)[0] for seed in (2**63, MOST)]
    assert len({tuple(part.obs["n"].tolist()) for part in parts}) == 2
    assert all(abs(part.n_obs - 1500) < 2 for part in parts)


def test_drop_last_that_leaves_nothing(corpus):
    options = {"batch_size": 2000, "memory": "64MB", "to": "numpy", "drop_last": True}
    assert not any("drop_last" in note for note in penstock.Loader(corpus.open(), **options).plan.notes)
    for few in (
        penstock.Loader(corpus.open()[:1999], **options),
        penstock.Loader(corpus.open(), **options, rank=1, world_size=2),
    ):
        assert len(few) == 0 and list(few) == []
        assert any("there are no batches: drop_last leaves out" in note for note in few.plan.notes)
        assert "use drop_last=False" in str(few.plan)
