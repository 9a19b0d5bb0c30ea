"""The command penstock."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from support import ROOT, random_csr, write_h5ad

import penstock


def find_command() -> str | None:
    built = ROOT / "build" / "release" / "src" / "cli" / "penstock"
    beside = os.path.join(os.path.dirname(sys.executable), "penstock")
    candidates = (os.environ.get("PENSTOCK_CLI"), beside, str(built))
    return next((path for path in candidates if path and os.path.exists(path)), None)


COMMAND = find_command()
pytestmark = pytest.mark.skipif(COMMAND is None and "CI" not in os.environ, reason="the command is not built")


def run(*args: str) -> subprocess.CompletedProcess[str]:
    assert COMMAND is not None
    return subprocess.run([COMMAND, *args], capture_output=True, text=True, timeout=300)


def test_help_and_version():
    done = run("--help")
    assert done.returncode == 0
    for word in ("info", "plan", "stream", "verify", "Exit codes"):
        assert word in done.stdout
    assert run("--version").stdout.strip() == penstock.__version__
    assert run("stream", "--help").returncode == 0


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("nonsense",),
        ("info",),
        ("plan", "a.h5ad", "--memory", "lots"),
        ("stream", "a.h5ad", "--dtype", "f9"),
    ],
)
def test_wrong_usage(args):
    done = run(*args)
    assert done.returncode == 2
    assert done.stderr.startswith("penstock: usage:") and done.stderr.count("\n") == 1 and done.stdout == ""


def test_info(corpus):
    done = run("info", *corpus.paths)
    assert done.returncode == 0 and done.stderr == ""
    for word in ("2,300 obs x 90 vars", "csr float32", "colour", "category"):
        assert word in done.stdout
    files = json.loads(run("info", "--json", *corpus.paths).stdout)
    assert [f["n_obs"] for f in files] == [700, 1, 2300] and files[0]["n_vars"] == 90
    assert sum(f["matrix"]["entries"] for f in files) == corpus.x.nnz
    assert [c["name"] for c in files[0]["obs"]] == list(corpus.obs.columns)


def test_plan(corpus):
    done = run("plan", *corpus.paths, "--memory", "16MB", "--batch-size", "64", "--obs", "colour,n")
    assert done.returncode == 0 and "3 files" in done.stdout and "16 MB" in done.stdout
    plan = json.loads(
        run("plan", *corpus.paths, "--memory", "16MB", "--seed", "5", "--no-shuffle", "--json").stdout
    )
    assert (
        plan["memory"] == 16_000_000
        and plan["n_rows"] == 3001
        and plan["shuffle"] is False
        and plan["seed"] == 5
    )
    given = json.loads(
        run("plan", *corpus.paths, "--batch-size", "10", "--window-rows", "50", "--block-rows", "7",
            "--format", "dense", "--dtype", "float64", "--threads", "1", "--json").stdout
    )  # fmt: skip
    assert given["window_rows"] == 50 and given["block_rows"] == 7 and given["format"] == "dense"
    assert given["dtype"] == "float64" and given["threads"] == 1


def test_numbers_of_64_bits(corpus):
    most = 2**64 - 1
    assert json.loads(run("plan", *corpus.paths, "--seed", str(most), "--json").stdout)["seed"] == most
    for option in ("--seed", "--epoch-size", "--window-rows", "--block-rows"):
        for bad in ("-1", str(most + 1), "1.5", "0x10"):
            done = run("plan", *corpus.paths, option, bad)
            assert done.returncode == 2 and f"{option}: {bad} is not a whole number" in done.stderr, (
                done.stderr
            )


def test_stream(corpus):
    done = run("stream", *corpus.paths, "--memory", "16MB", "--batch-size", "64")
    assert done.returncode == 0 and done.stderr == ""  # no terminal, no progress line
    assert "3,001 cells in 47 batches" in done.stdout and "cells/s" in done.stdout and "memory" in done.stdout
    report = json.loads(run("stream", *corpus.paths, "--memory", "16MB", "--epochs", "3", "--json").stdout)
    assert report["stats"]["rows"] == 9003 and report["epochs"] == 3
    assert report["peak_budget_bytes"] <= 16_000_000 < report["peak_rss_bytes"]
    assert report["cells_per_second"] > 0 and report["who_waited"]


@pytest.fixture(scope="module")
def genes(tmp_path_factory) -> tuple[list[str], sp.csr_matrix]:
    """Two files of the same 90 genes, of which a column of var has other names."""
    folder = tmp_path_factory.mktemp("genes")
    rng = np.random.default_rng(7)
    parts = [random_csr(rng, n, 90) for n in (300, 200)]
    var = pd.DataFrame({"symbol": [f"S{i}" for i in range(90)]}, index=[f"g{i}" for i in range(90)])
    paths = [write_h5ad(folder / f"part{i}.h5ad", x, var=var) for i, x in enumerate(parts)]
    return paths, sp.csr_matrix(sp.vstack(parts))


def streamed(paths, *args: str) -> tuple[int, int]:
    """Genes of the plan and non-zeros of an epoch."""
    done = run("stream", *paths, "--memory", "16MB", "--json", *args)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["stats"]["rows"] == 500
    return report["plan"]["n_cols"], report["stats"]["entries"]


def test_select_vars(genes, tmp_path):
    paths, x = genes
    per_gene = np.asarray((x != 0).sum(0)).ravel()
    assert streamed(paths) == (90, x.nnz)
    assert streamed(paths, "--select-vars", "g7, g3") == (2, per_gene[[7, 3]].sum())
    # As Dataset.select_vars, the names from a file: other ends of lines, empty lines.
    panel = tmp_path / "panel.txt"
    panel.write_bytes(b"S5\r\n\nS1\n  nowhere \nS80")
    by_symbol = ["--select-vars", f"@{panel}", "--select-key", "symbol"]
    kept = per_gene[[5, 1, 80]].sum()
    assert streamed(paths, *by_symbol, "--missing", "drop") == (3, kept)
    assert streamed(paths, *by_symbol, "--missing", "zero") == (4, kept)
    same = penstock.open(paths).select_vars(["S5", "S1", "nowhere", "S80"], key="symbol", missing="zero")
    assert sum(batch.X.nnz for batch in penstock.Loader(same, memory="16MB", to="numpy")) == kept
    # Each file by itself, before any is joined with another.
    files = json.loads(run("info", *paths, *by_symbol, "--missing", "drop", "--json").stdout)
    assert [file["n_vars"] for file in files] == [3, 3]
    assert "500 x 2 in 2 files" in run("plan", *paths, "--memory", "16MB", "--select-vars", "g7,g3").stdout


def test_select_vars_says_how_many_were_found(genes, tmp_path):
    paths, _ = genes
    names = list(penstock.open(paths[0]).var_names[:4])
    listed = tmp_path / "panel.txt"
    listed.write_bytes("\ufeff".encode() + "\r\n".join([*names[:3], "nope", ""]).encode())
    shown = run("info", paths[0], "--select-vars", f"@{listed}", "--missing", "drop")
    assert (
        shown.returncode == 0
        and "3 of 4 genes asked for were found; missing, left out: 'nope'" in shown.stdout
    )
    none = run("info", paths[0], "--select-vars", "a,b", "--missing", "zero")
    assert none.returncode != 0 and "no gene is there of the 2 asked for" in none.stderr
    gone = run("info", paths[0], "--select-vars", f"@{tmp_path}/gone/panel.txt")
    assert gone.returncode != 0 and f"there is no folder '{tmp_path}/gone'" in gone.stderr


def test_select_vars_of_joined_files(genes, tmp_path):
    paths, x = genes
    other = random_csr(np.random.default_rng(8), 100, 60)
    var = pd.DataFrame({"symbol": [f"S{i + 50}" for i in range(60)]}, index=[f"h{i}" for i in range(60)])
    both = [paths[0], write_h5ad(tmp_path / "other.h5ad", other, var=var)]
    joined = ["--join", "outer", "--var-key", "symbol", "--memory", "16MB", "--json"]
    done = run("stream", *both, *joined, "--select-vars", "S49,S50,S109")
    assert done.returncode == 0, done.stderr
    expected = sum(int((part != 0).sum()) for part in (x[:300, [49, 50]], other[:, [0, 59]]))
    assert json.loads(done.stdout)["stats"]["entries"] == expected


def test_select_vars_refuses(genes, tmp_path):
    paths, _ = genes
    empty = tmp_path / "empty.txt"
    empty.write_text("\n \n")
    for argument, code, words in [
        ("g7,g900", 1, "no gene 'g900'"),
        ("g7,g7", 2, "g7"),
        (",", 2, "names no gene"),
        (f"@{empty}", 2, "names no gene"),
        (f"@{tmp_path / 'missing.txt'}", 1, "missing.txt: no such file"),
        (f"@{tmp_path}", 1, "directory"),
        ("@/dev/zero", 2, "more than 64 MB"),
    ]:
        done = run("plan", *paths, "--select-vars", argument)
        assert done.returncode == code and words in done.stderr, (argument, done.stderr)
        assert done.stderr.count("\n") == 1 and done.stdout == ""
    assert run("plan", *paths, "--missing", "zero").returncode == 2  # of nothing
    assert run("plan", *paths, "--select-vars", "g7", "--missing", "guess").returncode == 2
    done = run("plan", *paths, "--select-vars", "S7", "--select-key", "symbl")
    assert done.returncode == 1 and "symbol" in done.stderr


def test_progress_line_on_a_terminal(large):
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "stream", *large.paths, "--memory", "16MB", "--batch-size", "16"],
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    seen = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    assert process.wait(timeout=300) == 0
    assert b"cells/s" in seen and b"\r" in seen and seen.endswith(b"\r\x1b[K")


def test_errors_are_one_line(corpus, tmp_path):
    done = run("info", str(tmp_path / "missing.h5ad"), corpus.paths[0])
    assert done.returncode == 1
    assert done.stderr.startswith("penstock: not_found: ") and done.stderr.count("\n") == 1
    assert "700 obs" in done.stdout
    done = run("plan", *corpus.paths, "--memory", "10KB")
    assert (
        done.returncode == 1 and done.stderr.startswith("penstock: budget: ") and done.stderr.count("\n") == 1
    )
    done = run("plan", *corpus.paths, "--obs", "color")
    assert done.returncode == 1 and "colour" in done.stderr


def test_verify(corpus, tmp_path):
    done = run("verify", *corpus.paths)
    assert done.returncode == 0 and done.stdout.count("all good") == 3
    path = str(tmp_path / "bad.h5ad")
    shutil.copy(corpus.paths[2], path)
    offsets = []
    with h5py.File(path) as file:
        for name, number in (("X/data", 1), ("X/indices", 3)):
            chunk = file[name].id.get_chunk_info(number)
            offsets.append(chunk.byte_offset)
    with open(path, "r+b") as file:
        for offset in offsets:
            file.seek(offset)
            file.write(b"\xff" * 8)
    done = run("verify", path)
    assert done.returncode == 1
    for offset, name in zip(offsets, ("X/data chunk 1", "X/indices chunk 3"), strict=True):
        line = next(line for line in done.stdout.splitlines() if name in line)
        assert f"0x{offset:x}" in line or str(offset) in line
    report = json.loads(run("verify", "--json", corpus.paths[0], path).stdout)
    assert [r["bad"] for r in report] == [0, 2] and len(report[1]["problems"]) == 2


def handles(pid: int, number: signal.Signals) -> bool:
    """The process has come so far as to have a handler for the signal, which else would end it."""
    with open(f"/proc/{pid}/status") as file:
        caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt:"))
    return bool(caught >> (number - 1) & 1)


def test_ctrl_c(large):
    process = subprocess.Popen(
        [COMMAND, "stream", *large.paths, "--memory", "16MB", "--batch-size", "16", "--epochs", "1000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not handles(process.pid, signal.SIGINT) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(1)  # and streams
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    assert process.stderr is not None and process.stderr.read() == "penstock: interrupted\n"


# A value for every option that takes one, and what else it needs. An option that is missing here fails the test.
VALUES: dict[str, list[str]] = {
    "--matrix": ["X"],
    "--genes": ["genes"],
    "--expressions": ["expressions"],
    # Of Parquet only: see below.
    "--var": [],
    "--row": [],
    "--col": [],
    "--value": [],
    "--obs-columns": [],
    # Of files with an obsm: test_obsm.py.
    "--obsm": [],
    # Of 10x files only: test_tenx.py.
    "--genome": [],
    "--feature-type": [],
    "--join": ["exact"],
    "--var-key": ["symbol"],
    "--index-memory": ["100MB"],
    "--memory": ["16MB"],
    "--query": ["n >= 0"],
    "--param": ["least=0", "--query", "n >= @least"],
    "--select-vars": ["g1,g3"],
    "--select-key": ["symbol", "--select-vars", "S1,S3"],
    "--missing": ["zero", "--select-vars", "g1,nowhere"],
    "--batch-size": ["64"],
    "--format": ["dense"],
    "--dtype": ["float64"],
    "--obs": ["colour,n"],
    "--seed": ["3"],
    "--epoch-size": ["100"],
    "--balance": ["colour"],
    "--weights": ["n"],
    "--threads": ["1"],
    "--io-threads": ["2"],
    "--window-rows": ["50"],
    "--block-rows": ["10"],
    "--rank": ["0"],
    "--world-size": ["1"],
    "--label": ["colour"],
    "--epochs": ["1"],
    "--report": ["FOLDER/r.html"],
    "--stats-every": ["5"],
    "--prometheus": ["FOLDER/p.prom"],
}


def options_of(command: str) -> dict[str, bool]:
    """The options of a command, as its help lists them: whether each takes a value."""
    text = run(command, "--help").stdout
    found = re.findall(r"^  (?:-\w,)?(--[\w-]+)(.*)$", text, re.M)
    return {name: re.match(r" (TEXT|UINT|INT|FLOAT)\b", rest) is not None for name, rest in found}


@pytest.fixture(scope="module")
def two_files(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("two")
    rng = np.random.default_rng(5)
    var = pd.DataFrame({"symbol": [f"S{i}" for i in range(20)]}, index=[f"g{i}" for i in range(20)])
    obs = pd.DataFrame(
        {"colour": pd.Categorical(["red", "blue"] * 100), "n": np.arange(1, 201)},
        index=[f"c{i}" for i in range(200)],
    )
    return [
        write_h5ad(folder / f"{name}.h5ad", random_csr(rng, 200, 20), obs=obs, var=var) for name in ("a", "b")
    ]


@pytest.mark.parametrize("command", ["info", "plan", "stream", "verify"])
def test_no_option_swallows_a_file(two_files, tmp_path, command):
    options = options_of(command)
    assert {"--matrix", "--json"} <= set(options) and len(options) >= 9
    wrong = []
    for option, takes_value in options.items():
        if option == "--help" or VALUES.get(option) == [] and takes_value:
            continue
        words = [option]
        if takes_value:
            assert option in VALUES, f"{command} {option} is not tested"
            words += [value.replace("FOLDER", str(tmp_path)) for value in VALUES[option]]
        if option == "--label" and command == "stream":
            words += ["--report", str(tmp_path / "r.html")]
        for paths in (two_files[:1], two_files):
            for line in ((*words, *paths), (*paths, *words)):
                done = run(command, *line)
                if done.returncode != 0:
                    wrong.append((*line, done.stderr))
    assert wrong == []


def test_options_of_parquet_swallow_no_file(tmp_path):
    triplets, wide = tmp_path / "triplets.parquet", tmp_path / "wide.parquet"
    pd.DataFrame({"r": [0, 1], "c": [0, 1], "v": [1.0, 2.0]}).to_parquet(triplets, index=False)
    pd.DataFrame({"g0": [1.0], "g1": [2.0], "age": [3]}).to_parquet(wide, index=False)
    for path, words in (
        (triplets, ("--row", "r", "--col", "c", "--value", "v")),
        (wide, ("--obs-columns", "age")),
    ):
        for line in ((*words, path), (path, *words)):
            done = run("info", *line, "--json")
            assert done.returncode == 0 and json.loads(done.stdout)[0]["n_vars"] == 2, (line, done.stderr)


def test_every_value_that_is_tested_is_an_options():
    known = set().union(*(options_of(command) for command in ("info", "plan", "stream", "verify")))
    assert set(VALUES) <= known


def test_options_of_lists_may_be_repeated(two_files, tmp_path):
    done = run("stream", "--obs", "colour", "--obs", "n", *two_files, "--report", str(tmp_path / "r.html"))
    assert done.returncode == 0 and '["obs","colour, n"]' in (tmp_path / "r.html").read_text()
    done = run("plan", "--label", "colour", "--label", "@file", *two_files, "--json")
    assert [mixing["label"] for mixing in json.loads(done.stdout)["mixing"]] == ["colour", "@file"]


@pytest.mark.parametrize("option", ["--report", "--prometheus"])
def test_targets_are_checked_before_anything_is_opened(tmp_path, option):
    """The file to stream does not even exist: the target is looked at first."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    for target in (tmp_path / "no such folder" / "r.html", tmp_path / "taken", tmp_path / "file" / "r.html"):
        done = run("stream", str(tmp_path / "absent.h5ad"), option, str(target))
        assert done.returncode == 1 and option in done.stderr and str(target) in done.stderr
        assert "absent.h5ad" not in done.stderr and not target.is_file()


def test_a_label_is_checked_before_streaming(two_files, tmp_path):
    report = ["--report", str(tmp_path / "r.html")]
    for label, words in (("color", "colour"), ("n", "numbers")):
        done = run("stream", *two_files, "--epochs", "1000000", "--label", label, *report)
        assert done.returncode in (1, 2) and words in done.stderr
        assert not (tmp_path / "r.html").exists()
    done = run("stream", *two_files, "--epochs", "1000000", "--label", "colour")
    assert done.returncode == 2 and "--report" in done.stderr, "without a page there is nothing to show"


def test_the_file_of_a_row(two_files):
    plan = ["plan", *two_files, "--memory", "32MB"]
    done = run(*plan, "--obs", "@file", "--balance", "@file", "--label", "@file")
    assert done.returncode == 0 and "@file: 2 values, 1.00 bits" in done.stdout
    assert "200 of 400" in run(*plan, "--query", "`@file` == 'a.h5ad'").stdout
