"""The report page in a real browser, its numbers, and the counters for machines."""

from __future__ import annotations

import collections
import html
import json
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from support import random_csr, random_obs, run_python, write_h5ad
from test_cli import COMMAND, run

import penstock

SECTIONS = [
    "verdict",
    "throughput",
    "time",
    "memory",
    "mixing",
    "files",
    "plan",
    "options",
    "environment",
    "raw",
]
NASTY = "</script><script>document.title='bad'</script>\"'&<!-- é 細胞 \u2028"


def numbers(page: Path) -> dict:
    found = re.search(
        r'<script type="application/json" id="penstock-data">(.*?)</script>', page.read_text(), re.S
    )
    assert found
    return json.loads(found[1])


def in_browser(page: Path, tmp_path: Path, *flags: str) -> tuple[str, str]:
    """(the DOM after the script has run, what the console said)."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    assert browser, "chromium is missing: make setup-test"
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
         f"--user-data-dir={tmp_path / 'browser'}", *flags, "--virtual-time-budget=2000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line or "Uncaught" in line]
    return done.stdout, "\n".join(said)


def without_scripts(dom: str) -> str:
    return re.sub(r"<(script|style)\b.*?</\1>", "", dom, flags=re.S)


def shown(dom: str) -> str:
    """The text a reader sees."""
    return html.unescape(re.sub(r"<[^>]+>", " ", without_scripts(dom)))


def stream(loader: penstock.Loader, batches: int | None = None) -> int:
    n = 0
    for n, _ in enumerate(loader, 1):
        if n == batches:
            break
    return n


def test_page_in_a_browser(large, tmp_path):
    ds = large.open()
    loader = penstock.Loader(ds, batch_size=64, memory="16MB", obs=["n", "colour"], seed=3)
    for _ in range(2):
        stream(loader)
    page = loader.report(tmp_path / "report.html")
    assert page == tmp_path / "report.html" and page.stat().st_size < 400_000
    dom, said = in_browser(page, tmp_path, "--window-size=1200,3000")
    assert said == ""
    for section in SECTIONS:
        assert f'<section class="card" id="{section}"' in dom or f'id="{section}"' in dom, section
    charts = re.findall(r'<svg role="img" aria-label="([^"]+)"', dom)
    assert len(charts) == 9  # throughput, two of time, memory, two curves, three heat maps
    assert all(len(text) > 30 for text in charts)
    shapes = collections.Counter(re.findall(r'<(?:path|rect|line|circle) class="([a-z]+)', dom))
    assert shapes["series"] == 6 and shapes["here"] == 2 and shapes["budget"] == 1
    assert shapes["tag"] >= 5 and shapes["bar"] >= 4 and shapes["heat"] >= 3
    assert not re.search("NaN|undefined|Infinity", without_scripts(dom))
    text = shown(dom)
    for words in ("you are here", "budget 16 MB", "cells/s", "Full shuffle", "part0.h5ad"):
        assert words in text
    data = numbers(page)
    assert data["stats"]["rows"] == 70_000 and data["mixing"]["label"] == "colour"
    assert [f["name"] for f in data["files"]] == ["part0.h5ad", "part1.h5ad"]
    environment = dict(data["environment"])
    assert environment["penstock"] == penstock.__version__ and "Python" in environment


def test_page_on_a_small_screen(corpus, tmp_path):
    loader = penstock.Loader(corpus.open(), batch_size=16, memory="16MB", to="numpy")
    stream(loader)
    dom, said = in_browser(loader.report(tmp_path / "r.html"), tmp_path, "--window-size=600,2000")
    assert said == ""
    widths = [int(w) for w in re.findall(r'viewBox="0 0 (\d+) ', dom)]
    assert widths and max(widths) <= 600


def test_numbers_over_time(large, tmp_path):
    loader = penstock.Loader(large.open(), batch_size=32, memory="16MB", to="numpy", threads=2)
    stream(loader)
    data = numbers(loader.report(tmp_path / "r.html"))
    past, stats = data["history"], data["stats"]
    n = len(past["seconds"])
    assert 3 <= n <= 257
    assert past["seconds"] == sorted(past["seconds"]) and past["rows"] == sorted(past["rows"])
    assert past["rows"][-1] == stats["rows"] == 35_000
    for i in range(n):
        assert sum(values[i] for values in past["memory"].values()) <= 16_000_000
        assert past["window_bytes_used"][i] <= past["memory"]["window"][i]
        assert past["slot_bytes_used"][i] <= past["memory"]["slots"][i]
    assert max(past["window_bytes_used"]) > 0 and max(past["slot_bytes_used"]) > 0
    assert stats["scatter_seconds"] > 0 and stats["decompress_seconds"] > 0
    assert stats["scatter_seconds"] + stats["decompress_seconds"] < stats["decode_seconds"]
    shares = [int(n) for n in re.findall(r"(\d+) %", stats["where_time_went"])]
    assert len(shares) == 5 and 97 <= sum(shares) <= 103
    assert stats["worker_read_seconds"] <= stats["read_seconds"] + 1e-9
    idle = sum(stats[f"idle_for_{why}_seconds"] for why in ("reads", "pages", "consumer"))
    assert idle <= stats["worker_idle_seconds"] + 1e-9
    assert 0 < stats["first_batch_seconds"] <= stats["last_batch_seconds"] <= stats["elapsed_seconds"]
    # What was read per file and row is what the plan said (windows cut other blocks in each epoch: nearly).
    for file in data["files"]:
        per_epoch = file["bytes_read"] * file["selected"] / file["rows_decoded"]
        assert per_epoch == pytest.approx(file["planned_bytes"], rel=0.05)
    assert sum(f["planned_bytes"] for f in data["files"]) == pytest.approx(
        data["plan"]["bytes_to_read"], abs=4
    )


def test_mixing_is_what_came(corpus, tmp_path):
    ds = corpus.open()[::2]
    loader = penstock.Loader(
        ds, batch_size=50, memory="16MB", obs=["line"], seed=5, window_rows=500, block_rows=30, to="numpy"
    )
    codes = [np.asarray(batch.obs["line"]).copy() for batch in loader]
    mixing = numbers(loader.report(tmp_path / "r.html"))["mixing"]
    names = [*loader.categories["line"], "(missing)"]
    counts = np.array(mixing["penstock"]["counts"]).reshape(len(mixing["batches"]), -1)
    assert len(mixing["lines"]) > 3 and "(missing)" in mixing["lines"]
    for number, found in zip(mixing["batches"], counts, strict=True):
        came = collections.Counter(names[code] for code in codes[number])
        assert dict(zip(mixing["lines"], found.tolist(), strict=True)) == {
            n: came[n] for n in mixing["lines"]
        }
    p = counts / counts.sum(axis=1, keepdims=True)
    entropy = -np.sum(np.where(p > 0, p * np.log2(np.where(p > 0, p, 1)), 0), axis=1)
    np.testing.assert_allclose(mixing["penstock"]["entropy"], entropy)
    assert mixing["penstock"]["mean_entropy"] == pytest.approx(entropy.mean())


def test_lines_of_the_heat_map_have_names(corpus, tmp_path):
    """Every line of every picture; a missing label is no value and has the last line."""
    ds = corpus.open()
    loader = penstock.Loader(ds, batch_size=50, memory="16MB", obs=["line"], seed=5, to="numpy")
    stream(loader)
    page = loader.report(tmp_path / "r.html")
    mixing = numbers(page)["mixing"]
    column = ds.obs["line"]
    values = list(pd.unique(column.dropna()))
    assert mixing["lines"] == [*values, "(missing)"] and mixing["n_categories"] == len(values)
    assert mixing["line_cells"][-1] == mixing["missing_cells"] == column.isna().sum() > 0
    dom, said = in_browser(page, tmp_path, "--window-size=1200,3000")
    assert said == ""
    names = re.findall(r'class="axis line-name"[^>]*><title>([^<]*)</title>([^<]*)<', dom)
    assert len(names) == 3 * len(mixing["lines"])
    assert [html.unescape(full) for full, _ in names] == 3 * mixing["lines"]
    text = shown(dom)
    assert f"{len(values)} values of line" in text
    assert f"the last line is the {mixing['missing_cells']} cells without a value" in text


def test_lines_that_are_too_thin_for_names_have_some(tmp_path):
    """96 lines of 300 values: every so many have a name, and the cells without a value always."""
    rng = np.random.default_rng(0)
    label = pd.Categorical.from_codes(rng.integers(-1, 300, 4000), [f"type {i}" for i in range(300)])
    obs = pd.DataFrame({"label": label}, index=[f"c{i}" for i in range(4000)])
    path = write_h5ad(tmp_path / "a.h5ad", random_csr(rng, 4000, 10), obs)
    loader = penstock.Loader(penstock.open(path), batch_size=64, memory="16MB", obs=["label"], to="numpy")
    page = loader.report(tmp_path / "r.html")
    lines = numbers(page)["mixing"]["lines"]
    assert len(lines) > 70 and lines[-1] == "(missing)"
    dom, said = in_browser(page, tmp_path, "--window-size=1200,3000")
    names = [html.unescape(n) for n in re.findall(r'line-name"[^>]*><title>([^<]*)</title>', dom)]
    assert said == "" and names.count("(missing)") == 3 and set(names) < set(lines)
    assert len(names) > len(lines)  # of three pictures, a half each


@pytest.mark.parametrize("case", ["nothing", "one batch", "ordered", "closed", "empty", "rank"])
def test_little_or_nothing(corpus, tmp_path, case):
    ds = corpus.open()
    if case == "empty":
        ds = ds[:0]
    share = {"rank": 1, "world_size": 3} if case == "rank" else {}
    obs = ["colour"] if case in ("empty", "rank", "one batch") else []
    loader = penstock.Loader(
        ds, batch_size=64, memory="16MB", to="numpy", shuffle=case != "ordered", obs=obs, **share
    )
    if case != "nothing":
        stream(loader, 1 if case == "one batch" else None)
    if case == "closed":
        loader.close()
    page = loader.report(tmp_path / "r.html")
    dom, said = in_browser(page, tmp_path)
    assert said == ""
    for section in SECTIONS:
        assert f'id="{section}"' in dom
    assert not re.search("NaN|undefined|Infinity", without_scripts(dom))
    if case in ("nothing", "empty"):
        assert "No batch has been delivered yet" in shown(dom)
    if case == "ordered":
        assert "file order" in shown(dom)


def test_hostile_names(tmp_path):
    rng = np.random.default_rng(0)
    obs = random_obs(rng, 300)
    # HDF5's separator is no part of a name, and names beyond ASCII make h5py store the group in another way.
    name = NASTY.replace("/", "|").encode("ascii", "ignore").decode()
    obs[name] = pd.Categorical(np.array([NASTY, "b"])[rng.integers(0, 2, 300)])
    path = write_h5ad(tmp_path / f"{NASTY.replace('/', '|')}.h5ad", random_csr(rng, 300, 20), obs)
    loader = penstock.Loader(penstock.open([path]), batch_size=16, memory="16MB", obs=[name], to="numpy")
    stream(loader)
    page = loader.report(tmp_path / "r.html")
    data = numbers(page)
    assert (
        data["mixing"]["label"] == name
        and NASTY in data["mixing"]["lines"]
        and data["files"][0]["path"] == path
    )
    dom, said = in_browser(page, tmp_path)
    assert said == "" and "<title>Penstock: 300 cells from 1 file</title>" in dom
    assert len(re.findall(r"<script", dom)) == 2
    assert Path(path).name in shown(dom)


def test_bad_arguments(corpus, tmp_path):
    loader = penstock.Loader(corpus.open(), memory="16MB", to="numpy")
    with pytest.raises(KeyError, match="colour"):
        loader.report(tmp_path / "r.html", label="color")
    with pytest.raises(ValueError, match="numbers"):
        loader.report(tmp_path / "r.html", label="score")
    with pytest.raises(OSError, match="no/such"):
        loader.report(tmp_path / "no" / "such" / "r.html")
    assert list(tmp_path.iterdir()) == []
    page = tmp_path / "r.html"
    page.write_text("old")
    with pytest.raises(ValueError):
        loader.report(page, label="n")
    assert page.read_text() == "old"
    loader.report(str(page), label="flag")  # booleans are labels, too
    assert set(numbers(page)["mixing"]["lines"]) == {"True", "False"}


def test_report_takes_no_loader_memory(corpus, tmp_path):
    loader = penstock.Loader(corpus.open(), memory="16MB", to="numpy")
    before = loader.stats()["memory"]
    loader.report(tmp_path / "r.html", label="line")
    assert loader.stats()["memory"] == before


# --- counters for machines ---

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parse_prometheus(text: str) -> dict[str, dict[tuple, float]]:
    """Strict text format 0.0.4: HELP, TYPE, then the family's samples; each family and sample once."""
    assert text.endswith("\n") and "\n\n" not in text
    families: dict[str, dict[tuple, float]] = {}
    lines = text.splitlines()
    name = kind = ""
    for i, line in enumerate(lines):
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in families and lines[i + 1].startswith(f"# TYPE {name} ")
            families[name] = {}
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == name and lines[i - 1].startswith(f"# HELP {name} ")
            kind = line.split(" ")[3]
            assert kind in ("counter", "gauge") and (kind == "counter") == name.endswith("_total")
        else:
            found = SAMPLE.fullmatch(line)
            assert found and found[1] == name, line
            labels, at = [], 0
            while found[2] and at < len(found[2]):
                label = LABEL.match(found[2], at)
                assert label, line
                value = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], label[2])
                labels.append((label[1], value))
                at = label.end()
            assert len(dict(labels)) == len(labels) and tuple(labels) not in families[name]
            assert kind != "counter" or float(found[3]) >= 0
            families[name][tuple(sorted(labels))] = float(found[3])
    assert all(families.values())
    return families


def test_stats_formats(corpus):
    loader = penstock.Loader(corpus.open(), batch_size=64, memory="16MB", to="numpy")
    stream(loader)
    stats = loader.stats()
    line = loader.stats("json")
    assert "\n" not in line
    assert json.loads(line).keys() == stats.keys() and json.loads(line)["rows"] == stats["rows"] == 3001
    found = parse_prometheus(loader.stats("prometheus"))
    assert found["penstock_rows_total"] == {(("rank", "0"),): 3001}
    by_tag = {dict(labels)["tag"]: value for labels, value in found["penstock_memory_bytes"].items()}
    assert by_tag == stats["memory"]["used_by_tag"]
    strange = 'a\\b "c"\nd, é}'
    labelled = parse_prometheus(loader.stats("prometheus", labels={"run": strange}))
    assert (("rank", "0"), ("run", strange)) in labelled["penstock_rows_total"]
    with pytest.raises(ValueError, match="format"):
        loader.stats("xml")
    with pytest.raises(ValueError, match="labels"):
        loader.stats("json", labels={"a": "b"})
    for bad in ("0a", "a-b", "__x", "tag", ""):
        with pytest.raises(ValueError, match="label"):
            loader.stats("prometheus", labels={bad: "x"})


# --- the command ---

needs_command = pytest.mark.skipif(
    COMMAND is None and "CI" not in os.environ, reason="the command is not built"
)


@needs_command
def test_command_report_and_prometheus(corpus, tmp_path):
    page, text = tmp_path / "a b.html", tmp_path / "p.prom"
    done = run("stream", *corpus.paths, "--memory", "16MB", "--batch-size", "64", "--label", "colour",
               "--report", str(page), "--prometheus", str(text))  # fmt: skip
    assert done.returncode == 0 and done.stderr == "" and f"report: {page}" in done.stdout
    data = numbers(page)
    assert data["stats"]["rows"] == 3001 and data["mixing"]["label"] == "colour"
    assert dict(data["options"])["command"].endswith(f"--report '{page}' --prometheus {text}")
    assert parse_prometheus(text.read_text())["penstock_rows_total"] == {(("rank", "0"),): 3001}
    assert stat.S_IMODE(text.stat().st_mode) & 0o400
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a b.html", "p.prom"]


@needs_command
def test_command_json_lines(large):
    done = run(
        "stream",
        *large.paths,
        "--memory",
        "16MB",
        "--batch-size",
        "16",
        "--epochs",
        "3",
        "--stats-every",
        "0.05",
    )
    assert done.returncode == 0 and done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) >= 2 and lines[-1]["stats"]["rows"] == 105_000 and lines[-1]["cells_per_second"] > 0
    rows = [line["rows"] for line in lines[:-1]]
    assert rows == sorted(rows)


@needs_command
def test_command_interrupted_leaves_a_report(large, tmp_path):
    page = tmp_path / "r.html"
    process = subprocess.Popen(
        [COMMAND, "stream", *large.paths, "--memory", "16MB", "--batch-size", "16", "--epochs", "1000"]
        + ["--report", str(page), "--stats-every", "0.1"],
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["rows"] == 0:
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    assert process.returncode == 130
    assert numbers(page)["stats"]["rows"] > 0


@needs_command
def test_command_finds_mistakes_before_it_runs(corpus, tmp_path):
    for args, words in [
        (("--report", str(tmp_path / "no" / "r.html")), "io_error"),
        (("--report", str(tmp_path / "r.html"), "--label", "color"), "colour"),
        (("--report", str(tmp_path / "r.html"), "--label", "n"), "invalid_argument"),
        (("--prometheus", str(tmp_path / "no" / "p.prom")), "io_error"),
    ]:
        done = run("stream", *corpus.paths, "--memory", "16MB", *args)
        assert done.returncode != 0 and words in done.stderr and done.stderr.count("\n") == 1
    assert run("stream", *corpus.paths, "--stats-every", "0").returncode == 2


def test_fork(corpus, tmp_path):
    """A forked child has a loader of its own to report on."""
    done = run_python(
        """
        import os, sys, penstock
        loader = penstock.Loader(penstock.open(sys.argv[1:-1]), memory="16MB", to="numpy")
        next(iter(loader))
        pid = os.fork()
        if pid == 0:
            loader.report(sys.argv[-1])
            os._exit(0)
        sys.exit(os.waitpid(pid, 0)[1])
        """,
        *corpus.paths,
        str(tmp_path / "r.html"),
    )
    assert done.returncode == 0, done.stderr
    assert numbers(tmp_path / "r.html")["stats"]["batches"] == 0


def test_bad_file_under_a_label(corpus, tmp_path):
    """A column that cannot be read is the read's error, and no page."""
    path = str(tmp_path / "bad.h5ad")
    shutil.copy(corpus.paths[2], path)
    with h5py.File(path, "r+") as file:
        codes = file["obs/colour/codes"]
        values = codes[...]
        values[7] = 100
        codes[...] = values
    loader = penstock.Loader(penstock.open([path]), memory="16MB", to="numpy")
    with pytest.raises(OSError, match="colour"):
        loader.report(tmp_path / "r.html", label="colour")
    assert not (tmp_path / "r.html").exists()
