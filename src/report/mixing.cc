#include "report/mixing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "base/permutation.h"
#include "dataset/selection.h"
#include "loader/labels.h"
#include "loader/sync_read.h"
#include "plan/tape.h"
#include "plan/windows.h"

namespace penstock::report {
namespace {

constexpr RowIndex kRowsAtOnce = 1 << 16;
constexpr std::uint64_t kShuffleStream = 0x7265706f7274;  // of mix(): unrelated to the loader's own
constexpr std::uint32_t kNobody = 0xffffffff;

// A row that a looked-at batch of Penstock's order holds.
struct Wanted {
  std::uint64_t row = 0;  // global number
  std::uint32_t batch = 0;
};

// Codes of one column, a run of rows of a file at a time. Missing is the code after the last category.
class CodeReader {
 public:
  static Result<CodeReader> make(internal::Label label, std::span<const internal::FilePart> parts,
                                 MemoryBudget& budget) {
    CodeReader reader;
    reader.boolean_ = label.kind == ObsKind::boolean;
    reader.n_ = reader.boolean_ ? 2 : label.categories.size();
    std::vector<internal::Label> one;
    one.push_back(std::move(label));
    PENSTOCK_ASSIGN_OR_RETURN(reader.labels_, loader::Labels::build(std::move(one), 0, parts, false, budget));
    return reader;
  }
  std::uint64_t n_codes() const { return n_ + 1; }

  // codes[i] is that of row rows.first + i.
  Status read(std::uint32_t file, RowRange rows, std::vector<std::uint32_t>& codes) {
    list_.clear();
    PENSTOCK_RETURN_IF_ERROR(labels_.requests(file, rows, list_));
    list_.coalesce(kCoalesceGap, kCoalesceMax);
    bytes_.resize(list_.total_bytes());
    PENSTOCK_RETURN_IF_ERROR(loader::read_requests(list_, bytes_));
    scratch_.resize(labels_.scratch_bytes(rows.size()) + 64);
    const auto address = reinterpret_cast<std::uintptr_t>(scratch_.data());
    Scratch scratch{std::span(scratch_).subspan(round_up(address, 64) - address), codec_.get()};
    PENSTOCK_ASSIGN_OR_RETURN(const auto view,
                              labels_.prepare(file, rows, Fetched(list_.requests(), bytes_.data()), scratch));
    codes.resize(rows.size());
    for (RowIndex r = rows.first; r < rows.last; ++r) {
      std::byte record[8];
      view.write(r, record);
      std::int32_t code = 0;
      if (boolean_) {
        code = std::to_integer<std::uint8_t>(record[0]) != 0 ? 1 : 0;
      } else {
        std::memcpy(&code, record, 4);
      }
      codes[r - rows.first] = code < 0 ? static_cast<std::uint32_t>(n_) : static_cast<std::uint32_t>(code);
    }
    return {};
  }

 private:
  loader::Labels labels_;
  bool boolean_ = false;
  std::uint64_t n_ = 0;
  RequestList list_;
  std::vector<std::byte> bytes_, scratch_;
  std::unique_ptr<CodecContext> codec_ = std::make_unique<CodecContext>();
};

template <class Count>
double entropy_bits(std::span<const Count> counts) {
  double total = 0, bits = 0;
  for (const Count n : counts) total += static_cast<double>(n);
  for (const Count n : counts) {
    if (n > 0) bits -= static_cast<double>(n) / total * std::log2(static_cast<double>(n) / total);
  }
  return bits;
}

// Counts per batch and code, of one order.
class Counts {
 public:
  Counts(std::size_t n_batches, std::uint64_t n_codes) : n_codes_(n_codes), counts_(n_batches * n_codes) {}
  void add(std::size_t batch, std::uint32_t code) { ++counts_[batch * n_codes_ + code]; }
  Panel panel(std::span<const std::uint32_t> line_of, std::size_t n_lines) const {
    Panel panel;
    const std::size_t n_batches = counts_.size() / n_codes_;
    panel.counts.resize(n_batches * n_lines);
    for (std::size_t b = 0; b < n_batches; ++b) {
      const std::span of_batch = std::span(counts_).subspan(b * n_codes_, n_codes_);
      for (std::size_t code = 0; code < n_codes_; ++code) {
        if (of_batch[code] > 0) panel.counts[b * n_lines + line_of[code]] += of_batch[code];
      }
      panel.entropy.push_back(entropy_bits<std::uint32_t>(of_batch));
      panel.mean_entropy += panel.entropy.back() / static_cast<double>(n_batches);
    }
    return panel;
  }

 private:
  std::uint64_t n_codes_;
  std::vector<std::uint32_t> counts_;
};

// The rows of the looked-at batches, by global number.
Result<std::vector<Wanted>> rows_of_batches(const internal::DatasetImpl& data, const Order& order,
                                            const plan::Share& share, const Mixing& mixing,
                                            MemoryBudget& budget) {
  PENSTOCK_ASSIGN_OR_RETURN(
      const auto blocks, plan::BlockTable::build(data.parts(), order.block_rows, order.exact_blocks, budget));
  const plan::Tape tape(&blocks, order.shuffle, order.seed, order.epoch);
  plan::WindowSequence windows(share, order.batch_size, order.window_rows, order.epoch == 0);
  std::vector<Wanted> wanted;  // row: on the tape, until further down
  std::size_t b = 0;
  while (const auto window = windows.next()) {
    if (window->repeat) break;
    const KeyedPermutation places(window->rows, plan::window_key(order.seed, order.epoch, window->first));
    for (; b < mixing.batches.size() && mixing.batches[b] < window->first_batch + window->n_batches; ++b) {
      const std::uint64_t first = (mixing.batches[b] - window->first_batch) * order.batch_size;
      const std::uint64_t last = std::min(window->rows, first + order.batch_size);
      for (std::uint64_t place = first; place < last; place += mixing.row_step) {
        const std::uint64_t i = order.shuffle ? places.inverse(place) : place;
        wanted.push_back({window->first + i, static_cast<std::uint32_t>(b)});
      }
    }
  }
  const auto by_row = [](const Wanted& x, const Wanted& y) { return x.row < y.row; };
  std::sort(wanted.begin(), wanted.end(), by_row);
  // From places of the tape to rows of the files.
  plan::TapeCursor cursor(&tape, share.first);
  plan::Segment segment;
  std::vector<RowRange> ranges;
  for (std::size_t i = 0; i < wanted.size() && cursor.next(share.last, &segment);) {
    if (wanted[i].row >= segment.tape_row + segment.rows) continue;
    const plan::Block& block = blocks[segment.block];
    const internal::FilePart& part = data.parts()[block.file];
    ranges.clear();
    plan::selected_ranges(part, block, segment.skip, segment.rows, ranges);
    std::uint64_t before = segment.tape_row;  // the tape row of the range's first row
    for (const RowRange& range : ranges) {
      for (; i < wanted.size() && wanted[i].row < before + range.size(); ++i)
        wanted[i].row = part.first_row + range.first + (wanted[i].row - before);
      before += range.size();
    }
  }
  std::sort(wanted.begin(), wanted.end(), by_row);
  return wanted;
}

// A category's name on the page.
std::string name_of(const std::vector<std::string>& categories, std::uint64_t code, bool boolean) {
  if (boolean) return code == 0 ? "False" : code == 1 ? "True" : "(missing)";
  return code < categories.size() ? categories[code] : "(missing)";
}

}  // namespace

Result<Mixing> measure_mixing(const internal::DatasetImpl& data, const std::string& label,
                              const std::vector<std::string>* given, const Order& order,
                              const std::shared_ptr<MemoryBudget>& budget) {
  PENSTOCK_ASSIGN_OR_RETURN(auto column, data.label(label, given));
  const bool boolean = column.kind == ObsKind::boolean;
  if (column.kind != ObsKind::category && !boolean) {
    return Status::invalid_argument(fmt::format(
        "obs '{}' holds numbers: the report's label must be a column of categories, strings or booleans",
        label));
  }
  const std::vector<std::string> categories = column.categories;
  PENSTOCK_ASSIGN_OR_RETURN(auto reader, CodeReader::make(std::move(column), data.parts(), *budget));
  const std::uint64_t n_rows = internal::selected_rows(data.parts());
  const plan::Share share =
      plan::rank_share(n_rows, order.rank, order.world_size, order.batch_size, order.drop_last);
  const std::uint64_t q = order.batch_size;
  const std::uint64_t n_batches = ceil_div(share.last - share.first, q);  // without the repeated row

  Mixing out;
  out.label = label;
  // Fewer batches where there are tens of thousands of categories.
  const std::uint64_t looked_at =
      std::min({n_batches, kMostBatches, std::max<std::uint64_t>(8, kMostRows / reader.n_codes())});
  for (std::uint64_t i = 0; i < looked_at; ++i) out.batches.push_back(i * n_batches / looked_at);
  out.row_step = std::max<std::uint64_t>(1, ceil_div(looked_at * std::min(q, n_rows), kMostRows));
  PENSTOCK_ASSIGN_OR_RETURN(const auto wanted, rows_of_batches(data, order, share, out, *budget));

  // One pass over the column.
  const std::uint64_t n_codes = reader.n_codes();
  const std::uint64_t count_bytes = n_codes * (3 * looked_at * sizeof(std::uint32_t) + 16);
  PENSTOCK_ASSIGN_OR_RETURN(const Reservation counted, budget->reserve(MemoryTag::obs, count_bytes));
  Counts penstock(looked_at, n_codes), file_order(looked_at, n_codes), full_shuffle(looked_at, n_codes);
  std::vector<std::uint64_t> totals(n_codes);
  std::vector<std::uint32_t> appeared, codes;  // codes in the order of their first row
  std::size_t next_wanted = 0, next_batch = 0;
  std::uint64_t position = 0;
  for (std::uint32_t file = 0; file < data.parts().size(); ++file) {
    const internal::FilePart& part = data.parts()[file];
    internal::RowCursor cursor(part);
    const RowIndex rows_in_file = part.source->traits().n_rows;
    for (RowIndex first = 0; first < rows_in_file && part.n_selected > 0; first += kRowsAtOnce) {
      const RowRange range{first, std::min(rows_in_file, first + kRowsAtOnce)};
      if (!cursor.before(range.last)) continue;
      PENSTOCK_RETURN_IF_ERROR(reader.read(file, range, codes));
      for (; next_wanted < wanted.size() && wanted[next_wanted].row < part.first_row + range.last;
           ++next_wanted) {
        penstock.add(wanted[next_wanted].batch, codes[wanted[next_wanted].row - part.first_row - first]);
      }
      for (; cursor.before(range.last); ++position) {
        const std::uint32_t code = codes[cursor.next() - first];
        if (totals[code]++ == 0) appeared.push_back(code);
        if (position < share.first || position >= share.last) continue;
        const std::uint64_t in_share = position - share.first;
        while (next_batch < looked_at && out.batches[next_batch] < in_share / q) ++next_batch;
        if (next_batch < looked_at && out.batches[next_batch] == in_share / q &&
            in_share % q % out.row_step == 0)
          file_order.add(next_batch, code);
      }
    }
  }

  // A full shuffle of the cells is one of the cells sorted by label.
  std::vector<std::uint64_t> ends;
  for (const std::uint64_t n : totals) ends.push_back((ends.empty() ? 0 : ends.back()) + n);
  const KeyedPermutation shuffled(n_rows, mix(order.seed, kShuffleStream, order.epoch));
  for (std::size_t b = 0; b < looked_at; ++b) {
    const std::uint64_t begin = share.first + out.batches[b] * q, end = std::min(share.last, begin + q);
    for (std::uint64_t p = begin; p < end; p += out.row_step) {
      const auto found = std::upper_bound(ends.begin(), ends.end(), shuffled(p));
      full_shuffle.add(b, static_cast<std::uint32_t>(found - ends.begin()));
    }
  }

  // Lines.
  out.n_categories = appeared.size();
  out.categories_per_line = std::max<std::uint64_t>(1, ceil_div(appeared.size(), kMostLines));
  std::vector<std::uint32_t> line_of(n_codes, kNobody);
  for (std::size_t i = 0; i < appeared.size(); ++i) {
    const std::size_t line = i / out.categories_per_line;
    const std::string name = name_of(categories, appeared[i], boolean);
    if (line == out.lines.size()) {
      out.lines.push_back(name);
      out.line_cells.push_back(0);
    } else if (i + 1 == appeared.size() || (i + 1) % out.categories_per_line == 0) {
      out.lines[line] += " \u2026 " + name;
    }
    line_of[appeared[i]] = static_cast<std::uint32_t>(line);
    out.line_cells[line] += totals[appeared[i]];
  }
  out.entropy = entropy_bits<std::uint64_t>(totals);
  out.penstock = penstock.panel(line_of, out.lines.size());
  out.file_order = file_order.panel(line_of, out.lines.size());
  out.full_shuffle = full_shuffle.panel(line_of, out.lines.size());
  return out;
}

}  // namespace penstock::report
