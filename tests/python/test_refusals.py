"""When the system says no - memory, threads - the edges of a process, and files that change under a loader."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import resource
import signal
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from conftest import Corpus
from support import flat, random_csr, random_obs, run_python, write_h5ad

import penstock

MB = 1 << 20
N, GENES = 3000, 300
# From no room at all to plenty: around the sizes of a page, a chunk, a thread's stack, a window, a budget.
STEPS = (0, 0.1, 0.3, 1, 3, 8, 16, 24, 32, 40, 48, 56, 64, 72, 96, 128, 224, 400)
# Each page around the stacks of two threads (1 MB each): a thread that has its stack needs a page more.
PAGES = tuple(k / 256 for k in range(220, 560))
LAYOUTS = ("csr", "lists", "triplets", "wide")


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same matrix in every layout that is read."""
    folder = tmp_path_factory.mktemp("layouts")
    rng = np.random.default_rng(0)
    x = random_csr(rng, N, GENES, density=0.1).tolil()
    x[N - 1, GENES - 1] = 1  # triplets say the shape by their largest numbers
    x = sp.csr_matrix(x)
    write_h5ad(folder / "csr.h5ad", x, random_obs(rng, N), chunks=2000, compression="gzip")
    names = [f"g{i}" for i in range(GENES)]
    lists = folder / "lists"
    lists.mkdir()
    columns = {"genes": np.split(x.indices, x.indptr[1:-1]), "expressions": np.split(x.data, x.indptr[1:-1])}
    pd.DataFrame(columns).to_parquet(lists / "a.parquet", index=False, row_group_size=700)
    table = {"token_id": np.arange(GENES), "ensembl_id": names, "gene_symbol": names}
    pd.DataFrame(table).to_parquet(lists / "gene_metadata.parquet", index=False)
    coo = x.tocoo()
    parts = {"i": coo.row.astype(np.int32), "j": coo.col.astype(np.int32), "x": coo.data}
    pq.write_table(pa.table(parts), folder / "triplets.parquet", row_group_size=10_000)
    frame = pd.DataFrame(x.toarray(), columns=names)
    frame.to_parquet(folder / "wide.parquet", index=False, row_group_size=700)
    return {
        "csr": folder / "csr.h5ad",
        "lists": lists / "a.parquet",
        "triplets": folder / "triplets.parquet",
        "wide": folder / "wide.parquet",
    }


def address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def data_segment() -> int:
    return int(re.findall(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024


def job(path: Path, rows: int, which: int, moment: str, room: float) -> None:
    """Opens, plans and reads an epoch, under a limit from `moment` on that leaves `room` MB."""

    def reach(now: str) -> None:
        if now == moment:
            used = address_space() if which == resource.RLIMIT_AS else data_segment()
            most = used + int(room * MB)
            resource.setrlimit(which, (most, most))

    reach("open")
    ds = penstock.open(path)
    reach("Loader")
    loader = penstock.Loader(ds, batch_size=128, memory="32MB", to="numpy", threads=3)
    reach("epoch")
    assert sum(batch.n_obs for batch in loader) == rows


def outcome_of(*args: Any) -> str:
    """What became of job() in a process of its own: "rows", "refused", another exception, or how the process ended."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(120)  # a hang is a signal
        name = b"rows"
        try:
            job(*args)
        except (MemoryError, OSError):
            name = b"refused"
        except BaseException as error:
            name = type(error).__name__.encode()
        os.write(writer, name)
        os._exit(0)
    os.close(writer)
    name = os.read(reader, 100).decode()
    os.close(reader)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return name if status == 0 else f"exit code {status}"


def outcomes(path: str, which: str, torch: str, rooms: dict[str, tuple[float, ...]]) -> dict[str, list[str]]:
    """In a process that has read nothing yet, so that what the tests before this one left behind does not count."""
    done = run_python(
        """
        import json, resource, sys
        path, which, torch, rooms = sys.argv[1:]
        if torch == "torch":
            import torch
        from test_refusals import N, outcome_of
        found = {}
        for moment, steps in json.loads(rooms).items():
            for room in steps:
                name = outcome_of(path, N, getattr(resource, "RLIMIT_" + which), moment, room)
                found.setdefault(name, []).append(f"{room} MB more than before {moment}")
        print(json.dumps(found))
        """,
        path,
        which,
        torch,
        json.dumps(rooms),
    )
    assert done.returncode == 0, done.stderr
    print(done.stderr)  # what the processes said that did not end as they should
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("torch", ["torch", "no torch"])  # with it a loader has memory that workers share
@pytest.mark.parametrize("which", ["AS", "DATA"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_limit_of_memory_is_rows_or_an_error(
    layouts: dict[str, Path], layout: str, which: str, torch: str
) -> None:
    if torch == "torch":
        pytest.importorskip("torch")
    found = outcomes(str(layouts[layout]), which, torch, dict.fromkeys(("open", "Loader", "epoch"), STEPS))
    assert set(found) == {"rows", "refused"}, found


@pytest.mark.slow
def test_a_thread_that_has_its_stack_and_no_page_more_is_refused(layouts: dict[str, Path]) -> None:
    """What the C++ library keeps for a thread is taken at its first exception, and the C library ends the process
    where that is refused: one thread in a hundred at limits that are drawn at random."""
    found = outcomes(str(layouts["csr"]), "AS", "no torch", {"epoch": PAGES})
    assert set(found) == {"rows", "refused"}, found


def test_threads_that_are_refused_are_an_error(corpus: Corpus) -> None:
    """RLIMIT_NPROC does not bind root, so the stacks are what is refused."""
    code = """
        import resource, sys
        import penstock
        loader = penstock.Loader(penstock.open(sys.argv[1]), memory="32MB", to="numpy", threads=2)
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used, used))
        try:
            next(iter(loader))
        except (OSError, MemoryError) as error:
            print(type(error).__name__, error)
    """
    done = run_python(code, corpus.paths[0])
    assert done.returncode == 0 and "the system refuse" in done.stdout, done.stdout + done.stderr


def test_a_read_that_fails_while_planning_is_an_error(tmp_path: Path) -> None:
    """Else the window would be another one, and so the order of rows."""
    rng = np.random.default_rng(0)
    x = random_csr(rng, 2000, 50)
    path = Path(write_h5ad(tmp_path / "a.h5ad", x, random_obs(rng, 2000), chunks=500))
    ds = penstock.open(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(OSError, match=r"a\.h5ad: has changed since it was opened"):
        penstock.Loader(ds, memory="4MB", to="numpy")


# --- the edges of a process ---


@pytest.mark.parametrize("end", ["", "sys.exit(0)"])
@pytest.mark.parametrize("options", ["", "transform=lambda batch: batch"])
@pytest.mark.parametrize("to", ["numpy", "torch"])
def test_the_process_ends_while_a_thread_is_in_next(corpus: Corpus, to: str, end: str, options: str) -> None:
    code = f"""
        import sys, threading, time
        import penstock
        loader = penstock.Loader(penstock.open(sys.argv[1]), batch_size=16, memory="8MB", to="{to}", {options})
        began = threading.Event()

        def feed():
            while True:
                for batch in loader:
                    began.set()
                    batch.X.sum()

        threading.Thread(target=feed, daemon=True).start()
        began.wait()
        time.sleep(0.3)
        print("end")
        {end}
    """
    for _ in range(3):
        done = run_python(code, corpus.paths[0], timeout=120)
        assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_a_daemon_thread_stops_without_what_a_transform_waits_for(corpus: Corpus) -> None:
    """The thread of the transform has been asked for a batch when the process ends, and is about to make it; the
    daemon thread finds that nothing has been made."""
    code = """
        import atexit, sys, threading, time
        import penstock
        from penstock import _core

        def hold_back(frame, event, arg):
            if event != "call" or frame.f_code.co_name != "make":
                return
            progress = frame.f_locals["self"]
            if progress.taken == 3 and progress.result is None:
                began.set()
                while not _core.threads_ended():
                    time.sleep(0.01)
                time.sleep(0.7)

        def feed():
            sys.setprofile(None)
            for number, batch in enumerate(loader):
                if number == 2:
                    ending.wait()
                    time.sleep(0.3)  # and then goes on while the end waits

        began, ending = threading.Event(), threading.Event()
        threading.setprofile(hold_back)
        loader = penstock.Loader(penstock.open(sys.argv[1]), batch_size=16, memory="8MB", to="numpy",
                                 transform=lambda batch: batch)
        threading.Thread(target=feed, daemon=True).start()
        began.wait()
        atexit.register(ending.set)
        print("end")
    """
    done = run_python(code, corpus.paths[0], timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_the_end_of_a_process_waits_for_a_transform_and_not_long_for_other_threads(corpus: Corpus) -> None:
    code = """
        import queue, sys, threading, time
        import penstock

        def transform(batch):
            calls.append(batch)
            if len(calls) == 3:
                began.set()
                ending.wait()
                time.sleep(1.5)
                print("made")
            return batch

        calls, began, ending = [], threading.Event(), threading.Event()
        loader = penstock.Loader(penstock.open(sys.argv[1]), batch_size=16, memory="8MB", to="numpy",
                                 transform=transform)
        places = queue.Queue(2)

        def feed(loader):
            for batch in loader:
                places.put(batch)  # waits for good when nobody takes them

        other = penstock.Loader(penstock.open(sys.argv[1]), batch_size=16, memory="8MB", to="numpy")
        threading.Thread(target=feed, args=(other,), daemon=True).start()
        while not places.full():
            time.sleep(0.01)
        batches = iter(loader)
        next(batches)
        next(batches)
        began.wait()
        print("end")
        ending.set()
    """
    began = time.monotonic()
    done = run_python(code, corpus.paths[0], timeout=180)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\nmade\n", "")
    assert time.monotonic() - began < 90


def _sum_in_child(batch: penstock.Batch, answer: Any) -> None:
    answer.put(
        (float(batch.X.sum()), batch.index.tolist(), batch.obs["n"].tolist(), float(batch.dense().sum()))
    )


@pytest.mark.parametrize("format", ["csr", "dense"])
@pytest.mark.parametrize("to", ["numpy", "torch"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_batch_that_is_held_is_there_in_a_forked_child(corpus: Corpus, to: str, format: str) -> None:
    with penstock.Loader(
        corpus.open(), batch_size=64, memory="16MB", to=to, obs=["n"], format=format
    ) as loader:
        batches = iter(loader)
        batch = next(batches)
        expected = (float(batch.X.sum()), batch.index.tolist(), batch.obs["n"].tolist())
        context = multiprocessing.get_context("fork")
        answer = context.Queue()
        child = context.Process(target=_sum_in_child, args=(batch, answer))
        child.start()
        rest = flat(batches)  # slots are written to meanwhile
        found = answer.get(timeout=120)
        child.join(120)
        assert child.exitcode == 0
        assert found[:3] == expected and found[3] == expected[0]
        assert len(rest) + 64 == len(corpus.obs)


# --- files that change ---


@pytest.fixture
def changing(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = sp.csr_matrix(np.arange(1, 4001, dtype=np.float32).reshape(1000, 4))
    return Path(write_h5ad(tmp_path / "a.h5ad", x, random_obs(rng, 1000), chunks=500))


def change(path: Path, what: str = "X/data") -> None:
    with h5py.File(path, "r+") as file:
        file[what][...] = file[what][...] + 1


def test_a_file_that_is_written_to_ends_the_epoch(changing: Path) -> None:
    loader = penstock.Loader(
        penstock.open(changing), batch_size=10, memory="4MB", window_rows=100, to="numpy"
    )
    batches = iter(loader)
    first = next(batches)
    assert set(np.diff(first.X.toarray(), axis=1).ravel()) == {1.0}
    change(changing)
    with pytest.raises(OSError, match=r"a\.h5ad.*has changed since it was opened \(it was written to\)"):
        for batch in batches:  # those that are built already still come, with the old values
            row = batch.index[0]
            assert batch.X[0, 0] == 4 * row + 1


@pytest.mark.parametrize("what", ["X/data", "obs/n"])
def test_a_file_that_is_written_to_between_epochs_is_no_epoch(changing: Path, what: str) -> None:
    ds = penstock.open(changing)
    loader = penstock.Loader(ds, batch_size=100, memory="4MB", obs=["n"], to="numpy")
    assert len(list(loader)) == 10
    change(changing, what)
    with pytest.raises(OSError, match="has changed since it was opened"):
        list(loader)
    with pytest.raises(OSError, match="has changed since it was opened"):
        penstock.Loader(ds, memory="4MB", to="numpy")
    with pytest.raises(OSError, match="has changed since it was opened"):
        ds.obs["score"]
    again = penstock.Loader(penstock.open(changing), batch_size=100, memory="4MB", to="numpy")
    assert len(flat(again)) == 1000


def test_a_file_that_is_replaced_is_read_as_it_was_while_it_is_open(changing: Path) -> None:
    loader = penstock.Loader(penstock.open(changing), batch_size=100, memory="4MB", shuffle=False, to="numpy")
    before = [batch.X.toarray() for batch in loader]
    copy = changing.with_suffix(".new")
    copy.write_bytes(changing.read_bytes())
    change(copy)
    os.replace(copy, changing)
    np.testing.assert_array_equal([batch.X.toarray() for batch in loader], before)
    again = penstock.Loader(penstock.open(changing), batch_size=100, memory="4MB", shuffle=False, to="numpy")
    np.testing.assert_array_equal([batch.X.toarray() for batch in again], np.add(before, 1))


def test_reading_alone_changes_nothing(changing: Path) -> None:
    loader = penstock.Loader(penstock.open(changing), batch_size=100, memory="4MB", to="numpy")
    before = flat(loader)
    with h5py.File(changing) as file:
        file["X/data"][...]
    os.chmod(changing, 0o600)
    loader.set_epoch(0)
    np.testing.assert_array_equal(flat(loader), before)
