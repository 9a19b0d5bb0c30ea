// One decision a page, and none for a value: whether the values are indices into the dictionary or numbers by
// themselves. A column chunk may change from the first to the second in the middle, when its dictionary has
// grown too large for the writer.
#include "parquet/page_values.h"

namespace penstock::parquet {

DecodeError PageValues::open(const Page& page, PhysicalType type, std::uint32_t dictionary_size,
                             std::uint64_t stored, PageValues* out) {
  out->coded_ = is_dictionary_coded(page.encoding);
  out->left_ = stored;
  if (out->coded_) return IndexReader::open(page.values, dictionary_size, &out->indices_);
  return NumberReader::open(page.encoding, type, 0, page.values, stored, &out->numbers_);
}

}  // namespace penstock::parquet
