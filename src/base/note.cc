#include "penstock/note.h"

namespace penstock {

std::string_view note_kind_name(NoteKind kind) {
  switch (kind) {
    case NoteKind::not_counts:
      return "not_counts";
    case NoteKind::genes_joined:
      return "genes_joined";
    case NoteKind::genes_missing:
      return "genes_missing";
    case NoteKind::shape_implied:
      return "shape_implied";
    case NoteKind::feature_types:
      return "feature_types";
    case NoteKind::rows_counted:
      return "rows_counted";
    case NoteKind::left_open:
      return "left_open";
    case NoteKind::pages_passed:
      return "pages_passed";
    case NoteKind::no_rows:
      return "no_rows";
    case NoteKind::no_batches:
      return "no_batches";
    case NoteKind::lone_row:
      return "lone_row";
    case NoteKind::resumed:
      return "resumed";
    case NoteKind::threads_fewer:
      return "threads_fewer";
    case NoteKind::labels_missing:
      return "labels_missing";
    case NoteKind::offsets_reread:
      return "offsets_reread";
  }
  return "unknown";
}

}  // namespace penstock
