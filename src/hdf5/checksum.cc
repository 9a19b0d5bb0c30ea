// Jenkins' lookup3, which HDF5 puts behind each structure of its newer versions. It is not a CRC: three words
// a, b, c take up 12 bytes a round and are mixed with each other. What stays in c after the last round is the
// sum.
//
// The constants are part of the format, as are two peculiarities of the original: the last 1 to 12 bytes
// always go through another, final mixing, even when they are 12, and no bytes at all are not mixed.
#include "hdf5/checksum.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

namespace penstock::hdf5 {
namespace {

// Little-endian, like the machine. Up to four bytes, and what is missing is 0.
std::uint32_t word(std::span<const std::byte> bytes) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  return value;
}

}  // namespace

bool checksum_matches(Checksums checksums, std::span<const std::byte> bytes, std::uint32_t stored) {
  return checksums == Checksums::ignore || lookup3(bytes) == stored;
}

std::uint32_t lookup3(std::span<const std::byte> bytes) {
  std::uint32_t a = 0xdeadbeef + static_cast<std::uint32_t>(bytes.size()), b = a, c = a;
  // One line of the original's mix(): x -= minus; x ^= rotated. The additions stand beside each call.
  const auto step = [](std::uint32_t& x, std::uint32_t minus, std::uint32_t turned, int by) {
    x = (x - minus) ^ std::rotl(turned, by);
  };
  // All twelve bytes of a round, but the last round is mixed differently.
  while (bytes.size() > 12) {
    a += word(bytes.first(4));
    b += word(bytes.subspan(4, 4));
    c += word(bytes.subspan(8, 4));
    step(a, c, c, 4), c += b;
    step(b, a, a, 6), a += c;
    step(c, b, b, 8), b += a;
    step(a, c, c, 16), c += b;
    step(b, a, a, 19), a += c;
    step(c, b, b, 4), b += a;
    bytes = bytes.subspan(12);
  }
  if (bytes.empty()) return c;
  // The original switches over the number of bytes left. Zeros in place of those that are missing add
  // nothing, so they give the same sum.
  std::byte last[12] = {};
  std::memcpy(last, bytes.data(), bytes.size());
  const std::span<const std::byte> rest(last);
  a += word(rest.first(4));
  b += word(rest.subspan(4, 4));
  c += word(rest.subspan(8, 4));
  const auto close = [](std::uint32_t& x, std::uint32_t y, int by) { x = (x ^ y) - std::rotl(y, by); };
  close(c, b, 14);
  close(a, c, 11);
  close(b, a, 25);
  close(c, b, 16);
  close(a, c, 4);
  close(b, a, 14);
  close(c, b, 24);
  return c;
}

Status verify_checksum(const Image& image, std::span<const std::byte> bytes, Address at,
                       std::string_view structure) {
  // The sum is over everything before itself.
  const std::size_t n = bytes.size() - kChecksumBytes;
  const std::uint32_t stored = word(bytes.subspan(n));
  if (checksum_matches(image.superblock().checksums, bytes.first(n), stored)) return {};
  return image.corrupt(
      at, structure,
      fmt::format("checksum 0x{:08x} is stored, the bytes have 0x{:08x}", stored, lookup3(bytes.first(n))));
}

}  // namespace penstock::hdf5
