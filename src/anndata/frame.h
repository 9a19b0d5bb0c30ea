// The obs and var tables of an AnnData file: which columns there are and where their arrays lie. Opening a
// frame reads the names of its columns; a column is opened when it is asked for, and read by column_reader.h.
//
// Two layouts are told apart by content: modern (encoding-type attributes; categoricals are groups of codes
// and categories) and 0.7 (categoricals are integer arrays whose `categories` attribute refers to
// `__categories/<column>`). Compound tables, older still, are `unsupported`.
//
// Thread contract: immutable after open. Ownership: keeps the file open.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "penstock/dataset.h"
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
  // `group` is obs, var or raw/var.
  static Result<Frame> open(std::shared_ptr<const store::Node> node);

  std::uint64_t n_rows() const { return index_.size(); }
  // In the order of `column-order`; without the index.
  const std::vector<std::string>& columns() const { return columns_; }
  const FrameColumn& index() const { return index_; }
  bool has(const std::string& name) const;
  // not_found suggests near names; a listed column that is absent or has another length is `corrupt`.
  Result<FrameColumn> column(const std::string& name) const;
  ColumnInfo info(const std::string& name) const;
  // "a.h5ad: /obs"
  std::string where() const { return node_->where(); }

 private:
  std::shared_ptr<const store::Node> node_;  // a group
  std::vector<std::string> columns_;
  std::string index_name_;
  FrameColumn index_;
};

}  // namespace penstock::anndata
