// Opening lists: where pages lie and how long rows are, both of which only the levels of the pages tell
// (page_walk.cc). That is a small read for each page. Of a dataset in thousands of files it would take long,
// so that not all of it is looked at:
//
//     row groups of up to 8 MiB   are read whole, so where their pages lie need not be known; row lengths of
//                                 some of them (`walk`), spread over the file, stand for the others
//     larger ones                 are all looked at: blocks are made of their pages
//
// Estimates change nothing in what rows hold. They size batches and bins; a row that is longer than
// `longest_` is refused when it comes (list_decode.cc).
#include <fmt/format.h>

#include <algorithm>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "parquet/list_source.h"
#include "parquet/page_walk.h"

namespace penstock::parquet {
namespace {

// Row groups up to this size (stored bytes of both columns) are read whole; of larger ones, pages.
constexpr ByteCount kWholeGroup = 8 << 20;

std::string describe(const MatrixColumn& genes, const MatrixColumn& values, const FileMetadata& metadata) {
  const std::uint64_t groups = metadata.row_groups.size();
  return fmt::format("lists {} and {}, row groups of {}, {}", genes.describe(), values.describe(),
                     format_count(groups == 0 ? 0 : ceil_div(metadata.n_rows, groups)),
                     compression_name(genes.codec));
}

}  // namespace

// Fills a ListSource in the order of its fields.
class ListSource::Opener {
 public:
  Opener(const FileMetadata& metadata, const ListColumns& columns, MemoryBudget& budget, ListSource& out)
      : metadata_(metadata), columns_(columns), budget_(budget), out_(out), walker_(*out.file_, budget) {}

  Status run() {
    PENSTOCK_ASSIGN_OR_RETURN(out_.genes_,
                              open_matrix_column(metadata_, columns_.genes, Leaf::Shape::list, true));
    PENSTOCK_ASSIGN_OR_RETURN(out_.values_,
                              open_matrix_column(metadata_, columns_.values, Leaf::Shape::list, false));
    PENSTOCK_ASSIGN_OR_RETURN(out_.held_, reserve_for(out_.label_, budget_, MemoryTag::index, 1));
    PENSTOCK_RETURN_IF_ERROR(groups());
    finish();
    return {};
  }

 private:
  Status groups() {
    const std::size_t n = metadata_.row_groups.size();
    for (const RowGroup& group : metadata_.row_groups) {
      const ByteCount bytes = group.columns[columns_.genes].bytes + group.columns[columns_.values].bytes;
      out_.whole_groups_ &= bytes <= kWholeGroup;
    }
    const std::uint64_t walked = out_.whole_groups_ ? std::min<std::uint64_t>(n, columns_.walk) : n;
    RowLengths seen;
    for (std::size_t g = 0; g < n; ++g) {
      const RowGroup& group = metadata_.row_groups[g];
      out_.groups_.add(group.first_row);
      out_.elements_.push_back(group.columns[columns_.genes].n_values);
      // Every n/walked-th.
      // With 10 groups of which 4 are looked at, g * 4 / 10 is 0 0 0 1 1 2 2 2 3 3 (4): it grows after the
      // groups 2, 4, 7 and 9.
      const bool look = g * walked / n != (g + 1) * walked / n;
      // Row lengths are taken from one of the two columns: the other must say the same.
      PENSTOCK_RETURN_IF_ERROR(pages(g, look, out_.genes_, &seen));
      PENSTOCK_RETURN_IF_ERROR(pages(g, look, out_.values_, nullptr));
      PENSTOCK_RETURN_IF_ERROR(charge());
    }
    out_.groups_.add(metadata_.n_rows);
    out_.genes_.pages.finish();
    out_.values_.pages.finish();
    lengths(seen);
    return charge();
  }

  Status charge() {
    const ByteCount bytes = out_.genes_.pages.bytes() + out_.values_.pages.bytes() + out_.groups_.bytes() +
                            out_.elements_.capacity() * sizeof(std::uint64_t) + sizeof(ListSource);
    return resize_for(out_.label_, budget_, out_.held_, MemoryTag::index, bytes);
  }

  Status pages(std::size_t g, bool look, MatrixColumn& side, RowLengths* lengths) {
    const RowGroup& group = metadata_.row_groups[g];
    const ColumnChunk& chunk = group.columns[side.number];
    side.pages.add_group(chunk.offset);
    // One entry, as if the group were one page; a block of such groups is a number of whole ones.
    if (!look) {
      side.pages.add_page({chunk.offset, 0, true});
      side.pages.end_group(chunk.offset + chunk.bytes);
      // Nothing in the chunk is larger than all of it.
      const ByteCount all = chunk.uncompressed + kUndeclaredBytes;
      side.limits.widen(
          {all, all / numeric_size(side.stored), std::min<std::uint64_t>(chunk.n_values, group.n_rows)});
      return {};
    }
    std::uint64_t rows = 0, open = 0;  // open: elements so far of the last row that has begun
    PENSTOCK_ASSIGN_OR_RETURN(
        const ByteOffset end,
        walker_.walk(metadata_, g, side.number, &side.limits, [&](const WalkedPage& page) -> Status {
          ++out_.traits_.pages_passed;
          if (page.header.type == PageType::dictionary) return {};
          const bool fresh = page.list.rows > 0 && page.list.elements_before == 0;
          side.pages.add_page({page.offset, static_cast<std::uint32_t>(rows), fresh});
          if (lengths == nullptr) {
            rows += page.list.rows;
            return {};
          }
          std::uint64_t from = 0;
          // Each beginning ends the row before it. What that row had in earlier pages is `open`; what it has
          // in this page lies between `from` and `start`.
          for (const std::uint32_t start : page.starts) {
            if (rows > 0) lengths->add(open + start - from);
            open = 0;
            from = start;
            ++rows;
          }
          // The last row of the page may go on in the next one.
          open += page.list.elements() - from;
          return {};
        }));
    side.pages.end_group(end);
    if (lengths != nullptr && rows > 0) lengths->add(open);
    return {};
  }

  // Row lengths of the file from those that were seen.
  void lengths(const RowLengths& seen) {
    RowLengths& out = out_.traits_.lengths;
    out = seen;
    if (seen.rows == metadata_.n_rows) {
      out_.longest_ = seen.longest;
    } else {
      std::uint64_t entries = 0;
      for (const std::uint64_t elements : out_.elements_) entries += elements;
      // The histogram grows to the whole file, and no bucket becomes empty: longest_sum() must not fall below
      // what was seen.
      const double scale =
          static_cast<double>(metadata_.n_rows) / static_cast<double>(std::max<std::uint64_t>(seen.rows, 1));
      for (std::uint64_t& count : out.histogram) {
        count = static_cast<std::uint64_t>(static_cast<double>(count) * scale) + (count > 0 ? 1 : 0);
      }
      out.rows = metadata_.n_rows;
      out.entries = entries;
      out.entries_squared = seen.entries_squared * scale;
      // A row holds each gene once, and the mark; genes outside the table may come on top.
      out_.longest_ = std::max(out_.map_->n_cols() + 1, 2 * seen.longest);
    }
    out.longest = out_.longest_;
  }

  void finish() {
    SourceTraits& t = out_.traits_;
    t.n_rows = metadata_.n_rows;
    t.n_cols = out_.map_->n_cols();
    t.value_type = out_.values_.stored;
    t.index_type = IdTarget::id_type(t.n_cols);
    t.layout = describe(out_.genes_, out_.values_, metadata_);
    for (const RowGroup& group : metadata_.row_groups) {
      t.stored_bytes += group.columns[columns_.genes].bytes + group.columns[columns_.values].bytes;
    }
    t.n_chunks = out_.whole_groups_ ? metadata_.row_groups.size()
                                    : std::min(out_.genes_.pages.n_pages(), out_.values_.pages.n_pages());
    t.rows_cross_chunks = !out_.whole_groups_;
  }

  const FileMetadata& metadata_;
  const ListColumns& columns_;
  MemoryBudget& budget_;
  ListSource& out_;
  PageWalker walker_;
};

Result<std::shared_ptr<const ListSource>> ListSource::open(const FileMetadata& metadata,
                                                           const ListColumns& columns,
                                                           MemoryBudget& index_budget) {
  std::shared_ptr<ListSource> source(new ListSource(columns));
  PENSTOCK_RETURN_IF_ERROR(source->check_rows(metadata.n_rows));
  PENSTOCK_RETURN_IF_ERROR(Opener(metadata, columns, index_budget, *source).run());
  return std::shared_ptr<const ListSource>(std::move(source));
}

}  // namespace penstock::parquet
