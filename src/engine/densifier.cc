// A CSR batch as a dense array. The rows of the result are cut into parts of about 2 MiB, which the caller's
// thread and the loader's threads fill together. The result lies in a buffer that the plan has left room for,
// if one is free and large enough; else in fresh memory, which is the caller's affair and not the budget's.
//
// Worked example: 1,024 rows of 20,000 float32 are 80,000 bytes each, so that parts are of 26 rows, and there
// are 40 of them.
//
// What comes in was handed to Python before, where anybody may have written to it: kernels check row pointers
// and column ids as they go, and say so.
#include "engine/densifier.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>

#include "base/checked.h"
#include "base/guarded.h"
#include "batch/densify.h"
#include "memory/slab.h"
#include "penstock/densifier.h"
#include "plan/sizing.h"

namespace penstock {
namespace {

// What a thread fills at once: long enough that taking a part costs nothing, short enough that the last one
// is not waited for.
constexpr ByteCount kPart = 2 << 20;
// Fresh memory of this size comes in huge pages where the system has them, which fault in 512 times less
// often.
constexpr ByteCount kHugePage = 2 << 20;

// Arrays of a batch are of a numeric type or boolean, which the kernels do not know.
bool numeric(ArrayType type, NumericType* out) {
  if (type == ArrayType::boolean) return false;
  *out = static_cast<NumericType>(type);  // which begins with the same types in the same order
  return true;
}
static_assert(static_cast<int>(NumericType::f64) == static_cast<int>(ArrayType::f64));
static_assert(static_cast<int>(NumericType::bf16) == static_cast<int>(ArrayType::bf16));

Status unsupported() { return Status::unsupported("X, or its dense form, is of a type that has no numbers"); }

// The arrays as the kernel takes them, or why it does not.
Status to_kernel(const CsrView& x, batch::CsrArrays* csr) {
  NumericType columns{};
  if (!numeric(x.indptr.type, &csr->index_type) || !numeric(x.indices.type, &columns) ||
      !numeric(x.values.type, &csr->value_type) || columns != csr->index_type ||
      (columns != NumericType::i32 && columns != NumericType::i64)) {
    return unsupported();
  }
  if (x.indptr.size != x.n_rows + 1 || x.indices.size != x.values.size)
    return Status::invalid_argument("the arrays of X do not have the shape of a CSR matrix");
  csr->indptr = static_cast<const std::byte*>(x.indptr.data);
  csr->indices = static_cast<const std::byte*>(x.indices.data);
  csr->values = static_cast<const std::byte*>(x.values.data);
  csr->nnz = x.values.size;
  csr->n_rows = x.n_rows;
  csr->n_cols = x.n_cols;
  return {};
}

// Shapes come from outside: a product that wraps around would pass for a small array.
Result<ByteCount> bytes_of(const CsrView& x, NumericType type) {
  const auto size = checked_mul(x.n_rows, x.n_cols);
  const auto bytes = size ? checked_mul(*size, numeric_size(type)) : std::nullopt;
  if (!bytes) return Status::invalid_argument("X would have more elements than fit into memory");
  return *bytes;
}

Status fill(internal::DensifierImpl& impl, const batch::CsrArrays& csr, NumericType type, std::byte* out) {
  const ByteCount row = csr.n_cols * numeric_size(type);
  const std::uint64_t part_rows = std::max<std::uint64_t>(1, kPart / std::max<ByteCount>(1, row));
  std::atomic<bool> valid = true;
  const auto part = [&](std::size_t i) {
    const std::uint64_t first = i * part_rows, last = std::min(first + part_rows, csr.n_rows);
    if (!batch::densify_csr(csr, first, last, type, out + first * row)) valid = false;
  };
  // Without rows one part still looks at the arrays.
  impl.run(std::max<std::size_t>(1, ceil_div(csr.n_rows, part_rows)), part);
  return valid ? Status()
               : Status::invalid_argument(
                     "X is not a valid CSR matrix any more: its row pointers or column indices were written "
                     "to");
}

Result<std::shared_ptr<std::byte>> fresh_memory(ByteCount bytes) {
  if (bytes < kHugePage) {
    // A shared pointer into the array, whose count keeps the whole of it; below likewise with a slab.
    const auto array = std::make_shared<std::byte[]>(std::max<ByteCount>(bytes, 1));
    return std::shared_ptr<std::byte>(array, array.get());
  }
  const auto slab = std::make_shared<Slab>();
  PENSTOCK_ASSIGN_OR_RETURN(*slab, Slab::map(bytes, true, AtFork::copied));
  return std::shared_ptr<std::byte>(slab, slab->data());
}

}  // namespace

CsrView csr_of(const Batch& batch) {
  return {.indptr = batch.indptr,
          .indices = batch.indices,
          .values = batch.values,
          .n_rows = batch.n_rows,
          .n_cols = batch.n_cols};
}

Densifier::Densifier() : impl_(std::make_shared<internal::DensifierImpl>(nullptr, 0, 0)) {}

Result<DenseArray> Densifier::densify(const CsrView& x, ArrayType type) const {
  return guarded([&]() -> Result<DenseArray> {
    batch::CsrArrays csr;
    PENSTOCK_RETURN_IF_ERROR(to_kernel(x, &csr));
    NumericType out{};
    if (!numeric(type, &out)) return unsupported();
    PENSTOCK_ASSIGN_OR_RETURN(const ByteCount bytes, bytes_of(x, out));
    std::shared_ptr<std::byte> memory = impl_->buffer(bytes);
    if (memory == nullptr) {
      PENSTOCK_ASSIGN_OR_RETURN(memory, fresh_memory(bytes));
    }
    PENSTOCK_RETURN_IF_ERROR(fill(*impl_, csr, out, memory.get()));
    std::byte* data = memory.get();
    return DenseArray{{data, type, x.n_rows * x.n_cols}, std::move(memory)};
  });
}

Status Densifier::densify_into(const CsrView& x, ArrayView out) const {
  return guarded([&]() -> Status {
    batch::CsrArrays csr;
    PENSTOCK_RETURN_IF_ERROR(to_kernel(x, &csr));
    NumericType type{};
    if (!numeric(out.type, &type)) return unsupported();
    PENSTOCK_ASSIGN_OR_RETURN(const ByteCount bytes, bytes_of(x, type));
    if (out.size * numeric_size(type) != bytes)
      return Status::invalid_argument("the memory for a dense X does not have its size");
    auto* into = static_cast<std::byte*>(out.data);
    advise_huge_pages(into, bytes);
    return fill(*impl_, csr, type, into);
  });
}

namespace internal {

// None is no error anywhere here: the result is in fresh memory then.
std::shared_ptr<std::byte> DensifierImpl::buffer(ByteCount bytes) {
  if (bytes > bytes_ || buffers_ == 0 || getpid() != pid_) return nullptr;
  std::shared_ptr<loader::SlotPool> pool;
  {
    const MutexLock lock(mutex_);
    if (closed_) return nullptr;
    // The first result reserves. The pool is held on to outside of the lock, so that close() may drop it
    // meanwhile.
    if (pool_ == nullptr) reserve();
    pool = pool_;
  }
  if (pool == nullptr) return nullptr;
  auto got = pool->acquire(bytes);
  return got.ok() ? *std::move(got) : nullptr;
}

// Fewer than planned where others hold the bytes of a shared budget, or the system refuses address space: a
// result then is in fresh memory, and the next call asks again.
void DensifierImpl::reserve() {
  for (std::uint64_t n = buffers_; n > 0 && pool_ == nullptr; --n) {
    auto held = budget_->try_reserve(MemoryTag::dense, n * bytes_);
    if (!held) continue;
    auto pool = loader::SlotPool::create(*std::move(held), n, bytes_, plan::slot_granule(bytes_));
    if (pool.ok()) pool_ = *std::move(pool);
  }
}

void DensifierImpl::run(std::size_t parts, const std::function<void(std::size_t)>& part) {
  if (getpid() == pid_) return shared_.run(parts, part);
  for (std::size_t i = 0; i < parts; ++i) part(i);
}

void DensifierImpl::close() {
  shared_.on_offer({});
  const MutexLock lock(mutex_);
  closed_ = true;
  if (pool_ != nullptr) pool_->close();
  pool_.reset();
}

}  // namespace internal
}  // namespace penstock
