// The bytes of a footer, piece by piece: a window that moves over the file.
//
// Thread contract: externally synchronised. Memory: the window, reserved in `memory` before it is taken; it
// grows to the longest string that is asked for.
#pragma once

#include <vector>

#include "base/types.h"
#include "io/file.h"
#include "memory/growing.h"
#include "parquet/thrift.h"
#include "penstock/status.h"

namespace penstock::parquet {

class FooterPieces final : public ThriftPieces {
 public:
  // Bytes [at, at + length) of the file. Both arguments outlive it.
  FooterPieces(const File& file, ByteOffset at, ByteCount length, Growing& memory)
      : file_(file), at_(at), end_(at + length), memory_(memory) {}
  ~FooterPieces() override { memory_.drop(window_.size()); }

  std::span<const std::byte> next(std::size_t unread, std::uint64_t pass, std::size_t wanted) override;
  std::uint64_t left() const override { return end_ - at_; }
  // Why a piece is shorter than it should be.
  const Status& status() const { return status_; }

 private:
  Status load(std::size_t unread, std::size_t wanted);

  const File& file_;
  ByteOffset at_;  // in the file, of what was not read yet
  const ByteOffset end_;
  Growing& memory_;
  std::vector<std::byte> window_;
  std::size_t filled_ = 0;  // bytes of the window
  Status status_;
};

}  // namespace penstock::parquet
