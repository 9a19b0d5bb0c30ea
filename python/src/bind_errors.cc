// Status -> exception. The table itself is penstock/errors.py (from_status); this hands it the Status.
// A translator is called for every C++ exception that reaches Python. This one takes StatusError and lets the
// others through: nanobind knows std::bad_alloc and the rest.
#include <exception>
#include <string_view>

#include "bindings.h"

namespace penstock::python {

namespace {

// A message may quote bytes of a damaged file.
nb::str message(const std::string& bytes) {
  return nb::steal<nb::str>(
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "backslashreplace"));
}

nb::str name(std::string_view text) { return nb::str(text.data(), text.size()); }

// {option: the value that is enough}; None where the message says only which way to go.
nb::dict ways_out(const ErrorFacts& facts) {
  nb::dict out;
  for (const WayOut& way : facts.ways_out) {
    nb::object value = nb::none();
    if (way.number != 0) value = nb::int_(way.number);
    if (!way.choice.empty()) value = nb::str(way.choice.c_str());
    out[name(option_name(way.option))] = value;
  }
  return out;
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const StatusError& error) {
    // Making the exception is Python code, which may fail itself, for want of memory say. That error is
    // raised then.
    try {
      const Status& status = error.status;
      const ErrorFacts& facts = status.facts();
      nb::object exception = nb::module_::import_("penstock.errors")
                                 .attr("from_status")(name(status_code_name(status.code())),
                                                      message(status.message()), status.system_errno(),
                                                      facts.needed_bytes, facts.free_bytes, ways_out(facts));
      PyErr_SetObject(exception.type().ptr(), exception.ptr());
    } catch (nb::python_error& failed) {
      failed.restore();
    }
  }
}

}  // namespace

void bind_errors(nb::module_&) { nb::register_exception_translator(translate, nullptr); }

}  // namespace penstock::python
