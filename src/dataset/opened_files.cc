#include "dataset/opened_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "anndata/matrices.h"
#include "anndata/opened.h"
#include "dataset/join_vars.h"
#include "hdf5/hdf5.h"
#include "io/counted_file.h"
#include "memory/reserve_for.h"
#include "parquet/parquet_file.h"
#include "source/column_text.h"
#include "source/mapped_source.h"

namespace penstock::internal {

namespace {

Status check_options(const std::vector<std::string>& paths, const OpenOptions& options) {
  if (paths.empty()) return Status::invalid_argument("no files to open");
  if (options.join != "exact" && options.join != "inner" && options.join != "outer") {
    return Status::invalid_argument(
        fmt::format("join='{}': expected \"exact\", \"inner\" or \"outer\"", options.join));
  }
  return {};
}

// The names of a file's columns: the index of var, or the column that options.var_key says.
Result<TextReader> var_reader(const Table& var, const std::string& key, MemoryBudget& budget) {
  PENSTOCK_ASSIGN_OR_RETURN(auto column, key.empty() ? var.index() : var.column(key));
  return TextReader::open(std::move(column), budget);
}

Status read_var_names(const TextReader& reader, OpenedFiles& opened) {
  const std::uint64_t n = reader.size(), step = reader.rows_at_once();
  // What cannot fit even as empty strings is refused before it is read.
  PENSTOCK_ASSIGN_OR_RETURN(opened.var_names_held, reserve_for(reader.where(), *opened.budget,
                                                               MemoryTag::index, n * sizeof(std::string)));
  opened.var_names.reserve(n);
  for (std::uint64_t first = 0; first < n; first += step) {
    PENSTOCK_ASSIGN_OR_RETURN(auto names, reader.read(first, std::min(step, n - first)));
    std::move(names.begin(), names.end(), std::back_inserter(opened.var_names));
  }
  return resize_for(reader.where(), *opened.budget, opened.var_names_held, MemoryTag::index,
                    string_bytes(opened.var_names));
}

// Streams: another file's names are compared and forgotten.
Status compare_var_names(const TextReader& reader, const std::string& path, const OpenedFiles& opened) {
  const std::string& first_path = opened.files.front().path;
  if (reader.size() != opened.var_names.size()) {
    return Status::invalid_argument(fmt::format(
        "{}: {} columns, but {} has {}; join=\"exact\" needs the same var names in the same order; "
        "join=\"inner\" takes the genes that all files have, join=\"outer\" those of any",
        path, format_count(reader.size()), first_path, format_count(opened.var_names.size())));
  }
  const std::uint64_t n = reader.size(), step = reader.rows_at_once();
  for (std::uint64_t first = 0; first < n; first += step) {
    PENSTOCK_ASSIGN_OR_RETURN(const auto names, reader.read(first, std::min(step, n - first)));
    const auto mine = opened.var_names.begin() + static_cast<std::ptrdiff_t>(first);
    const auto [differs, theirs] = std::mismatch(names.begin(), names.end(), mine);
    if (differs == names.end()) continue;
    return Status::invalid_argument(fmt::format(
        "{}: var name {} is '{}' but {} has '{}' there; join=\"exact\" needs the same var names in the "
        "same order; join=\"inner\" takes the genes that all files have, join=\"outer\" those of any",
        path, theirs - opened.var_names.begin(), *differs, first_path, *theirs));
  }
  return {};
}

// An HDF5 file holds an AnnData object.
Result<std::shared_ptr<const OpenedFile>> open_hdf5(const std::string& path, const FileOpener& opener,
                                                    const OpenOptions& options, const OpenedFiles& opened) {
  PENSTOCK_RETURN_IF_ERROR(anndata::check_matrix_name(options.matrix));
  if (!options.var.empty()) {
    return Status::invalid_argument(
        fmt::format("{}: var='{}' names the gene table of Parquet files of lists; this is an HDF5 file", path,
                    options.var));
  }
  store::OpenLimits limits;
  limits.index_budget = opened.budget;
  limits.opener = opener;
  PENSTOCK_ASSIGN_OR_RETURN(auto root, hdf5::open(path, limits));
  return anndata::open_anndata(std::move(root), options.matrix, *opened.budget);
}

// The format is told by the file's first and last bytes, not by its name.
Result<std::shared_ptr<const OpenedFile>> open_file(const std::string& path, parquet::OpenContext& context,
                                                    const OpenedFiles& opened) {
  if (parquet::is_pqdata(path)) return parquet::open_parquet(path, context);
  PENSTOCK_ASSIGN_OR_RETURN(const auto file, context.opener(path));
  PENSTOCK_ASSIGN_OR_RETURN(const bool is_parquet, parquet::begins_as_parquet(*file));
  return is_parquet ? parquet::open_parquet(path, context)
                    : open_hdf5(path, context.opener, *context.options, opened);
}

// Which other matrices there are, and whether one of them is what a user of this one probably wants.
Status look_around(OpenedFiles& opened) {
  const OpenedFile& first = *opened.files.front().content;
  PENSTOCK_ASSIGN_OR_RETURN(opened.other_matrices, first.other_matrices());
  // A failure to look is no failure to open: the bytes may never be asked for.
  const auto counts = first.looks_like_counts(opened.matrix);
  if (!counts.ok() || counts.value().value_or(true)) return {};
  for (const std::string& name : opened.other_matrices) {
    const auto other = first.looks_like_counts(name);
    if (!other.ok() || !other.value().value_or(false)) continue;
    opened.notes.push_back(
        fmt::format("{} holds values that are not counts (looks normalised); {} holds counts: open it with "
                    "matrix=\"{}\"",
                    opened.matrix, name, name));
    break;
  }
  return {};
}

Status join_var_names(VarJoin& join, bool inner, OpenedFiles& opened) {
  PENSTOCK_ASSIGN_OR_RETURN(VarJoin::Joined joined, join.finish(inner));
  opened.var_names = std::move(joined.names);
  opened.var_names_held = std::move(joined.held);
  opened.first_file_columns = std::move(joined.first_file);
  opened.n_cols = opened.var_names.size();
  std::uint64_t differ = 0;
  for (std::size_t f = 0; f < opened.files.size(); ++f) {
    opened.files[f].columns = std::move(joined.columns[f]);
    differ += opened.files[f].columns != nullptr ? 1 : 0;
  }
  if (differ > 0) {
    opened.notes.push_back(fmt::format(
        "join=\"{}\": {} genes of {} over all files; {} of {} files have others, or in another order",
        inner ? "inner" : "outer", format_count(opened.n_cols), format_count(joined.n_seen),
        format_count(differ), format_count(opened.files.size())));
  }
  return {};
}

void add_file(const std::string& path, std::shared_ptr<const OpenedFile> content, OpenedFiles& opened,
              std::vector<ObsTable::File>& obs) {
  const SourceTraits& traits = content->matrix()->traits();
  obs.push_back({path, content->obs()});
  opened.files.push_back({path, opened.n_rows, std::move(content), nullptr});
  opened.n_rows += traits.n_rows;
  opened.n_cols = traits.n_cols;
}

Result<std::shared_ptr<const OpenedFiles>> open_all(const std::vector<std::string>& paths,
                                                    const OpenOptions& options) {
  auto opened = std::make_shared<OpenedFiles>();
  opened->budget = MemoryBudget::create(options.index_memory);
  opened->matrix = options.matrix;
  parquet::OpenContext context;
  context.opener = [open = options.opener ? options.opener : FileOpener(open_posix_file),
                    reads = opened->reads](const std::string& name) -> Result<std::shared_ptr<const File>> {
    PENSTOCK_ASSIGN_OR_RETURN(auto file, open(name));
    return count_reads(std::move(file), reads);
  };
  context.budget = opened->budget;
  context.options = &options;
  context.n_files = paths.size();
  std::vector<ObsTable::File> obs;
  const bool exact = options.join == "exact" || paths.size() == 1;
  VarJoin join(*opened->budget);
  const Table* same_var = nullptr;  // that the first file has, too
  for (const std::string& path : paths) {
    PENSTOCK_ASSIGN_OR_RETURN(auto content, open_file(path, context, *opened));
    if (content->var().get() == same_var) {
      // Files of lists share one gene table.
      if (!exact) join.add_same();
      add_file(path, std::move(content), *opened, obs);
      continue;
    }
    if (opened->files.empty()) same_var = content->var().get();
    PENSTOCK_ASSIGN_OR_RETURN(const auto names,
                              var_reader(*content->var(), options.var_key, *opened->budget));
    const bool first = opened->files.empty();
    add_file(path, std::move(content), *opened, obs);
    PENSTOCK_RETURN_IF_ERROR(!exact  ? join.add(names, path)
                             : first ? read_var_names(names, *opened)
                                     : compare_var_names(names, path, *opened));
  }
  if (!exact) PENSTOCK_RETURN_IF_ERROR(join_var_names(join, options.join == "inner", *opened));
  std::uint64_t pages = 0;
  for (const OpenedFiles::File& file : opened->files) pages += file.content->matrix()->traits().pages_passed;
  if (pages > 0) {
    opened->notes.push_back(fmt::format(
        "opening passed over the heads of {} Parquet pages, which alone say where rows begin and how "
        "long they are",
        format_count(pages)));
  }
  opened->obs = std::make_unique<const ObsTable>(std::move(obs), opened->budget);
  PENSTOCK_RETURN_IF_ERROR(look_around(*opened));
  return std::shared_ptr<const OpenedFiles>(std::move(opened));
}

}  // namespace

Result<std::shared_ptr<const OpenedFiles>> OpenedFiles::open(const std::vector<std::string>& paths,
                                                             const OpenOptions& options) {
  PENSTOCK_RETURN_IF_ERROR(check_options(paths, options));
  try {
    auto opened = open_all(paths, options);
    if (opened.ok() || opened.status().code() != StatusCode::budget) return opened;
    return Status::budget(fmt::format("metadata does not fit in index_memory={}: {}",
                                      format_bytes(options.index_memory), opened.status().message()));
  } catch (const std::bad_alloc&) {
    return Status::budget("the system has no memory for the metadata of these files");
  }
}

std::vector<FilePart> all_rows(const OpenedFiles& opened) {
  std::vector<FilePart> parts;
  for (const OpenedFiles::File& file : opened.files) {
    FilePart part;
    part.source = file.content->matrix();
    if (file.columns != nullptr)
      part.source = std::make_shared<const MappedSource>(part.source, file.columns);
    part.first_row = file.first_row;
    part.n_selected = part.source->traits().n_rows;
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace penstock::internal
