"""Loader(transform=): a user's function, one batch ahead on a thread of its own."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import Corpus
from support import run_python
from test_genes import write

import penstock

ROWS = 300


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    x = sp.random(ROWS, 20, 0.3, format="csr", dtype=np.float32, random_state=np.random.default_rng(0))
    return write(tmp_path_factory.mktemp("ahead") / "a.h5ad", x, [f"g{i}" for i in range(20)])


def loader_of(path: Path, transform: Any = None, **options: Any) -> penstock.Loader:
    options = {"batch_size": 32, "memory": "64MB", "to": "numpy", "seed": 1, **options}
    return penstock.Loader(penstock.open(path), transform=transform, **options)


def rows_of(batch: penstock.Batch) -> list[int]:
    return [int(row) for row in batch.index]


def test_results_come_in_order_from_another_thread(path: Path) -> None:
    threads = set()

    def transform(batch: penstock.Batch) -> list[int]:
        threads.add(threading.current_thread())
        return rows_of(batch)

    loader = loader_of(path, transform)
    want = loader_of(path)
    for _ in range(3):
        assert list(loader) == [rows_of(batch) for batch in want]
    assert threading.main_thread() not in threads
    assert len(loader) == 10


def test_one_batch_is_made_while_the_loop_works(path: Path) -> None:
    made: list[float] = []

    def transform(batch: penstock.Batch) -> int:
        made.append(time.perf_counter())
        return len(made)

    epoch = iter(loader_of(path, transform))
    assert next(epoch) == 1
    limit = time.perf_counter() + 60
    while len(made) < 2 and time.perf_counter() < limit:
        time.sleep(0.001)
    time.sleep(0.05)
    assert len(made) == 2  # one ahead, not more
    assert next(epoch) == 2


def test_errors_surface_where_the_batch_would_have_come(path: Path) -> None:
    def transform(batch: penstock.Batch) -> int:
        if transform.calls == 3:  # type: ignore[attr-defined]
            transform.calls += 1  # type: ignore[attr-defined]
            raise LookupError("the fourth")
        transform.calls += 1  # type: ignore[attr-defined]
        return int(transform.calls)  # type: ignore[attr-defined]

    transform.calls = 0  # type: ignore[attr-defined]
    epoch = iter(loader_of(path, transform))
    assert [next(epoch) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(LookupError, match="the fourth"):
        next(epoch)
    assert list(epoch) == [5, 6, 7, 8, 9, 10]


def test_breaking_off_beginning_anew_and_closing(path: Path) -> None:
    loader, want = loader_of(path, rows_of), loader_of(path)
    for _ in range(20):
        for _ in loader:
            break
        for _ in want:
            break
    assert list(loader) == [rows_of(batch) for batch in want]
    epoch = iter(loader)
    next(epoch)
    other = iter(loader)
    with pytest.raises(RuntimeError, match=r"another iter\(\)"):
        next(epoch)
    assert next(other)
    loader.close()
    with pytest.raises(RuntimeError, match="loader closed"):
        next(other)
    loader.close()


def test_peek_is_what_comes_next(path: Path) -> None:
    loader = loader_of(path, rows_of)
    first = loader.peek()
    epoch = iter(loader)
    assert next(epoch) == first
    second = loader.peek()
    assert loader.peek() == second and next(epoch) == second
    batches = loader_of(path, lambda batch: batch)
    ahead = iter(batches)
    next(ahead)
    copy = batches.peek()
    assert isinstance(copy, penstock.Batch)
    np.testing.assert_array_equal(copy.X.toarray(), next(ahead).X.toarray())


def test_checkpoints_count_what_the_loop_has_seen(path: Path) -> None:
    whole = list(loader_of(path, rows_of))
    for done in range(11):
        loader = loader_of(path, rows_of)
        epoch = iter(loader)
        for _ in range(done):
            next(epoch)
        state = loader.state_dict()
        again = loader_of(path, rows_of)
        again.load_state_dict(state)
        if done < 10:
            assert list(again) == whole[done:], done
        else:
            assert state["epoch"] == 1
        loader.close()


def test_what_cannot_be_called_is_refused_and_functions_are_pickled(path: Path) -> None:
    with pytest.raises(TypeError, match="function of a batch"):
        loader_of(path, 3)
    loader = pickle.loads(pickle.dumps(loader_of(path, rows_of)))
    assert sorted(row for rows in loader for row in rows) == list(range(ROWS))


def test_one_that_holds_its_own_iterator_is_collected(path: Path) -> None:
    """A thread that rests keeps nothing alive, and ends with its iterator."""

    class Trainer:
        def __init__(self) -> None:
            self.batches = iter(loader_of(path, self.transform))

        def transform(self, batch: penstock.Batch) -> tuple[Trainer, penstock.Batch]:
            return self, batch

    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    before = threads()
    trainer = Trainer()
    assert next(trainer.batches)[0] is trainer
    limit = time.monotonic() + 60
    while trainer.batches.progress.result is None and time.monotonic() < limit:  # type: ignore[attr-defined]
        time.sleep(0.001)
    alive = weakref.ref(trainer)
    del trainer
    while (alive() is not None or threads() > before) and time.monotonic() < limit:
        gc.collect()
        time.sleep(0.01)
    assert alive() is None and threads() <= before


# --- whoever waits for a result, and whenever ---


def ends_well(code: str, corpus: Corpus) -> str:
    done = run_python(code, corpus.paths[0], timeout=180)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_the_process_ends_while_one_transform_waits_for_anothers_loader(corpus: Corpus) -> None:
    code = """
        import sys, time
        import penstock
        ds = penstock.open(sys.argv[1])
        options = dict(batch_size=16, memory="8MB", to="numpy")
        inner = iter(penstock.Loader(ds, transform=lambda batch: batch, **options))

        def two(batch):
            time.sleep(0.2)  # the process ends meanwhile
            next(inner), next(inner)
            return batch

        for _ in penstock.Loader(ds, transform=two, **options):
            break
        print("end")
    """
    for _ in range(3):
        assert ends_well(code, corpus) == "end\n"


@pytest.mark.parametrize("before", ["", "next(batches)"])
def test_a_transform_works_in_a_handler_of_the_processs_end(corpus: Corpus, before: str) -> None:
    code = f"""
        import atexit, sys
        atexit.register(lambda: print(sum(batch.n_obs for batch in batches)))  # runs after those of penstock
        import penstock
        loader = penstock.Loader(
            penstock.open(sys.argv[1])[:100], batch_size=10, memory="8MB", to="numpy", transform=lambda batch: batch
        )
        batches = iter(loader)
        {before}
    """
    assert ends_well(code, corpus) == ("90\n" if before else "100\n")


def test_a_signals_handler_may_peek_inside_of_next(corpus: Corpus) -> None:
    code = """
        import signal, sys, time
        import penstock

        def slow(batch):
            time.sleep(0.3)
            return batch

        loader = penstock.Loader(
            penstock.open(sys.argv[1])[:40], batch_size=10, memory="8MB", to="numpy", transform=slow
        )
        signal.signal(signal.SIGALRM, lambda *_: loader.peek())
        signal.setitimer(signal.ITIMER_REAL, 0.15, 0.2)
        print(sum(batch.n_obs for batch in loader))
        signal.setitimer(signal.ITIMER_REAL, 0)
    """
    assert ends_well(code, corpus) == "40\n"


def test_an_epoch_that_a_signals_handler_ends_says_so(corpus: Corpus) -> None:
    code = """
        import signal, sys, time
        import penstock

        calls = []

        def slow(batch):
            calls.append(batch.n_obs)
            if len(calls) == 1:  # the loop has begun its epoch, however late that was
                signal.setitimer(signal.ITIMER_REAL, 0.15)
            time.sleep(0.3)
            return batch

        loader = penstock.Loader(
            penstock.open(sys.argv[1])[:200], batch_size=10, memory="8MB", to="numpy", transform=slow
        )
        signal.signal(signal.SIGALRM, lambda *_: iter(loader))
        try:
            for _ in loader:
                pass
        except RuntimeError as error:
            print("RuntimeError")
    """
    assert ends_well(code, corpus) == "RuntimeError\n"
