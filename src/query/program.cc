// A query runs over one file at a time. It goes from one stretch of rows that are alike to the next:
//
//     1  next_wanted()   passes over rows that an earlier selection has left out already
//     2  groups.at()     the row groups of all columns that the next row is in, and how far that goes
//     3  root.possible() from their statistics alone: no row can be true (passed over), all are (taken),
//                        or it has to be looked at
//     4  root.run()      blocks of up to kBlockRows rows, whose columns are read when a step asks for them
//
// A worked example: "n > 500" over Parquet row groups with n in 3..400, 501..900 and 100..800. The first is
// passed over and the second is taken, both without a byte of n; the third is read.
//
// Steps allocate their values as they go, in vectors, since queries do not run while batches flow. How much
// that can be at once is known from the tree (Step::live()) and reserved beforehand.
#include "query/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

#include "memory/growing.h"
#include "query/parser.h"
#include "query/reader.h"

namespace penstock::query {

namespace {

// Row groups of a file with their statistics, by column.
// Columns of one file share their row groups in Parquet, but nothing here relies on it: at() intersects
// whatever runs of rows the columns have. Files of other formats have no statistics, and their one run is the
// whole file.
class Groups {
 public:
  static Result<Groups> read(const FileTable& file, const std::vector<NamedColumn>& columns,
                             MemoryBudget& budget) {
    Groups out;
    out.n_rows_ = file.obs->n_rows();
    // Column by column, so that no more than one of them is in memory before it is asked for.
    Growing held(file.path, budget, MemoryTag::obs);
    for (const NamedColumn& column : columns) {
      ByteCount bytes = 0;
      std::vector<ColumnBounds> bounds;
      // The index may be a column with another name, or none at all.
      if (!column.is_index) {
        PENSTOCK_ASSIGN_OR_RETURN(bounds, file.obs->bounds(column.name));
      }
      for (const ColumnBounds& each : bounds) {
        bytes += sizeof(each) + (each.min ? each.min->size() : 0) + (each.max ? each.max->size() : 0);
      }
      PENSTOCK_RETURN_IF_ERROR(held.add(bytes));
      out.columns_.push_back(std::move(bounds));
    }
    out.held_ = held.finish();
    return out;
  }

  // What is known of the rows from `at` on, and how far that goes.
  // For columns a with groups [0, 10), [10, 20) and b with [0, 15), [15, 20): at(12) gives a's second group
  // and b's first, and 15, where b's ends.
  RowIndex at(RowIndex at, BoundsOf& bounds) const {
    RowIndex end = n_rows_;
    bounds.assign(columns_.size(), nullptr);
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      // The run that begins behind `at` ends what is known now, whether or not `at` lies in the run before
      // it.
      const auto after =
          std::upper_bound(columns_[c].begin(), columns_[c].end(), at,
                           [](RowIndex row, const ColumnBounds& group) { return row < group.rows.first; });
      if (after != columns_[c].end()) end = std::min(end, after->rows.first);
      if (after == columns_[c].begin()) continue;
      const ColumnBounds& group = *std::prev(after);
      if (at >= group.rows.last) continue;
      end = std::min(end, group.rows.last);
      bounds[c] = &group;
    }
    return end;
  }

 private:
  RowIndex n_rows_ = 0;
  std::vector<std::vector<ColumnBounds>> columns_;
  Reservation held_;
};

}  // namespace

Result<Program> Program::bind(std::string_view expression, const QueryParams& params,
                              std::vector<FileTable> files, std::shared_ptr<MemoryBudget> budget) {
  try {
    const SourceText source("query", expression);
    PENSTOCK_ASSIGN_OR_RETURN(const auto tree, parse(source));
    Program out;
    PENSTOCK_ASSIGN_OR_RETURN(out.bound_, bind_tree(*tree, params, files, *budget, source));
    out.files_ = std::move(files);
    out.budget_ = std::move(budget);
    return out;
  } catch (const std::bad_alloc&) {
    return Status::budget("query: the system has no memory for the expression");
  }
}

Status Program::run(std::size_t file, const Rows& rows) const {
  const FileTable& table = files_[file];
  const RowIndex n = table.obs->n_rows();
  try {
    const TruthStep& root = *bound_.root;
    PENSTOCK_ASSIGN_OR_RETURN(const Groups groups, Groups::read(table, bound_.columns, *budget_));
    PENSTOCK_ASSIGN_OR_RETURN(
        const Reservation values,
        reserve_for(table.path + ": query", *budget_, MemoryTag::obs, root.live() * std::min(n, kBlockRows)));
    ColumnReader reader(bound_.columns, file, *budget_);
    BoundsOf bounds;
    // What was decided without reading goes to `known_to` in one step; next_wanted() then passes over what
    // nobody wants.
    for (RowIndex at = rows.next_wanted(0); at < n; at = rows.next_wanted(at)) {
      const RowIndex known_to = groups.at(at, bounds);
      const unsigned possible = root.possible(bounds);
      // Rows that are false and rows that are missing are left out alike.
      if ((possible & kTrue) == 0) {
        at = known_to;
        continue;
      }
      if (possible == kTrue) {
        rows.on_rows({at, known_to}, nullptr);
        at = known_to;
        continue;
      }
      // Rows behind known_to may turn out not to be wanted, so that a column's storage unit is read up to
      // there only.
      reader.limit(at, known_to);
      while (at < known_to) {
        // A block lies within one slab of each column, so that steps work on plain arrays.
        const RowIndex end = std::min(at + kBlockRows, reader.end_of_slabs(at));
        const Block block{&reader, file, at, static_cast<std::size_t>(end - at)};
        PENSTOCK_ASSIGN_OR_RETURN(const Truths truths, root.run(block));
        rows.on_rows({at, end}, truths.truth.data());
        at = rows.next_wanted(end);
      }
    }
    return {};
  } catch (const std::bad_alloc&) {
    return Status::budget(table.path + ": the system has no memory for a query");
  }
}

}  // namespace penstock::query
