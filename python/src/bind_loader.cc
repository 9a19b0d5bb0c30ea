// Loader: options, the epoch protocol, statistics.
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/cores.h"
#include "bindings.h"
#include "memory/refusal.h"
#include "penstock/report.h"

namespace penstock::python {

namespace {

// Joining engine threads must not hold up other Python threads.
struct LoaderHandle {
  std::unique_ptr<Loader> ptr;

  explicit LoaderHandle(std::unique_ptr<Loader> loader) : ptr(std::move(loader)) {}
  LoaderHandle(LoaderHandle&&) noexcept = default;
  LoaderHandle& operator=(LoaderHandle&&) = delete;
  ~LoaderHandle() {
    if (!ptr) return;
    nb::gil_scoped_release release;
    ptr.reset();
  }
};

struct NamedType {
  std::string_view name;
  OutputType type;
};
constexpr std::array<NamedType, 8> kOutputTypes = {{{"float32", OutputType::float32},
                                                    {"float64", OutputType::float64},
                                                    {"float16", OutputType::float16},
                                                    {"bfloat16", OutputType::bfloat16},
                                                    {"int32", OutputType::int32},
                                                    {"int64", OutputType::int64},
                                                    {"int16", OutputType::int16},
                                                    {"uint8", OutputType::uint8}}};

OutputType output_type(std::string_view name) {
  std::string known;
  for (const NamedType& entry : kOutputTypes) {
    if (entry.name == name) return entry.type;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw StatusError{Status::invalid_argument("dtype=\"" + std::string(name) +
                                             "\" is not an output type: use one of " + known)};
}

BatchFormat batch_format(std::string_view name) {
  if (name == "csr") return BatchFormat::csr;
  if (name == "dense") return BatchFormat::dense;
  throw StatusError{Status::invalid_argument("format=\"" + std::string(name) +
                                             "\" is not known: use \"csr\" or \"dense\"")};
}

// Batches in reference cycles hold their slots. PyGC_Collect() would do nothing after gc.disable().
void collect_garbage() {
  nb::gil_scoped_acquire acquire;
  try {
    nb::module_::import_("gc").attr("collect")();
  } catch (nb::python_error& error) {
    error.discard_as_unraisable("penstock: gc.collect()");
  }
}

using Numbers = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

LoaderHandle create(const DatasetHandle& dataset, std::uint64_t batch_size, const BudgetHandle* shared_budget,
                    std::uint64_t memory, bool shuffle, std::uint64_t seed, const std::string& format,
                    const std::string& dtype, std::vector<std::string> obs,
                    std::map<std::string, std::vector<std::string>> categories, bool totals,
                    std::optional<double> normalize_total, bool log1p, std::uint64_t epoch_size,
                    std::string balance, const std::optional<Numbers>& weights, std::string weights_column,
                    std::map<std::string, double> category_weights, bool drop_last, std::uint32_t rank,
                    std::uint32_t world_size, std::uint32_t threads, std::uint32_t io_threads,
                    std::uint64_t window_rows, std::uint64_t block_rows, double slot_timeout,
                    std::uint64_t test_window_bytes, const std::string& resume) {
  LoaderOptions options;
  options.batch_size = batch_size;
  options.memory = memory;
  if (shared_budget != nullptr) options.shared_budget = shared_budget->ptr;
  options.shuffle = shuffle;
  options.seed = seed;
  options.format = batch_format(format);
  options.dtype = output_type(dtype);
  options.obs = std::move(obs);
  options.categories = std::move(categories);
  options.totals = totals;
  options.normalize_total = normalize_total;
  options.log1p = log1p;
  options.epoch_size = epoch_size;
  options.balance = std::move(balance);
  if (weights)
    options.weights =
        std::make_shared<std::vector<double>>(weights->data(), weights->data() + weights->size());
  options.weights_column = std::move(weights_column);
  options.category_weights = std::move(category_weights);
  options.drop_last = drop_last;
  options.rank = rank;
  options.world_size = world_size;
  options.threads = threads;
  options.io_threads = io_threads;
  options.window_rows = window_rows;
  options.block_rows = block_rows;
  options.slot_timeout_seconds = slot_timeout;
  options.test_window_bytes = test_window_bytes;
  if (!resume.empty()) options.resume = unwrap(LoaderState::from_json(resume));
  options.on_slots_exhausted = &collect_garbage;
  return LoaderHandle(unwrap(without_gil([&] { return Loader::create(dataset.ptr, std::move(options)); })));
}

// Runs next() or peek() without the GIL; a signal whose Python handler raises (Ctrl-C) ends the wait.
template <class Take>
std::optional<Batch> take(const Take& call) {
  bool raised = false;
  const auto interrupted = [&raised] {
    nb::gil_scoped_acquire acquire;
    raised = PyErr_CheckSignals() != 0;
    return raised;
  };
  auto result = without_gil([&] { return call(interrupted); });
  if (raised) throw nb::python_error();
  return unwrap(std::move(result));
}

nb::object export_batch(std::optional<Batch> batch, bool dlpack) {
  if (!batch) return nb::none();
  return dlpack ? batch_to_dlpack(*batch) : batch_to_numpy(*batch);
}

nb::object next(LoaderHandle& self, bool dlpack) {
  return export_batch(take([&](const auto& interrupted) { return self.ptr->next(interrupted); }), dlpack);
}

nb::object peek(LoaderHandle& self, bool dlpack) {
  return export_batch(take([&](const auto& interrupted) { return self.ptr->peek(interrupted); }), dlpack);
}

nb::dict stats(const LoaderHandle& self) {
  const LoaderStats s = without_gil([&] { return self.ptr->stats(); });
  nb::dict out;
  out["epoch"] = s.epoch;
  out["batches"] = s.batches;
  out["rows"] = s.rows;
  out["entries"] = s.entries;
  out["rows_decoded"] = s.rows_decoded;
  out["blocks_decoded"] = s.blocks_decoded;
  out["bytes_opening"] = s.bytes_opening;
  out["bytes_planning"] = s.bytes_planning;
  out["bytes_read"] = s.bytes_read;
  out["reads"] = s.reads;
  out["epoch_bytes_read"] = s.epoch_bytes_read;
  out["epoch_reads"] = s.epoch_reads;
  out["bytes_reread"] = s.bytes_reread;
  out["rereads"] = s.rereads;
  out["bytes_read_all"] = s.bytes_read_all;
  out["bytes_decoded"] = s.bytes_decoded;
  out["rows_deferred"] = s.rows_deferred;
  out["entries_unknown"] = s.entries_unknown;
  out["heads_too_short"] = s.heads_too_short;
  out["values_rounded"] = s.values_rounded;
  out["rows_sorted"] = s.rows_sorted;
  out["labels_missing"] = s.labels_missing;
  out["read_seconds"] = s.read_seconds;
  out["worker_read_seconds"] = s.worker_read_seconds;
  out["decode_seconds"] = s.decode_seconds;
  out["decompress_seconds"] = s.decompress_seconds;
  out["scatter_seconds"] = s.scatter_seconds;
  out["assemble_seconds"] = s.assemble_seconds;
  out["worker_idle_seconds"] = s.worker_idle_seconds;
  out["idle_for_reads_seconds"] = s.idle_for_reads_seconds;
  out["idle_for_pages_seconds"] = s.idle_for_pages_seconds;
  out["idle_for_consumer_seconds"] = s.idle_for_consumer_seconds;
  out["consumer_wait_seconds"] = s.consumer_wait_seconds;
  out["consumer_busy_seconds"] = s.consumer_busy_seconds;
  out["elapsed_seconds"] = s.elapsed_seconds;
  out["first_batch_seconds"] = s.first_batch_seconds;
  out["last_batch_seconds"] = s.last_batch_seconds;
  out["slots_held"] = s.slots_held;
  out["window_bytes_used"] = s.window_bytes_used;
  out["slot_bytes_used"] = s.slot_bytes_used;
  out["memory"] = usage_to_dict(s.memory);
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
  nb::class_<LoaderHandle>(m, "Loader", "Internal: see penstock.Loader.")
      .def_static("create", &create, nb::arg("dataset"), nb::kw_only(), nb::arg("batch_size"),
                  nb::arg("shared_budget").none(), nb::arg("memory"), nb::arg("shuffle"), nb::arg("seed"),
                  nb::arg("format"), nb::arg("dtype"), nb::arg("obs"), nb::arg("categories"),
                  nb::arg("totals"), nb::arg("normalize_total").none(), nb::arg("log1p"),
                  nb::arg("epoch_size"), nb::arg("balance"), nb::arg("weights").none(),
                  nb::arg("weights_column"), nb::arg("category_weights"), nb::arg("drop_last"),
                  nb::arg("rank"), nb::arg("world_size"), nb::arg("threads"), nb::arg("io_threads"),
                  nb::arg("window_rows"), nb::arg("block_rows"), nb::arg("slot_timeout"),
                  nb::arg("test_window_bytes"), nb::arg("resume"))
      .def("plan", [](const LoaderHandle& self) { return self.ptr->plan(); })
      .def(
          "state_json",
          [](const LoaderHandle& self, std::optional<std::uint64_t> batches_done) {
            return unwrap(without_gil([&] { return self.ptr->state(batches_done); })).to_json();
          },
          nb::arg("batches_done").none(), "A checkpoint as JSON, for create(resume=).")
      .def_prop_ro("epoch_batches", [](const LoaderHandle& self) { return self.ptr->epoch_batches(); })
      .def_prop_ro("n_batches", [](const LoaderHandle& self) { return self.ptr->n_batches(); })
      .def(
          "categories",
          [](const LoaderHandle& self, const std::string& column) {
            return texts(self.ptr->categories(column));
          },
          nb::arg("column"))
      .def(
          "start_epoch",
          [](LoaderHandle& self, std::optional<std::uint64_t> epoch) {
            check(without_gil([&] { return self.ptr->start_epoch(epoch); }));
          },
          nb::arg("epoch").none())
      .def_prop_ro("next_epoch", [](const LoaderHandle& self) { return self.ptr->next_epoch(); })
      .def("next", &next, nb::arg("dlpack"), nb::sig("def next(self, dlpack: bool) -> typing.Any"),
           "None at the end of the epoch; see batch_to_dlpack.")
      .def("peek", &peek, nb::arg("dlpack"), nb::sig("def peek(self, dlpack: bool) -> typing.Any"),
           "As next(), but the batch stays. Read-only: copy it.")
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
