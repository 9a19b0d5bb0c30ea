// Loader::create: from a Dataset and options to an engine that is ready to run.
//
// Planner::decide() below is the list of steps, and each step says why it comes where it does. What they
// decide is in EngineConfig, which the engine keeps; describe_plan.cc says it in numbers and words.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/cores.h"
#include "engine/engine.h"
#include "io/counted_file.h"
#include "loader/check_options.h"
#include "loader/describe_plan.h"
#include "loader/ledger.h"
#include "loader/loader_impl.h"
#include "loader/ordered_entries.h"
#include "loader/residency.h"
#include "loader/sample.h"
#include "loader/ways_out.h"
#include "setup/checkpoint.h"
#include "setup/epoch_cost.h"
#include "setup/turned_groups.h"

namespace penstock::loader {
namespace {

constexpr std::uint64_t kMaxIndex = std::uint64_t{1} << 31;  // CSR indices below it are 32 bits wide
constexpr std::uint32_t kDefaultIoThreads = 24;
constexpr std::uint64_t kDrawnRows = 256;  // whose lengths are looked at where rows are weighted
constexpr std::uint64_t kMostPasses = 8;   // of an epoch, over a file that is stored by columns
constexpr double kScratchShare = 0.125;    // of the budget, for a thread whose source can do with less

// Of rows that come as often as they weigh. The mean is raised by two standard errors: too small a guess
// costs reading rows twice, or batches that do not fit.
Result<DrawnLengths> lengths_by_weight(const EngineConfig& config, MemoryBudget& budget) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto rows,
                            config.weights.draw(kDrawnRows, config.labels, config.parts, budget));
  PENSTOCK_ASSIGN_OR_RETURN(DrawnLengths lengths, measure_drawn(config.parts, rows, budget));
  // The standard error of a mean is the root of variance / n: with a variance of 90,000 and 256 rows it is
  // 300 / 16, or about 19 entries, and 38 are added.
  lengths.mean += 2 * std::sqrt(lengths.variance / std::max(1.0, lengths.rows));
  return lengths;
}

// The window and blocks that data and memory ask for, or those of the checkpoint. Both numbers decide the
// order of rows. With others, the rows that a checkpoint counts as delivered would be different ones, so that
// a budget which has since grown or shrunk does not change them: they are sized again as if the user had
// given them, and refused where they do not fit.
Result<plan::WindowSizing> size_window(plan::SizingInput& in, const LoaderOptions& options) {
  auto planned = plan::size_window(in);
  if (!options.resume) return planned;
  const LoaderState& resume = *options.resume;
  if (planned.ok() && planned->window_rows == resume.window_rows && planned->block_rows == resume.block_rows)
    return planned;
  // Those that the user gives stay, to be compared.
  if (options.window_rows == 0) in.window_rows = resume.window_rows;
  if (options.block_rows == 0) in.block_rows = resume.block_rows;
  auto sized = plan::size_window(in);
  if (sized.ok()) return sized;
  return std::move(sized).status().with_context(
      fmt::format("the checkpoint has window_rows={} and block_rows={}", format_count(resume.window_rows),
                  format_count(resume.block_rows)));
}

// What is left of the checkpoint's epoch for this rank. `state` has the windows and blocks of now.
Result<plan::EpochPart> rest_of(const LoaderState& state, const LoaderState& resume,
                                const LoaderOptions& options, MemoryBudget& budget) {
  plan::EpochRule rule = rule_of(state);
  rule.epoch = resume.epoch;
  bool complete = false;
  if (resume.lone_rows) PENSTOCK_RETURN_IF_ERROR(plan::check_old_batches(rule, resume.lineage));
  PENSTOCK_RETURN_IF_ERROR(plan::check_lineage(rule, resume.lineage, &complete));
  return plan::rest_of_epoch(rule, plan::continue_lineage(resume.lineage, options.world_size), options.rank,
                             budget);
}

// A loader that is planned and has reserved its memory, and what its engine needs to start.
struct Planned {
  std::unique_ptr<internal::LoaderImpl> impl;
  EngineConfig config;
};

// Decides everything about a loader, one step after the other. A step uses only what the steps before it have
// decided, and none takes back what another one decided.
class Planner {
 public:
  // `state`: what describe() says of rows and options. `budget`: of options.memory bytes.
  Planner(std::shared_ptr<const Dataset> dataset, LoaderOptions options, LoaderState state,
          const std::shared_ptr<MemoryBudget>& budget);
  Status decide();
  // Once, when all is decided.
  Planned finish();

 private:
  Status read_options();
  Status hold_metadata();
  Status find_labels();
  Status hold_labels();
  Status hold_obsm();
  Status weigh_rows();
  Status sample_rows();
  Status choose_window();
  Status cut_blocks();
  Status count_copies();
  Status share_rows();
  Status resume_epoch();
  Status check_turned();
  Status bound_reads();
  Status check_obsm_chunks() const;
  Status hold_lists();
  std::uint64_t most_requests() const;
  Status divide_rest();
  Status reserve_rest();
  Status cost_epoch();

  const internal::DatasetImpl& data() const { return c_.dataset->impl(); }

  EngineConfig c_;
  Ledger ledger_;
  Findings found_;
  std::vector<internal::LabelColumn> labels_;  // found; hold_labels() takes them
  std::vector<internal::ObsmEntry> obsm_;      // likewise hold_obsm()
  std::unique_ptr<internal::LoaderImpl> impl_ = std::make_unique<internal::LoaderImpl>();
  const ByteCount read_before_ = thread_bytes_read();
};

Planner::Planner(std::shared_ptr<const Dataset> dataset, LoaderOptions options, LoaderState state,
                 const std::shared_ptr<MemoryBudget>& budget)
    : ledger_(budget) {
  c_.dataset = std::move(dataset);
  c_.options = std::move(options);
  c_.state = std::move(state);
  c_.budget = budget;
  impl_->budget = budget;
  impl_->file_reads = data().read_counts();
  impl_->bytes_opening = impl_->file_reads->bytes;
}

Status Planner::decide() {
  // A step that needs memory of the budget is refused a single reservation. That the plan as a whole does not
  // fit is added here, once; the other steps say themselves what they lack, and of what.
  enum class Needs { nothing, memory };
  struct Step {
    Status (Planner::*take)();
    Needs needs;
  };
  static constexpr Step kSteps[] = {
      {&Planner::read_options, Needs::nothing},   // types, and numbers that are given
      {&Planner::hold_metadata, Needs::memory},   // lengths of rows, sizes of chunks
      {&Planner::find_labels, Needs::nothing},    // obs columns that rows travel or weigh with
      {&Planner::hold_labels, Needs::memory},     // in memory, or read again with the rows
      {&Planner::hold_obsm, Needs::memory},       // likewise vectors of obsm
      {&Planner::weigh_rows, Needs::memory},      // how often a row may come
      {&Planner::sample_rows, Needs::memory},     // what a row takes, in bytes and seconds
      {&Planner::choose_window, Needs::nothing},  // window_rows and block_rows
      {&Planner::cut_blocks, Needs::memory},      // where each block begins
      {&Planner::count_copies, Needs::memory},    // rows that come more or less often than once
      {&Planner::share_rows, Needs::nothing},     // this rank's rows, bytes of a batch
      {&Planner::resume_epoch, Needs::memory},    // what is left of the checkpoint's epoch
      {&Planner::check_turned, Needs::nothing},   // rows that lie by columns, and passes for them
      {&Planner::bound_reads, Needs::nothing},    // the largest read, scratch of a thread
      {&Planner::hold_lists, Needs::memory},      // what blocks in flight keep beside their bytes
      {&Planner::divide_rest, Needs::nothing},    // threads, read-ahead, slots
      {&Planner::reserve_rest, Needs::memory},    // all of that
      {&Planner::cost_epoch, Needs::nothing},     // bytes and requests of an epoch
  };
  for (const Step& step : kSteps) {
    Status status = (this->*step.take)();
    if (status.ok()) continue;
    if (step.needs == Needs::nothing || status.code() != StatusCode::budget) return status;
    // Where others hold what is missing, that is what has to be said (crowded_out()).
    return std::move(status).with_context(
        plan::cannot_hold(c_.options.memory, c_.budget->crowded_out() ? "" : found_.sizing.memory_of));
  }
  return {};
}

// First what can be said from the options alone: whether they make sense, whether the checkpoint is of these
// rows, and the numbers that they give. It costs nothing, so nobody waits for a refusal.
Status Planner::read_options() {
  const LoaderOptions& o = c_.options;
  PENSTOCK_RETURN_IF_ERROR(check_options(o));
  if (o.resume) PENSTOCK_RETURN_IF_ERROR(compare(*o.resume, c_.state));
  c_.n_cols = data().n_vars();
  if (c_.n_cols > 0xffffffffULL) return Status::unsupported(fmt::format("a matrix of {} columns", c_.n_cols));
  c_.output = numeric_type(o.dtype);
  const bool half = c_.output == NumericType::f16 || c_.output == NumericType::bf16;
  c_.stored = c_.transforms() && half ? NumericType::f32 : c_.output;
  c_.io_threads = o.io_threads == 0 ? kDefaultIoThreads : o.io_threads;

  plan::SizingInput& in = found_.sizing;
  in.memory = o.memory;
  if (const auto& whole = c_.budget->whole()) {
    in.memory_of = fmt::format("this loader's share of a MemoryBudget of {} for {} loaders",
                               format_bytes(whole->limit()), whole->loaders());
  }
  in.batch_size = o.batch_size;
  in.shuffle = o.shuffle;
  in.contents.x = {.dense = o.format == BatchFormat::dense, .n_cols = c_.n_cols, .values = c_.output};
  in.window_rows = o.window_rows;
  in.block_rows = o.block_rows;
  in.n_rows = o.epoch_size == 0 ? data().n_obs() : o.epoch_size;
  in.share_rows = ceil_div(in.n_rows, o.world_size);
  return {};
}

// What the loader holds whatever it decides comes before everything that it could do with less of: the
// Dataset's metadata, counted once per loader, and what its checkpoints describe. The metadata says how long
// rows are and how large chunks.
Status Planner::hold_metadata() {
  PENSTOCK_RETURN_IF_ERROR(ledger_.reserve(
      MemoryTag::index, data().index_bytes() + description_bytes(c_.state), &c_.index_memory));
  c_.parts.assign(data().parts().begin(), data().parts().end());
  if (!c_.keeps_totals()) {
    for (auto& part : c_.parts) {
      if (auto narrow = part.source->without_totals()) part.source = std::move(narrow);
    }
  }
  found_.notes = data().notes();
  plan::SizingInput& in = found_.sizing;
  double chunks = 0, chunk_rows = 0;
  bool cheap_heads = true, rows_cross_chunks = false;
  for (const auto& part : c_.parts) {
    const SourceTraits& t = part.source->traits();
    found_.rows_of_files += t.n_rows;
    in.lengths.merge(t.lengths);
    if (t.n_chunks > 0) {
      chunks += static_cast<double>(t.n_chunks);
      chunk_rows += static_cast<double>(t.n_rows);
      cheap_heads = cheap_heads && t.cheap_heads;
      rows_cross_chunks = rows_cross_chunks || t.rows_cross_chunks;
    }
  }
  c_.longest_row = in.lengths.longest;  // as decoded: columns may repeat
  in.lengths.clip(c_.n_cols);           // as delivered
  in.rows_per_chunk = c_.rows_per_chunk = chunks > 0 ? chunk_rows / chunks : 0;
  in.head_cost = c_.head_cost = plan::head_cost(cheap_heads, rows_cross_chunks);
  return {};
}

// Labels and vectors of obsm come before the window, because they are a part of every row in it. The Dataset
// finds them in its own memory, which its refusals name.
Status Planner::find_labels() {
  PENSTOCK_ASSIGN_OR_RETURN(labels_, label_columns(data(), c_.options));
  for (std::size_t i = 0; i < c_.options.obs.size(); ++i) {
    if (labels_[i].kind == ObsKind::category)
      impl_->categories.emplace_back(c_.options.obs[i], labels_[i].categories);
  }
  for (const std::string& name : c_.options.obsm) {
    PENSTOCK_ASSIGN_OR_RETURN(internal::ObsmEntry entry, data().obsm(name));
    obsm_.push_back(std::move(entry));
  }
  return {};
}

// Bytes of a batch as int32 and float32, whatever is asked for: the order of rows must not depend on that. The
// entries are the mean and four deviations of as many independent rows as blocks are chosen for (plan/sizing.cc).
ByteCount typical_csr_batch(const RowLengths& lengths, std::uint64_t rows) {
  if (lengths.rows == 0 || rows == 0) return 0;
  const auto n = static_cast<double>(lengths.rows);
  const double mean = static_cast<double>(lengths.entries) / n;
  const double variance = std::max(0.0, lengths.entries_squared / n - mean * mean);
  const double independent = std::max(1.0, 0.8 * static_cast<double>(std::min<std::uint64_t>(rows, 1024)));
  const double entries = std::ceil(mean + 4 * std::sqrt(variance / independent));
  const ByteCount bytes = saturating_mul(rows, static_cast<ByteCount>(entries) * 8);
  return saturating_add(bytes, bytes / 16);  // what else is in a slot, and the pages that it begins
}

// What stays in memory of all rows is known as soon as the sizes are, and must be known before anything else
// takes memory: the rest is divided among what is left. Note [Residency] in residency.h. A column that cannot be
// read by rows stays in memory in any case, whatever it takes.
Status Planner::hold_labels() {
  // Columns of tables of records stay in the Dataset once they have been opened, and entries of obsm are held by
  // this loader: finding them opened some.
  const ByteCount metadata = data().index_bytes() + description_bytes(c_.state);
  if (metadata > c_.index_memory.bytes()) {
    PENSTOCK_RETURN_IF_ERROR(ledger_.add(metadata - c_.index_memory.bytes(), &c_.index_memory));
  }
  // All rows of the files count, selected or not: files of 10,000,000 rows and one label of 2 bytes take
  // about 16 MB for offsets and 20 MB for labels.
  plan::SizingInput& in = found_.sizing;
  const double reread = rows_to_reread(c_.parts);
  const std::uint64_t rows = std::min(in.batch_size, in.n_rows);
  const ByteCount csr_batch = typical_csr_batch(in.lengths, rows);
  const plan::BatchContents::Matrix& x = in.contents.x;
  const ByteCount dense_batch = saturating_mul(saturating_mul(rows, c_.n_cols), numeric_size(x.values));
  ResidencyInput& sizes = found_.sizes;
  sizes = {.memory = in.memory,
           .metadata = data().opened_bytes(),
           .labels = RowLabels::resident_bytes(labels_, found_.rows_of_files),
           .dear = reread > std::max(in.rows_per_chunk, plan::kLeastAddressable),
           .csr_batch = csr_batch,
           .batch = x.dense ? dense_batch : csr_batch};
  for (const auto& part : c_.parts) sizes.offsets += part.source->resident_bytes();
  found_.residency = choose_residency(sizes);
  in.window_less = found_.residency.window_less;
  if (found_.residency.offsets) {
    for (auto& part : c_.parts) {
      PENSTOCK_ASSIGN_OR_RETURN(part.source, part.source->resident(ledger_.budget()));
    }
  } else {
    in.reread_rows = reread;
  }
  PENSTOCK_ASSIGN_OR_RETURN(c_.labels, RowLabels::build(std::move(labels_), hidden_columns(c_.options).size(),
                                                        c_.parts, found_.residency.labels, ledger_.budget()));
  return {};
}

// Vectors of obsm have a rule of their own for what stays in memory: setup/row_obsm.h.
Status Planner::hold_obsm() {
  PENSTOCK_ASSIGN_OR_RETURN(c_.obsm,
                            RowObsm::build(std::move(obsm_), c_.parts, c_.options.memory, ledger_.budget()));
  // All that travels beside a row's entries is known: so is how a row lies in the window.
  c_.record =
      plan::RecordLayout(c_.n_cols, c_.labels.record_bytes(), c_.keeps_totals(), c_.obsm.record_bytes());
  found_.sizing.record = c_.record;
  return {};
}

// Weights follow from labels, and say how often a row may come: so how large a batch may get.
Status Planner::weigh_rows() {
  if (!is_sampled(c_.options)) return {};
  PENSTOCK_ASSIGN_OR_RETURN(c_.weights, RowWeights::build(c_.options, c_.labels, c_.parts, ledger_.budget()));
  plan::SizingInput& in = found_.sizing;
  in.most_copies = c_.weights.most_copies(std::max(in.n_rows, data().n_obs()));
  return {};
}

// The first look at the matrix itself: how wide values are, how many of them are wanted, how long decoding
// takes. Row offsets have become resident before, so that nothing is read for them, and weights say which
// rows to look at where some come more often than others.
Status Planner::sample_rows() {
  plan::SizingInput& in = found_.sizing;
  PENSTOCK_ASSIGN_OR_RETURN(const Sample sample,
                            take_sample(c_.parts, c_.n_cols, c_.stored, ledger_.budget()));
  in.kept = sample.kept;
  in.sampled_variance = sample.variance;
  in.value_bytes_in_window = sample.value_bytes;
  // Note [Window and turned rows], plan/sizing.cc.
  const bool turned = std::any_of(c_.parts.begin(), c_.parts.end(),
                                  [](const auto& part) { return part.source->by_columns() != nullptr; });
  if (turned) in.value_bytes_in_window = static_cast<double>(numeric_size(c_.stored));
  found_.seconds_per_row = sample.seconds_per_row;
  found_.decoded_per_row = sample.decoded_per_row;
  if (!c_.weights.weighted()) return {};
  PENSTOCK_ASSIGN_OR_RETURN(const DrawnLengths lengths, lengths_by_weight(c_, ledger_.budget()));
  in.drawn_mean = lengths.mean;
  in.drawn_variance = lengths.variance;
  return {};
}

// The window is half of the budget, or what row offsets leave of that, whatever the rest comes to:
// window_rows and block_rows decide the order of rows, so they follow from data and memory alone, and come
// before all that threads have a say in.
Status Planner::choose_window() {
  const LoaderOptions& o = c_.options;
  plan::SizingInput& in = found_.sizing;
  for (const internal::LabelColumn& label : c_.labels.columns())
    in.contents.columns.push_back(delivered_type(label.kind));
  in.contents.totals = o.totals;
  for (const internal::ObsmEntry& entry : c_.obsm.entries())
    in.contents.obsm.push_back({entry.type, entry.width});
  const std::uint64_t rows = plan::batch_rows(in);
  // Row pointers of a batch count its entries, and column ids its columns. Both arrays are of one type, as
  // scipy wants them, so both numbers have to be small for 32 bits.
  const bool narrow = plan::most_entries(in, rows) < kMaxIndex && c_.n_cols < kMaxIndex;
  c_.csr_index = narrow ? NumericType::i32 : NumericType::i64;
  in.contents.x.indices = c_.csr_index;
  c_.slot = plan::SlotLayout(in.contents);
  if (!o.shuffle) {
    in.ordered_entries = is_sampled(o) ? plan::most_entries(in, 4 * rows) : ordered_entries(c_.parts, rows);
    // Of a dense matrix that is every value. Rows that lie together may all be long: four deviations each.
    if (in.sampled_variance > 0) {
      const double longest = plan::mean_entries(in) + 4 * std::sqrt(in.sampled_variance);
      in.ordered_entries =
          std::min(in.ordered_entries, static_cast<std::uint64_t>(4 * static_cast<double>(rows) * longest));
    }
  }
  in.turned_tables = TurnedSizes::tables(c_.parts);
  if (in.turned_tables > 0 && data().n_obs() > 0) {
    const ByteCount all = TurnedSizes::selected(c_.parts);
    in.turned_row_bytes = static_cast<double>(all) / static_cast<double>(data().n_obs());
    // A block that is visited several times counts each time; four visits are one pass and a quarter more.
    in.turned_all = is_sampled(o) ? 4 * all : all;
  }
  PENSTOCK_ASSIGN_OR_RETURN(c_.window, size_window(in, o));
  return {};
}

// Blocks are as long as the window's sizing says, and end where the storage has boundaries, unless somebody
// has asked for so many rows exactly.
Status Planner::cut_blocks() {
  const LoaderOptions& o = c_.options;
  const bool exact = o.block_rows != 0 || (o.resume && o.resume->block_rows_exact);
  PENSTOCK_ASSIGN_OR_RETURN(c_.blocks,
                            plan::BlockTable::build(c_.parts, c_.window.block_rows, exact, ledger_.budget()));
  c_.state.window_rows = c_.window.window_rows;
  c_.state.block_rows = c_.window.block_rows;
  c_.state.block_rows_exact = exact;
  c_.state.blocks = digest_of(c_.blocks);
  return {};
}

// A sampling shares out copies by block, so it needs the blocks; and it changes how many rows a batch has of
// the same block, and so what the batch is worth.
Status Planner::count_copies() {
  if (!is_sampled(c_.options)) return {};
  PENSTOCK_ASSIGN_OR_RETURN(auto summed, c_.weights.sum(c_.options, c_.blocks, c_.labels,
                                                        found_.sizing.n_rows, c_.parts, ledger_.budget()));
  c_.sampling = std::move(summed.sampling);
  found_.distinct_rows = summed.distinct;
  c_.window.q_eff =
      plan::effective_rows(static_cast<double>(plan::batch_rows(found_.sizing)),
                           c_.sampling->rows_per_visit(), static_cast<double>(c_.window.window_rows));
  c_.state.masses = digest_of(*c_.sampling, summed.digest);
  return {};
}

// Now an epoch has its length and a batch its worth: so the share of this rank is known, and how much a batch
// takes in a slot.
Status Planner::share_rows() {
  const LoaderOptions& o = c_.options;
  c_.batch = plan::batch_bytes(found_.sizing, c_.window.q_eff);
  c_.share = plan::rank_share(c_.epoch_rows(), o.rank, o.world_size, o.batch_size, o.drop_last);
  return {};
}

// The state is complete but for what runs will add, so the checkpoint can be held against all of it: blocks
// and weights, too.
Status Planner::resume_epoch() {
  if (!c_.options.resume) return {};
  const LoaderState& checkpoint = *c_.options.resume;
  PENSTOCK_RETURN_IF_ERROR(compare(checkpoint, c_.state));
  PENSTOCK_ASSIGN_OR_RETURN(c_.resume, rest_of(c_.state, checkpoint, c_.options, ledger_.budget()));
  c_.options.resume.reset();  // what is needed of it is in c_.resume
  return {};
}

// A block whose rows are turned has to fit by itself, and an epoch must not take more passes than a person
// would wait for.
Status Planner::check_turned() {
  if (found_.sizing.turned_tables == 0) return {};
  const ByteCount capacity = TurnedSizes::capacity(c_);
  const auto refuse = [&](std::string text, ByteCount memory) {
    return Status::budget(
               fmt::format(
                   "{}: {}. It is stored by columns (CSC), so that rows are put together in memory, "
                   "as many at a time as {} hold, by a pass over all of it; a copy in CSR, made once, "
                   "needs no passes",
                   plan::cannot_hold(c_.options.memory, found_.sizing.memory_of), text,
                   format_bytes(capacity)))
        .with_ways_out({{Option::memory, fmt::format("memory >= {}", format_bytes(memory)), memory, {}}});
  };
  std::vector<RowRange> rows;
  for (std::uint64_t i = 0; i < c_.blocks.size(); ++i) {
    const plan::Block& block = c_.blocks[i];
    const internal::FilePart& part = c_.parts[block.file];
    if (part.source->by_columns() == nullptr) continue;
    rows.clear();
    plan::selected_ranges(part, block, 0, block.selected, rows);
    const ByteCount bytes = TurnedSizes::of(part, rows);
    if (bytes <= capacity) continue;
    return refuse(fmt::format("{}: rows {} to {} are a block of {}", part.source->label(), block.first_row,
                              block.first_row + block.rows - 1, format_bytes(bytes)),
                  c_.options.memory + 4 * bytes);
  }
  PENSTOCK_ASSIGN_OR_RETURN(const EpochCost epoch, epoch_cost(c_, c_.whole_epoch(0)));
  if (epoch.passes <= kMostPasses) return {};
  ByteCount pass = 0;
  const RowSource* source = nullptr;
  for (const auto& part : c_.parts) {
    const ColumnMajor* columns = part.source->by_columns();
    if (columns == nullptr || (source != nullptr && columns->pass_cost().stored <= pass)) continue;
    source = part.source.get();
    pass = columns->pass_cost().stored;
  }
  return refuse(fmt::format("{}: {} passes an epoch over {}, and no more than {} are made", source->label(),
                            epoch.passes, format_bytes(pass), kMostPasses),
                c_.options.memory * ceil_div(epoch.passes, kMostPasses));
}

// The largest block says how much one read takes, and how much scratch a thread needs. This looks at every
// block, so it waits until they are the right ones.
Status Planner::bound_reads() {
  PENSTOCK_ASSIGN_OR_RETURN(found_.totals, total_blocks(c_));
  const ByteCount largest = found_.totals.largest;
  // A part of a block (a window's cut) joins its ranges differently: a gap more per joined run, and one
  // behind each array's last chunk. The former lie between two runs of the whole block that are two only
  // because together they are longer than kCoalesceMax: no more than 2 * largest / kCoalesceMax, or one.
  c_.block_fetch_bytes = largest + (2 * largest / kCoalesceMax + 3) * kCoalesceGap;
  const RowIndex span = c_.blocks.largest_span();
  const auto share = static_cast<ByteCount>(kScratchShare * static_cast<double>(c_.options.memory));
  for (const auto& part : c_.parts) {
    const ByteCount bytes =
        std::max(part.source->least_scratch_bytes(span), std::min(part.source->scratch_bytes(span), share));
    c_.source_scratch_bytes = std::max(c_.source_scratch_bytes, bytes);
  }
  c_.label_scratch_bytes = c_.labels.scratch_bytes(c_.blocks.largest_span());
  c_.obsm_scratch_bytes = c_.obsm.scratch_bytes();
  return check_obsm_chunks();
}

// Vectors that are stored in chunks and do not stay in memory: a thread decodes whole chunks for a row. What
// their share of the budget cannot hold is refused with its own numbers.
Status Planner::check_obsm_chunks() const {
  const auto memory = static_cast<double>(c_.options.memory);
  if (static_cast<double>(c_.obsm_scratch_bytes) <= kScratchShare * memory) return {};
  std::size_t largest = 0;
  double kept = 0;  // bytes of all that could stay in memory
  for (std::size_t i = 0; i < c_.obsm.entries().size(); ++i) {
    if (c_.obsm.scratch_bytes(i) > c_.obsm.scratch_bytes(largest)) largest = i;
    if (c_.obsm.scratch_bytes(i) > 0)
      kept +=
          static_cast<double>(found_.rows_of_files) * static_cast<double>(c_.obsm.entries()[i].row_bytes());
  }
  const double enough =
      std::min(static_cast<double>(c_.obsm_scratch_bytes) / kScratchShare, kept / kResidentObsm);
  const auto least = static_cast<ByteCount>(std::min(std::ceil(enough * 1.01), 1e18));
  const internal::ObsmEntry& entry = c_.obsm.entries()[largest];
  return Status::budget(
             fmt::format(
                 "{}: {}: {}; they are decoded whole, which takes {} for each thread, and the share for that "
                 "is {}",
                 plan::cannot_hold(c_.options.memory, found_.sizing.memory_of), entry.files.front()->where(),
                 entry.files.front()->layout(), format_bytes(c_.obsm_scratch_bytes),
                 format_bytes(static_cast<ByteCount>(kScratchShare * memory))))
      .with_ways_out({{Option::memory, fmt::format("memory >= {}", format_bytes(least)), least, {}}});
}

// An allowance that lists of requests grow to before neighbours are joined. Where chunks stand side by side, a
// block asks for all of each band that it touches, and a list that grows holds up to twice what is in it.
std::uint64_t Planner::most_requests() const {
  if (found_.totals.cost.requests == 0) return 0;
  std::uint64_t most = 64;
  for (const auto& part : c_.parts) {
    const SourceTraits& t = part.source->traits();
    if (t.chunks_across <= 1 || t.n_chunks == 0) continue;
    const std::uint64_t band_rows = std::max<std::uint64_t>(1, t.n_rows / t.n_chunks);
    const std::uint64_t bands = std::min(t.n_chunks, c_.blocks.largest_span() / band_rows + 2);
    most = std::max(most, 2 * bands * t.chunks_across);
  }
  return most;
}

// The blocks in flight keep lists of what is wanted of them, whose length follows from the largest one. They
// are the last of what is held in any case: what is left is divided.
Status Planner::hold_lists() {
  // One range per two rows where the selection is scattered: of 5 rows side by side at most 3 have an
  // unselected one between them, each a range of its own. And no more ranges than selected rows.
  const bool on_line = c_.resume && c_.resume->line;
  const bool scattered = on_line || std::any_of(c_.parts.begin(), c_.parts.end(),
                                                [](const auto& part) { return part.selected != nullptr; });
  const std::uint64_t ranges =
      scattered ? std::min(c_.blocks.largest(), c_.blocks.largest_span() / 2 + 1) : 1;
  const ByteCount task = ranges * sizeof(RowRange) + most_requests() * sizeof(ReadRequest);
  return ledger_.add(Recorder::kBytes + c_.parts.size() * sizeof(FileCounts) + kMaxTasks * task,
                     &c_.index_memory);
}

// The other half of the budget: threads, read-ahead and slots get what labels and metadata left of it.
Status Planner::divide_rest() {
  const std::uint32_t threads = c_.options.threads;
  found_.threads_wanted = threads == 0 ? std::min(usable_cores(), kMaxThreads) : threads;
  plan::RestInput rest;
  rest.window_bytes = c_.window.window_bytes + c_.window.turned_bytes;
  rest.index_bytes = ledger_.of(MemoryTag::index);
  rest.obs_bytes = ledger_.of(MemoryTag::obs);
  rest.scratch_per_thread = c_.scratch_per_worker();
  rest.fetch_largest = c_.block_fetch_bytes;
  // The mean block. Read-ahead has room for a few dozen of these where it can, and for two of the largest in
  // any case: Note [No deadlock], rule 5.
  rest.fetch_typical = c_.blocks.size() == 0 ? 0 : found_.totals.cost.bytes_to_read / c_.blocks.size();
  rest.threads_wanted = found_.threads_wanted;
  rest.batch = c_.batch;
  rest.batches_per_bin = c_.window.bin_rows / c_.options.batch_size;
  PENSTOCK_ASSIGN_OR_RETURN(c_.rest, plan::size_rest(found_.sizing, rest));
  return {};
}

// Everything fits by plan, so now it is taken. It may not be there all the same: others hold it of a shared
// budget.
Status Planner::reserve_rest() {
  const plan::RestSizing& rest = c_.rest;
  PENSTOCK_RETURN_IF_ERROR(ledger_.reserve(MemoryTag::window, c_.window.window_bytes, &c_.window_memory));
  if (c_.window.turned_bytes > 0) {
    PENSTOCK_RETURN_IF_ERROR(ledger_.reserve(MemoryTag::window, c_.window.turned_bytes, &c_.turned_memory));
  }
  PENSTOCK_RETURN_IF_ERROR(ledger_.reserve(MemoryTag::scratch, rest.scratch_bytes, &c_.scratch_memory));
  PENSTOCK_RETURN_IF_ERROR(ledger_.reserve(MemoryTag::fetch, rest.fetch_bytes, &c_.fetch_memory));
  PENSTOCK_RETURN_IF_ERROR(ledger_.reserve(MemoryTag::slots, rest.slots_bytes, &c_.slots_memory));
  // A Densifier reserves its buffers when it is first used.
  ledger_.set_aside(MemoryTag::dense, rest.dense_buffers * rest.dense_bytes);
  return {};
}

// Nothing follows from what an epoch reads, so it is counted last, when it is certain that there will be one.
Status Planner::cost_epoch() {
  PENSTOCK_ASSIGN_OR_RETURN(found_.epoch,
                            epoch_cost(c_, c_.whole_epoch(0), &found_.totals, &impl_->planned_file_bytes));
  found_.bytes_of_all_rows = found_.totals.cost.bytes_to_read;
  if (c_.blocks.rows() < found_.rows_of_files) {
    PENSTOCK_ASSIGN_OR_RETURN(found_.bytes_of_all_rows, bytes_of_all_rows(c_));
  }
  return {};
}

Planned Planner::finish() {
  found_.memory_by_tag = ledger_.by_tag();
  impl_->plan = describe_plan(c_, found_);
  impl_->bytes_planning = thread_bytes_read() - read_before_;
  return {std::move(impl_), std::move(c_)};
}

Result<Planned> plan_loader(std::shared_ptr<const Dataset> dataset, LoaderOptions options, LoaderState state,
                            const std::shared_ptr<MemoryBudget>& budget) {
  Planner planner(std::move(dataset), std::move(options), std::move(state), budget);
  PENSTOCK_RETURN_IF_ERROR(planner.decide());
  return planner.finish();
}

// Others hold what this loader's share needs.
Status crowded_out(const MemoryBudget& share, const Status& why) {
  const MemoryBudget& whole = *share.whole();
  const auto usage = whole.usage();
  return Status(why).reworded(fmt::format(
      "the share of this loader is {}, of a MemoryBudget of {} for {} loaders, but only {} of that are free "
      "({}): held by {}. Close one, or let each plan for less: MemoryBudget(\"{}\", loaders={})",
      format_bytes(share.limit()), format_bytes(usage.limit), whole.loaders(),
      format_bytes(usage.limit - usage.used), why.message(), whole.held_by(), format_bytes(usage.limit),
      whole.loaders() + 1));
}

}  // namespace

Result<std::unique_ptr<internal::LoaderImpl>> create_loader(std::shared_ptr<const Dataset> dataset,
                                                            LoaderOptions options) {
  // Every row once is not sampling.
  if (options.epoch_size == dataset->impl().n_obs() && options.balance.empty() && !options.balance_labels &&
      options.weights_column.empty() && !options.weights)
    options.epoch_size = 0;
  const LoaderState state = describe(dataset->impl(), options);
  // What is planned follows from the share of a shared budget alone.
  const std::shared_ptr<MemoryBudget> whole = std::exchange(options.shared_budget, nullptr);
  if (whole) options.memory = whole->share();
  const auto budget =
      whole ? whole->open_share(fmt::format("{} rows in batches of {}", format_count(dataset->impl().n_obs()),
                                            format_count(options.batch_size)))
            : MemoryBudget::create(options.memory);
  auto planned = plan_loader(dataset, options, state, budget);
  if (!planned.ok()) {
    if (planned.status().code() != StatusCode::budget) return planned.status();
    if (budget->crowded_out()) return crowded_out(*budget, planned.status());
    return with_ways_out(planned.status(), options, dataset->impl().n_obs(), whole.get(),
                         [&](const LoaderOptions& other) {
                           return plan_loader(dataset, other, state, MemoryBudget::create(other.memory)).ok();
                         });
  }
  PENSTOCK_ASSIGN_OR_RETURN(planned->impl->engine, Engine::create(std::move(planned->config)));
  return std::move(planned->impl);
}

}  // namespace penstock::loader
