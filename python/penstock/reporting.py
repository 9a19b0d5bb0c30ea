"""What a loader says about its run, in the formats that others read."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from penstock import _core

__all__ = ["stats_in", "versions"]


def stats_in(
    format: str, engine: _core.Loader, rank: int, labels: Mapping[str, str] | None
) -> dict[str, Any] | str:
    """The counters of `engine` as a dict, as JSON or in Prometheus' text format."""
    if labels and format != "prometheus":
        raise ValueError('labels= goes with format="prometheus"')
    if format == "dict":
        return engine.stats()
    if format == "json":
        return engine.stats_json()
    if format != "prometheus":
        raise ValueError(f'format={format!r} is not known: use "dict", "json" or "prometheus"')
    chosen = {"rank": str(rank), **{str(k): str(v) for k, v in (labels or {}).items()}}
    for name in chosen:
        if not re.fullmatch(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", name) or name in ("tag", "stage", "reason"):
            raise ValueError(
                f"{name!r} cannot be the name of a label: letters, digits and _, not tag, stage or reason"
            )
    return engine.stats_prometheus(chosen)


def versions() -> list[tuple[str, str]]:
    """Of Python and of what is loaded beside penstock."""
    found = [("Python", sys.version.split()[0]), ("numpy", np.__version__)]
    if sys.modules.get("torch") is not None:
        found.append(("torch", str(sys.modules["torch"].__version__)))
    return found
