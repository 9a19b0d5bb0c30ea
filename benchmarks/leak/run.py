#!/usr/bin/env python3
"""The leak that Penstock came from, shown: resident memory over reads of the same Parquet files. `make leak-demo`.

    python benchmarks/leak/run.py                  four files of about 180 MB, 12 reads of each arm
    python benchmarks/leak/run.py --reads 4 --update-docs

Arms: pyarrow 21.0.0 reading whole tables with its default allocator (mimalloc) and with the system's, in an environment
of its own (build/leak); the newest pyarrow of the .venv in the same way, and by `iter_batches`; and Penstock with
memory="256MB". Each arm is a process; it prints its resident memory after each read. Results: bench-output/leak.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OLD = "21.0.0"
VENV = ROOT / "build" / "leak"

READ = """
import os, sys
def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
reads, how, files = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
if how == "penstock":
    import penstock
    loader = penstock.Loader(penstock.open(files), batch_size=1000, memory="256MB", to="numpy")
    def read():
        for _ in loader: pass
elif how == "batches":
    import pyarrow.parquet as pq
    def read():
        for path in files:
            for _ in pq.ParquetFile(path, pre_buffer=False).iter_batches(1000, columns=["genes", "expressions"]): pass
else:
    import pyarrow.dataset
    def read():
        pyarrow.dataset.dataset(files).to_table()
print(rss(), flush=True)
for _ in range(reads):
    read()
    print(rss(), flush=True)
"""


def arms(old: str) -> list[tuple[str, str, str, dict[str, str]]]:
    """(name, Python, how, environment)."""
    new = sys.executable
    return [
        (f"pyarrow {OLD}, to_table, mimalloc", old, "table", {}),
        (f"pyarrow {OLD}, to_table, system", old, "table", {"ARROW_DEFAULT_MEMORY_POOL": "system"}),
        ("pyarrow newest, to_table", new, "table", {}),
        ("pyarrow newest, iter_batches", new, "batches", {}),
        ('Penstock, memory="256MB"', new, "penstock", {}),
    ]


def old_python() -> str:
    """The interpreter of an environment with the pyarrow that leaks; made once."""
    python = VENV / "bin" / "python"
    done = VENV / f"pyarrow-{OLD}"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        packages = [f"pyarrow=={OLD}", "numpy<2.4"]
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], check=True
        )
        done.touch()
    return str(python)


def measure(python: str, how: str, environment: dict[str, str], reads: int, files: list[str]) -> list[int]:
    """Resident bytes before the first read and after each."""
    done = subprocess.run(
        [python, "-c", READ, str(reads), how, *files],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{how}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return parse(done.stdout)


def parse(text: str) -> list[int]:
    """A number a line."""
    return [int(line) for line in text.split()]


def grows(resident: list[int]) -> bool:
    """Whether memory still grows late: by more than 5 % of its peak over the second half of the reads."""
    half = resident[len(resident) // 2 :]
    return half[-1] - half[0] > 0.05 * max(resident)


def table(results: dict[str, list[int]]) -> str:
    lines = [
        "| reader | before | after 1 read | peak | at the end | still growing |",
        "|---|---|---|---|---|---|",
    ]
    for name, resident in results.items():
        mb = [f"{value / 1e6:,.0f} MB" for value in (resident[0], resident[1], max(resident), resident[-1])]
        lines.append(f"| {name} | {' | '.join(mb)} | {'yes' if grows(resident) else 'no'} |")
    return "\n".join(lines)


def plot(results: dict[str, list[int]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sys.path.insert(0, str(ROOT / "tools"))
    import house_style

    house_style.for_matplotlib()
    # Penstock is green; it is the last of the readers.
    colours = [*house_style.COLOURS[1 : len(results)], house_style.GREEN]
    figure, axes = plt.subplots(figsize=(7.5, 4.2))
    for (name, resident), colour in zip(results.items(), colours, strict=True):
        width = 2.5 if name.startswith("Penstock") else 1.5
        axes.plot(
            range(len(resident)), [v / 1e9 for v in resident], color=colour, label=name, linewidth=width
        )
    axes.set(xlabel="reads of the same four files", ylabel="resident memory, GB", ylim=(0, None))
    axes.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def demo_files() -> list[str]:
    sys.path.insert(0, str(ROOT / "tools"))
    import make_demo_data
    import make_parquet_data

    spec = make_demo_data.Spec()
    folder = make_demo_data.default_dir(spec)
    sources = [str(f) for f in make_demo_data.make(spec, folder)]
    return [str(f) for f in make_parquet_data.make("lists", Path(f"{folder}-lists"), sources)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reads", type=int, default=12)
    parser.add_argument("--update-docs", action="store_true", help="also write docs/images/leak.png")
    parser.add_argument("--output", type=Path, default=ROOT / "bench-output" / "leak")
    args = parser.parse_args()
    files = demo_files()
    size = sum(os.path.getsize(f) for f in files)
    print(f"[leak] {len(files)} files, {size / 1e6:,.0f} MB, {args.reads} reads", file=sys.stderr, flush=True)
    results: dict[str, list[int]] = {}
    for name, python, how, environment in arms(old_python()):
        results[name] = measure(python, how, environment, args.reads, files)
        print(f"[leak] {name}: {max(results[name]) / 1e6:,.0f} MB", file=sys.stderr, flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    out: dict[str, Any] = {"files": len(files), "bytes": size, "resident": results}
    (args.output / "leak.json").write_text(json.dumps(out, indent=1))
    plot(results, args.output / "leak.png")
    if args.update_docs:
        plot(results, ROOT / "docs" / "images" / "leak.png")
    print(table(results))


if __name__ == "__main__":
    main()
