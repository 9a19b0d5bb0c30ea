// What the bind_*.cc files share: the handles that Python holds, errors, and vectors as numpy arrays.
#pragma once

#include <cxxabi.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "at_exit.h"
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
//
// When the main thread has ended, Python ends every other thread that asks for the GIL by unwinding its
// stack, and what that meets here - destructors, nanobind - would make it an abort. Such a thread sleeps
// instead until the process is gone.
template <class F>
auto without_gil(F&& call) -> decltype(call()) {
  struct Released {
    PyThreadState* const state = PyEval_SaveThread();
    Released() { at_exit::outside(at_exit::Kind::daemon); }
    ~Released() {
      at_exit::inside(at_exit::Kind::daemon);
      try {
        PyEval_RestoreThread(state);
      } catch (abi::__forced_unwind&) {
        for (;;) pause();  // inside: to leave this block without throwing on would be the abort, too
      }
    }
  } released;
  return call();
}

// Calls back into Python from inside of without_gil(); does nothing once the interpreter is ending, whose
// threads the GIL is not for any more.
template <class F>
void with_gil(F&& call) {
  if (Py_IsInitialized() == 0) return;
  at_exit::inside(at_exit::Kind::daemon);
  PyGILState_STATE state;
  try {
    state = PyGILState_Ensure();
  } catch (abi::__forced_unwind&) {
    for (;;) pause();
  }
  call();
  PyGILState_Release(state);
  at_exit::outside(at_exit::Kind::daemon);
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

// Notes as penstock.notes.Note: texts that have a kind.
inline nb::object notes(const std::vector<Note>& all) {
  nb::list out;
  if (all.empty()) return out;
  const nb::object type = nb::module_::import_("penstock.notes").attr("Note");
  for (const Note& note : all) {
    const std::string_view kind = note_kind_name(note.kind);
    out.append(type(text(note.text), nb::str(kind.data(), kind.size())));
  }
  return out;
}

// Text on its way back: what text() made of bytes that are not UTF-8 becomes those bytes again. A parameter
// of this type takes any str.
struct FileText {
  std::string bytes;
  friend auto operator<=>(const FileText&, const FileText&) = default;
};
inline std::vector<std::string> bytes_of(std::vector<FileText> list) {
  std::vector<std::string> out;
  out.reserve(list.size());
  for (FileText& each : list) out.push_back(std::move(each.bytes));
  return out;
}

struct DatasetHandle {
  std::shared_ptr<const Dataset> ptr;
};

struct BudgetHandle {
  std::shared_ptr<MemoryBudget> ptr;
};

// Codes of labels, a number for each row.
using Codes = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// A copy of an argument that may be None, for options that keep it.
template <class T, class Array>
std::shared_ptr<const std::vector<T>> shared_vector(const std::optional<Array>& array) {
  if (!array) return nullptr;
  return std::make_shared<const std::vector<T>>(array->data(), array->data() + array->size());
}

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
void bind_options(nb::module_& m);
void bind_loader(nb::module_& m);
void bind_iteration(nb::module_& m);

// bind_batch.cc: (n_rows, X arrays, index, obs arrays, totals or None), where X is (indptr, indices, values)
// or (dense,). As DLPack capsules for torch, or as numpy arrays. Those of X keep the slot alive, the others
// are copies.
nb::object batch_to_dlpack(const Batch& batch);
nb::object batch_to_numpy(const Batch& batch);

// bind_budget.cc: {"limit": ..., "used": ..., "peak": ..., "used_by_tag": {...}, "peak_by_tag": {...}}
nb::dict usage_to_dict(const MemoryBudget::Usage& usage);

}  // namespace penstock::python

namespace nanobind::detail {

template <>
struct type_caster<penstock::python::FileText> {
  NB_TYPE_CASTER(penstock::python::FileText, const_name("str"))

  bool from_python(handle source, std::uint8_t, cleanup_list*) noexcept {
    if (!PyUnicode_Check(source.ptr())) return false;
    const object encoded = steal(PyUnicode_AsEncodedString(source.ptr(), "utf-8", "surrogateescape"));
    if (!encoded.is_valid()) {
      PyErr_Clear();
      return false;
    }
    value.bytes.assign(PyBytes_AS_STRING(encoded.ptr()),
                       static_cast<std::size_t>(PyBytes_GET_SIZE(encoded.ptr())));
    return true;
  }
};

}  // namespace nanobind::detail
