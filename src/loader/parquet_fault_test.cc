// The loader over Parquet files that misbehave, in every layout: while they are opened, planned and read. The
// same batches, or an error that names the file and the place, at the next() that needed the bytes; nothing
// is held afterwards, neither memory nor a file. The files are written by pyarrow
// (src/parquet/testing/make_fixtures.py): $PENSTOCK_PYTHON, else python3; skipped without.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <regex>

#include "io/testing/fault_file.h"
#include "loader/testing/fault_run.h"
#include "memory/refusal.h"
#include "parquet/metadata.h"

namespace penstock {
namespace {

using ::testing::ContainsRegex;
using testing::FaultFile;
using testing::Faults;
using ::testing::HasSubstr;
using testing::Outcome;

constexpr std::uint64_t kBatch = 32, kBlock = 50, kRows = 600;

// Where the matrix of a layout is.
struct Layout {
  const char* name;
  const char* open;                  // below the folder of fixtures
  const char* matrix;                // the file that holds it
  std::vector<std::string> columns;  // of the matrix, as errors name them
  std::vector<std::string> obs;
};
void PrintTo(const Layout& l, std::ostream* out) { *out << l.name; }

// A column chunk that an epoch reads.
struct Chunk {
  std::size_t row_group = 0;
  std::string column;
  ByteOffset begin = 0, end = 0;
};

class ParquetFaults : public ::testing::TestWithParam<Layout> {
 protected:
  static void SetUpTestSuite() {
    const char* chosen = std::getenv("PENSTOCK_PYTHON");
    const std::string python = chosen ? chosen : "python3";
    char name[] = "/tmp/penstock_parquet_XXXXXX";
    if (!::mkdtemp(name)) return;
    folder_ = name;
    if (std::system((python + " -c 'import pandas, pyarrow' 2>/dev/null").c_str()) != 0) return;
    ready_ = true;
    // Tests run in the project's folder.
    ASSERT_EQ(std::system((python + " src/parquet/testing/make_fixtures.py " + folder_).c_str()), 0);
  }
  static void TearDownTestSuite() {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  void SetUp() override {
    if (!ready_) GTEST_SKIP() << "no Python with pyarrow: set PENSTOCK_PYTHON";
    reference_ = run({}, [] {});
    ASSERT_TRUE(reference_.error.ok()) << reference_.error.to_string();
    ASSERT_EQ(reference_.batches.size(), (kRows + kBatch - 1) / kBatch);
    ASSERT_GE(reference_.stats.epoch_reads, 10u);
  }

  std::string path() const { return folder_ + "/" + GetParam().open; }
  std::string matrix() const { return folder_ + "/" + GetParam().matrix; }
  FaultFile& matrix_file() const { return *files_.at(matrix()); }

  LoaderOptions options() const {
    LoaderOptions o;
    o.batch_size = kBatch;
    // Given, so that the order is the same whatever planning could read.
    o.block_rows = kBlock;
    o.window_rows = 200;
    o.shared_budget = MemoryBudget::create(100'000'000);
    o.seed = 7;
    o.obs = GetParam().obs;
    o.threads = threads_;
    o.io_threads = 4;
    o.shuffle = shuffle_;
    o.slot_timeout_seconds = 5;
    return o;
  }

  // Opens, plans and reads an epoch; the matrix's file has `at_open` from its first read on.
  Outcome run(const Faults& at_open, const std::function<void()>& begin) {
    files_.clear();
    OpenOptions open;
    open.opener = [&](const std::string& name) -> Result<std::shared_ptr<const File>> {
      PENSTOCK_ASSIGN_OR_RETURN(auto real, open_posix_file(name));
      auto file = std::make_shared<FaultFile>(std::move(real), name == faulty_ ? at_open : Faults());
      files_[name] = file;
      return std::shared_ptr<const File>(std::move(file));
    };
    const Outcome seen =
        testing::run_epoch_in_time([&] { return Dataset::open({path()}, open); }, options(), begin);
    for (const auto& [name, file] : files_) EXPECT_EQ(file.use_count(), 1) << name << " is still held";
    return seen;
  }

  // Everything before the error is right.
  void expect_right_so_far(const Outcome& seen) const {
    ASSERT_LE(seen.batches.size(), reference_.batches.size());
    for (std::size_t i = 0; i < seen.batches.size(); ++i) {
      EXPECT_TRUE(seen.batches[i] == reference_.batches[i]) << i;
    }
  }
  // Of a failed read: an error of the system with file, length and offset.
  void expect_read_error(const Outcome& seen, const std::string& text) const {
    expect_right_so_far(seen);
    EXPECT_EQ(seen.error.code(), StatusCode::io_error) << seen.error.to_string();
    EXPECT_THAT(seen.error.message(), HasSubstr(faulty_));
    EXPECT_THAT(seen.error.message(), ContainsRegex("[0-9]+ bytes at 0x[0-9a-f]+"));
    EXPECT_THAT(seen.error.message(), HasSubstr(text));
  }
  // Of an epoch's read it also names the block's rows, the first of which were needed by the batch that
  // failed.
  void expect_at_the_right_batch(const Outcome& seen) const {
    std::smatch rows;
    const std::string text = seen.error.message();
    ASSERT_TRUE(std::regex_search(text, rows, std::regex("rows ([0-9]+) to ([0-9]+): "))) << text;
    if (!shuffle_) EXPECT_EQ(seen.batches.size(), std::stoul(rows[1]) / kBatch) << text;
    EXPECT_LT(seen.batches.size(), reference_.batches.size());
  }

  std::vector<Chunk> chunks() const {
    const auto file = open_posix_file(matrix());
    const auto budget = MemoryBudget::create(100'000'000);
    const auto metadata = parquet::read_metadata(**file, *budget);
    EXPECT_TRUE(metadata.ok());
    std::vector<Chunk> out;
    for (std::size_t g = 0; g < (*metadata)->row_groups.size(); ++g) {
      for (const std::string& name : GetParam().columns) {
        for (std::size_t c = 0; c < (*metadata)->columns.size(); ++c) {
          if ((*metadata)->columns[c].path != name) continue;
          const auto& chunk = (*metadata)->row_groups[g].columns[c];
          out.push_back({g, name, chunk.offset, chunk.offset + chunk.bytes});
        }
      }
    }
    EXPECT_GE(out.size(), GetParam().columns.size());
    return out;
  }

  inline static std::string folder_;
  inline static bool ready_ = false;
  std::map<std::string, std::shared_ptr<FaultFile>> files_;  // of the last run
  std::string faulty_ = ready_ ? matrix() : "";
  Outcome reference_;
  std::uint32_t threads_ = 2;
  bool shuffle_ = true;
};

TEST_P(ParquetFaults, BenignOnesGiveTheSameBatches) {
  for (threads_ = 1; threads_ <= 4; threads_ += 3) {
    for (const Faults& faults :
         {Faults{.short_reads = true}, Faults{.interrupts = true},
          Faults{.delay = std::chrono::microseconds(300), .short_reads = true, .interrupts = true}}) {
      const Outcome seen = run(faults, [] {});
      EXPECT_TRUE(seen.error.ok()) << seen.error.to_string();
      EXPECT_TRUE(seen.batches == reference_.batches);
    }
  }
}

// From the first byte of the footer on: each read of each file, once and for ever, with and without bytes
// that came before the error.
TEST_P(ParquetFaults, WhicheverReadFailsFromOpeningOn) {
  std::vector<std::string> names;
  for (const auto& file : files_) names.push_back(file.first);
  for (const std::string& name : names) {
    faulty_ = name;
    std::uint64_t failed = 0;
    for (std::uint64_t k = 1;; ++k) {
      ASSERT_LT(k, 2000u);
      Faults faults{.fail_nth_read = k};
      faults.fail_for_ever = k % 2 == 0;
      faults.short_before_error = k % 3 == 0;
      const Outcome seen = run(faults, [] {});
      if (seen.error.ok()) {
        // Reads for the sample of planning may fail, and those for another epoch.
        EXPECT_TRUE(seen.batches == reference_.batches) << name << ", read " << k;
        if (files_[name]->reads() < k) break;
      } else {
        ++failed;
        expect_read_error(seen, "Input/output error");
      }
    }
    EXPECT_GE(failed, name == matrix() ? 10u : 1u) << name;
  }
}

TEST_P(ParquetFaults, AReadThatFailsSurfacesAtTheBatchThatNeededIt) {
  for (const bool shuffle : {false, true}) {
    shuffle_ = shuffle;
    for (threads_ = 1; threads_ <= 4; threads_ += 3) {
      reference_ = run({}, [] {});
      const std::uint64_t reads = reference_.stats.epoch_reads;
      for (std::uint64_t k = 1; k <= reads; ++k) {
        const Outcome seen = run({}, [&] { matrix_file().set({.fail_nth_read = k}); });
        if (seen.error.ok() && k > reads / 2) continue;  // a read for the next epoch came before it
        expect_read_error(seen, "Input/output error");
        expect_at_the_right_batch(seen);
      }
    }
  }
}

TEST_P(ParquetFaults, AByteThatCannotBeReadFailsItsBlock) {
  shuffle_ = false;
  reference_ = run({}, [] {});
  for (const Chunk& chunk : chunks()) {
    for (const ByteOffset at : {chunk.begin, (chunk.begin + chunk.end) / 2, chunk.end - 1}) {
      for (const bool shrunk : {false, true}) {
        Faults faults;
        (shrunk ? faults.shrink_to : faults.fail_at) = at;
        const Outcome seen = run({}, [&] { matrix_file().set(faults); });
        expect_read_error(seen, shrunk ? "the file has shrunk to less than" : "Input/output error");
        expect_at_the_right_batch(seen);
      }
    }
  }
}

TEST_P(ParquetFaults, AFlippedBitNamesRowGroupColumnAndPage) {
  shuffle_ = false;
  reference_ = run({}, [] {});
  for (const Chunk& chunk : chunks()) {
    const Outcome seen =
        run({}, [&] { matrix_file().set({.flips = {{.offset = chunk.end - 1, .mask = 0x10}}}); });
    expect_right_so_far(seen);
    EXPECT_EQ(seen.error.code(), StatusCode::corrupt) << seen.error.to_string();
    EXPECT_THAT(seen.error.message(), HasSubstr(matrix() + ": row group " + std::to_string(chunk.row_group) +
                                                ", column " + chunk.column + ", page at byte 0x"));
    EXPECT_THAT(seen.error.message(), HasSubstr("stored checksum"));
  }
}

TEST_P(ParquetFaults, BudgetRefusedAtEveryReservation) {
  std::uint64_t k = 1, refused = 0;
  for (;; ++k) {
    ASSERT_LT(k, 3000u);
    testing::refuse_reservation(k);
    const Outcome seen = run({}, [] {});
    const std::uint64_t asked = testing::reservations_asked();
    testing::refuse_reservation(0);
    if (seen.error.ok()) {
      EXPECT_TRUE(seen.batches == reference_.batches) << "when reservation " << k << " was refused";
    } else {
      ++refused;
      EXPECT_EQ(seen.error.code(), StatusCode::budget) << k << ": " << seen.error.to_string();
    }
    if (asked < k) break;  // a whole run passed without a refusal
  }
  EXPECT_GE(refused, 10u);
}

std::vector<std::string> genes() {
  std::vector<std::string> out;
  for (int i = 0; i < 80; i += 13) out.push_back("g" + std::to_string(i));
  return out;
}
const std::vector<std::string> kLists{"genes.list.element", "expressions.list.element"};
INSTANTIATE_TEST_SUITE_P(
    Loader, ParquetFaults,
    ::testing::Values(Layout{"lists", "lists.parquet", "lists.parquet", kLists, {"drug"}},
                      Layout{
                          "lists_by_pages", "large/lists.parquet", "large/lists.parquet", kLists, {"drug"}},
                      Layout{"triplets", "coo.pqdata", "coo.pqdata/X.parquet", {"col", "data"}, {"drug"}},
                      Layout{"wide", "wide.parquet", "wide.parquet", genes(), {}}),
    [](const auto& i) { return std::string(i.param.name); });

}  // namespace
}  // namespace penstock
