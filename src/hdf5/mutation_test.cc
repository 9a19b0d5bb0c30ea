// Damaged files: truncated at many lengths, bits flipped and fields overwritten at many offsets. Opening,
// walking and reading everything must come back with a status, within the budget and within seconds.
// Deterministic. The files come from ../shared/data; skipped when it is absent.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "hdf5/hdf5.h"
#include "hdf5/testing/walk.h"
#include "io/testing/memory_file.h"

namespace penstock::hdf5 {
namespace {

using testing::MemoryFile;

constexpr ByteCount kBudget = 64 << 20;
const std::string kData = "../shared/data/";

struct Tally {
  std::size_t files = 0, opened = 0, corrupt = 0;
};

void use(std::vector<std::byte> bytes, const std::string& what, Tally& tally,
         Checksums checksums = Checksums::verify) {
  const auto file = std::make_shared<const MemoryFile>(std::move(bytes), what);
  const auto budget = MemoryBudget::create(kBudget);
  store::OpenLimits limits{.index_budget = budget};
  limits.opener = [&](const std::string&) { return Result<std::shared_ptr<const File>>(file); };
  const auto start = std::chrono::steady_clock::now();
  {
    ++tally.files;
    auto root = open(what, limits, checksums);
    if (root.ok()) {
      ++tally.opened;
      WalkResult result;
      walk(**root, 16 << 20, result);
      tally.corrupt += !result.wrong.empty();
      for (const auto& message : result.wrong) {
        ASSERT_TRUE(message.starts_with("corrupt") || message.starts_with("not_found"))
            << what << ": " << message;
        ASSERT_NE(message.find(what), std::string::npos) << message;
      }
    } else {
      ++tally.corrupt;
      ASSERT_NE(root.status().code(), StatusCode::internal) << root.status().message();
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  ASSERT_LT(took.count(), 30) << what;  // milliseconds, on a machine that has nothing else to do
  ASSERT_EQ(budget->usage().used, 0u) << what;
}

class Hdf5MutationTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string path = kData + GetParam();
    if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is absent";
    auto bytes = testing::load_file(path);
    ASSERT_TRUE(bytes.ok());
    original_ = std::move(bytes).value();
    if (const char* factor = std::getenv("PENSTOCK_MUTATIONS")) factor_ = std::strtoull(factor, nullptr, 10);
  }
  std::vector<std::byte> original_;
  std::size_t factor_ = 1;  // more for a long run by hand
};

TEST_P(Hdf5MutationTest, Truncated) {
  Tally tally;
  const std::size_t step = std::max<std::size_t>(1, original_.size() / (150 * factor_));
  for (std::size_t n = 0; n < original_.size(); n += step) {
    use({original_.begin(), original_.begin() + static_cast<std::ptrdiff_t>(n)},
        "cut at " + std::to_string(n), tally);
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(tally.opened, 0u) << "the superblock knows the size of the file";
}

// With an end of file that agrees, so that every structure meets the cut itself.
TEST_P(Hdf5MutationTest, TruncatedAndTheSuperblockHidesIt) {
  // With 8-byte offsets; newer superblocks have a checksum, and so have most of their structures.
  const std::size_t kEndOfFile = original_[8] == std::byte{0} ? 24 + 16 : 12 + 16;
  Tally tally;
  const std::size_t step = std::max<std::size_t>(1, original_.size() / (300 * factor_));
  for (std::size_t n = 96; n < original_.size(); n += step) {
    std::vector<std::byte> bytes(original_.begin(), original_.begin() + static_cast<std::ptrdiff_t>(n));
    for (std::size_t k = 0; k < 8; ++k) bytes[kEndOfFile + k] = static_cast<std::byte>(n >> (8 * k));
    use(std::move(bytes), "cut at " + std::to_string(n), tally, Checksums::ignore);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(tally.opened, tally.files / 2);
  EXPECT_GT(tally.corrupt, tally.files * 8 / 10);  // some end in bytes that nothing uses
}

TEST_P(Hdf5MutationTest, Flipped) {
  Tally tally;
  std::mt19937_64 random(20240607);
  // Metadata is dense in these files, but most bytes still are payload: hit the structures too.
  std::vector<std::size_t> structures = {0};
  for (std::size_t i = 0; i + 4 < original_.size(); ++i) {
    const std::string_view four(reinterpret_cast<const char*>(original_.data()) + i, 4);
    static constexpr std::string_view kSignatures[] = {"TREE", "SNOD", "HEAP", "GCOL", "OHDR", "OCHK",
                                                       "FRHP", "FHDB", "FHIB", "BTHD", "BTLF", "BTIN",
                                                       "FAHD", "FADB", "EAHD", "EAIB", "EADB", "EASB"};
    if (std::ranges::find(kSignatures, four) != std::end(kSignatures)) structures.push_back(i);
  }
  for (std::size_t i = 0; i < 1000 * factor_; ++i) {
    auto bytes = original_;
    std::string what = "mutation " + std::to_string(i);
    for (std::size_t hits = 1 + random() % 3; hits > 0; --hits) {
      std::size_t at = random() % bytes.size();
      if (random() % 2) at = structures[random() % structures.size()] + random() % 400;
      at = std::min(at, bytes.size() - 1);
      what += " @" + std::to_string(at);
      static constexpr int kValues[] = {0, 1, 0x7f, 0x80, 0xff};
      const std::size_t width = std::min<std::size_t>(std::size_t{1} << random() % 4, bytes.size() - at);
      const int value = kValues[random() % 5];
      switch (random() % 3) {
        case 0:
          bytes[at] ^= static_cast<std::byte>(1 << random() % 8);
          break;
        case 1:
          for (std::size_t k = 0; k < width; ++k) bytes[at + k] = static_cast<std::byte>(value);
          break;
        default: {  // a plausible address or size
          const std::size_t from = structures[random() % structures.size()] + random() % 8;
          for (std::size_t k = 0; k < width; ++k) bytes[at + k] = static_cast<std::byte>(from >> (8 * k));
        }
      }
    }
    // Behind checksums as well: what they would have caught must not be what keeps a reader safe.
    use(std::move(bytes), what, tally, i % 4 == 0 ? Checksums::verify : Checksums::ignore);
    if (HasFatalFailure()) return;
  }
  RecordProperty("opened", static_cast<int>(tally.opened));
  RecordProperty("corrupt", static_cast<int>(tally.corrupt));
  EXPECT_GT(tally.corrupt, tally.files / 20);
}

INSTANTIATE_TEST_SUITE_P(Files, Hdf5MutationTest,
                         ::testing::Values("h5py_vlen_string_dset.h5", "anndata_v0.11.4_adata.h5ad",
                                           "scvi_TM_droplet_mat.h5ad", "cellxgene_1e4dfec4.h5ad",
                                           "scanpy_10x_v2_filtered_gene_bc_matrices.h5",
                                           "bpcells_mini_mat.anndata-v0.7.h5ad", "jhdf_lz4_datasets.hdf5",
                                           "jhdf_bitshuffle_datasets.hdf5",
                                           "jhdf_implicit_index_datasets.hdf5", "jhdf_globalheaps_test.hdf5",
                                           "jhdf_100B_max_dimension_size.hdf5",
                                           "jhdf_test_byteshuffle_compressed_datasets_latest.hdf5",
                                           "jhdf_test_compressed_chunked_datasets_latest.hdf5"),
                         [](const auto& file) {
                           std::string name = file.param;
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

}  // namespace
}  // namespace penstock::hdf5
