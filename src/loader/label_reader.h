// Reads the labels of a run of rows where the engine does not run: when a loader is made, and to look at
// mixing.
//
// Thread contract: externally synchronised. Memory: the bytes of one run and the scratch to decode it,
// reserved under `obs`.
#pragma once

#include <memory>
#include <vector>

#include "codecs/codec.h"
#include "loader/labels.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/request.h"

namespace penstock::loader {

class LabelReader {
 public:
  // Both outlive it.
  static Result<LabelReader> make(const Labels* labels, MemoryBudget& budget);
  // Valid until the next call.
  Result<Labels::View> read(std::uint32_t file, RowRange rows);

 private:
  const Labels* labels_ = nullptr;
  MemoryBudget* budget_ = nullptr;
  Reservation held_;
  RequestList list_;
  std::vector<std::byte> bytes_, scratch_;
  std::unique_ptr<CodecContext> codec_ = std::make_unique<CodecContext>();
};

}  // namespace penstock::loader
