// Repetition and definition levels, by runs: a list of 1,400 entries is a 0 and a run of 1s, not 1,400
// levels.
//
// Thread contract: pure functions. No allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "parquet/encodings/decode_error.h"

namespace penstock::parquet {

// Bits of a level: ceil(log2(max + 1)).
int level_width(std::uint8_t max_level);

// True when all n levels equal max_level. `levels`: hybrid bytes. The usual case, one run, costs nothing.
DecodeError all_at(std::span<const std::byte> levels, std::uint8_t max_level, std::uint64_t n, bool* out);

// Expands n levels, one byte each.
DecodeError read_levels(std::span<const std::byte> levels, std::uint8_t max_level, std::uint64_t n,
                        std::uint8_t* out);

// What the levels of one page of a list column (max_rep = 1) say.
struct ListPage {
  std::uint64_t rows = 0;             // rows that begin in this page
  std::uint64_t elements_before = 0;  // elements that belong to the row before the first of them
  std::uint64_t values = 0;           // values stored in the page (nulls have none)
  std::uint64_t null_elements = 0;    // elements that are null
  std::uint64_t null_lists = 0;       // rows that are null rather than empty
  // Entries of the lists, null or not.
  std::uint64_t elements() const { return values + null_elements; }
};

// Walks n_levels levels. starts[i] = number, among the elements of this page, of the first element of the
// i-th row that begins in it; an empty row's start is that of the next. `starts` holds at least
// min(n_levels, what the caller knows to be the most rows); more rows are `out_of_range`. max_def,
// element_def and list_def as in Column. Fast path: def is one run of max_def; rep is walked by runs and set
// bits.
DecodeError list_starts(std::span<const std::byte> rep, std::span<const std::byte> def, std::uint8_t max_def,
                        std::uint8_t element_def, std::uint8_t list_def, std::uint64_t n_levels,
                        std::span<std::uint32_t> starts, ListPage* out);

// How many of n levels are 0, and whether the first of them is another: rows of a column that is nested
// deeper than a list.
DecodeError nested_rows(std::span<const std::byte> rep, std::uint8_t max_rep, std::uint64_t n,
                        std::uint64_t* rows, bool* begins_inside);

// The n values at the beginning of `values`, each of `size` bytes, to the places that `present` says have
// one. What lies between is not written.
void spread(std::byte* values, std::size_t size, std::span<const std::uint8_t> present, std::uint64_t n);

}  // namespace penstock::parquet
