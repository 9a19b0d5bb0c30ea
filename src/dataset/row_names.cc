// Names of the rows of a batch. Batches hold rows of all files in random order, and names lie in the files in
// blocks of strings, compressed: finding one name means decoding its block. So the names of a file are kept
// at their first use, end to end with 8 bytes each for where they end, unless they would take more than half
// of what the budget has left. Then the blocks are read anew for each batch, sorted by row, so that each is
// decoded once a batch.
//
//     text    AAACCTGAAACCTGAG    ends    8 16       the names of the rows 0 and 1
#include "dataset/row_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

namespace penstock::internal {

Result<std::shared_ptr<const RowNames::Names>> RowNames::read_all(const TextReader& reader) const {
  const std::shared_ptr<const Names> too_large;
  const auto usage = budget_->usage();
  // Half, so that columns and selections that are asked for later have room as well.
  const ByteCount room = (usage.limit - usage.used) / 2;
  const std::uint64_t n = reader.size(), step = reader.rows_at_once();
  if (n > room / sizeof(std::uint64_t)) return too_large;
  const ByteCount beside = sizeof(Names) + n * sizeof(std::uint64_t);
  auto names = std::make_shared<Names>();
  ByteCount text_room = 0;
  for (std::uint64_t first = 0; first < n; first += step) {
    const std::uint64_t last = std::min(n, first + step);
    auto block = reader.read(first, last - first);
    // Reading takes memory, too: of what the names that are held leave.
    if (first > 0 && block.status().code() == StatusCode::budget) return too_large;
    PENSTOCK_ASSIGN_OR_RETURN(const auto texts, std::move(block));
    ByteCount text_bytes = names->text.size();
    for (const std::string& text : texts) text_bytes += text.size();
    // How long names are is known only after they were read. The first block sets a guess for all, which is
    // reserved before it is taken; a later block that breaks it makes another one.
    if (first == 0 || text_bytes > text_room) {
      // What has been read says about how much all will take; an eighth more, since names grow as they count.
      const double all = static_cast<double>(text_bytes) * static_cast<double>(n) / static_cast<double>(last);
      text_room = static_cast<ByteCount>(last < n ? all * 1.125 : all);
      text_room = std::max(text_room, text_bytes);
      // Reserved anew and not resized: the text is in two places while it grows.
      auto held =
          text_room + beside > room ? std::nullopt : budget_->try_reserve(MemoryTag::obs, text_room + beside);
      if (!held) return too_large;
      names->text.reserve(text_room);
      names->ends.reserve(n);
      names->held = *std::move(held);
    }
    for (const std::string& text : texts) {
      names->text += text;
      names->ends.push_back(names->text.size());
    }
  }
  return std::shared_ptr<const Names>(std::move(names));
}

Result<std::shared_ptr<const RowNames::Names>> RowNames::keep(std::size_t file) const {
  const MutexLock lock(mutex_);
  Kept& kept = kept_[file];
  // Too large once is too large for good: trying again would read the whole file for every batch.
  if (kept.names || kept.too_large) return kept.names;
  PENSTOCK_ASSIGN_OR_RETURN(auto index, files_[file].obs->index());
  PENSTOCK_ASSIGN_OR_RETURN(const auto reader, TextReader::open(std::move(index), *budget_));
  PENSTOCK_ASSIGN_OR_RETURN(kept.names, read_all(reader));
  kept.too_large = kept.names == nullptr;
  return kept.names;
}

// `wanted` ascends, so that each block is read once and given up before the next one comes.
Status RowNames::read_blocks(std::size_t file, std::span<Wanted> wanted,
                             std::vector<std::string>& out) const {
  PENSTOCK_ASSIGN_OR_RETURN(auto index, files_[file].obs->index());
  PENSTOCK_ASSIGN_OR_RETURN(const auto reader, TextReader::open(std::move(index), *budget_));
  const std::uint64_t step = reader.rows_at_once();
  for (std::size_t i = 0; i < wanted.size();) {
    const std::uint64_t first = wanted[i].row / step * step, last = std::min(reader.size(), first + step);
    PENSTOCK_ASSIGN_OR_RETURN(const auto texts, reader.read(first, last - first));
    for (; i < wanted.size() && wanted[i].row < last; ++i)
      out[wanted[i].place] = texts[wanted[i].row - first];
  }
  return {};
}

Result<Dataset::RowNames> RowNames::read(std::span<const std::int64_t> rows) const {
  try {
    Dataset::RowNames out;
    out.names.resize(rows.size());
    std::vector<std::vector<Wanted>> by_file(files_.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto row = static_cast<RowIndex>(rows[i]);
      // The last file that begins at or before the row. Files without rows begin where the next one does, and
      // are passed over.
      const auto after = std::upper_bound(files_.begin(), files_.end(), row,
                                          [](RowIndex r, const File& file) { return r < file.first_row; });
      const auto file = static_cast<std::size_t>(after - files_.begin()) - 1;
      if (rows[i] < 0 || row - files_[file].first_row >= files_[file].obs->n_rows()) {
        return Status::invalid_argument(fmt::format("there is no row {} in these files", rows[i]));
      }
      by_file[file].push_back({i, row - files_[file].first_row});
    }
    for (std::size_t f = 0; f < files_.size(); ++f) {
      std::vector<Wanted>& wanted = by_file[f];
      if (wanted.empty()) continue;
      PENSTOCK_ASSIGN_OR_RETURN(const auto names, keep(f));
      if (names == nullptr) {
        std::sort(wanted.begin(), wanted.end(),
                  [](const Wanted& a, const Wanted& b) { return a.row < b.row; });
        PENSTOCK_RETURN_IF_ERROR(read_blocks(f, wanted, out.names));
        out.read_again = true;
        continue;
      }
      for (const Wanted& w : wanted) {
        const std::uint64_t begin = w.row == 0 ? 0 : names->ends[w.row - 1];
        out.names[w.place].assign(names->text, begin, names->ends[w.row] - begin);
      }
    }
    return out;
  } catch (const std::bad_alloc&) {
    return Status::budget("the system has no memory for the names of these rows");
  }
}

}  // namespace penstock::internal
