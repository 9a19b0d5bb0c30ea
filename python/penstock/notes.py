"""Advice and warnings of a Dataset and of a plan: texts for people, with a kind for code."""

from __future__ import annotations

__all__ = ["Note"]


class Note(str):
    """A note: a `str` that also says of what kind it is.

    Of a Dataset: ``"not_counts"``, ``"genes_joined"``, ``"genes_missing"``, ``"shape_implied"``,
    ``"feature_types"``, ``"left_open"``, ``"pages_passed"``,
    ``"rows_counted"``; of a plan also ``"no_rows"``, ``"no_batches"``,
    ``"lone_row"``, ``"resumed"``, ``"threads_fewer"``, ``"labels_missing"``,
    ``"offsets_reread"``.

    Examples
    --------
    >>> for note in ds.notes:
    ...     print(note.kind, note)
    not_counts X holds values that are not counts (looks normalised); raw/X holds counts: open it with matrix="raw/X"
    """

    kind: str

    def __new__(cls, text: str, kind: str) -> Note:
        note = super().__new__(cls, text)
        note.kind = kind
        return note

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return str(self), self.kind
