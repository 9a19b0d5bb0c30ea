// Reads the labels of a run of rows where the engine does not run: when a loader is made, and to look at
// mixing.
//
// Thread contract: externally synchronised. Memory: the bytes of one run and the scratch to decode it,
// reserved under `obs`.
#pragma once

#include <memory>

#include "codecs/codec.h"
#include "memory/reserved_buffer.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "setup/row_labels.h"
#include "source/request.h"

namespace penstock::loader {

class LabelReader {
 public:
  // Both outlive it.
  LabelReader(const RowLabels* labels, MemoryBudget& budget);
  // Valid until the next call.
  Result<RowLabels::View> read(std::uint32_t file, RowRange rows);

 private:
  const RowLabels* labels_;
  RequestList list_;
  ReservedBuffer bytes_, scratch_;
  std::unique_ptr<CodecContext> codec_ = std::make_unique<CodecContext>();
};

}  // namespace penstock::loader
