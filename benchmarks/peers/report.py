"""What `make peers` shows: the table, the chart, the bars, and their place in README.md."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from house_style import BLUE, GREEN, GREY, OCHRE, PURPLE, RED

FILES = {"h5ad": "gzip `.h5ad` files", "parquet": "Parquet files of lists (snappy, row groups of 1,000)"}
# Where the short form of a format's loaders stands in README.md, and its chart.
MARKERS = {
    "h5ad": ("<!-- peers:begin -->", "<!-- peers:end -->"),
    "parquet": ("<!-- peers-parquet:begin -->", "<!-- peers-parquet:end -->"),
}
CHARTS = {"h5ad": "docs/images/peers.png", "parquet": "docs/images/peers-parquet.png"}
CHART_BYTES = 150_000
HEADLINE = "h5ad"  # its chart is the first picture of README.md, outside of the markers

# Penstock on files of a format, in CSR at batch 4,096, warm, against these: at least so many times as fast, in less
# memory.
OURS = {"h5ad": "penstock", "parquet": "penstock_parquet"}
BARS = {"scdataset": 5.0, "protoplast": 4.0, "pyarrow": 2.5}
# In dense at batch 4,096, warm, so many times as fast as the fastest other loader of the same files.
DENSE_BARS = {"penstock": 4.0, "penstock_plain": 3.0}
FORMAT_OF_BAR = {"scdataset": "h5ad", "protoplast": "h5ad", "pyarrow": "parquet"}
VERSIONS = ("penstock", "anndata", "scdataset", "protoplast", "pyarrow", "datasets", "torch")


# --- figures ------------------------------------------------------------------------------------------------


def median(row: dict[str, Any], key: str) -> float:
    return statistics.median(run[key] for run in row["runs"])


def spread(row: dict[str, Any], key: str = "cells_per_second") -> float:
    """Half of the range over the median."""
    values = [run[key] for run in row["runs"]]
    return (max(values) - min(values)) / 2 / statistics.median(values)


def rows_of(result: dict[str, Any], cache: str, batch: int, output: str) -> list[dict[str, Any]]:
    want = (cache, batch, output)
    return [r for r in result["compared"] if (r["cache"], r["batch"], r["output"]) == want]


def formats_of(result: dict[str, Any]) -> list[str]:
    return [name for name in FILES if name in result["formats"].values()]


def of_format(result: dict[str, Any], name: str) -> dict[str, Any]:
    """The result of the loaders of one format alone."""
    ours = [n for n, f in result["formats"].items() if f == name]
    parts = {
        k: [r for r in result[k] if r["loader"] in ours] for k in ("compared", "verified", "steps", "sweep")
    }
    named = {k: {n: result[k][n] for n in ours if n in result[k]} for k in ("formats", "titles", "orders")}
    more = {k: {n: result[k][n] for n in ours if n in result[k]} for k in ("full_pass", "versions")}
    return {**result, **parts, **named, **more, "floor": result["floor"] if name == "h5ad" else []}


def variants_of(result: dict[str, Any]) -> dict[str, str]:
    """Other uses of a loader: {name: the loader}, where both were measured."""
    named = result.get("variants", {}).items()
    return {name: of for name, of in named if name in result["titles"] and of in result["titles"]}


def finished(row: dict[str, Any]) -> bool:
    return "failed" not in row and bool(row["runs"])


def bars(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Each bar of the formats measured, with what came out; `ok` is None when a side of it was not measured."""
    rows = {r["loader"]: r for r in rows_of(result, "warm", 4096, "csr") if finished(r)}
    verdicts = []
    for name, bar in BARS.items():
        ours_name = OURS[FORMAT_OF_BAR[name]]
        if FORMAT_OF_BAR[name] not in formats_of(result):
            continue
        entry: dict[str, Any] = {"against": name, "bar": bar, "ratio": None, "memory": None, "ok": None}
        if ours_name in rows and name in rows:
            ours, theirs = rows[ours_name], rows[name]
            entry["ratio"] = median(ours, "cells_per_second") / median(theirs, "cells_per_second")
            entry["memory"] = median(ours, "peak_pss") / median(theirs, "peak_pss")
            entry["ok"] = entry["ratio"] >= bar and entry["memory"] < 1
        verdicts.append(entry)
    return verdicts


def dense_bars(result: dict[str, Any]) -> list[dict[str, Any]]:
    """As bars(), without memory."""
    rows = {r["loader"]: r for r in rows_of(result, "warm", 4096, "dense") if finished(r)}
    rates = {name: median(row, "cells_per_second") for name, row in rows.items()}
    peers = {n: rate for n, rate in rates.items() if n not in DENSE_BARS and result["formats"][n] == "h5ad"}
    verdicts = []
    for name, bar in DENSE_BARS.items():
        if name not in rates or not peers:
            continue
        best = max(peers, key=lambda peer: peers[peer])
        ratio = rates[name] / peers[best]
        verdicts.append({"ours": name, "against": best, "bar": bar, "ratio": ratio, "ok": ratio >= bar})
    return verdicts


def bar_lines(result: dict[str, Any]) -> Iterator[str]:
    for v in dense_bars(result):
        verdict = "-" if result["quick"] else "met" if v["ok"] else "MISSED"
        yield (
            f"- Dense 4096, {result['titles'][v['ours']]} against {result['titles'][v['against']]}: "
            f"{v['ratio']:.1f} times as fast (bar: {v['bar']:g}): {verdict}"
        )
    for v in bars(result):
        title = result["titles"].get(v["against"], v["against"])
        if v["ok"] is None:
            yield f"- CSR 4096 against {title}: not measured"
            continue
        verdict = "-" if result["quick"] else "met" if v["ok"] else "MISSED"
        yield (
            f"- CSR 4096 against {title}: {v['ratio']:.1f} times as fast (bar: {v['bar']:g}) "
            f"in {v['memory']:.2f} of its memory (bar: less): {verdict}"
        )


# --- table --------------------------------------------------------------------------------------------------


def settings_text(settings: dict[str, Any]) -> str:
    short = {"block": "b", "fetch": "f", "workers": "w", "read": "n", "ahead": "ahead ", "buffer": "buffer "}
    words = [f"{short[k]}{v}" for k, v in settings.items() if k in short]
    if "format" in settings:
        words.append(settings["format"])
    if "memory" in settings:
        words.append(f'memory="{settings["memory"]}"')
    words += [word for key, word in (("reuse", "reused"),) if settings.get(key)]
    if late := settings.get("late"):
        words.append("batch.dense(out=)" if late == "out" else "batch.dense()")
    return " ".join(words)


def clean(text: str) -> str:
    """Fit for a cell of a table."""
    return " ".join(text.split()).replace("|", "/")[:160]


def comparison(result: dict[str, Any]) -> Iterator[str]:
    yield (
        "| batch | loader | settings | output | cells/s | ± | CPU-s per million | first batch s | peak MB "
        "| entropy drug | entropy plate |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for cache in result["plan"]["caches"]:
        for batch, output in result["plan"]["corners"]:
            ideal = None
            for row in rows_of(result, cache, batch, output):
                ideal = row["ideal_entropy"]
                head = f"| {output} {batch} {cache} | {result['titles'][row['loader']]} "
                head += f"| {settings_text(row['settings'])} | {row['label']} "
                if not finished(row):
                    yield head + f"| failed: {clean(row['failed'])} | | | | | | |"
                    continue
                entropies = [
                    statistics.median(run["entropy"][n] for run in row["runs"]) for n in ("drug", "plate")
                ]
                yield (
                    head + f"| {median(row, 'cells_per_second'):,.0f} | {spread(row):.0%} "
                    f"| {median(row, 'cpu_seconds_per_million'):,.1f} | {median(row, 'first_batch_seconds'):.2f} "
                    f"| {median(row, 'peak_pss') / 1e6:,.0f} | {entropies[0]:.2f} | {entropies[1]:.2f} |"
                )
            if ideal:
                yield (
                    f"| {output} {batch} {cache} | *full shuffle, expected* | | | | | | | "
                    f"| *{ideal['drug']:.2f}* | *{ideal['plate']:.2f}* |"
                )


def steps_table(result: dict[str, Any]) -> Iterator[str]:
    if not result["steps"]:
        return
    names = list(next((r["waits"] for r in result["steps"] if "waits" in r), {}))
    yield "| batch | loader | " + " | ".join(f"{n} ms step" for n in names) + " |"
    yield "|---" * (2 + len(names)) + "|"
    for row in result["steps"]:
        head = f"| {row['output']} {row['batch']} | {result['titles'][row['loader']]} | "
        if "failed" in row:
            yield head + f"failed: {clean(row['failed'])} |" + " |" * (len(names) - 1)
        else:
            yield head + " | ".join(f"{row['waits'][n]['wait_ms']:,.1f}" for n in names) + " |"


def sweep_table(result: dict[str, Any]) -> Iterator[str]:
    yield "| batch | loader | settings | cells/s | peak MB | chosen |"
    yield "|---|---|---|---|---|---|"
    chosen = [(r["loader"], r["batch"], r["output"], r["settings"]) for r in result["compared"]]
    for row in result["sweep"]:
        at = (row["loader"], row["batch"], row["output"], row["settings"])
        head = f"| {row['output']} {row['batch']} | {result['titles'][row['loader']]} "
        head += f"| {settings_text(row['settings'])} "
        if "failed" in row:
            yield head + f"| failed: {clean(row['failed'])} | | |"
        else:
            mark = "yes" if at in chosen else ""
            yield head + f"| {row['cells_per_second']:,.0f} | {row['peak_pss'] / 1e6:,.0f} | {mark} |"


def verification(result: dict[str, Any]) -> Iterator[str]:
    yield "| loader | corner | rows | left out | entries | checksum |"
    yield "|---|---|---|---|---|---|"
    for row in result["verified"]:
        head = f"| {result['titles'][row['loader']]} | {row['output']} {row['batch']} "
        if "failed" in row:
            yield head + f"| failed: {clean(row['failed'])} | | | |"
        else:
            yield (
                head + f"| {row['rows']:,} of {row['cells']:,} | {row['left_out']:,} "
                f"| {row['entries']:,} | `{row['checksum']}` |"
            )


def conditions(result: dict[str, Any]) -> str:
    data, plan, card = result["data"], result["plan"], result["machine"]
    per_cell = data["non_zeros"] / data["cells"]
    files = " and as ".join(
        f"{data['files']} {FILES[name]}, {data['bytes'][name] / data['cells']:,.0f} B a cell"
        for name in formats_of(result)
    )
    known = {n: v for versions in result["versions"].values() for n, v in versions.items()}
    versions = ", ".join(f"{n} {known[n]}" for n in VERSIONS if n in known)
    text = (
        f"{data['cells']:,} Tahoe-shaped cells x {data['genes']:,} genes, "
        f"{per_cell:,.0f} non-zeros a cell, sorted by drug, as {files}. {card['cpu']}, {card['cores']} cores, "
        f"{card['ram_gb']} GB, kernel {card['kernel']}; {versions}; {result['date']}. "
        f"Median of {plan['runs']} runs of {plan['seconds']:g} s after {plan['warm_up']:g} s, ± half the range. "
        "One process per run; peak = PSS of the process tree, Python and torch included."
    )
    if result["floor"]:
        floor = statistics.median(result["floor"])
        text += (
            f" The codec floor (read and inflate alone, warm, {card['cores']} threads): {floor:,.0f} cells/s."
        )
    return text


def notes(result: dict[str, Any]) -> Iterator[str]:
    yield (
        "Entropy: mean over batches, in bits; orders: "
        + "; ".join(f"{result['titles'][n]}: {order}" for n, order in result["orders"].items())
        + "."
    )
    yield (
        "Warm: files read just before. Cold: dropped from the page cache, confirmed by mincore; no warm-up, "
        "counted from the request of the first batch, one epoch at most."
    )
    if slow := [result["titles"][n] for n, full in result["full_pass"].items() if not full]:
        small = result["data"]["small_cells"]
        if small < result["data"]["cells"]:
            yield (
                f"{', '.join(slow)}: contents verified on {small:,} cells of the same generator only (a full pass "
                "takes minutes); the others in one pass over everything, and every corner's settings on the small set."
            )
    rates = [run["pss_samples_per_second"] for row in result["compared"] for run in row["runs"]]
    if rates:
        yield f"Memory was sampled {min(rates):.1f} to {max(rates):.1f} times a second."
    if result["steps"]:
        yield "Wait per step: mean wait for a batch, in ms, with a sleep as the model; one run, whole reads."


def table(result: dict[str, Any]) -> str:
    parts = [conditions(result), "\n".join(comparison(result))]
    parts += ["\n".join(f"* {note}" for note in notes(result))]
    if result["steps"]:
        parts += ["\n".join(["**Wait per step (ms)**", "", *steps_table(result)])]
    parts += ["\n".join(["**Bars**", "", *bar_lines(result)])]
    if result["sweep"]:
        parts += ["\n".join(["**Sweep** (warm, one run each)", "", *sweep_table(result)])]
    parts += ["\n".join(["**Verified before timing**", "", *verification(result)])]
    return "\n\n".join(parts) + "\n"


# --- chart --------------------------------------------------------------------------------------------------

CORNER_MARKS = {("csr", 64): "o", ("csr", 4096): "s", ("dense", 64): "^", ("dense", 4096): "D"}


def chart(result: dict[str, Any], path: Path) -> bool:
    """Cells/s against peak memory, warm, of one format; False when there is nothing to draw."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, NullFormatter

    rows = [r for r in result["compared"] if r["cache"] == result["plan"]["caches"][0] and finished(r)]
    if not rows:
        return False
    figure, axes = plt.subplots(figsize=(8, 5), dpi=130)
    variants = variants_of(result)
    names = [n for n in result["titles"] if n not in variants]
    order = [GREEN, GREY, RED, BLUE, PURPLE, OCHRE]  # of the loaders: Penstock is the first
    colours = {n: order[i % len(order)] for i, n in enumerate(names)}
    colours |= {n: colours[of] for n, of in variants.items()}
    points = []
    for row in rows:
        x, y = median(row, "peak_pss") / 1e6, median(row, "cells_per_second")
        ours = variants.get(row["loader"], row["loader"]) in OURS.values()
        axes.plot(
            x,
            y,
            CORNER_MARKS.get((row["output"], row["batch"]), "o"),
            color=colours[row["loader"]],
            markersize=10 if ours else 8,
            markeredgecolor="white",
            zorder=3,
        )
        points.append((x, y, f"{result['titles'][row['loader']]}", row))
    axes.set_xscale("log")
    axes.set_yscale("log")
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    axes.set_xlim(min(xs) / 1.6, max(xs) * 1.6)
    axes.set_ylim(min(ys) / 1.6, max([*ys, *result["floor"]]) * 1.6)
    if result["floor"]:
        floor = statistics.median(result["floor"])
        axes.axhline(floor, color="#555555", linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            "codec floor: reading and inflating alone",
            (max(xs) * 1.55, floor),
            xytext=(0, 4),
            textcoords="offset points",
            fontsize=9,
            color="#555555",
            ha="right",
        )
    place_labels(axes, points, colours)
    plain = FuncFormatter(lambda v, _: f"{v / 1000:g}k" if v >= 1000 else f"{v:g}")
    axes.yaxis.set_major_formatter(plain)
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda v, _: f"{v / 1000:g} GB" if v >= 1000 else f"{v:g} MB")
    )
    axes.set_xticks(
        [
            t
            for t in (200, 300, 500, 1000, 2000, 3000, 5000, 10_000, 20_000)
            if min(xs) / 1.6 <= t <= max(xs) * 1.6
        ]
    )
    axes.set_yticks(
        [
            t
            for t in (100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000)
            if min(ys) / 1.6 <= t <= max(ys) * 1.6
        ]
    )
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=10)
    axes.grid(True, which="major", color="#e6e6e6", zorder=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("peak memory of the process tree (PSS, Python and torch included)", fontsize=10.5)
    axes.set_ylabel("cells per second", fontsize=10.5)
    axes.set_title(
        f"Batches from {'Parquet' if formats_of(result) == ['parquet'] else 'gzip .h5ad'}, "
        f"{result['machine']['cores']} cores, warm cache: up and left is better",
        fontsize=11.5,
        loc="left",
        pad=24,
    )
    drawn = {(r["output"], r["batch"]) for r in rows}
    handles = [
        Line2D([], [], marker=mark, linestyle="", color="#444444", markersize=7, label=f"{o}, batch {b}")
        for (o, b), mark in CORNER_MARKS.items()
        if (o, b) in drawn
    ]
    axes.legend(
        handles=handles, fontsize=9.5, frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=4
    )
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)
    return True


def place_labels(axes: Any, points: list[tuple[float, float, str, Any]], colours: dict[str, str]) -> None:
    """Each marker's loader beside it: of eight places around, the first that covers no marker and no other label."""
    figure = axes.figure
    figure.tight_layout()
    renderer = figure.canvas.get_renderer()
    scale = figure.dpi / 72
    marks = [axes.transData.transform((x, y)) for x, y, *_ in points]
    taken: list[Any] = []
    around = [(9, 0, "left", "center"), (-9, 0, "right", "center"), (0, 9, "center", "bottom")]
    around += [(0, -9, "center", "top"), (8, 8, "left", "bottom"), (8, -8, "left", "top")]
    around += [(-8, 8, "right", "bottom"), (-8, -8, "right", "top")]
    for x, y, text, row in sorted(points, key=lambda p: -p[1]):
        best, fewest = None, 10**9
        for dx, dy, ha, va in around:
            label = axes.annotate(
                text,
                (x, y),
                xytext=(dx, dy),
                textcoords="offset points",
                ha=ha,
                va=va,
                fontsize=9.5,
                color=colours[row["loader"]],
                zorder=4,
            )
            box = label.get_window_extent(renderer).padded(1)
            inside = axes.get_window_extent(renderer)
            overlaps = sum(box.overlaps(other) for other in taken) * 2
            overlaps += sum(
                box.x0 - 5 * scale < mx < box.x1 + 5 * scale and box.y0 - 4 * scale < my < box.y1 + 4 * scale
                for mx, my in marks
                if (mx, my) != tuple(axes.transData.transform((x, y)))
            )
            overlaps += 3 * (box.x0 < inside.x0 or box.x1 > inside.x1 or box.y0 < inside.y0)
            if overlaps < fewest:
                if best is not None:
                    best[0].remove()
                best, fewest = (label, box), overlaps
            else:
                label.remove()
            if not fewest:
                break
        assert best is not None
        taken.append(best[1])


# --- files --------------------------------------------------------------------------------------------------


def check_markers(readme: Path, name: str) -> None:
    begin, end = MARKERS[name]
    text = readme.read_text()
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise SystemExit(
            f"{readme} needs the lines {begin} and {end}, once each and in this order, for --update-readme"
        )


def wrapped(paragraph: str) -> str:
    """In lines of at most 100 characters, which end where a clause does, so that no figure loses its unit."""
    glued = re.sub(r"(?<![,;:.]) ", "\0", paragraph)
    return textwrap.fill(glued, 100, break_long_words=False, break_on_hyphens=False).replace("\0", " ")


def readme_cell(row: dict[str, Any] | None) -> str:
    if row is None or not finished(row):
        return "failed"
    drug = statistics.median(run["entropy"]["drug"] for run in row["runs"])
    rate, memory = median(row, "cells_per_second"), median(row, "peak_pss") / 1e6
    return f"{rate:,.0f} cells/s, {memory:,.0f} MB, {drug:.1f} bits"


def readme_block(result: dict[str, Any], name: str) -> str:
    """The short form of one format's loaders: chart, warm figures of every corner. The whole is in benchmarks/peers.

    The chart of HEADLINE is left out: README.md begins with it."""
    variants = variants_of(result)
    columns = [n for n in result["titles"] if n not in variants]
    lines = ["| batch | " + " | ".join(result["titles"][n] for n in columns) + " |"]
    lines.append("|---" * (1 + len(columns)) + "|")
    cache = result["plan"]["caches"][0]
    for batch, output in result["plan"]["corners"]:
        rows = {r["loader"]: r for r in rows_of(result, cache, batch, output)}
        if not rows:  # no corner of this format
            continue
        cells = [readme_cell(rows.get(loader)) for loader in columns]
        ideal = next((r["ideal_entropy"]["drug"] for r in rows.values()), 0.0)
        lines.append(f"| {output} {batch} ({ideal:.1f} bits) | " + " | ".join(cells) + " |")
        for variant, of in variants.items():
            if variant in rows:
                cells = [readme_cell(rows[variant]) if loader == of else "" for loader in columns]
                call = settings_text({"late": rows[variant]["settings"].get("late")})
                lines.append(f"| {output} {batch}, by `{call}` | " + " | ".join(cells) + " |")
    image = f"![Cells per second against peak memory for Penstock and its peers]({CHARTS[name]})"
    parts = [] if name == HEADLINE else [image]
    parts += [
        wrapped(conditions(result)),
        "\n".join(lines),
        wrapped(
            "Bits: mean entropy of `drug` in a batch; beside the batch, what a full shuffle would have. Contents "
            "verified before timing. `make peers` measures it on your machine; orders, cold cache, waits and method: "
            "[benchmarks/peers](benchmarks/peers/README.md)."
        ),
    ]
    return "\n\n".join(parts)


def update_readme(readme: Path, block: str, name: str) -> None:
    check_markers(readme, name)
    text = readme.read_text()
    first, last = text.index(MARKERS[name][0]) + len(MARKERS[name][0]), text.index(MARKERS[name][1])
    readme.write_text(f"{text[:first]}\n{block}\n{text[last:]}")


def write(result: dict[str, Any], output: Path, project: Path | None) -> int:
    """Prints the table, writes it and a chart per format; into `project`'s README.md as well. 1 when something
    failed."""
    text = table(result)
    (output / "table.md").write_text(text)
    if result["sweep"]:  # --settings sweep reads the last one
        (output / "sweep.json").write_text(json.dumps(result["sweep"], indent=1) + "\n")
    print(text)
    for name in formats_of(result):
        part = of_format(result, name)
        image = output / Path(CHARTS[name]).name
        drawn = chart(part, image)
        if project is None:
            continue
        if not drawn or result["quick"]:
            raise SystemExit("README.md was not changed: it shows a whole run with a chart")
        size = image.stat().st_size
        if size > CHART_BYTES:
            raise SystemExit(
                f"{image.name} has {size:,} bytes, more than {CHART_BYTES:,}: README.md was not changed"
            )
        target = project / CHARTS[name]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image, target)
        update_readme(project / "README.md", readme_block(part, name), name)
    rows = [*result["compared"], *result["verified"], *result["steps"]]
    failures = [r for r in rows if "failed" in r]
    missed = [] if result["quick"] else [b for b in (*bars(result), *dense_bars(result)) if b["ok"] is False]
    if failures:
        print(f"{len(failures)} rows failed", file=sys.stderr)
    return bool(failures or missed)
