// What a loader is about to do, worked out from metadata and a small sample before anything is read.
//
// Thread contract: a value.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "penstock/memory_budget.h"

namespace penstock {

// Reading one epoch of one rank: bytes and requests of whole files' ranges, bytes that come out of the
// codecs.
struct EpochCost {
  std::uint64_t bytes_to_read = 0, bytes_to_decode = 0, requests = 0;
};

struct Plan {
  // data
  std::uint64_t n_files = 0;
  std::uint64_t n_rows = 0;      // of an epoch, over all ranks
  std::uint64_t n_selected = 0;  // rows of the Dataset; n_rows unless they are sampled
  std::uint64_t n_cols = 0;
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
  std::uint64_t block_rows = 0;  // rows a block aims at; real blocks end at chunk boundaries
  std::uint64_t n_blocks = 0;
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
  std::uint64_t slots = 0;              // batches that can exist at once, at the typical size
  std::uint64_t slot_bytes = 0;         // a typical batch
  std::uint64_t slot_bytes_max = 0;     // the largest batch the metadata allows
  std::uint64_t compact_row_bytes = 0;  // estimate of a row in the window
  bool resident_rows = true;            // row offsets and codes stay in memory (else re-read with each block)
  // Cost of epoch 0 of this rank: exactly what is read, rows that get deferred apart. Other epochs cut other
  // blocks: Loader::epoch_cost() is exact for each.
  std::uint64_t bytes_to_read = 0, bytes_to_decode = 0, requests = 0;
  // What the selection saves: rows of the files, selected or not; bytes to read of the blocks that have
  // selected rows, over all ranks, and of all blocks of the files.
  std::uint64_t n_rows_of_files = 0, bytes_of_selection = 0, bytes_of_all_rows = 0;
  double read_amplification =
      1;  // bytes of all blocks / bytes of the chunks that hold the selected rows, each once
  double seconds_per_epoch = 0;         // from the sample's decode time; 0 when unknown
  std::uint64_t first_window_rows = 0;  // rows that are read before the first batch
  double first_batch_seconds = 0;       // the same estimate for them: what reading waits for comes on top
  // memory: the most each tag will hold
  std::uint64_t memory = 0;
  std::array<std::uint64_t, kMemoryTags> memory_by_tag{};
  std::vector<std::string> notes;  // advice and warnings in words

  // Several lines for people.
  std::string to_text() const;
  // "4 files · 100,000 cells · 256 MB → window 28,672 cells, 480 blocks · 2 threads · ~2 s/epoch"
  std::string summary() const;
  std::string to_json() const;
};

}  // namespace penstock
