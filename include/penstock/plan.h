// What a loader is about to do, worked out from metadata and a small sample before anything is read.
//
// Thread contract: a value.
// Layer: plan.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "penstock/fields.h"
#include "penstock/memory_budget.h"
#include "penstock/note.h"

namespace penstock {

// Reading one epoch of one rank: bytes and requests of whole files' ranges, bytes that come out of the
// codecs.
struct EpochCost {
  std::uint64_t bytes_to_read = 0, bytes_to_decode = 0, requests = 0;
  // Over a file that is stored by columns: the most of any file. Their bytes are in the numbers above.
  std::uint64_t passes = 0;
};

// What each field is, and its name everywhere, stands in fields(); here is what takes more than a line.
struct Plan {
  // data
  std::uint64_t n_files = 0, n_rows = 0, n_selected = 0, n_cols = 0;
  // Where epochs do not hold every row once: what rows are balanced and weighted by ("" when they are not),
  // how many epochs share the data, an upper bound of how often a row comes in an epoch, how many different
  // rows one is expected to hold, and so how often each of those comes on average: in the epoch, and at most
  // in a window, which has the copies that are read together.
  bool sampled = false;
  std::string balance, weights;
  std::uint64_t epochs_per_pass = 1, most_copies = 1, distinct_rows = 0;
  double copies_per_window = 1;
  // order
  bool shuffle = true;
  std::uint64_t seed = 0;
  std::uint64_t batch_size = 0;
  std::uint64_t block_rows = 0, n_blocks = 0;
  std::uint64_t window_rows = 0;  // a multiple of batch_size, except when the epoch is smaller
  double blocks_per_window = 0;
  // Independent cells that a batch is worth, or more: when a block shares one label, q / (1 + (b - 1)(q - 1)
  // / (S - 1)) of q rows in a batch, b in a block, S in a window.
  double q_eff = 0;
  // Batches of epoch 0 that are worth less: its first windows are small, so that the first batch comes soon,
  // and may leave a small one. And what the first batch is worth.
  std::uint64_t ramp_batches = 0;
  double first_q_eff = 0;
  // this rank
  std::uint32_t rank = 0, world_size = 1;
  std::uint64_t rows_this_rank = 0, n_batches = 0;
  // output
  std::string format, dtype;
  // engine
  std::uint32_t threads = 0, io_threads = 0;
  std::uint64_t slots = 0, slot_bytes = 0, slot_bytes_max = 0;
  // CSR batches: Densifier's results are in one of so many buffers of so many bytes, reserved when the first
  // is asked for. 0: in fresh memory each time, for which the budget has no room.
  std::uint64_t dense_buffers = 0, dense_bytes = 0;
  std::uint64_t compact_row_bytes = 0;
  bool resident_offsets = true;  // else where rows begin is read again with each block
  bool resident_labels = true;   // likewise obs columns, but for those that cannot be read by rows
  // Cost of epoch 0 of this rank: exactly what is read, rows that get deferred apart. Other epochs cut other
  // blocks: Loader::epoch_cost() is exact for each.
  std::uint64_t bytes_to_read = 0, bytes_to_decode = 0, requests = 0;
  // Where matrices are stored by columns (CSC): how often epoch 0 goes through all of them, and what one pass
  // over all reads.
  std::uint64_t passes = 0, pass_bytes = 0;
  // What the selection saves.
  std::uint64_t n_rows_of_files = 0, bytes_of_selection = 0, bytes_of_all_rows = 0;
  // Bytes of all blocks / bytes of the chunks that hold the selected rows, each once.
  double read_amplification = 1;
  double seconds_per_epoch = 0;
  std::uint64_t first_window_rows = 0;
  double first_batch_seconds = 0;
  // memory
  std::uint64_t memory = 0;
  std::array<std::uint64_t, kMemoryTags> memory_by_tag{};
  std::vector<Note> notes;

  // Several lines for people.
  std::string to_text() const;
  // "4 files · 100,000 cells · 256 MB → window 28,672 cells, 480 blocks · 2 threads · ~2 s/epoch"
  std::string summary() const;
  std::string to_json() const;

  // visit(name, member, what it is), in the order of to_json(). "" where the name says it.
  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    visit("n_files", &Plan::n_files, "Files.");
    visit("n_rows", &Plan::n_rows, "Rows of an epoch, over all ranks.");
    visit("n_selected", &Plan::n_selected, "Selected rows: n_rows unless they are sampled.");
    visit("n_cols", &Plan::n_cols, "Genes.");
    visit("sampled", &Plan::sampled, "An epoch does not hold every row once.");
    visit("balance", &Plan::balance, "The column whose values come equally often, or ''.");
    visit("weights", &Plan::weights, "What rows are weighted by, in words, or ''.");
    visit("epochs_per_pass", &Plan::epochs_per_pass, "Epochs that share the data.");
    visit("most_copies", &Plan::most_copies, "How often a row comes in an epoch, at most.");
    visit("distinct_rows", &Plan::distinct_rows, "Different rows that an epoch is expected to hold.");
    visit("copies_per_window", &Plan::copies_per_window, "How often each of them comes, on average.");
    visit("shuffle", &Plan::shuffle, "False: file order.");
    visit("seed", &Plan::seed, "");
    visit("batch_size", &Plan::batch_size, "Rows.");
    visit("block_rows", &Plan::block_rows, "Rows a block aims at; real blocks end at chunk boundaries.");
    visit("n_blocks", &Plan::n_blocks, "");
    visit("window_rows", &Plan::window_rows, "Rows shuffled together; a multiple of batch_size.");
    visit("blocks_per_window", &Plan::blocks_per_window, "");
    visit("q_eff", &Plan::q_eff, "Independent cells a batch is worth when a block shares one label.");
    visit("ramp_batches", &Plan::ramp_batches,
          "Batches of epoch 0 that are worth less: its windows grow, so that the first batch comes soon.");
    visit("first_q_eff", &Plan::first_q_eff, "As q_eff, of the first of them.");
    visit("rank", &Plan::rank, "");
    visit("world_size", &Plan::world_size, "");
    visit("rows_this_rank", &Plan::rows_this_rank, "");
    visit("n_batches", &Plan::n_batches, "Batches of an epoch of this rank.");
    visit("format", &Plan::format, "");
    visit("dtype", &Plan::dtype, "");
    visit("threads", &Plan::threads, "Decode threads.");
    visit("io_threads", &Plan::io_threads, "Readers.");
    visit("slots", &Plan::slots, "Batches that can exist at once, at the typical size.");
    visit("slot_bytes", &Plan::slot_bytes, "Bytes of a typical batch.");
    visit("slot_bytes_max", &Plan::slot_bytes_max, "Bytes of the largest batch the metadata allows.");
    visit("dense_buffers", &Plan::dense_buffers,
          "Buffers that batch.dense() fills again and again; 0: it takes fresh memory.");
    visit("dense_bytes", &Plan::dense_bytes, "Bytes of such a buffer.");
    visit("compact_row_bytes", &Plan::compact_row_bytes, "Estimated bytes of a row in the window.");
    visit("resident_offsets", &Plan::resident_offsets, "Row offsets stay in memory.");
    visit("resident_labels", &Plan::resident_labels, "Labels stay in memory.");
    visit("bytes_to_read", &Plan::bytes_to_read, "Bytes read by one epoch of this rank.");
    visit("bytes_to_decode", &Plan::bytes_to_decode, "Bytes decoded by one epoch of this rank.");
    visit("requests", &Plan::requests, "Reads of one epoch of this rank.");
    visit("passes", &Plan::passes, "Passes of an epoch over matrices stored by columns; 0: there are none.");
    visit("pass_bytes", &Plan::pass_bytes, "Bytes read by one pass.");
    visit("n_rows_of_files", &Plan::n_rows_of_files, "Rows of the files, selected or not.");
    visit("bytes_of_selection", &Plan::bytes_of_selection,
          "Bytes to read of the blocks that have selected rows, over all ranks.");
    visit("bytes_of_all_rows", &Plan::bytes_of_all_rows, "The same if every row of the files were selected.");
    visit("read_amplification", &Plan::read_amplification, "Bytes read / bytes needed once.");
    visit("seconds_per_epoch", &Plan::seconds_per_epoch, "Estimate from a sample; 0 when unknown.");
    visit("first_window_rows", &Plan::first_window_rows, "Rows read before the first batch.");
    visit("first_batch_seconds", &Plan::first_batch_seconds,
          "Estimate from the sample; what reading waits for comes on top.");
    visit("memory", &Plan::memory, "The budget, in bytes.");
    visit("memory_by_tag", &Plan::memory_by_tag, "The most bytes each tag will hold.");
    visit("notes", &Plan::notes, "Advice and warnings in words.");
  }
};

}  // namespace penstock
