"""batch.dense(): in buffers that the loader keeps, with the help of its threads."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from conftest import Corpus
from support import random_csr, random_obs, write_h5ad

import penstock

torch = pytest.importorskip("torch")

ROWS, GENES = 3000, 4000
BATCH = 500
BYTES = BATCH * GENES * 4  # of a dense batch: 8 MB, of which a thread takes 2 MiB at once


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(0)
    x = random_csr(rng, ROWS, GENES, density=0.02)
    where = tmp_path_factory.mktemp("dense") / "a.h5ad"
    return write_h5ad(where, x, random_obs(rng, ROWS), chunks=20_000, compression="gzip")


@pytest.fixture(params=["numpy", "torch"])
def to(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def loader_of(path: str, memory: Any = "128MB", **options: Any) -> penstock.Loader:
    return penstock.Loader(penstock.open(path), batch_size=BATCH, memory=memory, **{"to": "numpy", **options})


def address(x: Any) -> int:
    return int(x.data_ptr() if isinstance(x, torch.Tensor) else x.ctypes.data)


def sparse(batch: penstock.Batch) -> np.ndarray[Any, Any]:
    x = batch.X
    return np.asarray(x.to_dense() if isinstance(x, torch.Tensor) else x.toarray())


def used(loader: penstock.Loader) -> int:
    return int(loader.stats()["memory"]["used_by_tag"]["dense"])


def test_a_loop_fills_two_buffers(path: str, to: str) -> None:
    loader = loader_of(path, to=to)
    assert loader.plan.dense_buffers == 2 and BYTES <= loader.plan.dense_bytes < BYTES + (2 << 20)
    assert loader.plan.memory_by_tag["dense"] == 2 * loader.plan.dense_bytes
    assert "batch.dense() fills one of 2 buffers of 8 MB" in str(loader.plan)
    assert used(loader) == 0  # until somebody asks
    places = set()
    for _ in range(2):
        for batch in loader:
            x = batch.dense()
            assert np.array_equal(x, sparse(batch))
            places.add(address(x))
    assert len(places) == 2
    assert used(loader) == 2 * loader.plan.dense_bytes
    assert loader.stats()["memory"]["peak"] <= loader.plan.memory


def test_what_is_held_never_changes(path: str, to: str) -> None:
    loader = loader_of(path, to=to)
    held, expected = [], []
    for batch in loader:
        held.append(batch.dense()[: BATCH // 2])  # a view holds the buffer as well as the whole does
        expected.append(sparse(batch)[: BATCH // 2])
    assert len({address(x) for x in held}) == len(held)
    for x, wanted in zip(held, expected, strict=True):
        assert np.array_equal(x, wanted)
    assert loader.stats()["memory"]["peak"] <= loader.plan.memory


def test_other_types_use_the_buffers_where_they_fit(path: str) -> None:
    loader = loader_of(path, to="torch")
    batch = next(iter(loader))
    first = address(batch.dense("bfloat16"))
    assert address(batch.dense()) == first
    wide = batch.dense("float64")  # twice a buffer
    assert wide.dtype == torch.float64 and np.array_equal(wide, sparse(batch))
    assert used(loader) == 2 * loader.plan.dense_bytes


@pytest.mark.parametrize(("memory", "buffers"), [("32MB", 1), ("16MB", 0)])
def test_a_budget_without_room_for_two(path: str, to: str, memory: str, buffers: int) -> None:
    loader = loader_of(path, memory, to=to)
    assert loader.plan.dense_buffers == buffers
    text = "fills a buffer of 8 MB" if buffers else "batch.dense() takes 8 MB"
    assert text in str(loader.plan)
    for batch in loader:
        x = batch.dense()
        assert np.array_equal(x, sparse(batch))
    assert used(loader) == buffers * loader.plan.dense_bytes


def test_a_dense_loader_has_none(path: str) -> None:
    plan = loader_of(path, format="dense").plan
    assert plan.dense_buffers == plan.dense_bytes == 0 and "batch.dense()" not in str(plan)


def test_out_is_filled(path: str, to: str) -> None:
    kept = (
        torch.full((BATCH + 3, GENES), 7.0) if to == "torch" else np.full((BATCH + 3, GENES), 7, np.float32)
    )
    loader = loader_of(path, to=to)
    for batch in loader:
        x = batch.dense(out=kept)
        assert address(x) == address(kept) and np.array_equal(x, sparse(batch))
    assert (np.asarray(kept)[BATCH:] == 7).all()
    assert used(loader) == 0


def test_out_of_another_kind_is_refused(path: str, to: str) -> None:
    batch = next(iter(loader_of(path, to=to)))
    other = np.empty((BATCH, GENES), np.float32) if to == "torch" else torch.empty(BATCH, GENES)
    for out in (other, [[1.0]]):
        with pytest.raises(TypeError, match="out must be a"):
            batch.dense(out=out)
    if to == "numpy":
        with pytest.raises(ValueError, match="numpy has no bfloat16"):
            batch.dense("bfloat16")


def test_closed_and_dropped_loaders(path: str, to: str) -> None:
    budget = penstock.MemoryBudget("256MB")
    loader = loader_of(path, budget, to=to)
    batch = next(iter(loader))
    x, expected = batch.dense(), sparse(batch)
    loader.close()
    assert budget.usage()["used_by_tag"]["dense"] == loader.plan.dense_bytes  # what is held
    again = batch.dense()
    assert np.array_equal(x, expected) and np.array_equal(again, expected)
    del x, loader, batch
    gc.collect()
    assert budget.used == 0 and np.array_equal(again, expected)


def test_others_may_hold_the_bytes_of_a_shared_budget(path: str) -> None:
    """They were not reserved when the loaders were made: the results come all the same."""
    budget = penstock.MemoryBudget("128MB", loaders=2)
    one, two, three = (loader_of(path, budget, window_rows=BATCH) for _ in range(3))
    assert one.plan.dense_buffers == two.plan.dense_buffers == three.plan.dense_buffers > 0
    for batches in zip(one, two, three, strict=True):
        for batch in batches:
            assert np.array_equal(batch.dense(), sparse(batch))
    assert budget.peak <= budget.limit


def test_several_threads_densify_at_once(path: str) -> None:
    loader = loader_of(path)
    batches = [batch.clone() for batch in loader]
    wrong: list[str] = []

    def work(batch: penstock.Batch) -> None:
        expected = sparse(batch)
        for _ in range(20):
            if not np.array_equal(batch.dense(), expected):
                wrong.append(repr(batch))

    threads = [threading.Thread(target=work, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for _ in loader:  # the engine's threads have their own work meanwhile
        pass
    for thread in threads:
        thread.join()
    assert not wrong


def _sums(batch: penstock.Batch, answer: Any) -> None:
    answer.put(
        (float(batch.dense().sum()), float(batch.dense(out=np.empty((BATCH, GENES), np.float32)).sum()))
    )


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_in_a_forked_child_and_after_pickling(path: str) -> None:
    loader = loader_of(path)
    batch = next(iter(loader))
    expected = float(batch.dense().sum())  # the loader has buffers, which are not the child's
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    child = context.Process(target=_sums, args=(batch, answer))
    child.start()
    assert answer.get(timeout=120) == (expected, expected)
    child.join(120)
    assert child.exitcode == 0
    copy = pickle.loads(pickle.dumps(batch))
    assert float(copy.dense().sum()) == expected


def test_unsorted_rows_duplicates_and_types_of_ones_own(corpus: Corpus) -> None:
    import scipy.sparse as sp

    batch = next(iter(penstock.Loader(corpus.open(), memory="16MB", to="numpy")))
    batch.X = sp.csr_matrix((np.array([1.0, 2, 4]), np.array([3, 0, 3]), np.array([0, 3, 3])), shape=(2, 5))
    assert batch.dense().tolist() == [[2, 0, 0, 5, 0], [0] * 5]
    batch.X = sp.csr_matrix(np.eye(3, dtype=bool))
    assert batch.dense().dtype == bool and batch.dense("int16").trace() == 3
    batch.X = sp.csr_matrix(np.eye(3, dtype=np.complex64) * 1j)
    assert batch.dense().trace() == 3j


def test_no_address_space_left_is_an_error(path: str) -> None:
    from support import run_python

    code = """
        import resource, sys
        import penstock
        loader = penstock.Loader(penstock.open(sys.argv[1]), batch_size=500, memory="32MB", to="numpy", threads=1)
        batch = next(iter(loader))
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), used + (4 << 20)))
        try:
            batch.dense()
        except MemoryError as error:
            print(error)
    """
    done = run_python(code, path)
    assert done.returncode == 0 and "the system refused 8" in done.stdout, done.stdout + done.stderr


def test_documented_numbers_are_in_the_plan_as_json(path: str) -> None:
    plan = loader_of(path).plan.to_dict()
    assert plan["dense_buffers"] == 2 and plan["memory_by_tag"]["dense"] == 2 * plan["dense_bytes"]
