// Dense forms of CSR batches: what they hold, in which memory, and that the engine's threads may be busy, or
// gone.
#include "penstock/densifier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "loader/testing/fake_dataset.h"
#include "penstock/loader.h"

namespace penstock {
namespace {

using testing::FakeDataset;
using testing::FakeSpec;

constexpr std::uint64_t kCols = 3000;
constexpr std::uint64_t kBatch = 400;

std::unique_ptr<Loader> make_loader(ByteCount memory = 64'000'000) {
  FakeSpec spec;
  spec.n_cols = kCols;
  spec.files = {{2000, 30, 7}};
  LoaderOptions options;
  options.batch_size = kBatch;
  options.memory = memory;
  options.threads = 2;
  options.io_threads = 2;
  auto loader =
      Loader::create(std::make_shared<Dataset>(std::make_shared<FakeDataset>(std::move(spec))), options);
  EXPECT_TRUE(loader.ok()) << loader.status().to_string();
  return loader.ok() ? *std::move(loader) : nullptr;
}

// The slow and obvious way, as float32.
std::vector<float> by_hand(const Batch& batch) {
  std::vector<float> out(batch.n_rows * batch.n_cols);
  const auto* indptr = static_cast<const std::int32_t*>(batch.indptr.data);
  const auto* indices = static_cast<const std::int32_t*>(batch.indices.data);
  const auto* values = static_cast<const float*>(batch.values.data);
  for (std::uint64_t r = 0; r < batch.n_rows; ++r) {
    for (std::int32_t i = indptr[r]; i < indptr[r + 1]; ++i)
      out[r * batch.n_cols + static_cast<std::uint64_t>(indices[i])] = values[i];
  }
  return out;
}

bool holds(const DenseArray& x, const std::vector<float>& expected) {
  return x.values.size == expected.size() &&
         std::memcmp(x.values.data, expected.data(), expected.size() * sizeof(float)) == 0;
}

ByteCount dense_bytes(const Loader& loader) {
  return loader.stats().memory.used_by_tag[static_cast<std::size_t>(MemoryTag::dense)];
}

TEST(Densifier, TheThreadsOfAnEngineThatIsBusyHelp) {
  const auto loader = make_loader();
  ASSERT_EQ(loader->plan().dense_buffers, 2u);
  const Densifier densifier = loader->densifier();
  std::set<void*> places;
  for (int epoch = 0; epoch < 3; ++epoch) {
    ASSERT_TRUE(loader->start_epoch().ok());
    DenseArray last;
    for (;;) {
      auto batch = loader->next();
      ASSERT_TRUE(batch.ok()) << batch.status().to_string();
      if (!*batch) break;
      auto x = densifier.densify(csr_of(**batch), ArrayType::f32);
      ASSERT_TRUE(x.ok()) << x.status().to_string();
      ASSERT_TRUE(holds(*x, by_hand(**batch)));
      places.insert(x->values.data);
      last = *std::move(x);
    }
  }
  EXPECT_EQ(places.size(), 2u);
  EXPECT_EQ(dense_bytes(*loader), 2 * loader->plan().dense_bytes);
}

TEST(Densifier, WhatIsHeldStaysAndCloseLeavesItThere) {
  auto loader = make_loader();
  ASSERT_TRUE(loader->start_epoch().ok());
  const Densifier densifier = loader->densifier();
  std::vector<std::pair<DenseArray, std::vector<float>>> held;
  std::optional<Batch> last;
  for (int i = 0; i < 4; ++i) {
    auto batch = loader->next();
    ASSERT_TRUE(batch.ok() && *batch);
    held.emplace_back(*densifier.densify(csr_of(**batch), ArrayType::f32), by_hand(**batch));
    last = *std::move(batch);
  }
  loader->close();
  EXPECT_EQ(dense_bytes(*loader), 2 * loader->plan().dense_bytes);
  loader.reset();
  // Without the loader the caller does it alone.
  held.emplace_back(*densifier.densify(csr_of(*last), ArrayType::f32), by_hand(*last));
  held.emplace_back(*Densifier().densify(csr_of(*last), ArrayType::f32), by_hand(*last));
  for (const auto& [x, expected] : held) EXPECT_TRUE(holds(x, expected));
}

TEST(Densifier, SeveralThreadsAtOnceWhileTheLoaderIsClosed) {
  auto loader = make_loader();
  ASSERT_TRUE(loader->start_epoch().ok());
  const auto batch = loader->next();
  ASSERT_TRUE(batch.ok() && *batch);
  const auto expected = by_hand(**batch);
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, densifier = loader->densifier()] {
      for (int i = 0; i < 20; ++i) {
        const auto x = densifier.densify(csr_of(**batch), ArrayType::f32);
        if (x.ok() && holds(*x, expected)) ++right;
      }
    });
  }
  loader->close();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 3 * 20);
}

TEST(Densifier, IntoMemoryOfTheCallersAndOtherTypes) {
  const auto loader = make_loader();
  ASSERT_TRUE(loader->start_epoch().ok());
  const auto batch = loader->next();
  ASSERT_TRUE(batch.ok() && *batch);
  const auto expected = by_hand(**batch);
  const CsrView x = csr_of(**batch);
  std::vector<double> out(expected.size(), 7);
  ASSERT_TRUE(loader->densifier().densify_into(x, {out.data(), ArrayType::f64, out.size()}).ok());
  EXPECT_TRUE(std::equal(out.begin(), out.end(), expected.begin()));
  EXPECT_EQ(dense_bytes(*loader), 0u);
  EXPECT_EQ(loader->densifier().densify_into(x, {out.data(), ArrayType::f64, 5}).code(),
            StatusCode::invalid_argument);
  EXPECT_EQ(loader->densifier().densify(x, ArrayType::boolean).status().code(), StatusCode::unsupported);
  CsrView wrong = x;
  wrong.n_rows -= 1;
  EXPECT_EQ(loader->densifier().densify(wrong, ArrayType::f32).status().code(), StatusCode::invalid_argument);
  wrong = x;
  wrong.n_cols = ~std::uint64_t{0} / 2;
  EXPECT_EQ(loader->densifier().densify(wrong, ArrayType::f32).status().code(), StatusCode::invalid_argument);
}

TEST(Densifier, ABudgetWithoutRoomGivesFreshMemory) {
  const auto loader = make_loader(8'000'000);
  ASSERT_EQ(loader->plan().dense_buffers, 0u);
  EXPECT_NE(loader->plan().to_text().find("of fresh memory each time"), std::string::npos);
  ASSERT_TRUE(loader->start_epoch().ok());
  const auto batch = loader->next();
  ASSERT_TRUE(batch.ok() && *batch);
  EXPECT_TRUE(holds(*loader->densifier().densify(csr_of(**batch), ArrayType::f32), by_hand(**batch)));
  EXPECT_EQ(dense_bytes(*loader), 0u);
}

}  // namespace
}  // namespace penstock
