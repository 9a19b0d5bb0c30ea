"""`make peers` without its loaders: what it calls wrong, reports and keeps. `make test-peers` runs it whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from support import random_csr, random_obs, write_h5ad

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "peers"))
import loaders as peer_loaders  # noqa: E402
import peers  # noqa: E402
import process_tree  # noqa: E402
import report  # noqa: E402
import truth  # noqa: E402


@pytest.fixture
def known(tmp_path: Path) -> tuple[sp.csr_matrix, Any]:
    """A matrix, and the truth as it is read from two files that hold it."""
    rng = np.random.default_rng(0)
    x = sp.csr_matrix(random_csr(rng, 300, 50))
    obs = random_obs(rng, 300)
    obs["drug"], obs["plate"] = obs["line"], obs["line"]
    files = [
        str(write_h5ad(tmp_path / f"{i}.h5ad", x[part], obs[part], compression="gzip"))
        for i, part in enumerate((slice(0, 120), slice(120, 300)))
    ]
    path = truth.make(files, tmp_path / "truth.npz")
    with np.load(path) as loaded:
        return x, dict(loaded)


def feed(comparison: truth.Comparison, x: sp.csr_matrix, order: np.ndarray, dense: bool = False) -> None:
    for first in range(0, len(order), 64):
        rows = order[first : first + 64]
        part = x[rows]
        comparison.add(rows, part.toarray() if dense else (part.indptr, part.indices, part.data))


@pytest.mark.parametrize("dense", [False, True])
def test_any_order_of_the_right_rows_is_right(known: tuple[sp.csr_matrix, Any], dense: bool) -> None:
    x, expected = known
    results = []
    for seed in (1, 2):
        comparison = truth.Comparison(expected, once=True)
        feed(comparison, x, np.random.default_rng(seed).permutation(300), dense)
        results.append(comparison.result())
    assert results[0] == results[1]
    assert results[0]["rows"] == 300
    assert results[0]["entries"] == x.count_nonzero()


def test_a_wrong_value_a_wrong_gene_and_a_swap_of_rows_are_found(known: tuple[sp.csr_matrix, Any]) -> None:
    x, expected = known
    rows = np.arange(300)
    for change in ("value", "gene", "rows"):
        bad = x.copy()
        row = int(np.argmax((np.diff(x.indptr) > 0) & (np.diff(x.indptr) < 50)))
        at = x.indptr[row]
        if change == "value":
            bad.data[at] += 1
        elif change == "gene":
            taken = set(x.indices[x.indptr[row] : x.indptr[row + 1]])
            bad.indices[at] = next(g for g in range(50) if g not in taken)
        else:
            bad = bad[np.roll(rows, 1)]
        with pytest.raises(truth.WrongData, match="rows of a batch are wrong"):
            truth.Comparison(expected, once=True).add(rows, (bad.indptr, bad.indices, bad.data))


def test_rows_twice_or_missing_are_found(known: tuple[sp.csr_matrix, Any]) -> None:
    x, expected = known
    twice = truth.Comparison(expected, once=False)
    feed(twice, x, np.concatenate((np.arange(300), [7])))
    with pytest.raises(truth.WrongData, match="1 rows came more than once, row 7"):
        twice.result()
    for once in (True, False):
        part = truth.Comparison(expected, once=once)
        feed(part, x, np.arange(290))
        if once:
            with pytest.raises(truth.WrongData, match="10 rows did not come, row 290"):
                part.result()
        else:
            assert part.result()["left_out"] == 10


def test_entropy_is_that_of_the_labels() -> None:
    codes = np.repeat(np.arange(4), 25)
    assert truth.entropy(codes) == pytest.approx(2.0)
    assert truth.entropy(codes[:25]) == 0.0
    mixed = [np.arange(100).reshape(4, 25).T[:16].ravel()]
    assert truth.batch_entropy(codes, mixed, 64) == pytest.approx(2.0)
    assert 1.8 < truth.full_shuffle_entropy(codes, 50) <= 2.0


def test_the_tree_is_measured_with_its_children() -> None:
    import os
    import subprocess

    code = "import sys; x = bytearray(b'1') * 60_000_000; print('ready', flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin and child.stdout
    child.stdout.readline()
    try:
        assert child.pid in process_tree.members(os.getpid())
        assert process_tree.pss(child.pid) > 60_000_000
        assert process_tree.pss(os.getpid()) > process_tree.pss(child.pid)
    finally:
        child.stdin.close()
        child.wait()


def test_every_loader_states_what_is_needed() -> None:
    for name in peer_loaders.ALL:
        module = peer_loaders.load(name)
        corners = [(b, o) for b in peers.BATCHES for o in peers.OUTPUTS]
        assert set(module.BEST) == set(module.SWEEP) <= set(corners)
        part = peer_loaders.format_of(name) == "parquet" or peer_loaders.variant_of(name) is not None
        assert part or set(module.BEST) == set(corners)
        for corner in module.BEST:
            assert module.BEST[corner] in module.SWEEP[corner], f"{name} {corner}: best is not in the sweep"
            assert module.output_label(corner[1], module.BEST[corner])
        assert (ROOT / "benchmarks" / "peers" / "env" / f"{module.ENV}.txt").exists()


def test_a_crash_and_a_hang_are_reported_in_one_line(tmp_path: Path) -> None:
    task = {"do": "verify", "loader": "nonesuch"}
    with pytest.raises(peers.Failed, match="nonesuch"):
        peers.run_worker(Path(sys.executable), task, timeout=300)
    with pytest.raises(peers.Failed, match="no result after 0 s"):
        peers.run_worker(Path(sys.executable), task, timeout=0.001)


def test_resume_keeps_what_was_measured_and_a_new_run_does_not(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    store = peers.Store(path, resume=False)
    store.add("a", {"rows": 1})
    store.add("b", {"rows": 2})
    with open(path, "a") as file:
        file.write('\n{"key": "c", "resu')  # killed while writing
    store = peers.Store(path, resume=True)
    assert store.known == {"a": {"rows": 1}, "b": {"rows": 2}}
    store.add("d", {"rows": 4})
    assert set(peers.Store(path, resume=True).known) == {"a", "b", "d"}
    assert peers.Store(path, resume=False).known == {}
    task = {"loader": "x", "seconds": 1.0}
    assert peers.Store.key(task, "env", 1) != peers.Store.key(task, "env", 2)
    assert peers.Store.key(task, "env", 1) != peers.Store.key({**task, "seconds": 2.0}, "env", 1)


def made_up(rates: dict[str, float | None]) -> dict[str, Any]:
    """A result with these rates in the corner of the bars; None: that loader failed."""
    ideal = {"drug": 8.0, "plate": 2.0}
    rows = []
    for name, rate in rates.items():
        row: dict[str, Any] = {
            "loader": name,
            "batch": 4096,
            "output": "csr",
            "settings": {},
            "cache": "warm",
        }
        row.update(label="torch CSR", ideal_entropy=ideal, runs=[])
        if rate is None:
            row["failed"] = "RuntimeError: no | luck"
        else:
            for factor in (0.9, 1.0, 1.1):
                run = {"cells_per_second": rate * factor, "cpu_seconds_per_million": 20.0}
                run.update(first_batch_seconds=0.5, entropy=ideal)
                run["pss_samples_per_second"] = 8.0
                run["peak_pss"] = 4e8 if name.startswith("penstock") else 2e9
                row["runs"].append(run)
        rows.append(row)
    return {
        "quick": False,
        "machine": {"cpu": "a CPU", "cores": 2, "ram_gb": 8, "kernel": "6"},
        "date": "2026-01-01",
        "plan": {"caches": ["warm"], "corners": [[4096, "csr"]], "runs": 3, "seconds": 4, "warm_up": 1.5},
        "data": {
            "cells": 100,
            "small_cells": 10,
            "genes": 5,
            "files": 1,
            "bytes": {"h5ad": 1000, "parquet": 2000},
            "non_zeros": 200,
        },
        "titles": {n: n.title() for n in rates},
        "formats": {n: peer_loaders.format_of(n) for n in rates},
        "orders": dict.fromkeys(rates, "rows"),
        "full_pass": dict.fromkeys(rates, True),
        "versions": {},
        "compared": rows,
        "verified": [],
        "steps": [],
        "sweep": [],
        "floor": [120_000.0],
    }


def test_bars_and_failures_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = made_up({"penstock": 100_000, "scdataset": 18_000, "protoplast": 20_000})
    assert [b["ok"] for b in report.bars(good)] == [True, True]
    assert report.bars(good)[0]["ratio"] == pytest.approx(100 / 18)
    assert report.bars(good)[0]["memory"] == pytest.approx(0.2)
    assert report.write(good, tmp_path, None) == 0
    slow = made_up({"penstock": 70_000, "scdataset": 18_000, "protoplast": 20_000})
    assert report.write(slow, tmp_path, None) == 1
    capsys.readouterr()
    broken = made_up({"penstock": 100_000, "scdataset": 18_000, "protoplast": None})
    assert report.write(broken, tmp_path, None) == 1
    out = capsys.readouterr().out
    assert "failed: RuntimeError: no / luck" in out
    assert "against Protoplast: not measured" in out
    assert "5.6 times as fast" in out


def test_dense_bars_and_the_plain_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rates: dict[str, float | None] = {"penstock": 60_000, "penstock_plain": 50_000, "scdataset": 16_000}
    result = made_up(rates)
    for row in result["compared"]:
        row["output"] = "dense"
        row["settings"] = {"late": "plain"} if row["loader"] == "penstock_plain" else {}
    result["plan"]["corners"] = [[4096, "dense"]]
    result["variants"] = {n: of for n in rates if (of := peer_loaders.variant_of(n)) is not None}
    assert [(b["ours"], b["against"], b["ok"]) for b in report.dense_bars(result)] == [
        ("penstock", "scdataset", False),  # 3.75 of 4
        ("penstock_plain", "scdataset", True),
    ]
    assert report.write(result, tmp_path, None) == 1
    assert "3.8 times as fast (bar: 4): MISSED" in capsys.readouterr().out
    lines = report.readme_block(result, "h5ad").splitlines()
    assert "| batch | Penstock | Scdataset |" in lines
    assert any(line.startswith("| dense 4096, by `batch.dense()` | 50,000 cells/s") for line in lines)


def test_the_readme_is_written_between_its_markers(tmp_path: Path) -> None:
    result = made_up({"penstock": 100_000, "scdataset": 18_000, "protoplast": 20_000})
    readme = tmp_path / "README.md"
    readme.write_text("before\n")
    with pytest.raises(SystemExit, match="peers:begin"):
        report.write(result, tmp_path, tmp_path)
    assert readme.read_text() == "before\n"
    begin, end = report.MARKERS["h5ad"]
    readme.write_text(f"before\n{begin}\nof last week\n{end}\nafter\n")
    for _ in range(2):  # the second time replaces what the first wrote
        assert report.write(result, tmp_path, tmp_path) == 0
        text = readme.read_text()
        assert text.startswith(f"before\n{begin}\n")
        assert text.endswith(f"{end}\nafter\n")
        assert "of last week" not in text and text.count("100,000 cells/s, 400 MB") == 1
    image = tmp_path / report.CHARTS["h5ad"]
    assert image.read_bytes()[:4] == b"\x89PNG"
    assert image.stat().st_size < report.CHART_BYTES
    with pytest.raises(SystemExit, match="not changed"):
        report.write({**result, "quick": True}, tmp_path, tmp_path)


def test_each_format_has_its_place_in_the_readme(tmp_path: Path) -> None:
    rates: dict[str, float | None] = {"penstock": 100_000, "scdataset": 18_000, "protoplast": 20_000}
    both = made_up({**rates, "penstock_parquet": 200_000, "pyarrow": 70_000})
    assert [b["against"] for b in report.bars(both)] == ["scdataset", "protoplast", "pyarrow"]
    readme = tmp_path / "README.md"
    lines = [line for name in report.FILES for line in (*report.MARKERS[name], "between")]
    readme.write_text("\n".join(lines) + "\n")
    assert report.write(both, tmp_path, tmp_path) == 0
    first, second, _ = readme.read_text().split("between")
    assert "100,000 cells/s" in first and "200,000" not in first and "10 B a cell" in first
    assert "200,000 cells/s" in second and "Pyarrow" in second and "codec floor" not in second
    assert all((tmp_path / chart).exists() for chart in report.CHARTS.values())
    # The one alone leaves the other as it was, and does not look for what it does not measure.
    alone = made_up({"penstock_parquet": 100_000, "pyarrow": 70_000})
    assert [b["ok"] for b in report.bars(alone)] == [False]
    assert report.write(alone, tmp_path, tmp_path) == 1
    after = readme.read_text().split("between")
    assert after[0] == first and "100,000 cells/s" in after[1] and "200,000" not in after[1]


def test_parquet_loaders_take_the_corners_they_have_and_their_own_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["peers.py", "--formats", "parquet"])
    args = peers.parse()
    assert args.plan.loaders == ("penstock_parquet", "pyarrow", "pyarrow_dataset", "huggingface")
    assert args.output.name == "peers-parquet"
    files = {name: peers.Data([f"a.{name}"], 10, Path("truth"), 5, 5) for name in peer_loaders.FORMATS}
    store = peers.Store(Path("/dev/null"), resume=True)
    run = peers.Peers(
        args.plan, store, files["h5ad"], files, dict.fromkeys(args.plan.loaders, files["parquet"])
    )
    for name in args.plan.loaders:
        for corner in run.corners(name):
            run.best[(name, *corner)] = {}
    tasks = [t for t, *_ in [*run.verify_tasks(), *run.compare_tasks(), *run.steps_tasks()]]
    assert {f for t in tasks for f in t["files"]} == {"a.parquet"}
    assert {(t["batch"], t["output"]) for t in tasks} == {(64, "csr"), (64, "dense"), (4096, "csr")}
    monkeypatch.setattr(sys, "argv", ["peers.py", "--formats", "parquet", "--only", "annloader"])
    with pytest.raises(SystemExit):
        peers.parse()


def test_the_plan_covers_every_corner() -> None:
    assert len(list(peers.Plan().pairs())) == 8
    assert {c for c, _, _ in peers.QUICK.pairs()} == {"warm", "cold"}
    assert json.dumps(peers.Plan().corners) == '[[64, "csr"], [64, "dense"], [4096, "csr"], [4096, "dense"]]'
