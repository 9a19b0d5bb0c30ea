#include "io/testing/memory_file.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

namespace penstock::testing {

MemoryFile::MemoryFile(std::vector<std::byte> bytes, std::string label)
    : bytes_(std::move(bytes)), label_(std::move(label)) {}

Status MemoryFile::read_at(ByteOffset offset, std::span<std::byte> out) const {
  if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
    return Status::corrupt(fmt::format("{}: {} bytes at 0x{:x} run past the end of the file ({} bytes)",
                                       label_, out.size(), offset, bytes_.size()));
  }
  if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  return {};
}

Result<std::vector<std::byte>> load_file(const std::string& path) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto file, open_posix_file(path));
  std::vector<std::byte> bytes(file->size());
  PENSTOCK_RETURN_IF_ERROR(file->read_at(0, bytes));
  return bytes;
}

}  // namespace penstock::testing
