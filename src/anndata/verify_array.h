// Decodes every chunk of one array and tells of those that cannot be decoded or hold numbers out of range.
//
// Thread contract: externally synchronised. Memory: one chunk stored and decoded, reserved from the budget.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "codecs/codec.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/verify_log.h"
#include "store/store.h"

namespace penstock::anndata {

class ArrayVerifier {
 public:
  // Both outlive the verifier.
  ArrayVerifier(VerifyLog& log, MemoryBudget& budget) : log_(log), budget_(budget) {}

  // An array of any rank. `columns` > 0: its elements are column numbers below that. What is valid but not
  // read is noted; only a refusal of the budget is an error.
  Status run(const store::Array& array, std::uint64_t columns = 0);
  // Whether elements of this type can be decoded at all.
  static bool reads(const store::Array& array) { return array.dtype().cls != store::TypeClass::other; }

 private:
  struct Buffers;
  Status piece(const store::Array& array, std::uint64_t number, std::uint64_t columns, Buffers& buffers);
  Status check_columns(const store::Array& array, std::uint64_t number, std::span<const std::byte> decoded,
                       std::uint64_t columns);

  VerifyLog& log_;
  MemoryBudget& budget_;
  std::vector<std::int64_t> numbers_;
  CodecContext codec_;
};

}  // namespace penstock::anndata
