#!/usr/bin/env python3
"""Is the working tree slower than a commit? `make regress` says so only when it is sure.

    python benchmarks/regress/run.py                     against the merge base with main (or the last commit)
    python benchmarks/regress/run.py --base HEAD~3       against another commit
    python benchmarks/regress/run.py --only engine-csr4096,open
    python benchmarks/regress/run.py --aa                what is built, against itself: the noise of this machine
    python benchmarks/regress/run.py --quick             little data: does it work? The verdicts mean nothing

Base and change are built alike, each into a folder of its own under build/regress (no network needed), and measured
in turns: base, change, change, base, base, change, ... A pair of neighbouring runs gives one ratio.
benchmarks/regress/decide.py says what follows from the ratios: 7 pairs; when these look slower by more than 10 %, at
least 30 new ones to confirm it.

Exit code: 0 nothing is surely slower, 1 something is, 2 it could not be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tools")]
import decide  # noqa: E402

import make_demo_data  # noqa: E402

WORK = ROOT / "build" / "regress"
THREADS = 2


class Failed(Exception):
    """It could not be measured."""


def say(text: str) -> None:
    print(f"[regress] {text}", file=sys.stderr, flush=True)


def call(*command: Any, **options: Any) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise Failed(f"{' '.join(map(str, command))}\n{tail}")
    return done.stdout


# --- what is compared ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """A build: base or change."""

    name: str
    engine_bench: Path
    site: Path | None = None  # folder of the Python package; None: the one that is installed


def git(*arguments: str) -> str:
    return call("git", "-C", ROOT, *arguments).strip()


def default_base() -> str:
    """Where this branch left main; on main itself the last commit, or the one before when nothing is changed."""
    head = git("rev-parse", "HEAD")
    for name in ("origin/main", "main", "origin/master", "master"):
        try:
            base = git("merge-base", "HEAD", name)
        except Failed:
            continue
        if base != head:
            return base
    return head if git("status", "--porcelain", "--untracked-files=no") else git("rev-parse", "HEAD~1")


def export(commit: str) -> Path:
    """The files of a commit, in a folder."""
    source = WORK / commit[:12] / "source"
    if not source.exists():
        partial = source.with_name("source.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        archive = partial.with_name("source.tar")
        git("archive", "--output", str(archive), commit)
        call("tar", "-xf", archive, "-C", partial)
        archive.unlink()
        partial.rename(source)
    return source


def build(name: str, source: Path, out: Path) -> Side:
    """engine_bench and the Python package, from a source folder; nothing is downloaded."""
    say(f"building {name} ({source})")
    jobs = str(len(os.sched_getaffinity(0)))
    env = {
        **os.environ,
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_BASEDIR": str(source),
        "CMAKE_BUILD_PARALLEL_LEVEL": jobs,
    }
    core = source / "build" / "regress-core"  # as deep as build/release: ccache knows most objects
    call("cmake", "--preset", "release", "-B", core, env=env, cwd=source)
    call("cmake", "--build", core, "--target", "engine_bench", "-j", jobs, env=env)
    site = out / "site"
    shutil.rmtree(site, ignore_errors=True)
    pip = (sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "-q", "--no-index")
    call(*pip, "--no-build-isolation", "--no-deps", "--target", site, source, env=env)
    return Side(name, core / "benchmarks" / "engine_bench", site)


def sides(base: str | None) -> tuple[Side, Side]:
    commit = git("rev-parse", "--verify", (base or default_base()) + "^{commit}")
    say(f"base: {git('log', '-1', '--format=%h %s', commit)}; change: the working tree")
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.iterdir():
        if old.name not in ("change", commit[:12]):
            shutil.rmtree(old)
    return build("base", export(commit), WORK / commit[:12]), build("change", ROOT, WORK / "change")


def installed() -> Side:
    program = ROOT / "build" / "release" / "benchmarks" / "engine_bench"
    if not program.exists():
        raise Failed(f"{program} is not built: make build")
    return Side("A", program)


# --- what is measured ---------------------------------------------------------------------------------------

Measure = Callable[[Side], float]


@dataclass(frozen=True)
class Data:
    files: list[str]
    epochs: int


def engine(side: Side, data: Data, *arguments: Any) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(
        call(side.engine_bench, "--threads", THREADS, "--json", *arguments, *data.files)
    )
    return result


def engine_epochs(data: Data, *arguments: Any) -> Measure:
    """Seconds of an epoch of the C++ engine. The first counts, too: it pays for what the second finds read ahead."""

    def measure(side: Side) -> float:
        out = engine(side, data, "--epochs", data.epochs, *arguments)
        return sum(out["epoch_seconds"]) / data.epochs

    return measure


def package(data: Data, what: str, **options: Any) -> Measure:
    request = {
        "what": what,
        "files": data.files,
        "epochs": data.epochs,
        "options": {"threads": THREADS, **options},
    }

    def measure(side: Side) -> float:
        env = dict(os.environ)
        if side.site is not None:
            env["PYTHONPATH"] = str(side.site)
        script = Path(__file__).with_name("measure.py")
        out = json.loads(call(sys.executable, script, json.dumps(request), env=env))
        if side.site is not None and not Path(out["package"]).is_relative_to(side.site):
            raise Failed(f"measured {out['package']}, not {side.site}")
        return float(out["cost"])

    return measure


def benchmarks(data: Data) -> dict[str, Measure]:
    csr4096 = {"batch_size": 4096, "memory": "512MB"}
    plain = {"to": "numpy"}  # a process without torch
    return {
        "engine-csr4096": engine_epochs(data, "--batch", 4096, "--memory", "512MB"),
        "engine-csr64": engine_epochs(data, "--batch", 64, "--memory", "512MB"),
        "engine-delay": engine_epochs(data, "--batch", 4096, "--memory", "512MB", "--delay-ms", 5),
        "csr4096": package(data, "epochs", **csr4096),
        "csr64": package(data, "epochs", batch_size=64, memory="512MB"),
        "csr128mb": package(data, "epochs", batch_size=1024, memory="128MB"),
        "dense64": package(data, "epochs", batch_size=64, memory="512MB", format="dense"),
        "open": package(data, "open", **csr4096, **plain),
        "rss": package(data, "memory", batch_size=1024, memory="256MB", **plain),
    }


def make_data(quick: bool) -> Data:
    spec = make_demo_data.Spec(cells=2_000, genes=2_000) if quick else make_demo_data.Spec(cells=100_000)
    files = make_demo_data.make(spec, make_demo_data.default_dir(spec), quiet=quick)
    for file in files:
        file.read_bytes()  # into the page cache
    return Data([str(f) for f in files], 2 if quick else 3)


def same_data(base: Side, change: Side, data: Data) -> None:
    """Speed of wrong batches is worth nothing: an order-independent checksum of an epoch must agree."""
    sums = [engine(side, data, "--epochs", 1, "--verify")["checksum"] for side in (base, change)]
    if sums[0] != sums[1]:
        raise Failed(f"base and change deliver different data: {sums[0]} and {sums[1]}")


# --- comparing ----------------------------------------------------------------------------------------------


@dataclass
class Row:
    name: str
    base: list[float] = field(default_factory=list)
    change: list[float] = field(default_factory=list)
    decision: decide.Decision | None = None
    problem: str = ""  # why there is no decision

    @property
    def ratios(self) -> list[float]:
        return [c / b for b, c in zip(self.base, self.change, strict=True)]

    @property
    def verdict(self) -> str:
        return self.decision.state.value if self.decision else "not measured"


def compare(name: str, measure: Measure, base: Side, change: Side, rule: decide.Rule) -> Row:
    """Pairs until the rule has decided. The side that goes first changes from pair to pair."""
    row = Row(name)
    while True:
        decision = decide.decide(row.ratios, rule)
        if decision.state is not decide.State.MORE:
            row.decision = decision
            return row
        if row.ratios:
            say(
                f"{name}: {decision.ratio:.3f} after {len(row.ratios)} pairs; {decision.more} more to be sure"
            )
        for _ in range(decision.more):
            if len(row.base) % 2:
                change_cost, base_cost = measure(change), measure(base)
            else:
                base_cost, change_cost = measure(base), measure(change)
            row.base.append(base_cost)
            row.change.append(change_cost)


def compare_all(chosen: dict[str, Measure], base: Side, change: Side) -> list[Row]:
    rule = decide.Rule.of_run(len(chosen))
    rows = []
    for number, (name, measure) in enumerate(chosen.items(), 1):
        try:
            measure(base)  # warms up, too
        except Failed as error:  # a benchmark that is newer than the base
            rows.append(Row(name, problem="the base cannot run it: " + str(error).splitlines()[-1]))
            continue
        row = compare(name, measure, base, change, rule)
        rows.append(row)
        assert row.decision is not None
        say(
            f"{number}/{len(chosen)} {name}: {row.decision.ratio:.3f} of {len(row.base)} pairs, {row.verdict}"
        )
    return rows


def cost(values: list[float]) -> str:
    """Seconds, or bytes where the figures are large."""
    middle = median(values)
    return f"{middle / 1e6:,.0f} MB" if middle > 1e5 else f"{middle:.3f} s"


def table(rows: list[Row]) -> str:
    lines = [("benchmark", "base", "change", "ratio", "interval", "pairs", "verdict")]
    for row in rows:
        d = row.decision
        if d is None:
            lines.append((row.name, "", "", "", "", "", f"{row.verdict}: {row.problem}"))
            continue
        between = f"{d.interval.low:.3f}..{d.interval.high:.3f} ({100 * d.interval.level:.4g} %)"
        pairs = str(d.pairs) if d.pairs == len(row.base) else f"{d.pairs} of {len(row.base)}"
        lines.append(
            (row.name, cost(row.base), cost(row.change), f"{d.ratio:.3f}", between, pairs, row.verdict)
        )
    widths = [max(len(line[i]) for line in lines) for i in range(7)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(x, widths, strict=True)).rstrip() for x in lines)


def exit_code(rows: list[Row]) -> int:
    return int(any(row.decision and row.decision.state is decide.State.SLOWER for row in rows))


def summary(rows: list[Row]) -> str:
    slower = [row.name for row in rows if row.verdict == "slower"]
    unsure = [row.name for row in rows if row.verdict == "unsure"]
    if slower:
        again = f"make regress ARGS='--only {','.join(slower)}'"
        return f"SLOWER by more than 10 %, surely: {', '.join(slower)}. Again: {again}"
    if unsure:
        return f"nothing is surely slower; {', '.join(unsure)} may be (the noise here is too large to tell)"
    return "nothing is slower by more than 10 %"


def report(rows: list[Row], sides: tuple[Side, Side], quick: bool) -> dict[str, Any]:
    def of(row: Row) -> dict[str, Any]:
        out: dict[str, Any] = {"benchmark": row.name, "verdict": row.verdict, "problem": row.problem}
        if row.decision:
            out |= {"ratio": row.decision.ratio, "interval": asdict(row.decision.interval)}
            out |= {"pairs": row.decision.pairs, "base": row.base, "change": row.change}
        return out

    return {
        "quick": quick,
        "base": str(sides[0].engine_bench),
        "change": str(sides[1].engine_bench),
        "rule": asdict(decide.Rule.of_run(len(rows))),
        "benchmarks": [of(row) for row in rows],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", help="a commit (default: where this branch left main, or the last commit)")
    parser.add_argument("--aa", action="store_true", help="what is built against itself")
    parser.add_argument("--only", help="names of benchmarks, by commas")
    parser.add_argument("--list", action="store_true", help="name the benchmarks")
    parser.add_argument("--quick", action="store_true", help="little data; the verdicts mean nothing")
    parser.add_argument("--json", action="store_true", help="JSON to stdout, the table to stderr")
    args = parser.parse_args()
    names = list(benchmarks(Data([], 1)))
    if args.list:
        print("\n".join(names))
        return 0
    wanted = args.only.split(",") if args.only else names
    if unknown := [n for n in wanted if n not in names]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    if args.aa and args.base:
        parser.error("--aa has no base")
    try:
        both = (installed(), installed()) if args.aa else sides(args.base)
        data = make_data(args.quick)
        same_data(*both, data)
        every = benchmarks(data)
        rows = compare_all({name: every[name] for name in wanted}, *both)
    except Failed as error:
        print(f"regress: {error}", file=sys.stderr)
        return 2
    print(table(rows), summary(rows), sep="\n", file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print(json.dumps(report(rows, both, args.quick), indent=1))
    return exit_code(rows)


if __name__ == "__main__":
    sys.exit(main())
