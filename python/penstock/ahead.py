"""A user's function on batches, one batch ahead of the training loop, on a thread of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from penstock.batch import Batch

__all__ = ["AheadEpoch"]


class AheadEpoch(Iterator[Any]):
    """The epoch `batches` through `function`: while the loop works on one result the next is being made.

    The engine has one consumer, and from now on that is this class's thread: `settle` before anything else of
    the engine is used.
    """

    def __init__(self, batches: Iterator[Batch], function: Callable[[Batch], Any]) -> None:
        self._batches: Iterator[Batch] | None = batches
        self._function = function
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="penstock-transform")
        # What is being made, as (there is a batch, what became of it).
        self._next: Future[tuple[bool, Any]] | None = None
        self.delivered = 0  # batches whose result, or whose error, the loop has seen

    def _make(self, batches: Iterator[Batch]) -> tuple[bool, Any]:
        batch = next(batches, None)
        return (False, None) if batch is None else (True, self._function(batch))

    def _begin(self, batches: Iterator[Batch]) -> Future[tuple[bool, Any]]:
        if self._next is None:
            self._next = self._pool.submit(self._make, batches)
        return self._next

    def __iter__(self) -> AheadEpoch:
        return self

    def __next__(self) -> Any:
        if self._batches is None:
            raise StopIteration
        future = self._begin(self._batches)
        # Ctrl-C while waiting leaves the result where it is.
        try:
            there, made = future.result()
        finally:
            if future.done():
                self._next = None
        if not there:
            self.end()
            raise StopIteration
        self.delivered += 1
        self._begin(self._batches)
        return made

    def peek(self) -> Any:
        """A copy of what the next ``next()`` returns; None at the end."""
        if self._batches is None:
            return None
        there, made = self._begin(self._batches).result()
        return (
            copy.deepcopy(made) if there and not isinstance(made, Batch) else made.clone() if there else None
        )

    def settle(self) -> None:
        """Waits until the thread does not use the engine."""
        if self._next is not None:
            self._next.exception()

    def end(self) -> None:
        self.settle()
        self._batches = self._next = None
        self._pool.shutdown(wait=False)

    def running(self) -> bool:
        return self._batches is not None
