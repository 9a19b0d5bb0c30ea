// Entries of several files as one, and a look at some of its rows: to_anndata() in Python. They are read once,
// ascending, as row_reader.cc reads those of the matrix, and arranged afterwards.
#include "dataset/obsm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include "base/checked.h"
#include "dataset/selection.h"
#include "memory/reserve_for.h"
#include "memory/reserved_buffer.h"
#include "source/read_requests.h"
#include "source/widen.h"

namespace penstock::internal {
namespace {

// Whether one more file's entry goes with those before it; its type widens theirs.
Status add_file(const ObsmArray& array, ObsmEntry& entry) {
  const ObsmArray& first = *entry.files.front();
  const auto differ = [&](const std::string& mine, const std::string& others) {
    return Status::invalid_argument(fmt::format(
        "{}: {}, but {} has {}; obsm=[\"{}\"] needs the same in every file: write it anew for all of them, or "
        "leave it out",
        array.where(), mine, first.where(), others, entry.name));
  };
  if (array.width() != entry.width) {
    return differ(fmt::format("{} columns", format_count(array.width())), format_count(entry.width));
  }
  if (array.columns() != entry.columns) {
    const auto [mine, others] = std::mismatch(array.columns().begin(), array.columns().end(),
                                              entry.columns.begin(), entry.columns.end());
    // One of them may be an array, whose columns have no names.
    const auto text = [](auto at, auto end) {
      return at == end ? "columns without names" : "column '" + *at + "'";
    };
    return differ(text(mine, array.columns().end()), text(others, entry.columns.end()));
  }
  const auto wider = wider_type(entry.type, array.type());
  if (!wider) {
    return differ(type_name(array.type()),
                  fmt::format("{}, and no integer type holds both", type_name(entry.type)));
  }
  entry.type = *wider;
  return {};
}

// Rows of one file, ascending, into an array of all rows.
class Reader {
 public:
  Reader(const ObsmEntry& entry, const ObsmArray& array, MemoryBudget& budget)
      : entry_(entry),
        array_(array),
        stored_(array.where(), &budget, MemoryTag::fetch),
        scratch_(array.where(), &budget, MemoryTag::scratch) {}

  // The selected rows of `part`.
  Status read(const FilePart& part, std::byte* out) {
    constexpr std::uint64_t kRowsAtOnce = 512;
    PENSTOCK_RETURN_IF_ERROR(scratch_.grow_to(array_.scratch_bytes()));
    RowCursor cursor(part);
    for (std::uint64_t done = 0; done < part.n_selected;) {
      const std::uint64_t n = std::min(kRowsAtOnce, part.n_selected - done);
      cursor.next(n, wanted_);
      done += n;
      PENSTOCK_RETURN_IF_ERROR(read_wanted(&out));
    }
    return {};
  }

 private:
  Status read_wanted(std::byte** out) {
    list_.clear();
    array_.requests(wanted_, list_);
    list_.coalesce(kCoalesceGap, kCoalesceMax);
    PENSTOCK_ASSIGN_OR_RETURN(const Fetched fetched, read_requests(list_, stored_));
    array_.begin(scratch_.bytes());
    Scratch room{scratch_.bytes(), &codec_};
    for (const RowRange& range : wanted_) {
      for (RowIndex row = range.first; row < range.last; ++row) {
        PENSTOCK_RETURN_IF_ERROR(array_.read(row, entry_.type, fetched, room, *out));
        *out += entry_.row_bytes();
      }
    }
    return {};
  }

  const ObsmEntry& entry_;
  const ObsmArray& array_;
  ReservedBuffer stored_, scratch_;
  CodecContext codec_;
  RequestList list_;
  std::vector<RowRange> wanted_;
};

}  // namespace

Result<ObsmEntry> join_obsm(const OpenedFiles& opened, const std::string& name) {
  ObsmEntry entry;
  entry.name = name;
  for (const OpenedFiles::File& file : opened.files) {
    PENSTOCK_ASSIGN_OR_RETURN(auto array, file.content->obsm(name));
    if (entry.files.empty()) {
      entry.type = array->type();
      entry.width = array->width();
      entry.columns = array->columns();
    } else {
      PENSTOCK_RETURN_IF_ERROR(add_file(*array, entry));
    }
    entry.files.push_back(std::move(array));
  }
  return entry;
}

Result<ObsmRows> read_obsm(const ObsmEntry& entry, std::span<const FilePart> parts,
                           std::span<const std::int64_t> positions, MemoryBudget& budget) {
  try {
    std::vector<std::int64_t> unique(positions.begin(), positions.end());
    std::sort(unique.begin(), unique.end());
    unique.erase(std::unique(unique.begin(), unique.end()), unique.end());
    PENSTOCK_ASSIGN_OR_RETURN(const Parts chosen, select_positions(parts, unique, budget));
    const ByteCount row_bytes = entry.row_bytes();
    // The rows once as they lie in the files, and once as they are returned. A file may say that they are very
    // wide and hold nothing of it.
    PENSTOCK_ASSIGN_OR_RETURN(
        const Reservation held,
        reserve_for(entry.files.front()->where(), budget, MemoryTag::obs,
                    saturating_mul(saturating_add(unique.size(), positions.size()), row_bytes)));
    std::vector<std::uint8_t> rows(unique.size() * row_bytes);
    auto* at = reinterpret_cast<std::byte*>(rows.data());
    for (std::size_t f = 0; f < chosen.size(); ++f) {
      if (chosen[f].n_selected == 0) continue;
      PENSTOCK_RETURN_IF_ERROR(Reader(entry, *entry.files[f], budget).read(chosen[f], at));
      at += chosen[f].n_selected * row_bytes;
    }
    ObsmRows out;
    out.n_rows = positions.size();
    out.width = entry.width;
    out.dtype = type_name(entry.type);
    out.columns = entry.columns;
    if (std::equal(unique.begin(), unique.end(), positions.begin(), positions.end())) {
      out.values = std::move(rows);
      return out;
    }
    out.values.resize(positions.size() * row_bytes);
    for (std::size_t i = 0; i < positions.size(); ++i) {
      const auto found = std::lower_bound(unique.begin(), unique.end(), positions[i]);
      const auto place = static_cast<std::size_t>(found - unique.begin());
      if (row_bytes > 0) std::memcpy(&out.values[i * row_bytes], &rows[place * row_bytes], row_bytes);
    }
    return out;
  } catch (const std::bad_alloc&) {
    return Status::budget("the system has no memory for these rows");
  }
}

}  // namespace penstock::internal
