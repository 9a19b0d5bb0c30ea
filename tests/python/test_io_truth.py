"""Bytes really read, counted by an LD_PRELOAD library, are what stats() says and what the plan predicted."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import io_shim
import pytest
from conftest import Corpus, make_corpus
from test_cli import COMMAND

# Reads `epochs` epochs and compares the library's counters with stats() after every step.
CODE = """
    import ctypes, json, sys
    import numpy as np
    import penstock
    spec = json.loads(sys.argv[1])
    shim = ctypes.CDLL(None)
    for name in ("penstock_shim_bytes", "penstock_shim_calls"):
        getattr(shim, name).restype = ctypes.c_ulonglong

    ds = penstock.open(sys.argv[2:])
    if spec["select"]:
        ds = ds[np.arange(len(ds)) % 7 == 3]
    opened = shim.penstock_shim_bytes()
    penstock._core.starve_windows(spec["window_bytes"])
    penstock._core.keep_nothing(spec["streamed"])
    loader = penstock.Loader(ds, to="numpy", **spec["loader"])
    engine = loader._for_reading()
    planned = shim.penstock_shim_bytes()
    stats = loader.stats()
    # The package looks at the columns that are asked for before it makes the engine's loader.
    assert stats["bytes_opening"] >= opened > 0, (stats["bytes_opening"], opened)
    assert stats["bytes_opening"] + stats["bytes_planning"] == planned, (stats, planned)
    calls = shim.penstock_shim_calls()

    rows = 0
    for epoch in range(spec["epochs"]):
        rows += sum(batch.n_obs for batch in loader)
        stats, cost = loader.stats(), engine.epoch_cost(epoch)
        assert stats["epoch_bytes_read"] == cost["bytes_to_read"], (epoch, stats, cost)
        assert stats["epoch_reads"] == cost["requests"], (epoch, stats, cost)
        if epoch == 0:
            plan = json.loads(loader.plan.to_json())
            assert plan["bytes_to_read"] == cost["bytes_to_read"] and plan["requests"] == cost["requests"]
    resident = [loader.plan.resident_offsets, loader.plan.resident_labels]
    loader.close()  # nothing is being read now
    stats = loader.stats()
    total = shim.penstock_shim_bytes()
    assert stats["bytes_read_all"] == total, (stats, total)
    parts = ("bytes_opening", "bytes_planning", "bytes_read", "bytes_reread")
    assert sum(stats[part] for part in parts) == total, (stats, total)
    assert stats["reads"] + stats["rereads"] == shim.penstock_shim_calls() - calls
    print(json.dumps({"rows": rows, "resident": resident, "stats": stats}))
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return io_shim.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("truth")
    return make_corpus(
        folder, [9_000, 1, 6_000], 300, seed=5, chunks=15_000, compression="gzip", compression_opts=1
    )


def stream(
    shim: Path,
    corpus: Corpus,
    epochs: int = 3,
    select: bool = False,
    window_bytes: int = 0,
    streamed: bool = False,
    **loader: object,
) -> dict:
    hows = {"epochs": epochs, "select": select, "window_bytes": window_bytes, "streamed": streamed}
    spec = json.dumps({**hows, "loader": loader})
    env = io_shim.environment(shim)
    env["PYTHONPATH"] = ":".join(sys.path)
    command = [sys.executable, "-c", textwrap.dedent(CODE), spec, *corpus.paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resident", {"memory": "16MB", "obs": ["colour", "n"]}),
        ("streamed", {"streamed": True, "memory": "4MB", "batch_size": 64, "obs": ["colour", "n", "score"]}),
        ("file order", {"memory": "8MB", "shuffle": False, "obs": ["line"]}),
        ("selection", {"memory": "8MB", "select": True, "obs": ["colour"]}),
        ("second of two ranks", {"memory": "8MB", "rank": 1, "world_size": 2}),
        ("drop last", {"memory": "8MB", "batch_size": 999, "drop_last": True}),
    ],
)
def test_bytes_read_are_as_counted_and_as_planned(shim, files, name, options):
    report = stream(shim, files, **{"batch_size": 256, **options})
    assert report["resident"] == [name != "streamed"] * 2, "the case is not what its name says"
    rows = {"selection": 2143, "second of two ranks": 7501, "drop last": 15 * 999}.get(name, 15_001)
    assert report["rows"] == 3 * rows


def test_bytes_of_deferred_rows_are_counted_apart(shim, files):
    report = stream(shim, files, epochs=1, batch_size=256, memory="8MB", window_bytes=400_000, threads=2)
    assert report["stats"]["rows_deferred"] > 0
    assert report["stats"]["bytes_reread"] > 0


def test_the_command_counts_the_same(shim, files, tmp_path):
    out = tmp_path / "counts"
    assert COMMAND is not None, "the command is not built: make build"
    command = [COMMAND, "stream", "--json", "--memory", "8MB", "--epochs", "2", *files.paths]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=io_shim.environment(shim, out)
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    stats, counts = report["stats"], io_shim.read_counts(out)
    assert set(counts) == set(files.paths)
    assert stats["bytes_read_all"] == sum(n for n, _ in counts.values())
    parts = ("bytes_opening", "bytes_planning", "bytes_read", "bytes_reread")
    assert sum(stats[part] for part in parts) == stats["bytes_read_all"]
    assert report["plan"]["bytes_to_read"] < stats["bytes_read"]  # two epochs


def test_the_library_counts_any_reader(shim, files, tmp_path):
    out = tmp_path / "counts"
    code = "import sys; data = open(sys.argv[1], 'rb', buffering=0); data.seek(100); data.read(1000)"
    env = io_shim.environment(shim, out)
    subprocess.run([sys.executable, "-c", code, files.paths[0]], check=True, env=env, timeout=300)
    assert io_shim.read_counts(out) == {files.paths[0]: (1000, 1)}
