#include "hdf5/hdf5.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "hdf5/testing/walk.h"
#include "io/testing/memory_file.h"
#include "outcome.h"
#include "targets.h"

namespace penstock::fuzz {

namespace {

constexpr const char* kLabel = "input.h5";
constexpr ByteCount kBudget = 16 << 20;
constexpr ByteCount kMostRead = 256 << 10;  // of one array
constexpr std::size_t kMostObjects = 300;

// Ranges of an array against the whole of it.
void check_ranges(const store::Array& array, std::span<const std::byte> whole, std::mt19937_64& random,
                  Outcome& outcome) {
  if (array.size() == 0 || (array.is_chunked() && array.shape().size() != 1)) return;
  const std::size_t item = array.dtype().size;
  for (int i = 0; i < 2; ++i) {
    const std::uint64_t first = random() % array.size();
    const std::uint64_t count = 1 + random() % std::min<std::uint64_t>(array.size() - first, 100);
    std::vector<std::byte> out(count * item);
    if (!outcome.take(array.read_range(first, count, out))) continue;
    require(std::equal(out.begin(), out.end(), whole.begin() + static_cast<std::ptrdiff_t>(first * item)),
            array.where() + ": a range differs from the whole");
  }
}

}  // namespace

std::string hdf5(Input input) {
  const auto file =
      std::make_shared<const testing::MemoryFile>(std::vector<std::byte>(input.begin(), input.end()), kLabel);
  const auto budget = MemoryBudget::create(kBudget);
  store::OpenLimits limits{.index_budget = budget};
  limits.opener = [&](const std::string&) { return Result<std::shared_ptr<const File>>(file); };
  Outcome outcome(kLabel);
  std::string summary = "not opened";
  {
    std::mt19937_64 random(input.size());
    // Behind checksums lie the structures that are to be damaged.
    const auto root = penstock::hdf5::open(kLabel, limits, penstock::hdf5::Checksums::ignore);
    if (outcome.take(root.status())) {
      penstock::hdf5::WalkResult walked;
      walked.objects_left = kMostObjects;
      walked.on_status = [&](const Status& status) { outcome.take(status); };
      walked.on_bytes = [&](const store::Array& array, std::span<const std::byte> bytes) {
        check_ranges(array, bytes, random, outcome);
      };
      penstock::hdf5::walk(**root, kMostRead, walked);
      summary = fmt::format("ok: {} groups, {} arrays, {} attributes, {} bytes", walked.groups, walked.arrays,
                            walked.attributes, walked.bytes);
    }
  }
  require(budget->usage().used == 0, "bytes of the budget were not given back");
  return outcome.text(summary);
}

}  // namespace penstock::fuzz
