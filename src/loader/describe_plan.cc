// Fills in a Plan, a group of its fields after the other. Later groups use what earlier ones have filled in:
// the seconds of an epoch need the number of threads, the first batch's seconds need those of an epoch. Notes
// come last, since most of them are about numbers that are zero or less than was asked for.
#include "loader/describe_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "plan/windows.h"
#include "plan/worth.h"

namespace penstock::loader {
namespace {

constexpr double kScatterSeconds = 3e-6;  // of a row, beside decoding it

// How much data there is, and the options that are repeated as they were given.
void describe_data(const EngineConfig& c, const Findings& found, Plan* p) {
  p->n_files = c.parts.size();
  p->n_rows = c.epoch_rows();
  p->n_selected = c.blocks.rows();
  p->n_rows_of_files = found.rows_of_files;
  p->n_cols = c.n_cols;
  p->shuffle = c.options.shuffle;
  p->seed = c.options.seed;
  p->rank = c.options.rank;
  p->world_size = c.options.world_size;
  p->format = found.sizing.contents.x.dense ? "dense" : "csr";
  p->dtype = numeric_name(found.sizing.contents.x.values);
}

// Windows, blocks and batches, none larger than what there is.
void describe_order(const EngineConfig& c, const Findings& found, Plan* p) {
  p->batch_size = std::min(c.options.batch_size, plan::batch_rows(found.sizing));
  p->block_rows = c.window.block_rows;
  p->n_blocks = c.blocks.size();
  p->window_rows = std::min(c.window.window_rows, std::max<std::uint64_t>(1, p->n_rows));
  // Of a tape as long as all epochs that share it: with 1,000 blocks on a tape of 1,000,000 rows, a window of
  // 50,000 rows is 50 blocks.
  const std::uint64_t tape_rows = c.sampling ? c.sampling->pass_rows() : c.blocks.rows();
  const std::uint64_t visits = c.sampling ? c.sampling->n_visits() : c.blocks.size();
  p->blocks_per_window = tape_rows == 0 ? 0
                                        : static_cast<double>(visits) *
                                              static_cast<double>(std::min(p->window_rows, p->n_rows)) /
                                              static_cast<double>(tape_rows);
  p->rows_this_rank = c.share.rows();
  p->n_batches = c.share.n_batches;
}

// How often rows come, where that is not once.
void describe_sampling(const EngineConfig& c, const Findings& found, Plan* p) {
  p->sampled = c.sampling.has_value();
  if (!p->sampled) return;
  p->balance = c.options.balance_labels ? "labels given" : c.options.balance;
  p->weights = c.state.weights;
  p->epochs_per_pass = c.sampling->epochs_per_pass();
  p->most_copies = std::min(found.sizing.most_copies, p->n_rows);
  p->distinct_rows = static_cast<std::uint64_t>(std::llround(found.distinct_rows));
  p->copies_per_window = found.distinct_rows == 0 ? 0 : static_cast<double>(p->n_rows) / found.distinct_rows;
}

// Threads, and what they and the batches are given of the budget.
void describe_engine(const EngineConfig& c, const Findings& found, Plan* p) {
  p->threads = c.rest.threads;
  p->io_threads = c.io_threads;
  // n_slots is how many slots are mapped, each for the largest batch; but they share their bytes. How many
  // typical batches exist at once is the smaller of the two.
  p->slots =
      std::min<std::uint64_t>(c.rest.n_slots, c.rest.slots_bytes / std::max<ByteCount>(1, c.batch.typical));
  p->slot_bytes = c.batch.typical;
  p->slot_bytes_max = c.batch.worst;
  p->dense_buffers = c.rest.dense_buffers;
  p->dense_bytes = c.rest.dense_bytes;
  p->compact_row_bytes = c.window.row_bytes;
  p->resident_offsets = found.residency.offsets;
  p->resident_labels = found.residency.labels;
  p->memory = found.sizing.memory;
  p->memory_by_tag = found.memory_by_tag;
}

// Bytes of the chunks that the selected rows take, each once. Rows of a file are taken to be of one length:
// of 1,000 rows in 10 MB, 300 selected ones are 3 MB. This is what reading is compared with, as if storage
// had no chunks.
ByteCount stored_bytes(const EngineConfig& c) {
  ByteCount stored = 0;
  for (const auto& part : c.parts) {
    const SourceTraits& t = part.source->traits();
    if (t.n_rows > 0) {
      stored += static_cast<ByteCount>(static_cast<double>(t.stored_bytes) *
                                       static_cast<double>(part.n_selected) / static_cast<double>(t.n_rows));
    }
  }
  return stored;
}

// What an epoch reads and decodes, and the time that takes. Behind the threads, which share the work.
void describe_cost(const EngineConfig& c, const Findings& found, Plan* p) {
  const EpochCost& whole = found.totals.cost;
  p->bytes_to_read = found.epoch.bytes_to_read;
  p->bytes_to_decode = found.epoch.bytes_to_decode;
  p->requests = found.epoch.requests;
  p->passes = found.epoch.passes;
  p->pass_bytes = found.totals.pass.bytes_to_read;
  p->bytes_of_selection = whole.bytes_to_read + p->pass_bytes;
  p->bytes_of_all_rows = found.bytes_of_all_rows + p->pass_bytes;
  const ByteCount stored = stored_bytes(c);
  p->read_amplification =
      stored == 0 ? 1 : static_cast<double>(p->bytes_of_selection) / static_cast<double>(stored);
  // With a sampling more or fewer rows are decoded than delivered. How many follows from bytes: where reading
  // every block once decodes 10 GB for 1,000,000 rows, and this epoch 2 GB, it decodes about 200,000 rows.
  const double decoded = c.sampling && whole.bytes_to_decode > 0
                             ? static_cast<double>(c.blocks.rows()) *
                                   static_cast<double>(found.epoch.bytes_to_decode) /
                                   static_cast<double>(whole.bytes_to_decode)
                             : static_cast<double>(p->rows_this_rank);
  // A pass over a file that is stored by columns decodes all of it, so that three passes decode it three
  // times.
  const double times = static_cast<double>(std::max<std::uint64_t>(1, p->passes));
  // Row offsets that are read again belong to blocks, and the sample's runs of rows are none: what a row takes
  // goes by bytes. Of 52 KB a row in blocks, and 73 KB in the sample, a row takes 52/73 of the sample's time.
  double seconds_per_row = found.seconds_per_row;
  if (!found.residency.offsets && found.decoded_per_row > 0 && c.blocks.rows() > 0) {
    seconds_per_row *= static_cast<double>(whole.bytes_to_decode) / static_cast<double>(c.blocks.rows()) /
                       found.decoded_per_row;
  }
  p->seconds_per_epoch =
      (seconds_per_row * decoded * times + kScatterSeconds * static_cast<double>(p->rows_this_rank)) /
      p->threads;
}

// What batches are worth, and the small windows that epoch 0 begins with. Behind the cost, of which the first
// window has its share.
void describe_mixing(const EngineConfig& c, Plan* p) {
  const plan::BatchWorth worth = c.batch_worth(c.share);
  p->q_eff = worth.stated();
  // Epoch 0 is the one whose windows ramp up, and the one that a person waits for. The windows are counted
  // without opening any. One that repeats a row is no part of the share, and the last.
  plan::WindowSequence windows(c.share, c.window.window_rows, true);
  const auto first = windows.next();
  if (!first) return;
  p->first_window_rows = first->rows;
  if (p->rows_this_rank > 0) {
    p->first_batch_seconds =
        p->seconds_per_epoch * static_cast<double>(first->rows) / static_cast<double>(p->rows_this_rank);
  }
  p->first_q_eff = worth.of(first->rows);
  for (auto window = first; window && !window->repeat; window = windows.next()) {
    if (worth.less(*window)) p->ramp_batches += window->n_batches;
  }
}

// Note [No lone row]: the batches of one row that remain.
void note_lone_rows(const plan::Share& share, const std::string& of, const LoaderOptions& options,
                    std::vector<Note>* notes) {
  if (options.batch_size == 1 || share.n_batches == 0 || share.rows() > 1) return;
  notes->push_back(
      {NoteKind::lone_row,
       fmt::format(
           "rank {} of {} has {} {}: its only batch is {}. Batch normalisation cannot train on one row; "
           "use fewer ranks",
           options.rank, options.world_size, share.rows() == 0 ? "no row" : "a single row", of,
           share.rows() == 0 ? "a row of another rank once more, with index -1" : "that row")});
}

// What a person should know of the batches that come, or do not.
void note_batches(const EngineConfig& c, Plan* p) {
  if (p->n_rows == 0) {
    p->notes.push_back({NoteKind::no_rows, "no row is selected: there are no batches"});
  }
  if (p->n_rows > 0 && p->n_batches == 0) {
    p->notes.push_back(
        {NoteKind::no_batches,
         fmt::format(
             "there are no batches: drop_last leaves out what does not fill one, and the {} rows of an "
             "epoch do not fill one of {} on each rank; use drop_last=False, or a smaller batch_size",
             format_count(p->n_rows), format_count(c.options.batch_size))});
  }
  note_lone_rows(c.share, fmt::format("of {} rows", format_count(p->n_rows)), c.options, &p->notes);
  if (c.resume && c.resume->batches_before + c.resume->batches_done > 0) {
    p->notes.push_back(
        {NoteKind::resumed, fmt::format("resumes epoch {} behind its first {} batches", c.resume->epoch,
                                        format_count(c.resume->batches_before + c.resume->batches_done))});
    // It is shared out anew, so that a rank may have a lone row of what is left though it has many of a whole
    // epoch.
    note_lone_rows(c.resume->share, "of what is left of the resumed epoch", c.options, &p->notes);
  }
}

// Labels that are missing. Only columns that stay in memory have been counted.
void note_labels(const EngineConfig& c, Plan* p) {
  for (std::size_t i = 0; i < c.options.obs.size(); ++i) {
    const std::uint64_t missing = c.labels.missing()[i];
    if (missing == 0) continue;
    const bool coded = c.labels.columns()[i].kind == ObsKind::category;
    p->notes.push_back({NoteKind::labels_missing,
                        fmt::format("obs '{}': {} of {} rows have no value{} and come as {}",
                                    c.options.obs[i], format_count(missing), format_count(p->n_selected),
                                    coded ? " among its categories" : "", coded ? "-1" : "NaN")});
  }
}

// Row offsets that the budget cannot keep, although reading them again is dear even in blocks made larger.
void note_offsets(const EngineConfig& c, const Findings& found, Plan* p) {
  const double rows = found.sizing.reread_rows;  // of a block that they are a tenth of
  if (found.residency.offsets || rows <= 1.05 * static_cast<double>(c.window.block_rows)) return;
  const ByteCount enough = memory_that_keeps(found.sizes);
  p->notes.push_back(
      {NoteKind::offsets_reread,
       fmt::format(
           "where rows begin takes {} of memory, which this budget has no room for: each block reads and "
           "decodes it again, {:.0f} % on top of its rows; memory=\"{}\" keeps it",
           format_bytes(found.sizes.offsets), 10 * rows / static_cast<double>(c.window.block_rows),
           format_bytes(enough + enough / 50))});
}

}  // namespace

Plan describe_plan(const EngineConfig& config, const Findings& found) {
  Plan p;
  describe_data(config, found, &p);
  describe_order(config, found, &p);
  describe_sampling(config, found, &p);
  describe_engine(config, found, &p);
  describe_cost(config, found, &p);
  describe_mixing(config, &p);
  p.notes = found.notes;
  note_batches(config, &p);
  if (found.threads_wanted > p.threads) {
    p.notes.push_back({NoteKind::threads_fewer,
                       fmt::format("{} of {} threads fit into the budget", p.threads, found.threads_wanted)});
  }
  note_labels(config, &p);
  note_offsets(config, found, &p);
  return p;
}

}  // namespace penstock::loader
