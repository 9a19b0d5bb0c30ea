// What a loader's checkpoint says about its order, its rows and its files; and how two of them differ.
//
// Thread contract: pure functions of immutable data.
#pragma once

#include <string>
#include <vector>

#include "dataset/dataset_impl.h"
#include "penstock/options.h"
#include "penstock/state.h"
#include "plan/blocks.h"
#include "plan/lineage.h"
#include "plan/sampling.h"

namespace penstock::loader {

// What a state says of rows and files: everything but epoch, lineage, window_rows, block_rows, blocks and
// masses. One pass over the selected rows (about 2 ns each) where there is a selection; no I/O.
LoaderState describe(const internal::DatasetImpl& data, const LoaderOptions& options);
// Bytes that it holds, for the budget.
ByteCount description_bytes(const LoaderState& state);

std::string digest_of(const plan::BlockTable& blocks);
// `rows`: RowWeights::Summed::digest.
std::string digest_of(const plan::Sampling& sampling, std::uint64_t rows);

// invalid_argument that names up to three things in which a checkpoint differs from what is here ("seed: 3 in
// the checkpoint, 4 here"). `blocks` is compared where both have it.
Status compare(const LoaderState& checkpoint, const LoaderState& here);

// The rule of the state's epoch.
plan::EpochRule rule_of(const LoaderState& state);

}  // namespace penstock::loader
