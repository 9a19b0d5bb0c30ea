// Obsm by row: the vectors that travel with the rows. Those that are stored row by row are read beside a
// block's rows. Those in chunks would cost a block every chunk that one of its rows lies in, so they stay in
// memory where they take no more than kResidentObsm of the budget.
//
// Thread contract: immutable after build; a View belongs to one worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"
#include "dataset/dataset_impl.h"
#include "memory/slab.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/request.h"
#include "source/row_source.h"

namespace penstock::loader {

inline constexpr double kResidentObsm = 0.2;

class RowObsm {
 public:
  RowObsm() = default;
  // Decides what stays in memory, and reads that, reserved under `obs`. `memory`: the whole budget.
  // `unsupported` when rows are too long for any window.
  static Result<RowObsm> build(std::vector<internal::ObsmEntry> entries,
                               std::span<const internal::FilePart> parts, ByteCount memory,
                               MemoryBudget& budget);

  std::span<const internal::ObsmEntry> entries() const { return entries_; }
  // Of a row: the vectors of all entries, one behind the other.
  ByteCount record_bytes() const { return record_bytes_; }
  // Where those of an entry begin.
  ByteCount record_offset(std::size_t entry) const { return places_[entry].record_offset; }
  bool resident(std::size_t entry) const { return places_[entry].values.data() != nullptr; }

  // For entries that are read again: what to read beside rows, and scratch to decode it.
  void requests(std::uint32_t file, std::span<const RowRange> wanted, RequestList& list) const;
  ByteCount scratch_bytes() const;
  // Of one of them; 0 when it is resident.
  ByteCount scratch_bytes(std::size_t entry) const { return places_[entry].scratch_bytes; }

  // The vectors of one block's rows.
  class View {
   public:
    View() = default;
    // Writes record_bytes() for a row; best in ascending order. What the codecs count for it is taken back:
    // only the matrix counts as decoded.
    Status write(RowIndex row, std::byte* record) const;

   private:
    friend class RowObsm;
    const RowObsm* obsm_ = nullptr;
    std::uint32_t file_ = 0;
    Fetched fetched_{{}, nullptr};
    Scratch scratch_;
  };
  // scratch.bytes: scratch_bytes() at least. The bytes that were fetched stay as they are while the View is
  // used.
  View prepare(std::uint32_t file, const Fetched& fetched, const Scratch& scratch) const;

 private:
  // Of an entry.
  struct Place {
    ByteCount record_offset = 0, scratch_bytes = 0;
    Slab values;                           // by row of all files; empty: read again
    std::vector<std::uint64_t> first_row;  // of each file, when resident
  };

  Status keep(std::span<const internal::FilePart> parts, ByteCount memory, MemoryBudget& budget);
  Status fill(std::size_t entry, std::span<const internal::FilePart> parts, MemoryBudget& budget);

  std::vector<internal::ObsmEntry> entries_;
  std::vector<Place> places_;
  ByteCount record_bytes_ = 0;
  Reservation reservation_;
};

}  // namespace penstock::loader
