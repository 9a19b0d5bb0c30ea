// The checksum behind HDF5's newer metadata: Bob Jenkins' lookup3 (HDF5 spec, "Jenkins' lookup3 algorithm").
//
// Thread contract: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "hdf5/image.h"

namespace penstock::hdf5 {

// hashlittle() with an initial value of 0.
std::uint32_t lookup3(std::span<const std::byte> bytes);

inline constexpr std::size_t kChecksumBytes = 4;

// The sum of `bytes` against the stored one; where sums are ignored, each one matches.
bool checksum_matches(Checksums checksums, std::span<const std::byte> bytes, std::uint32_t stored);

// `bytes` is a whole structure whose last four bytes are its checksum; `corrupt` with both numbers when they
// differ. At least four bytes.
Status verify_checksum(const Image& image, std::span<const std::byte> bytes, Address at,
                       std::string_view structure);

}  // namespace penstock::hdf5
