// Dataset: opening, metadata columns, selections, rows for a look.
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>

#include <span>
#include <string>
#include <tuple>

#include "bindings.h"

namespace penstock::python {

namespace {

using Positions = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Mask = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T, class Array>
std::span<const T> as_span(const Array& array) {
  return {array.data(), array.size()};
}

const char* kind_name(Column::Kind kind) {
  switch (kind) {
    case Column::Kind::categorical:
      return "categorical";
    case Column::Kind::string:
      return "string";
    case Column::Kind::integer:
      return "integer";
    case Column::Kind::floating:
      return "floating";
    case Column::Kind::boolean:
      return "boolean";
  }
  return "string";
}

// {"kind", "name", "dtype", "values", "missing"} and, for categoricals, {"categories", "categories_kind",
// "ordered"}.
nb::dict column_to_dict(Column column) {
  nb::dict out;
  out["kind"] = kind_name(column.kind);
  out["name"] = text(column.name);
  out["dtype"] = column.dtype;
  out["unsigned"] = column.is_unsigned;
  out["missing"] = column.missing.empty() ? nb::none() : to_numpy(std::move(column.missing));
  switch (column.kind) {
    case Column::Kind::categorical:
      out["values"] = to_numpy(std::move(column.codes));
      out["categories"] = texts(column.categories);
      out["categories_kind"] = kind_name(column.categories_kind);
      out["ordered"] = column.ordered;
      break;
    case Column::Kind::string:
      out["values"] = texts(column.strings);
      break;
    case Column::Kind::integer:
      out["values"] = to_numpy(std::move(column.integers));
      break;
    case Column::Kind::floating:
      out["values"] = to_numpy(std::move(column.floats));
      break;
    case Column::Kind::boolean:
      out["values"] = to_numpy(std::move(column.booleans));
      break;
  }
  return out;
}

using ColumnList = nb::typed<nb::list, nb::typed<nb::tuple, nb::str, nb::str, nb::bool_, nb::str>>;
ColumnList describe(const std::vector<ColumnInfo>& infos) {
  nb::list out;
  for (const ColumnInfo& info : infos) {
    out.append(nb::make_tuple(text(info.name), text(info.dtype), nb::bool_(info.usable), text(info.why)));
  }
  return nb::borrow<ColumnList>(out);
}

DatasetHandle open(std::vector<std::string> paths, std::string matrix, std::string join, std::string var_key,
                   std::string genes, std::string expressions, std::string var, std::uint64_t index_memory) {
  OpenOptions options;
  options.matrix = std::move(matrix);
  options.join = std::move(join);
  options.var_key = std::move(var_key);
  options.genes = std::move(genes);
  options.expressions = std::move(expressions);
  options.var = std::move(var);
  options.index_memory = index_memory;
  return {unwrap(without_gil([&] { return Dataset::open(std::move(paths), std::move(options)); }))};
}

nb::object read_rows(const DatasetHandle& self, const Positions& positions) {
  CsrMatrix rows = unwrap(without_gil([&] { return self.ptr->read_rows(as_span<std::int64_t>(positions)); }));
  return nb::make_tuple(rows.n_rows, rows.n_cols, to_numpy(std::move(rows.indptr)),
                        to_numpy(std::move(rows.indices)), to_numpy(std::move(rows.values)),
                        rows.value_dtype);
}

// Numbers, strings, booleans, None and lists of them; dataset.py has turned everything else into these.
QueryValue query_value(nb::handle from) {
  if (from.is_none()) return {};
  if (nb::isinstance<nb::bool_>(from)) return {nb::cast<bool>(from)};
  if (nb::isinstance<nb::int_>(from)) {
    std::int64_t small = 0;
    if (nb::try_cast(from, small)) return {small};
    std::uint64_t large = 0;
    if (nb::try_cast(from, large)) return {large};
    throw nb::value_error("a parameter is a whole number beyond 64 bits");
  }
  if (nb::isinstance<nb::float_>(from)) return {nb::cast<double>(from)};
  if (nb::isinstance<nb::str>(from)) {
    // Lone surrogates are bytes of a file that are not UTF-8 (see text()).
    const auto bytes =
        nb::steal<nb::bytes>(PyUnicode_AsEncodedString(from.ptr(), "utf-8", "surrogateescape"));
    if (!bytes.is_valid()) nb::raise_python_error();
    return {std::string(bytes.c_str(), bytes.size())};
  }
  QueryValue::List values;
  for (const nb::handle item : nb::cast<nb::list>(from)) values.push_back(query_value(item));
  return {std::move(values)};
}

DatasetHandle query(const DatasetHandle& self, const std::string& expression, const nb::dict& params) {
  QueryParams values;
  for (const auto& [name, value] : params) values[nb::cast<std::string>(name)] = query_value(value);
  return {unwrap(without_gil([&] { return self.ptr->query(expression, values); }))};
}

nb::object global_rows(const DatasetHandle& self, std::uint64_t first, std::uint64_t count) {
  std::vector<std::int64_t> rows(count);
  check(without_gil([&] { return self.ptr->global_rows(first, rows); }));
  return to_numpy(std::move(rows));
}

}  // namespace

void bind_dataset(nb::module_& m) {
  nb::class_<FileInfo>(m, "FileInfo", "What open found in one file.")
      .def_ro("path", &FileInfo::path)
      .def_ro("n_obs", &FileInfo::n_obs, "All rows of the file.")
      .def_ro("first_row", &FileInfo::first_row, "Global number of the file's row 0.")
      .def_ro("selected", &FileInfo::selected, "Rows of this Dataset's selection.")
      .def_ro("file_bytes", &FileInfo::file_bytes, "Bytes of the file.")
      .def_ro("entries", &FileInfo::entries, "Stored non-zeros of the matrix.")
      .def_ro("layout", &FileInfo::layout, "Encoding, chunks and codecs of the matrix, in words.")
      .def("__repr__", [](const FileInfo& f) {
        return "<FileInfo " + f.path + ": " + format_count(f.n_obs) + " obs, " + format_bytes(f.file_bytes) +
               ", " + f.layout + ">";
      });

  nb::class_<DatasetHandle>(m, "Dataset", "Internal: see penstock.Dataset.")
      .def_static("open", &open, nb::arg("paths"), nb::arg("matrix"), nb::arg("join"), nb::arg("var_key"),
                  nb::arg("genes"), nb::arg("expressions"), nb::arg("var"), nb::arg("index_memory"))
      .def_prop_ro("n_obs", [](const DatasetHandle& d) { return d.ptr->n_obs(); })
      .def_prop_ro("n_obs_total", [](const DatasetHandle& d) { return d.ptr->n_obs_total(); })
      .def_prop_ro("n_vars", [](const DatasetHandle& d) { return d.ptr->n_vars(); })
      .def_prop_ro("n_vars_total", [](const DatasetHandle& d) { return d.ptr->n_vars_total(); })
      .def_prop_ro("index_bytes", [](const DatasetHandle& d) { return d.ptr->index_bytes(); })
      .def_prop_ro("matrix", [](const DatasetHandle& d) { return d.ptr->matrix(); })
      .def_prop_ro("value_dtype", [](const DatasetHandle& d) { return d.ptr->value_dtype(); })
      .def("files", [](const DatasetHandle& d) { return d.ptr->files(); })
      .def("notes", [](const DatasetHandle& d) { return texts(d.ptr->notes()); })
      .def("other_matrices", [](const DatasetHandle& d) { return texts(d.ptr->other_matrices()); })
      .def(
          "obs_columns", [](const DatasetHandle& d) { return describe(d.ptr->obs_columns()); },
          "(name, dtype, usable, why not) of each column.")
      .def(
          "obs",
          [](const DatasetHandle& d, const std::string& name) {
            return column_to_dict(unwrap(without_gil([&] { return d.ptr->obs(name); })));
          },
          nb::arg("name"), nb::sig("def obs(self, name: str) -> dict[str, typing.Any]"))
      .def("obs_names",
           [](const DatasetHandle& d) {
             return texts(unwrap(without_gil([&] { return d.ptr->obs_names(); })));
           })
      .def("var_columns", [](const DatasetHandle& d) { return describe(d.ptr->var_columns()); })
      .def(
          "var",
          [](const DatasetHandle& d, const std::string& name) {
            return column_to_dict(unwrap(without_gil([&] { return d.ptr->var(name); })));
          },
          nb::arg("name"), nb::sig("def var(self, name: str) -> dict[str, typing.Any]"))
      .def("var_names", [](const DatasetHandle& d) { return texts(d.ptr->var_names()); })
      .def(
          "categories",
          [](const DatasetHandle& d, const std::string& column) {
            return texts(unwrap(without_gil([&] { return d.ptr->categories(column); })));
          },
          nb::arg("column"))
      .def(
          "select_slice",
          [](const DatasetHandle& d, std::uint64_t start, std::uint64_t stop, std::uint64_t step) {
            return DatasetHandle{unwrap(without_gil([&] { return d.ptr->select_slice(start, stop, step); }))};
          },
          nb::arg("start"), nb::arg("stop"), nb::arg("step"))
      .def(
          "select_mask",
          [](const DatasetHandle& d, const Mask& keep) {
            return DatasetHandle{
                unwrap(without_gil([&] { return d.ptr->select_mask(as_span<std::uint8_t>(keep)); }))};
          },
          nb::arg("keep"),
          nb::sig("def select_mask(self, keep: numpy.typing.NDArray[numpy.uint8]) -> Dataset"))
      .def(
          "select_positions",
          [](const DatasetHandle& d, const Positions& positions) {
            return DatasetHandle{unwrap(
                without_gil([&] { return d.ptr->select_positions(as_span<std::int64_t>(positions)); }))};
          },
          nb::arg("positions"),
          nb::sig("def select_positions(self, positions: numpy.typing.NDArray[numpy.int64]) -> Dataset"))
      .def(
          "select_without",
          [](const DatasetHandle& d, const DatasetHandle& other) {
            return DatasetHandle{unwrap(without_gil([&] { return d.ptr->select_without(*other.ptr); }))};
          },
          nb::arg("other"))
      .def(
          "select_vars",
          [](const DatasetHandle& d, const Positions& columns) {
            return DatasetHandle{
                unwrap(without_gil([&] { return d.ptr->select_vars(as_span<std::int64_t>(columns)); }))};
          },
          nb::arg("columns"),
          nb::sig("def select_vars(self, columns: numpy.typing.NDArray[numpy.int64]) -> Dataset"))
      .def(
          "select_var_names",
          [](const DatasetHandle& d, const std::vector<std::string>& names, const std::string& key,
             const std::string& missing) {
            return DatasetHandle{
                unwrap(without_gil([&] { return d.ptr->select_var_names(names, key, missing); }))};
          },
          nb::arg("names"), nb::arg("key"), nb::arg("missing"))
      .def(
          "var_columns_opened", [](const DatasetHandle& d) { return to_numpy(d.ptr->var_columns_opened()); },
          nb::sig("def var_columns_opened(self) -> numpy.typing.NDArray[numpy.int64]"),
          "The opened files' gene that each gene is (-1: zeros); empty: all of them.")
      .def(
          "select_opened",
          [](const DatasetHandle& d, const Positions& columns, const std::vector<std::string>& names) {
            return DatasetHandle{unwrap(
                without_gil([&] { return d.ptr->select_opened(as_span<std::int64_t>(columns), names); }))};
          },
          nb::arg("columns"), nb::arg("names"),
          nb::sig("def select_opened(self, columns: numpy.typing.NDArray[numpy.int64], names: "
                  "collections.abc.Sequence[str]) -> Dataset"))
      .def(
          "split",
          [](const DatasetHandle& d, const std::vector<double>& fractions, std::uint64_t seed,
             std::vector<std::string> group_by, std::vector<std::string> stratify_by, std::uint64_t unit) {
            const SplitOptions options{seed, std::move(group_by), std::move(stratify_by), unit};
            auto parts = unwrap(without_gil([&] { return d.ptr->split(fractions, options); }));
            std::vector<DatasetHandle> out;
            for (auto& part : parts) out.push_back({std::move(part)});
            return out;
          },
          nb::arg("fractions"), nb::arg("seed"), nb::arg("group_by"), nb::arg("stratify_by"), nb::arg("unit"))
      .def("query", &query, nb::arg("expression"), nb::arg("params"),
           nb::sig("def query(self, expression: str, params: dict[str, typing.Any]) -> Dataset"))
      .def(
          "save_selection",
          [](const DatasetHandle& d, const std::string& path) {
            check(without_gil([&] { return d.ptr->save_selection(path); }));
          },
          nb::arg("path"))
      .def(
          "load_selection",
          [](const DatasetHandle& d, const std::string& path) {
            return DatasetHandle{unwrap(without_gil([&] { return d.ptr->load_selection(path); }))};
          },
          nb::arg("path"))
      .def(
          "locate",
          [](const DatasetHandle& d, std::uint64_t row) {
            const auto at = unwrap(d.ptr->locate(row));
            return std::pair(at.file, at.row);
          },
          nb::arg("row"), "(file number, row within the file) of a global row number.")
      .def("global_rows", &global_rows, nb::arg("first"), nb::arg("count"),
           nb::sig("def global_rows(self, first: int, count: int) -> numpy.typing.NDArray[numpy.int64]"))
      .def("read_rows", &read_rows, nb::arg("positions"),
           nb::sig("def read_rows(self, positions: numpy.typing.NDArray[numpy.int64]) -> tuple[int, int, "
                   "numpy.typing.NDArray[numpy.int64], "
                   "numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.uint8], str]"),
           "(n_rows, n_cols, indptr, indices, bytes of the values, dtype of the values)");
}

}  // namespace penstock::python
