// A checkpoint of a loader: where it stands in which epoch, and what the order of batches follows from, so
// that another loader goes on with the very batches that were to come next - or says what is different.
//
//   PENSTOCK_ASSIGN_OR_RETURN(const LoaderState state, loader.state());
//   save(state.to_json());
//   ...
//   PENSTOCK_ASSIGN_OR_RETURN(options.resume, LoaderState::from_json(text));
//   auto loader = Loader::create(dataset, options);    // start_epoch() goes on inside the epoch
//
// The state is the same on every rank, and small: some numbers, and a line for each file.
//
// Thread contract: a value.
// Layer: memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/status.h"

namespace penstock {

// So many ranks delivered so many batches each.
struct Stage {
  std::uint32_t world_size = 1;
  std::uint64_t batches_done = 0;
  friend bool operator==(const Stage&, const Stage&) = default;
};
using Lineage = std::vector<Stage>;

struct LoaderState {
  // Of the form. Version 1 was without epoch_size, balance, weights and masses: every row once. Until version
  // 2 the last batch of a rank could have a single row.
  static constexpr std::uint32_t kVersion = 3;

  // The epoch of the next batch, and what has been delivered of it: a stage for each number of ranks that has
  // worked on it. Empty: nothing.
  std::uint64_t epoch = 0;
  Lineage lineage;
  bool lone_rows = false;  // read from a version before 3

  // What the order follows from, beside rows and files.
  std::uint64_t seed = 0, batch_size = 0, window_rows = 0, block_rows = 0;
  bool shuffle = true, drop_last = false;
  bool block_rows_exact = false;  // blocks of exactly block_rows; else cut where the storage has boundaries

  // Which rows an epoch holds and how often: 0 and empty where it is every selected row once.
  std::uint64_t epoch_size = 0;
  std::string balance, weights;  // in words
  std::string masses;            // digest of the weights of blocks and rows

  // What the rows are. Digests are 16 hexadecimal digits.
  std::string matrix;
  std::uint64_t n_obs = 0, n_vars = 0;  // selected
  std::string genes;                    // digest of the names of the genes selected, in order
  std::string blocks;                   // digest of where blocks begin and end
  struct File {
    std::string name;  // without folders: files may move
    std::uint64_t bytes = 0, n_obs = 0, n_vars = 0;
    std::string digest;  // of the matrix's metadata: types, row lengths, sizes of what is stored
    std::uint64_t selected = 0;
    std::string selection;  // digest of which rows
    friend bool operator==(const File&, const File&) = default;
  };
  std::vector<File> files;

  // One line.
  std::string to_json() const;
  // invalid_argument: not such a state, or of a later version. Whatever the text, memory is bounded by its
  // length, which is at most kMaxJson.
  static constexpr std::size_t kMaxJson = 16'000'000;
  static Result<LoaderState> from_json(std::string_view text);
};

}  // namespace penstock
