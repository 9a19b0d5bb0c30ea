// What the bind_*.cc files share: the handles that Python holds, errors, and vectors as numpy arrays.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "penstock/batch.h"
#include "penstock/dataset.h"
#include "penstock/loader.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::python {

namespace nb = nanobind;

// A Status on its way to Python; the translator in bind_errors.cc turns it into the exception of the table.
struct StatusError {
  Status status;
};

inline void check(Status status) {
  if (!status.ok()) throw StatusError{std::move(status)};
}

template <class T>
T unwrap(Result<T>&& result) {
  if (!result.ok()) throw StatusError{std::move(result).status()};
  return std::move(result).value();
}

// Runs a core call without the GIL: everything that may read a file goes through here.
template <class F>
auto without_gil(F&& call) {
  nb::gil_scoped_release release;
  return call();
}

// Text from a file: bytes that are not UTF-8 become lone surrogates, as h5py gives them, rather than an
// error.
inline nb::str text(std::string_view bytes) {
  return nb::steal<nb::str>(
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "surrogateescape"));
}
using StringList = nb::typed<nb::list, nb::str>;
inline StringList texts(const std::vector<std::string>& strings) {
  nb::list out;
  for (const std::string& s : strings) out.append(text(s));
  return nb::borrow<StringList>(out);
}

struct DatasetHandle {
  std::shared_ptr<const Dataset> ptr;
};

struct BudgetHandle {
  std::shared_ptr<MemoryBudget> ptr;
};

// numpy array that owns the vector; no copy.
template <class T>
nb::object to_numpy(std::vector<T> values) {
  auto* owned = new std::vector<T>(std::move(values));
  if (owned->capacity() == 0) owned->reserve(1);  // numpy wants an address, also for no elements
  nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(owned->data(), {owned->size()}, owner));
}

void bind_errors(nb::module_& m);
void bind_budget(nb::module_& m);
void bind_dataset(nb::module_& m);
void bind_plan(nb::module_& m);
void bind_batch(nb::module_& m);
void bind_loader(nb::module_& m);

// bind_batch.cc: (n_rows, X arrays, index, obs arrays), where X is (indptr, indices, values) or (dense,). As
// DLPack capsules for torch, or as numpy arrays. The arrays keep the slot alive.
nb::object batch_to_dlpack(const Batch& batch);
nb::object batch_to_numpy(const Batch& batch);

// bind_loader.cc: {"limit": ..., "used": ..., "peak": ..., "used_by_tag": {...}, "peak_by_tag": {...}}
nb::dict usage_to_dict(const MemoryBudget::Usage& usage);

}  // namespace penstock::python
