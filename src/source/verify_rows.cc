// All rows of a matrix, decoded as an epoch decodes them, block by block. What comes out is looked at for
// what batches rely on and sources do not check: that columns are columns of the matrix. Values need no
// check; every bit pattern is a number.
#include "source/verify_rows.h"

#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <vector>

#include "memory/reserved_buffer.h"
#include "source/numbers.h"
#include "source/read_requests.h"

namespace penstock {

namespace {

constexpr RowIndex kBlockRows = 16 << 10;

// Looks at what a batch would be built of: column numbers, which sources hand out as stored.
class Checker final : public RowSink {
 public:
  explicit Checker(const RowSource& source) : source_(source) {}

  Status csr(const CsrTile& tile) override {
    const std::size_t item = numeric_size(tile.index_type);
    for (RowIndex row = 0; row < tile.rows.size(); ++row) {
      const std::uint64_t begin = tile.begins[row], n = tile.ends[row] - begin;
      // One row's columns: at most as many as the longest row has.
      columns_.resize(n);
      to_int64(tile.index_type, tile.indices + begin * item, columns_);
      for (const std::int64_t column : columns_) {
        if (column >= 0 && static_cast<std::uint64_t>(column) < source_.traits().n_cols) continue;
        return Status::corrupt(fmt::format("{}: row {} has an entry in column {} of a matrix of {}",
                                           source_.label(), tile.rows.first + row, column,
                                           source_.traits().n_cols));
      }
    }
    return {};
  }

 private:
  const RowSource& source_;
  std::vector<std::int64_t> columns_;
};

// Blocks of about kBlockRows rows, cut where the storage has boundaries.
template <class F>
Status for_each_block(const RowSource& source, F&& f) {
  const RowIndex n = source.traits().n_rows;
  for (RowIndex first = 0; first < n;) {
    const RowIndex last = source.cut(first, kBlockRows);
    PENSTOCK_RETURN_IF_ERROR(f(RowRange{first, last}));
    first = last;
  }
  return {};
}

class Blocks {
 public:
  Blocks(const RowSource& source, MemoryBudget& budget)
      : source_(source),
        checker_(source),
        stored_(source.label(), &budget, MemoryTag::scratch),
        scratch_(source.label(), &budget, MemoryTag::scratch) {}

  Status decode(RowRange rows) {
    RequestList list;
    PENSTOCK_RETURN_IF_ERROR(source_.requests({&rows, 1}, Heads::whole, list));
    list.coalesce(kCoalesceGap, kCoalesceMax);
    PENSTOCK_RETURN_IF_ERROR(scratch_.grow_to(source_.scratch_bytes(rows.size())));
    PENSTOCK_ASSIGN_OR_RETURN(const Fetched fetched, read_requests(list, stored_));
    Scratch scratch;
    scratch.bytes = scratch_.bytes();
    scratch.codec = &codec_;
    return source_.decode({&rows, 1}, fetched, scratch, checker_);
  }

 private:
  const RowSource& source_;
  Checker checker_;
  CodecContext codec_;
  ReservedBuffer stored_, scratch_;
};

}  // namespace

Status verify_rows(const RowSource& source, VerifyLog& log, MemoryBudget& budget) {
  if (log.counting()) {
    return for_each_block(source, [&](RowRange) {
      log.expect(1);
      return Status();
    });
  }
  Blocks blocks(source, budget);
  return for_each_block(source, [&](RowRange rows) {
    // A block that fails is said, and the next one is tried: one damaged chunk should not hide the others.
    Status status = log.take_read(blocks.decode(rows));
    log.step();
    return status;
  });
}

}  // namespace penstock
