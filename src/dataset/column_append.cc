// One file's column goes to the end of a column over all files, in slabs of about 64 Ki rows, of which only
// those that hold a selected row are read. Types have been agreed on before (obs_table.cc); here values are
// moved, converted, or given the code that their category has over all files.
//
//     slab of a file    codes    1 0 -1 1      the file's own list: b, a
//     codes (table)     -1 1 0                 entry 0 is for -1; b is 1 and a is 0 over all files
//     to the end        0 1 -1 0
#include "dataset/column_append.h"

#include <fmt/format.h>

#include <algorithm>

#include "dataset/selection.h"
#include "source/numbers.h"

namespace penstock::internal {

namespace {

using Kind = Column::Kind;

// Rows [first, first + count) of the source as its own kind.
Result<Column> read_slab(const ColumnSource& source, std::uint64_t first, std::uint64_t count) {
  // Strings that are to become categories were coded once (coded_strings.h), and are in memory already:
  // nothing is fetched, and no scratch is used.
  if (source.coded == nullptr) return source.column->read(first, count, source.n_categories);
  Column slab;
  slab.kind = Kind::categorical;
  slab.codes.resize(count);
  Scratch none;
  PENSTOCK_RETURN_IF_ERROR(source.coded->decode({first, first + count}, Fetched({}, nullptr), none,
                                                std::as_writable_bytes(std::span(slab.codes))));
  return slab;
}

double as_double(const Column& slab, std::size_t i) {
  if (slab.kind == Kind::boolean) return slab.booleans[i];
  if (slab.kind == Kind::floating) return slab.floats[i];
  return slab.is_unsigned ? static_cast<double>(static_cast<std::uint64_t>(slab.integers[i]))
                          : static_cast<double>(slab.integers[i]);
}

// Whether element i of a slab of integers is a float64.
// What stands in place of a missing integer is not looked at.
bool is_exact(const Column& slab, std::size_t i) {
  return slab.kind != Kind::integer || exact_in_double(slab.integers[i], slab.is_unsigned) ||
         (!slab.missing.empty() && slab.missing[i] != 0);
}

// Element i of a slab to the end of `out`.
void append(Column& slab, std::size_t i, const std::vector<std::int32_t>* codes, Column& out) {
  switch (out.kind) {
    case Kind::categorical: {
      const std::int32_t code = slab.codes[i];
      out.codes.push_back(codes != nullptr ? (*codes)[static_cast<std::size_t>(code + 1)] : code);
      return;
    }
    case Kind::string:
      // The slab is given up with its row; each row comes once.
      out.strings.push_back(std::move(slab.strings[i]));
      return;
    case Kind::integer:
      out.integers.push_back(slab.kind == Kind::boolean ? slab.booleans[i] : slab.integers[i]);
      return;
    case Kind::floating:
      out.floats.push_back(as_double(slab, i));
      return;
    case Kind::boolean:
      out.booleans.push_back(slab.booleans[i]);
      return;
  }
}

}  // namespace

Status for_each_selected(const ColumnSource& source, const FilePart& part,
                         const std::function<Status(Column&, std::size_t)>& f) {
  const std::uint64_t n = source.column->size(), step = source.column->rows_at_once();
  RowCursor cursor(part);
  for (std::uint64_t first = 0; first < n; first += step) {
    const std::uint64_t last = std::min(n, first + step);
    // A slab without a selected row is not read.
    if (!cursor.before(last)) continue;
    PENSTOCK_ASSIGN_OR_RETURN(Column slab, read_slab(source, first, last - first));
    while (cursor.before(last)) {
      PENSTOCK_RETURN_IF_ERROR(f(slab, static_cast<std::size_t>(cursor.next() - first)));
    }
  }
  return {};
}

Status append_selected(const ColumnSource& source, const FilePart& part, Column& out) {
  // A categorical says by its codes what is missing.
  const bool masked = source.column->masked() && out.kind != Kind::categorical;
  // Files before this one may have had no mask: their rows are not missing.
  if (masked) out.missing.resize(out.size(), 0);
  PENSTOCK_RETURN_IF_ERROR(for_each_selected(source, part, [&](Column& slab, std::size_t i) -> Status {
    if (out.kind == Kind::floating && !is_exact(slab, i)) {
      return Status::invalid_argument(
          fmt::format("{}: {} is no float64 exactly, which this column is over all files: some have "
                      "fractions or negative numbers in it; open the files one by one",
                      source.column->where(), integer_text(slab.integers[i], slab.is_unsigned)));
    }
    append(slab, i, source.codes, out);
    if (masked) out.missing.push_back(slab.missing[i]);
    return {};
  }));
  // And this one may have none where files before it had.
  if (!masked && !out.missing.empty()) out.missing.resize(out.size(), 0);
  return {};
}

}  // namespace penstock::internal
