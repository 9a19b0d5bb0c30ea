// A matrix that is stored column by column: where a row's entries lie is known only once all of the matrix
// has been gone through. So rows are not read one by one but *turned*: memory is laid out for all rows that
// are wanted together, and a pass (column_pass.h) over the matrix, a part at a time, puts every entry where
// its row is. What a pass costs does not depend on how many rows are wanted, which is why the loader turns as
// many at once as its budget holds (engine/turner.h).
//
// Thread contract: a ColumnMajor is immutable; every method is safe from many threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/types.h"
#include "codecs/codec.h"
#include "penstock/status.h"
#include "source/request.h"
#include "source/row_source.h"

namespace penstock {

class ColumnMap;

// Memory in which rows are turned: room for each wanted row's entries, one row behind the other. The memory is
// the maker's.
class TurnedRows {
 public:
  // More entries than this are not turned at once.
  static constexpr std::uint64_t kMostEntries = 0xfffffffe;

  TurnedRows() = default;
  // `next`: an element for each of `rows`. `ids` and `values`: room for `capacity` entries.
  TurnedRows(RowRange rows, std::uint32_t* next, std::byte* ids, std::byte* values, std::uint64_t capacity)
      : rows_(rows), next_(next), ids_(ids), values_(values), capacity_(capacity) {}

  // No row is wanted; then those of ranges inside rows(), each as often as one likes; then, once, places for
  // all of them by their lengths (ColumnMajor::row_lengths()). Returns how many entries they have together.
  void clear();
  void want(RowRange range);
  std::uint64_t lay_out(std::span<const std::uint32_t> lengths);
  // After a pass: whether each row got as many entries as it has room for. If not, *row is the first.
  bool complete(std::span<const std::uint32_t> lengths, RowIndex* row) const;

  RowRange rows() const { return rows_; }
  // By row - rows().first: where the row's next entry goes, or kNotWanted. After a pass the entries of a row
  // end there.
  static constexpr std::uint32_t kNotWanted = 0xffffffff;
  std::uint32_t* next() const { return next_; }
  std::byte* ids() const { return ids_; }
  std::byte* values() const { return values_; }
  std::uint64_t capacity() const { return capacity_; }

 private:
  RowRange rows_;
  std::uint32_t* next_ = nullptr;
  std::byte *ids_ = nullptr, *values_ = nullptr;
  std::uint64_t capacity_ = 0;
};

class ColumnMajor {
 public:
  virtual ~ColumnMajor() = default;

  // Entries of each row: counted when the file was opened.
  virtual std::span<const std::uint32_t> row_lengths() const = 0;
  // Entries of the columns that are wanted.
  virtual std::uint64_t entries_in(const ColumnMap& map) const = 0;
  // As ids and values are turned; 2 or 4 bytes, and those of a stored value.
  virtual NumericType turned_id_type() const = 0;
  virtual NumericType turned_value_type() const = 0;
  ByteCount entry_bytes() const { return numeric_size(turned_id_type()) + numeric_size(turned_value_type()); }

  // Parts of the matrix in the order of its columns; a part is at least one chunk.
  virtual std::uint64_t n_parts() const = 0;
  virtual Status requests(std::uint64_t part, RequestList& list) const = 0;
  // Of a whole pass.
  virtual ReadCost pass_cost() const = 0;
  // The most bytes that the requests of a part come to, and what else decode() and place() need.
  virtual ByteCount part_stored_bytes() const = 0;
  virtual ByteCount part_scratch_bytes() const = 0;
  // Decodes a part into `scratch`; checks its row numbers.
  virtual Status decode(std::uint64_t part, const Fetched& fetched, std::span<std::byte> scratch,
                        CodecContext& codec) const = 0;
  // Puts the entries of the part that lies decoded in `scratch` where their rows are. Parts come in order, so
  // a row's entries lie in the order of their columns.
  virtual Status place(std::uint64_t part, std::span<std::byte> scratch, const TurnedRows& rows) const = 0;
  // The values of the part that lies decoded in `scratch`: a look at what they are like.
  virtual std::span<const std::byte> values(std::uint64_t part, std::span<std::byte> scratch) const = 0;
};

}  // namespace penstock
