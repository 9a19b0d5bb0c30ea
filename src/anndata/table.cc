// The tables of AnnData as everything behind this folder sees them (source/table.h). Queries and labels know
// that interface alone, and Parquet has its own classes under it. These two keep a frame or a column open and
// pass each question on to frame.cc, column_reader.cc or stream_column.cc.
#include "anndata/table.h"

#include "anndata/column_reader.h"
#include "anndata/stream_column.h"

namespace penstock::anndata {

namespace {

// A column of a frame, which knows where its arrays lie, as one that can be read.
class ColumnOfFrame final : public TableColumn {
 public:
  explicit ColumnOfFrame(FrameColumn column) : column_(std::move(column)) {}

  Encoding encoding() const override {
    switch (column_.encoding) {
      case FrameColumn::Encoding::categorical:
        return Encoding::categorical;
      case FrameColumn::Encoding::boolean:
      // Whether values can be missing is not part of an encoding here: masked() says so.
      case FrameColumn::Encoding::nullable_boolean:
        return Encoding::boolean;
      case FrameColumn::Encoding::string:
      case FrameColumn::Encoding::nullable_string:
        return Encoding::string;
      case FrameColumn::Encoding::number:
      case FrameColumn::Encoding::nullable_number:
        break;
    }
    return Encoding::number;
  }
  NumericType number() const override { return column_.values->dtype().number; }
  const std::string& where() const override { return column_.where; }
  const std::string& dtype() const override { return column_.dtype; }
  bool ordered() const override { return column_.ordered; }
  bool masked() const override { return column_.mask != nullptr; }
  std::uint64_t size() const override { return column_.size(); }
  Result<std::shared_ptr<const Categories>> categories(MemoryBudget& budget) const override {
    return read_categories(column_, budget);
  }
  // The same question as of the free function, which is hidden by this name.
  std::uint64_t rows_at_once() const override { return anndata::rows_at_once(column_); }
  Result<Column> read(std::uint64_t first, std::uint64_t count, std::uint64_t n_categories) const override {
    return read_rows(column_, first, count, n_categories);
  }
  std::shared_ptr<const ObsColumn> stream(std::uint64_t n_categories) const override {
    return stream_column(column_, n_categories);
  }

 private:
  const FrameColumn column_;
};

// Where a frame is a group, its columns are opened when they are asked for, each time anew.
class TableOfFrame final : public Table {
 public:
  explicit TableOfFrame(Frame frame) : frame_(std::move(frame)) {}

  std::uint64_t n_rows() const override { return frame_.n_rows(); }
  const std::vector<std::string>& columns() const override { return frame_.columns(); }
  bool has(const std::string& name) const override { return frame_.has(name); }
  Result<std::shared_ptr<const TableColumn>> index() const override { return make_column(frame_.index()); }
  Result<std::shared_ptr<const TableColumn>> column(const std::string& name) const override {
    PENSTOCK_ASSIGN_OR_RETURN(FrameColumn opened, frame_.column(name));
    return make_column(std::move(opened));
  }
  ColumnInfo info(const std::string& name) const override { return frame_.info(name); }
  // HDF5 and zarr keep no bounds. The column is opened all the same, so that one that is not there, or not
  // read, is an error here as it is elsewhere.
  Result<std::vector<ColumnBounds>> bounds(const std::string& name) const override {
    PENSTOCK_ASSIGN_OR_RETURN(const FrameColumn opened, frame_.column(name));
    return std::vector<ColumnBounds>();
  }
  std::string where() const override { return frame_.where(); }

 private:
  const Frame frame_;
};

}  // namespace

std::shared_ptr<const Table> make_table(Frame frame) {
  return std::make_shared<const TableOfFrame>(std::move(frame));
}

std::shared_ptr<const TableColumn> make_column(FrameColumn column) {
  return std::make_shared<const ColumnOfFrame>(std::move(column));
}

}  // namespace penstock::anndata
