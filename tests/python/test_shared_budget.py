"""A shared MemoryBudget changes nothing but memory: each loader has a share, whoever else is alive."""

from __future__ import annotations

import gc
import os
import pickle
import re
from typing import Any

import pytest
from conftest import Corpus

import penstock

OPTIONS: dict[str, Any] = {"batch_size": 200, "to": "numpy", "seed": 7}


def take(batches: Any) -> list[list[int]]:
    return [batch.index.tolist() for batch in batches]


@pytest.mark.parametrize("memory", ["10MB", "20MB"])
def test_a_loader_made_again_is_the_same(large: Corpus, memory: str) -> None:
    ds = large.open()
    train, val = ds[:25_000], ds[25_000:]
    alone = penstock.Loader(train, memory=penstock.MemoryBudget(memory), **OPTIONS)
    window, order = alone.plan.window_rows, take(alone)
    alone.close()
    half = penstock.Loader(train, memory=penstock.MemoryBudget(memory).limit // 2, **OPTIONS)
    assert half.plan.window_rows == window and half.plan.memory == alone.plan.memory

    budget = penstock.MemoryBudget(memory)
    first = penstock.Loader(train, memory=budget, **OPTIONS)
    it = iter(first)
    begin, state = [next(it).index.tolist() for _ in range(3)], first.state_dict()
    assert begin == order[:3]
    second = penstock.Loader(val, memory=budget, shuffle=False, **OPTIONS)
    assert second.plan.memory == first.plan.memory == budget.limit // 2
    for _ in range(3):  # made again while the other lives
        first.close()
        first = penstock.Loader(train, memory=budget, **OPTIONS)
        assert first.plan.window_rows == window
        assert take(first) == order
    first.close()
    again = penstock.Loader(train, memory=budget, **OPTIONS)
    again.load_state_dict(state)
    assert take(again) == order[3:]
    assert take(second) == take(penstock.Loader(val, memory="64MB", shuffle=False, **OPTIONS))
    assert budget.used <= budget.peak <= budget.limit
    again.close()
    second.close()
    # In the other order, too.
    second = penstock.Loader(val, memory=budget, shuffle=False, **OPTIONS)
    assert take(penstock.Loader(train, memory=budget, **OPTIONS)) == order


def test_shares_are_what_was_asked_for(large: Corpus) -> None:
    ds = large.open()
    budget = penstock.MemoryBudget("30MB", loaders=3)
    assert budget.loaders == 3 and "30 MB for 3 loaders" in repr(budget)
    loaders = [penstock.Loader(ds, memory=budget, **OPTIONS) for _ in range(3)]
    assert {loader.plan.memory for loader in loaders} == {10_000_000}
    assert len({tuple(map(tuple, take(loader))) for loader in loaders[:2]}) == 1
    for loader in loaders:
        assert loader.stats()["memory"]["limit"] == 10_000_000
        assert 0 < loader.stats()["memory"]["used"] <= 10_000_000
    assert sum(loader.stats()["memory"]["used"] for loader in loaders) == budget.used
    whole = penstock.MemoryBudget("30MB", loaders=1)
    assert "30 MB for 1 loader:" in repr(whole)
    assert penstock.Loader(ds, memory=whole, **OPTIONS).plan.memory == 30_000_000


def test_more_loaders_than_shares_where_they_fit(corpus: Corpus) -> None:
    budget = penstock.MemoryBudget("100MB")
    loaders = [penstock.Loader(corpus.open(), memory=budget, threads=1, **OPTIONS) for _ in range(4)]
    assert len({len(take(loader)) for loader in loaders}) == 1


def test_an_error_names_who_holds_the_rest_and_the_way_out(large: Corpus) -> None:
    ds = large.open()
    budget = penstock.MemoryBudget("16MB")
    kept = [penstock.Loader(ds[:n], memory=budget, **OPTIONS) for n in (20_000, 30_000)]
    before = budget.used
    for _ in range(3):
        with pytest.raises(penstock.MemoryBudgetError) as caught:
            penstock.Loader(ds, memory=budget, **OPTIONS)
        assert budget.used == before  # nothing of it stays
    message = str(caught.value)
    assert "the share of this loader is 8 MB, of a MemoryBudget of 16 MB for 2 loaders" in message
    assert re.search(
        r"held by 2 loaders: [\d.]+ MB \(20,000 rows in batches of 200\), .*\(30,000 rows in", message
    )
    assert 'MemoryBudget("16 MB", loaders=3)' in message and "Close one" in message
    error = caught.value
    assert error.needed_bytes > error.free_bytes and error.ways_out == {}
    assert error.free_bytes <= 16_000_000 - before  # less what the plan had taken until then
    # What it says helps.
    kept.pop().close()
    penstock.Loader(ds, memory=budget, **OPTIONS).close()
    # A closed loader whose batch is kept.
    batch = next(iter(kept[0]))
    kept.pop().close()
    assert budget.used > 0
    del batch
    gc.collect()
    assert budget.used == 0


def test_what_does_not_fit_its_share_is_said_with_the_budget_that_would(large: Corpus) -> None:
    ds = large.open()
    options = {**OPTIONS, "batch_size": 4000, "format": "dense"}
    with pytest.raises(penstock.MemoryBudgetError) as caught:
        penstock.Loader(ds, memory=penstock.MemoryBudget("16MB", loaders=4), **options)
    message = str(caught.value)
    assert "memory=4 MB, this loader's share of a MemoryBudget of 16 MB for 4 loaders, cannot hold" in message
    enough = re.search(r"a MemoryBudget >= ([\d.]+ [MG]B)\.$", message)
    assert enough, message
    loader = penstock.Loader(ds, memory=penstock.MemoryBudget(enough[1], loaders=4), **options)
    assert loader.plan.batch_size == 4000
    # As numbers, too: of the budget, and of none that is a loader's own. The message has three digits of them.
    ways = caught.value.ways_out
    assert ways["shared_budget"] == pytest.approx(penstock._core.parse_bytes(enough[1]), rel=0.01)
    assert "memory" not in ways
    for option in ("batch_size", "format", "dtype"):
        assert (option in ways) == bool(re.search(rf"\b{option}( <= |=\")", message.split(". Use ")[1])), (
            option
        )
    assert f"Use batch_size <= {ways['batch_size']}" in message


@pytest.mark.parametrize("format", ["csr", "dense"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("batch_size", "memory"), [(20_000, "8MB"), (35_000, "16MB"), (10**9, "16MB"), (3000, "3MB")]
)
def test_the_batch_size_that_a_refusal_names_is_accepted(large, batch_size, memory, shuffle, format):
    options = {**OPTIONS, "memory": memory, "shuffle": shuffle, "format": format}
    with pytest.raises(penstock.MemoryBudgetError) as caught:
        penstock.Loader(large.open(), **{**options, "batch_size": batch_size})
    named = re.search(r"Use batch_size <= (\d+)", str(caught.value))
    assert named, caught.value
    loader = penstock.Loader(large.open(), **{**options, "batch_size": int(named[1])})
    assert loader.plan.batch_size == int(named[1]) > 1
    # And about the largest.
    with pytest.raises(penstock.MemoryBudgetError):
        penstock.Loader(large.open(), **{**options, "batch_size": 2 * int(named[1])})


def test_pickles_forks_and_nonsense(corpus: Corpus) -> None:
    budget = penstock.MemoryBudget("16MB", loaders=4)
    copy = pickle.loads(pickle.dumps(budget))
    assert (copy.limit, copy.loaders, copy.used) == (16_000_000, 4, 0)
    loader = penstock.Loader(corpus.open(), memory=budget, **OPTIONS)
    order = take(loader)
    other = pickle.loads(pickle.dumps(loader))
    assert other.plan.memory == loader.plan.memory == 4_000_000
    other.set_epoch(0)
    assert take(other) == order
    for bad in (0, -1, 1.5, True, "2", None):
        with pytest.raises(ValueError, match="loaders="):
            penstock.MemoryBudget("1GB", loaders=bad)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork in a process with threads
def test_a_forked_child_has_shares_of_its_own(corpus: Corpus) -> None:
    budget = penstock.MemoryBudget("12MB", loaders=3)
    kept = [penstock.Loader(corpus.open(), memory=budget, threads=1, **OPTIONS) for _ in range(2)]
    plan = kept[0].plan
    child = os.fork()
    if child == 0:
        code = 1
        try:
            made = [penstock.Loader(corpus.open(), memory=budget, threads=1, **OPTIONS) for _ in range(3)]
            same = all((m.plan.memory, m.plan.window_rows) == (plan.memory, plan.window_rows) for m in made)
            code = 0 if same and budget.loaders == 3 else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(kept) == 2
