"""Which share of the data, and of the machine, is this process's."""

from __future__ import annotations

import os
import sys
from typing import Any

from penstock import _core

__all__ = ["compare_ranks", "decode_threads", "distributed", "find_share", "resolve_rank", "worker_number"]


def _env_int(name: str) -> int | None:
    text = os.environ.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"environment variable {name}={text!r} is not a number") from None


def distributed() -> Any:
    """torch.distributed where it is initialised, else None."""
    # It can only be initialised when somebody has imported it.
    dist = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_available() and dist.is_initialized() else None


def compare_ranks(fingerprint: dict[str, Any]) -> None:
    """Check that all ranks of torch.distributed are about to share out the same rows in the same order.

    Collective: every rank calls it. `fingerprint`: a small dict, equal on every rank when all is well. Raises
    ValueError on every rank, with the first differences of the first rank that is not as rank 0.
    """
    dist = distributed()
    every: list[dict[str, Any]] = [{}] * dist.get_world_size()
    dist.all_gather_object(every, fingerprint)

    def show(value: Any) -> str:
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else repr(value)

    for rank, found in enumerate(every):
        names = [name for name, value in every[0].items() if found.get(name) != value]
        if names:
            text = "; ".join(f"{n} {show(found.get(n))} against {show(every[0][n])}" for n in names[:3])
            raise ValueError(
                f"rank {rank} differs: {text} on rank 0. Every rank must open the same files and make the same "
                "Loader; a loader that only some ranks use needs rank= and world_size="
            )


def resolve_rank() -> tuple[int, int]:
    """(rank, world size): torch.distributed where it is initialised, else torchrun's environment, else (0, 1)."""
    dist = distributed()
    if dist is not None:
        return int(dist.get_rank()), int(dist.get_world_size())
    rank, world_size = _env_int("RANK"), _env_int("WORLD_SIZE")
    if rank is None or world_size is None:
        return 0, 1
    if not 0 <= rank < world_size:
        raise ValueError(f"environment has RANK={rank} and WORLD_SIZE={world_size}")
    return rank, world_size


def worker_number() -> tuple[int, int] | None:
    """(id, number of workers) in a DataLoader worker."""
    if sys.modules.get("torch") is None:
        return None
    from penstock import torch

    return torch.worker_number()


def find_share(given: tuple[int, int] | None, hint: tuple[int, int] | None) -> tuple[int, int]:
    """(rank, world size) of this process: what was given, or what its surroundings say."""
    if given is not None:
        return given
    found = resolve_rank()
    # A spawned DataLoader worker has no torch.distributed: what held where it was pickled, holds.
    if found == (0, 1) and hint is not None and worker_number() is not None:
        return hint
    return found


def decode_threads() -> int:
    """Decode threads when the user gives none: 0 (the engine counts cores), or this process's share of the machine
    when a launcher says how many processes there are (LOCAL_WORLD_SIZE)."""
    processes = _env_int("LOCAL_WORLD_SIZE") or 1
    return 0 if processes <= 1 else max(1, _core.usable_cores() // processes)
