// LoaderOptions: the one place where Python's names and types become the engine's.
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "bindings.h"

namespace penstock::python {

namespace {

// The lists of names are the core's; what is not in them is refused with all that are.
OutputType output_type(std::string_view name) {
  std::string known;
  for (const auto& [known_name, type] : kOutputTypes) {
    if (known_name == name) return type;
    known += (known.empty() ? "" : ", ") + std::string(known_name);
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

using Numbers = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::optional<LoaderState> state_of(const std::string& json) {
  if (json.empty()) return std::nullopt;
  return unwrap(LoaderState::from_json(json));
}

}  // namespace

void bind_options(nb::module_& m) {
  using O = LoaderOptions;
  nb::class_<O> options(m, "LoaderOptions",
                        "What Loader.create is asked for: see penstock.Loader. Some can be set, not read.");
  // Two sorts of options. Those whose types Python has are members as they are. The others are
  // converted when they are set and cannot be read back, because the original is the package's: it
  // keeps what the user has given.
  options.def(nb::init<>())
      .def_rw("batch_size", &O::batch_size)
      .def_rw("memory", &O::memory, "Bytes.")
      .def_rw("shuffle", &O::shuffle)
      .def_rw("seed", &O::seed)
      .def_rw("obs", &O::obs)
      .def_rw("obsm", &O::obsm)
      .def_rw("totals", &O::totals)
      .def_rw("normalize_total", &O::normalize_total)
      .def_rw("log1p", &O::log1p)
      .def_rw("epoch_size", &O::epoch_size, "0: every row once.")
      .def_rw("balance", &O::balance, "A column, or ''.")
      .def_rw("weights_column", &O::weights_column)
      .def_rw("drop_last", &O::drop_last)
      .def_rw("rank", &O::rank)
      .def_rw("world_size", &O::world_size)
      .def_rw("threads", &O::threads, "0: the engine's choice; so of the next three.")
      .def_rw("io_threads", &O::io_threads)
      .def_rw("window_rows", &O::window_rows)
      .def_rw("block_rows", &O::block_rows)
      .def_rw("slot_timeout", &O::slot_timeout_seconds, "Seconds.");
  options
      .def_prop_rw("shared_budget", nullptr,
                   [](O& self, const std::optional<BudgetHandle>& budget) {
                     self.shared_budget = budget ? budget->ptr : nullptr;
                   })
      .def_prop_rw("format", nullptr,
                   [](O& self, const std::string& name) { self.format = batch_format(name); })
      .def_prop_rw("dtype", nullptr, [](O& self, const std::string& name) { self.dtype = output_type(name); })
      .def_prop_rw("categories", nullptr,
                   [](O& self, std::map<std::string, std::vector<FileText>> columns) {
                     self.categories.clear();
                     for (auto& [column, names] : columns)
                       self.categories[column] = bytes_of(std::move(names));
                   })
      .def_prop_rw("balance_labels", nullptr,
                   [](O& self, const std::optional<Codes>& labels) {
                     // Copied: the user's array may be changed, or freed, while the loader lives.
                     self.balance_labels = shared_vector<std::int32_t>(labels);
                   })
      .def_prop_rw("weights", nullptr,
                   [](O& self, const std::optional<Numbers>& weights) {
                     self.weights = shared_vector<double>(weights);
                   })
      .def_prop_rw("category_weights", nullptr,
                   [](O& self, const std::map<FileText, double>& weights) {
                     self.category_weights.clear();
                     for (const auto& [category, weight] : weights)
                       self.category_weights[category.bytes] = weight;
                   })
      .def_prop_rw(
          "resume", nullptr, [](O& self, const std::string& json) { self.resume = state_of(json); },
          "A checkpoint as JSON, or ''.");
}

}  // namespace penstock::python
