// Every input in fuzz/regressions/TARGET/NAME through its target: it must say what lies beside it in
// NAME.txt.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "io/testing/memory_file.h"
#include "targets.h"

namespace penstock::fuzz {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = "fuzz/regressions";

struct Target {
  const char* name;
  std::string (*run)(Input);
};
constexpr Target kTargets[] = {{"anndata", anndata},       {"compression", compression},
                               {"deflate", deflate},       {"encodings", encodings},
                               {"fletcher32", fletcher32}, {"hdf5", hdf5},
                               {"kernels", kernels},       {"lzf", lzf},
                               {"parquet", parquet},       {"pipeline", pipeline},
                               {"query", query},           {"shuffle", shuffle}};

std::vector<fs::path> inputs() {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(kFolder)) {
    if (entry.is_regular_file() && entry.path().extension() != ".txt") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(FuzzRegressions, SayWhatIsExpected) {
  ASSERT_TRUE(fs::is_directory(kFolder)) << "run from the project's folder";
  ASSERT_FALSE(inputs().empty());
  for (const fs::path& path : inputs()) {
    SCOPED_TRACE(path.string());
    const std::string target = path.parent_path().filename();
    const auto* found = std::find_if(std::begin(kTargets), std::end(kTargets),
                                     [&](const Target& each) { return each.name == target; });
    ASSERT_NE(found, std::end(kTargets)) << "no target of this name";
    const fs::path expected = path.string() + ".txt";
    ASSERT_TRUE(fs::exists(expected)) << expected << " is missing: it holds the expected message";
    const auto bytes = testing::load_file(path);
    ASSERT_TRUE(bytes.ok()) << bytes.status().to_string();
    EXPECT_EQ(found->run(*bytes), text_of(expected));
    EXPECT_LE(bytes->size(), 16u << 10) << "make it smaller: fuzz/README.md says how";
  }
}

TEST(FuzzRegressions, NoMessageWithoutItsInput) {
  for (const auto& entry : fs::recursive_directory_iterator(kFolder)) {
    fs::path path = entry.path();
    if (!entry.is_regular_file() || path.extension() != ".txt") continue;
    EXPECT_TRUE(fs::exists(path.replace_extension())) << entry.path();
  }
}

}  // namespace
}  // namespace penstock::fuzz
