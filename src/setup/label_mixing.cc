// How well a label is mixed is known before X is read, because the order is a function of numbers alone. The
// work goes backwards, from batches to rows to labels:
//
//   1. Some batches are chosen, spread evenly over the epoch.
//   2. The places of their rows in their windows are turned into numbers on the tape: the permutation that
//      the engine uses to scatter rows is asked for its inverse.
//   3. Wanted rows are sorted by their place on the tape, and the tape is walked once; each block says which
//      rows of the files they are.
//   4. They are sorted by row, and the column is read once, in file order. The same pass counts the labels
//      of all cells, and those of batches in file order.
//   5. A full shuffle is drawn from the counts: nothing needs to be read for it.
//
// Two sorts of a million small records take a moment. The other way round, an array of the label of every
// row, would take memory that grows with the data.

#include "setup/label_mixing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/load.h"
#include "base/permutation.h"
#include "dataset/selection.h"
#include "memory/reserved_buffer.h"
#include "plan/tape.h"
#include "plan/windows.h"
#include "setup/label_reader.h"
#include "setup/row_labels.h"
#include "setup/segment_copies.h"

namespace penstock::loader {
namespace {

// What is read and decoded in one turn: 65,536 codes of four bytes, whatever the size of the column.
constexpr RowIndex kRowsAtOnce = 1 << 16;
constexpr std::uint64_t kLeastBatches = 8;                // looked at, if there are as many
constexpr std::uint64_t kShuffleStream = 0x7265706f7274;  // of mix(): unrelated to the loader's own

// A row that a looked-at batch of the loader's order holds.
struct Wanted {
  std::uint64_t tape = 0;  // its number on the tape, or on the line
  std::uint64_t row = 0;   // its global number
  std::uint32_t batch = 0;
};

// A column of categories or booleans. Missing is the code after the last category.
struct Codes {
  bool boolean = false;
  std::uint64_t n_categories = 0;
  std::uint32_t of(const RowLabels::View& view, RowIndex row) const {
    std::byte value[8];
    view.read(0, row, value);
    if (boolean) return std::to_integer<std::uint8_t>(value[0]) != 0 ? 1 : 0;
    const auto code = load<std::int32_t>(value);
    return code < 0 ? static_cast<std::uint32_t>(n_categories) : static_cast<std::uint32_t>(code);
  }
};

// The rows behind a segment of the tape. Where every row comes once, a row of the tape is the n-th selected
// row of its block, and the ranges of selected rows are enough. Where rows are sampled, which copies a block
// has follows from its rows' weights, so that its labels have to be read first, as the engine does.
class SegmentRows {
 public:
  static Result<SegmentRows> make(const EngineConfig& config, const plan::EpochPart& part,
                                  MemoryBudget& budget) {
    SegmentRows rows(config, part, budget);
    if (config.sampling) {
      PENSTOCK_RETURN_IF_ERROR(rows.copies_.grow_to(SegmentCopies::bytes_needed(config.blocks.largest())));
    }
    return rows;
  }
  // Says the global number of each wanted row; they ascend on the tape and lie in the segment.
  Status find(const plan::Segment& segment, std::span<Wanted> wanted) {
    const plan::Block& block = config_->blocks[segment.block];
    const internal::FilePart& part = config_->parts[block.file];
    if (config_->sampling) return find_copies(segment, block, part, wanted);
    ranges_.clear();
    plan::segment_ranges(part, block, segment, line_, ranges_);
    std::size_t i = 0;
    std::uint64_t before = segment.tape_row;  // of the range's first row
    for (const RowRange& range : ranges_) {
      for (; i < wanted.size() && wanted[i].tape < before + range.size(); ++i)
        wanted[i].row = part.first_row + range.first + (wanted[i].tape - before);
      before += range.size();
    }
    return {};
  }

 private:
  SegmentRows(const EngineConfig& config, const plan::EpochPart& part, MemoryBudget& budget)
      : config_(&config),
        line_(part.line ? &*part.line : nullptr),
        epoch_(part.epoch),
        reader_(&config.labels, budget),
        copies_("copies of a block's rows", &budget, MemoryTag::obs) {}

  Status find_copies(const plan::Segment& segment, const plan::Block& block, const internal::FilePart& part,
                     std::span<Wanted> wanted) {
    PENSTOCK_ASSIGN_OR_RETURN(
        const auto labels,
        reader_.read(block.file, {block.first_row, RowIndex{block.first_row} + block.rows}));
    const SegmentCopies copies(*config_, epoch_, segment, line_, labels, copies_.bytes());
    internal::RowCursor cursor(part);
    cursor.seek(block.first_row);
    for (std::uint64_t i = 0; i < copies.rows(); ++i) {
      const RowIndex row = cursor.next();
      copies.each(i, [&](std::uint64_t tape_row) {
        // The wanted rows of a segment are few and a block's copies may be many, so each copy looks itself
        // up.
        const auto found = std::lower_bound(wanted.begin(), wanted.end(), tape_row,
                                            [](const Wanted& w, std::uint64_t at) { return w.tape < at; });
        if (found != wanted.end() && found->tape == tape_row) found->row = part.first_row + row;
      });
    }
    return {};
  }

  const EngineConfig* config_;
  const plan::TapeRuns* line_;
  std::uint64_t epoch_;
  LabelReader reader_;
  ReservedBuffer copies_;
  std::vector<RowRange> ranges_;
};

// The rows of the looked-at batches, by global number; which of the batches are mixed less.
Result<std::vector<Wanted>> rows_of_batches(const EngineConfig& config, const plan::EpochPart& part,
                                            LabelMixing* mixing, MemoryBudget& budget) {
  const LoaderOptions& o = config.options;
  std::vector<Wanted> wanted;
  wanted.reserve(mixing->batches.size() *
                 ceil_div(plan::most_batch_rows(mixing->batch_size), mixing->row_step));
  plan::WindowSequence windows(part.share, config.window.window_rows, part.ramp);
  const plan::BatchWorth worth = config.batch_worth(part.share);
  std::size_t b = 0;
  while (const auto window = windows.next()) {
    if (window->repeat) break;
    const KeyedPermutation places(window->rows, plan::window_key(o.seed, part.epoch, window->first));
    for (; b < mixing->batches.size() && mixing->batches[b] < window->first_batch + window->n_batches; ++b) {
      mixing->mixed_less.push_back(worth.less(*window));
      const std::uint64_t batch = mixing->batches[b] - window->first_batch;
      const std::uint64_t first = window->before(batch), last = window->before(batch + 1);
      for (std::uint64_t place = first; place < last; place += mixing->row_step) {
        // The engine asks "where does row i of the window go", here the question is "which row is at this
        // place".
        const std::uint64_t i = o.shuffle ? places.inverse(place) : place;
        wanted.push_back({window->first + i, 0, static_cast<std::uint32_t>(b)});
      }
    }
  }
  std::sort(wanted.begin(), wanted.end(), [](const Wanted& x, const Wanted& y) { return x.tape < y.tape; });
  PENSTOCK_ASSIGN_OR_RETURN(auto rows, SegmentRows::make(config, part, budget));
  const plan::Tape tape = config.tape(part.epoch);
  plan::TapeCursor cursor(&tape, part.share.first, part.line ? &*part.line : nullptr);
  plan::Segment segment;
  // Both ascend: the segments of the tape and the wanted rows. A segment without a wanted row costs a
  // comparison.
  for (std::size_t i = 0; i < wanted.size() && cursor.next(part.share.last, &segment);) {
    const std::size_t from = i;
    while (i < wanted.size() && wanted[i].tape < segment.tape_row + segment.rows) ++i;
    if (i > from) PENSTOCK_RETURN_IF_ERROR(rows.find(segment, std::span(wanted).subspan(from, i - from)));
  }
  std::sort(wanted.begin(), wanted.end(), [](const Wanted& x, const Wanted& y) { return x.row < y.row; });
  return wanted;
}

// n * part / whole, rounded up. The product of two numbers of rows may take more than 64 bits.
std::uint64_t scaled(std::uint64_t n, std::uint64_t part, std::uint64_t whole) {
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(n) * part + whole - 1) / whole);
}

template <class Count>
double bits_of(std::span<const Count> counts) {
  double total = 0, bits = 0;
  for (const Count n : counts) total += static_cast<double>(n);
  for (const Count n : counts) {
    if (n > 0) bits -= static_cast<double>(n) / total * std::log2(static_cast<double>(n) / total);
  }
  return bits;
}

// See Mixing::q_eff; `rows` are those looked at in a full batch. The last ones, of other sizes, do not count.
// Were the batches independent draws of m cells, a value of share p would vary with p (1 - p) / m from
// batch to batch. So m is the sum of p (1 - p) over all values, divided by the mean square of what the
// shares are off. Example: two values of one half each, `spread` = 0.5. If the shares of each value are
// off by 0.05 at the root mean square, the squares of a batch add up to 2 * 0.0025, and the batch is
// worth 0.5 / 0.005 = 100 cells.
//
// Batches of the growing windows of a first epoch are worth less and have a sum of their own, which is used
// only where there are no others.
double measured_worth(const LabelMixing& m, std::uint64_t rows) {
  double n = 0, spread = 0;
  for (const std::uint64_t cells : m.cells) n += static_cast<double>(cells);
  for (const std::uint64_t cells : m.cells) {
    const double p = static_cast<double>(cells) / n;
    spread += p * (1 - p);
  }
  double squares[2] = {0, 0}, batches[2] = {0, 0};  // [mixed less]
  for (std::size_t b = 0; b < m.batches.size(); ++b) {
    const auto counts = m.penstock.of(b);
    std::uint64_t in_batch = 0;
    for (const std::uint32_t count : counts) in_batch += count;
    if (in_batch != rows) continue;
    for (std::size_t code = 0; code < counts.size(); ++code) {
      const double off = static_cast<double>(counts[code]) / static_cast<double>(rows) -
                         static_cast<double>(m.cells[code]) / n;
      squares[m.mixed_less[b]] += off * off;
    }
    ++batches[m.mixed_less[b]];
  }
  const bool less = batches[0] == 0;
  const double most = static_cast<double>(rows);
  return squares[less] <= 0 ? most : std::min(most, spread * batches[less] / squares[less]);
}

}  // namespace

double entropy_bits(std::span<const std::uint32_t> counts) { return bits_of(counts); }
double entropy_bits(std::span<const std::uint64_t> counts) { return bits_of(counts); }

double mean_entropy(const CodeCounts& counts) {
  double sum = 0;
  for (std::size_t b = 0; b < counts.n_batches(); ++b) sum += entropy_bits(counts.of(b));
  return counts.n_batches() == 0 ? 0 : sum / static_cast<double>(counts.n_batches());
}

std::string LabelMixing::name(std::uint64_t code) const {
  if (is_missing(code)) return "(missing)";
  if (boolean) return code == 0 ? "False" : "True";
  return categories[code];
}

Mixing summary(const LabelMixing& mixing) {
  Mixing out;
  out.label = mixing.label;
  out.epoch = mixing.epoch;
  out.n_batches = mixing.n_batches;
  out.batches_looked_at = mixing.batches.size();
  out.batch_rows = ceil_div(mixing.batch_size, mixing.row_step);
  const auto& seen = mixing.appeared;
  const bool some_missing =
      std::any_of(seen.begin(), seen.end(), [&](auto code) { return mixing.is_missing(code); });
  out.n_categories = seen.size() - (some_missing ? 1 : 0);
  out.entropy_of_cells = entropy_bits(std::span<const std::uint64_t>(mixing.cells));
  if (mixing.batches.empty()) return out;
  out.entropy = mean_entropy(mixing.penstock);
  out.entropy_full_shuffle = mean_entropy(mixing.full_shuffle);
  out.entropy_file_order = mean_entropy(mixing.file_order);
  out.q_eff = measured_worth(mixing, out.batch_rows);
  return out;
}

Result<LabelMixing> work_out_mixing(const EngineConfig& config, const plan::EpochPart& part,
                                    const internal::DatasetImpl& data, const std::string& label,
                                    std::uint64_t most_batches, MemoryBudget& budget) {
  const LoaderOptions& o = config.options;
  const auto given = o.categories.find(label);
  PENSTOCK_ASSIGN_OR_RETURN(auto column,
                            data.label(label, given == o.categories.end() ? nullptr : &given->second));
  LabelMixing out;
  out.label = label;
  out.boolean = column.kind == ObsKind::boolean;
  if (column.kind != ObsKind::category && !out.boolean) {
    return Status::invalid_argument(
        fmt::format("obs '{}' holds numbers: how a label is mixed is shown for columns of categories, "
                    "strings or booleans",
                    label));
  }
  out.categories = column.categories;
  const Codes codes{out.boolean, out.boolean ? 2 : column.categories.size()};
  std::vector<internal::LabelColumn> one;
  one.push_back(std::move(column));
  PENSTOCK_ASSIGN_OR_RETURN(const auto labels,
                            RowLabels::build(std::move(one), 0, config.parts, false, budget));
  LabelReader reader(&labels, budget);

  // Which batches. Fewer where there are tens of thousands of categories, or of rows in a batch. Three bounds
  // meet: what the caller asks for, the memory of the counts (three tables of batches x categories), and the
  // memory of the wanted rows. With fewer than 8 batches no mean would be worth much, so from there on
  // batches are thinned out instead: every row_step-th row is looked at.
  const std::uint64_t n_rows = internal::selected_rows(config.parts);
  const std::uint64_t n_codes = codes.n_categories + 1;
  const plan::Share& share = part.share;
  const plan::BatchCut cut = share.batches();
  const std::uint64_t q = std::max<std::uint64_t>(1, cut.rows_of(0));
  out.epoch = part.epoch;
  out.batch_size = q;
  out.n_batches = cut.n;
  const std::uint64_t n_looked_at =
      std::min({out.n_batches, most_batches, std::max(kLeastBatches, kMostRows / std::max(n_codes, q))});
  out.row_step = std::max<std::uint64_t>(1, ceil_div(n_looked_at * q, kMostRows));
  const ByteCount counts_bytes = n_codes * (3 * n_looked_at * sizeof(std::uint32_t) + 20) + n_looked_at * 16;
  PENSTOCK_ASSIGN_OR_RETURN(out.held, budget.reserve(MemoryTag::obs, counts_bytes));
  PENSTOCK_ASSIGN_OR_RETURN(
      const Reservation rows_held,
      budget.reserve(MemoryTag::obs,
                     n_looked_at * ceil_div(plan::most_batch_rows(q), out.row_step) * sizeof(Wanted)));
  for (std::uint64_t i = 0; i < n_looked_at; ++i) out.batches.push_back(i * out.n_batches / n_looked_at);
  PENSTOCK_ASSIGN_OR_RETURN(const auto wanted, rows_of_batches(config, part, &out, budget));

  // One pass over the column. The next wanted row and the next batch in file order are both behind the pass,
  // never in front of it: each is moved on by what is read, so nothing is searched.
  out.penstock = out.file_order = out.full_shuffle = CodeCounts(n_looked_at, n_codes);
  out.cells.resize(n_codes);
  out.appeared.reserve(n_codes);
  std::size_t next_wanted = 0, next_batch = 0;
  std::uint64_t position = 0;
  const std::uint64_t epoch_rows = config.epoch_rows();
  for (std::uint32_t file = 0; file < config.parts.size(); ++file) {
    const internal::FilePart& of_file = config.parts[file];
    internal::RowCursor cursor(of_file);
    const RowIndex rows_in_file = of_file.source->traits().n_rows;
    for (RowIndex first = 0; first < rows_in_file && of_file.n_selected > 0; first += kRowsAtOnce) {
      const RowRange range{first, std::min(rows_in_file, first + kRowsAtOnce)};
      if (!cursor.before(range.last)) continue;
      PENSTOCK_ASSIGN_OR_RETURN(const auto view, reader.read(file, range));
      for (; next_wanted < wanted.size() && wanted[next_wanted].row < of_file.first_row + range.last;
           ++next_wanted) {
        out.penstock.add(wanted[next_wanted].batch,
                         codes.of(view, wanted[next_wanted].row - of_file.first_row));
      }
      for (; cursor.before(range.last); ++position) {
        const std::uint32_t code = codes.of(view, cursor.next());
        if (out.cells[code]++ == 0) out.appeared.push_back(code);
        // File order: an epoch of another length repeats rows, or leaves some out. A selected row fills the
        // places [at, behind) of an epoch in file order: one where every row comes once. An epoch of 150 rows
        // out of 100 gives row 0 the places 0 and 1, and row 1 place 2; one of 50 gives rows 1 and 3 none.
        std::uint64_t at = position, behind = position + 1;
        if (config.sampling) {
          at = scaled(at, epoch_rows, n_rows);
          behind = scaled(behind, epoch_rows, n_rows);
        }
        for (at = std::max(at, share.first); at < std::min(behind, share.last); ++at) {
          const std::uint64_t in_share = at - share.first;
          while (next_batch < n_looked_at && cut.before(out.batches[next_batch] + 1) <= in_share)
            ++next_batch;
          if (next_batch == n_looked_at) continue;
          const std::uint64_t begin = cut.before(out.batches[next_batch]);
          if (begin <= in_share && (in_share - begin) % out.row_step == 0)
            out.file_order.add(next_batch, code);
        }
      }
    }
  }
  if (config.sampling) {
    // What an epoch holds follows from the weights: the batches tell.
    for (std::uint64_t code = 0; code < n_codes; ++code) {
      out.cells[code] = 0;
      for (std::size_t b = 0; b < n_looked_at; ++b) out.cells[code] += out.penstock.of(b)[code];
    }
    std::erase_if(out.appeared, [&](std::uint32_t code) { return out.cells[code] == 0; });
  }

  // A full shuffle of the cells is one of the cells sorted by label. If the counts are 3, 5 and 2, `ends` are
  // 3, 8 and 10, and the cell at place 6 of the sorted ones has the second label. No cell is looked up.
  std::vector<std::uint64_t> ends;
  ends.reserve(n_codes);
  for (const std::uint64_t n : out.cells) ends.push_back((ends.empty() ? 0 : ends.back()) + n);
  const KeyedPermutation shuffled(ends.back(), mix(o.seed, kShuffleStream, part.epoch));
  std::uint64_t drawn = share.first;
  for (std::size_t b = 0; b < n_looked_at; ++b) {
    const std::uint64_t begin = cut.before(out.batches[b]), end = cut.before(out.batches[b] + 1);
    for (std::uint64_t p = begin; p < end; p += out.row_step) {
      const std::uint64_t place = config.sampling ? drawn++ % ends.back() : share.first + p;
      const auto found = std::upper_bound(ends.begin(), ends.end(), shuffled(place));
      out.full_shuffle.add(b, static_cast<std::uint32_t>(found - ends.begin()));
    }
  }
  return out;
}

Result<EngineConfig> rows_again(const EngineConfig& closed, const internal::DatasetImpl& data,
                                MemoryBudget& budget) {
  EngineConfig config;
  // Only what the order of rows follows from. The closed loader has given its tables back to the budget, and
  // what is made anew here lives as long as the caller's question.
  config.options = closed.options;
  config.state = closed.state;
  config.window = closed.window;
  config.share = closed.share;
  config.parts.assign(data.parts().begin(), data.parts().end());
  PENSTOCK_ASSIGN_OR_RETURN(config.blocks, plan::BlockTable::build(config.parts, config.state.block_rows,
                                                                   config.state.block_rows_exact, budget));
  if (!is_sampled(config.options)) return config;
  PENSTOCK_ASSIGN_OR_RETURN(auto columns, label_columns(data, config.options));
  PENSTOCK_ASSIGN_OR_RETURN(
      config.labels, RowLabels::build(std::move(columns), hidden_columns(config.options).size(), config.parts,
                                      false, budget));
  PENSTOCK_ASSIGN_OR_RETURN(config.weights,
                            RowWeights::build(config.options, config.labels, config.parts, budget));
  const std::uint64_t epoch_rows =
      config.options.epoch_size == 0 ? config.blocks.rows() : config.options.epoch_size;
  PENSTOCK_ASSIGN_OR_RETURN(auto summed, config.weights.sum(config.options, config.blocks, config.labels,
                                                            epoch_rows, config.parts, budget));
  config.sampling = std::move(summed.sampling);
  return config;
}

}  // namespace penstock::loader
