#include "setup/label_reader.h"

#include "source/read_requests.h"

namespace penstock::loader {

LabelReader::LabelReader(const RowLabels* labels, MemoryBudget& budget)
    : labels_(labels),
      bytes_("reading obs columns", &budget, MemoryTag::obs),
      scratch_("decoding obs columns", &budget, MemoryTag::obs) {}

// The buffers stay from call to call and only grow, so that a pass in equal steps reserves memory in its
// first one.
Result<RowLabels::View> LabelReader::read(std::uint32_t file, RowRange rows) {
  list_.clear();
  PENSTOCK_RETURN_IF_ERROR(labels_->requests(file, rows, list_));
  list_.coalesce(kCoalesceGap, kCoalesceMax);
  PENSTOCK_ASSIGN_OR_RETURN(const Fetched fetched, read_requests(list_, bytes_));
  PENSTOCK_RETURN_IF_ERROR(scratch_.grow_to(labels_->scratch_bytes(rows.size())));
  return labels_->prepare(file, rows, fetched, Scratch{scratch_.bytes(), codec_.get()});
}

}  // namespace penstock::loader
