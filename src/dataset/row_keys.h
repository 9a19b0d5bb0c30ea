// Which rows have the same value of an obs column, or of several, or of labels given: a number for each
// selected row, in the order in which values first appear. So the numbers depend on the rows and their values
// alone, not on how files spell them. A missing value is a value of its own.
//
// Thread contract: immutable once read. Memory: 1, 2 or 4 bytes a row, as few as the numbers need, and what
// the distinct values take; reserved under `obs` before it is taken, given back when this dies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dataset/dataset_impl.h"
#include "dataset/obs_table.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::internal {

class RowKeys {
 public:
  // Rows are told apart by the combination of `columns` and of `labels`, a code for each position (< 0: no
  // value; nullptr: none given). Labels of another number of rows are invalid_argument.
  static Result<RowKeys> read(const ObsTable& obs, std::span<const std::string> columns,
                              const std::vector<std::int32_t>* labels, std::span<const FilePart> parts,
                              MemoryBudget& budget);

  std::uint64_t n_rows() const { return n_rows_; }
  std::uint64_t size() const { return sizes_.size(); }  // distinct keys
  // The key of a position.
  std::uint32_t operator[](std::uint64_t position) const {
    std::uint32_t key = 0;
    std::memcpy(&key, keys_.data() + position * width_, width_);  // little-endian: the low bytes
    return key;
  }
  // Rows of each key.
  std::span<const std::uint64_t> sizes() const { return sizes_; }
  ByteCount held_bytes() const { return held_.bytes(); }

 private:
  Status set(std::uint64_t position, std::uint32_t key, MemoryBudget& budget);
  // Calls its sink with one more value of each row, in order.
  using Sink = std::function<Status(std::span<const ObsKey>)>;
  using Values = std::function<Status(const Sink&)>;
  Status add(const std::string& name, const Values& values, MemoryBudget& budget);

  std::uint64_t n_rows_ = 0;
  std::size_t width_ = 1;
  std::vector<std::byte> keys_;
  std::vector<std::uint64_t> sizes_;
  Reservation held_, held_sizes_;
};

}  // namespace penstock::internal
