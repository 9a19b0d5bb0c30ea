#include "query/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

#include "memory/reserve_for.h"
#include "query/parser.h"
#include "query/reader.h"

namespace penstock::query {

namespace {

// Row groups of a file with their statistics, by column.
class Groups {
 public:
  static Result<Groups> read(const FileTable& file, const std::vector<NamedColumn>& columns,
                             MemoryBudget& budget) {
    Groups out;
    out.n_rows_ = file.obs->n_rows();
    ByteCount bytes = 0;
    for (const NamedColumn& column : columns) {
      std::vector<ColumnBounds> bounds;
      if (!column.is_index) {
        PENSTOCK_ASSIGN_OR_RETURN(bounds, file.obs->bounds(column.name));
      }
      for (const ColumnBounds& each : bounds) {
        bytes += sizeof(each) + (each.min ? each.min->size() : 0) + (each.max ? each.max->size() : 0);
      }
      out.columns_.push_back(std::move(bounds));
    }
    PENSTOCK_ASSIGN_OR_RETURN(out.held_, reserve_for(file.path, budget, MemoryTag::obs, bytes));
    return out;
  }

  // What is known of the rows from `at` on, and how far that goes.
  RowIndex at(RowIndex at, BoundsOf& bounds) const {
    RowIndex end = n_rows_;
    bounds.assign(columns_.size(), nullptr);
    for (std::size_t c = 0; c < columns_.size(); ++c) {
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
    for (RowIndex at = rows.next_wanted(0); at < n; at = rows.next_wanted(at)) {
      const RowIndex known_to = groups.at(at, bounds);
      const unsigned possible = root.possible(bounds);
      if ((possible & kTrue) == 0) {
        at = known_to;
        continue;
      }
      if (possible == kTrue) {
        rows.on_rows({at, known_to}, nullptr);
        at = known_to;
        continue;
      }
      reader.limit(at, known_to);
      while (at < known_to) {
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
