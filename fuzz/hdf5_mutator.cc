// How HDF5 files are mutated: in place, since a byte that is inserted moves every structure behind it away
// from its address. Half of the edits hit fields near the structures, with addresses and sizes that occur in
// files; some swap or copy aligned words; the rest are libFuzzer's own. Most results have the file's size put
// right in the superblock.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>
#include <vector>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

// Where structures of a file begin.
std::vector<std::size_t> find_structures(const std::uint8_t* data, std::size_t size) {
  std::vector<std::size_t> found = {0};
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    const std::string_view four(reinterpret_cast<const char*>(data) + i, 4);
    // An object header has no signature: version 1, a reserved 0, and one reference.
    static constexpr std::array<std::uint8_t, 2> kHeader = {1, 0};
    const bool header = std::memcmp(data + i, kHeader.data(), 2) == 0 && data[i + 4] == 1 && data[i + 5] == 0;
    static constexpr std::string_view kSignatures[] = {"TREE", "SNOD", "HEAP", "GCOL", "OHDR", "OCHK",
                                                       "FRHP", "FHDB", "FHIB", "BTHD", "BTLF", "BTIN",
                                                       "FAHD", "FADB", "EAHD", "EAIB", "EADB", "EASB"};
    if (header || std::ranges::find(kSignatures, four) != std::end(kSignatures)) found.push_back(i);
  }
  return found;
}

// A number that may mean something at this place.
std::uint64_t telling_number(std::mt19937& random, const std::uint8_t* data, std::size_t size,
                             const std::vector<std::size_t>& structures, std::uint64_t old) {
  switch (random() % 8) {
    case 0:
      return structures[random() % structures.size()];
    case 1:
      return size - random() % 64;
    case 2:
      return old + 1;
    case 3:
      return old - 1;
    case 4:
      return ~std::uint64_t{0} >> (random() % 4 * 8);
    case 5:
      return std::uint64_t{1} << random() % 64;
    case 6:
      return random() % 20;
    default: {  // another word of the file
      std::uint64_t word = 0;
      std::memcpy(&word, data + random() % (size / 8) * 8, sizeof(word));
      return word;
    }
  }
}

void edit_field(std::mt19937& random, std::uint8_t* data, std::size_t size) {
  const auto structures = find_structures(data, size);
  std::size_t at = random() % size;
  if (random() % 4 != 0) at = structures[random() % structures.size()] + random() % (random() % 2 ? 64 : 400);
  const std::size_t width = std::size_t{1} << random() % 4;
  at = std::min(at, size - width) / width * width;
  std::uint64_t value = 0;
  std::memcpy(&value, data + at, width);
  value = telling_number(random, data, size, structures, value);
  std::memcpy(data + at, &value, width);
}

void move_words(std::mt19937& random, std::uint8_t* data, std::size_t size) {
  const std::size_t words = std::min<std::size_t>(size / 8, 1 + random() % 16);
  const std::size_t from = random() % (size / 8 - words + 1) * 8, to = random() % (size / 8 - words + 1) * 8;
  std::memmove(data + to, data + from, words * 8);
}

// The end of file of a superblock with 8-byte offsets. (The target hdf5 ignores checksums.)
void mend_size(std::uint8_t* data, std::size_t size) {
  if (size < 100 || std::memcmp(data, "\x89HDF", 4) != 0 || data[8] > 3) return;
  if (data[data[8] < 2 ? 13 : 9] != 8) return;
  static constexpr std::size_t kAddresses[] = {24, 28, 12, 12};  // by version
  const std::uint64_t end = size;
  std::memcpy(data + kAddresses[data[8]] + 16, &end, sizeof(end));
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  std::mt19937 random(seed);
  if (size < 64 || random() % 16 == 0) {
    size = LLVMFuzzerMutate(data, size, max_size);
  } else {
    for (std::size_t edits = 1 + random() % 3; edits > 0; --edits) {
      switch (random() % 8) {
        case 0:
          move_words(random, data, size);
          break;
        case 1:
        case 2: {  // libFuzzer's own edits, its dictionary of compared values too, without moving what
                   // follows
          const std::size_t begin = random() % size,
                            n = std::min<std::size_t>(size - begin, 1 + random() % 64);
          LLVMFuzzerMutate(data + begin, n, n);
          break;
        }
        default:
          edit_field(random, data, size);
      }
    }
    if (random() % 64 == 0) size = 64 + random() % (size - 63);
  }
  if (random() % 8 != 0) mend_size(data, size);
  return size;
}
