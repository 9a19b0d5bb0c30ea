// Opening triplets: one pass over the row numbers, and a look at the pages of the other two columns.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "parquet/coo_source.h"
#include "parquet/page_values.h"
#include "parquet/page_walk.h"

namespace penstock::parquet {
namespace {

constexpr std::uint64_t kSlice = 4096;  // row numbers that are looked at in one go

std::int64_t load_integer(NumericType type, const std::byte* array, std::uint64_t i) {
  std::int64_t wide = 0;
  std::int32_t narrow = 0;
  if (numeric_size(type) == 8) {
    std::memcpy(&wide, array + i * 8, 8);
    return wide;
  }
  std::memcpy(&narrow, array + i * 4, 4);
  return type == NumericType::u32 ? static_cast<std::int64_t>(static_cast<std::uint32_t>(narrow)) : narrow;
}

// The row numbers of a file, page by page: calls f(values, n, element number of the first).
class RowNumbers {
 public:
  RowNumbers(const File& file, const FileMetadata& metadata, const MatrixColumn& column, MemoryBudget& budget)
      : file_(file), metadata_(metadata), column_(column), budget_(budget), walker_(file, budget) {}

  template <class F>
  Status run(F&& f) {
    PENSTOCK_ASSIGN_OR_RETURN(held_, reserve_for(file_.label(), budget_, MemoryTag::scratch, 1));
    for (std::size_t g = 0; g < metadata_.row_groups.size(); ++g) {
      dictionary_.clear();
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
    const ByteCount dictionary =
        page.header.type == PageType::dictionary ? ByteCount{page.header.n_values} * sizeof(std::int64_t) : 0;
    stored_most_ = std::max<ByteCount>(stored_most_, page.header.stored);
    scratch_most_ = std::max(scratch_most_, page.scratch);
    dictionary_most_ = std::max(dictionary_most_, dictionary);
    PENSTOCK_RETURN_IF_ERROR(resize_for(file_.label(), budget_, held_, MemoryTag::scratch,
                                        stored_most_ + scratch_most_ + dictionary_most_ +
                                            kSlice * (sizeof(std::int64_t) + sizeof(std::uint32_t)) +
                                            CodecContext::fixed_bytes()));
    stored_.resize(stored_most_);
    scratch_.resize(scratch_most_);
    const auto body = std::span(stored_).first(page.header.stored);
    PENSTOCK_RETURN_IF_ERROR(file_.read_at(page.offset + page.header.header_bytes, body));
    return read_page(context, page.header, body, page.offset, scratch_, codec_, &page_);
  }

  Status fail(const PageContext& context, DecodeError error) const {
    return context.label.corrupt(page_.offset, describe(error));
  }

  Status take_dictionary(const PageContext& context) {
    const std::size_t size = numeric_size(column_.stored);
    if (page_.values.size() < page_.n_values * size) {
      return context.label.corrupt(
          page_.offset, fmt::format("a dictionary of {} entries of {} bytes in {} bytes", page_.n_values,
                                    size, page_.values.size()));
    }
    dictionary_.resize(page_.n_values);
    for (std::uint64_t i = 0; i < page_.n_values; ++i) {
      dictionary_[i] = load_integer(column_.stored, page_.values.data(), i);
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
    error = PageValues::open(page_, column_.column.type, static_cast<std::uint32_t>(dictionary_.size()),
                             page_.n_values, &values);
    while (error == DecodeError::ok && values.left() > 0) {
      const std::uint64_t n = std::min(kSlice, values.left());
      if (values.coded()) {
        error = values.gather(reinterpret_cast<const std::uint64_t*>(dictionary_.data()),
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
  Reservation held_;
  ByteCount stored_most_ = 0, scratch_most_ = 0, dictionary_most_ = 0;
  std::vector<std::byte> stored_, scratch_;
  std::vector<std::int64_t> dictionary_;
  std::int64_t numbers_[kSlice];
  std::byte raw_[kSlice * sizeof(std::int64_t)];
  CodecContext codec_;
  Page page_;
};

}  // namespace

// Fills a CooSource in the order of its fields.
class CooSource::Opener {
 public:
  Opener(const FileMetadata& metadata, MemoryBudget& budget, CooSource& out)
      : metadata_(metadata), budget_(budget), out_(out), walker_(*out.columns_.file, budget) {}

  Status run() {
    const CooColumns& c = out_.columns_;
    out_.map_ = GeneMap::identity(c.n_cols);
    PENSTOCK_ASSIGN_OR_RETURN(const MatrixColumn row,
                              open_matrix_column(metadata_, c.row, Leaf::Shape::flat, true));
    PENSTOCK_ASSIGN_OR_RETURN(out_.col_, open_matrix_column(metadata_, c.col, Leaf::Shape::flat, true));
    PENSTOCK_ASSIGN_OR_RETURN(out_.data_, open_matrix_column(metadata_, c.data, Leaf::Shape::flat, false));
    PENSTOCK_ASSIGN_OR_RETURN(out_.held_,
                              reserve_for(c.label, budget_, MemoryTag::index, RowEnds::bytes(c.n_rows)));
    out_.ends_.reserve(c.n_rows);
    PENSTOCK_RETURN_IF_ERROR(sorted_by_statistics());
    PENSTOCK_RETURN_IF_ERROR(row_ends(row));
    for (const RowGroup& group : metadata_.row_groups) out_.first_.push_back(group.first_row);
    out_.first_.push_back(metadata_.n_rows);
    PENSTOCK_RETURN_IF_ERROR(pages(out_.col_));
    PENSTOCK_RETURN_IF_ERROR(pages(out_.data_));
    finish();
    return charge();
  }

 private:
  Status unsorted(const std::string& where) const {
    return Status::unsupported(fmt::format(
        "{}: the triplets are not sorted by row ({}), so a row's elements lie anywhere. Sort the file once, "
        "for "
        "example with duckdb: COPY (SELECT * FROM 'X.parquet' ORDER BY row, col) TO 'sorted.parquet' (FORMAT "
        "parquet), and keep its key-value metadata",
        out_.columns_.label, where));
  }

  // Refuses at once what the row groups' bounds give away.
  Status sorted_by_statistics() const {
    std::int64_t before = 0;
    for (std::size_t g = 0; g < metadata_.row_groups.size(); ++g) {
      const Statistics& s = metadata_.row_groups[g].columns[out_.columns_.row].statistics;
      const std::size_t size = physical_size(metadata_.columns[out_.columns_.row].type, 0);
      if (!s.min || !s.max || s.min->size() != size || s.max->size() != size) return {};
      const auto value = [&](const std::string& bytes) {
        return load_integer(size == 8 ? NumericType::i64 : NumericType::i32,
                            reinterpret_cast<const std::byte*>(bytes.data()), 0);
      };
      if (g > 0 && value(*s.min) < before) {
        return unsorted(
            fmt::format("row group {} begins with row {} after row {}", g, value(*s.min), before));
      }
      before = value(*s.max);
    }
    return {};
  }

  Status row_ends(const MatrixColumn& row) {
    const std::uint64_t n_rows = out_.columns_.n_rows;
    std::uint64_t element = 0, current = 0;
    bool fits = true;
    RowNumbers numbers(*out_.columns_.file, metadata_, row, budget_);
    PENSTOCK_RETURN_IF_ERROR(
        numbers.run([&](const std::int64_t* rows, std::uint64_t n, ByteOffset page) -> Status {
          for (std::uint64_t i = 0; i < n; ++i, ++element) {
            const auto number = static_cast<std::uint64_t>(rows[i]);
            if (number == current) continue;
            if (number >= n_rows) {
              return Status::corrupt(
                  fmt::format("{}: element {} (page at byte {}): row {} of a matrix of {} rows",
                              out_.columns_.label, element, page, rows[i], n_rows));
            }
            if (number < current)
              return unsorted(fmt::format("element {} is of row {} after row {}", element, number, current));
            for (; current < number; ++current) fits &= out_.ends_.add(element);
          }
          return {};
        }));
    if (n_rows == 0 && element > 0) {
      return Status::corrupt(
          fmt::format("{}: {} elements of a matrix without rows", out_.columns_.label, element));
    }
    for (; current < n_rows; ++current) fits &= out_.ends_.add(element);
    if (!fits) {
      return Status::unsupported(
          fmt::format("{}: more than 2^32 elements in 1,024 rows", out_.columns_.label));
    }
    for (RowIndex r = 0; r < n_rows; ++r) out_.traits_.lengths.add(out_.ends_.end(r) - out_.ends_.begin(r));
    return {};
  }

  Status pages(MatrixColumn& column) {
    for (std::size_t g = 0; g < metadata_.row_groups.size(); ++g) {
      const ColumnChunk& chunk = metadata_.row_groups[g].columns[column.number];
      const auto n = static_cast<std::uint64_t>(metadata_.row_groups[g].n_rows);
      if (chunk.n_values != n) {
        return Status::corrupt(fmt::format("{}: row group {}: column {} has {} values, the row group {} rows",
                                           out_.columns_.label, g, column.column.name, chunk.n_values, n));
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
    return resize_for(out_.columns_.label, budget_, out_.held_, MemoryTag::index,
                      RowEnds::bytes(out_.columns_.n_rows) + out_.col_.pages.bytes() +
                          out_.data_.pages.bytes() + out_.first_.capacity() * sizeof(std::uint64_t) +
                          sizeof(CooSource));
  }

  void finish() {
    SourceTraits& t = out_.traits_;
    t.n_rows = out_.columns_.n_rows;
    t.n_cols = out_.columns_.n_cols;
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
  MemoryBudget& budget_;
  CooSource& out_;
  PageWalker walker_;
};

Result<std::shared_ptr<const CooSource>> CooSource::open(const FileMetadata& metadata, CooColumns columns,
                                                         MemoryBudget& index_budget) {
  if (columns.n_rows >= 0xffffffffu || columns.n_cols >= 0xffffffffu) {
    return Status::unsupported(fmt::format("{}: a matrix of {} x {}; fewer than 2^32 - 1 are read",
                                           columns.label, columns.n_rows, columns.n_cols));
  }
  std::shared_ptr<CooSource> source(new CooSource);
  source->columns_ = std::move(columns);
  PENSTOCK_RETURN_IF_ERROR(Opener(metadata, index_budget, *source).run());
  return std::shared_ptr<const CooSource>(std::move(source));
}

}  // namespace penstock::parquet
