// Slots as tensors without a copy, and densify.
//
// Lifetime: each array that leaves here holds a copy of the batch's keep_alive(); the slot returns to the
// ring when the last one dies. For torch the arrays are DLPack capsules whose deleter is plain C++: tensors
// die on autograd threads, which hold no GIL. nanobind's own ndarray export would take it.
#include <array>
#include <optional>

#include "batch/densify.h"
#include "bindings.h"

namespace penstock::python {

namespace {

using nb::dlpack::dtype_code;

constexpr nb::dlpack::dtype make_dtype(dtype_code code, std::uint8_t bits) {
  return {static_cast<std::uint8_t>(code), bits, 1};
}

constexpr nb::dlpack::dtype dlpack_type(ArrayType type) {
  switch (type) {
    case ArrayType::i8:
      return make_dtype(dtype_code::Int, 8);
    case ArrayType::i16:
      return make_dtype(dtype_code::Int, 16);
    case ArrayType::i32:
      return make_dtype(dtype_code::Int, 32);
    case ArrayType::i64:
      return make_dtype(dtype_code::Int, 64);
    case ArrayType::u8:
      return make_dtype(dtype_code::UInt, 8);
    case ArrayType::u16:
      return make_dtype(dtype_code::UInt, 16);
    case ArrayType::u32:
      return make_dtype(dtype_code::UInt, 32);
    case ArrayType::u64:
      return make_dtype(dtype_code::UInt, 64);
    case ArrayType::f16:
      return make_dtype(dtype_code::Float, 16);
    case ArrayType::bf16:
      return make_dtype(dtype_code::Bfloat, 16);
    case ArrayType::f32:
      return make_dtype(dtype_code::Float, 32);
    case ArrayType::f64:
      return make_dtype(dtype_code::Float, 64);
    case ArrayType::boolean:
      return make_dtype(dtype_code::Bool, 8);
  }
  return make_dtype(dtype_code::Float, 32);
}

std::optional<NumericType> numeric_type(nb::dlpack::dtype dtype) {
  for (int i = 0; i <= static_cast<int>(NumericType::f64); ++i) {
    // ArrayType begins with the same types in the same order.
    if (dlpack_type(static_cast<ArrayType>(i)) == dtype) return static_cast<NumericType>(i);
  }
  return std::nullopt;
}
static_assert(static_cast<int>(NumericType::f64) == static_cast<int>(ArrayType::f64));
static_assert(static_cast<int>(NumericType::bf16) == static_cast<int>(ArrayType::bf16));

// DLPack 0.8: the unversioned struct that a "dltensor" capsule holds.
struct ManagedTensor {
  nb::dlpack::dltensor tensor;
  void* manager_ctx = nullptr;
  void (*deleter)(ManagedTensor*) = nullptr;
};

struct SlotTensor {
  ManagedTensor managed;
  std::array<std::int64_t, 2> shape{}, strides{};
  std::shared_ptr<void> owner;
};

void drop(ManagedTensor* managed) { delete static_cast<SlotTensor*>(managed->manager_ctx); }

// A capsule that nobody consumed still owns its tensor; a consumer renames it.
void drop_capsule(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, "dltensor")) return;
  auto* managed = static_cast<ManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
  managed->deleter(managed);
}

struct DlpackExport {
  const std::shared_ptr<void>& owner;

  nb::object operator()(const ArrayView& view, std::uint64_t rows, std::uint64_t cols) const {
    auto slot = std::make_unique<SlotTensor>();
    slot->owner = owner;
    slot->shape = {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(cols)};
    slot->strides = {static_cast<std::int64_t>(cols), 1};
    nb::dlpack::dltensor& tensor = slot->managed.tensor;
    tensor.data = view.data;
    tensor.device = {nb::device::cpu::value, 0};
    tensor.ndim = 2;
    tensor.dtype = dlpack_type(view.type);
    tensor.shape = slot->shape.data();
    tensor.strides = slot->strides.data();
    return wrap(std::move(slot));
  }

  nb::object operator()(const ArrayView& view) const {
    auto slot = std::make_unique<SlotTensor>();
    slot->owner = owner;
    slot->shape = {static_cast<std::int64_t>(view.size), 0};
    slot->strides = {1, 0};
    nb::dlpack::dltensor& tensor = slot->managed.tensor;
    tensor.data = view.data;
    tensor.device = {nb::device::cpu::value, 0};
    tensor.ndim = 1;
    tensor.dtype = dlpack_type(view.type);
    tensor.shape = slot->shape.data();
    tensor.strides = slot->strides.data();
    return wrap(std::move(slot));
  }

  static nb::object wrap(std::unique_ptr<SlotTensor> slot) {
    slot->managed.manager_ctx = slot.get();
    slot->managed.deleter = &drop;
    PyObject* capsule = PyCapsule_New(&slot->managed, "dltensor", &drop_capsule);
    if (capsule == nullptr) throw nb::python_error();
    slot.release();
    return nb::steal(capsule);
  }
};

struct NumpyExport {
  explicit NumpyExport(const std::shared_ptr<void>& slot)
      : owner(new std::shared_ptr<void>(slot),
              [](void* p) noexcept { delete static_cast<std::shared_ptr<void>*>(p); }) {}

  nb::object operator()(const ArrayView& view, std::uint64_t rows, std::uint64_t cols) const {
    const std::array<std::size_t, 2> shape = {rows, cols};
    return array(view, 2, shape.data());
  }
  nb::object operator()(const ArrayView& view) const {
    const std::size_t shape = view.size;
    return array(view, 1, &shape);
  }
  nb::object array(const ArrayView& view, std::size_t ndim, const std::size_t* shape) const {
    static std::uint64_t nothing = 0;  // numpy wants an address, also for no elements
    void* data = view.data != nullptr ? view.data : &nothing;
    return nb::cast(nb::ndarray<nb::numpy>(data, ndim, shape, owner, nullptr, dlpack_type(view.type)));
  }

  nb::capsule owner;
};

template <class Export>
nb::object batch_to(const Batch& batch, const Export& array) {
  nb::object x =
      batch.is_dense()
          ? nb::object(nb::make_tuple(array(batch.dense, batch.n_rows, batch.n_cols)))
          : nb::object(nb::make_tuple(array(batch.indptr), array(batch.indices), array(batch.values)));
  nb::list obs;
  for (const BatchColumn& column : batch.obs) obs.append(array(column.values));
  nb::object total = batch.total.data != nullptr ? array(batch.total) : nb::none();
  return nb::make_tuple(batch.n_rows, std::move(x), array(batch.index), std::move(obs), std::move(total));
}

using AnyArray = nb::ndarray<nb::c_contig, nb::device::cpu>;
using AnyReadOnly = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

// Densifies into `out` (n_rows x n_cols). False: a type the kernel does not have; the caller converts.
bool densify(const AnyReadOnly& indptr, const AnyReadOnly& indices, const AnyReadOnly& values,
             const AnyArray& out) {
  const auto index_type = numeric_type(indptr.dtype());
  const auto value_type = numeric_type(values.dtype());
  const auto out_type = numeric_type(out.dtype());
  if (!index_type || !value_type || !out_type || !(indices.dtype() == indptr.dtype()) ||
      (*index_type != NumericType::i32 && *index_type != NumericType::i64)) {
    return false;
  }
  if (out.ndim() != 2 || indptr.size() != out.shape(0) + 1 || indices.size() != values.size()) {
    check(Status::invalid_argument("the arrays of X do not have the shape of a CSR matrix"));
  }
  const auto bytes = [](const auto& array) {
    return static_cast<const std::byte*>(static_cast<const void*>(array.data()));
  };
  auto* destination = static_cast<std::byte*>(static_cast<void*>(out.data()));
  const bool valid = without_gil([&] {
    std::vector<std::byte> row(out.shape(1) * numeric_size(*out_type));
    return batch::densify_csr(bytes(indptr), bytes(indices), *index_type, bytes(values), *value_type,
                              values.size(), out.shape(0), out.shape(1), *out_type, row.data(), destination);
  });
  if (!valid) {
    check(Status::invalid_argument(
        "X is not a valid CSR matrix any more: its row pointers or column indices were written to"));
  }
  return true;
}

}  // namespace

nb::object batch_to_dlpack(const Batch& batch) { return batch_to(batch, DlpackExport{batch.keep_alive()}); }

nb::object batch_to_numpy(const Batch& batch) { return batch_to(batch, NumpyExport(batch.keep_alive())); }

void bind_batch(nb::module_& m) {
  m.def("densify", &densify, nb::arg("indptr"), nb::arg("indices"), nb::arg("values"), nb::arg("out"),
        nb::sig("def densify(indptr: typing.Any, indices: typing.Any, values: typing.Any, out: typing.Any) "
                "-> bool"),
        "CSR arrays into out; False when the kernel does not have these types.");
}

}  // namespace penstock::python
