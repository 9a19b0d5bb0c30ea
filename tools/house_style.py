"""How every picture of this project looks: one set of colours, quiet axes, titles on the left.

`for_matplotlib()` sets matplotlib's defaults; drawings that are written as SVG take the colours from here.
"""

from __future__ import annotations

GREEN, GREY, RED, BLUE, PURPLE, OCHRE = "#0b6e4f", "#8c8c8c", "#c8553d", "#3d5a9e", "#8a5a9e", "#b08900"
SKY = "#7fb8d6"
# The order in which curves and areas get them. Where loaders stand beside each other, Penstock is green.
COLOURS = [GREEN, RED, BLUE, OCHRE, PURPLE, GREY, SKY]
INK, SOFT, GRID = "#222222", "#555555", "#e6e6e6"
DPI = 110


def for_matplotlib(dpi: int = DPI) -> None:
    """Call it before the first figure is made."""
    import matplotlib

    matplotlib.rcParams.update(
        {
            "figure.dpi": dpi,
            "savefig.dpi": dpi,
            "font.size": 9.5,
            "text.color": INK,
            "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
            "axes.edgecolor": SOFT,
            "axes.labelcolor": INK,
            "axes.titlelocation": "left",
            "axes.titlesize": 10.5,
            "figure.titlesize": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": GRID,
            "xtick.color": INK,
            "ytick.color": INK,
            "legend.frameon": False,
            "legend.fontsize": 9,
        }
    )
