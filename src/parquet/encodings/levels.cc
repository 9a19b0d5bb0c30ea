// Levels (parquet-format README, "Nested Encoding"; Dremel's): a page of a list column has two small numbers
// for each entry, beside the values. The repetition level says where a row begins (0) and where it goes on
// (1). The definition level says how much of the path exists: a missing list, an empty one, a missing
// element, a value. Only the last has something in the values.
//
// A worked example: the column is an optional list of optional floats, so that 3 is a value, 2 a missing
// element, 1 an empty list and 0 a missing list (max_def = 3, element_def = 2, list_def = 1). The rows [5,
// null, 7], [], null, [9] are stored as
//
//     rep      0 1 1   0   0   0
//     def      3 2 3   1   0   3
//     values   5   7           9
//
// and list_starts() makes of that: starts = 0, 3, 3, 3 (four rows, in elements; 4 elements in all), values =
// 3, null_elements = 1, null_lists = 1. When the page before ends inside a row, the first repetition level
// here is 1, and the elements up to the next 0 are elements_before.
//
// Real single-cell files have no missing lists or elements. All definition levels are then max_def, mostly as
// one run of a few bytes, and all_at() finds that out at the price of that run. What is left are the
// repetition levels, one bit an entry, of which one in a thousand or so is 0: starts_of_full() looks for
// those with an instruction that finds the next bit set.
#include "parquet/encodings/levels.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "parquet/encodings/hybrid.h"
#include "parquet/encodings/level_runs.h"

namespace penstock::parquet {
namespace {

// Every entry exists, so an entry's level and its value have one number: rows begin where the repetition
// level is 0.
DecodeError starts_of_full(std::span<const std::byte> rep, std::uint64_t n, std::span<std::uint32_t> starts,
                           ListPage* out) {
  HybridReader reader(rep, 1);
  std::uint64_t at = 0;
  const auto begins = [&](std::uint64_t position) {
    // A row that begins where no room is left ends the walk: the caller has sized `starts` by what the footer
    // says, so that a page with more rows contradicts it.
    if (out->rows == starts.size()) return false;
    if (out->rows == 0) out->elements_before = position;
    starts[out->rows++] = static_cast<std::uint32_t>(position);
    return true;
  };
  while (at < n) {
    HybridReader::Piece piece;
    const DecodeError error = reader.take(n - at, &piece);
    if (error != DecodeError::ok) return error;
    if (!piece.packed) {
      if (piece.value > 1) return DecodeError::out_of_range;
      // A run of ones goes on inside a row and costs nothing, however long it is.
      for (std::uint64_t i = 0; piece.value == 0 && i < piece.count; ++i) {
        if (!begins(at + i)) return DecodeError::out_of_range;
      }
    } else {
      // skip is 0: pieces are taken whole. Zero bits, eight values a byte.
      for (std::uint64_t i = 0; i < piece.count; i += 8) {
        auto zeros = static_cast<std::uint32_t>(~static_cast<std::uint32_t>(piece.bytes[i / 8]) & 0xffU);
        // Bits behind the last value of the page are padding, and mostly zeros: they are no rows.
        if (piece.count - i < 8) zeros &= (1U << (piece.count - i)) - 1;
        // One turn for each row that begins; a byte without one costs the test alone.
        for (; zeros != 0; zeros &= zeros - 1) {
          if (!begins(at + i + static_cast<std::uint64_t>(std::countr_zero(zeros))))
            return DecodeError::out_of_range;
        }
      }
    }
    at += piece.count;
  }
  if (out->rows == 0) out->elements_before = n;
  out->values = n;
  return DecodeError::ok;
}

}  // namespace

int level_width(std::uint8_t max_level) { return std::bit_width(static_cast<unsigned>(max_level)); }

// Looks at all runs even when one has already said no: a level beyond its maximum in what follows is an error
// either way, and does not go unnoticed.
DecodeError all_at(std::span<const std::byte> levels, std::uint8_t max_level, std::uint64_t n, bool* out) {
  *out = true;
  if (max_level == 0) return DecodeError::ok;
  LevelRuns runs(levels, max_level);
  while (n > 0) {
    std::uint8_t level = 0;
    std::uint64_t count = 0;
    const DecodeError error = runs.peek(&level, &count);
    if (error != DecodeError::ok) return error;
    if (level != max_level) *out = false;
    count = std::min(count, n);
    runs.pass(count);
    n -= count;
  }
  return DecodeError::ok;
}

DecodeError read_levels(std::span<const std::byte> levels, std::uint8_t max_level, std::uint64_t n,
                        std::uint8_t* out) {
  LevelRuns runs(levels, max_level);
  while (n > 0) {
    std::uint8_t level = 0;
    std::uint64_t count = 0;
    const DecodeError error = runs.peek(&level, &count);
    if (error != DecodeError::ok) return error;
    count = std::min(count, n);
    out = std::fill_n(out, count, level);
    runs.pass(count);
    n -= count;
  }
  return DecodeError::ok;
}

DecodeError list_starts(std::span<const std::byte> rep, std::span<const std::byte> def, std::uint8_t max_def,
                        std::uint8_t element_def, std::uint8_t list_def, std::uint64_t n_levels,
                        std::span<std::uint32_t> starts, ListPage* out) {
  *out = ListPage();
  bool full = true;
  const DecodeError checked = all_at(def, max_def, n_levels, &full);
  if (checked != DecodeError::ok) return checked;
  if (full) return starts_of_full(rep, n_levels, starts, out);
  // The general case: both kinds of level advance together, by as many as both have the same level for.
  LevelRuns reps(rep, 1), defs(def, max_def);
  for (std::uint64_t i = 0; i < n_levels;) {
    std::uint8_t r = 0, d = 0;
    std::uint64_t r_count = 0, d_count = 0;
    DecodeError error = reps.peek(&r, &r_count);
    if (error == DecodeError::ok) error = defs.peek(&d, &d_count);
    if (error != DecodeError::ok) return error;
    const std::uint64_t n = std::min({r_count, d_count, n_levels - i});
    // Of a run of row beginnings each is a row; of a run inside a row only the entries count.
    // A run of rep = 0 with def below element_def is n rows without elements, which all start at the same
    // number; with def = element_def or more they are n rows of one element so far, which start one apart.
    if (r == 0) {
      if (starts.size() - out->rows < n) return DecodeError::out_of_range;
      if (out->rows == 0) out->elements_before = out->elements();
      for (std::uint64_t k = 0; k < n; ++k) {
        starts[out->rows++] = static_cast<std::uint32_t>(out->elements() + (d >= element_def ? k : 0));
      }
      if (d < list_def) out->null_lists += n;
    } else if (d < element_def) {
      return DecodeError::out_of_range;  // a null or empty list inside a row
    }
    if (d == max_def) {
      out->values += n;
    } else if (d >= element_def) {
      out->null_elements += n;
    }
    reps.pass(n);
    defs.pass(n);
    i += n;
  }
  if (out->rows == 0) out->elements_before = out->elements();
  return DecodeError::ok;
}

// A row begins where the level is 0, however deep the lists are nested. Such columns are not read; verify
// counts their rows.
DecodeError nested_rows(std::span<const std::byte> rep, std::uint8_t max_rep, std::uint64_t n,
                        std::uint64_t* rows, bool* begins_inside) {
  *rows = 0;
  *begins_inside = false;
  LevelRuns runs(rep, max_rep);
  for (std::uint64_t at = 0; at < n;) {
    std::uint8_t level = 0;
    std::uint64_t count = 0;
    const DecodeError error = runs.peek(&level, &count);
    if (error != DecodeError::ok) return error;
    count = std::min(count, n - at);
    if (at == 0) *begins_inside = level != 0;
    if (level == 0) *rows += count;
    runs.pass(count);
    at += count;
  }
  return DecodeError::ok;
}

// From the back, in place: a value moves to the same or a higher place, so that none is written over before
// it has moved. With present = 1 0 0 1, the values a b become a . . b.
void spread(std::byte* values, std::size_t size, std::span<const std::uint8_t> present, std::uint64_t n) {
  if (n == present.size()) return;
  for (std::size_t i = present.size(); i-- > 0;) {
    if (present[i] == 0) continue;
    --n;
    if (n != i) std::memmove(values + i * size, values + n * size, size);
  }
}

}  // namespace penstock::parquet
