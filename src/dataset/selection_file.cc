// A selection as a file, and back. The format is in the header. CRoaring can read its own format, but trusts
// it: a bitmap with keys out of order, or counts that are wrong, would be taken as it is and behave strangely
// later. So bitmaps are parsed here, row by row, into a SelectionBuilder, whose result is sound however
// hostile the bytes are. That is slower, and fast enough for a file that is read once.
//
// A selection of other files must not pass for one of these. Each file's name and number of rows is compared
// one after the other, for a message that says which differs; the digest at the front is of the same, and
// catches what was edited by hand.
#include "dataset/selection_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "base/byte_reader.h"
#include "base/fnv1a.h"
#include "dataset/selection_builder.h"
#include "io/file.h"
#include "io/replace_file.h"
#include "memory/reserve_for.h"

namespace penstock::internal {

namespace {

constexpr std::string_view kMagic = "PNSTSEL1";
constexpr std::uint32_t kVersion = 1;

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

// Without folders: the files may have moved.
std::string_view name_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Lengths stand before names, so that no two lists of names spell the same bytes.
std::uint64_t digest_of(std::span<const std::string> paths, std::span<const FilePart> all) {
  std::string text;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string_view name = name_of(paths[i]);
    put(text, static_cast<std::uint64_t>(name.size()));
    text += name;
    put(text, all[i].n_selected);
  }
  return fnv1a(text);
}

std::vector<std::string> paths_of(const OpenedFiles& opened) {
  std::vector<std::string> paths;
  for (const OpenedFiles::File& file : opened.files) paths.push_back(file.path);
  return paths;
}

// A bitmap in the portable format (https://github.com/RoaringBitmap/RoaringFormatSpec), row by row: nothing
// is believed that would make a bitmap inconsistent.
class BitmapParser {
 public:
  BitmapParser(std::span<const std::byte> bytes, RowIndex n_rows, SelectionBuilder& out)
      : in_(bytes), n_rows_(n_rows), out_(out) {}

  // False: not a sound bitmap of rows below n_rows.
  // RoaringFormatSpec: a cookie, the number of containers, for each a key (the upper 16 bits of its rows) and
  // its count less one, then maybe offsets, then the containers. With runs, the number is in the cookie's
  // upper half, and a bit for each container says whether it is one of runs.
  bool run() {
    constexpr std::uint32_t kNoRuns = 12346, kRuns = 12347, kNoOffsets = 4;
    const std::uint32_t cookie = in_.u32();
    const bool runs = (cookie & 0xffff) == kRuns;
    if (!runs && cookie != kNoRuns) return false;
    const std::uint64_t n = runs ? (cookie >> 16) + 1 : in_.u32();
    // There are no more keys than that; the products below stay small.
    if (n > 65'536) return false;
    const auto is_run = in_.bytes(runs ? (n + 7) / 8 : 0);
    const auto heads = in_.bytes(n * 4);
    // Offsets are for reading single containers. They are redundant here, so that they cannot lead anywhere.
    if (!runs || n >= kNoOffsets) in_.skip(n * 4);
    if (in_.failed()) return false;
    ByteReader head(heads);
    std::uint64_t next_key = 0;
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t key = head.u16(), count = std::uint64_t{head.u16()} + 1;
      // Ascending keys are what makes rows ascend, which the builder relies on.
      if (key < next_key) return false;
      next_key = key + 1;
      base_ = key << 16;
      const bool run = runs && (static_cast<unsigned>(is_run[i / 8]) >> i % 8 & 1) != 0;
      if (!(run ? run_container(count) : count <= 4096 ? array(count) : bits(count))) return false;
    }
    return in_.remaining() == 0 && !in_.failed();
  }

 private:
  // Up to 4,096 rows: their lower 16 bits, ascending.
  bool array(std::uint64_t count) {
    std::uint64_t least = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t low = in_.u16();
      if (in_.failed() || low < least || base_ + low >= n_rows_) return false;
      least = low + 1;
      out_.add(base_ + low);
    }
    return true;
  }
  // Pairs of a first row and a length less one. Runs must not touch rows before them.
  bool run_container(std::uint64_t count) {
    const std::uint64_t runs = in_.u16();
    std::uint64_t least = 0, seen = 0;
    for (std::uint64_t i = 0; i < runs; ++i) {
      const std::uint64_t first = in_.u16(), end = first + in_.u16() + 1;
      if (in_.failed() || first < least || end > 65'536 || base_ + end > n_rows_) return false;
      least = end;
      seen += end - first;
      out_.add_range(base_ + first, base_ + end);
    }
    return seen == count;
  }
  // More than 4,096 rows: 65,536 bits.
  bool bits(std::uint64_t count) {
    std::uint64_t seen = 0;
    for (std::uint64_t word = 0; word < 1024; ++word) {
      for (std::uint64_t left = in_.u64(); left != 0; left &= left - 1) {
        const std::uint64_t row = base_ + word * 64 + static_cast<std::uint64_t>(std::countr_zero(left));
        if (row >= n_rows_) return false;
        ++seen;
        out_.add(row);
      }
    }
    return !in_.failed() && seen == count;
  }

  ByteReader in_;
  const RowIndex n_rows_;
  SelectionBuilder& out_;
  RowIndex base_ = 0;
};

}  // namespace

std::string selection_bytes(std::span<const std::string> paths, std::span<const FilePart> all,
                            std::span<const FilePart> parts) {
  std::string out(kMagic);
  put(out, kVersion);
  put(out, static_cast<std::uint32_t>(parts.size()));
  put(out, digest_of(paths, all));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string_view name = name_of(paths[i]);
    put(out, static_cast<std::uint32_t>(name.size()));
    out += name;
    put(out, all[i].n_selected);
    put(out, parts[i].n_selected);
    const bool whole = parts[i].selected == nullptr;
    put(out, static_cast<std::uint8_t>(whole ? 0 : 1));
    if (whole) continue;
    const std::size_t size = parts[i].selected->getSizeInBytes(true);
    put(out, static_cast<std::uint64_t>(size));
    out.resize(out.size() + size);
    parts[i].selected->write(out.data() + out.size() - size, true);
  }
  put(out, fnv1a(out));
  return out;
}

Result<Parts> parse_selection(std::span<const std::string> paths, std::span<const FilePart> all,
                              std::span<const std::byte> bytes, std::string_view label,
                              MemoryBudget& budget) {
  const auto corrupt = [&](std::string_view what) {
    return Status::corrupt(fmt::format("{}: {}; save the selection again", label, what));
  };
  ByteReader in(bytes);
  if (!in.match(kMagic)) return corrupt("not a selection that penstock saved");
  const std::uint32_t version = in.u32();
  if (!in.failed() && version != kVersion) {
    return Status::unsupported(
        fmt::format("{}: a selection of version {}, this reads {}", label, version, kVersion));
  }
  // The checksum is looked at before anything else is believed; the version comes first, since another
  // version may end otherwise.
  const std::size_t body = bytes.size() - std::min<std::size_t>(bytes.size(), 8);
  ByteReader tail(bytes.subspan(body));
  const std::string_view before(reinterpret_cast<const char*>(bytes.data()), body);
  if (tail.u64() != fnv1a(before)) return corrupt("the bytes were cut or changed");

  const std::uint64_t n_files = in.u32(), digest = in.u64();
  const auto other = [&](std::string_view what) {
    return Status::invalid_argument(fmt::format("{}: a selection of other files: {}", label, what));
  };
  return guard_selection([&]() -> Result<Parts> {
    Parts out;
    SelectionBuilder builder;
    for (std::uint64_t i = 0; i < n_files; ++i) {
      const std::string name(in.chars(in.u32()));
      const std::uint64_t rows = in.u64(), selected = in.u64();
      const std::uint8_t kind = in.u8();
      const ByteCount size = kind == 1 ? in.u64() : 0;
      if (in.failed() || kind > 1 || size > in.remaining()) return corrupt("it ends too early");
      if (i == all.size()) {
        return other(fmt::format("its file {} is {}, here there are {}", i + 1, name, all.size()));
      }
      const std::string_view here = name_of(paths[i]);
      if (name != here) return other(fmt::format("its file {} is {}, here it is {}", i + 1, name, here));
      if (rows != all[i].n_selected) {
        return other(fmt::format("{} had {} rows, here it has {}", name, format_count(rows),
                                 format_count(all[i].n_selected)));
      }
      if (kind == 0) {
        builder.add_range(0, rows);
      } else if (!BitmapParser(in.bytes(size), rows, builder).run()) {
        return corrupt(fmt::format("the rows of {} are no bitmap of its {} rows", name, format_count(rows)));
      }
      PENSTOCK_ASSIGN_OR_RETURN(FilePart part, builder.take(all[i], budget));
      if (part.n_selected != selected)
        return corrupt(fmt::format("the rows of {} are not as many as it says", name));
      out.push_back(std::move(part));
    }
    if (n_files != all.size()) {
      return other(fmt::format("it has {} files, here there are {}: {} is not in it", n_files, all.size(),
                               name_of(paths[n_files])));
    }
    // Eight bytes are left, the checksum.
    if (digest != digest_of(paths, all) || in.remaining() != 8) return corrupt("it contradicts itself");
    return out;
  });
}

Status save_selection(const OpenedFiles& opened, std::span<const FilePart> parts, const std::string& path) {
  // At most the bitmaps, which are reserved themselves, and some names.
  ByteCount most = 64;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    most +=
        opened.files[i].path.size() + 32 + (parts[i].selected ? parts[i].selected->getSizeInBytes(true) : 0);
  }
  PENSTOCK_ASSIGN_OR_RETURN(const Reservation held,
                            reserve_for(path, *opened.budget, MemoryTag::index, most));
  return guard_selection(
      [&] { return replace_file(path, selection_bytes(paths_of(opened), all_rows(opened), parts)); });
}

Result<Parts> load_selection(const OpenedFiles& opened, const std::string& path) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto file, open_posix_file(path));
  PENSTOCK_ASSIGN_OR_RETURN(const Reservation held,
                            reserve_for(path, *opened.budget, MemoryTag::index, file->size()));
  return guard_selection([&]() -> Result<Parts> {
    // Reserved above, whatever size the file has.
    std::vector<std::byte> bytes(file->size());
    PENSTOCK_RETURN_IF_ERROR(file->read_at(0, bytes));
    return parse_selection(paths_of(opened), all_rows(opened), bytes, path, *opened.budget);
  });
}

}  // namespace penstock::internal
