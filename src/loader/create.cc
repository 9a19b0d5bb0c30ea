// Loader::create: from a Dataset and options to an engine that is ready to run, in the order of the numbers:
// labels, residency, sample, window, blocks, the rest, reservations.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "base/checked.h"
#include "base/cores.h"
#include "io/counted_file.h"
#include "loader/engine.h"
#include "loader/epoch_cost.h"
#include "loader/loader_impl.h"
#include "loader/ordered_entries.h"
#include "loader/sample.h"
#include "loader/state.h"
#include "memory/reserve_for.h"
#include "plan/worth.h"

namespace penstock::loader {
namespace {

constexpr std::uint64_t kMaxObsColumns = 64;
constexpr std::uint64_t kMaxBatch = std::uint64_t{1} << 31;
constexpr std::uint32_t kDefaultIoThreads = 24;
constexpr std::uint32_t kMaxThreads = 256;
// How long a budget that fits is looked for, for a message.
constexpr std::chrono::seconds kSearchTime{1};
constexpr ByteCount kMostMemory = ByteCount{1} << 50;
constexpr std::uint64_t kDrawnRows = 256;  // whose lengths are looked at where rows are weighted
constexpr double kResidentShare = 0.1;     // of the budget, for row offsets and codes
constexpr double kScatterSeconds = 3e-6;   // per row, beside decoding; for the estimate of an epoch's time

const char* dtype_name(OutputType type) { return numeric_name(numeric_type(type)); }

Status check_options(const LoaderOptions& o) {
  if (o.batch_size == 0 || o.batch_size >= kMaxBatch) {
    return Status::invalid_argument(
        fmt::format("batch_size must be between 1 and {}, not {}", kMaxBatch - 1, o.batch_size));
  }
  if (o.world_size == 0 || o.rank >= o.world_size) {
    return Status::invalid_argument(
        fmt::format("rank must be in [0, world_size): rank {} of {}", o.rank, o.world_size));
  }
  if (o.threads > kMaxThreads || o.io_threads > kMaxThreads) {
    return Status::invalid_argument(fmt::format("threads and io_threads must be at most {}", kMaxThreads));
  }
  if (o.obs.size() > kMaxObsColumns) {
    return Status::invalid_argument(
        fmt::format("at most {} obs columns can travel with the rows, {} were asked for; join the rest "
                    "through batch.index",
                    kMaxObsColumns, o.obs.size()));
  }
  if (o.epoch_size > plan::kMostEpochRows) {
    return Status::invalid_argument(fmt::format("epoch_size must be at most {}, not {}",
                                                format_count(plan::kMostEpochRows),
                                                format_count(o.epoch_size)));
  }
  if (o.normalize_total && !(*o.normalize_total > 0 && *o.normalize_total < 1e30)) {
    return Status::invalid_argument(
        fmt::format("normalize_total must be a positive number, not {}", *o.normalize_total));
  }
  if ((o.normalize_total || o.log1p) && !is_floating(numeric_type(o.dtype))) {
    return Status::invalid_argument(fmt::format("{} gives fractions, dtype={} has none: use a floating dtype",
                                                o.normalize_total ? "normalize_total" : "log1p",
                                                dtype_name(o.dtype)));
  }
  for (std::size_t i = 0; i < o.obs.size(); ++i) {
    if (std::find(o.obs.begin(), o.obs.begin() + static_cast<std::ptrdiff_t>(i), o.obs[i]) !=
        o.obs.begin() + static_cast<std::ptrdiff_t>(i)) {
      return Status::invalid_argument(fmt::format("obs column '{}' is named twice", o.obs[i]));
    }
  }
  return {};
}

// Of rows that come as often as they weigh. The mean is raised by two standard errors: too small a guess
// costs reading rows twice, or batches that do not fit.
Result<DrawnLengths> lengths_by_weight(const EngineConfig& config, MemoryBudget& budget) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto rows,
                            config.weights.draw(kDrawnRows, config.labels, config.parts, budget));
  PENSTOCK_ASSIGN_OR_RETURN(DrawnLengths lengths, measure_drawn(config.parts, rows, budget));
  lengths.mean += 2 * std::sqrt(lengths.variance / static_cast<double>(kDrawnRows));
  return lengths;
}

// The window and blocks that data and memory ask for, or those of the checkpoint.
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
  PENSTOCK_RETURN_IF_ERROR(plan::check_lineage(rule, resume.lineage, &complete));
  return plan::rest_of_epoch(rule, plan::continue_lineage(resume.lineage, options.world_size), options.rank,
                             budget);
}

// A loader that is planned and has reserved its memory, and what its engine needs to start.
struct Planned {
  std::unique_ptr<internal::LoaderImpl> impl;
  EngineConfig config;
};
// `state`: what describe() says of rows and options.
Result<Planned> plan_loader(std::shared_ptr<const Dataset> dataset, LoaderOptions options,
                            LoaderState state) {
  PENSTOCK_RETURN_IF_ERROR(check_options(options));
  if (options.resume) PENSTOCK_RETURN_IF_ERROR(compare(*options.resume, state));
  const ByteCount read_before = thread_bytes_read();
  const internal::DatasetImpl& data = dataset->impl();
  auto impl = std::make_unique<internal::LoaderImpl>();
  impl->file_reads = data.read_counts();
  impl->bytes_opening = impl->file_reads->bytes;
  EngineConfig c;
  c.options = options;
  c.output = numeric_type(options.dtype);
  const bool half = c.output == NumericType::f16 || c.output == NumericType::bf16;
  c.stored = c.transforms() && half ? NumericType::f32 : c.output;
  c.n_cols = data.n_vars();
  if (c.n_cols > 0xffffffffULL) return Status::unsupported(fmt::format("a matrix of {} columns", c.n_cols));
  c.parts.assign(data.parts().begin(), data.parts().end());
  c.io_threads = options.io_threads == 0 ? kDefaultIoThreads : options.io_threads;

  std::shared_ptr<MemoryBudget> budget = options.shared_budget;
  plan::SizingInput in;
  if (budget) {
    // Loaders that share a budget plan for half of what is free when they are made.
    const auto usage = budget->usage();
    in.memory = (usage.limit - usage.used) / 2;
  } else {
    budget = MemoryBudget::create(options.memory);
    in.memory = options.memory;
  }
  impl->budget = budget;
  const auto does_not_fit = [&](const Status& why) {
    return why.code() == StatusCode::budget && why.message().find("memory") != 0
               ? Status::budget(fmt::format("memory={} cannot hold this plan: {}", format_bytes(in.memory),
                                            why.message()))
               : why;
  };

  // Metadata: the Dataset's, counted once per loader.
  auto index = budget->reserve(MemoryTag::index, data.index_bytes() + description_bytes(state));
  if (!index.ok()) return does_not_fit(index.status());
  c.index_memory = *std::move(index);

  std::uint64_t all_rows = 0;
  ByteCount offsets_bytes = 0;
  double chunks = 0, chunk_rows = 0;
  bool cheap_heads = true, rows_cross_chunks = false;
  for (const auto& part : c.parts) {
    const SourceTraits& t = part.source->traits();
    all_rows += t.n_rows;
    offsets_bytes += part.source->resident_bytes();
    in.lengths.merge(t.lengths);
    if (t.n_chunks > 0) {
      chunks += static_cast<double>(t.n_chunks);
      chunk_rows += static_cast<double>(t.n_rows);
      cheap_heads = cheap_heads && t.cheap_heads;
      rows_cross_chunks = rows_cross_chunks || t.rows_cross_chunks;
    }
  }
  c.longest_row = in.lengths.longest;  // as decoded: columns may repeat
  in.lengths.clip(c.n_cols);           // as delivered

  // Labels, and whether they and the row offsets stay in memory.
  PENSTOCK_ASSIGN_OR_RETURN(auto labels, label_columns(data, options));
  for (std::size_t i = 0; i < options.obs.size(); ++i)
    impl->categories.emplace_back(options.obs[i], labels[i].categories);
  const bool resident = static_cast<double>(offsets_bytes + Labels::resident_bytes(labels, all_rows)) <=
                        kResidentShare * static_cast<double>(in.memory);
  if (resident) {
    for (auto& part : c.parts) {
      auto twin = part.source->resident(*budget);
      if (!twin.ok()) return does_not_fit(twin.status());
      part.source = *std::move(twin);
    }
  }
  auto built = Labels::build(std::move(labels), hidden_columns(options).size(), c.parts, resident, *budget);
  if (!built.ok()) return does_not_fit(built.status());
  c.labels = *std::move(built);
  const std::uint64_t epoch_rows = options.epoch_size == 0 ? data.n_obs() : options.epoch_size;
  if (is_sampled(options)) {
    auto weights = RowWeights::build(options, c.labels, c.parts, *budget);
    if (!weights.ok()) return does_not_fit(weights.status());
    c.weights = *std::move(weights);
    in.most_copies = c.weights.most_copies(std::max(epoch_rows, data.n_obs()));
  }

  // Numbers that the window follows from.
  auto sample = take_sample(c.parts, c.n_cols, c.stored, *budget);
  if (!sample.ok()) return does_not_fit(sample.status());
  in.kept = sample->kept;
  in.batch_size = options.batch_size;
  in.shuffle = options.shuffle;
  in.dense = options.format == BatchFormat::dense;
  in.dtype_name = dtype_name(options.dtype);
  in.value_bytes = numeric_size(c.output);
  in.label_output_bytes = c.labels.output_bytes() + (options.totals ? sizeof(double) : 0);
  in.window_rows = options.window_rows;
  in.block_rows = options.block_rows;
  in.n_rows = epoch_rows;
  in.n_cols = c.n_cols;
  in.rows_per_chunk = chunks > 0 ? chunk_rows / chunks : 0;
  in.head_cost = plan::head_cost(cheap_heads, rows_cross_chunks);
  c.rows_per_chunk = in.rows_per_chunk;
  c.head_cost = in.head_cost;
  in.value_bytes_in_window = sample->value_bytes;
  const std::uint64_t most_entries =
      plan::most_entries(in, std::min(options.batch_size, std::max<std::uint64_t>(1, in.n_rows)));
  c.csr_index = most_entries < kMaxBatch && c.n_cols < kMaxBatch ? NumericType::i32 : NumericType::i64;
  in.index_bytes = numeric_size(c.csr_index);
  if (!options.shuffle) {
    in.ordered_entries = is_sampled(options) ? plan::most_entries(in, 4 * options.batch_size)
                                             : ordered_entries(c.parts, options.batch_size);
  }
  if (c.weights.weighted()) {
    auto lengths = lengths_by_weight(c, *budget);
    if (!lengths.ok()) return does_not_fit(lengths.status());
    in.drawn_mean = lengths->mean;
    in.drawn_variance = lengths->variance;
  }
  PENSTOCK_ASSIGN_OR_RETURN(c.window, size_window(in, options));
  const bool exact = options.block_rows != 0 || (options.resume && options.resume->block_rows_exact);

  // Blocks, and what reading them takes.
  auto blocks = plan::BlockTable::build(c.parts, c.window.block_rows, exact, *budget);
  if (!blocks.ok()) return does_not_fit(blocks.status());
  c.blocks = *std::move(blocks);
  double distinct = static_cast<double>(c.blocks.rows()),
         rows_per_block = static_cast<double>(c.window.block_rows);
  if (is_sampled(options)) {
    auto summed = c.weights.sum(options, c.blocks, c.labels, epoch_rows, c.parts, *budget);
    if (!summed.ok()) return does_not_fit(summed.status());
    c.sampling = std::move(summed->sampling);
    distinct = summed->distinct;
    rows_per_block = c.sampling->rows_per_visit();
    c.window.q_eff = plan::effective_rows(static_cast<double>(options.batch_size), rows_per_block,
                                          static_cast<double>(c.window.window_rows));
    state.masses = digest_of(*c.sampling, summed->digest);
  }
  c.batch = plan::batch_bytes(in, c.window.q_eff);
  c.share = plan::rank_share(c.epoch_rows(), options.rank, options.world_size, options.batch_size,
                             options.drop_last);
  state.window_rows = c.window.window_rows;
  state.block_rows = c.window.block_rows;
  state.block_rows_exact = exact;
  state.blocks = digest_of(c.blocks);
  if (options.resume) {
    PENSTOCK_RETURN_IF_ERROR(compare(*options.resume, state));
    auto rest = rest_of(state, *options.resume, options, *budget);
    if (!rest.ok()) return does_not_fit(rest.status());
    c.resume = *std::move(rest);
    c.options.resume.reset();  // what is needed of it is in c.resume
  }
  c.state = std::move(state);
  PENSTOCK_ASSIGN_OR_RETURN(BlockTotals totals, total_blocks(c));
  // A part of a block (a window's cut) joins its ranges differently: a gap more per joined run, and one
  // behind each array's last chunk.
  c.block_fetch_bytes = totals.largest + (2 * totals.largest / kCoalesceMax + 3) * kCoalesceGap;
  for (const auto& part : c.parts) {
    c.source_scratch_bytes =
        std::max(c.source_scratch_bytes, part.source->scratch_bytes(c.blocks.largest_span()));
  }
  c.label_scratch_bytes = c.labels.scratch_bytes(c.blocks.largest_span());

  // The blocks in flight keep their lists of wanted rows: one range per two rows where the selection is
  // scattered.
  const bool on_line = c.resume && c.resume->line;
  const bool scattered = on_line || std::any_of(c.parts.begin(), c.parts.end(),
                                                [](const auto& part) { return part.selected != nullptr; });
  const std::uint64_t ranges = scattered ? std::min(c.blocks.largest(), c.blocks.largest_span() / 2 + 1) : 1;
  const ByteCount lists =
      Recorder::kBytes + c.parts.size() * sizeof(FileCounts) +
      kMaxTasks * (ranges * sizeof(RowRange) + (totals.cost.requests == 0 ? 0 : 64 * sizeof(ReadRequest)));
  const Status grown = grow(c.index_memory, *budget, MemoryTag::index, c.index_memory.bytes() + lists);
  if (!grown.ok()) return does_not_fit(grown);

  // The other half of the budget.
  plan::RestInput rest;
  rest.window_bytes = c.window.window_bytes;
  const auto usage = budget->usage();
  rest.index_bytes = usage.used_by_tag[static_cast<std::size_t>(MemoryTag::index)];
  rest.obs_bytes = usage.used_by_tag[static_cast<std::size_t>(MemoryTag::obs)];
  if (options.shared_budget) {
    rest.index_bytes = c.index_memory.bytes() + c.blocks.size() * sizeof(plan::Block) +
                       (resident ? offsets_bytes : 0) + (on_line ? c.resume->line->bytes() : 0) +
                       (c.sampling ? c.sampling->bytes() : 0);
    rest.obs_bytes = c.labels.held_bytes() + c.weights.held_bytes();
  }
  rest.scratch_per_thread = c.scratch_per_worker();
  rest.fetch_largest = c.block_fetch_bytes;
  rest.fetch_typical = c.blocks.size() == 0 ? 0 : totals.cost.bytes_to_read / c.blocks.size();
  rest.threads_wanted = options.threads == 0 ? std::min(usable_cores(), kMaxThreads) : options.threads;
  rest.batch = c.batch;
  rest.batches_per_bin = c.window.bin_rows / options.batch_size;
  PENSTOCK_ASSIGN_OR_RETURN(c.rest, plan::size_rest(in, rest));
  struct Taking {
    MemoryTag tag;
    ByteCount bytes;
    Reservation* into;
  };
  for (const Taking& take : {Taking{MemoryTag::window, c.window.window_bytes, &c.window_memory},
                             Taking{MemoryTag::scratch, c.rest.scratch_bytes, &c.scratch_memory},
                             Taking{MemoryTag::fetch, c.rest.fetch_bytes, &c.fetch_memory},
                             Taking{MemoryTag::slots, c.rest.slots_bytes, &c.slots_memory}}) {
    // What fits by plan may not be there: somebody else took from a shared budget meanwhile.
    auto held = budget->reserve(take.tag, take.bytes);
    if (!held.ok()) return does_not_fit(held.status());
    *take.into = *std::move(held);
  }

  // The plan in words and numbers.
  Plan& p = impl->plan;
  p.n_files = c.parts.size();
  p.n_rows = c.epoch_rows();
  p.n_selected = c.blocks.rows();
  p.n_cols = c.n_cols;
  p.shuffle = options.shuffle;
  p.seed = options.seed;
  p.batch_size = options.batch_size;
  p.block_rows = c.window.block_rows;
  p.n_blocks = c.blocks.size();
  p.window_rows = c.window.window_rows;
  // Of a tape as long as all epochs that share it.
  const std::uint64_t tape_rows = c.sampling ? c.sampling->pass_rows() : c.blocks.rows();
  p.blocks_per_window = tape_rows == 0
                            ? 0
                            : static_cast<double>(c.sampling ? c.sampling->n_visits() : c.blocks.size()) *
                                  static_cast<double>(std::min(c.window.window_rows, p.n_rows)) /
                                  static_cast<double>(tape_rows);
  const plan::BatchWorth worth = c.batch_worth(c.share);
  p.q_eff = worth.stated();
  p.sampled = c.sampling.has_value();
  if (c.sampling) {
    p.balance = options.balance;
    p.weights = c.state.weights;
    p.epochs_per_pass = c.sampling->epochs_per_pass();
    p.most_copies = std::min(in.most_copies, p.n_rows);
    p.distinct_rows = static_cast<std::uint64_t>(std::llround(distinct));
    p.copies_per_window = distinct == 0 ? 0 : static_cast<double>(p.n_rows) / distinct;
  }
  p.rank = options.rank;
  p.world_size = options.world_size;
  p.rows_this_rank = c.share.last - c.share.first;
  p.n_batches = c.share.n_batches;
  p.format = in.dense ? "dense" : "csr";
  p.dtype = in.dtype_name;
  p.threads = c.rest.threads;
  p.io_threads = c.io_threads;
  p.slots =
      std::min<std::uint64_t>(c.rest.n_slots, c.rest.slots_bytes / std::max<ByteCount>(1, c.batch.typical));
  p.slot_bytes = c.batch.typical;
  p.slot_bytes_max = c.batch.worst;
  p.compact_row_bytes = c.window.row_bytes;
  p.resident_rows = resident;
  PENSTOCK_ASSIGN_OR_RETURN(const EpochCost cost,
                            epoch_cost(c, c.whole_epoch(0), &totals, &impl->planned_file_bytes));
  p.bytes_to_read = cost.bytes_to_read;
  p.bytes_to_decode = cost.bytes_to_decode;
  p.requests = cost.requests;
  p.n_rows_of_files = all_rows;
  p.bytes_of_selection = p.bytes_of_all_rows = totals.cost.bytes_to_read;
  if (p.n_selected < p.n_rows_of_files) {
    PENSTOCK_ASSIGN_OR_RETURN(p.bytes_of_all_rows, bytes_of_all_rows(c));
  }
  ByteCount stored = 0;
  for (const auto& part : c.parts) {
    const SourceTraits& t = part.source->traits();
    if (t.n_rows > 0) {
      stored += static_cast<ByteCount>(static_cast<double>(t.stored_bytes) *
                                       static_cast<double>(part.n_selected) / static_cast<double>(t.n_rows));
    }
  }
  p.read_amplification =
      stored == 0 ? 1 : static_cast<double>(totals.cost.bytes_to_read) / static_cast<double>(stored);
  // With a sampling more or fewer rows are decoded than delivered.
  const double decoded = c.sampling && totals.cost.bytes_to_decode > 0
                             ? static_cast<double>(c.blocks.rows()) *
                                   static_cast<double>(cost.bytes_to_decode) /
                                   static_cast<double>(totals.cost.bytes_to_decode)
                             : static_cast<double>(p.rows_this_rank);
  p.seconds_per_epoch =
      (sample->seconds_per_row * decoded + kScatterSeconds * static_cast<double>(p.rows_this_rank)) /
      p.threads;
  plan::WindowSequence windows(c.share, options.batch_size, c.window.window_rows, true);
  if (const auto first = windows.next()) {
    p.first_window_rows = first->rows;
    if (p.rows_this_rank > 0)
      p.first_batch_seconds =
          p.seconds_per_epoch * static_cast<double>(first->rows) / static_cast<double>(p.rows_this_rank);
    p.first_q_eff = worth.of(first->rows);
    for (auto window = first; window && !window->repeat; window = windows.next()) {
      if (worth.less(*window)) p.ramp_batches += window->n_batches;
    }
  }
  p.memory = in.memory;
  p.memory_by_tag = {rest.index_bytes,     rest.obs_bytes,        c.rest.fetch_bytes,
                     c.rest.scratch_bytes, c.window.window_bytes, c.rest.slots_bytes};
  p.notes = data.notes();
  if (p.n_rows == 0) p.notes.push_back("no row is selected: there are no batches");
  if (c.resume && c.resume->batches_before + c.resume->batches_done > 0) {
    p.notes.push_back(fmt::format("resumes epoch {} behind its first {} batches", c.resume->epoch,
                                  format_count(c.resume->batches_before + c.resume->batches_done)));
  }
  if (rest.threads_wanted > c.rest.threads) {
    p.notes.push_back(
        fmt::format("{} of {} threads fit into the budget", c.rest.threads, rest.threads_wanted));
  }
  for (std::size_t i = 0; i < options.obs.size(); ++i) {
    if (c.labels.missing()[i] > 0) {
      p.notes.push_back(
          fmt::format("obs '{}': {} of {} rows have no value among its categories and come as {}",
                      options.obs[i], format_count(c.labels.missing()[i]), format_count(p.n_selected),
                      c.labels.columns()[i].kind == ObsKind::category ? "-1" : "NaN"));
    }
  }
  c.budget = budget;
  c.dataset = std::move(dataset);
  impl->bytes_planning = thread_bytes_read() - read_before;
  return Planned{std::move(impl), std::move(c)};
}

// As people read it: three digits, rounded up.
ByteCount three_digits(ByteCount bytes) {
  ByteCount unit = 1;
  while (bytes / unit >= 1000) unit *= 10;
  return ceil_div(bytes, unit) * unit;
}

// A budget that this plan fits, found by planning: about the least one. Nothing when none is found in time.
std::optional<ByteCount> enough_memory(const std::shared_ptr<const Dataset>& dataset, LoaderOptions options,
                                       const LoaderState& state) {
  const auto from = std::chrono::steady_clock::now();
  const auto fits = [&](ByteCount memory) {
    options.memory = memory;
    return plan_loader(dataset, options, state).ok();
  };
  const auto in_time = [&] { return std::chrono::steady_clock::now() - from < kSearchTime; };
  ByteCount low = options.memory, high = three_digits(std::max<ByteCount>(2 * low, 100'000));
  while (!fits(high)) {
    if (high > kMostMemory || !in_time()) return std::nullopt;
    low = high;
    high = three_digits(2 * high);
  }
  while (high - low > high / 32 && in_time()) {
    const ByteCount middle = three_digits(low + (high - low) / 2);
    if (middle >= high) break;
    (fits(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace

Result<std::unique_ptr<internal::LoaderImpl>> create_loader(std::shared_ptr<const Dataset> dataset,
                                                            LoaderOptions options) {
  // Every row once is not sampling.
  if (options.epoch_size == dataset->impl().n_obs() && options.balance.empty() &&
      options.weights_column.empty() && !options.weights)
    options.epoch_size = 0;
  const LoaderState state = describe(dataset->impl(), options);
  auto planned = plan_loader(dataset, options, state);
  if (!planned.ok()) {
    if (planned.status().code() != StatusCode::budget || options.shared_budget) return planned.status();
    // The sizing's own figure is a guess: larger budgets make larger blocks and windows.
    const auto enough = enough_memory(dataset, options, state);
    if (!enough) return planned.status();
    std::string text = planned.status().message();
    const auto guess = text.rfind("memory >= ");
    text = (guess == std::string::npos ? text + ". Use " : text.substr(0, guess)) + "memory >= ";
    return Status::budget(text + format_bytes(*enough) + ".");
  }
  PENSTOCK_ASSIGN_OR_RETURN(planned->impl->engine, Engine::create(std::move(planned->config)));
  return std::move(planned->impl);
}

}  // namespace penstock::loader
