// What the codec targets share: a head of parameters before the data, and buffers that end with a guard page,
// since the sanitizers do not see into the libraries.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>

#include "base/byte_reader.h"
#include "codecs/codec_record.h"
#include "codecs/testing.h"
#include "targets.h"

namespace penstock::fuzz {

constexpr std::size_t kMostDecoded = 16 << 10;

// The parameters at the front of an input (zeros when it is too short), and what follows them.
class Head {
 public:
  explicit Head(Input input) : reader_(input), input_(input) {}
  std::uint8_t u8() { return take(1) ? reader_.u8() : std::uint8_t{0}; }
  std::uint16_t u16() { return take(2) ? reader_.u16() : std::uint16_t{0}; }
  std::size_t size() { return u16() % kMostDecoded; }
  Input rest() const { return input_.subspan(used_); }

 private:
  bool take(std::size_t n) {
    if (input_.size() - used_ < n) return false;
    used_ += n;
    return true;
  }
  ByteReader reader_;
  Input input_;
  std::size_t used_ = 0;
};

inline std::string stage_text(const internal::StageResult& result) {
  switch (result.status) {
    case internal::StageStatus::ok:
      return "ok: " + std::to_string(result.written) + " bytes\n";
    case internal::StageStatus::full:
      return "full\n";
    case internal::StageStatus::bad_data:
      return "bad data\n";
    case internal::StageStatus::no_memory:
      return "no memory\n";
  }
  return "?\n";
}

}  // namespace penstock::fuzz
