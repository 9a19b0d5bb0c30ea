// Dataset: opening, metadata columns, selections, rows for a look.
//
// Text crosses in two ways. What comes from files passes texts() and FileText, which carry bytes that are not
// UTF-8 there and back; options are plain str. Arrays of the caller's are not copied: nanobind holds them for
// the length of the call, while the GIL is given away.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>

#include <optional>
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

// {"kind", "name", "dtype", "unsigned", "values", "missing"} and, for categoricals, {"categories",
// "categories_kind", "ordered"}. Vectors are handed over and not copied: a column of a hundred million cells
// is 800 MB, and would be there twice.
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

using ColumnTuple = nb::typed<nb::tuple, nb::str, nb::str, nb::bool_, nb::str>;
using ColumnList = nb::typed<nb::list, ColumnTuple>;
ColumnTuple describe(const ColumnInfo& info) {
  return nb::borrow<ColumnTuple>(
      nb::make_tuple(text(info.name), text(info.dtype), nb::bool_(info.usable), text(info.why)));
}
ColumnList describe(const std::vector<ColumnInfo>& infos) {
  nb::list out;
  for (const ColumnInfo& info : infos) out.append(describe(info));
  return nb::borrow<ColumnList>(out);
}

DatasetHandle open(std::vector<std::string> paths, std::string matrix, std::string join, std::string var_key,
                   std::string genes, std::string expressions, std::string var, std::string row,
                   std::string col, std::string value, std::vector<std::string> obs, std::string genome,
                   std::string feature_type, std::uint64_t index_memory) {
  OpenOptions options;
  options.matrix = std::move(matrix);
  options.join = std::move(join);
  options.var_key = std::move(var_key);
  options.genes = std::move(genes);
  options.expressions = std::move(expressions);
  options.var = std::move(var);
  options.row = std::move(row);
  options.col = std::move(col);
  options.value = std::move(value);
  options.obs = std::move(obs);
  options.genome = std::move(genome);
  options.feature_type = std::move(feature_type);
  options.index_memory = index_memory;
  return {unwrap(without_gil([&] { return Dataset::open(std::move(paths), std::move(options)); }))};
}

nb::list expand(const std::vector<std::string>& paths) {
  nb::list out;
  for (const std::string& path : unwrap(without_gil([&] { return expand_paths(paths); }))) {
    // Names of files need not be UTF-8.
    out.append(
        nb::steal(PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size()))));
  }
  return out;
}

nb::object read_rows(const DatasetHandle& self, const Positions& positions) {
  CsrMatrix rows = unwrap(without_gil([&] { return self.ptr->read_rows(as_span<std::int64_t>(positions)); }));
  return nb::make_tuple(rows.n_rows, rows.n_cols, to_numpy(std::move(rows.indptr)),
                        to_numpy(std::move(rows.indices)), to_numpy(std::move(rows.values)),
                        rows.value_dtype);
}

nb::list obsm_entries(const DatasetHandle& self) {
  nb::list out;
  for (const ObsmInfo& info : unwrap(without_gil([&] { return self.ptr->obsm_entries(); })))
    out.append(nb::make_tuple(info.name, info.width, info.dtype, info.columns, info.why));
  return out;
}

nb::object read_obsm(const DatasetHandle& self, const std::string& name, const Positions& positions) {
  ObsmRows rows =
      unwrap(without_gil([&] { return self.ptr->read_obsm(name, as_span<std::int64_t>(positions)); }));
  return nb::make_tuple(rows.n_rows, rows.width, to_numpy(std::move(rows.values)), rows.dtype, rows.columns);
}

// Numbers, strings, booleans, None and lists of them; dataset.py has turned everything else into these.
QueryValue query_value(nb::handle from) {
  if (from.is_none()) return {};
  // Before int: in Python True is one.
  if (nb::isinstance<nb::bool_>(from)) return {nb::cast<bool>(from)};
  if (nb::isinstance<nb::int_>(from)) {
    // A column of unsigned numbers may hold what does not fit into int64, and is compared with it exactly.
    std::int64_t small = 0;
    if (nb::try_cast(from, small)) return {small};
    std::uint64_t large = 0;
    if (nb::try_cast(from, large)) return {large};
    throw nb::value_error("a parameter is a whole number beyond 64 bits");
  }
  if (nb::isinstance<nb::float_>(from)) return {nb::cast<double>(from)};
  if (nb::isinstance<nb::str>(from)) return {nb::cast<FileText>(from).bytes};
  // The package has refused lists in lists.
  QueryValue::List values;
  for (const nb::handle item : nb::cast<nb::list>(from)) values.push_back(query_value(item));
  return {std::move(values)};
}

DatasetHandle query(const DatasetHandle& self, const FileText& expression, const nb::dict& params) {
  QueryParams values;
  for (const auto& [name, value] : params) values[nb::cast<std::string>(name)] = query_value(value);
  return {unwrap(without_gil([&] { return self.ptr->query(expression.bytes, values); }))};
}

nb::object global_rows(const DatasetHandle& self, std::uint64_t first, std::uint64_t count) {
  std::vector<std::int64_t> rows(count);
  check(without_gil([&] { return self.ptr->global_rows(first, rows); }));
  return to_numpy(std::move(rows));
}

void bind_file_info(nb::module_& m) {
  nb::class_<FileInfo>(m, "FileInfo", "What open found in one file.")
      .def_ro("path", &FileInfo::path)
      .def_ro("n_obs", &FileInfo::n_obs, "All rows of the file.")
      .def_ro("first_row", &FileInfo::first_row, "Global number of the file's row 0.")
      .def_ro("selected", &FileInfo::selected, "Rows of this Dataset's selection.")
      .def_ro("file_bytes", &FileInfo::file_bytes, "Bytes of the file.")
      .def_ro("entries", &FileInfo::entries,
              "Stored values of the matrix: all of a dense one, else its non-zeros.")
      .def_ro("layout", &FileInfo::layout, "Encoding, chunks and codecs of the matrix, in words.")
      .def("__repr__", [](const FileInfo& f) {
        return "<FileInfo " + f.path + ": " + format_count(f.n_obs) + " obs, " + format_bytes(f.file_bytes) +
               ", " + f.layout + ">";
      });
}

// Signatures (nb::sig) are given where nanobind would write "object" or "dict": they go into
// _core.pyi, which mypy reads.
using DatasetClass = nb::class_<DatasetHandle>;

void bind_facts(DatasetClass& dataset) {
  dataset
      .def_static("open", &open, nb::arg("paths"), nb::arg("matrix"), nb::arg("join"), nb::arg("var_key"),
                  nb::arg("genes"), nb::arg("expressions"), nb::arg("var"), nb::arg("row"), nb::arg("col"),
                  nb::arg("value"), nb::arg("obs"), nb::arg("genome"), nb::arg("feature_type"),
                  nb::arg("index_memory"))
      .def_prop_ro("n_obs", [](const DatasetHandle& d) { return d.ptr->n_obs(); })
      .def_prop_ro("n_obs_total", [](const DatasetHandle& d) { return d.ptr->n_obs_total(); })
      .def_prop_ro("n_vars", [](const DatasetHandle& d) { return d.ptr->n_vars(); })
      .def_prop_ro("n_vars_total", [](const DatasetHandle& d) { return d.ptr->n_vars_total(); })
      .def_prop_ro("index_bytes", [](const DatasetHandle& d) { return d.ptr->index_bytes(); })
      .def_prop_ro("matrix", [](const DatasetHandle& d) { return d.ptr->matrix(); })
      .def_prop_ro("value_dtype", [](const DatasetHandle& d) { return d.ptr->value_dtype(); })
      .def("files", [](const DatasetHandle& d) { return d.ptr->files(); })
      .def(
          "notes", [](const DatasetHandle& d) { return notes(d.ptr->notes()); },
          nb::sig("def notes(self) -> list[penstock.notes.Note]"))
      .def("other_matrices", [](const DatasetHandle& d) { return texts(d.ptr->other_matrices()); });
}

// obs, var and their names.
void bind_columns(DatasetClass& dataset) {
  dataset
      .def(
          "obs_columns", [](const DatasetHandle& d) { return describe(d.ptr->obs_columns()); },
          "(name, dtype, usable, why not) of each column: opens them all.")
      .def(
          "obs_column",
          [](const DatasetHandle& d, const FileText& name) {
            return describe(d.ptr->obs_column(name.bytes));
          },
          nb::arg("name"), "The same of one.")
      .def("obs_column_names", [](const DatasetHandle& d) { return texts(d.ptr->obs_column_names()); })
      .def(
          "obs",
          [](const DatasetHandle& d, const FileText& name) {
            return column_to_dict(unwrap(without_gil([&] { return d.ptr->obs(name.bytes); })));
          },
          nb::arg("name"), nb::sig("def obs(self, name: str) -> dict[str, typing.Any]"))
      .def("obs_names",
           [](const DatasetHandle& d) {
             return texts(unwrap(without_gil([&] { return d.ptr->obs_names(); })));
           })
      .def(
          "names_of",
          [](const DatasetHandle& d, const Positions& global_rows) {
            const auto found =
                unwrap(without_gil([&] { return d.ptr->names_of(as_span<std::int64_t>(global_rows)); }));
            return nb::make_tuple(texts(found.names), found.read_again);
          },
          nb::arg("global_rows"),
          nb::sig(
              "def names_of(self, global_rows: numpy.typing.NDArray[numpy.int64]) -> tuple[list[str], bool]"),
          "Names of rows, and whether some of them are read again for each call.")
      .def("var_columns", [](const DatasetHandle& d) { return describe(d.ptr->var_columns()); })
      .def(
          "var",
          [](const DatasetHandle& d, const FileText& name) {
            return column_to_dict(unwrap(without_gil([&] { return d.ptr->var(name.bytes); })));
          },
          nb::arg("name"), nb::sig("def var(self, name: str) -> dict[str, typing.Any]"))
      .def("var_names", [](const DatasetHandle& d) { return texts(d.ptr->var_names()); })
      .def(
          "var_notes", [](const DatasetHandle& d) { return notes(d.ptr->var_notes()); },
          nb::sig("def var_notes(self) -> list[penstock.notes.Note]"))
      .def(
          "categories",
          [](const DatasetHandle& d, const FileText& column) {
            return texts(unwrap(without_gil([&] { return d.ptr->categories(column.bytes); })));
          },
          nb::arg("column"));
}

// What gives another Dataset, of fewer rows or genes.
void bind_selections(DatasetClass& dataset) {
  dataset
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
          "join_rows",
          [](const DatasetHandle& d, const DatasetHandle& other, const std::string& how) {
            // The package passes nothing else: &, | and - of two datasets.
            const RowJoin join = how == "either" ? RowJoin::either
                                 : how == "both" ? RowJoin::both
                                                 : RowJoin::without;
            return DatasetHandle{unwrap(without_gil([&] { return d.ptr->join_rows(*other.ptr, join); }))};
          },
          nb::arg("other"), nb::arg("how"), R"(how: "either", "both" or "without".)")
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
          [](const DatasetHandle& d, std::vector<FileText> names, const FileText& key,
             const std::string& missing) {
            const auto wanted = bytes_of(std::move(names));
            return DatasetHandle{
                unwrap(without_gil([&] { return d.ptr->select_var_names(wanted, key.bytes, missing); }))};
          },
          nb::arg("names"), nb::arg("key"), nb::arg("missing"))
      .def(
          "var_columns_opened", [](const DatasetHandle& d) { return to_numpy(d.ptr->var_columns_opened()); },
          nb::sig("def var_columns_opened(self) -> numpy.typing.NDArray[numpy.int64]"),
          "The opened files' gene that each gene is (-1: zeros); empty: all of them.")
      .def(
          "select_opened",
          [](const DatasetHandle& d, const Positions& columns, std::vector<FileText> names,
             std::vector<FileText> notes) {
            const auto of_columns = bytes_of(std::move(names));
            // Selecting genes by name leaves notes of one kind only.
            std::vector<Note> said;
            for (FileText& each : notes) said.push_back({NoteKind::genes_missing, std::move(each.bytes)});
            return DatasetHandle{unwrap(without_gil(
                [&] { return d.ptr->select_opened(as_span<std::int64_t>(columns), of_columns, said); }))};
          },
          nb::arg("columns"), nb::arg("names"), nb::arg("notes"),
          nb::sig("def select_opened(self, columns: numpy.typing.NDArray[numpy.int64], names: "
                  "collections.abc.Sequence[str], notes: collections.abc.Sequence[str]) -> Dataset"))
      .def(
          "split",
          [](const DatasetHandle& d, const std::vector<double>& fractions, std::uint64_t seed,
             std::vector<std::string> group_by, std::vector<std::string> stratify_by, std::uint64_t unit,
             const std::optional<Codes>& group_labels, const std::optional<Codes>& stratify_labels) {
            const SplitOptions options{seed,
                                       std::move(group_by),
                                       std::move(stratify_by),
                                       unit,
                                       shared_vector<std::int32_t>(group_labels),
                                       shared_vector<std::int32_t>(stratify_labels)};
            auto parts = unwrap(without_gil([&] { return d.ptr->split(fractions, options); }));
            std::vector<DatasetHandle> out;
            for (auto& part : parts) out.push_back({std::move(part)});
            return out;
          },
          nb::arg("fractions"), nb::arg("seed"), nb::arg("group_by"), nb::arg("stratify_by"), nb::arg("unit"),
          nb::arg("group_labels").none(), nb::arg("stratify_labels").none())
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
          nb::arg("path"));
}

// Numbers of rows, and rows for a look.
void bind_rows(DatasetClass& dataset) {
  dataset
      .def(
          "locate",
          [](const DatasetHandle& d, std::uint64_t row) {
            const auto at = unwrap(d.ptr->locate(row));
            return std::pair(at.file, at.row);
          },
          nb::arg("row"), "(file number, row within the file) of a global row number.")
      .def("global_rows", &global_rows, nb::arg("first"), nb::arg("count"),
           nb::sig("def global_rows(self, first: int, count: int) -> numpy.typing.NDArray[numpy.int64]"))
      .def(
          "positions_of",
          [](const DatasetHandle& d, const Positions& global_rows) {
            std::vector<std::int64_t> out(global_rows.size());
            check(without_gil([&] { return d.ptr->positions_of(as_span<std::int64_t>(global_rows), out); }));
            return to_numpy(std::move(out));
          },
          nb::arg("global_rows"),
          nb::sig("def positions_of(self, global_rows: numpy.typing.NDArray[numpy.int64]) -> "
                  "numpy.typing.NDArray[numpy.int64]"))
      .def("read_rows", &read_rows, nb::arg("positions"),
           nb::sig("def read_rows(self, positions: numpy.typing.NDArray[numpy.int64]) -> tuple[int, int, "
                   "numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.int64], "
                   "numpy.typing.NDArray[numpy.uint8], str]"),
           "(n_rows, n_cols, indptr, indices, bytes of the values, dtype of the values)")
      .def("obsm_entries", &obsm_entries,
           nb::sig("def obsm_entries(self) -> list[tuple[str, int, str, list[str], str]]"),
           "(name, width, dtype, names of the columns, why it is not read) of each entry of obsm.")
      .def("read_obsm", &read_obsm, nb::arg("name"), nb::arg("positions"),
           nb::sig("def read_obsm(self, name: str, positions: numpy.typing.NDArray[numpy.int64]) -> "
                   "tuple[int, int, numpy.typing.NDArray[numpy.uint8], str, list[str]]"),
           "(n_rows, width, bytes of the values, their dtype, names of the columns)");
}

}  // namespace

void bind_dataset(nb::module_& m) {
  m.def("expand_paths", &expand, nb::arg("paths"),
        nb::sig("def expand_paths(paths: Sequence[str]) -> list[str]"),
        "Files, globs and folders as the files in order.");
  bind_file_info(m);
  DatasetClass dataset(m, "Dataset", "Internal: see penstock.Dataset.");
  bind_facts(dataset);
  bind_columns(dataset);
  bind_selections(dataset);
  bind_rows(dataset);
}

}  // namespace penstock::python
