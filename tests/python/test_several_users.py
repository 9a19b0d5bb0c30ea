"""One loader in several hands: loops in loops, threads, transforms that ask their own loader."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from support import assert_batch, flat, run_python

import penstock

OPTIONS: dict[str, Any] = {"batch_size": 100, "memory": "16MB", "to": "numpy"}
KINDS = [{}, {"transform": lambda batch: batch}, {"to": "torch"}]


@pytest.fixture(params=KINDS, ids=["plain", "transform", "torch"])
def loader(request: pytest.FixtureRequest, corpus: Any) -> Any:
    with penstock.Loader(corpus.open(), **{**OPTIONS, **request.param}) as loader:
        yield loader


# --- loops in loops ---


def test_a_loop_in_a_loop_is_an_error_of_the_outer_one(loader: Any) -> None:
    seen = 0
    with pytest.raises(
        RuntimeError, match=r"another iter\(\) of this loader began.*second Loader.*MemoryBudget"
    ):
        for _ in loader:
            seen += 1
            if seen == 3:
                assert sum(batch.n_obs for batch in loader) == 3001
    assert seen == 3
    assert sum(batch.n_obs for batch in loader) == 3001  # no harm to the next one


def test_zip_of_one_loader(loader: Any) -> None:
    with pytest.raises(RuntimeError, match="another iter"):
        list(zip(loader, loader, strict=True))


def test_loops_that_follow_each_other_are_none(loader: Any) -> None:
    """After break, after the end, with the old iterator still there; and inside the loop at its last batch."""
    kept = []
    for _ in range(3):
        it = iter(loader)
        next(it)
        kept.append(it)
    last = len(loader)
    seen = 0
    for _ in loader:
        seen += 1
        if seen == last:
            assert sum(1 for _ in loader) == last
    assert seen == last
    done = iter(loader)
    assert sum(1 for _ in done) == last
    next(iter(loader))
    assert list(done) == []


def test_a_second_loader_is_the_way_out(corpus: Any) -> None:
    budget = penstock.MemoryBudget("32MB")
    options = {**OPTIONS, "memory": budget}
    train, val = penstock.Loader(corpus.open(), **options), penstock.Loader(corpus.open(), **options)
    assert sum(1 for _ in zip(train, val, strict=True)) == len(train)


def test_what_ends_an_iterator_is_named(loader: Any) -> None:
    state = loader.state_dict()
    it = iter(loader)
    next(it)
    loader.load_state_dict(state)
    with pytest.raises(
        RuntimeError, match=r"load_state_dict\(\) was called while this iterator had batches left"
    ):
        next(it)
    it = iter(loader)
    next(it)
    loader.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"loader closed: close\(\) ends its iterators"):
            next(it)


def test_closing_at_the_end_is_no_error(loader: Any) -> None:
    seen = 0
    for _ in loader:
        seen += 1
        if seen == 31:
            loader.close()
    assert seen == 31


def test_a_dataloader_around_it_says_so_too(corpus: Any) -> None:
    torch = pytest.importorskip("torch")
    loader = penstock.Loader(corpus.open(), **{**OPTIONS, "to": "torch"})
    wrapped = torch.utils.data.DataLoader(loader, batch_size=None)
    with pytest.raises(RuntimeError, match="another iter"):
        list(zip(wrapped, wrapped, strict=True))


@pytest.mark.slow
def test_lightning_with_one_loader_for_training_and_validation(corpus: Any) -> None:
    pytest.importorskip("lightning")
    code = """
        import sys, lightning, torch, penstock

        class Model(lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.layer, self.seen = torch.nn.Linear(90, 3), 0
            def training_step(self, batch, i):
                self.seen += batch.n_obs
                return self.layer(batch.dense()).sum()
            def validation_step(self, batch, i):
                pass
            def configure_optimizers(self):
                return torch.optim.SGD(self.parameters(), lr=0.01)

        def fit(**options):
            loader = penstock.Loader(penstock.open(sys.argv[1:]), batch_size=64, memory="8MB")
            model = Model()
            trainer = lightning.Trainer(accelerator="cpu", devices=1, max_epochs=2, logger=False,
                enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, **options)
            trainer.fit(model, loader, loader)
            return model.seen

        print(fit())  # validation comes when training has had every batch
        try:
            fit(val_check_interval=10)
        except RuntimeError as error:
            print(error)
    """
    done = run_python(code, *corpus.paths, timeout=300)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()[-2:]
    assert first == "6002" and "another iter() of this loader began" in second


def test_set_epoch_after_a_broken_loop_says_where_the_next_one_begins(loader: Any) -> None:
    for epoch in (0, 1, 5):
        for step, _ in enumerate(loader):
            if step == 2:
                break
        assert loader.state_dict()["lineage"] == [[1, 3]]
        loader.set_epoch(epoch)
        assert (loader.state_dict()["epoch"], loader.state_dict()["lineage"]) == (epoch, [])
        state = loader.state_dict()
        whole = flat(loader)
        assert len(whole) == 3001
        loader.load_state_dict(state)
        np.testing.assert_array_equal(flat(loader), whole)
        # A look ahead after a broken loop is at what the next one begins with.
        next(iter(loader))
        peeked = loader.peek()
        assert loader.state_dict()["lineage"] == []
        np.testing.assert_array_equal(next(iter(loader)).index, peeked.index)


def test_ctrl_c_does_not_lock_a_loader(corpus: Any) -> None:
    """At random moments, also between two lines of this package."""
    code = """
        import random, signal, sys, penstock
        armed = False
        def interrupt(*_):
            if armed:
                raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        random.seed(0)
        for options in ({}, {"transform": lambda batch: batch}):
            loader = penstock.Loader(penstock.open(sys.argv[1:]), batch_size=20, memory="4MB", to="numpy", **options)
            interrupts = 0
            while interrupts < 100:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.002))
                try:
                    armed = True
                    for batch in loader:
                        pass
                    armed = False
                except KeyboardInterrupt:
                    armed, interrupts = False, interrupts + 1
            print(sum(batch.n_obs for batch in loader))
    """
    done = run_python(code, *corpus.paths, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3001", "3001"]


# --- threads ---


def outcomes(calls: list[Callable[[], Any]]) -> list[Any]:
    """What each thread returned or raised."""
    with ThreadPoolExecutor(len(calls)) as pool:
        running = [pool.submit(call) for call in calls]
        return [job.exception(timeout=240) or job.result() for job in running]


def test_threads_on_one_loader(loader: Any, corpus: Any) -> None:
    """All rows with their values, or an error that says why; and the loader is as good as before."""
    for shared in (True, False):

        def read(batches: Any) -> list[int]:
            rows: list[int] = []
            for batch in batches:
                rows += batch.index.tolist()
                assert_batch(batch, corpus.x)
            return rows

        for _ in range(5):
            batches = iter(loader) if shared else loader
            found = outcomes([lambda batches=batches: read(batches)] * 4)  # type: ignore[misc]
            errors = [each for each in found if isinstance(each, BaseException)]
            for error in errors:
                assert type(error) is RuntimeError
                assert "another thread" in str(error) or "another iter()" in str(error)
            if not errors:
                every = sorted(row for rows in found for row in rows)
                assert every == sorted(list(range(3001)) * (1 if shared else 4))
    np.testing.assert_array_equal(np.sort(flat(loader)), np.arange(3001))


def test_while_one_thread_waits_others_are_refused(corpus: Any) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def transform(batch: penstock.Batch) -> penstock.Batch:
        inside.set()
        assert go_on.wait(240)
        return batch

    loader = penstock.Loader(corpus.open(), **OPTIONS, transform=transform)
    state = loader.state_dict()
    it = iter(loader)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, it)
        assert inside.wait(120)
        for use in (
            lambda: next(it),
            lambda: iter(loader),
            loader.peek,
            lambda: loader.load_state_dict(state),
        ):
            with pytest.raises(RuntimeError, match="in use by another thread.*MemoryBudget"):
                use()
        # What needs no batch is answered.
        assert (len(loader), loader.epoch, loader.state_dict()["lineage"]) == (31, 0, [])
        assert loader.stats()["batches"] == 1 and loader.plan.n_rows == 3001 and loader.categories == {}
        go_on.set()
        assert first.result(timeout=120).n_obs == 100
    assert len(flat(it)) == 2901


def test_threads_that_ask_make_one_engine(corpus: Any) -> None:
    budget = penstock.MemoryBudget("16MB")
    plain = penstock.Loader(corpus.open(), **{**OPTIONS, "memory": budget})
    other = copy.copy(plain)  # without an engine yet, as after unpickling
    plain.close()
    used = budget.used
    found = outcomes([lambda: (len(other), other.plan.n_rows, other.stats()["batches"])] * 8)
    assert found == [(31, 3001, 0)] * 8
    other.close()
    assert budget.used == used


# --- transforms that ask ---


def asking(corpus: Any, ask: Callable[[penstock.Loader], Any], **options: Any) -> tuple[list[Any], int]:
    """What a transform is answered, or the error of the loop; and the rows that came."""
    answers: list[Any] = []

    def transform(batch: penstock.Batch) -> penstock.Batch:
        answers.append(ask(loader))
        return batch

    loader = penstock.Loader(corpus.open(), **{**OPTIONS, **options}, transform=transform)
    rows: list[int] = []

    def epoch() -> None:
        for batch in loader:
            rows.extend(batch.index.tolist())

    thread = threading.Thread(target=lambda: answers.extend(outcomes([epoch])), daemon=True)
    thread.start()
    thread.join(240)
    assert not thread.is_alive(), "hangs"
    return answers, len(rows)


@pytest.mark.parametrize(
    ("ask", "least"),
    [
        (len, 31), (lambda loader: loader.epoch, 0), (lambda loader: loader.plan.n_rows, 3001),
        (lambda loader: loader.stats()["rows"], 100), (lambda loader: loader.categories, {}),
        (lambda loader: loader.set_epoch(7), None), (lambda loader: loader.mixing("colour").n_categories, 3),
    ],
)  # fmt: skip
def test_a_transform_is_answered(corpus: Any, ask: Any, least: Any) -> None:
    answers, rows = asking(corpus, ask)
    assert rows == 3001 and answers[0] == least and answers[-1] is None


def test_a_transform_sees_what_the_loop_has_seen(corpus: Any) -> None:
    answers, rows = asking(corpus, lambda loader: loader.state_dict())
    assert rows == 3001
    for made, state in enumerate(answers[:-1]):
        # The batch that is being made is not done, the one before it may be.
        done = state["lineage"][0][1] if state["lineage"] else 0
        assert state["epoch"] == 0 and made - 1 <= done <= made


@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (lambda loader: loader.peek(), "peek"), (lambda loader: iter(loader), "iter"),
        (lambda loader: loader.load_state_dict(loader.state_dict()), "load_state_dict"),
        (lambda loader: next(loader._process.iterator()), "next"),
    ],
)  # fmt: skip
def test_a_transform_is_refused_what_waits_for_itself(corpus: Any, ask: Any, name: str) -> None:
    answers, rows = asking(corpus, ask)
    assert rows == 0 and isinstance(answers[-1], RuntimeError)
    assert f"the transform calls {name}() of its own loader" in str(answers[-1])


def test_the_same_when_peek_runs_the_transform(corpus: Any) -> None:
    asked: list[Any] = []

    def transform(batch: penstock.Batch) -> penstock.Batch:
        asked.append((len(loader), loader.epoch))
        if len(asked) > 1:
            loader.peek()
        return batch

    loader = penstock.Loader(corpus.open(), **OPTIONS, transform=transform)
    assert loader.peek().n_obs == 100
    with pytest.raises(RuntimeError, match=r"the transform calls peek\(\)"):
        loader.peek()
    assert asked == [(31, 0)] * 2


def test_a_transform_closes_its_loader(corpus: Any) -> None:
    def transform(batch: penstock.Batch) -> penstock.Batch:
        loader.close()
        return batch

    loader = penstock.Loader(corpus.open(), **OPTIONS, transform=transform)
    it = iter(loader)
    assert next(it).n_obs == 100
    with pytest.raises(RuntimeError, match="loader closed"):
        next(it)


def test_a_partner_to_mix_with(corpus: Any) -> None:
    """Another loader inside a transform is an ordinary one; its end is not the loop's."""
    partner = penstock.Loader(corpus.open()[:2000], **OPTIONS)
    batches = iter(partner)

    def transform(batch: penstock.Batch) -> tuple[int, int]:
        return batch.n_obs, next(batches).n_obs

    loader = penstock.Loader(corpus.open(), **OPTIONS, transform=transform)
    made = []
    with pytest.raises(RuntimeError, match="the transform raised StopIteration"):
        for pair in loader:
            made.append(pair)
    assert made == [(100, 100)] * 20


def test_a_transform_that_returns_none(corpus: Any) -> None:
    """Surfaces where its result would have come; the batch counts as seen, and iterating can go on."""
    calls = []

    def transform(batch: penstock.Batch) -> list[int] | None:
        calls.append(batch.n_obs)
        return None if len(calls) == 3 else batch.index.tolist()

    loader = penstock.Loader(corpus.open(), **OPTIONS, transform=transform)
    plain = [batch.index.tolist() for batch in penstock.Loader(corpus.open(), **OPTIONS)]
    it = iter(loader)
    assert [next(it), next(it)] == plain[:2]
    with pytest.raises(TypeError, match="the transform returned None: it must return the batch"):
        next(it)
    assert loader.state_dict()["lineage"] == [[1, 3]]
    assert list(it) == plain[3:]
    calls[:] = [0, 0]
    with pytest.raises(TypeError, match="returned None"):
        loader.peek()


def test_an_error_of_the_last_batch_is_not_a_broken_loop(corpus: Any) -> None:
    def transform(batch: penstock.Batch) -> penstock.Batch:
        if batch.n_obs == 50:  # the last two share 101 rows
            raise LookupError("short")
        return batch

    loader = penstock.Loader(corpus.open(), **OPTIONS, transform=transform)
    it = iter(loader)
    for _ in range(30):
        next(it)
    with pytest.raises(LookupError):
        next(it)
    assert loader.state_dict()["epoch"] == 1
    other = iter(loader)
    assert list(it) == []  # all of its batches were returned
    assert next(other).n_obs == 100


def test_close_waits_for_no_reader(corpus: Any) -> None:
    """close() while another thread is in next()."""
    for options in KINDS:
        loader = penstock.Loader(corpus.open(), **{**OPTIONS, **options})
        errors: list[BaseException] = []

        def consume(loader: penstock.Loader = loader, errors: list[BaseException] = errors) -> None:
            try:
                while True:
                    for _ in loader:
                        pass
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=consume, daemon=True)
        thread.start()
        time.sleep(0.3)
        loader.close()
        thread.join(120)
        assert not thread.is_alive()
        assert type(errors[0]) is RuntimeError and "closed" in str(errors[0])


def test_a_transform_goes_on_while_the_process_waits_for_its_thread(corpus: Any) -> None:
    """Python has no new threads then: a thread that the process waits for makes the rest itself."""
    code = """
        import sys, threading, time
        import penstock
        loader = penstock.Loader(
            penstock.open(sys.argv[1]), batch_size=8, memory="8MB", to="numpy", transform=lambda batch: batch
        )

        def use():
            print(sum(batch.n_obs for batch in loader if time.sleep(0.005) is None))

        threading.Thread(target=use).start()
    """
    done = run_python(code, corpus.paths[0], timeout=180)
    assert (done.returncode, done.stdout, done.stderr) == (0, "700\n", "")


def test_the_next_epoch_is_the_one_that_was_set_inside_the_last(corpus: Any) -> None:
    loader = penstock.Loader(corpus.open(), **OPTIONS)
    for _ in loader:
        loader.set_epoch(7)
    state = loader.state_dict()
    assert state["epoch"] == 7 and copy.deepcopy(loader).epoch == 7
    again = penstock.Loader(corpus.open(), **OPTIONS)
    again.load_state_dict(state)
    np.testing.assert_array_equal(flat(again), flat(loader))


def test_a_state_that_is_refused_leaves_the_epoch(corpus: Any) -> None:
    loader = penstock.Loader(corpus.open(), **OPTIONS)
    state = penstock.Loader(corpus.open(), **{**OPTIONS, "seed": 9}).state_dict()
    first = flat(loader)
    loader.set_epoch(0)
    next(iter(loader))
    with pytest.raises(ValueError, match="seed"):
        loader.load_state_dict(state)
    assert loader.epoch == 0
    np.testing.assert_array_equal(flat(loader), first)
