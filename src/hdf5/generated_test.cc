// Files that h5py writes here and now (testing/make_fixtures.py), against what h5py says is in them. Needs a
// Python with h5py: $PENSTOCK_PYTHON, else python3; skipped without.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "hdf5/hdf5.h"
#include "hdf5/testing/walk.h"
#include "io/testing/fault_file.h"

namespace penstock::hdf5 {
namespace {

std::string crc(const void* data, std::size_t n) {
  return fmt::format("{:08x}", ::crc32(0, static_cast<const Bytef*>(data), static_cast<uInt>(n)));
}

std::string crc(const std::vector<std::string>& strings) {
  std::string text;
  for (const auto& s : strings) text += s + '\0';
  return crc(text.data(), text.size());
}

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  std::string text;
  for (const auto n : shape) text += (text.empty() ? "" : "x") + std::to_string(n);
  return text.empty() ? "scalar" : text;
}

std::string code(const store::DataType& t) {
  if (t.cls == store::TypeClass::fixed_string || t.cls == store::TypeClass::vlen_string) return "str";
  if (t.cls == store::TypeClass::boolean) return "|b1";
  if (t.cls != store::TypeClass::number) return t.description;
  const char kind = is_floating(t.number)                                ? 'f'
                    : std::string_view(numeric_name(t.number))[0] == 'u' ? 'u'
                                                                         : 'i';
  return fmt::format("{}{}{}", t.size == 1 ? "|" : "<", kind, t.size);
}

// The bits of a float that a half holds exactly. (Clang 14 has no _Float16 on x86.)
std::uint16_t half(float v) {
  const auto bits = std::bit_cast<std::uint32_t>(v);
  const std::uint32_t sign = bits >> 16 & 0x8000, exponent = bits >> 23 & 0xff, mantissa = bits >> 13 & 0x3ff;
  if (exponent == 0xff) return static_cast<std::uint16_t>(sign | 0x7c00 | mantissa);
  if (exponent > 112) return static_cast<std::uint16_t>(sign | (exponent - 112) << 10 | mantissa);
  return static_cast<std::uint16_t>(sign | (exponent < 102 ? 0 : (mantissa | 0x400) >> (113 - exponent)));
}

// The values of an attribute in the type they are stored in.
std::string crc(const store::Attribute& a) {
  if (code(a.type) == "str") return crc(a.strings);
  std::string bytes;
  const auto put = [&](const auto& v) { bytes.append(reinterpret_cast<const char*>(&v), a.type.size); };
  for (const auto v : a.ints) put(v);
  for (const auto v : a.floats) {
    if (a.type.number == NumericType::f64) put(v);
    if (a.type.number == NumericType::f32) put(static_cast<float>(v));
    if (a.type.number == NumericType::f16) put(half(static_cast<float>(v)));
  }
  return crc(bytes.data(), bytes.size());
}

class Hdf5GeneratedTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const char* chosen = std::getenv("PENSTOCK_PYTHON");
    const std::string python = chosen ? chosen : "python3";
    char name[] = "/tmp/penstock_hdf5_XXXXXX";
    if (!::mkdtemp(name)) return;
    folder_ = name;
    ready_ = std::system((python + " -c 'import h5py' 2>/dev/null").c_str()) == 0;
    if (!ready_) return;
    // Tests run in the project's folder. (__FILE__ may be relative to the build folder: ccache rewrites
    // paths.)
    constexpr const char* kScript = "src/hdf5/testing/make_fixtures.py";
    ASSERT_EQ(std::system(fmt::format("{} {} {}", python, kScript, folder_).c_str()), 0);
  }
  static void TearDownTestSuite() {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  void SetUp() override {
    if (!ready_) GTEST_SKIP() << "no Python with h5py: set PENSTOCK_PYTHON";
  }
  static inline std::string folder_;
  static inline bool ready_ = false;
};

Status compare(const store::Group& root, const std::string& path, const std::string& attribute,
               const std::vector<std::string>& want) {
  std::shared_ptr<const store::Node> node;
  const store::Node* at = &root;
  if (!path.empty()) {
    PENSTOCK_ASSIGN_OR_RETURN(node, root.child(path));
    at = node.get();
  }
  if (!attribute.empty()) {
    PENSTOCK_ASSIGN_OR_RETURN(const auto found, at->attribute(attribute));
    if (!found) return Status::invalid_argument("absent");
    if (found->type.cls != store::TypeClass::reference) {
      EXPECT_EQ((std::vector<std::string>{shape_text(found->shape), code(found->type), crc(*found)}), want);
      return {};
    }
    PENSTOCK_ASSIGN_OR_RETURN(node, at->follow(*found));
    at = node.get();
  }
  const auto* array = at->as_array();
  if (!array) return Status::invalid_argument("a group");
  std::string sum;
  if (code(array->dtype()) == "str") {
    PENSTOCK_ASSIGN_OR_RETURN(const auto strings, array->read_strings(0, array->size()));
    sum = crc(strings);
  } else {
    PENSTOCK_ASSIGN_OR_RETURN(const auto bytes, array->read_all(64 << 20));
    sum = crc(bytes.data(), bytes.size());
  }
  EXPECT_EQ((std::vector<std::string>{shape_text(array->shape()), code(array->dtype()), sum}), want);
  return {};
}

TEST_F(Hdf5GeneratedTest, EverythingReadsAsH5pyReadsIt) {
  std::ifstream in(folder_ + "/expected.tsv");
  std::string line;
  std::getline(in, line);
  std::size_t n = 0;
  while (std::getline(in, line)) {
    SCOPED_TRACE(line);
    std::vector<std::string> cells;
    std::stringstream split(line + "\t");
    for (std::string cell; std::getline(split, cell, '\t');) cells.push_back(cell);
    cells.resize(7);
    auto root = open(folder_ + "/" + cells[0], {.index_budget = MemoryBudget::create(64 << 20)});
    Status status = root.status();
    if (root.ok()) status = compare(**root, cells[1], cells[2], {cells[4], cells[5], cells[6]});
    std::string got(status_code_name(status.code()));
    if (status.message() == "absent") got = "absent";
    EXPECT_EQ(got, cells[3]) << status.message();
    if (!status.ok() && got != "absent") {
      EXPECT_TRUE(status.message().starts_with(folder_ + "/" + cells[0] + ": ")) << status.message();
    }
    ++n;
  }
  EXPECT_GE(n, 1000u);
}

TEST_F(Hdf5GeneratedTest, MetadataCostsFewReadsAndLittleMemory) {
  const auto count = [&](const std::string& name, auto&& use) {
    auto real = open_posix_file(folder_ + "/" + name);
    EXPECT_TRUE(real.ok());
    const auto file = std::make_shared<testing::FaultFile>(*real);
    store::OpenLimits limits{.index_budget = MemoryBudget::create(64 << 20)};
    limits.opener = [&](const std::string&) { return Result<std::shared_ptr<const File>>(file); };
    auto root = open(name, limits);
    EXPECT_TRUE(root.ok());
    use(**root, *limits.index_budget);
    return file->reads();
  };
  const auto start = std::chrono::steady_clock::now();
  const auto columns = count("many_columns.h5", [](const store::Group& root, const MemoryBudget& budget) {
    auto obs = root.child("obs");
    ASSERT_TRUE(obs.ok());
    auto names = (*obs)->as_group()->children();
    ASSERT_TRUE(names.ok());
    ASSERT_EQ(names->size(), 3000u);
    for (const auto& name : *names) {
      auto column = (*obs)->as_group()->child(name);
      ASSERT_TRUE(column.ok());
      auto attribute = (*column)->attribute("encoding-type");
      ASSERT_TRUE(attribute.ok() && attribute->has_value());
      ASSERT_EQ((*attribute)->strings, std::vector<std::string>{"array"});
    }
    EXPECT_LT(budget.usage().peak, 2u << 20);
  });
  EXPECT_LE(columns, 60u);
  const auto chunks = count("three_levels.h5", [](const store::Group& root, const MemoryBudget& budget) {
    auto data = root.child("data");
    ASSERT_TRUE(data.ok());
    EXPECT_EQ((*data)->as_array()->n_chunks(), 131071u);
    EXPECT_LT((*data)->as_array()->index_bytes(), 131071u * 3);
    EXPECT_LT(budget.usage().used, 131071u * 3 + 1000);  // and the links of the root
    EXPECT_LT(budget.usage().peak, 1u << 20);
  });
  EXPECT_LE(chunks, 2600u);
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
  RecordProperty("milliseconds", static_cast<int>(ms.count()));
}

TEST_F(Hdf5GeneratedTest, ABudgetTooSmallForTheIndexIsSaidSo) {
  auto root = open(folder_ + "/three_levels.h5", {.index_budget = MemoryBudget::create(128 << 10)});
  ASSERT_TRUE(root.ok());
  const auto data = (*root)->child("data");
  EXPECT_EQ(data.status().code(), StatusCode::budget);
  // The index or the way to it, whichever comes first.
  for (const char* words : {"three_levels.h5: /data: ", "index needs"}) {
    EXPECT_NE(data.status().message().find(words), std::string::npos) << data.status().message();
  }
}

TEST_F(Hdf5GeneratedTest, FailedReadsSurfaceAsIoErrors) {
  auto real = open_posix_file(folder_ + "/types.h5");
  ASSERT_TRUE(real.ok());
  std::uint64_t nth = 0;
  for (bool clean = false; !clean && nth < 2000;) {
    ++nth;
    const auto file = std::make_shared<testing::FaultFile>(
        *real, testing::Faults{.fail_nth_read = nth, .short_before_error = true});
    store::OpenLimits limits{.index_budget = MemoryBudget::create(64 << 20)};
    limits.opener = [&](const std::string&) { return Result<std::shared_ptr<const File>>(file); };
    auto root = open("types.h5", limits);
    if (!root.ok()) {
      EXPECT_EQ(root.status().code(), StatusCode::io_error);
      continue;
    }
    WalkResult result;
    walk(**root, 1 << 20, result);
    clean = result.wrong.empty();
    for (const auto& message : result.wrong) EXPECT_TRUE(message.starts_with("io_error")) << message;
  }
  EXPECT_GT(nth, 50u);
  EXPECT_LT(nth, 2000u);
}

}  // namespace
}  // namespace penstock::hdf5
