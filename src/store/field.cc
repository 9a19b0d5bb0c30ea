// One field of an array of compounds, taken out of it: what is done with a column needs all of the column and
// nothing of the others, and these tables are small. (anndata before 0.7 kept obs and var as one array of
// records.)
//
//     records    | cell_id: 8 bytes | n_genes: 4 bytes | drug: 1 byte |    13 bytes each, in chunks
//     field      n_genes: bytes 8 to 11 of each record, as an array of int32 that is in memory
//
// From then on the field is an Array like any other that is not chunked: its bytes are in compact_, and
// everything that reads arrays reads it from there.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "memory/reserved_buffer.h"
#include "store/store.h"

namespace penstock::store {
namespace {

// Records that are read at once.
constexpr ByteCount kStepBytes = 1 << 20;
// A file that promises more than any codec makes of what it stores (deflate: 1,032 times) would keep us
// reading nothing for ever.
constexpr std::uint64_t kMostExpansion = 1100;

class FieldArray final : public Array {
 public:
  FieldArray(std::shared_ptr<const Array> records, const Member& field)
      : records_(std::move(records)), path_(fmt::format("{}/{}", records_->path(), field.name)) {
    dtype_ = field.type;
    shape_ = records_->shape();
    size_ = records_->size();
  }

  const std::string& path() const override { return path_; }
  const std::string& file_label() const override { return records_->file_label(); }
  Result<std::vector<std::string>> attribute_names() const override { return std::vector<std::string>(); }
  Result<std::optional<Attribute>> attribute(const std::string&) const override {
    return std::optional<Attribute>();
  }
  Result<std::shared_ptr<const Node>> follow(const Attribute&) const override {
    return Status::corrupt(where() + ": a field refers to nothing");
  }
  Result<std::vector<std::string>> read_strings(std::uint64_t first, std::uint64_t count) const override {
    if (first > size_ || count > size_ - first) {
      return Status::invalid_argument(
          fmt::format("{}: strings [{}, {}) are not in [0, {})", where(), first, first + count, size_));
    }
    return records_->to_strings(
        std::span<const std::byte>(compact_).subspan(first * dtype_.size, count * dtype_.size), dtype_);
  }

  // Takes the field out of every record.
  Status fill(ByteCount offset, MemoryBudget* budget) {
    const std::size_t record = records_->dtype().size, item = dtype_.size;
    const auto bytes = checked_mul(size_, item);
    if (!bytes) return Status::corrupt(where() + ": larger than memory");
    const auto all = checked_mul(size_, record);
    // The number of records is the file's word. Its fill values would need no stored bytes at all, and 2^60
    // of them would be copied one by one.
    if (!all || *all / kMostExpansion > records_->stored_bytes() + kStepBytes) {
      return Status::corrupt(fmt::format("{}: {} records of {} bytes, of which the file stores {} bytes",
                                         where(), size_, record, records_->stored_bytes()));
    }
    if (budget != nullptr) {
      PENSTOCK_ASSIGN_OR_RETURN(
          held_, reserve_for(where(), *budget, MemoryTag::index, std::max<ByteCount>(1, *bytes)));
    }
    std::uint64_t step = std::max<std::uint64_t>(1, kStepBytes / std::max<std::size_t>(1, record));
    // Whole chunks at a time: a step that ends inside one would decode it twice.
    if (records_->is_chunked()) {
      const std::uint64_t chunk = std::max<std::uint64_t>(1, records_->chunk_elements());
      step = std::max(chunk, step / chunk * chunk);
    }
    step = std::min(step, std::max<std::uint64_t>(1, size_));
    const auto step_bytes = checked_mul(step, record);
    if (!step_bytes) return Status::corrupt(where() + ": a chunk larger than memory");
    ReservedBuffer buffer(where(), budget, MemoryTag::scratch);
    PENSTOCK_RETURN_IF_ERROR(buffer.grow_to(*step_bytes));
    try {
      compact_.resize(*bytes);
    } catch (const std::bad_alloc&) {
      return Status::budget(where() + ": the system has no memory for its values");
    }
    for (std::uint64_t first = 0; first < size_; first += step) {
      const std::uint64_t n = std::min(step, size_ - first);
      const auto raw = buffer.first(n * record);
      PENSTOCK_RETURN_IF_ERROR(records_->read_range(first, n, raw));
      for (std::uint64_t i = 0; i < n; ++i) {
        std::memcpy(compact_.data() + (first + i) * item, raw.data() + i * record + offset, item);
      }
    }
    return {};
  }

 private:
  Reservation held_;  // of the values
  const std::shared_ptr<const Array> records_;
  const std::string path_;
};

}  // namespace

Result<std::shared_ptr<const Array>> Array::open_field(std::shared_ptr<const Array> records,
                                                       const Member& field) {
  if (records->shape().size() != 1) {
    return Status::unsupported(fmt::format("{}: {} dimensions; tables of one dimension are read",
                                           records->where(), records->shape().size()));
  }
  MemoryBudget* const budget = records->budget_.get();
  auto out = std::make_shared<FieldArray>(std::move(records), field);
  PENSTOCK_RETURN_IF_ERROR(out->fill(field.offset, budget));
  return std::shared_ptr<const Array>(std::move(out));
}

}  // namespace penstock::store
