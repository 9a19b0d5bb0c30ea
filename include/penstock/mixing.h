// How the values of one obs column are mixed over the batches of an epoch, predicted before anything of X is
// read: Loader::mixing().
//
// Thread contract: a value.
// Layer: plan.
#pragma once

#include <cstdint>
#include <string>

#include "penstock/fields.h"

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
  std::uint64_t n_categories = 0;       // with a selected cell; missing is none, but entropies count it
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

  // visit(name, member, what it is), in the order of to_json(). "" where the name says it.
  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    visit("label", &Mixing::label, "The column.");
    visit("epoch", &Mixing::epoch, "");
    visit("n_batches", &Mixing::n_batches, "Of the epoch, of this rank.");
    visit("batches_looked_at", &Mixing::batches_looked_at, "Of those.");
    visit("batch_rows", &Mixing::batch_rows, "Rows looked at in a full batch.");
    visit("n_categories", &Mixing::n_categories,
          "Values that cells have; a missing one is none, though entropies count it.");
    visit("entropy_of_cells", &Mixing::entropy_of_cells, "Of all selected cells, in bits.");
    visit("entropy", &Mixing::entropy, "Of a batch, in bits: the mean.");
    visit("entropy_full_shuffle", &Mixing::entropy_full_shuffle, "The same if cells came in any order.");
    visit("entropy_file_order", &Mixing::entropy_file_order, "The same in file order.");
    visit("q_eff", &Mixing::q_eff, "Independent cells a batch is worth by this column.");
  }
};

}  // namespace penstock
