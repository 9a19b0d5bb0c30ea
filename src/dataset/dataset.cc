// The public Dataset: each function unpacks the View (opened files, selected rows, selected genes), calls the
// function of this folder that does the work, and makes a new Dataset of what comes back. A Dataset never
// changes; a selection shares the opened files with the one that it was made from, and costs a bitmap for
// each file.
//
// `guarded` (base/guarded.h) makes a Status of what containers throw when the system has no memory left: much
// of what is below allocates.
#include "penstock/dataset.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/guarded.h"
#include "dataset/dataset_impl.h"
#include "dataset/obsm.h"
#include "dataset/opened_files.h"
#include "dataset/query.h"
#include "dataset/row_keys.h"
#include "dataset/row_reader.h"
#include "dataset/select_genes.h"
#include "dataset/selection.h"
#include "dataset/selection_file.h"
#include "dataset/split.h"
#include "dataset/var_space.h"
#include "dataset/var_texts.h"

namespace penstock {

namespace internal {

// The opened files and a selection of their rows.
// `index_bytes` is what all selections of these files hold together: they share one budget.
class View final : public DatasetImpl {
 public:
  View(std::shared_ptr<const OpenedFiles> opened, Parts parts, std::shared_ptr<const VarSpace> vars)
      : opened_(std::move(opened)),
        parts_(std::move(parts)),
        vars_(std::move(vars)),
        n_obs_(selected_rows(parts_)) {}

  std::span<const FilePart> parts() const override { return parts_; }
  std::uint64_t n_obs() const override { return n_obs_; }
  std::uint64_t n_vars() const override { return names().size(); }
  Result<LabelColumn> label(const std::string& column, const std::vector<std::string>* given) const override {
    return opened_->obs->label(column, given);
  }
  Result<ObsmEntry> obsm(const std::string& name) const override { return join_obsm(*opened_, name); }
  std::uint64_t index_bytes() const override { return opened_->budget->usage().used; }
  std::uint64_t opened_bytes() const override { return opened_->opened_bytes; }
  std::vector<Note> notes() const override {
    std::vector<Note> out = opened_->notes;
    if (vars_ != nullptr) out.insert(out.end(), vars_->notes.begin(), vars_->notes.end());
    return out;
  }
  const std::string& matrix() const override { return opened_->matrix; }
  FileName file_name(std::size_t part) const override {
    const auto& file = opened_->files[part];
    return {file.path, file.content->file_bytes()};
  }
  std::shared_ptr<const ReadCounts> read_counts() const override { return opened_->reads; }
  Status unchanged() const override { return opened_->unchanged(); }
  const View* view() const override { return this; }

  const std::shared_ptr<const OpenedFiles>& opened() const { return opened_; }
  // nullptr: all columns.
  const std::shared_ptr<const VarSpace>& vars() const { return vars_; }
  const std::vector<std::string>& names() const {
    return vars_ != nullptr ? vars_->names : opened_->var_names;
  }
  std::span<const std::string> var_names() const override { return names(); }

 private:
  const std::shared_ptr<const OpenedFiles> opened_;
  const Parts parts_;
  const std::shared_ptr<const VarSpace> vars_;
  const std::uint64_t n_obs_;
};

namespace {

// Of a Dataset that was opened, as every one is that a user can have.
// Tests make Datasets without files, which can only be loaded; to ask one of them for anything else is a
// mistake in the test, and not reachable for users.
const View& view(const Dataset& dataset) {
  const View* view = dataset.impl().view();
  PENSTOCK_CHECK(view != nullptr);
  return *view;
}

std::shared_ptr<const Dataset> make_dataset(std::shared_ptr<const OpenedFiles> opened, Parts parts,
                                            std::shared_ptr<const VarSpace> vars) {
  return std::make_shared<const Dataset>(
      std::make_shared<const View>(std::move(opened), std::move(parts), std::move(vars)));
}

Result<std::shared_ptr<const Dataset>> make_selection(const View& from, Result<Parts> parts) {
  if (!parts.ok()) return std::move(parts).status();
  return make_dataset(from.opened(), std::move(parts).value(), from.vars());
}

// The rows of `view` with other columns.
Result<std::shared_ptr<const Dataset>> make_panel(const View& view, std::shared_ptr<const VarSpace> vars) {
  PENSTOCK_ASSIGN_OR_RETURN(auto parts, with_columns(*view.opened(), view.parts(), *vars));
  return make_dataset(view.opened(), std::move(parts), std::move(vars));
}

// Which of the three kinds of split it is, by which options are set. Groups win: where both are given,
// classes are balanced as well as whole groups allow.
Result<std::vector<Parts>> split_selection(const OpenedFiles& opened, std::span<const FilePart> parts,
                                           std::span<const double> fractions, const SplitOptions& options) {
  MemoryBudget& budget = *opened.budget;
  const bool grouped = !options.group_by.empty() || options.group_labels;
  const bool stratified = !options.stratify_by.empty() || options.stratify_labels;
  if (!grouped && !stratified) return split(parts, fractions, options.seed, options.unit, budget);
  // A run of rows would be cut where a group or class ends inside of it, and then it is no run.
  if (options.unit > 1) {
    return Status::invalid_argument(fmt::format("split: runs of {} rows would cut across {}; leave unit out",
                                                options.unit, grouped ? "groups" : "classes"));
  }
  const auto keys = [&](const std::vector<std::string>& columns, const auto& labels) {
    return RowKeys::read(*opened.obs, columns, labels.get(), parts, budget);
  };
  if (!grouped) {
    PENSTOCK_ASSIGN_OR_RETURN(const RowKeys strata, keys(options.stratify_by, options.stratify_labels));
    return split_strata(parts, fractions, options.seed, strata, budget);
  }
  PENSTOCK_ASSIGN_OR_RETURN(const RowKeys groups, keys(options.group_by, options.group_labels));
  RowKeys strata;
  if (stratified) {
    PENSTOCK_ASSIGN_OR_RETURN(strata, keys(options.stratify_by, options.stratify_labels));
  }
  // The functions of split.cc do not know what the groups are called; a refusal is given the names of the
  // columns here.
  auto out = split_groups(parts, fractions, options.seed, groups, stratified ? &strata : nullptr, budget);
  if (out.ok() || out.status().code() != StatusCode::invalid_argument) return out;
  std::vector<std::string> names = options.group_by;
  if (options.group_labels) names.emplace_back("the labels given");
  return std::move(out).status().with_context(fmt::format("split by {}", fmt::join(names, " and ")));
}

}  // namespace

}  // namespace internal

using internal::view;

Dataset::Dataset(std::shared_ptr<const internal::DatasetImpl> impl) : impl_(std::move(impl)) {}
Dataset::~Dataset() = default;

Result<std::shared_ptr<const Dataset>> Dataset::open(std::vector<std::string> paths, OpenOptions options) {
  return guarded([&]() -> Result<std::shared_ptr<const Dataset>> {
    PENSTOCK_ASSIGN_OR_RETURN(auto opened, internal::OpenedFiles::open(paths, options));
    internal::Parts parts = internal::all_rows(*opened);
    return internal::make_dataset(std::move(opened), std::move(parts), nullptr);
  });
}

std::uint64_t Dataset::n_obs() const { return impl_->n_obs(); }
std::uint64_t Dataset::n_obs_total() const { return view(*this).opened()->n_rows; }
std::uint64_t Dataset::n_vars() const { return impl_->n_vars(); }
std::uint64_t Dataset::n_vars_total() const { return view(*this).opened()->n_cols; }
std::uint64_t Dataset::index_bytes() const { return impl_->index_bytes(); }
const std::string& Dataset::matrix() const { return impl_->matrix(); }
std::vector<Note> Dataset::notes() const { return impl_->notes(); }
std::vector<std::string> Dataset::other_matrices() const { return view(*this).opened()->other_matrices; }
const std::vector<std::string>& Dataset::var_names() const { return view(*this).names(); }

std::vector<FileInfo> Dataset::files() const {
  std::vector<FileInfo> infos;
  for (std::size_t i = 0; i < impl_->parts().size(); ++i) {
    const internal::FilePart& part = impl_->parts()[i];
    auto file = impl_->file_name(i);
    const SourceTraits& traits = part.source->traits();
    FileInfo info;
    info.path = std::move(file.path);
    info.n_obs = traits.n_rows;
    info.first_row = part.first_row;
    info.selected = part.n_selected;
    info.file_bytes = file.bytes;
    info.entries = traits.lengths.entries;
    info.layout = traits.layout;
    infos.push_back(std::move(info));
  }
  return infos;
}

std::string Dataset::value_dtype() const {
  std::string name;
  for (const auto& part : impl_->parts()) {
    const std::string mine = numeric_name(part.source->traits().value_type);
    // "float64" stays once two files have differed: no other name is equal to it, and a file of float64
    // changes nothing.
    name = name.empty() || name == mine ? mine : "float64";
  }
  return name;
}

std::vector<std::string> Dataset::obs_column_names() const {
  return view(*this).opened()->files.front().content->obs()->columns();
}
ColumnInfo Dataset::obs_column(const std::string& name) const {
  return view(*this).opened()->obs->info(name);
}
std::vector<ColumnInfo> Dataset::obs_columns() const { return view(*this).opened()->obs->columns(); }

Result<std::vector<ObsmInfo>> Dataset::obsm_entries() const {
  return guarded([&]() -> Result<std::vector<ObsmInfo>> {
    return view(*this).opened()->files.front().content->obsm_entries();
  });
}

Result<ObsmRows> Dataset::read_obsm(const std::string& name, std::span<const std::int64_t> positions) const {
  return guarded([&]() -> Result<ObsmRows> {
    PENSTOCK_ASSIGN_OR_RETURN(const internal::ObsmEntry entry, impl_->obsm(name));
    return internal::read_obsm(entry, impl_->parts(), positions, *view(*this).opened()->budget);
  });
}

Result<Column> Dataset::obs(const std::string& name) const {
  return guarded([&]() -> Result<Column> { return view(*this).opened()->obs->read(name, impl_->parts()); });
}

Result<std::vector<std::string>> Dataset::obs_names() const {
  return guarded(
      [&]() -> Result<std::vector<std::string>> { return view(*this).opened()->obs->names(impl_->parts()); });
}

Result<Dataset::RowNames> Dataset::names_of(std::span<const std::int64_t> global_rows) const {
  return guarded(
      [&]() -> Result<Dataset::RowNames> { return view(*this).opened()->row_names->read(global_rows); });
}

Result<std::vector<std::string>> Dataset::categories(const std::string& obs_column) const {
  return guarded([&]() -> Result<std::vector<std::string>> {
    return view(*this).opened()->obs->categories(obs_column);
  });
}

std::vector<ColumnInfo> Dataset::var_columns() const {
  const Table& var = *view(*this).opened()->files.front().content->var();
  std::vector<ColumnInfo> infos;
  for (const std::string& name : var.columns()) infos.push_back(var.info(name));
  return infos;
}

Result<Column> Dataset::var(const std::string& name) const {
  return guarded([&]() -> Result<Column> {
    return internal::first_file_var(*view(*this).opened(), view(*this).vars().get(), name);
  });
}

Result<std::shared_ptr<const Dataset>> Dataset::select_vars(std::span<const std::int64_t> columns) const {
  return guarded([&]() -> Result<std::shared_ptr<const Dataset>> {
    if (std::any_of(columns.begin(), columns.end(), [](std::int64_t c) { return c < 0; })) {
      return Status::invalid_argument("a gene's number is negative");
    }
    const internal::View& mine = view(*this);
    PENSTOCK_ASSIGN_OR_RETURN(auto vars,
                              internal::select_columns(*mine.opened(), mine.vars().get(), columns, {}));
    return internal::make_panel(mine, std::move(vars));
  });
}

Result<std::shared_ptr<const Dataset>> Dataset::select_var_names(std::span<const std::string> names,
                                                                 const std::string& key,
                                                                 const std::string& missing) const {
  return guarded([&]() -> Result<std::shared_ptr<const Dataset>> {
    const internal::View& mine = view(*this);
    PENSTOCK_ASSIGN_OR_RETURN(const auto rule, internal::missing_var(missing));
    PENSTOCK_ASSIGN_OR_RETURN(auto vars,
                              internal::select_names(*mine.opened(), mine.vars().get(), names, key, rule));
    return internal::make_panel(mine, std::move(vars));
  });
}

std::vector<Note> Dataset::var_notes() const {
  const auto& vars = view(*this).vars();
  return vars == nullptr ? std::vector<Note>() : vars->notes;
}

// With var_names() this is a selection of genes as plain data. select_opened() makes it again, in another
// process that has opened the same files.
std::vector<std::int64_t> Dataset::var_columns_opened() const {
  std::vector<std::int64_t> out;
  const auto& vars = view(*this).vars();
  if (vars == nullptr) return out;
  for (const std::uint32_t pick : vars->picks) {
    out.push_back(pick == ColumnMap::kDropped ? internal::kZero : static_cast<std::int64_t>(pick));
  }
  return out;
}

Result<std::shared_ptr<const Dataset>> Dataset::select_opened(std::span<const std::int64_t> columns,
                                                              std::span<const std::string> names,
                                                              std::span<const Note> notes) const {
  return guarded([&]() -> Result<std::shared_ptr<const Dataset>> {
    std::vector<std::string> zeros;
    for (std::size_t i = 0; i < columns.size() && i < names.size(); ++i) {
      if (columns[i] == internal::kZero) zeros.push_back(names[i]);
    }
    if (columns.size() != names.size()) return Status::invalid_argument("columns and names differ in number");
    const internal::View& mine = view(*this);
    PENSTOCK_ASSIGN_OR_RETURN(auto vars,
                              internal::select_columns(*mine.opened(), nullptr, columns, zeros, notes));
    return internal::make_panel(mine, std::move(vars));
  });
}

Result<std::shared_ptr<const Dataset>> Dataset::select_slice(std::uint64_t start, std::uint64_t stop,
                                                             std::uint64_t step) const {
  return guarded([&]() -> Result<std::shared_ptr<const Dataset>> {
    return internal::make_selection(view(*this), internal::select_slice(impl_->parts(), start, stop, step,
                                                                        *view(*this).opened()->budget));
  });
}

Result<std::shared_ptr<const Dataset>> Dataset::select_mask(std::span<const std::uint8_t> keep) const {
  return guarded([&]() -> Result<std::shared_ptr<const Dataset>> {
    return internal::make_selection(
        view(*this), internal::select_mask(impl_->parts(), keep, *view(*this).opened()->budget));
  });
}

Result<std::shared_ptr<const Dataset>> Dataset::select_positions(
    std::span<const std::int64_t> positions) const {
  return guarded([&]() -> Result<std::shared_ptr<const Dataset>> {
    return internal::make_selection(
        view(*this), internal::select_positions(impl_->parts(), positions, *view(*this).opened()->budget));
  });
}

Result<std::vector<std::shared_ptr<const Dataset>>> Dataset::split(std::span<const double> fractions,
                                                                   const SplitOptions& options) const {
  return guarded([&]() -> Result<std::vector<std::shared_ptr<const Dataset>>> {
    const auto& opened = view(*this).opened();
    PENSTOCK_ASSIGN_OR_RETURN(auto selections,
                              internal::split_selection(*opened, impl_->parts(), fractions, options));
    std::vector<std::shared_ptr<const Dataset>> out;
    for (internal::Parts& parts : selections) {
      out.push_back(internal::make_dataset(opened, std::move(parts), view(*this).vars()));
    }
    return out;
  });
}

// Two selections can be joined when they are of the same files. What is compared is how many files there are
// and how long each is, since the same file may have been opened under two paths.
Result<std::shared_ptr<const Dataset>> Dataset::join_rows(const Dataset& other, RowJoin how) const {
  return guarded([&]() -> Result<std::shared_ptr<const Dataset>> {
    const auto mine = impl_->parts(), others = other.impl().parts();
    if (mine.size() != others.size()) {
      return Status::invalid_argument(fmt::format(
          "selections of {} files and of {} files have no rows in common", mine.size(), others.size()));
    }
    for (std::size_t i = 0; i < mine.size(); ++i) {
      const std::uint64_t a = mine[i].source->traits().n_rows, b = others[i].source->traits().n_rows;
      if (a == b) continue;
      return Status::invalid_argument(fmt::format(
          "file {} has {} rows in one selection and {} in the other: {} and {}", i, format_count(a),
          format_count(b), impl_->file_name(i).path, other.impl().file_name(i).path));
    }
    auto joined = internal::join_rows(mine, others, how, *view(*this).opened()->budget);
    if (joined.ok()) {
      // All rows again: without a bitmap such a part costs nothing, and loads as the whole file does.
      for (internal::FilePart& part : *joined) {
        if (part.n_selected == part.source->traits().n_rows) part.selected = nullptr;
      }
    }
    return internal::make_selection(view(*this), std::move(joined));
  });
}

Result<std::shared_ptr<const Dataset>> Dataset::query(std::string_view expression,
                                                      const QueryParams& params) const {
  return guarded([&]() -> Result<std::shared_ptr<const Dataset>> {
    return internal::make_selection(
        view(*this), internal::select_query(*view(*this).opened(), impl_->parts(), expression, params));
  });
}

Status Dataset::save_selection(const std::string& path) const {
  return guarded(
      [&]() -> Status { return internal::save_selection(*view(*this).opened(), impl_->parts(), path); });
}

Result<std::shared_ptr<const Dataset>> Dataset::load_selection(const std::string& path) const {
  return guarded([&]() -> Result<std::shared_ptr<const Dataset>> {
    const auto& mine = view(*this);
    PENSTOCK_ASSIGN_OR_RETURN(auto parts, internal::load_selection(*mine.opened(), path));
    // A file of a selection names rows; which genes are selected stays as it is here.
    if (mine.vars() == nullptr) return internal::make_selection(mine, std::move(parts));
    return internal::make_selection(mine, internal::with_columns(*mine.opened(), parts, *mine.vars()));
  });
}

Result<Dataset::Location> Dataset::locate(std::uint64_t global_row) const {
  return guarded([&]() -> Result<Dataset::Location> {
    if (global_row >= n_obs_total()) {
      return Status::invalid_argument(
          fmt::format("row {} of {} rows in all files", global_row, format_count(n_obs_total())));
    }
    const auto parts = impl_->parts();
    // The last file that begins at or before the row; files without rows begin where the next one does, and
    // come before it.
    const auto after =
        std::upper_bound(parts.begin(), parts.end(), global_row,
                         [](std::uint64_t row, const auto& part) { return row < part.first_row; });
    const auto file = static_cast<std::size_t>(after - parts.begin()) - 1;
    return Location{file, global_row - parts[file].first_row};
  });
}

// Written as differences, so that no position wraps.
Status Dataset::global_rows(std::uint64_t first_position, std::span<std::int64_t> out) const {
  return guarded([&]() -> Status {
    if (first_position > n_obs() || out.size() > n_obs() - first_position) {
      return Status::invalid_argument(fmt::format("positions [{}, {}) of a dataset of {} rows",
                                                  first_position, first_position + out.size(),
                                                  format_count(n_obs())));
    }
    internal::global_rows(impl_->parts(), first_position, out);
    return {};
  });
}

Status Dataset::positions_of(std::span<const std::int64_t> global_rows, std::span<std::int64_t> out) const {
  return guarded([&]() -> Status {
    if (out.size() != global_rows.size()) return Status::invalid_argument("as many positions as rows");
    return internal::positions_of(impl_->parts(), global_rows, out);
  });
}

Result<CsrMatrix> Dataset::read_rows(std::span<const std::int64_t> positions) const {
  return guarded([&]() -> Result<CsrMatrix> {
    return internal::read_rows(impl_->parts(), n_vars(), positions, *view(*this).opened()->budget);
  });
}

}  // namespace penstock
