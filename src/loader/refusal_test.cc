// Memory that is refused at any moment: operator new fails at the n-th call, for n = 1 .. as many as there
// are, under Loader::create and an epoch, and under each call of a Dataset. The outcome is what was asked for
// or a Status; never an exception, an abort, a hang or something held.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <string>
#include <vector>

#include "loader/testing/fake_dataset.h"
#include "loader/testing/fault_run.h"

namespace {

std::atomic<bool> g_counts{false};
std::atomic<std::uint64_t> g_calls{0},
    g_refused{0};  // calls since counting began; the one that is refused, 0: none

bool refused() {
  return g_counts.load(std::memory_order_relaxed) &&
         g_calls.fetch_add(1, std::memory_order_relaxed) + 1 == g_refused.load(std::memory_order_relaxed);
}

void* take(std::size_t bytes, std::size_t alignment) {
  if (refused()) return nullptr;
  return alignment <= alignof(std::max_align_t)
             ? std::malloc(bytes == 0 ? 1 : bytes)
             : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* take_or_throw(std::size_t bytes, std::size_t alignment) {
  void* p = take(bytes, alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

void* operator new(std::size_t bytes) { return take_or_throw(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t a) {
  return take_or_throw(bytes, static_cast<std::size_t>(a));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes, 1); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }

namespace penstock {
namespace {

using testing::FakeDataset;

LoaderOptions options() {
  LoaderOptions o;
  o.batch_size = 32;
  o.shared_budget = MemoryBudget::create(4'000'000);
  o.obs = {"label"};
  o.threads = 2;
  o.io_threads = 2;
  o.slot_timeout_seconds = 5;
  return o;
}

struct Epoch {
  std::uint64_t rows = 0;
  Status error;
};

// Nothing of the test itself allocates while calls are counted.
Epoch run(const std::shared_ptr<const Dataset>& dataset, const LoaderOptions& o, std::uint64_t nth) {
  Epoch out;
  LoaderOptions mine = o;
  std::shared_ptr<const Dataset> data = dataset;
  g_refused = nth;
  g_calls = 0;
  g_counts = true;
  {
    auto loader = Loader::create(std::move(data), std::move(mine));
    out.error = loader.ok() ? (*loader)->start_epoch(0) : std::move(loader).status();
    while (out.error.ok()) {
      auto batch = (*loader)->next();
      if (!batch.ok()) {
        out.error = std::move(batch).status();
      } else if (*batch) {
        out.rows += (*batch)->n_rows;
      } else {
        break;
      }
    }
    if (loader.ok()) (*loader)->close();
  }
  g_counts = false;
  return out;
}

TEST(Refusal, AnyAllocationMayFail) {
  testing::FakeSpec spec;
  spec.files = {{300, 20, 7}, {200, 30, 11}};
  const auto dataset = std::make_shared<const Dataset>(std::make_shared<FakeDataset>(spec));
  const LoaderOptions o = options();
  ASSERT_EQ(run(dataset, o, 0).rows, 500u);
  const std::uint64_t calls = g_calls;
  ASSERT_GT(calls, 100u);
  std::uint64_t refusals = 0;
  for (std::uint64_t nth = 1; nth <= calls; nth += nth < 400 ? 1 : 7) {
    const Epoch epoch = run(dataset, o, nth);
    if (epoch.error.ok()) {
      EXPECT_EQ(epoch.rows, 500u) << "call " << nth;
    } else {
      ++refusals;
      EXPECT_TRUE(epoch.error.code() == StatusCode::budget || epoch.error.code() == StatusCode::io_error)
          << "call " << nth << ": " << epoch.error.to_string();
    }
    EXPECT_EQ(o.shared_budget->usage().used, 0u) << "call " << nth;
  }
  EXPECT_GT(refusals, 50u);
  EXPECT_EQ(run(dataset, o, 0).rows, 500u) << "and nothing of it stays";
}

// The calls of a Dataset, on a real file.
class DatasetRefusal : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kPath)) GTEST_SKIP() << "no " << kPath;
    auto opened = Dataset::open({kPath}, {});
    ASSERT_TRUE(opened.ok()) << opened.status().to_string();
    dataset_ = *std::move(opened);
  }

  // How many of the n-th allocations that were refused ended `call` with an error.
  template <class F>
  static std::uint64_t refuse_each(const char* what, const F& call) {
    const auto run = [&](std::uint64_t nth) -> Status {
      g_refused = nth;
      g_calls = 0;
      g_counts = true;
      Status status;
      try {
        status = call();
      } catch (...) {
        g_counts = false;
        ADD_FAILURE() << what << ": an exception at call " << nth;
      }
      g_counts = false;
      return status;
    };
    EXPECT_TRUE(run(0).ok()) << what;
    const std::uint64_t calls = g_calls;
    std::uint64_t errors = 0;
    for (std::uint64_t nth = 1; nth <= calls; nth += nth < 150 ? 1 : 1 + nth / 20) {
      const Status status = run(nth);
      if (status.ok()) continue;
      ++errors;
      EXPECT_TRUE(status.code() == StatusCode::budget || status.code() == StatusCode::io_error)
          << what << ", call " << nth << ": " << status.to_string();
    }
    EXPECT_TRUE(run(0).ok()) << what << ": nothing of it stays";
    return errors;
  }

  const std::string kPath = "../shared/data/bmfm_zheng68k.h5ad";
  std::shared_ptr<const Dataset> dataset_;
};

template <class T>
Status status_of(Result<T> result) {
  return result.ok() ? Status() : std::move(result).status();
}

TEST_F(DatasetRefusal, AnyAllocationOfAnyCallMayFail) {
  const std::vector<std::string> paths = {kPath};
  const std::string column = dataset_->obs_column_names().front();
  const std::vector<std::int64_t> rows = {0, 3, 100};
  const std::vector<std::uint8_t> mask(dataset_->n_obs(), 1);
  const std::vector<double> halves = {0.5, 0.5};
  const std::vector<std::string> genes = {dataset_->var_names()[3], dataset_->var_names()[0]};
  const std::string expression = "`" + column + "` == 'nothing'";
  const auto open = [&] {
    g_counts = false;  // the argument is the caller's to copy
    std::vector<std::string> copy = paths;
    g_counts = true;
    return status_of(Dataset::open(std::move(copy), {}));
  };
  EXPECT_GT(refuse_each("open", open), 20u);
  const Dataset& ds = *dataset_;
  EXPECT_GT(refuse_each("obs", [&] { return status_of(ds.obs(column)); }), 0u);
  EXPECT_GT(refuse_each("obs_names", [&] { return status_of(ds.obs_names()); }), 0u);
  EXPECT_GT(refuse_each("categories", [&] { return status_of(ds.categories(column)); }), 0u);
  EXPECT_GT(refuse_each("select_vars", [&] { return status_of(ds.select_vars(rows)); }), 0u);
  EXPECT_GT(
      refuse_each("select_var_names", [&] { return status_of(ds.select_var_names(genes, "", "error")); }),
      0u);
  EXPECT_GT(refuse_each("select_slice", [&] { return status_of(ds.select_slice(0, 50, 1)); }), 0u);
  EXPECT_GT(refuse_each("select_mask", [&] { return status_of(ds.select_mask(mask)); }), 0u);
  EXPECT_GT(refuse_each("select_positions", [&] { return status_of(ds.select_positions(rows)); }), 0u);
  EXPECT_GT(refuse_each("split", [&] { return status_of(ds.split(halves, {})); }), 0u);
  EXPECT_GT(refuse_each("query", [&] { return status_of(ds.query(expression, {})); }), 0u);
  EXPECT_GT(refuse_each("read_rows", [&] { return status_of(ds.read_rows(rows)); }), 0u);
}

}  // namespace
}  // namespace penstock
