"""What a loader has in one process: an engine for this process's share of the rows, and who uses it."""

from __future__ import annotations

import os
import threading
import weakref

from penstock import _core
from penstock.ahead import AheadEpoch, Progress
from penstock.dataset import Dataset
from penstock.epoch import Epoch
from penstock.options import Options
from penstock.plan import Plan

__all__ = ["InProcess"]

Iterating = Epoch | AheadEpoch


class InProcess:
    """Made anew after fork and unpickling."""

    def __init__(self, parent: InProcess | None = None) -> None:
        self._pid = os.getpid()
        # A forked child keeps what its parent had, so that no destructor runs on it.
        self._parent = parent
        # Held by what uses the engine as the one consumer that it has, ...
        self.one_thread = _core.OneThread()
        # ... and by what makes an engine, of which any thread may ask something.
        self._building = threading.RLock()
        self.engine: _core.Loader | None = None
        # The iterator handed out last.
        self.iterator: weakref.ref[Iterating] | None = None
        self._forget()

    def _forget(self) -> None:
        """What was of another engine."""
        self._share: tuple[int, int] | None = None  # that the engine was made for
        self._plan: Plan | None = None
        self._categories: dict[str, list[str] | None] | None = None
        # With a transform, how far that is: its thread uses the engine until this has been settled.
        self.progress: Progress | None = None
        # The epoch that peek() has begun and no iterator has taken yet.
        self.peeked: int | None = None
        # An iterator has been handed out, and nothing since then says where the next one begins.
        self.iterated = False
        # Fingerprints of all ranks were compared.
        self.compared = False

    def here(self) -> bool:
        return self._pid == os.getpid()

    # --- the engine ---

    def build(self, options: Options, dataset: Dataset, share: tuple[int, int], resume: str) -> _core.Loader:
        """Another engine, in place of the one there is."""
        with self._building:
            if self.engine is not None:
                self.engine.close()
                self.engine = None
            engine = options.create(dataset, share, resume)
            self._forget()
            self.engine, self._share = engine, share
        return engine

    def engine_for(
        self, options: Options, dataset: Dataset, share: tuple[int, int], resume: str, any_share: bool
    ) -> _core.Loader:
        """The engine there is, if it is of that share or `any_share` will do; else another."""
        if any_share and self.engine is not None:
            return self.engine
        with self._building:
            if self.engine is None or not (any_share or share == self._share):
                return self.build(options, dataset, share, resume)
            return self.engine

    def plan(self, engine: _core.Loader) -> Plan:
        if self._plan is None:
            self._plan = Plan(engine.plan())
        return self._plan

    def categories(self, engine: _core.Loader, names: list[str]) -> dict[str, list[str] | None]:
        if self._categories is None:
            self._categories = {name: engine.categories(name) for name in names}
        return self._categories

    def close(self, why: str) -> None:
        if self.engine is not None and self.here():
            self.engine.close()  # what a thread waits for ends, too
            running = self.running()
            if running is not None:
                running.end(why)

    # --- who uses it ---

    def running(self) -> Iterating | None:
        """The iterator in use, if there is one."""
        epoch = None if self.iterator is None or not self.here() else self.iterator()
        return epoch if epoch is not None and epoch.running() else None

    def end_iterator(self, why: str) -> None:
        """The engine is free to be used then."""
        running = self.running()
        if running is not None:
            running.end(why)
        self.stop_dropped()

    def stop_dropped(self) -> None:
        """The thread of a transform works on for an iterator that the loop has dropped."""
        if self.progress is not None:
            self.progress.stop()

    def start(self, engine: _core.Loader, number: int) -> None:
        """Begins the epoch of that number, unless peek() has."""
        if self.peeked != number:
            # Without a number the engine goes on with what it has read ahead.
            engine.start_epoch(None if engine.next_epoch == number else number)
            self.progress = None

    def hand_out(self, iterator: Iterating) -> None:
        self.iterator = weakref.ref(iterator)
        if isinstance(iterator, AheadEpoch):
            self.progress = iterator.progress
