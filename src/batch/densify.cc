// A compact row of the window to a dense row of a batch. The way in is densify_blocks.h, which is shared
// with CSR matrices: what differs is only where ids and values come from. Here ids are 16 or 32 bits
// wide, and values are expanded from bytes when they are needed, 512 at a time, so that they never go
// through memory in full width.

#include "batch/densify.h"

#include "batch/densify_blocks.h"
#include "batch/stream.h"

namespace penstock::batch {
namespace {

template <class Id>
struct PlainIds {
  const Id* ids;
  std::size_t at(std::size_t i) const { return ids[i]; }
};

template <class Id>
void densify_any(const Id* ids, const std::byte* values, ValueClass cls, std::size_t n, NumericType type,
                 std::byte* row, std::size_t n_cols, std::byte* dst) {
  const std::size_t width = value_class_bytes(cls, type);
  const auto fill = [=](std::size_t first, std::size_t count, std::byte* buffer) -> const std::byte* {
    const std::byte* from = values + first * width;
    if (cls == ValueClass::wide) return from;
    expand_values(from, cls, count, buffer, type);
    return buffer;
  };
  // Elements are moved and not computed with, so all types of a width share one instance: four of them, not
  // twelve.
  internal::visit_width(numeric_size(type), [&]<class Bits>(Bits) {
    internal::densify_ascending<Bits>(PlainIds<Id>{ids}, n, fill, row, n_cols, dst);
  });
  // Another thread may get the batch next, and a release store does not order streamed ones.
  stream_fence();
}

}  // namespace

void densify_row(const std::uint16_t* ids, const std::byte* values, ValueClass cls, std::size_t n,
                 NumericType type, std::byte* row, std::size_t n_cols, std::byte* dst) {
  densify_any(ids, values, cls, n, type, row, n_cols, dst);
}

void densify_row(const std::uint32_t* ids, const std::byte* values, ValueClass cls, std::size_t n,
                 NumericType type, std::byte* row, std::size_t n_cols, std::byte* dst) {
  densify_any(ids, values, cls, n, type, row, n_cols, dst);
}

}  // namespace penstock::batch
