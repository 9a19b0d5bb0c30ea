#include "penstock/dataset.h"

#include <fmt/format.h>

#include <algorithm>

#include "dataset/column_take.h"
#include "dataset/dataset_impl.h"
#include "dataset/opened_files.h"
#include "dataset/query.h"
#include "dataset/row_keys.h"
#include "dataset/row_reader.h"
#include "dataset/selection.h"
#include "dataset/selection_file.h"
#include "dataset/split.h"
#include "dataset/var_space.h"
#include "dataset/var_texts.h"
#include "dataset/verify.h"

namespace penstock {

namespace internal {

namespace {

// The opened files and a selection of their rows.
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
  Result<Label> label(const std::string& column, const std::vector<std::string>* given) const override {
    return opened_->obs->label(column, given);
  }
  std::uint64_t index_bytes() const override { return opened_->budget->usage().used; }
  std::vector<std::string> notes() const override { return opened_->notes; }
  const std::string& matrix() const override { return opened_->matrix; }
  FileName file_name(std::size_t part) const override {
    const auto& file = opened_->files[part];
    return {file.path, file.content->file_bytes()};
  }
  std::shared_ptr<const ReadCounts> read_counts() const override { return opened_->reads; }

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

// Every DatasetImpl is a View: they are made here only.
const View& view(const Dataset& dataset) { return static_cast<const View&>(dataset.impl()); }

std::shared_ptr<const Dataset> make_dataset(std::shared_ptr<const OpenedFiles> opened, Parts parts,
                                            std::shared_ptr<const VarSpace> vars) {
  return std::make_shared<const Dataset>(
      std::make_shared<const View>(std::move(opened), std::move(parts), std::move(vars)));
}

Result<std::shared_ptr<const Dataset>> make_selection(const View& from, Result<Parts> parts) {
  if (!parts.ok()) return std::move(parts).status();
  return make_dataset(from.opened(), std::move(parts).value(), from.vars());
}

// The rows of `view` with these columns of `from` (nullptr: of the opened files); see select_columns().
Result<std::shared_ptr<const Dataset>> make_panel(const View& view, const VarSpace* from,
                                                  std::span<const std::int64_t> columns,
                                                  std::span<const std::string> zeros) {
  PENSTOCK_ASSIGN_OR_RETURN(auto vars, select_columns(*view.opened(), from, columns, zeros));
  PENSTOCK_ASSIGN_OR_RETURN(auto parts, with_columns(*view.opened(), view.parts(), *vars));
  return make_dataset(view.opened(), std::move(parts), std::move(vars));
}

Result<std::vector<Parts>> split_selection(const OpenedFiles& opened, std::span<const FilePart> parts,
                                           std::span<const double> fractions, const SplitOptions& options) {
  MemoryBudget& budget = *opened.budget;
  const bool grouped = !options.group_by.empty(), stratified = !options.stratify_by.empty();
  if (!grouped && !stratified) return split(parts, fractions, options.seed, options.unit, budget);
  if (options.unit > 1) {
    return Status::invalid_argument(fmt::format("split: runs of {} rows would cut across {}; leave unit out",
                                                options.unit, grouped ? "groups" : "classes"));
  }
  const auto keys = [&](const std::vector<std::string>& columns) {
    return RowKeys::read(*opened.obs, columns, parts, budget);
  };
  if (!grouped) {
    PENSTOCK_ASSIGN_OR_RETURN(const RowKeys strata, keys(options.stratify_by));
    return split_strata(parts, fractions, options.seed, strata, budget);
  }
  PENSTOCK_ASSIGN_OR_RETURN(const RowKeys groups, keys(options.group_by));
  RowKeys strata;
  if (stratified) {
    PENSTOCK_ASSIGN_OR_RETURN(strata, keys(options.stratify_by));
  }
  auto out = split_groups(parts, fractions, options.seed, groups, stratified ? &strata : nullptr, budget);
  if (out.ok() || out.status().code() != StatusCode::invalid_argument) return out;
  return std::move(out).status().with_context(
      fmt::format("split by {}", fmt::join(options.group_by, " and ")));
}

}  // namespace

}  // namespace internal

using internal::view;

Dataset::Dataset(std::shared_ptr<const internal::DatasetImpl> impl) : impl_(std::move(impl)) {}
Dataset::~Dataset() = default;

Result<std::shared_ptr<const Dataset>> Dataset::open(std::vector<std::string> paths, OpenOptions options) {
  PENSTOCK_ASSIGN_OR_RETURN(auto opened, internal::OpenedFiles::open(paths, options));
  internal::Parts parts = internal::all_rows(*opened);
  return internal::make_dataset(std::move(opened), std::move(parts), nullptr);
}

std::uint64_t Dataset::n_obs() const { return impl_->n_obs(); }
std::uint64_t Dataset::n_obs_total() const { return view(*this).opened()->n_rows; }
std::uint64_t Dataset::n_vars() const { return impl_->n_vars(); }
std::uint64_t Dataset::n_vars_total() const { return view(*this).opened()->n_cols; }
std::uint64_t Dataset::index_bytes() const { return impl_->index_bytes(); }
const std::string& Dataset::matrix() const { return impl_->matrix(); }
std::vector<std::string> Dataset::notes() const { return impl_->notes(); }
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
    name = name.empty() || name == mine ? mine : "float64";
  }
  return name;
}

std::vector<ColumnInfo> Dataset::obs_columns() const { return view(*this).opened()->obs->columns(); }

Result<Column> Dataset::obs(const std::string& name) const {
  return view(*this).opened()->obs->read(name, impl_->parts());
}

Result<std::vector<std::string>> Dataset::obs_names() const {
  return view(*this).opened()->obs->names(impl_->parts());
}

Result<std::vector<std::string>> Dataset::categories(const std::string& obs_column) const {
  return view(*this).opened()->obs->categories(obs_column);
}

std::vector<ColumnInfo> Dataset::var_columns() const {
  const Table& var = *view(*this).opened()->files.front().content->var();
  std::vector<ColumnInfo> infos;
  for (const std::string& name : var.columns()) infos.push_back(var.info(name));
  return infos;
}

Result<Column> Dataset::var(const std::string& name) const {
  const auto& opened = *view(*this).opened();
  PENSTOCK_ASSIGN_OR_RETURN(Column column,
                            internal::read_var(*opened.files.front().content->var(), name, *opened.budget));
  const auto& vars = view(*this).vars();
  if (!opened.first_file_columns.empty())
    column = internal::take(std::move(column), opened.first_file_columns);
  return vars == nullptr ? column : internal::take(std::move(column), vars->picks);
}

Result<std::shared_ptr<const Dataset>> Dataset::select_vars(std::span<const std::int64_t> columns) const {
  if (std::any_of(columns.begin(), columns.end(), [](std::int64_t c) { return c < 0; })) {
    return Status::invalid_argument("a gene's number is negative");
  }
  return internal::make_panel(view(*this), view(*this).vars().get(), columns, {});
}

Result<std::shared_ptr<const Dataset>> Dataset::select_var_names(std::span<const std::string> names,
                                                                 const std::string& key,
                                                                 const std::string& missing) const {
  internal::MissingVar rule = internal::MissingVar::error;
  if (missing == "drop") {
    rule = internal::MissingVar::drop;
  } else if (missing == "zero") {
    rule = internal::MissingVar::zero;
  } else if (missing != "error") {
    return Status::invalid_argument(
        fmt::format("missing='{}': expected \"error\", \"drop\" or \"zero\"", missing));
  }
  std::vector<std::string> of_key, zeros;
  if (!key.empty()) {
    PENSTOCK_ASSIGN_OR_RETURN(std::vector<std::string> texts,
                              internal::var_texts(*view(*this).opened(), key));
    const auto& vars = view(*this).vars();
    if (vars == nullptr) {
      of_key = std::move(texts);
    } else {
      for (const std::uint32_t pick : vars->picks) {
        of_key.push_back(pick < texts.size() ? texts[pick] : std::string());
      }
    }
  }
  PENSTOCK_ASSIGN_OR_RETURN(
      const auto columns,
      internal::find_names(key.empty() ? var_names() : of_key, names, rule,
                           key.empty() ? "gene" : fmt::format("gene with var '{}'", key), &zeros));
  return internal::make_panel(view(*this), view(*this).vars().get(), columns, zeros);
}

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
                                                              std::span<const std::string> names) const {
  std::vector<std::string> zeros;
  for (std::size_t i = 0; i < columns.size() && i < names.size(); ++i) {
    if (columns[i] == internal::kZero) zeros.push_back(names[i]);
  }
  if (columns.size() != names.size()) return Status::invalid_argument("columns and names differ in number");
  return internal::make_panel(view(*this), nullptr, columns, zeros);
}

Result<std::shared_ptr<const Dataset>> Dataset::select_slice(std::uint64_t start, std::uint64_t stop,
                                                             std::uint64_t step) const {
  return internal::make_selection(
      view(*this), internal::select_slice(impl_->parts(), start, stop, step, *view(*this).opened()->budget));
}

Result<std::shared_ptr<const Dataset>> Dataset::select_mask(std::span<const std::uint8_t> keep) const {
  return internal::make_selection(view(*this),
                                  internal::select_mask(impl_->parts(), keep, *view(*this).opened()->budget));
}

Result<std::shared_ptr<const Dataset>> Dataset::select_positions(
    std::span<const std::int64_t> positions) const {
  return internal::make_selection(
      view(*this), internal::select_positions(impl_->parts(), positions, *view(*this).opened()->budget));
}

Result<std::vector<std::shared_ptr<const Dataset>>> Dataset::split(std::span<const double> fractions,
                                                                   const SplitOptions& options) const {
  const auto& opened = view(*this).opened();
  PENSTOCK_ASSIGN_OR_RETURN(auto selections,
                            internal::split_selection(*opened, impl_->parts(), fractions, options));
  std::vector<std::shared_ptr<const Dataset>> out;
  for (internal::Parts& parts : selections) {
    out.push_back(internal::make_dataset(opened, std::move(parts), view(*this).vars()));
  }
  return out;
}

Result<std::shared_ptr<const Dataset>> Dataset::select_without(const Dataset& other) const {
  if (view(*this).opened() != view(other).opened()) {
    return Status::invalid_argument("rows of another Dataset cannot be left out of this one");
  }
  return internal::make_selection(view(*this), internal::select_without(impl_->parts(), other.impl().parts(),
                                                                        *view(*this).opened()->budget));
}

Result<std::shared_ptr<const Dataset>> Dataset::query(std::string_view expression,
                                                      const QueryParams& params) const {
  return internal::make_selection(
      view(*this), internal::select_query(*view(*this).opened(), impl_->parts(), expression, params));
}

Status Dataset::save_selection(const std::string& path) const {
  return internal::save_selection(*view(*this).opened(), impl_->parts(), path);
}

Result<std::shared_ptr<const Dataset>> Dataset::load_selection(const std::string& path) const {
  const auto& mine = view(*this);
  PENSTOCK_ASSIGN_OR_RETURN(auto parts, internal::load_selection(*mine.opened(), path));
  if (mine.vars() == nullptr) return internal::make_selection(mine, std::move(parts));
  return internal::make_selection(mine, internal::with_columns(*mine.opened(), parts, *mine.vars()));
}

Result<Dataset::Location> Dataset::locate(std::uint64_t global_row) const {
  if (global_row >= n_obs_total()) {
    return Status::invalid_argument(
        fmt::format("row {} of {} rows in all files", global_row, format_count(n_obs_total())));
  }
  const auto parts = impl_->parts();
  const auto after =
      std::upper_bound(parts.begin(), parts.end(), global_row,
                       [](std::uint64_t row, const auto& part) { return row < part.first_row; });
  const auto file = static_cast<std::size_t>(after - parts.begin()) - 1;
  return Location{file, global_row - parts[file].first_row};
}

Status Dataset::global_rows(std::uint64_t first_position, std::span<std::int64_t> out) const {
  if (first_position > n_obs() || out.size() > n_obs() - first_position) {
    return Status::invalid_argument(fmt::format("positions [{}, {}) of a dataset of {} rows", first_position,
                                                first_position + out.size(), format_count(n_obs())));
  }
  internal::global_rows(impl_->parts(), first_position, out);
  return {};
}

Result<CsrMatrix> Dataset::read_rows(std::span<const std::int64_t> positions) const {
  return internal::read_rows(impl_->parts(), n_vars(), positions, *view(*this).opened()->budget);
}

Result<Dataset::VerifyCounts> Dataset::verify(
    const std::function<void(const std::string&)>& report,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) const {
  return internal::verify(*view(*this).opened(), report, progress);
}

}  // namespace penstock
