// Looks at all of a file, without a loader: whatever would fail an open, a column or an epoch is found and
// named.
//
//   penstock::VerifyOptions options;
//   options.report = [](const std::string& message) { puts(message.c_str()); };
//   const auto result = penstock::verify("plate1.h5ad", options);
//   if (!result.ok() || result->bad > 0) return 1;
//
// Thread contract: a function of a file; callbacks are called by the calling thread.
// Layer: source.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "penstock/options.h"
#include "penstock/status.h"

namespace penstock {

struct VerifyOptions {
  // How the file is opened. open.matrix is the matrix that is looked at, unless every_matrix.
  OpenOptions open;
  // X, raw/X, every layer, and of .h5ad files what lies in obsm, varm, obsp and varp.
  bool every_matrix = true;
  // Bytes that chunks and blocks may take while they are decoded. Metadata has open.index_memory.
  std::uint64_t memory = 1'000'000'000;
  // Called for each thing that is wrong, as it is found: what, where, expected and found.
  std::function<void(const std::string& message)> report;
  // Called after each step; `total` may grow a little.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};

struct VerifyResult {
  std::uint64_t chunks = 0;              // chunks or pages that were decoded
  std::uint64_t bytes = 0;               // what came out of them
  std::uint64_t bad = 0;                 // things that are wrong; each was reported
  std::vector<std::string> matrices;     // "X", "layers/counts", ...: those that were looked at
  std::vector<std::string> not_checked;  // valid but not read by Penstock: what, and why
};

// Goes on after what is wrong. `path` is a .h5ad file, a Parquet file or a pqdata folder. Errors: what the
// file is when it is something else (`unsupported`), an absent path or matrix (`not_found`), no matrix that
// could be looked at (`unsupported`), and `budget` when one chunk is larger than memory.
Result<VerifyResult> verify(const std::string& path, const VerifyOptions& options);

}  // namespace penstock
