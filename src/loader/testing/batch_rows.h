// What batches hold as plain rows, so that tests compare runs.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "penstock/loader.h"

namespace penstock::testing {

// What a batch holds, for comparing runs.
struct Row {
  std::int64_t index = 0;
  std::int64_t label = 0;
  std::vector<std::pair<std::int64_t, float>> entries;
  friend bool operator==(const Row&, const Row&) = default;
};
using Rows = std::vector<Row>;

inline Rows rows_of(const Batch& batch) {
  Rows out(batch.n_rows);
  for (std::uint64_t i = 0; i < batch.n_rows; ++i) {
    out[i].index = static_cast<const std::int64_t*>(batch.index.data)[i];
    if (!batch.obs.empty()) out[i].label = static_cast<const std::int64_t*>(batch.obs[0].values.data)[i];
    if (batch.is_dense()) {
      const auto* row = static_cast<const float*>(batch.dense.data) + i * batch.n_cols;
      for (std::uint64_t c = 0; c < batch.n_cols; ++c) {
        if (row[c] != 0) out[i].entries.emplace_back(c, row[c]);
      }
    } else {
      const auto* indptr = static_cast<const std::int32_t*>(batch.indptr.data);
      for (std::int32_t e = indptr[i]; e < indptr[i + 1]; ++e) {
        out[i].entries.emplace_back(static_cast<const std::int32_t*>(batch.indices.data)[e],
                                    static_cast<const float*>(batch.values.data)[e]);
      }
    }
  }
  return out;
}

inline std::vector<Rows> read_epoch(Loader& loader) {
  std::vector<Rows> out;
  for (;;) {
    auto batch = loader.next();
    EXPECT_TRUE(batch.ok()) << batch.status().to_string();
    if (!batch.ok() || !*batch) break;
    out.push_back(rows_of(**batch));
  }
  return out;
}

inline std::multiset<std::int64_t> indices(const std::vector<Rows>& batches) {
  std::multiset<std::int64_t> out;
  for (const Rows& batch : batches) {
    for (const Row& row : batch) out.insert(row.index);
  }
  return out;
}

}  // namespace penstock::testing
