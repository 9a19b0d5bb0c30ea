// Opening a Dataset: file after file, each by its format, in the order that the user gave. What depends on
// all of them comes at the end.
//
//     each file    its format is told, its metadata read, its columns compared (join="exact") or collected
//     then         genes are joined; row names and obs tables become one; notes are made
//     at last      a look at the values of the first file: is this the matrix that the user wants?
//
// Of a thousand files the names of one are kept. With join="exact" the names of the others are read, compared
// and forgotten, a slab at a time, and files that share one table of genes are not even read. With "inner" or
// "outer" names become numbers (join_vars.cc).
//
// All memory comes from one budget of its own, index_memory. A refusal by it is reworded at the very end, in
// one place, so that it says which option gives more.
#include "dataset/opened_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "dataset/file_column.h"
#include "dataset/formats.h"
#include "dataset/join_vars.h"
#include "io/counted_file.h"
#include "memory/reserve_for.h"
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

// Of the first file. Names of others are compared with these.
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

// Streams: another file's names are compared and forgotten. Both messages name the other ways to join:
// different genes are the usual reason why files do not open together.
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

// Opens one path after the other, each by its format.
class Opener {
 public:
  explicit Opener(OpenContext context) : context_(std::move(context)) {}

  Result<std::shared_ptr<const OpenedFile>> open(const std::string& path) {
    PENSTOCK_ASSIGN_OR_RETURN(const Format* format, format_of(path, context_.opener));
    // One opener of a format for all of its files: it remembers what they share.
    auto& opener = openers_[format];
    if (opener == nullptr) opener = format->open(context_);
    return opener->open(path);
  }

 private:
  const OpenContext context_;
  std::map<const Format*, std::unique_ptr<FormatOpener>> openers_;
};

// Which other matrices there are, and whether one of them is what a user of this one probably wants.
// Models for single cells are trained on counts. Many files have normalised values in X and keep the counts
// in raw/X or layers/counts, which a user may not know: a few values of each are looked at, and a note names
// the one to take.
Status look_around(OpenedFiles& opened) {
  const OpenedFile& first = *opened.files.front().content;
  PENSTOCK_ASSIGN_OR_RETURN(opened.other_matrices, first.other_matrices());
  // A failure to look is no failure to open: the bytes may never be asked for.
  // Nothing known (as of Parquet) is taken for counts: a warning needs a reason.
  const auto counts = first.looks_like_counts(opened.matrix);
  if (!counts.ok() || counts.value().value_or(true)) return {};
  for (const std::string& name : opened.other_matrices) {
    const auto other = first.looks_like_counts(name);
    if (!other.ok() || !other.value().value_or(false)) continue;
    opened.notes.push_back(
        {NoteKind::not_counts,
         fmt::format("{} holds values that are not counts (looks normalised); {} holds counts: open it with "
                     "matrix=\"{}\"",
                     opened.matrix, name, name)});
    break;
  }
  return {};
}

// A note says how many genes there are and how many files are translated, because an inner join of files with
// different namings quietly leaves next to nothing.
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
    opened.notes.push_back(
        {NoteKind::genes_joined,
         fmt::format("join=\"{}\": {} genes of {} over all files; {} of {} files have others, or in another "
                     "order",
                     inner ? "inner" : "outer", format_count(opened.n_cols), format_count(joined.n_seen),
                     format_count(differ), format_count(opened.files.size()))});
  }
  return {};
}

// Rows are numbered through all files, in their order.
void add_file(const std::string& path, std::shared_ptr<const OpenedFile> content, OpenedFiles& opened) {
  const SourceTraits& traits = content->matrix()->traits();
  opened.files.push_back({path, opened.n_rows, std::move(content), nullptr, nullptr});
  opened.n_rows += traits.n_rows;
  // The last file counts, and all have the same number; where they are joined it is set again.
  opened.n_cols = traits.n_cols;
}

// The obs tables of all files as one.
// The column "@file" is put beside each file's own first; from here on nothing tells it from the others.
Status open_obs(const std::vector<std::string>& paths, OpenedFiles& opened) {
  std::vector<std::shared_ptr<const Table>> tables;
  for (const OpenedFiles::File& file : opened.files) tables.push_back(file.content->obs());
  PENSTOCK_ASSIGN_OR_RETURN(tables, with_file_column(paths, std::move(tables), *opened.budget));
  std::vector<ObsTable::File> obs;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    opened.files[i].obs = tables[i];
    obs.push_back({paths[i], std::move(tables[i])});
  }
  opened.obs = std::make_unique<const ObsTable>(std::move(obs), opened.budget);
  return {};
}

Result<std::shared_ptr<const OpenedFiles>> open_all(const std::vector<std::string>& paths,
                                                    const OpenOptions& options) {
  auto opened = std::make_shared<OpenedFiles>();
  opened->budget = MemoryBudget::create(options.index_memory);
  opened->matrix = options.matrix;
  OpenContext context;
  // Every file that is opened on the way is remembered, weakly: gene tables and tables of pqdata folders are
  // opened by their formats, far from here, and a loader asks later whether any of them was written to.
  const auto watched = std::make_shared<std::vector<std::weak_ptr<const File>>>();
  context.opener = [open = options.opener ? options.opener : FileOpener(open_posix_file), watched,
                    reads = opened->reads](const std::string& name) -> Result<std::shared_ptr<const File>> {
    PENSTOCK_ASSIGN_OR_RETURN(auto file, open(name));
    // Bytes are counted here, at the one door through which all files come.
    file = count_reads(std::move(file), reads);
    watched->push_back(file);
    return file;
  };
  context.budget = opened->budget;
  context.options = &options;
  context.n_files = paths.size();
  Opener opener(std::move(context));
  // A single file has nothing to be joined with.
  const bool exact = options.join == "exact" || paths.size() == 1;
  VarJoin join(*opened->budget);
  const Table* same_var = nullptr;  // that the first file has, too
  for (const std::string& path : paths) {
    PENSTOCK_ASSIGN_OR_RETURN(auto content, opener.open(path));
    if (content->var().get() == same_var) {
      // Files of lists share one gene table: this one has the first file's, whatever lies between the two.
      if (!exact) join.add_first_again();
      add_file(path, std::move(content), *opened);
      continue;
    }
    if (opened->files.empty()) same_var = content->var().get();
    PENSTOCK_ASSIGN_OR_RETURN(const auto names,
                              var_reader(*content->var(), options.var_key, *opened->budget));
    const bool first = opened->files.empty();
    add_file(path, std::move(content), *opened);
    PENSTOCK_RETURN_IF_ERROR(!exact  ? join.add(names, path)
                             : first ? read_var_names(names, *opened)
                                     : compare_var_names(names, path, *opened));
  }
  if (!exact) PENSTOCK_RETURN_IF_ERROR(join_var_names(join, options.join == "inner", *opened));
  for (const OpenedFiles::File& file : opened->files) {
    for (Note& note : file.content->notes()) opened->notes.push_back(std::move(note));
  }
  std::uint64_t pages = 0;
  for (const OpenedFiles::File& file : opened->files) pages += file.content->matrix()->traits().pages_passed;
  if (pages > 0) {
    opened->notes.push_back(
        {NoteKind::pages_passed,
         fmt::format(
             "opening passed over the heads of {} Parquet pages, which alone say where rows begin and "
             "how long they are",
             format_count(pages))});
  }
  ByteCount bytes = 0;
  for (const OpenedFiles::File& file : opened->files) bytes += file.content->matrix()->traits().bytes_passed;
  if (bytes > 0) {
    opened->notes.push_back(
        {NoteKind::rows_counted,
         fmt::format(
             "opening went through {} of row numbers of matrices stored by columns (CSC), which alone "
             "say how long rows are",
             format_bytes(bytes))});
  }
  std::vector<RowNames::File> named;
  // The file's own obs table, without "@file", which names no row.
  for (const OpenedFiles::File& file : opened->files) named.push_back({file.content->obs(), file.first_row});
  opened->row_names = std::make_unique<const RowNames>(std::move(named), opened->budget);
  PENSTOCK_RETURN_IF_ERROR(open_obs(paths, *opened));
  PENSTOCK_RETURN_IF_ERROR(look_around(*opened));
  // Those that were looked at and let go of need no watching.
  std::erase_if(*watched, [](const auto& file) { return file.expired(); });
  opened->watched = std::move(*watched);
  opened->opened_bytes = opened->budget->usage().used;
  return std::shared_ptr<const OpenedFiles>(std::move(opened));
}

}  // namespace

Result<std::shared_ptr<const OpenedFiles>> OpenedFiles::open(const std::vector<std::string>& paths,
                                                             const OpenOptions& options) {
  PENSTOCK_RETURN_IF_ERROR(check_options(paths, options));
  auto opened = open_all(paths, options);
  // errno: the system refused, and not the budget.
  if (opened.ok() || opened.status().code() != StatusCode::budget || opened.status().system_errno() != 0)
    return opened;
  const std::string why = fmt::format(
      "metadata does not fit in index_memory={}: {}; give it more with a larger index_memory "
      "(--index-memory of the command)",
      format_bytes(options.index_memory), opened.status().message());
  return std::move(opened).status().reworded(why).with_way_out(Option::index_memory);
}

Status OpenedFiles::unchanged() const {
  for (const auto& watch : watched) {
    // A file that nobody holds any more cannot be read, and need not be looked at.
    if (const auto file = watch.lock()) PENSTOCK_RETURN_IF_ERROR(file->unchanged());
  }
  return {};
}

std::vector<FilePart> all_rows(const OpenedFiles& opened) {
  std::vector<FilePart> parts;
  for (const OpenedFiles::File& file : opened.files) {
    FilePart part;
    part.source = file.content->matrix();
    // Columns that are the join's own need no translation, and such a source is used as it is.
    if (file.columns != nullptr)
      part.source = std::make_shared<const MappedSource>(part.source, file.columns);
    part.first_row = file.first_row;
    part.n_selected = part.source->traits().n_rows;
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace penstock::internal
