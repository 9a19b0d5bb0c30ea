// Opening triplets. What is wanted is where each row ends, and the only way to it is to look at every row
// number once:
//
//     1  shape        from the metadata; else both columns of numbers are passed over for the largest ones
//     2  bounds       statistics of row groups, which show most unsorted files without reading a page
//     3  row ends     one pass over the row numbers: where the number changes, a row has ended
//     4  pages        headers of the other two columns, so that blocks read only what they need
//
// A worked example of step 3: the row numbers 0 0 0 2 2 3 of a matrix of five rows. At element 3 the number
// goes from 0 to 2: rows 0 and 1 end at 3. At element 5 it goes to 3: row 2 ends at 5. Behind the last
// element rows 3 and 4 end, at 6. Row ends are 3 3 5 6 6.
//
// A file that is not sorted by row is refused with the command that sorts it: its rows lie anywhere, and each
// one would cost a pass over the file.
#include <fmt/format.h>

#include <algorithm>

#include "base/load.h"
#include "memory/reserve_for.h"
#include "memory/reserved_buffer.h"
#include "parquet/coo_source.h"
#include "parquet/page_values.h"
#include "parquet/page_walk.h"

namespace penstock::parquet {
namespace {

constexpr std::uint64_t kSlice = 4096;  // row numbers that are looked at in one go

std::int64_t load_integer(NumericType type, const std::byte* array, std::uint64_t i) {
  if (numeric_size(type) == 8) return load<std::int64_t>(array, i);
  return type == NumericType::u32 ? load<std::uint32_t>(array, i) : load<std::int32_t>(array, i);
}

// A column of row or column numbers, page by page: calls f(values, n, offset of the page).
// The column is read as it comes, a page in memory at a time. It is not kept, so that a file of any size can
// be opened with the memory of its largest page.
class Coordinates {
 public:
  Coordinates(const File& file, const FileMetadata& metadata, const MatrixColumn& column,
              MemoryBudget& budget)
      : file_(file),
        metadata_(metadata),
        column_(column),
        budget_(budget),
        walker_(file, budget),
        stored_(file.label(), &budget, MemoryTag::scratch),
        scratch_(file.label(), &budget, MemoryTag::scratch),
        dictionary_(file.label(), &budget, MemoryTag::scratch) {}

  template <class F>
  Status run(F&& f) {
    PENSTOCK_ASSIGN_OR_RETURN(held_,
                              reserve_for(file_.label(), budget_, MemoryTag::scratch,
                                          sizeof(numbers_) + sizeof(raw_) + CodecContext::fixed_bytes()));
    for (std::size_t g = 0; g < metadata_.row_groups.size(); ++g) {
      n_entries_ = 0;
      const PageContext context = column_.context(file_.label(), g);
      PageLimits limits;
      const auto walked =
          walker_.walk(metadata_, g, column_.number, &limits, [&](const WalkedPage& page) -> Status {
            PENSTOCK_RETURN_IF_ERROR(load(context, page));
            return page.header.type == PageType::dictionary ? take_dictionary(context)
                                                            : take_values(context, f);
          });
      if (!walked.ok()) return walked.status();
    }
    return {};
  }

 private:
  Status load(const PageContext& context, const WalkedPage& page) {
    PENSTOCK_RETURN_IF_ERROR(stored_.grow_to(page.header.stored));
    PENSTOCK_RETURN_IF_ERROR(scratch_.grow_to(page.scratch));
    const auto body = stored_.first(page.header.stored);
    PENSTOCK_RETURN_IF_ERROR(file_.read_at(page.offset + page.header.header_bytes, body));
    return read_page(context, page.header, body, page.offset, scratch_.bytes(), codec_, &page_);
  }

  Status fail(const PageContext& context, DecodeError error) const {
    return error == DecodeError::unsupported ? context.label.unsupported(page_.offset, describe(error))
                                             : context.label.corrupt(page_.offset, describe(error));
  }
  std::int64_t* entries() { return reinterpret_cast<std::int64_t*>(dictionary_.bytes().data()); }

  Status take_dictionary(const PageContext& context) {
    const std::size_t size = numeric_size(column_.stored);
    if (page_.values.size() < page_.n_values * size) {
      return context.label.corrupt(
          page_.offset, fmt::format("a dictionary of {} entries of {} bytes in {} bytes", page_.n_values,
                                    size, page_.values.size()));
    }
    // Entries become int64, whatever they are stored as, so that values are looked up in their final form.
    PENSTOCK_RETURN_IF_ERROR(dictionary_.grow_to(page_.n_values * sizeof(std::int64_t)));
    n_entries_ = static_cast<std::uint32_t>(page_.n_values);
    for (std::uint64_t i = 0; i < page_.n_values; ++i) {
      entries()[i] = load_integer(column_.stored, page_.values.data(), i);
    }
    return {};
  }

  template <class F>
  Status take_values(const PageContext& context, F&& f) {
    bool all = true;
    DecodeError error = DecodeError::ok;
    if (column_.column.max_def > 0)
      error = all_at(page_.def_levels, column_.column.max_def, page_.n_values, &all);
    if (error != DecodeError::ok) return fail(context, error);
    if (!all) return context.label.unsupported(page_.offset, "missing values: a matrix has none");
    PageValues values;
    error = PageValues::open(page_, column_.column.type, n_entries_, page_.n_values, &values);
    while (error == DecodeError::ok && values.left() > 0) {
      const std::uint64_t n = std::min(kSlice, values.left());
      if (values.coded()) {
        error = values.gather(reinterpret_cast<const std::uint64_t*>(entries()),
                              reinterpret_cast<std::uint64_t*>(numbers_), n);
      } else {
        error = values.read(raw_, n);
        for (std::uint64_t i = 0; i < n; ++i) numbers_[i] = load_integer(column_.stored, raw_, i);
      }
      if (error == DecodeError::ok) PENSTOCK_RETURN_IF_ERROR(f(numbers_, n, page_.offset));
    }
    return error == DecodeError::ok ? Status() : fail(context, error);
  }

  const File& file_;
  const FileMetadata& metadata_;
  const MatrixColumn& column_;
  MemoryBudget& budget_;
  PageWalker walker_;
  Reservation held_;                              // of what is here, and of the codec's context
  ReservedBuffer stored_, scratch_, dictionary_;  // a page, stored and decompressed; int64
  std::uint32_t n_entries_ = 0;                   // of the dictionary
  std::int64_t numbers_[kSlice];
  std::byte raw_[kSlice * sizeof(std::int64_t)];
  CodecContext codec_;
  Page page_;
};

}  // namespace

// Fills a CooSource in the order of its fields.
class CooSource::Opener {
 public:
  Opener(const FileMetadata& metadata, const CooColumns& columns, MemoryBudget& budget, CooSource& out)
      : metadata_(metadata), columns_(columns), budget_(budget), out_(out), walker_(*out.file_, budget) {}

  // The order matters where one step needs what an earlier one found: RowEnds are sized by the shape, and
  // pages are charged beside them.
  Status run() {
    PENSTOCK_ASSIGN_OR_RETURN(const MatrixColumn row,
                              open_matrix_column(metadata_, columns_.row, Leaf::Shape::flat, true));
    PENSTOCK_ASSIGN_OR_RETURN(out_.col_,
                              open_matrix_column(metadata_, columns_.col, Leaf::Shape::flat, true));
    PENSTOCK_ASSIGN_OR_RETURN(out_.data_,
                              open_matrix_column(metadata_, columns_.data, Leaf::Shape::flat, false));
    if (columns_.shape) {
      shape_ = *columns_.shape;
    } else {
      PENSTOCK_RETURN_IF_ERROR(shape_of_numbers(row));
    }
    if (shape_.rows >= 0xffffffffu || shape_.cols >= 0xffffffffu) {
      return Status::unsupported(fmt::format("{}: a matrix of {} x {}; fewer than 2^32 - 1 are read",
                                             out_.label_, shape_.rows, shape_.cols));
    }
    out_.map_ = GeneMap::identity(shape_.cols);
    PENSTOCK_ASSIGN_OR_RETURN(
        out_.held_, reserve_for(out_.label_, budget_, MemoryTag::index, RowEnds::bytes(shape_.rows)));
    out_.ends_.reserve(shape_.rows);
    PENSTOCK_RETURN_IF_ERROR(sorted_by_statistics());
    PENSTOCK_RETURN_IF_ERROR(row_ends(row));
    // An element is a row of the file.
    for (const RowGroup& group : metadata_.row_groups) out_.groups_.add(group.first_row);
    out_.groups_.add(metadata_.n_rows);
    PENSTOCK_RETURN_IF_ERROR(pages(out_.col_));
    PENSTOCK_RETURN_IF_ERROR(pages(out_.data_));
    finish();
    return charge();
  }

 private:
  const std::string& name_of(std::size_t column) const { return metadata_.columns[column].path; }

  Status unsorted(const std::string& where) const {
    return Status::unsupported(fmt::format(
        "{}: the triplets are not sorted by row ({}), so a row's elements lie anywhere. Sort the file once, "
        "for example with duckdb: COPY (SELECT * FROM 'X.parquet' ORDER BY {}, {}) TO 'sorted.parquet' "
        "(FORMAT parquet), and keep its key-value metadata",
        out_.label_, where, name_of(columns_.row), name_of(columns_.col)));
  }

  struct Extent {
    std::int64_t least = 0, most = -1;
  };
  Result<Extent> extent(const MatrixColumn& column) const {
    Extent out;
    bool first = true;
    Coordinates numbers(*out_.file_, metadata_, column, budget_);
    PENSTOCK_RETURN_IF_ERROR(
        numbers.run([&](const std::int64_t* values, std::uint64_t n, ByteOffset page) -> Status {
          const auto [least, most] = std::minmax_element(values, values + n);
          // The largest int64 is refused because the shape is one more than it.
          if (*least < 0 || *most == INT64_MAX) {
            return Status::corrupt(
                fmt::format("{}: page at byte 0x{:x}: column {} holds {}, which is no number "
                            "of a row or column",
                            out_.label_, page, column.column.path, *least < 0 ? *least : *most));
          }
          out.least = first ? *least : std::min(out.least, *least);
          out.most = std::max(out.most, *most);
          first = false;
          return {};
        }));
    return out;
  }

  // One more than the largest numbers. Numbers that begin with 1 on both sides are those of R, and would put
  // every entry into its neighbour's place.
  Status shape_of_numbers(const MatrixColumn& row) {
    PENSTOCK_ASSIGN_OR_RETURN(const Extent rows, extent(row));
    PENSTOCK_ASSIGN_OR_RETURN(const Extent cols, extent(out_.col_));
    if (rows.least > 0 && cols.least > 0) {
      return Status::unsupported(fmt::format(
          "{}: no entry is in row 0 and none in column 0 ({} begins with {}, {} with {}): they may be "
          "counted from 1, and the file does not say. Write them from 0; if they are, state the "
          "matrix's shape in the key-value metadata: array = {{\"shape\": [{}, {}]}}",
          out_.label_, name_of(columns_.row), rows.least, name_of(columns_.col), cols.least, rows.most + 1,
          cols.most + 1));
    }
    shape_ = {static_cast<RowIndex>(rows.most + 1), static_cast<ColIndex>(cols.most + 1)};
    return {};
  }

  // Refuses at once what the row groups' bounds give away.
  Status sorted_by_statistics() const {
    const std::string& name = name_of(columns_.row);
    MetadataOptions options;
    // The footer is read once more, for the statistics of one column: those of all columns would be held in
    // memory for nothing.
    options.wanted = [&](const Leaf& leaf) { return leaf.path == name; };
    options.statistics = true;
    PENSTOCK_ASSIGN_OR_RETURN(const auto bounds, read_metadata(*out_.file_, budget_, options));
    if (bounds->columns.size() != 1 || bounds->row_groups.size() != metadata_.row_groups.size()) return {};
    // Signed or not, as the column says: rows beyond 2^31 are large numbers of an unsigned column.
    PENSTOCK_ASSIGN_OR_RETURN(const NumericType type, matrix_type(bounds->columns.front(), out_.label_));
    if (is_floating(type)) return {};
    std::int64_t before = 0;
    for (std::size_t g = 0; g < bounds->row_groups.size(); ++g) {
      const Statistics& s = bounds->row_groups[g].statistics.front();
      const std::size_t size = physical_size(bounds->columns.front().type, 0);
      // No bounds, no early answer: row_ends() tells for certain.
      if (!s.min || !s.max || s.min->size() != size || s.max->size() != size) return {};
      const auto value = [&](const std::string& bytes) {
        return load_integer(type, reinterpret_cast<const std::byte*>(bytes.data()), 0);
      };
      // Rows of one group all come before those of the next one; they may share the row that crosses.
      if (g > 0 && value(*s.min) < before) {
        return unsorted(
            fmt::format("row group {} begins with row {} after row {}", g, value(*s.min), before));
      }
      before = value(*s.max);
    }
    return {};
  }

  // One comparison for most elements: a row has many, and its number repeats. `fits` is looked at once, at
  // the end, since no real file has rows that do not fit.
  Status row_ends(const MatrixColumn& row) {
    const std::uint64_t n_rows = shape_.rows;
    std::uint64_t element = 0, current = 0;
    bool fits = true;
    Coordinates numbers(*out_.file_, metadata_, row, budget_);
    PENSTOCK_RETURN_IF_ERROR(
        numbers.run([&](const std::int64_t* rows, std::uint64_t n, ByteOffset page) -> Status {
          for (std::uint64_t i = 0; i < n; ++i, ++element) {
            const auto number = static_cast<std::uint64_t>(rows[i]);
            if (number == current) continue;
            if (number >= n_rows) {
              return Status::corrupt(
                  fmt::format("{}: element {} (page at byte {}): row {} of a matrix of {} rows", out_.label_,
                              element, page, rows[i], n_rows));
            }
            if (number < current)
              return unsorted(fmt::format("element {} is of row {} after row {}", element, number, current));
            // Rows between the two numbers have no entries, and end where the one before them does.
            for (; current < number; ++current) fits &= out_.ends_.add(element);
          }
          return {};
        }));
    if (n_rows == 0 && element > 0) {
      return Status::corrupt(fmt::format("{}: {} elements of a matrix without rows", out_.label_, element));
    }
    // The last row with entries, and empty ones behind it.
    for (; current < n_rows; ++current) fits &= out_.ends_.add(element);
    if (!fits) {
      return Status::unsupported(fmt::format("{}: more than 2^32 elements in 1,024 rows", out_.label_));
    }
    for (RowIndex r = 0; r < n_rows; ++r) out_.traits_.lengths.add(out_.ends_.end(r) - out_.ends_.begin(r));
    return {};
  }

  Status pages(MatrixColumn& column) {
    for (std::size_t g = 0; g < metadata_.row_groups.size(); ++g) {
      const ColumnChunk& chunk = metadata_.row_groups[g].columns[column.number];
      const auto n = static_cast<std::uint64_t>(metadata_.row_groups[g].n_rows);
      // Flat columns have a value for each row of the file. With another number, elements of the three
      // columns would not belong together.
      if (chunk.n_values != n) {
        return Status::corrupt(fmt::format("{}: row group {}: column {} has {} values, the row group {} rows",
                                           out_.label_, g, column.column.name, chunk.n_values, n));
      }
      column.pages.add_group(chunk.offset);
      std::uint64_t element = 0;
      PENSTOCK_ASSIGN_OR_RETURN(
          const ByteOffset end,
          walker_.walk(metadata_, g, column.number, &column.limits, [&](const WalkedPage& page) -> Status {
            ++out_.traits_.pages_passed;
            if (page.header.type == PageType::dictionary) return {};
            column.pages.add_page({page.offset, static_cast<std::uint32_t>(element), true});
            element += page.header.n_values;
            return {};
          }));
      column.pages.end_group(end);
      PENSTOCK_RETURN_IF_ERROR(charge());
    }
    column.pages.finish();
    return {};
  }

  Status charge() {
    return resize_for(out_.label_, budget_, out_.held_, MemoryTag::index,
                      RowEnds::bytes(shape_.rows) + out_.col_.pages.bytes() + out_.data_.pages.bytes() +
                          out_.groups_.bytes() + sizeof(CooSource));
  }

  void finish() {
    SourceTraits& t = out_.traits_;
    t.n_rows = shape_.rows;
    t.n_cols = shape_.cols;
    t.value_type = out_.data_.stored;
    t.index_type = IdTarget::id_type(t.n_cols);
    t.layout = fmt::format("triplets sorted by row: {} and {}, {}", out_.col_.describe(),
                           out_.data_.describe(), compression_name(out_.data_.codec));
    for (const RowGroup& group : metadata_.row_groups) {
      t.stored_bytes += group.columns[out_.col_.number].bytes + group.columns[out_.data_.number].bytes;
    }
    t.n_chunks = std::min(out_.col_.pages.n_pages(), out_.data_.pages.n_pages());
  }

  const FileMetadata& metadata_;
  const CooColumns& columns_;
  MemoryBudget& budget_;
  CooSource& out_;
  PageWalker walker_;
  CooColumns::Shape shape_;
};

Result<std::shared_ptr<const CooSource>> CooSource::open(const FileMetadata& metadata,
                                                         const CooColumns& columns,
                                                         MemoryBudget& index_budget) {
  std::shared_ptr<CooSource> source(new CooSource(columns));
  PENSTOCK_RETURN_IF_ERROR(Opener(metadata, columns, index_budget, *source).run());
  return std::shared_ptr<const CooSource>(std::move(source));
}

}  // namespace penstock::parquet
