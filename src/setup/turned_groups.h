// Rows of files that are stored by columns, by groups that are turned together: how large they are, and where
// on the tape each ends. The engine turns groups (engine/turner.h); the plan counts the passes.
//
// Thread contract: pure functions of an immutable EngineConfig.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"
#include "dataset/dataset_impl.h"
#include "plan/tape.h"
#include "setup/config.h"

namespace penstock::loader {

// The memory for turned rows: a table of the rows of each file that is stored by columns, then the rows.
struct TurnedSizes {
  static constexpr ByteCount kSlack = 192;  // a file's arrays begin at cache lines
  // What is taken whatever is turned; 0 where no file is stored by columns.
  static ByteCount tables(std::span<const internal::FilePart> parts);
  // What the rows may take beside that.
  static ByteCount capacity(const EngineConfig& config);
  // Of all selected rows.
  static ByteCount selected(std::span<const internal::FilePart> parts);
  // Of these rows of a file: 0 when it is not stored by columns.
  static ByteCount of(const internal::FilePart& part, std::span<const RowRange> rows);
};

// Walks on from `cursor`, up to row `end`, over the segments whose rows fit into `bytes` together, the first
// in any case. visit(file, rows) for those that are turned. `wanted` is scratch. A block that is visited more
// than once (with a sampling) counts each time, though its rows are turned once.
template <class Visit>
void walk_group(const EngineConfig& config, const plan::TapeRuns* line, plan::TapeCursor& cursor,
                std::uint64_t end, ByteCount bytes, std::vector<RowRange>& wanted, Visit visit) {
  bool first = true;
  for (plan::TapeCursor before = cursor;; before = cursor) {
    plan::Segment segment;
    if (!cursor.next(end, &segment)) return;
    wanted.clear();
    config.rows_to_read(segment, line, wanted);
    const std::uint32_t file = config.blocks[segment.block].file;
    const ByteCount takes = TurnedSizes::of(config.parts[file], wanted);
    if (takes > bytes && !first) {
      cursor = before;
      return;
    }
    bytes -= std::min(bytes, takes);
    if (config.parts[file].source->by_columns() == nullptr) continue;
    visit(file, std::span<const RowRange>(wanted));
    first = false;
  }
}

}  // namespace penstock::loader
