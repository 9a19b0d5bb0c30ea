"""Faults from outside: the system's reads, files that change, kill -9, a memory limit, a budget that refuses.

docs/reliability.md says what each of them does; its table is checked here.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import io_shim
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Corpus, make_corpus
from support import ROOT, flat
from test_cli import COMMAND

import make_parquet_data
import penstock
from penstock import _core

STREAM = """
    import hashlib, sys
    import penstock
    loader = penstock.Loader(penstock.open(sys.argv[2:]), batch_size=256, memory="8MB", obs=["colour"],
                             to="numpy", seed=3)
    print("started", flush=True)
    for epoch in range(int(sys.argv[1])):
        digest = hashlib.sha256()
        for batch in loader:
            for array in (batch.index, batch.X.indptr, batch.X.indices, batch.X.data, batch.obs["colour"]):
                digest.update(array.tobytes())
        print(digest.hexdigest(), flush=True)
"""


def child(code: str, *args: str, env: dict[str, str] | None = None) -> dict:
    env = dict(env or os.environ)
    env["PYTHONPATH"] = ":".join([str(Path(__file__).parent), *sys.path])
    return {"args": [sys.executable, "-c", textwrap.dedent(code), *args], "env": env}


def batches_digest(paths: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(**child(STREAM, "1", *paths, env=env), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()[1]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return io_shim.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def files(tmp_path: Path) -> Corpus:
    """Files that a test may damage."""
    folder = tmp_path / "data"
    folder.mkdir()
    return make_corpus(
        folder, [6000, 4000], 200, seed=6, chunks=10_000, compression="gzip", compression_opts=1
    )


@pytest.fixture(params=["h5ad", "lists", "pqdata"])
def stored(request: pytest.FixtureRequest, files: Corpus, tmp_path: Path) -> list[str]:
    """The same matrix in each format: what to open, in order."""
    if request.param == "h5ad":
        return files.paths
    return [str(p) for p in make_parquet_data.make(request.param, tmp_path / request.param, files.paths)]


def matrix_file(path: str) -> Path:
    """The file of a path of `stored` that holds the matrix."""
    return Path(path, "X.parquet") if Path(path).is_dir() else Path(path)


@pytest.fixture
def loader_of(stored: list[str]) -> Iterator[penstock.Loader]:
    ds = penstock.open(stored)
    with penstock.Loader(ds, batch_size=100, memory="6MB", to="numpy", shuffle=False) as loader:
        yield loader


@pytest.fixture
def loader(files: Corpus) -> Iterator[penstock.Loader]:
    with penstock.Loader(files.open(), batch_size=100, memory="3MB", to="numpy", shuffle=False) as loader:
        yield loader


def read_until_error(loader: penstock.Loader) -> tuple[int, OSError]:
    """Rows delivered before the error, all of them the right ones; the loader is then finished."""
    rows = 0
    with pytest.raises(OSError) as caught:
        for batch in loader:
            np.testing.assert_array_equal(batch.index, np.arange(rows, rows + batch.n_obs))
            rows += batch.n_obs
    with pytest.raises(OSError, match="the loader is finished after an error"):
        next(iter(loader))
    return rows, caught.value


# --- reads ---


@pytest.mark.parametrize("fault", [io_shim.SHORT, io_shim.EINTR], ids=["short reads", "EINTR"])
def test_the_systems_short_reads_and_interrupts_change_nothing(shim, stored, fault):
    plain = batches_digest(stored)
    assert batches_digest(stored, io_shim.environment(shim, fault=fault)) == plain


@pytest.mark.parametrize("fault", [io_shim.EIO_ONCE, io_shim.EIO_FOR_EVER], ids=["once", "for ever"])
def test_the_systems_eio_surfaces_with_its_place(shim, stored, fault):
    code = """
        import ctypes, sys, penstock
        loader = penstock.Loader(penstock.open(sys.argv[2:]), batch_size=100, memory="6MB", to="numpy")
        ctypes.CDLL(None).penstock_shim_fault(int(sys.argv[1]), ctypes.c_long(4))
        for attempt in range(2):
            try:
                for batch in loader:
                    pass
            except OSError as error:
                print(error.errno, error)
    """
    command = child(code, str(fault), *stored, env=io_shim.environment(shim))
    done = subprocess.run(**command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = done.stdout.splitlines()
    assert re.search(
        r"^5 .*part[01]\.\S+: .*rows \d+ to \d+: .*part[01].*reading \d+ bytes at 0x[0-9a-f]+: Input", first
    )
    assert "the loader is finished after an error" in second


# --- files that change ---


def test_a_file_truncated_while_it_is_read(loader_of, stored):
    it = iter(loader_of)
    rows = next(it).n_obs
    file = matrix_file(stored[1])
    os.truncate(file, file.stat().st_size // 4)
    with pytest.raises(OSError) as caught:
        for batch in it:
            np.testing.assert_array_equal(batch.index, np.arange(rows, rows + batch.n_obs))
            rows += batch.n_obs
    assert 6000 <= rows < 10_000  # everything of the file before it
    place = (
        r"part1\.\S+: .*rows \d+ to \d+: .*part1.*( at 0x[0-9a-f]+: the file has shrunk|has changed since)"
    )
    assert re.search(place, str(caught.value)), caught.value
    with pytest.raises(OSError, match="the loader is finished after an error"):
        next(iter(loader_of))


def test_a_file_truncated_before_an_epoch_is_no_epoch(loader_of, stored):
    next(iter(loader_of))
    file = matrix_file(stored[1])
    os.truncate(file, file.stat().st_size // 4)
    rows, error = read_until_error(loader_of)
    assert rows == 0 and re.search(r"part1\.\S+: has changed since it was opened", str(error)), error


def test_a_bit_flip_in_a_gzip_chunk(loader, files):
    with h5py.File(files.paths[1]) as file:
        chunk = file["X/data"].id.get_chunk_info(file["X/data"].id.get_num_chunks() // 2)
    stat = os.stat(files.paths[1])
    before = stat.st_atime_ns, stat.st_mtime_ns
    with open(files.paths[1], "r+b") as file:
        file.seek(chunk.byte_offset + chunk.size - 3)  # the checksum that ends the zlib stream
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x10]))
    os.utime(files.paths[1], ns=before)  # nobody wrote: the disk forgot a bit
    _, error = read_until_error(loader)
    assert isinstance(error, penstock.CorruptFileError)
    assert re.search(r"part1\.h5ad: .*X/data.*chunk \d+.*0x[0-9a-f]+", str(error)), str(error)


def test_a_bit_flip_in_a_parquet_page(files, tmp_path):
    paths = make_parquet_data.make("lists", tmp_path / "lists", files.paths, write_page_checksum=True)
    metadata = pq.ParquetFile(paths[1]).metadata
    group = metadata.num_row_groups // 2
    column = metadata.row_group(group).column(1)
    with open(paths[1], "r+b") as file:
        file.seek(column.data_page_offset + column.total_compressed_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x10]))
    ds = penstock.open(paths)
    with penstock.Loader(ds, batch_size=100, memory="6MB", to="numpy", shuffle=False) as loader:
        rows, error = read_until_error(loader)
    assert 6000 <= rows <= 6000 + 1000 * (group + 1)
    assert isinstance(error, penstock.CorruptFileError)
    where = rf"part1\.parquet: row group {group}, column {column.path_in_schema}, page at byte 0x[0-9a-f]+: "
    assert re.search(where + "stored checksum", str(error)), error


def test_a_deleted_file_is_read_to_its_end_while_it_is_open(loader_of, stored):
    it = iter(loader_of)
    next(it)
    for path in stored:
        matrix_file(path).unlink()
    loader_of.set_epoch(0)
    assert len(flat(loader_of)) == 10_000


# --- the budget ---


@pytest.mark.slow
def test_budget_refused_at_every_reservation(tmp_path):
    """From open() to the last batch: MemoryBudgetError, or the right batches; never anything held afterwards."""
    files = make_corpus(tmp_path, [200, 100], 50, seed=6, chunks=1000, compression="gzip")
    x = files.x.sum()
    refused, k = 0, 0
    try:
        while True:
            k += 1
            assert k < 3000
            budget = penstock.MemoryBudget("8MB")
            _core.refuse_reservation(k)
            try:
                ds = files.open()
                with penstock.Loader(
                    ds, batch_size=1000, memory=budget, obs=["colour"], to="numpy"
                ) as loader:
                    total = sum(batch.X.data.sum(dtype=np.float64) for batch in loader)
                assert total == x
            except penstock.MemoryBudgetError as error:
                refused += 1
                assert re.search("memory=|needs .* are free", str(error)), error
            asked = _core.reservations_asked()
            _core.refuse_reservation(0)
            loader = ds = None
            if budget.used != 0:  # a cycle may hold the loader
                gc.collect()
            assert budget.used == 0, k
            if asked < k:
                break
    finally:
        _core.refuse_reservation(0)
    assert refused >= 10


# --- a memory limit ---

LIMITED = """
    import json, sys
    import numpy as np
    import penstock
    memory, *paths = sys.argv[1:]

    def status(key):
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))

    ds = penstock.open(paths)
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    sys.stdin.readline()  # the limit is set now
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins here
    before = status("VmRSS")
    if memory == "control":
        np.ones(200 << 20, dtype=np.uint8)
        rows = 0
    else:
        loader = penstock.Loader(ds, batch_size=256, memory=int(memory), obs=["colour"], to="numpy")
        rows = sum(batch.n_obs for _ in range(3) for batch in loader)
    print(json.dumps({"rows": rows, "growth": status("VmHWM") - before}))
"""
BUDGET, SLACK = 48_000_000, 32 << 20


@contextlib.contextmanager
def memory_cgroup(limit: int) -> Iterator[Path | None]:
    """A new memory cgroup (v2 or v1) with a limit, or None where none can be made."""
    v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    root = Path("/sys/fs/cgroup") if v2 else Path("/sys/fs/cgroup/memory")
    group = root / f"penstock-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        (group / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(limit))
        with contextlib.suppress(OSError):  # without swap accounting there is nothing to close off
            (group / ("memory.swap.max" if v2 else "memory.memsw.limit_in_bytes")).write_text(
                "0" if v2 else str(limit)
            )
        yield group
    except OSError:
        yield None
    finally:
        deadline = time.monotonic() + 5
        while group.exists() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.05)


def run_limited(memory: str, group: Path | None, paths: list[str]) -> tuple[int, dict]:
    """A child that is put into the group once its metadata is open: what it takes from there on is charged."""
    process = subprocess.Popen(
        **child(LIMITED, memory, *paths), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    if group is not None:
        (group / "cgroup.procs").write_text(str(process.pid))
    out, _ = process.communicate("go\n", timeout=300)
    return process.returncode, json.loads(out) if process.returncode == 0 else {}


@pytest.mark.slow
def test_three_epochs_inside_a_memory_limit(tmp_path, record_property):
    """Baseline + budget + 32 MiB is enough, by a cgroup that kills or else by the kernel's own peak.

    RLIMIT_AS and RLIMIT_DATA would not do: slots map address space for the largest batch and touch what they use.
    """
    corpus = make_corpus(
        tmp_path, [30_000] * 2, 1500, seed=3, chunks=50_000, compression="gzip", compression_opts=1
    )
    with memory_cgroup(BUDGET + SLACK) as group:
        how = "peak RSS (VmHWM): no memory cgroup can be made here"
        if group is not None:
            code, _ = run_limited("control", group, corpus.paths)
            if code == -signal.SIGKILL:
                how = f"a cgroup limit of {BUDGET + SLACK} bytes over the baseline ({group.parent})"
            else:
                how = "peak RSS (VmHWM): the memory cgroup does not enforce its limit here"
                group = None
        code, report = run_limited(str(BUDGET), group, corpus.paths)
    print("held by:", how)
    record_property("held_by", how)
    assert code == 0, f"killed under {how}"
    assert report["rows"] == 3 * 60_000
    assert report["growth"] <= BUDGET + SLACK
    assert report["growth"] > BUDGET // 4, "the run is too small to prove anything"


# --- kill -9 ---


@pytest.mark.slow
@pytest.mark.parametrize("what", ["python", "command"])
def test_kill_9_leaves_nothing_behind(files, tmp_path, what):
    rng = random.Random(9)
    work, temporary = tmp_path / "work", tmp_path / "tmp"
    work.mkdir()
    temporary.mkdir()
    before = {path: hashlib.sha256(Path(path).read_bytes()).digest() for path in files.paths}
    expected = batches_digest(files.paths)
    env = {**os.environ, "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    if what == "python":
        start = child(STREAM, "100000", *files.paths, env=env)
    else:
        assert COMMAND is not None, "the command is not built: make build"
        options = ["--memory", "8MB", "--epochs", "100000"]
        start = {"args": [COMMAND, "stream", *options, *files.paths], "env": env}
    killed = 0
    for _ in range(10):
        process = subprocess.Popen(
            **start,
            cwd=work,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        if what == "python":
            assert process.stdout.readline() == "started\n"
        time.sleep(rng.uniform(0, 0.5))
        # While it runs: no shared memory, nothing open for writing but its own output.
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert not re.search(r"/dev/shm|/memfd:|/SYSV", maps)
        process.kill()
        process.communicate(timeout=120)
        killed += process.returncode == -signal.SIGKILL
        assert list(work.iterdir()) == [] and list(temporary.iterdir()) == []
    assert killed == 10
    assert before == {path: hashlib.sha256(Path(path).read_bytes()).digest() for path in files.paths}
    assert batches_digest(files.paths) == expected


# --- the page ---


def test_every_test_that_the_page_names_exists():
    page = (ROOT / "docs" / "reliability.md").read_text()
    named = re.findall(r"`([\w./]+(?:_test\.cc|test_\w+\.py))::([\w.]+)`", page)
    assert len(named) >= 15
    for path, name in named:
        source = (ROOT / path).read_text()
        if path.endswith(".py"):
            assert re.search(rf"^def {name}\(", source, re.MULTILINE), f"{path} has no {name}"
        else:
            suite, case = name.split(".")
            assert re.search(rf"TEST(_F|_P)?\({suite},\s*{case}\)", source), f"{path} has no {name}"
    table = page.split("## What is promised")[0]
    for row in [line for line in table.splitlines() if line.startswith("| ")][2:]:
        assert "::" in row or row.endswith("| the same |"), f"no test is named: {row}"
