#!/usr/bin/env python3
"""Measures Penstock and its competitors side by side: `make peers`.

    make peers                          everything: the table, the chart, the bars
    make peers ARGS=--quick             tiny data, a light environment: does it work? judges nothing
    make peers ARGS=--sweep             tries each loader's settings first and compares the best of them
    make peers ARGS=--resume            goes on where an interrupted run stopped
    make peers ARGS="--formats parquet" only the loaders of one format: h5ad or parquet
    make peers ARGS=--update-readme     writes the table and the chart into README.md as well

Every loader has an environment of its own (env/, made in build/peers on demand), reads the same gzip .h5ad files, or
the same cells as Parquet, and must bring exactly what is in them before it is timed. README.md beside this file says
how everything is measured.
Results: bench-output/peers/peers.json, table.md, peers.png; each measurement is saved as soon as it is there.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tools")]

import bench  # noqa: E402
import environments  # noqa: E402
import loaders  # noqa: E402
import numpy as np  # noqa: E402
import process_tree  # noqa: E402
import report  # noqa: E402
import truth  # noqa: E402

import make_demo_data  # noqa: E402
import make_parquet_data  # noqa: E402

STEPS_MS = (5, 20, 50)
SAMPLE_SECONDS = 0.1  # between two looks at the memory
BATCHES = (64, 4096)
OUTPUTS = ("csr", "dense")


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much is measured; the times are of one measurement."""

    cells: int = 200_000
    small_cells: int = 20_000  # each corner's settings are verified on these
    genes: int = 62_710
    files: int = 4
    runs: int = 3
    warm_up: float = 1.0
    seconds: float = 3.0
    patience: float = 6.0  # beyond `seconds`, to reach the end of what was read at once
    timeout: float = 240.0
    corners: tuple[tuple[int, str], ...] = tuple((b, o) for b in BATCHES for o in OUTPUTS)
    caches: tuple[str, ...] = ("warm", "cold")
    loaders: tuple[str, ...] = loaders.ALL
    steps: bool = True
    light: bool = False  # all loaders in one environment over the .venv

    def pairs(self) -> Iterator[tuple[str, int, str]]:
        """(cache, batch, output): all of them; a light run takes dense warm and CSR cold, to be quick."""
        for cache in self.caches:
            for batch, output in self.corners:
                if not self.light or (cache == "warm") == (output == "dense"):
                    yield cache, batch, output


QUICK = Plan(
    cells=6_000,
    small_cells=6_000,
    genes=5_000,
    files=2,
    runs=1,
    warm_up=0.2,
    seconds=0.5,
    patience=1.0,
    timeout=240.0,
    corners=((64, "csr"), (64, "dense")),
    caches=("warm", "cold"),
    loaders=("penstock", "annloader", "scdataset", "penstock_parquet", "pyarrow", "pyarrow_dataset"),
    steps=False,
    light=True,
)


def say(text: str) -> None:
    print(f"[peers] {text}", file=sys.stderr, flush=True)


def corner_name(batch: int, output: str) -> str:
    return f"{output} {batch}"


class Failed(Exception):
    """A measurement that gave no result; the message is one line."""


# --- one process per measurement ----------------------------------------------------------------------------


def run_worker(python: Path, task: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Runs worker.py on a task; adds the peak PSS of its process tree, sampled from outside."""
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        task_file, result_file, log_file = (Path(folder, n) for n in ("task.json", "result.json", "log"))
        task_file.write_text(json.dumps(task))
        with open(log_file, "wb") as log:
            process = subprocess.Popen(
                [python, HERE / "worker.py", task_file, result_file],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # so that its own workers can be ended with it
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            )
        ended = threading.Event()
        samples: list[int] = []

        def sample() -> None:
            while not ended.wait(SAMPLE_SECONDS):
                samples.append(process_tree.pss(process.pid))

        sampler = threading.Thread(target=sample, daemon=True)
        began = time.monotonic()
        sampler.start()
        try:
            code: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            took = time.monotonic() - began
            ended.set()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            sampler.join()
        if code is None:
            raise Failed(f"no result after {timeout:.0f} s")
        if code or not result_file.exists():
            lines = [x.strip() for x in log_file.read_text(errors="replace").splitlines() if x.strip()]
            why = lines[-1] if code > 0 and lines else f"ended by signal {-code}" if code < 0 else "no result"
            raise Failed(why[:300])
        result: dict[str, Any] = json.loads(result_file.read_text())
    return {
        **result,
        "peak_pss": max(samples, default=0),
        "pss_samples_per_second": len(samples) / took,
        "process_seconds": took,
    }


# --- data ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Data:
    files: list[str]
    cells: int
    truth: Path
    bytes: int
    non_zeros: int

    @classmethod
    def make(cls, cells: int, files_wanted: int, plan: Plan) -> Data:
        spec = make_demo_data.Spec(cells=cells, files=files_wanted, genes=plan.genes)
        folder = make_demo_data.default_dir(spec)
        files = [str(f) for f in make_demo_data.make(spec, folder)]
        path = ROOT / "build" / "peers" / "truth" / f"{folder.name}.npz"
        if not path.exists():
            say(f"reading the truth of {folder.name} with h5py")
        truth.make(files, path)
        with np.load(path) as known:
            non_zeros = int(known["nnz"].sum())
        return cls(files, cells, path, sum(os.path.getsize(f) for f in files), non_zeros)

    def as_format(self, name: str) -> Data:
        """The same cells in another format, made once."""
        if name == "h5ad":
            return self
        folder = Path(self.files[0]).parent
        made = make_parquet_data.make(
            "lists", folder.with_name(f"{folder.name}-lists-numbered"), self.files, numbered=True
        )
        files = [str(path) for path in made]
        return dataclasses.replace(self, files=files, bytes=sum(os.path.getsize(f) for f in files))


# --- what is kept -------------------------------------------------------------------------------------------


class Store:
    """Measurements by the task they answer: a line of JSON each, written as soon as it is there."""

    def __init__(self, path: Path, resume: bool) -> None:
        self.path = path
        self.known: dict[str, dict[str, Any]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if resume and path.exists():
            for line in path.read_text().splitlines():
                try:
                    entry = json.loads(line)
                    self.known[entry["key"]] = entry["result"]
                except (ValueError, KeyError, TypeError):
                    continue  # cut short by the interruption
        else:
            path.write_text("")

    @staticmethod
    def key(task: dict[str, Any], environment: str, run: int) -> str:
        text = json.dumps([task, environment, run], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def add(self, key: str, result: dict[str, Any]) -> None:
        self.known[key] = result
        with open(self.path, "a") as file:
            file.write("\n" * (file.tell() > 0) + json.dumps({"key": key, "result": result}))


# --- the run ------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Peers:
    plan: Plan
    store: Store
    data: Data  # .h5ad
    of_format: dict[str, Data]
    small: dict[str, Data]  # of each loader
    best: dict[tuple[str, int, str], dict[str, Any]] = dataclasses.field(default_factory=dict)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)  # loaders without an environment
    keys: dict[str, str] = dataclasses.field(default_factory=dict)
    done: int = 0
    planned: int = 0
    left: float = 0.0  # seconds that the rest is thought to take

    # -- environments --
    def environment(self, name: str) -> str:
        return "light" if self.plan.light else loaders.load(name).ENV

    def prepare(self) -> None:
        program = hashlib.sha256()  # --resume takes no measurement of another version of what measures
        for path in [
            HERE / "worker.py",
            HERE / "process_tree.py",
            HERE / "truth.py",
            ROOT / "benchmarks" / "pyarrow_reader.py",
            *sorted((HERE / "loaders").glob("*.py")),
        ]:
            program.update(path.read_bytes())
        for name in self.plan.loaders:
            environment = self.environment(name)
            try:
                environments.ensure(environment, say)
                self.keys[name] = environments.lock_key(environment) + program.hexdigest()
                if self.plan.light:  # the package comes from the .venv
                    self.keys[name] += environments.lock_key("penstock")
            except environments.EnvironmentFailed as error:
                self.failed[name] = f"environment: {error}"
                say(f"{name}: {self.failed[name]}")
        for name in self.plan.loaders:
            for batch, output in self.corners(name):
                self.best[name, batch, output] = loaders.load(name).BEST[batch, output]

    def corners(self, name: str) -> list[tuple[int, str]]:
        """Those of the plan that make sense for a loader."""
        best = loaders.load(name).BEST
        return [corner for corner in self.plan.corners if corner in best]

    def loaders_of(self, batch: int, output: str) -> list[str]:
        return [name for name in self.plan.loaders if (batch, output) in self.corners(name)]

    # -- tasks --
    def task(self, do: str, name: str, batch: int, output: str, **more: Any) -> dict[str, Any]:
        data = more.pop("data", self.of_format[loaders.format_of(name)])
        return {
            "do": do,
            "loader": name,
            "batch": batch,
            "output": output,
            "settings": self.best[name, batch, output],
            "files": data.files,
            "cells": data.cells,
            "truth": str(data.truth),
            "bytes": data.bytes,
            **more,
        }

    def measure_task(self, name: str, batch: int, output: str, cache: str) -> dict[str, Any]:
        p = self.plan
        times = {"warm_up": p.warm_up, "seconds": p.seconds, "patience": p.patience}
        if not p.light and (batch, cache) == (4096, "warm"):
            # What the bars are about: readers that deliver in bursts of a second need longer to be compared.
            times.update(warm_up=4 * p.warm_up, seconds=4 * p.seconds)
        return self.task("measure", name, batch, output, cold=cache == "cold", **times)

    def estimate(self, task: dict[str, Any]) -> float:
        """Seconds that a task is thought to take, from what was seen on two cores."""
        module = loaders.load(task["loader"])
        slow = not module.FULL_PASS
        start = 2.0 if self.plan.light else 4.0
        if task["do"] == "verify":
            rate = 700 if slow else 6_000
            return start + task["cells"] / rate
        if task["do"] == "steps":
            return start + 3 * (task["seconds"] + (5 if slow and task["batch"] > 1000 else 2))
        counted = task["seconds"] + (0 if task["cold"] else task["warm_up"])
        return start + counted + (8 if slow and task["batch"] > 1000 else 1) + (1 if task["cold"] else 0)

    def run(self, task: dict[str, Any], what: str, k: int = 1, n: int = 1) -> dict[str, Any]:
        """One measurement, from the store if it is there; {"failed": why} when it gives no result."""
        name = task["loader"]
        expected = self.estimate(task)
        self.done += 1
        self.left = max(0.0, self.left - expected)
        if name in self.failed:
            return {"failed": self.failed[name]}
        key = Store.key(task, self.keys[name], k)
        if key in self.store.known:
            return self.store.known[key]
        eta = time.strftime("%H:%M", time.localtime(time.time() + self.left + expected))
        say(f"{self.done}/{self.planned} {name}, {what}, run {k} of {n}; ready about {eta}")
        try:
            if task.get("cold"):
                bench.drop(task["files"])  # raises unless mincore says that they are gone
            elif task["do"] != "verify":
                bench.read_all(task["files"])
            python = environments.python_of(self.environment(name))
            result = run_worker(python, task, self.plan.timeout)
        except (Failed, RuntimeError, OSError) as error:
            if str(error).startswith("truth.WrongData:"):  # nothing after that would be worth a figure
                raise truth.WrongData(f"{name}, {what}: {error}") from None
            say(f"{name}, {what}: failed: {error}")
            return {"failed": str(error)}  # not stored: --resume tries again
        self.store.add(key, result)
        return result

    # -- parts --
    def verify_tasks(self) -> Iterator[tuple[dict[str, Any], str]]:
        """Each corner's settings on the small set, then one pass over everything where that does not take minutes."""
        for name in self.plan.loaders:
            once = loaders.load(name).ONCE
            for batch, output in self.corners(name):
                what = f"{corner_name(batch, output)}, verifying {self.plan.small_cells:,} cells"
                yield self.task("verify", name, batch, output, data=self.small[name], once=once), what
            csr = [corner for corner in self.corners(name) if corner[1] == "csr"]
            if csr and loaders.load(name).FULL_PASS and self.data.cells > self.plan.small_cells:
                batch, output = max(csr)
                what = f"{corner_name(batch, output)}, verifying {self.data.cells:,} cells"
                yield self.task("verify", name, batch, output, once=once), what

    def verify(self) -> list[dict[str, Any]]:
        rows = []
        for task, what in self.verify_tasks():
            result = self.run(task, what)
            head = {k: task[k] for k in ("loader", "batch", "output", "settings", "cells")}
            rows.append({**head, **result})
            if "failed" in result and task["cells"] == self.plan.small_cells:
                # Never timed unverified: the corner's row says why.
                self.unverified[task["loader"], task["batch"], task["output"]] = result["failed"]
        return rows

    unverified: dict[tuple[str, int, str], str] = dataclasses.field(default_factory=dict)

    def sweep_tasks(self) -> Iterator[tuple[dict[str, Any], str]]:
        for batch, output in self.plan.corners:
            for name in self.loaders_of(batch, output):
                for settings in loaders.load(name).SWEEP[batch, output]:
                    task = self.measure_task(name, batch, output, "warm")
                    task["settings"] = settings
                    words = " ".join(f"{k}={v}" for k, v in settings.items())
                    yield task, f"{corner_name(batch, output)}, sweep: {words}"

    def sweep(self) -> list[dict[str, Any]]:
        """Tries every setting once; the fastest of a corner is what is compared."""
        rows = []
        for task, what in self.sweep_tasks():
            result = self.run(task, what)
            rows.append({**{k: task[k] for k in ("loader", "batch", "output", "settings")}, **result})
        self.take_fastest(rows)
        return rows

    def take_fastest(self, rows: list[dict[str, Any]]) -> None:
        """The fastest settings of a sweep's rows become what is compared."""
        for name, batch, output in self.best:
            here = [r for r in rows if (r["loader"], r["batch"], r["output"]) == (name, batch, output)]
            rates = [(r["cells_per_second"], r) for r in here if "failed" not in r]
            if rates:
                self.best[name, batch, output] = max(rates, key=lambda x: x[0])[1]["settings"]

    def compare_tasks(self) -> Iterator[tuple[dict[str, Any], str, str, int]]:
        """Run by run, so that what is compared is measured at about the same time."""
        for cache, batch, output in self.plan.pairs():
            for k in range(1, self.plan.runs + 1):
                for name in self.loaders_of(batch, output):
                    task = self.measure_task(name, batch, output, cache)
                    yield task, f"{corner_name(batch, output)} {cache}", cache, k

    def compare(self) -> list[dict[str, Any]]:
        rows: dict[tuple[str, int, str, str], dict[str, Any]] = {}
        for task, what, cache, k in self.compare_tasks():
            at = (task["loader"], task["batch"], task["output"], cache)
            if at not in rows:
                head = {key: task[key] for key in ("loader", "batch", "output", "settings")}
                rows[at] = {**head, "cache": cache, "runs": []}
            row = rows[at]
            row["ideal_entropy"] = self.ideal[task["batch"]]
            if why := self.unverified.get(at[:3]):
                row["failed"] = f"not verified: {why}"
            if "failed" in row:  # once is enough: it would cost a timeout per run
                self.done += 1
                self.left = max(0.0, self.left - self.estimate(task))
                continue
            result = self.run(task, what, k, self.plan.runs)
            if "failed" in result:
                row["failed"] = result["failed"]
            else:
                row["runs"].append(result)
        return list(rows.values())

    ideal: dict[int, dict[str, float]] = dataclasses.field(default_factory=dict)

    def steps_tasks(self) -> Iterator[tuple[dict[str, Any], str]]:
        if not self.plan.steps:
            return
        for batch, output in self.plan.corners:
            if output != "csr":
                continue
            for name in self.loaders_of(batch, output):
                more = {"steps_ms": STEPS_MS, "seconds": 1.0, "patience": 20.0}
                yield self.task("steps", name, batch, output, **more), f"csr {batch}, wait per step"

    def steps(self) -> list[dict[str, Any]]:
        rows = []
        for task, what in self.steps_tasks():
            at = (task["loader"], task["batch"], task["output"])
            why = self.unverified.get(at)
            result = {"failed": f"not verified: {why}"} if why else self.run(task, what)
            rows.append({**{k: task[k] for k in ("loader", "batch", "output", "settings")}, **result})
        return rows

    def measure_all(self, with_sweep: bool) -> dict[str, Any]:
        with np.load(self.data.truth) as labels:
            for batch in {b for b, _ in self.plan.corners}:
                self.ideal[batch] = {n: truth.full_shuffle_entropy(labels[n], batch) for n in truth.LABELS}
        tasks = [t for t, *_ in [*self.verify_tasks(), *self.compare_tasks(), *self.steps_tasks()]]
        if with_sweep:
            tasks += [t for t, _ in self.sweep_tasks()]
        self.planned = len(tasks)
        todo = [t for t in tasks if t["loader"] not in self.failed]
        self.left = sum(self.estimate(t) for t in todo)
        say(f"{len(tasks)} measurements, about {self.left / 60:.0f} minutes")
        result: dict[str, Any] = {"sweep": self.sweep() if with_sweep else []}
        result["verified"] = self.verify()
        floors = [self.floor()]
        result["compared"] = self.compare()
        floors.append(self.floor())
        result["floor"] = [f for f in floors if f]
        result["steps"] = self.steps()
        return result

    def floor(self) -> float | None:
        """Cells per second of pread + inflate alone on as many threads (benchmarks/floor), warm; median of 3."""
        program = ROOT / "build" / "release" / "benchmarks" / "floor"
        if not program.exists() or "h5ad" not in self.of_format:
            return None
        chunks = ROOT / "build" / "peers" / "truth" / f"{Path(self.data.files[0]).parent.name}.chunks.tsv"
        if not chunks.exists() or chunks.stat().st_mtime < self.data.truth.stat().st_mtime:
            chunks.write_text("\n".join(bench.chunk_list.chunk_lines(self.data.files)) + "\n")
        bench.read_all(self.data.files)
        threads = len(os.sched_getaffinity(0))
        out = bench.run_json(program, "--threads", threads, "--repeats", 3, chunks)
        return float(self.data.cells / np.median(out["seconds"]))


# --- the command --------------------------------------------------------------------------------------------


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny data, one run, a light environment")
    parser.add_argument("--resume", action="store_true", help="keep the measurements of an interrupted run")
    parser.add_argument("--sweep", action="store_true", help="try each loader's settings, compare the best")
    parser.add_argument(
        "--settings",
        choices=["best", "sweep"],
        default="best",
        help="best: the known best ones (default); sweep: the fastest of the last --sweep",
    )
    parser.add_argument("--formats", help="loaders of these formats, by commas: " + ",".join(loaders.FORMATS))
    parser.add_argument("--only", help="loaders, by commas: " + ",".join(loaders.ALL))
    parser.add_argument("--corners", help="such as csr4096,dense64 (default: all four)")
    parser.add_argument("--cache", choices=["warm", "cold"], help="only this state of the page cache")
    parser.add_argument("--cells", type=int, help="cells of the data set (default: 200,000)")
    parser.add_argument("--runs", type=int, help="runs per corner (default: 3)")
    parser.add_argument("--seconds", type=float, help="counted time of a run (default: 3)")
    parser.add_argument("--warm-up", type=float, help="time before it (default: 1)")
    parser.add_argument("--prepare", action="store_true", help="environments, data and truth, then stop")
    parser.add_argument("--report", action="store_true", help="table and chart of the last run again")
    parser.add_argument("--update-readme", action="store_true", help="write them into README.md as well")
    parser.add_argument(
        "--output", type=Path, help="default: bench-output/peers, or peers-FORMAT, or peers-quick"
    )
    args = parser.parse_args()
    args.plan = QUICK if args.quick else Plan()
    changes: dict[str, Any] = {
        k: v
        for k, v in (
            ("cells", args.cells),
            ("runs", args.runs),
            ("seconds", args.seconds),
            ("warm_up", args.warm_up),
        )
        if v is not None
    }
    if changes.get("runs", 1) < 1 or changes.get("cells", 1) < 1:
        parser.error("--runs and --cells must be at least 1")
    if "cells" in changes:
        changes["small_cells"] = min(args.plan.small_cells, args.cells)
    if args.only:
        changes["loaders"] = tuple(args.only.split(","))
        if unknown := [n for n in changes["loaders"] if n not in loaders.ALL]:
            parser.error(f"no loader {', '.join(unknown)}; there are {', '.join(loaders.ALL)}")
    args.formats = args.formats.split(",") if args.formats else list(loaders.FORMATS)
    if unknown := [f for f in args.formats if f not in loaders.FORMATS]:
        parser.error(f"no format {', '.join(unknown)}; there are {', '.join(loaders.FORMATS)}")
    wanted = changes.get("loaders", args.plan.loaders)
    changes["loaders"] = tuple(n for n in wanted if loaders.format_of(n) in args.formats)
    if not changes["loaders"]:
        parser.error(f"none of {', '.join(wanted)} reads {', '.join(args.formats)}")
    if args.output is None:
        part = "-quick" if args.quick else f"-{args.formats[0]}" if len(args.formats) == 1 else ""
        args.output = ROOT / "bench-output" / f"peers{part}"
    if args.corners:
        names = {f"{o}{b}": (b, o) for b in BATCHES for o in OUTPUTS}
        if unknown := [c for c in args.corners.split(",") if c not in names]:
            parser.error(f"no corner {', '.join(unknown)}; there are {', '.join(names)}")
        changes["corners"] = tuple(names[c] for c in args.corners.split(","))
    if args.cache:
        changes["caches"] = (args.cache,)
    args.plan = dataclasses.replace(args.plan, **changes)
    return args


def main() -> int:
    args = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by exception: the measured processes end, too
    output: Path = args.output
    saved = output / "peers.json"
    if args.update_readme:
        for name in args.formats:
            report.check_markers(ROOT / "README.md", name)  # before half an hour of measuring
    if args.report:
        if not saved.exists():
            raise SystemExit(f"{saved} is not there: make peers")
        result = json.loads(saved.read_text())
        return report.write(result, output, ROOT if args.update_readme else None)

    plan: Plan = args.plan
    data = Data.make(plan.cells, plan.files, plan)
    spread = {n: min(plan.files, loaders.load(n).SMALL_FILES) for n in plan.loaders}
    smalls = {files: Data.make(plan.small_cells, files, plan) for files in sorted(set(spread.values()))}
    formats = [f for f in loaders.FORMATS if any(loaders.format_of(n) == f for n in plan.loaders)]
    of_format = {f: data.as_format(f) for f in formats}
    small = {name: smalls[files].as_format(loaders.format_of(name)) for name, files in spread.items()}
    peers = Peers(plan, Store(output / "runs.jsonl", args.resume or args.prepare), data, of_format, small)
    peers.prepare()
    if args.settings == "sweep":
        if not (output / "sweep.json").exists():
            raise SystemExit(f"{output / 'sweep.json'} is not there: make peers ARGS=--sweep")
        peers.take_fastest(json.loads((output / "sweep.json").read_text()))
    if args.prepare:
        say("environments, data and truth are there" if not peers.failed else "some environments failed")
        return bool(peers.failed)
    card = bench.machine()
    say(f"{card['cpu']}, {card['cores']} cores, {card['ram_gb']} GB, kernel {card['kernel']}")
    for name in formats:
        part = of_format[name]
        say(
            f"{part.cells:,} cells, {part.non_zeros / part.cells:,.0f} non-zeros and "
            f"{part.bytes / part.cells:,.0f} B a cell, {len(part.files)} {report.FILES[name]}"
        )
    began = time.monotonic()
    try:
        measured = peers.measure_all(args.sweep)
    except truth.WrongData as error:
        say(f"WRONG DATA: {error}")
        return 2
    result = {
        "quick": args.quick,
        "machine": card,
        "date": time.strftime("%Y-%m-%d"),
        "plan": {k: v for k, v in dataclasses.asdict(plan).items() if k != "timeout"},
        "data": {
            "cells": data.cells,
            "small_cells": plan.small_cells,
            "genes": plan.genes,
            "files": len(data.files),
            "bytes": {name: part.bytes for name, part in of_format.items()},
            "non_zeros": data.non_zeros,
        },
        "titles": {n: loaders.load(n).TITLE for n in plan.loaders},
        "variants": {n: of for n in plan.loaders if (of := loaders.variant_of(n)) is not None},
        "formats": {n: loaders.format_of(n) for n in plan.loaders},
        "orders": {n: loaders.load(n).ORDER for n in plan.loaders},
        "full_pass": {n: loaders.load(n).FULL_PASS for n in plan.loaders},
        "versions": {
            n: environments.versions(peers.environment(n)) for n in plan.loaders if n not in peers.failed
        },
        "seconds": time.monotonic() - began,
        **measured,
    }
    for row in result["compared"]:
        row["label"] = loaders.load(row["loader"]).output_label(row["output"], row["settings"])
    output.mkdir(parents=True, exist_ok=True)
    saved.write_text(json.dumps(result, indent=1) + "\n")
    code = report.write(result, output, ROOT if args.update_readme else None)
    say(f"{result['seconds'] / 60:.1f} minutes; all in {output}")
    return code


if __name__ == "__main__":
    sys.exit(main())
