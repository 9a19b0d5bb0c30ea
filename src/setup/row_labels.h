// Labels by row: the obs columns that travel with the rows, either resident (narrow arrays in memory) or read
// again with each block. Behind them there may be columns that do not travel: those that rows are weighted
// by.
//
// Thread contract: immutable after build; a View belongs to one worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "dataset/dataset_impl.h"
#include "memory/slab.h"
#include "penstock/batch.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/request.h"

namespace penstock::loader {

// Of a label in a batch: codes are wider there than in the window.
ArrayType delivered_type(ObsKind kind);

class RowLabels {
 public:
  RowLabels() = default;
  // Bytes that resident labels would take for `rows` rows (columns that cannot stream count either way).
  static ByteCount resident_bytes(std::span<const internal::LabelColumn> labels, std::uint64_t rows);

  // Reads every column once when resident (or where a column cannot stream); reserves under `obs`. The last
  // `n_hidden` columns do not travel.
  static Result<RowLabels> build(std::vector<internal::LabelColumn> labels, std::size_t n_hidden,
                                 std::span<const internal::FilePart> parts, bool resident,
                                 MemoryBudget& budget);

  // Those that travel, and with those that do not.
  std::span<const internal::LabelColumn> columns() const { return {labels_.data(), n_travelling_}; }
  std::span<const internal::LabelColumn> all_columns() const { return labels_; }
  // Bytes of one row's labels in the window: int32 codes, numbers at their width; a multiple of 4.
  ByteCount record_bytes() const { return record_bytes_; }
  ByteCount held_bytes() const { return held_bytes_; }
  // Rows (selected) whose label is missing, per column; counted for resident columns only.
  std::span<const std::uint64_t> missing() const { return missing_; }

  // For columns that stream: what to read beside a block's rows, and scratch to decode it.
  Status requests(std::uint32_t file, RowRange rows, RequestList& list) const;
  ByteCount scratch_bytes(RowIndex max_rows) const;

  // The labels of one block: decodes what streams into scratch.
  class View {
   public:
    // Writes record_bytes() for a row of the prepared range.
    void write(RowIndex row, std::byte* record) const;
    // Writes one of all_columns(): its kind's obs_value_bytes(), codes as int32.
    void read(std::size_t column, RowIndex row, std::byte* value) const;

   private:
    friend class RowLabels;
    void read(std::size_t column, RowIndex row, const std::byte* streamed, std::byte* value) const;
    ByteCount streamed_bytes(std::size_t column) const;  // that its values take
    const RowLabels* labels_ = nullptr;
    std::uint32_t file_ = 0;
    RowRange rows_;
    const std::byte* streamed_ = nullptr;
  };
  // scratch.bytes: scratch_bytes(rows.size()) at least.
  Result<View> prepare(std::uint32_t file, RowRange rows, const Fetched& fetched, Scratch scratch) const;

  // Unpacks one record into the batch's arrays at `row`; returns how many labels are missing.
  std::uint64_t unpack(const std::byte* record, std::uint64_t row, std::span<std::byte* const> outputs) const;

 private:
  struct Column {
    ObsKind kind = ObsKind::category;
    ByteCount record_offset = 0;
    bool resident = false;
    std::uint32_t width = 0;               // bytes of a resident value: 1, 2, 4 or 8
    Slab values;                           // by global row, when resident
    std::vector<std::uint64_t> first_row;  // per file
  };

  static Status fill_resident(const internal::LabelColumn& label, std::uint32_t file, std::uint64_t n_rows,
                              MemoryBudget& budget, const internal::Bitmap* selected, std::byte* out,
                              std::uint32_t width, std::uint64_t* missing);

  std::vector<internal::LabelColumn> labels_;
  std::size_t n_travelling_ = 0;
  std::vector<Column> columns_;
  std::vector<std::uint64_t> missing_;
  ByteCount record_bytes_ = 0, held_bytes_ = 0;
  Reservation reservation_;
};

}  // namespace penstock::loader
