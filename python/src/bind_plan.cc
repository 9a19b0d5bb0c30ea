// Plan and Mixing: every number by name, and the texts.
#include <nanobind/stl/map.h>

#include <array>
#include <map>
#include <type_traits>

#include "bindings.h"
#include "penstock/fields.h"

namespace penstock::python {

namespace {

using BytesByTag = std::array<std::uint64_t, kMemoryTags>;

std::map<std::string, std::uint64_t> by_tag(const BytesByTag& bytes) {
  std::map<std::string, std::uint64_t> out;
  for (std::size_t i = 0; i < kMemoryTags; ++i) {
    out[std::string(memory_tag_name(static_cast<MemoryTag>(i)))] = bytes[i];
  }
  return out;
}

// An attribute for each field. The record lists its fields once (penstock/fields.h), with their docs, so that
// Plan.n_rows and its sentence in help() are written in plan.h and nowhere else.
template <class Record>
void def_fields(nb::class_<Record>& cls) {
  Record::fields([&]<class T>(const char* name, T Record::*member, const char* doc) {
    if constexpr (std::is_same_v<T, BytesByTag>) {
      cls.def_prop_ro(
          name, [member](const Record& self) { return by_tag(self.*member); }, doc);
    } else if constexpr (std::is_same_v<T, std::vector<Note>>) {
      cls.def_prop_ro(
          name, [member](const Record& self) { return notes(self.*member); },
          nb::for_getter(nb::sig("def notes(self) -> list[penstock.notes.Note]")), doc);
    } else {
      cls.def_ro(name, member, doc);
    }
  });
}

}  // namespace

void bind_plan(nb::module_& m) {
  nb::class_<Plan> plan(m, "Plan", "What a loader is about to do.");
  plan.def(nb::init<const Plan&>());
  def_fields(plan);
  plan.def_prop_ro("summary", &Plan::summary, "One line for people.")
      .def("to_text", &Plan::to_text, "Several lines for people.")
      .def("to_json", &Plan::to_json, "All numbers as JSON.");
  nb::class_<Mixing> mixing(m, "Mixing", "How an obs column is mixed over the batches of an epoch.");
  mixing.def(nb::init<const Mixing&>());
  def_fields(mixing);
  mixing.def("to_text", &Mixing::to_text, "One line for people.")
      .def("to_json", &Mixing::to_json, "All numbers as JSON.");
}

}  // namespace penstock::python
