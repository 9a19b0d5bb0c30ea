// How the values of one obs column are mixed over the batches of an epoch, predicted before anything of X is
// read: Loader::mixing().
//
// Thread contract: a value.
#pragma once

#include <cstdint>
#include <string>

namespace penstock {

// Entropies in bits, as means over batches. Nothing but the choice of batches is simulated: the order of rows
// is a pure function of the plan, so the rows of a batch, and with them their values, are known. The batches
// looked at are spread evenly over the epoch of this rank (all of them when they are few), those of epoch 0's
// growing windows among them; what they say is exact for themselves and an estimate for the others.
struct Mixing {
  std::string label;
  std::uint64_t epoch = 0;
  std::uint64_t n_batches = 0;          // of the epoch, the row that evens out ranks apart
  std::uint64_t batches_looked_at = 0;  // 0: the epoch has none, and the numbers below mean nothing
  std::uint64_t batch_rows = 0;         // rows looked at in a full batch: all of them, up to 131,072
  std::uint64_t n_categories = 0;       // with at least one selected cell; a missing value counts as one
  double entropy_of_cells = 0;          // of all selected cells: what no batch has more of on average
  double entropy = 0;                   // of a batch
  double entropy_full_shuffle = 0;      // of as many cells drawn without any order
  double entropy_file_order = 0;        // of as many cells in a row
  // What a batch is worth in independent cells, told by this column: independent draws of q_eff cells would
  // make the shares of its values vary from batch to batch as much as they do,
  //   q_eff = sum p (1 - p) / mean over batches of sum (share - p)^2,
  // with p a value's share of all cells; at most batch_rows. Plan::q_eff is what this comes to when every
  // block has one value, q / (1 + (b - 1)(q - 1) / (S - 1)), and so about the least. Of full batches; those
  // of epoch 0's small windows (Plan::ramp_batches) are left out, unless there are no others.
  double q_eff = 0;

  // "drug: 384 values, 8.58 bits over all cells; a batch has 5.47 (a full shuffle 5.48, file order 0.12) ..."
  std::string to_text() const;
  std::string to_json() const;
};

}  // namespace penstock
