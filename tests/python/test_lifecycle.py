"""Epochs begun, broken off, interrupted and forgotten."""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from support import assert_batch, flat, run_python

import penstock


@pytest.fixture
def loader(large):
    with penstock.Loader(large.open(), batch_size=500, memory="16MB", to="numpy") as loader:
        yield loader


def test_iter_begins_the_next_epoch_and_ends_the_last(loader):
    one = iter(loader)
    first = next(one).index.copy()
    two = iter(loader)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"another iter\(\) of this loader began.*second Loader"):
            next(one)
    second = next(two).index.copy()
    assert not np.array_equal(first, second)
    loader.set_epoch(0)
    np.testing.assert_array_equal(next(iter(loader)).index, first)
    np.testing.assert_array_equal(next(iter(loader)).index, second)
    with pytest.raises(RuntimeError, match=r"another iter\(\)"):
        next(two)


def test_next_iter_again_and_again(loader):
    seen = {next(iter(loader)).index.tobytes() for _ in range(50)}
    assert len(seen) == 50


def test_break_and_go_on(loader):
    for _ in range(5):
        for i, _ in enumerate(loader):
            if i == 3:
                break
    np.testing.assert_array_equal(np.sort(flat(loader)), np.arange(35_000))


def test_exception_in_the_loop(loader, large):
    with pytest.raises(ZeroDivisionError):
        for _ in loader:
            _ = 1 / 0
    for batch in loader:
        assert_batch(batch, large.x)


def test_exhausted_iterator_stays_exhausted(loader):
    it = iter(loader)
    assert sum(1 for _ in it) == len(loader)
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(it)


def test_peek(loader):
    peeked = loader.peek()
    again = loader.peek()
    np.testing.assert_array_equal(peeked.index, again.index)
    it = iter(loader)
    np.testing.assert_array_equal(next(it).index, peeked.index)
    middle = loader.peek()
    np.testing.assert_array_equal(next(it).index, middle.index)
    peeked.X.data[:] = -1  # a copy of its own
    loader.set_epoch(0)
    np.testing.assert_array_equal(next(iter(loader)).index, peeked.index)
    assert loader.stats()["batches"] == 3


def test_peek_then_another_epoch(loader):
    loader.peek()
    loader.set_epoch(7)
    seven = flat(loader)
    loader.set_epoch(7)
    loader.peek()
    np.testing.assert_array_equal(flat(loader), seven)


def test_close(large):
    loader = penstock.Loader(large.open(), batch_size=500, memory="16MB", to="numpy", obs=["colour"])
    it = iter(loader)
    next(it)
    loader.close()
    loader.close()
    for use in (lambda: next(it), lambda: iter(loader), lambda: len(loader), loader.peek):
        with pytest.raises(RuntimeError, match="closed"):
            use()
    assert loader.plan.n_rows == 35_000 and loader.stats()["batches"] == 1 and "colour" in loader.categories
    assert "closed" in repr(loader)


def test_close_from_any_state(large):
    ds = large.open()
    for steps in (None, 0, 1, 30, 70):
        taken = []
        while min(taken, default=2) >= 2 and len(taken) < 5:  # another process may have had the cores
            loader = penstock.Loader(ds, batch_size=500, memory="16MB", to="numpy")
            it = None if steps is None else iter(loader)
            for _ in range(steps or 0):
                next(it)
            started = time.monotonic()
            loader.close()
            taken.append(time.monotonic() - started)
        assert min(taken) < 2, taken


def test_close_ends_a_waiting_next(large):
    loader = penstock.Loader(large.open(), batch_size=500, memory="16MB", to="numpy", slot_timeout=600)
    errors, kept = [], []

    def consume():
        try:
            for batch in loader:
                kept.append(batch)
        except (RuntimeError, penstock.MemoryBudgetError) as error:
            errors.append(error)

    thread = threading.Thread(target=consume)
    thread.start()
    time.sleep(1)
    loader.close()
    thread.join(timeout=120)
    assert not thread.is_alive()
    assert len(kept) == len(loader_plan_batches(loader)) or "closed" in str(errors[0])


def loader_plan_batches(loader):
    return range(loader.plan.n_batches)


def test_half_used_loaders_are_collected(large):
    ds = large.open()
    threads = len(os.listdir("/proc/self/task"))
    for _ in range(10):
        loader = penstock.Loader(ds, batch_size=500, memory="16MB", to="numpy")
        it = iter(loader)
        next(it)
        alive = weakref.ref(loader)
        del loader, it
        gc.collect()
        assert alive() is None
    deadline = time.monotonic() + 60
    while len(os.listdir("/proc/self/task")) > threads + 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(os.listdir("/proc/self/task")) <= threads + 1


def test_an_iterator_outlives_its_loader(large):
    it = iter(penstock.Loader(large.open(), batch_size=500, memory="16MB", to="numpy"))
    gc.collect()
    np.testing.assert_array_equal(np.sort(flat(it)), np.arange(35_000))


def test_holding_every_batch_is_an_error(large):
    loader = penstock.Loader(large.open(), batch_size=500, memory="8MB", to="numpy", slot_timeout=0.2)
    kept = []
    with pytest.raises(penstock.MemoryBudgetError, match="clone"):
        kept.extend(loader)
    for batch in kept:
        assert_batch(batch, large.x)
    assert isinstance(loader.stats()["slots_held"], int) and loader.stats()["slots_held"] == len(kept)


def test_garbage_is_collected_before_giving_up(large):
    loader = penstock.Loader(large.open(), batch_size=500, memory="8MB", to="numpy", slot_timeout=0)
    gc.disable()
    try:
        count = 0
        for batch in loader:
            cycle = [batch]
            cycle.append(cycle)
            del cycle, batch
            count += 1
    finally:
        gc.enable()
    assert count == 70


def test_shared_budget(large):
    budget = penstock.MemoryBudget("40MB")
    ds = large.open()
    one = penstock.Loader(ds[:20_000], batch_size=500, memory=budget, to="numpy", window_rows=2000)
    two = penstock.Loader(
        ds[20_000:], batch_size=500, memory=budget, to="numpy", shuffle=False, window_rows=2000
    )
    for a, b in zip(one, two, strict=False):
        assert a.n_obs == b.n_obs == 500
    assert 0 < budget.peak <= budget.limit == 40_000_000
    assert budget.used <= budget.peak and "40 MB" in repr(budget)
    assert set(budget.usage()["used_by_tag"]) == {
        "index",
        "obs",
        "fetch",
        "scratch",
        "window",
        "slots",
        "dense",
    }
    one.close()
    two.close()
    del a, b, one, two
    gc.collect()
    assert budget.used == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"batch_size": 0}, ValueError), ({"batch_size": 2.5}, TypeError), ({"batch_size": None}, TypeError),
        ({"memory": "much"}, ValueError), ({"memory": -1}, ValueError), ({"format": "coo"}, ValueError),
        ({"to": "jax"}, ValueError), ({"seed": -1}, ValueError), ({"rank": 0}, ValueError),
        ({"rank": 2, "world_size": 2}, ValueError), ({"threads": 0}, ValueError), ({"window_rows": 0}, ValueError),
        ({"slot_timeout": -1}, ValueError), ({"memory": 1000}, penstock.MemoryBudgetError),
    ],
)  # fmt: skip
def test_bad_options(large, options, error):
    with pytest.raises(error):
        penstock.Loader(large.open(), **options)


def test_budget_error_names_the_ways_out(large):
    with pytest.raises(penstock.MemoryBudgetError) as caught:
        penstock.Loader(large.open(), batch_size=30_000, memory="10MB", format="dense")
    message = str(caught.value)
    assert "batch_size" in message and "10 MB" in message and "30,000" in message


def test_not_a_dataset():
    with pytest.raises(TypeError, match=r"penstock\.open"):
        penstock.Loader("a.h5ad")


def test_pickle_carries_configuration_only(large):
    loader = penstock.Loader(
        large.open()[::2], batch_size=500, memory="16MB", obs=["colour"], seed=3, to="numpy"
    )
    first = flat(loader)
    copy = pickle.loads(pickle.dumps(loader))
    assert len(pickle.dumps(loader)) < 20_000
    assert copy.plan.window_rows == loader.plan.window_rows and copy.categories == loader.categories
    assert not np.array_equal(flat(copy), first)  # the second epoch
    copy.set_epoch(0)
    np.testing.assert_array_equal(flat(copy), first)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("state", ["new", "running"])
def test_fork(large, state):
    budget = penstock.MemoryBudget("16MB")
    loader = penstock.Loader(large.open()[:5000], batch_size=500, memory=budget, to="numpy", threads=2)
    it = iter(loader) if state == "running" else None
    if it is not None:
        next(it)
    read, write = os.pipe()
    with np.errstate():
        import warnings

        warnings.simplefilter("ignore", DeprecationWarning)  # fork in a process with threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            if it is not None:
                try:
                    next(it)
                except ValueError as error:
                    assert "fork" in str(error)
            loader.set_epoch(0)
            os.write(write, flat(loader).tobytes())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        seen = np.frombuffer(pipe.read(), dtype=np.int64)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    loader.set_epoch(0)
    np.testing.assert_array_equal(flat(loader), seen)


def test_ctrl_c_while_waiting(large):
    code = """
        import itertools, sys
        import penstock
        loader = penstock.Loader(penstock.open(sys.argv[1:]), batch_size=500, memory="8MB", to="numpy",
                                 slot_timeout=600)
        kept = []
        try:
            for batch in loader:
                kept.append(batch)
                if len(kept) == 1:
                    print("started", flush=True)
        except KeyboardInterrupt:
            print("interrupted", len(kept), flush=True)
            kept.clear()
            del batch
            loader.set_epoch(0)
            print("again", sum(len(b.index) for b in loader), flush=True)
    """
    import textwrap

    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *large.paths], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(1.5)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline().startswith("interrupted")
    assert time.monotonic() - sent < 60  # and not when a slot is waited for no longer
    assert process.stdout.readline() == "again 35000\n"
    assert process.wait(timeout=120) == 0


def test_process_exits_with_a_half_used_loader(large):
    code = """
        import sys, penstock
        loader = penstock.Loader(penstock.open(sys.argv[1:]), batch_size=500, memory="16MB", to=sys.argv[1] and "torch")
        it = iter(loader)
        batch = next(it)
        print(batch.n_obs)
    """
    done = run_python(code, *large.paths)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "500\n" and "nanobind" not in done.stderr


def test_slots_survive_many_threads(large):
    """Tensors that die on other threads give their slots back."""
    loader = penstock.Loader(large.open(), batch_size=100, memory="16MB", to="numpy", slot_timeout=120)
    queue: list = []
    done = threading.Event()

    def drop():
        while not done.is_set() or queue:
            try:
                queue.pop()
            except IndexError:  # empty, or another thread was first
                time.sleep(0.001)

    threads = [threading.Thread(target=drop) for _ in range(3)]
    for thread in threads:
        thread.start()
    for batch in itertools.chain(loader, loader):
        queue.append(batch)
    del batch
    done.set()
    for thread in threads:
        thread.join()
    assert loader.stats()["slots_held"] == 0
