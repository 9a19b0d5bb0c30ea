"""A user's function on batches, one batch ahead of the training loop, on a thread of its own."""

from __future__ import annotations

import _thread
import copy
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

from penstock import _core
from penstock.batch import Batch
from penstock.epoch import Epoch

__all__ = ["AheadEpoch", "Progress", "Transform"]


class Transform:
    """The user's function. It knows on which threads it runs, since what it asks of its own loader may be what waits
    for it; and a result that could only be a mistake is an error."""

    def __init__(self, function: Callable[[Batch], Any]) -> None:
        self._function = function
        self._here = threading.local()

    def __call__(self, batch: Batch) -> Any:
        self._here.runs = True
        try:
            made = self._function(batch)
        except StopIteration as error:
            # The loop would take it for its own end.
            raise RuntimeError(
                "the transform raised StopIteration: an iterator that it reads has ended"
            ) from error
        finally:
            self._here.runs = False
        if made is None:
            raise TypeError("the transform returned None: it must return the batch, or what is made of it")
        return made

    def refuse(self, what: str) -> None:
        """RuntimeError inside the function."""
        if self.runs_here():
            raise RuntimeError(
                f"the transform calls {what} of its own loader, which waits for the transform: call it outside, or "
                "use a second Loader of the same Dataset. epoch, len(), state_dict(), plan and stats() do answer here"
            )

    def runs_here(self) -> bool:
        return getattr(self._here, "runs", False)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Transform, (self._function,))


class Progress(_core.Handed):
    """How far an `AheadEpoch` is, and what its thread works with. Stays with the loader when the loop has dropped its
    iterator."""

    def __init__(self, batches: Epoch, transform: Transform) -> None:
        super().__init__()
        self._batches = batches
        self._transform = transform
        self._pid = os.getpid()
        # What the loop gets next: (there is a batch, what became of it, or the error that did). accept() forgets it.
        self.result: tuple[bool, Any, BaseException | None] | None = None
        self.asked = _core.Signal()  # to make the next one, if there is none
        self._made = _core.Signal()  # there is one
        self._begun = False
        self.taken = 0  # batches of the engine
        self._busy = threading.Lock()  # held while the engine and the function are in use
        self._stopped: str | None = None  # and why
        self._forgotten = False  # by the loop

    def wait(self) -> tuple[bool, Any, BaseException | None]:
        """The next result, which stays. May be broken off anywhere, and called again."""
        while (result := self.result) is None:
            if self._pid != os.getpid():
                raise ValueError(
                    "this iterator was begun before fork(): begin another one in the child process"
                )
            if self._stopped is not None:
                _core.wait_for_lock(self._busy)  # what is being made still comes
                why = self._stopped
                return self.result or (False, None, RuntimeError(why) if why else None)
            if _core.threads_ended():
                self.make()  # the process is ending, and the thread may sleep for good
                continue
            if not self._begun:
                # One that was broken off before it is noted here makes a second thread, which does no harm.
                _thread.start_new_thread(_work, (self.asked, weakref.ref(self)))
                self._begun = True
            self.asked.set()
            self._made.wait()
        return result

    def make(self) -> None:
        """For the thread: the next result, when the last one was taken."""
        with self._busy:
            if self.result is None:
                self.result = self._make()
            if self._forgotten:
                self.result = None
        self._made.set()

    def _make(self) -> tuple[bool, Any, BaseException | None]:
        if self._stopped is not None:
            return False, None, RuntimeError(self._stopped) if self._stopped else None
        try:
            batch, _ = self._batches.take()
            while not self._batches.accept():
                batch, _ = self._batches.take()
        except StopIteration:
            return False, None, None
        except BaseException as error:
            return False, None, error
        self.taken += 1
        try:
            return True, self._transform(batch), None
        except BaseException as error:
            return True, None, error

    def drop(self, why: str = "") -> None:
        """Nothing is made any more, but for what is being made now."""
        if self._pid == os.getpid():
            self._stopped = self._stopped or why  # who ended it first says why
            self.result = None
            self.asked.close()
            self._made.set()

    def forget(self) -> None:
        """Nobody asks for a result any more."""
        self._forgotten = True
        self.drop()

    def stop(self, why: str = "") -> None:
        """Nothing uses the engine from here on."""
        self.drop(why)
        _core.wait_for_lock(self._busy)
        self.result = None


def _work(asked: _core.Signal, progress: weakref.ref[Progress]) -> None:
    """The thread. While it rests it holds nothing of the loader, nor of the function, which may be the loader's."""
    _core.meet_transform_thread()
    try:
        # As threading.Thread does. That is not used, since Ctrl-C in its start() may come out as any error.
        sys.settrace(threading.gettrace())
        sys.setprofile(threading.getprofile())
        while asked.rest():
            now = progress()
            if now is not None:
                now.make()
            del now
    finally:
        _core.transform_thread_ends()


class AheadEpoch(_core.HandOver):
    """The epoch `batches` through `transform`: while the loop works on one result the next is being made.

    `batches` is used by the thread of `progress` only: whoever wants the engine stops that first. `one_thread` is of
    the loader; ``next()`` holds it, that thread does not.
    """

    def __init__(self, batches: Epoch, transform: Transform, one_thread: _core.OneThread) -> None:
        super().__init__()
        self._batches: Epoch | None = batches
        self._transform = transform
        self._why = ""  # it was ended, and why
        self.one_thread = one_thread
        self.progress = Progress(batches, transform)
        self.accept = self.progress.accept

    def __del__(self) -> None:
        self.progress.forget()

    def refuse(self) -> None:
        self._transform.refuse("next()")

    def take(self) -> tuple[Any, BaseException | None]:
        """The next result, or the error in its place."""
        self.refuse()
        now = self.progress
        if self._batches is None:
            if self._why and now.delivered < now.taken:
                raise RuntimeError(self._why)
            raise StopIteration
        there, made, error = now.wait()
        if there:
            return made, error
        if error is not None:
            now.result = None
            try:
                raise error
            finally:
                del error  # its traceback holds this frame
        self.end()
        raise StopIteration

    def peek(self) -> Any:
        """A copy of what the next ``next()`` returns; None at the end."""
        if self._batches is None:
            return None
        there, made, error = self.progress.wait()
        if error is not None:
            raise error
        if not there:
            return None
        return made.clone() if isinstance(made, Batch) else copy.deepcopy(made)

    def end(self, why: str = "") -> None:
        """Ends it, when its thread does not use the engine any more. With batches left, ``next()`` says why."""
        batches, now = self._batches, self.progress
        if batches is None:
            return
        # close() inside the transform is called by that very thread.
        if self._transform.runs_here():
            now.drop(why)
        else:
            now.stop(why)
        # What is left in the engine is lost as what was taken ahead is.
        now.taken += not batches.over()
        self._why = why
        batches.end(why)
        self._batches = None

    def running(self) -> bool:
        return self._batches is not None
