// An epoch under faults: its batches byte for byte, or the error it ended with. Tests only.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "penstock/loader.h"

namespace penstock::testing {

using DatasetMaker = std::function<Result<std::shared_ptr<const Dataset>>()>;

struct Outcome {
  std::vector<std::string> batches;
  Status error;  // ok: the epoch came to its end
  LoaderStats stats;
};

// Every array of a CSR batch, byte for byte.
inline std::string bytes_of(const Batch& batch) {
  std::string out;
  const auto add = [&out](const ArrayView& a, std::size_t item) {
    if (a.size > 0) out.append(static_cast<const char*>(a.data), a.size * item);
  };
  add(batch.index, 8);
  for (const BatchColumn& column : batch.obs) add(column.values, 8);
  add(batch.indptr, 4);
  add(batch.indices, 4);
  add(batch.values, 4);
  return out;
}

// Epoch 3 of a Dataset that is opened first; `begin` runs between create and the first read of the epoch. Obs
// columns are categorical or integers, values float32.
inline Outcome run_epoch(const DatasetMaker& open, const LoaderOptions& options,
                         const std::function<void()>& begin) {
  Outcome out;
  auto dataset = open();
  if (!dataset.ok()) {
    out.error = dataset.status();
    return out;
  }
  auto loader = Loader::create(*dataset, options);
  if (!loader.ok()) {
    out.error = loader.status();
    return out;
  }
  begin();
  out.error = (*loader)->start_epoch(3);
  while (out.error.ok()) {
    auto batch = (*loader)->next();
    out.error = batch.status();
    if (!batch.ok() || !*batch) break;
    out.batches.push_back(bytes_of(**batch));
  }
  out.stats = (*loader)->stats();
  if (!out.error.ok()) {
    const Status again = (*loader)->next().status();
    EXPECT_EQ(again.code(), out.error.code());
    EXPECT_THAT(again.message(), ::testing::HasSubstr("the loader is finished after an error"));
    EXPECT_FALSE((*loader)->start_epoch().ok());
  }
  return out;
}

// The same; gives up on a hang, and wants everything back in options.shared_budget.
inline Outcome run_epoch_in_time(const DatasetMaker& open, const LoaderOptions& options,
                                 const std::function<void()>& begin) {
  auto done = std::async(std::launch::async, [&] { return run_epoch(open, options, begin); });
  if (done.wait_for(std::chrono::seconds(60)) != std::future_status::ready) {
    ADD_FAILURE() << "no end after 60 s";
    std::abort();  // the thread cannot be ended
  }
  EXPECT_EQ(options.shared_budget->usage().used, 0u) << "something was not given back";
  return done.get();
}

}  // namespace penstock::testing
