// Verify goes through a file twice. First every page of every column is read, checked against its checksum
// and decompressed, whether a matrix uses it or not: that finds damage wherever it is. Then the matrices and
// tables are read as an epoch reads them, which finds what pages cannot show by themselves: rows of different
// lengths in two columns, columns beyond the table of genes, values that are none.
//
// Findings are collected in the log, and the walk goes on with the next column chunk or matrix. Only what
// makes the question itself senseless ends it: a path that is not there, a file without a matrix.
#include "parquet/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "io/folder.h"
#include "memory/reserved_buffer.h"
#include "parquet/metadata.h"
#include "parquet/page.h"
#include "parquet/page_walk.h"
#include "source/verify_rows.h"
#include "source/verify_table.h"

namespace penstock::parquet {

namespace {

// Decompresses every page of one file.
class PageVerifier {
 public:
  PageVerifier(const File& file, VerifyLog& log, MemoryBudget& work)
      : file_(file),
        log_(log),
        walker_(file, work),
        stored_(file.label(), &work, MemoryTag::scratch),
        scratch_(file.label(), &work, MemoryTag::scratch) {}

  Status run(const FileMetadata& metadata) {
    const std::size_t groups = metadata.row_groups.size(), columns = metadata.columns.size();
    // The log asks twice: how many steps there will be, for the bar of progress, and then for the steps.
    if (log_.counting()) {
      log_.expect(groups * columns);
      return {};
    }
    for (std::size_t g = 0; g < groups; ++g) {
      for (std::size_t c = 0; c < columns; ++c) {
        PENSTOCK_RETURN_IF_ERROR(log_.take(column_chunk(metadata, g, c)));
        log_.step();
      }
    }
    return {};
  }

 private:
  Status column_chunk(const FileMetadata& metadata, std::size_t g, std::size_t c) {
    const Leaf& column = metadata.columns[c];
    const ColumnChunk& chunk = metadata.row_groups[g].columns[c];
    const PageContext context{chunk.codec, column.max_def, column.max_rep, {&file_.label(), &column.path, g}};
    if (!is_readable(chunk.codec)) {
      return Status::unsupported(
          fmt::format("{}: column {}: its compression is not read", file_.label(), column.path));
    }
    PageLimits limits;
    PENSTOCK_RETURN_IF_ERROR(
        walker_
            .walk(metadata, g, c, &limits, [&](const WalkedPage& page) { return this->page(context, page); })
            .status());
    // Pages of nested columns can be checked; what they mean is not read, and the report says so.
    if (column.shape != Leaf::Shape::nested) return {};
    return Status::unsupported(fmt::format("{}: column {}: its pages were, but nested values are not read",
                                           file_.label(), column.path));
  }

  Status page(const PageContext& context, const WalkedPage& page) {
    PENSTOCK_RETURN_IF_ERROR(stored_.grow_to(page.header.stored));
    PENSTOCK_RETURN_IF_ERROR(scratch_.grow_to(page.scratch));
    const auto body = stored_.first(page.header.stored);
    PENSTOCK_RETURN_IF_ERROR(file_.read_at(page.offset + page.header.header_bytes, body));
    Page out;
    PENSTOCK_RETURN_IF_ERROR(
        read_page(context, page.header, body, page.offset, scratch_.first(page.scratch), codec_, &out));
    log_.chunk(page.header.decoded);
    return {};
  }

  const File& file_;
  VerifyLog& log_;
  PageWalker walker_;
  ReservedBuffer stored_, scratch_;
  CodecContext codec_;
};

// The Parquet files of a pqdata folder that belong to a matrix of it; a file itself.
// A folder's tables and matrices, in one order on every machine.
std::vector<std::string> files_of(const std::string& path) {
  constexpr std::string_view kEnding = ".parquet";
  if (!is_pqdata(path)) return {path};
  std::vector<std::string> files;
  for (const char* folder : {"", "raw", "layers"}) {
    const std::string where = *folder == 0 ? path : inside(path, folder);
    for (const std::string& name : names_in(where)) {
      if (name.size() > kEnding.size() && name.ends_with(kEnding)) files.push_back(inside(where, name));
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

class PathVerifier {
 public:
  PathVerifier(const std::string& path, const VerifyOptions& options, OpenContext context, VerifyLog& log,
               MemoryBudget& work)
      : path_(path), options_(options), context_(std::move(context)), log_(log), work_(work) {}

  Status run() {
    // What cannot be opened because it is no matrix, or is not there, ends the walk before anything is read.
    const std::string first = options_.every_matrix ? first_matrix() : options_.open.matrix;
    auto opened = open(first);
    if (!opened.ok() && ends(opened.status())) return opened.status();
    // Pages come even when the matrix could not be opened: the page that is to blame is named that way.
    for (const std::string& file : files_of(path_)) PENSTOCK_RETURN_IF_ERROR(pages(file));
    if (!opened.ok()) return log_.take(opened.status());
    PENSTOCK_RETURN_IF_ERROR(verify_table(*(*opened)->obs(), log_, *context_.budget));
    PENSTOCK_RETURN_IF_ERROR(matrix(first, **opened));
    if (!options_.every_matrix) return {};
    PENSTOCK_ASSIGN_OR_RETURN(const auto others, (*opened)->other_matrices());
    for (const std::string& name : others) {
      opened = open(name);
      PENSTOCK_RETURN_IF_ERROR(opened.ok() ? matrix(name, **opened) : log_.take(opened.status()));
    }
    return {};
  }

 private:
  // Damage is what verify looks for, and so does not end it.
  static bool ends(const Status& status) {
    return status.code() != StatusCode::corrupt && status.code() != StatusCode::io_error;
  }

  Result<std::shared_ptr<const OpenedFile>> open(const std::string& name) {
    asked_ = options_.open;
    asked_.matrix = name;
    context_.options = &asked_;
    return open_parquet(path_, context_, tables_);
  }

  // A pqdata folder need not have an X.
  std::string first_matrix() const {
    if (!is_pqdata(path_)) return options_.open.matrix;
    const auto names = pqdata_matrices(path_);
    return names.empty() ? "X" : names.front();
  }

  Status pages(const std::string& path) {
    const auto file = context_.opener(path);
    if (!file.ok()) return log_.take(file.status());
    const auto metadata = read_metadata(**file, *context_.budget);
    if (!metadata.ok()) return log_.take(metadata.status());
    return PageVerifier(**file, log_, work_).run(**metadata);
  }

  Status matrix(const std::string& name, const OpenedFile& file) {
    log_.matrix(name);
    PENSTOCK_RETURN_IF_ERROR(verify_rows(*file.matrix(), log_, work_));
    return verify_table(*file.var(), log_, *context_.budget);
  }

  const std::string& path_;
  const VerifyOptions& options_;
  OpenContext context_;
  SharedTables tables_;
  OpenOptions asked_;
  VerifyLog& log_;
  MemoryBudget& work_;
};

}  // namespace

Status verify(const std::string& path, const VerifyOptions& options, OpenContext context, VerifyLog& log,
              MemoryBudget& work) {
  return PathVerifier(path, options, std::move(context), log, work).run();
}

}  // namespace penstock::parquet
