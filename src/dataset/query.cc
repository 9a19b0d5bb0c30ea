// A selection by a query: Program (src/query/) says which rows of a file it holds for, and this collects them
// among those that are selected already. Two cursors walk over the earlier selection, because the program
// asks ahead (next_wanted) of where it answers (on_rows).
#include "dataset/query.h"

#include <utility>
#include <vector>

#include "dataset/selection_builder.h"
#include "query/program.h"

namespace penstock::internal {

Result<Parts> select_query(const OpenedFiles& opened, std::span<const FilePart> parts,
                           std::string_view expression, const QueryParams& params) {
  std::vector<query::FileTable> tables;
  for (const auto& file : opened.files) tables.push_back({file.path, file.obs});
  PENSTOCK_ASSIGN_OR_RETURN(const auto program,
                            query::Program::bind(expression, params, std::move(tables), opened.budget));
  return guard_selection([&]() -> Result<Parts> {
    Parts out;
    SelectionBuilder builder;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const FilePart& part = parts[i];
      const RowIndex n = part.source->traits().n_rows;
      RowCursor wanted(part), kept(part);
      query::Program::Rows rows;
      rows.next_wanted = [&](RowIndex at) {
        // Without an earlier selection every row is wanted.
        if (!part.selected) return at;
        wanted.seek(at);
        return wanted.before(n) ? wanted.peek() : n;
      };
      rows.on_rows = [&](RowRange range, const std::uint8_t* keep) {
        // A row group of which statistics say that all rows hold: one range, whatever its size.
        if (!part.selected && keep == nullptr) return builder.add_range(range.first, range.last);
        kept.seek(range.first);
        while (kept.before(range.last)) {
          const RowIndex row = kept.next();
          if (keep == nullptr || keep[row - range.first] != 0) builder.add(row);
        }
      };
      // A file of which nothing is left is not asked about.
      if (part.n_selected > 0) PENSTOCK_RETURN_IF_ERROR(program.run(i, rows));
      PENSTOCK_ASSIGN_OR_RETURN(FilePart taken, builder.take(part, *opened.budget));
      out.push_back(std::move(taken));
    }
    return out;
  });
}

}  // namespace penstock::internal
