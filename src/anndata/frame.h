// The obs and var tables of an AnnData file: which columns there are and where their arrays lie. Opening a
// frame reads the names of its columns; a column is opened when it is asked for, and read by column_reader.h.
//
// Three layouts are told apart by content: modern (encoding-type attributes; categoricals are groups of codes
// and categories), 0.7 (categoricals are integer arrays whose `categories` attribute refers to
// `__categories/<column>`), and older ones (one compound array; its first field is the index, and
// `uns/<column>_categories` makes a field of integers a categorical).
//
// Thread contract: immutable after open. Ownership: keeps the file open.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/names.h"
#include "penstock/column.h"
#include "penstock/status.h"
#include "store/store.h"

namespace penstock::anndata {

// The arrays of one column (or of the categories of one), opened but not read.
struct FrameColumn {
  enum class Encoding : std::uint8_t {
    number,
    boolean,
    string,
    categorical,      // values: codes
    nullable_number,  // values and mask, as the next two
    nullable_boolean,
    nullable_string,
  };
  Encoding encoding = Encoding::number;
  std::string where;  // "a.h5ad: /obs/drug"
  std::string dtype;  // as in penstock::Column
  std::shared_ptr<const store::Array> values;
  std::shared_ptr<const store::Array> mask;       // 1 = missing
  std::shared_ptr<const FrameColumn> categories;  // categorical only
  bool ordered = false;

  std::uint64_t size() const { return values->size(); }
};

// A column, the index of a frame, or a list of categories. `unsupported` names the encoding when it is not
// read; `corrupt` when its parts contradict each other.
Result<FrameColumn> open_column(std::shared_ptr<const store::Node> node);

class Frame {
 public:
  Frame() = default;
  // `node` is obs, var or raw/var; `uns`: of the file, where old tables have their categories, or null.
  static Result<Frame> open(std::shared_ptr<const store::Node> node,
                            std::shared_ptr<const store::Group> uns = nullptr);

  std::uint64_t n_rows() const { return index_.size(); }
  // In the order of `column-order`; without the index. Names that are not UTF-8 are listed as shown_text()
  // has them (base/names.h), and cannot be read: nobody could ask for them.
  const std::vector<std::string>& columns() const { return columns_; }
  const FrameColumn& index() const { return index_; }
  bool has(const std::string& name) const;
  // not_found suggests near names; a listed column that is absent or has another length is `corrupt`; one
  // whose name is not UTF-8 is `unsupported`.
  Result<FrameColumn> column(const std::string& name) const;
  ColumnInfo info(const std::string& name) const;
  // "a.h5ad: /obs"
  std::string where() const { return node_->where(); }

 private:
  Status open_group(const store::Group& group);
  Status open_records(std::shared_ptr<const store::Array> records);
  Result<FrameColumn> field(const std::string& name) const;
  Result<FrameColumn> child(const std::string& name) const;
  Status no_text(const std::string& name) const;

  std::shared_ptr<const store::Node> node_;      // a group, or
  std::shared_ptr<const store::Array> records_;  // a compound array
  std::shared_ptr<const store::Group> uns_;
  std::vector<std::string> columns_;
  NameOrder order_;                // of columns_
  std::set<std::string> no_text_;  // of columns_: those whose names are not UTF-8
  std::string index_name_;
  FrameColumn index_;
};

}  // namespace penstock::anndata
