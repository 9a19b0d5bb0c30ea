// A File over bytes in memory. Tests and fuzzers only. Thread contract: immutable.
#pragma once

#include <string>
#include <vector>

#include "io/file.h"

namespace penstock::testing {

class MemoryFile final : public File {
 public:
  explicit MemoryFile(std::vector<std::byte> bytes, std::string label = "memory");

  Status read_at(ByteOffset offset, std::span<std::byte> out) const override;
  ByteCount size() const override { return bytes_.size(); }
  const std::string& label() const override { return label_; }

 private:
  const std::vector<std::byte> bytes_;
  const std::string label_;
};

// The whole of a file on disk, for mutation.
Result<std::vector<std::byte>> load_file(const std::string& path);

}  // namespace penstock::testing
