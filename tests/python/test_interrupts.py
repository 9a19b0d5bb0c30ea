"""Ctrl-C, or whatever a signal's handler raises, at any moment of next(): no batch is lost, none comes twice."""

from __future__ import annotations

import os
import signal
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from support import run_python

import penstock

ROWS = 3001  # of the corpus
BATCH = 400
KINDS = [
    {"to": "numpy"}, {"to": "torch"}, {"to": "torch", "format": "dense", "totals": True},
    {"to": "numpy", "transform": lambda batch: batch}, {"to": "torch", "transform": lambda batch: batch},
]  # fmt: skip


class Interrupted(KeyboardInterrupt):
    pass


def next_interrupted(batches: Iterator[Any], event: int) -> Any:
    """next(batches), with an error at the given event: a call, line or return of this package's Python."""
    left = event

    def trace(frame: types.FrameType, what: str, _: Any) -> Any:
        nonlocal left
        if "penstock" not in frame.f_code.co_filename:
            return None
        if left == 0:
            raise Interrupted
        left -= 1
        return trace

    sys.settrace(trace)
    try:
        return next(batches)
    finally:
        sys.settrace(None)


@pytest.fixture(params=KINDS, ids=["numpy", "torch", "dense", "transform", "torch transform"])
def loader(request: pytest.FixtureRequest, corpus: Any) -> Iterator[penstock.Loader]:
    with penstock.Loader(
        corpus.open(), batch_size=BATCH, memory="16MB", obs=["colour"], **request.param
    ) as loader:
        yield loader


def test_at_every_line_no_batch_is_lost(loader: penstock.Loader) -> None:
    want = [batch.index.tolist() for batch in loader]
    ahead = loader._options.transform is not None
    loader.set_epoch(0)
    batches, seen, interrupts = iter(loader), [], 0
    while True:
        for event in range(10_000):
            try:
                batch = next_interrupted(batches, event)
                break
            except Interrupted:
                interrupts += 1
                state = loader.state_dict()
                assert state["lineage"] == ([[1, len(seen)]] if 0 < len(seen) < len(want) else [])
                assert state["epoch"] == (0 if len(seen) < len(want) else 1)
                if not ahead:  # else one more may be ready
                    assert loader.stats()["batches"] == len(want) + len(seen)
            except StopIteration:
                batch = None
                break
        if batch is None:
            break
        seen.append(batch.index.tolist())
        assert loader.state_dict()["lineage"] == ([[1, len(seen)]] if len(seen) < len(want) else [])
    assert seen == want
    assert interrupts > 10 * len(want)
    assert list(batches) == []


def test_the_batch_that_was_on_its_way_is_given_back(loader: penstock.Loader) -> None:
    """By an epoch that is begun anew, by dropping the iterator and by close()."""
    for end in (lambda: iter(loader), lambda: None, loader.close):
        batches = iter(loader)
        for event in range(2, 12, 2):
            with pytest.raises(Interrupted):
                next_interrupted(batches, event)
        del batches
        end()
        if loader._options.transform is None:
            assert loader.stats()["slots_held"] == 0


def test_errors_of_a_transform_come_once(corpus: Any) -> None:
    made = []

    def transform(batch: penstock.Batch) -> int:
        made.append(batch.n_obs)
        if len(made) % 3 == 2:
            raise LookupError(len(made))
        return len(made)

    loader = penstock.Loader(corpus.open(), batch_size=BATCH, memory="16MB", to="numpy", transform=transform)
    batches, found = iter(loader), []
    while True:
        for event in range(10_000):
            try:
                found.append(next_interrupted(batches, event))
                break
            except Interrupted:
                done = loader.state_dict()["lineage"]
                assert done == ([[1, len(found)]] if 0 < len(found) < 8 else [])
            except LookupError as error:
                found.append(-error.args[0])
                break
            except StopIteration:
                found.append(None)
                break
        if found[-1] is None:
            break
    assert found == [1, -2, 3, 4, -5, 6, 7, -8, None]


def test_a_handler_that_calls_next_itself_is_refused(loader: penstock.Loader) -> None:
    batches = iter(loader)
    rows = len(next(batches).index)
    found = []

    def trace(frame: types.FrameType, what: str, _: Any) -> Any:
        if not found and frame.f_code.co_name == "take":
            found.append(None)
            with pytest.raises(RuntimeError, match="inside its own next"):
                next(batches)
        return None

    sys.settrace(trace)
    try:
        rows += len(next(batches).index)
    finally:
        sys.settrace(None)
    assert found
    assert rows + sum(len(batch.index) for batch in batches) == ROWS


def test_a_handler_that_begins_an_epoch_ends_the_iterator(loader: penstock.Loader) -> None:
    batches = iter(loader)
    rows = len(next(batches).index)
    found: list[Any] = []

    def trace(frame: types.FrameType, what: str, _: Any) -> Any:
        if not found and frame.f_code.co_name == "take":
            found.append(iter(loader))
        return None

    sys.settrace(trace)
    try:
        with pytest.raises(RuntimeError, match=r"another iter\(\)"):
            next(batches)
    finally:
        sys.settrace(None)
    assert rows > 0
    assert sum(len(batch.index) for batch in found[0]) == ROWS


@pytest.mark.parametrize("to", ["numpy", "torch"])
@pytest.mark.parametrize("transform", ["None", "lambda batch: batch"])
def test_signals_at_random_moments(corpus: Any, to: str, transform: str) -> None:
    code = f"""
        import random, signal, sys, penstock
        waiting = False
        def interrupt(*_):
            if waiting:
                raise KeyboardInterrupt
            signal.setitimer(signal.ITIMER_REAL, 0.0002)
        signal.signal(signal.SIGALRM, interrupt)
        random.seed(0)
        loader = penstock.Loader(penstock.open(sys.argv[1:]), batch_size=20, memory="4MB", to={to!r},
                                 transform={transform})
        interrupts = 0
        while interrupts < 200:
            rows, batches, ended = [], iter(loader), False
            while not ended:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00005, 0.002))
                try:
                    waiting = True
                    for batch in batches:
                        waiting = False
                        rows += batch.index.tolist()
                        waiting = True
                    ended, waiting = True, False
                except KeyboardInterrupt:
                    interrupts, waiting = interrupts + 1, False
            assert sorted(rows) == list(range({ROWS})), (len(rows), interrupts)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        print("whole")
    """
    done = run_python(code, *corpus.paths, timeout=600)
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_iterator_with_a_transform_says_so_in_a_forked_child(corpus: Any) -> None:
    loader = penstock.Loader(
        corpus.open(), batch_size=BATCH, memory="16MB", to="numpy", transform=lambda batch: batch
    )
    batches = iter(loader)
    next(batches)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(240)  # and no waiting for ever
            with pytest.raises(ValueError, match="fork"):
                for _ in range(3):
                    next(batches)
            del batches
            code = 0 if sum(len(batch.index) for batch in loader) == ROWS else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sum(len(batch.index) for batch in batches) == ROWS - BATCH
