#!/usr/bin/env python3
"""Runs the fuzz targets that are built in build/asan, all or those named.

    fuzz/run.py [--seconds N] [--jobs N] [TARGET ...]    explores, N seconds a target, on a corpus that is kept
    fuzz/run.py --fixed                                  the short run of `make test`: same inputs every time
    fuzz/run.py --keep FILE NAME TARGET                  stores a find in fuzz/regressions, with what is said of it

Seeds are made anew by make_seeds.py. The corpus is in build/fuzz/corpus, finds are in build/fuzz/finds; README.md
says what to do with one. Exit status 1 when there are finds.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "build" / "asan" / "fuzz"
KEPT = ROOT / "build" / "fuzz"  # seeds, corpus and finds
# Targets, and how many executions of each the fixed run has: some seconds of a core.
TARGETS = {
    "anndata": 6000,
    "hdf5": 16000,
    "parquet": 12000,
    "compression": 10000,
    "deflate": 10000,
    "encodings": 10000,
    "fletcher32": 10000,
    "kernels": 5000,
    "lzf": 10000,
    "pipeline": 5000,
    "query": 20000,
    "shuffle": 5000,
}
# Nothing that a target does may take this much: budgets inside the targets are smaller. An allocation that is sized
# by a number nobody checked is larger.
LIMITS = ["-malloc_limit_mb=64", "-rss_limit_mb=1024", "-timeout=30", "-max_len=24576"]
ENVIRONMENT = {
    "ASAN_OPTIONS": "quarantine_size_mb=16:detect_leaks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}

printing = threading.Lock()


def say(text: str) -> None:
    with printing:
        print(text, flush=True)


@dataclass
class Tally:
    target: str
    executions: int = 0
    seconds: float = 0
    coverage: int = 0
    finds: list[Path] = field(default_factory=list)
    failure: str = ""  # the end of the output of a run that failed


def run_once(tally: Tally, arguments: list[str], corpora: list[Path], quiet: bool) -> bool:
    """One process; False when it ended with a find or a failure."""
    target = tally.target
    finds = KEPT / "finds" / target
    finds.mkdir(parents=True, exist_ok=True)
    before = set(finds.iterdir())
    command = [str(PROGRAMS / f"fuzz_{target}"), *LIMITS, *arguments, f"-artifact_prefix={finds}/"]
    command += ["-print_final_stats=1", *map(str, corpora)]
    started = shown = time.monotonic()
    done = 0
    tail: list[str] = []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **ENVIRONMENT},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail = [*tail[-80:], line]
            if found := re.match(r"#(\d+)\s.*?cov: (\d+)", line):
                done, tally.coverage = int(found[1]), int(found[2])
                if not quiet and time.monotonic() - shown > 30:
                    shown = time.monotonic()
                    say(f"  {target}: {tally.executions + done:,} executions, coverage {tally.coverage}")
            elif found := re.match(r"stat::number_of_executed_units:\s*(\d+)", line):
                done = int(found[1])
    tally.executions += done
    tally.seconds += time.monotonic() - started
    if process.returncode == 0:
        return True
    tally.finds += sorted(set(finds.iterdir()) - before)
    tally.failure = "".join(tail)
    return False


def corpora(target: str, first: Path) -> list[Path]:
    first.mkdir(parents=True, exist_ok=True)
    stored = ROOT / "fuzz" / "regressions" / target
    return [first, KEPT / "seeds" / target, *([stored] if stored.is_dir() else [])]


def explore(target: str, seconds: int) -> Tally:
    tally = Tally(target)
    end = time.monotonic() + seconds
    while (left := int(end - time.monotonic())) > 0 and len(tally.finds) < 20:
        ok = run_once(
            tally, [f"-max_total_time={left}"], corpora(target, KEPT / "corpus" / target), quiet=False
        )
        if ok or not tally.finds:  # a failure without an input would only happen again
            break
    return tally


def fixed(target: str) -> Tally:
    tally = Tally(target)
    with tempfile.TemporaryDirectory() as temporary:
        empty, *others = corpora(target, Path(temporary) / "corpus")
        # In one order: folders list their files in any. And what comparisons are made of (use_cmp) holds addresses,
        # which differ from run to run.
        inputs = sorted(str(file) for folder in others for file in folder.iterdir() if file.suffix != ".txt")
        listed = Path(temporary) / "inputs"
        listed.write_text(",".join(inputs))
        arguments = [f"-runs={TARGETS[target]}", "-seed=1", "-use_cmp=0", f"-seed_inputs=@{listed}"]
        run_once(tally, [*arguments, "-reload=0"], [empty], quiet=True)
    return tally


def keep(find: Path, name: str, target: str) -> int:
    """Stores an input and its message as a regression; not while it still ends the process."""
    environment = {**os.environ, **ENVIRONMENT, "PENSTOCK_FUZZ_SAY": "1"}
    command = [PROGRAMS / f"fuzz_{target}", *LIMITS, find]
    said = subprocess.run(command, env=environment, capture_output=True)
    if said.returncode != 0:
        print(said.stderr.decode(errors="replace")[-3000:], file=sys.stderr)
        print(f"{find} is still a find: mend it first", file=sys.stderr)
        return 1
    folder = ROOT / "fuzz" / "regressions" / target
    folder.mkdir(parents=True, exist_ok=True)
    if find.resolve() != (folder / name).resolve():
        shutil.copyfile(find, folder / name)
    (folder / f"{name}.txt").write_bytes(said.stdout)
    print(
        f"{(folder / name).relative_to(ROOT)} ({find.stat().st_size:,} bytes): {said.stdout.decode(errors='replace')}"
    )
    return 0


def report(tally: Tally) -> None:
    rate = tally.executions / tally.seconds if tally.seconds else 0
    state = f"{len(tally.finds)} finds" if tally.finds else "FAILED" if tally.failure else "no finds"
    counts = f"{tally.executions:>10,} executions {rate:>8,.0f}/s   coverage {tally.coverage:>5}"
    say(f"{tally.target:<11} {counts}   {state}")
    if tally.failure:
        say(tally.failure)
    for find in tally.finds:
        say(f"  {find.relative_to(ROOT)}: build/asan/fuzz/fuzz_{tally.target} {find.relative_to(ROOT)}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--fixed", action="store_true", help="the short run of `make test`")
    parser.add_argument("--keep", nargs=2, metavar=("FILE", "NAME"), help="store a find as a regression")
    parser.add_argument("--seconds", type=int, default=180, help="a target (default 180)")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="targets at a time")
    options = parser.parse_args()
    targets = options.targets or list(TARGETS)
    if options.keep and len(targets) != 1:
        parser.error("--keep needs one target")
    for target in targets:
        if target not in TARGETS:
            parser.error(f"no target {target!r}; there are: {', '.join(TARGETS)}")
        if not (PROGRAMS / f"fuzz_{target}").exists():
            parser.error(f"fuzz_{target} is not built: make build-asan")
    if options.keep:
        return keep(Path(options.keep[0]), options.keep[1], targets[0])
    shutil.rmtree(KEPT / "seeds", ignore_errors=True)
    subprocess.run([sys.executable, ROOT / "fuzz" / "make_seeds.py", KEPT / "seeds"], check=True)
    if not options.fixed:
        minutes = len(targets) * options.seconds / min(options.jobs, len(targets)) / 60
        say(
            f"{len(targets)} targets, {options.seconds} seconds each, {options.jobs} at a time: {minutes:.0f} minutes"
        )

    def run(target: str) -> Tally:
        tally = fixed(target) if options.fixed else explore(target, options.seconds)
        report(tally)
        return tally

    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        tallies = list(pool.map(run, targets))
    failed = [t.target for t in tallies if t.failure]
    finds = sum(len(t.finds) for t in tallies)
    say(
        f"{sum(t.executions for t in tallies):,} executions, {finds} finds"
        + (f" in {', '.join(failed)}" if failed else "")
    )
    if failed:
        say("What to do with a find: fuzz/README.md")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
