// Status -> exception. The table itself is penstock/errors.py (from_status); this hands it the Status.
#include <exception>

#include "bindings.h"

namespace penstock::python {

namespace {

// A message may quote bytes of a damaged file.
nb::str message(const std::string& bytes) {
  return nb::steal<nb::str>(
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "backslashreplace"));
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const StatusError& error) {
    try {
      const auto code = status_code_name(error.status.code());
      nb::object exception =
          nb::module_::import_("penstock.errors")
              .attr("from_status")(nb::str(code.data(), code.size()), message(error.status.message()),
                                   error.status.system_errno());
      PyErr_SetObject(exception.type().ptr(), exception.ptr());
    } catch (nb::python_error& failed) {
      failed.restore();
    }
  }
}

}  // namespace

void bind_errors(nb::module_&) { nb::register_exception_translator(translate, nullptr); }

}  // namespace penstock::python
