// MemoryBudget, and the byte counts of the user interface.
#include <nanobind/stl/string_view.h>

#include "bindings.h"

namespace penstock::python {

namespace {

template <std::size_t N>
nb::dict by_tag(const std::array<std::uint64_t, N>& bytes) {
  nb::dict out;
  for (std::size_t i = 0; i < N; ++i) {
    const auto name = memory_tag_name(static_cast<MemoryTag>(i));
    out[nb::str(name.data(), name.size())] = bytes[i];
  }
  return out;
}

}  // namespace

nb::dict usage_to_dict(const MemoryBudget::Usage& usage) {
  nb::dict out;
  out["limit"] = usage.limit;
  out["used"] = usage.used;
  out["peak"] = usage.peak;
  out["used_by_tag"] = by_tag(usage.used_by_tag);
  out["peak_by_tag"] = by_tag(usage.peak_by_tag);
  return out;
}

void bind_budget(nb::module_& m) {
  // A handle around a shared_ptr: loaders keep a budget alive that Python has dropped.
  nb::class_<BudgetHandle>(m, "MemoryBudget", "A byte budget that loaders never exceed.")
      .def(
          "__init__",
          [](BudgetHandle* self, std::uint64_t limit, std::uint32_t loaders) {
            new (self) BudgetHandle{MemoryBudget::create(limit, loaders)};
          },
          nb::arg("limit"), nb::arg("loaders"), "limit: bytes; loaders: how many share it.")
      .def_prop_ro(
          "limit", [](const BudgetHandle& self) { return self.ptr->limit(); }, "Bytes.")
      .def(
          "usage", [](const BudgetHandle& self) { return usage_to_dict(self.ptr->usage()); },
          nb::sig("def usage(self) -> dict[str, typing.Any]"),
          "Bytes held now and at most, in all and by tag.");
  m.def(
      "parse_bytes", [](std::string_view text) { return unwrap(parse_bytes(text)); }, nb::arg("text"),
      "'2GB' -> 2000000000.");
  m.def("format_bytes", &format_bytes, nb::arg("bytes"), "1234567 -> '1.23 MB'.");
}

}  // namespace penstock::python
