"""One pass over the batches of a loader."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from penstock import _core
from penstock.batch import Batch, make_batch

if TYPE_CHECKING:
    from penstock.dataset import Dataset

__all__ = ["Epoch", "epoch_counter"]

# Note [Daemon threads at the end] in python/src/at_exit.h.
atexit.register(_core.end_threads, 1.0)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_core.forget_threads)


class Epoch(_core.HandOver):
    """The batches of `engine`'s epoch, which was begun, with the arrays of `kit`."""

    def __init__(
        self,
        engine: _core.Loader,
        kit: ModuleType,
        dataset: Dataset,
        names: Sequence[str],
        obsm: Sequence[str],
        categories: Mapping[str, list[str] | None],
        one_thread: _core.OneThread,
    ) -> None:
        super().__init__()
        self.one_thread = one_thread
        self.accept: Callable[[], bool] = engine.advance
        self._engine: _core.Loader | None = engine
        self._why = ""  # it was ended, with batches left
        self._wrap = kit.wrap
        self._dlpack = kit.DLPACK
        self._n_cols = dataset.n_vars
        self._names = names
        self._obsm = obsm
        self._categories = categories
        self._dataset = dataset
        self._densifier = engine.densifier()

    def refuse(self) -> None:
        """Another thread is told so by the caller."""

    def take(self) -> tuple[Batch, None]:
        """The next batch, the same one until accept(). For who sees to it that one thread is here."""
        engine = self._engine
        if engine is None:
            if self._why:
                raise RuntimeError(self._why)
            raise StopIteration
        parts = engine.peek(self._dlpack)
        if parts is None:
            self.end()
            raise StopIteration
        x, obs, index, total, vectors = self._wrap(parts, self._n_cols, self._names)
        obsm = dict(zip(self._obsm, vectors, strict=True)) if vectors else None
        batch = make_batch(x, obs, index, total, obsm, self._categories, self._dataset, self._densifier)
        return batch, None

    def over(self) -> bool:
        """All its batches were taken."""
        return not self._why if self._engine is None else self._engine.batches_left == 0

    def end(self, why: str = "") -> None:
        """Ends it; with batches left, ``next()`` says why."""
        if self._engine is not None:
            self._why = "" if self.over() else why
            self._engine = None
            self.accept = bool  # which says False

    def running(self) -> bool:
        return self._engine is not None


class PlainCounter:
    """The number of the next epoch (see torch.EpochCounter)."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def get(self) -> int:
        return self._epoch

    def set(self, epoch: int) -> None:
        self._epoch = epoch

    def moved(self) -> bool:
        return False


def epoch_counter(epoch: int, *, for_workers: bool) -> Any:
    """A counter of epochs, one that a DataLoader's workers share where a DataLoader may have the loader."""
    if for_workers:
        from penstock.torch import EpochCounter

        return EpochCounter(epoch)
    return PlainCounter(epoch)
