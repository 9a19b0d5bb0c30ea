// Loader: the epoch protocol, statistics, the report.
//
// next() is two calls here, peek() and advance(), so that nothing is lost between them: Note [A signal at any
// moment] in bind_iteration.cc. Everything that may wait or read does so without the GIL; a signal that comes
// meanwhile is noticed when the engine calls back.
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>

#include <map>
#include <optional>
#include <string>
#include <type_traits>

#include "base/cores.h"
#include "bindings.h"
#include "engine/starve.h"
#include "loader/residency.h"
#include "memory/refusal.h"
#include "penstock/fields.h"
#include "penstock/report.h"

namespace penstock::python {

namespace {

// Joining engine threads must not hold up other Python threads: one of the engine's may be in the middle of a
// read.
struct LoaderHandle {
  std::unique_ptr<Loader> ptr;

  explicit LoaderHandle(std::unique_ptr<Loader> loader) : ptr(std::move(loader)) {}
  LoaderHandle(LoaderHandle&&) noexcept = default;
  LoaderHandle& operator=(LoaderHandle&&) = delete;
  ~LoaderHandle() {
    if (!ptr) return;
    without_gil([this] { ptr.reset(); });
  }
};

// Batches in reference cycles hold their slots. Called once when all slots are taken and the consumer waits:
// perhaps some are held by batches that nobody can reach any more, such as those in the traceback of an
// exception. PyGC_Collect() would do nothing after gc.disable().
void collect_garbage() {
  with_gil([] {
    try {
      nb::module_::import_("gc").attr("collect")();
    } catch (nb::python_error& error) {
      error.discard_as_unraisable("penstock: gc.collect()");
    }
  });
}

LoaderHandle create(const DatasetHandle& dataset, LoaderOptions options) {
  options.on_slots_exhausted = &collect_garbage;
  return LoaderHandle(unwrap(without_gil([&] { return Loader::create(dataset.ptr, std::move(options)); })));
}

nb::object export_batch(std::optional<Batch> batch, bool dlpack) {
  if (!batch) return nb::none();
  return dlpack ? batch_to_dlpack(*batch) : batch_to_numpy(*batch);
}

// Waits without the GIL; a signal whose Python handler raises (Ctrl-C) ends the wait.
nb::object peek(LoaderHandle& self, bool dlpack) {
  bool raised = false;
  // The engine asks now and then while it waits. The exception stays set in Python, and is
  // thrown when the GIL is ours.
  const auto interrupted = [&raised] {
    with_gil([&raised] { raised = PyErr_CheckSignals() != 0; });
    return raised;
  };
  auto result = without_gil([&] { return self.ptr->peek(interrupted); });
  if (raised) throw nb::python_error();
  return export_batch(unwrap(std::move(result)), dlpack);
}

nb::dict stats(const LoaderHandle& self) {
  const LoaderStats s = without_gil([&] { return self.ptr->stats(); });
  nb::dict out;
  each_field(s, [&](const char* name, const auto& value, const auto&...) {
    // All fields are numbers but one, so a counter that is added to LoaderStats shows up here by itself.
    if constexpr (std::is_same_v<decltype(value), const MemoryBudget::Usage&>) {
      out[name] = usage_to_dict(value);
    } else {
      out[name] = value;
    }
  });
  out["who_waited"] = s.who_waited();
  out["where_time_went"] = s.where_time_went();
  return out;
}

void report(const LoaderHandle& self, const DatasetHandle& dataset, const std::string& path,
            const std::string& label, std::vector<std::pair<std::string, std::string>> environment) {
  ReportOptions options;
  options.label = label;
  options.environment = std::move(environment);
  check(without_gil([&] { return write_report(*self.ptr, *dataset.ptr, path, options); }));
}

}  // namespace

void bind_loader(nb::module_& m) {
  m.def("usable_cores", &usable_cores, "Cores this process may use: affinity and cgroup quota, at least 1.");
  m.def("refuse_reservation", &testing::refuse_reservation, nb::arg("nth"),
        "Tests only: the nth reservation from now on is refused; 0: none is.");
  m.def("reservations_asked", &testing::reservations_asked, "Tests only: reservations since then.");
  m.def("starve_windows", &testing::starve_windows, nb::arg("bytes"),
        "Tests only: bytes of window pages that loaders made from now on really have; 0: as planned.");
  m.def("keep_nothing", &testing::keep_nothing, nb::arg("on"),
        "Tests only: loaders made from now on read row offsets and labels again with each block.");
  nb::class_<LoaderHandle>(m, "Loader", "Internal: see penstock.Loader.")
      .def_static("create", &create, nb::arg("dataset"), nb::arg("options"))
      .def("plan", [](const LoaderHandle& self) { return self.ptr->plan(); })
      .def(
          "state_json",
          [](const LoaderHandle& self, std::optional<std::uint64_t> batches_done) {
            return unwrap(without_gil([&] { return self.ptr->state(batches_done); })).to_json();
          },
          nb::arg("batches_done").none(), "A checkpoint as JSON, for LoaderOptions.resume.")
      .def_prop_ro("epoch_batches", [](const LoaderHandle& self) { return self.ptr->epoch_batches(); })
      .def_prop_ro(
          "batches_left", [](const LoaderHandle& self) { return self.ptr->batches_left(); },
          "Of the epoch that was begun.")
      .def_prop_ro("n_batches", [](const LoaderHandle& self) { return self.ptr->n_batches(); })
      .def(
          "categories",
          [](const LoaderHandle& self, const std::string& column) {
            const auto* names = self.ptr->categories(column);
            return names == nullptr ? std::optional<StringList>() : texts(*names);
          },
          nb::arg("column"), "None: a column of numbers.")
      .def(
          "start_epoch",
          [](LoaderHandle& self, std::optional<std::uint64_t> epoch) {
            check(without_gil([&] { return self.ptr->start_epoch(epoch); }));
          },
          nb::arg("epoch").none())
      .def_prop_ro("next_epoch", [](const LoaderHandle& self) { return self.ptr->next_epoch(); })
      .def("peek", &peek, nb::arg("dlpack"), nb::sig("def peek(self, dlpack: bool) -> typing.Any"),
           "The next batch, which stays; None at the end of the epoch. See batch_to_dlpack.")
      .def("densifier", [](const LoaderHandle& self) { return self.ptr->densifier(); })
      .def(
          "advance", [](LoaderHandle& self) { return self.ptr->advance(); },
          "Takes the batch that was peeked at. False: it is not the next one any more.")
      .def("stats", &stats, nb::sig("def stats(self) -> dict[str, typing.Any]"))
      .def(
          "epoch_cost",
          [](const LoaderHandle& self, std::uint64_t epoch) {
            const EpochCost cost = unwrap(without_gil([&] { return self.ptr->epoch_cost(epoch); }));
            nb::dict out;
            out["bytes_to_read"] = cost.bytes_to_read;
            out["bytes_to_decode"] = cost.bytes_to_decode;
            out["requests"] = cost.requests;
            return out;
          },
          nb::arg("epoch"), nb::sig("def epoch_cost(self, epoch: int) -> dict[str, int]"))
      .def(
          "mixing",
          [](const LoaderHandle& self, const std::string& label, std::uint64_t epoch) {
            return unwrap(without_gil([&] { return self.ptr->mixing(label, epoch); }));
          },
          nb::arg("label"), nb::arg("epoch"))
      .def(
          "stats_json",
          [](const LoaderHandle& self) { return without_gil([&] { return self.ptr->stats(); }).to_json(); },
          "stats() as one line of JSON.")
      .def(
          "stats_prometheus",
          [](const LoaderHandle& self, const std::map<std::string, std::string>& labels) {
            return without_gil([&] { return self.ptr->stats(); }).to_prometheus(labels);
          },
          nb::arg("labels"), "stats() in Prometheus' text format.")
      .def("report", &report, nb::arg("dataset"), nb::arg("path"), nb::arg("label"), nb::arg("environment"),
           "Writes the page; label '': the first of obs that has labels.")
      .def("close", [](LoaderHandle& self) { without_gil([&] { self.ptr->close(); }); });
}

}  // namespace penstock::python
