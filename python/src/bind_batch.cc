// Batches as tensors, and densify.
//
// Lifetime: X and obsm are not copied. Each of their arrays holds a copy of the batch's keep_alive(); the slot returns to
// the ring when the last one dies. Labels, row numbers and totals are copied, a few bytes a row, so that who
// keeps them for an epoch keeps no slot. For torch the arrays are DLPack capsules whose deleter is plain C++:
// tensors die on autograd threads, which hold no GIL. nanobind's own ndarray export would take it.
//
// A batch arrives in Python as one tuple, which the package makes a Batch of. For a CSR batch of 64 rows with
// one label:
//
//     (64, (indptr, indices, values), index, [codes], None)
//          65       nnz      nnz      64      64      no totals
//          `--- memory of the slot ---'  `-- copies --'
#include <nanobind/stl/string_view.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/types.h"
#include "bindings.h"
#include "penstock/densifier.h"

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

// DLPack 0.8: the unversioned struct that a "dltensor" capsule holds. Declared here because nanobind keeps
// its own to itself. The layout is DLPack's ABI: dlpack.h, DLManagedTensor.
struct ManagedTensor {
  nb::dlpack::dltensor tensor;
  void* manager_ctx = nullptr;
  void (*deleter)(ManagedTensor*) = nullptr;
};

// Everything that one tensor needs in one piece: what is exported points into it, and dies with it.
struct SlotTensor {
  ManagedTensor managed;
  std::array<std::int64_t, 2> shape{}, strides{};
  std::shared_ptr<void> owner;
};

void drop(ManagedTensor* managed) { delete static_cast<SlotTensor*>(managed->manager_ctx); }

// A capsule that nobody consumed still owns its tensor; a consumer renames it. The name is the protocol's:
// torch.from_dlpack renames the capsule to "used_dltensor", and from then on calls the deleter itself, on
// whichever thread the tensor dies.
void drop_capsule(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, "dltensor")) return;
  auto* managed = static_cast<ManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
  managed->deleter(managed);
}

struct DlpackExport {
  explicit DlpackExport(const std::shared_ptr<void>& memory) : owner(memory) {}

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
    // From here on the capsule owns the slot; before, unique_ptr does.
    if (capsule == nullptr) throw nb::python_error();
    slot.release();
    return nb::steal(capsule);
  }

  const std::shared_ptr<void>& owner;
};

struct NumpyExport {
  // Arrays of numpy die under the GIL, so nanobind's export will do. One capsule is shared by all arrays of a
  // batch.
  explicit NumpyExport(const std::shared_ptr<void>& memory)
      : owner(new std::shared_ptr<void>(memory),
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

// In memory of its own.
template <class Export>
nb::object copy(const ArrayView& view) {
  const std::size_t bytes = view.size * dlpack_type(view.type).bits / 8;
  // At least a byte, so that there is an address even for no rows.
  const std::shared_ptr<void> memory = std::make_shared<std::byte[]>(std::max<std::size_t>(bytes, 1));
  if (bytes > 0) std::memcpy(memory.get(), view.data, bytes);
  return Export(memory)(ArrayView{memory.get(), view.type, view.size});
}

template <class Export>
nb::object batch_to(const Batch& batch) {
  const Export array(batch.keep_alive());
  nb::object x =
      batch.is_dense()
          ? nb::object(nb::make_tuple(array(batch.dense, batch.n_rows, batch.n_cols)))
          : nb::object(nb::make_tuple(array(batch.indptr), array(batch.indices), array(batch.values)));
  nb::list obs;
  for (const BatchColumn& column : batch.obs) obs.append(copy<Export>(column.values));
  nb::list obsm;
  for (const BatchObsm& entry : batch.obsm) obsm.append(array(entry.values, batch.n_rows, entry.width));
  nb::object total = batch.total.data != nullptr ? copy<Export>(batch.total) : nb::none();
  return nb::make_tuple(batch.n_rows, std::move(x), copy<Export>(batch.index), std::move(obs),
                        std::move(total), std::move(obsm));
}

using AnyArray = nb::ndarray<nb::c_contig, nb::device::cpu>;
using AnyReadOnly = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

std::optional<ArrayType> array_type(nb::dlpack::dtype dtype) {
  for (int i = 0; i <= static_cast<int>(ArrayType::boolean); ++i) {
    if (dlpack_type(static_cast<ArrayType>(i)) == dtype) return static_cast<ArrayType>(i);
  }
  return std::nullopt;
}

std::optional<ArrayType> array_type(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(NumericType::f64); ++i) {
    // ArrayType begins with the same types in the same order.
    if (name == numeric_name(static_cast<NumericType>(i))) return static_cast<ArrayType>(i);
  }
  return std::nullopt;
}
static_assert(static_cast<int>(NumericType::f64) == static_cast<int>(ArrayType::f64));

template <class Array>
std::optional<ArrayView> view_of(const Array& array) {
  const auto type = array_type(array.dtype());
  if (!type) return std::nullopt;
  return ArrayView{const_cast<void*>(static_cast<const void*>(array.data())), *type, array.size()};
}

// Nothing for types that the kernel does not have: the caller converts. A user may hand over any arrays:
// those of a batch after an in-place change of type, or of a matrix of their own.
std::optional<CsrView> csr_of(const AnyReadOnly& indptr, const AnyReadOnly& indices,
                              const AnyReadOnly& values, std::uint64_t n_cols) {
  const auto p = view_of(indptr), i = view_of(indices), v = view_of(values);
  if (!p || !i || !v) return std::nullopt;
  if (p->size == 0) check(Status::invalid_argument("the arrays of X do not have the shape of a CSR matrix"));
  return CsrView{*p, *i, *v, p->size - 1, n_cols};
}

// What the kernel does not have is the caller's to convert.
bool done(Status status) {
  if (status.code() == StatusCode::unsupported) return false;
  check(std::move(status));
  return true;
}

nb::object densify(const Densifier& self, const AnyReadOnly& indptr, const AnyReadOnly& indices,
                   const AnyReadOnly& values, std::uint64_t n_cols, std::string_view dtype, bool dlpack) {
  const auto x = csr_of(indptr, indices, values, n_cols);
  const auto type = array_type(dtype);
  if (!x || !type) return nb::none();
  // The arrays may be written to meanwhile by other Python threads. The kernel expects that:
  // batch/densify_csr.cc.
  auto made = without_gil([&] { return self.densify(*x, *type); });
  if (!done(made.status())) return nb::none();
  return dlpack ? DlpackExport(made->owner)(made->values, x->n_rows, n_cols)
                : NumpyExport(made->owner)(made->values, x->n_rows, n_cols);
}

bool densify_into(const Densifier& self, const AnyReadOnly& indptr, const AnyReadOnly& indices,
                  const AnyReadOnly& values, const AnyArray& out) {
  if (out.ndim() != 2) check(Status::invalid_argument("a dense X has two dimensions"));
  const auto x = csr_of(indptr, indices, values, out.shape(1));
  const auto into = view_of(out);
  if (!x || !into) return false;
  return done(without_gil([&] { return self.densify_into(*x, *into); }));
}

}  // namespace

nb::object batch_to_dlpack(const Batch& batch) { return batch_to<DlpackExport>(batch); }

nb::object batch_to_numpy(const Batch& batch) { return batch_to<NumpyExport>(batch); }

void bind_batch(nb::module_& m) {
  nb::class_<Densifier>(m, "Densifier",
                        "CSR arrays to dense ones; of a loader, with its threads and buffers.")
      .def(nb::init<>())
      .def("densify", &densify, nb::arg("indptr"), nb::arg("indices"), nb::arg("values"), nb::arg("n_cols"),
           nb::arg("dtype"), nb::arg("dlpack"),
           nb::sig(
               "def densify(self, indptr: typing.Any, indices: typing.Any, values: typing.Any, n_cols: int, "
               "dtype: str, dlpack: bool) -> typing.Any"),
           "(rows, n_cols), as a DLPack capsule or a numpy array; None when the kernel does not have these "
           "types.")
      .def("densify_into", &densify_into, nb::arg("indptr"), nb::arg("indices"), nb::arg("values"),
           nb::arg("out"),
           nb::sig("def densify_into(self, indptr: typing.Any, indices: typing.Any, values: typing.Any, "
                   "out: typing.Any) -> bool"),
           "False when the kernel does not have these types.");
}

}  // namespace penstock::python
