"""Which share of the data, and of the machine, is this process's."""

from __future__ import annotations

import os
import sys

from penstock import _core

__all__ = ["decode_threads", "resolve_rank"]


def _env_int(name: str) -> int | None:
    text = os.environ.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"environment variable {name}={text!r} is not a number") from None


def resolve_rank() -> tuple[int, int]:
    """(rank, world size): torch.distributed where it is initialised, else torchrun's environment, else (0, 1)."""
    # torch.distributed can only be initialised when somebody has imported it.
    dist = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        return int(dist.get_rank()), int(dist.get_world_size())
    rank, world_size = _env_int("RANK"), _env_int("WORLD_SIZE")
    if rank is None or world_size is None:
        return 0, 1
    if not 0 <= rank < world_size:
        raise ValueError(f"environment has RANK={rank} and WORLD_SIZE={world_size}")
    return rank, world_size


def decode_threads() -> int:
    """Decode threads when the user gives none: 0 (the engine counts cores), or this process's share of the machine
    when a launcher says how many processes there are (LOCAL_WORLD_SIZE)."""
    processes = _env_int("LOCAL_WORLD_SIZE") or 1
    return 0 if processes <= 1 else max(1, _core.usable_cores() // processes)
