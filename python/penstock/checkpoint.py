"""Where a loader stands: states as `Loader.state_dict` gives and `Loader.load_state_dict` takes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from penstock.in_process import InProcess

__all__ = ["Resume", "as_text", "fingerprint", "state_of"]


class Resume:
    """The state that was loaded: its windows and blocks hold for good, its position for one epoch."""

    def __init__(self, text: str = "", epoch: int | None = None) -> None:
        self.text = text  # JSON, for the engine
        # Whose position it holds, until an iterator has begun there.
        self.epoch = epoch

    def begun(self) -> Resume:
        """What is left of it when an iterator has begun."""
        if self.epoch is None:
            return self
        return Resume(json.dumps({**json.loads(self.text), "lineage": []}))


def as_text(state: Any) -> str:
    """A state that a user gives, as JSON."""
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict takes a dict of state_dict(), not {type(state).__name__}")
    try:
        return json.dumps(dict(state), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"not a state of a penstock loader: {error}") from None


def state_of(
    now: InProcess, engine: Any, done: int | None, next_epoch: int, resume: Resume
) -> dict[str, Any]:
    """The state behind `done` batches, or behind all that the loop was given."""
    if done is None and now.progress is not None and now.iterated:
        # The thread of a transform may be a batch ahead, and is not waited for: a transform can ask, too.
        done = now.progress.delivered
    state: dict[str, Any] = json.loads(engine.state_json(done))
    # Between epochs the counter says which one comes: set_epoch() may have been called inside the last one.
    over = engine.batches_left == 0 and not state["lineage"] and done != 0
    if (over or not now.iterated) and resume.epoch != next_epoch:
        state.update(epoch=next_epoch, lineage=[])
    return state


def fingerprint(state: dict[str, Any]) -> dict[str, Any]:
    """What must be the same on every rank, small enough to send around."""
    state = dict(state)
    files = [dict(file) for file in state.pop("files")]
    rows = [(file.pop("selected"), file.pop("selection")) for file in files]
    # What other things follow from comes first: the message has room for three.
    first = ("matrix", "n_obs", "n_vars", "seed", "batch_size")
    short = {name: state.pop(name) for name in first}
    for name, value in {"files": files, "which rows are selected": rows}.items():
        short[name] = hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
    short["weights of rows"] = state.pop("masses")
    return {**short, **state}
