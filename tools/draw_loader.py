#!/usr/bin/env python3
"""Draws how the loader shuffles, as SVG: `python tools/draw_loader.py` writes docs/images/{window,blocks}.svg.

Nothing in the drawings is measured. They are small enough to count: 24 blocks of 4 rows, windows of 8 blocks, batches
of 8 rows, and a colour for each label, by which the files are sorted.
"""

from __future__ import annotations

import argparse
import random
from html import escape
from pathlib import Path

from house_style import BLUE, GREEN, INK, OCHRE, PURPLE, RED, SOFT

ROOT = Path(__file__).resolve().parent.parent
LABELS = [GREEN, BLUE, RED, OCHRE, PURPLE, "#4f9db3"]
PANEL = "#f4f4f2"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


class Svg:
    """Shapes, collected in the order in which they are painted."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" font-family="{FONT}" role="img">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{SOFT}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
        ]

    def box(
        self, x: float, y: float, w: float, h: float, fill: str, line: str = "none", more: str = ""
    ) -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="2" fill="{fill}" stroke="{line}"{more}/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 12,
        colour: str = SOFT,
        at: str = "start",
        more: str = "",
    ) -> None:
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}" text-anchor="{at}"{more}>'
            f"{escape(words)}</text>"
        )

    def caption(self, x: float, y: float, title: str, lines: list[str]) -> None:
        self.text(x, y, title, 15, INK, more=' font-weight="600"')
        for i, line in enumerate(lines):
            self.text(x, y + 19 + 16 * i, line)

    def curve(self, x0: float, y0: float, x1: float, y1: float, colour: str = SOFT, more: str = "") -> None:
        middle = (x0 + x1) / 2
        self.parts.append(
            f'<path d="M{x0:g} {y0:g} C{middle:g} {y0:g} {middle:g} {y1:g} {x1:g} {y1:g}" fill="none" '
            f'stroke="{colour}"{more}/>'
        )

    def bracket(self, x: float, y0: float, y1: float, words: str, colour: str = SOFT) -> None:
        self.parts.append(
            f'<path d="M{x:g} {y0:g} h5 V{y1:g} h-5" fill="none" stroke="{colour}" stroke-width="1.3"/>'
        )
        self.text(x + 11, (y0 + y1) / 2 + 4, words, 12, colour)

    def done(self) -> str:
        return "\n".join([*self.parts, "</svg>"]) + "\n"


ARROW = ' stroke-width="1.4" marker-end="url(#tip)"'
BLOCKS, BLOCK_ROWS, WINDOW_BLOCKS, BATCH = 24, 4, 8, 8


def label_of(block: int) -> str:
    return LABELS[block * len(LABELS) // BLOCKS]


def block(svg: Svg, x: float, y: float, w: float, h: float, colour: str) -> None:
    """A block with its rows."""
    svg.box(x, y, w, h, colour)
    for row in range(1, BLOCK_ROWS):
        at = y + h * row / BLOCK_ROWS
        svg.parts.append(
            f'<path d="M{x:g} {at:g} h{w:g}" stroke="#ffffff" stroke-width="0.7" stroke-opacity="0.7"/>'
        )


def window_picture() -> str:
    """From the files to a batch: tape, window, bins, slots."""
    svg = Svg(
        1000, 500, "Blocks of the files, shuffled into a tape; rows scattered to bins; batches built in slots"
    )
    rng = random.Random(5)
    tape = list(range(BLOCKS))
    rng.shuffle(tape)
    top, step, high = 108, 14.0, 12.0

    def file_y(number: int) -> float:
        return top + number * step + (number // 8) * 10

    def tape_y(place: int) -> float:
        return top + place * step + (place // WINDOW_BLOCKS) * 10

    svg.caption(24, 30, "files", ["sorted by label,", "read in blocks of", "neighbouring rows"])
    svg.caption(222, 30, "tape", ["the same blocks in this", "epoch's order, cut", "into windows"])
    svg.caption(
        432,
        30,
        "window",
        ["a decoded row goes straight to the bin", "of its batch: here the last block", "of window 1"],
    )
    svg.caption(
        744, 30, "slots", ["a full bin becomes a batch;", "its memory is free for the", "rows of window 2"]
    )

    for number in range(BLOCKS):
        block(svg, 66, file_y(number), 74, high, label_of(number))
    for file in range(3):
        svg.text(60, file_y(file * 8 + 4) + 2, f"plate{file + 1}", 11, at="end")
    for place, number in enumerate(tape):
        faint = "0.75" if place < WINDOW_BLOCKS else "0.22"
        svg.curve(
            143,
            file_y(number) + high / 2,
            219,
            tape_y(place) + high / 2,
            label_of(number),
            f' stroke-width="1.2" stroke-opacity="{faint}"',
        )
        block(svg, 222, tape_y(place), 74, high, label_of(number))
    for window in range(3):
        first, last = window * WINDOW_BLOCKS, (window + 1) * WINDOW_BLOCKS - 1
        colour = INK if window == 0 else SOFT
        svg.bracket(302, tape_y(first), tape_y(last) + high, f"window {window + 1}", colour)

    # The rows of window 1 in the order of its places; those of its last block are on their way. Bin 1 has none of
    # them, so it is complete.
    rows = [(place, tape[place]) for place in range(WINDOW_BLOCKS) for _ in range(BLOCK_ROWS)]
    late = WINDOW_BLOCKS - 1
    while True:
        rng.shuffle(rows)
        bins = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
        if [sum(place == late for place, _ in b) for b in bins] == [0, 1, 2, 1]:
            break
    wide, row_step = 52, 15
    bin_top = 150
    svg.box(424, bin_top - 34, 274, 186, PANEL)
    for i, of_bin in enumerate(bins):
        x = 436 + i * 66
        svg.box(x - 3, bin_top - 5, wide + 6, BATCH * row_step + 8, "#ffffff", SOFT if i else INK)
        svg.text(x + wide / 2, bin_top - 13, f"bin {i + 1}", 12, SOFT if i else INK, "middle")
        for j, (place, number) in enumerate(of_bin):
            y = bin_top + j * row_step
            if place == late:
                svg.box(x, y, wide, 11, "none", label_of(number), ' stroke-dasharray="3 2"')
            else:
                svg.box(x, y, wide, 11, label_of(number))
    # The last block of the window, decoded: its rows go to their places.
    x, y = 436, 352
    block(svg, x, y, 74, 34, label_of(tape[late]))
    svg.parts.append(  # round the words "window 2"
        f'<path d="M299 {tape_y(late) + high / 2:g} H380 C410 {tape_y(late) + high / 2:g} 380 {y + 17:g} {x - 4:g} '
        f'{y + 17:g}" fill="none" stroke="{label_of(tape[late])}"{ARROW}/>'
    )
    svg.text(x, y + 52, "decode and scatter", 12, INK)
    svg.text(x, y + 68, "one thread, one block")
    ends = [(i, j) for i, b in enumerate(bins) for j, (place, _) in enumerate(b) if place == late]
    for row, (i, _) in enumerate(ends):
        start, end = (
            y + 4 + row * 8.7,
            (436 + i * 66 + wide / 2 + (row % 2) * 14 - 7, bin_top + BATCH * row_step + 8),
        )
        svg.parts.append(
            f'<path d="M{x + 77} {start:g} C{max(end[0] - 20, x + 84):g} {start:g} {end[0]:g} {end[1] + 50:g} '
            f'{end[0]:g} {end[1]:g}" fill="none" stroke="{label_of(tape[late])}"{ARROW}/>'
        )

    # Slots, the newest first: bin 1 is being built while earlier batches wait or are with the model.
    names = ["being built", "ready", "ready", "with you"]
    for i, name in enumerate(names):
        y = 116 + i * 70
        svg.box(744, y, 128, 56, PANEL, INK if i == 0 else SOFT)
        colours = [label_of(number) for _, number in bins[0]]
        if i:
            colours = [label_of(rng.randrange(BLOCKS)) for _ in range(BATCH)]
        for j, colour in enumerate(colours[: 5 if i == 0 else BATCH]):
            svg.box(752, y + 5 + j * 5.9, 112, 4.4, colour)
        svg.text(882, y + 33, name, 12, INK if i in (0, 3) else SOFT)
    svg.parts.append(
        f'<path d="M{436 + wide / 2:g} {bin_top - 28:g} V{bin_top - 44:g} H726 V138 H738" fill="none" '
        f'stroke="{SOFT}"{ARROW}/>'
    )
    svg.text(560, bin_top - 49, "assemble", 12, INK, "middle")
    svg.parts.append(f'<path d="M808 386 V420" fill="none" stroke="{SOFT}"{ARROW}/>')
    svg.text(822, 410, "next()", 12, INK)
    svg.text(808, 440, "your loop: tensors on the slot's", 12, SOFT, "middle")
    svg.text(808, 456, "memory, without a copy", 12, SOFT, "middle")
    return svg.done()


def blocks_picture() -> str:
    """The same window of 32 rows from few blocks and from many, and a batch of each."""
    svg = Svg(
        1000, 250, "A window of few large blocks gives batches of few labels; many small blocks give many"
    )
    rng = random.Random(1)
    sides = [
        (36, 2, 16, "2 blocks of 16 rows", "A batch sees two labels, however the rows are shuffled."),
        (536, 8, 4, "8 blocks of 4 rows", "The same memory, and a batch that is worth more."),
    ]
    for left, count, rows_of_block, title, words in sides:
        svg.caption(left, 30, title, [words])
        labels = [LABELS[(i * 2 + i // 3 + (1 if count == 2 else 0)) % len(LABELS)] for i in range(count)]
        y, gap = 72.0, 2.0
        for colour in labels:
            high = rows_of_block * 4.6 - gap
            svg.box(left, y, 96, high, colour)
            for row in range(1, rows_of_block):
                svg.parts.append(
                    f'<path d="M{left} {y + high * row / rows_of_block:g} h96" stroke="#ffffff" stroke-width="0.6" '
                    'stroke-opacity="0.6"/>'
                )
            y += high + gap
        svg.text(left + 48, y + 16, "blocks in the window", 12, SOFT, "middle")
        rows = [colour for colour in labels for _ in range(rows_of_block)]
        rng.shuffle(rows)
        svg.curve(left + 104, 145, left + 172, 145, SOFT, ARROW)
        for i, colour in enumerate(rows):
            svg.box(left + 180, 72 + i * 4.6, 96, 3.6, colour)
        svg.text(left + 228, y + 16, "its rows, shuffled", 12, SOFT, "middle")
        svg.curve(left + 284, 145, left + 352, 145, SOFT, ARROW)
        for i, colour in enumerate(rows[:8]):
            svg.box(left + 360, 109 + i * 9.4, 96, 7.4, colour)
        svg.text(left + 408, y + 16, "a batch of 8", 12, SOFT, "middle")
    return svg.done()


PICTURES = {"window.svg": window_picture, "blocks.svg": blocks_picture}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs" / "images", help="(default: docs/images)"
    )
    args = parser.parse_args()
    for name, draw in PICTURES.items():
        (args.output / name).write_text(draw())


if __name__ == "__main__":
    main()
