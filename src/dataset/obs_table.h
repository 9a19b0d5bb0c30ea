// The obs columns of all files as one table: how a column's encodings fit together over the files, the union
// of its categories, its values by selected row, and its form as a label of batches. Read lazily, column by
// column.
//
// Thread contract: thread-safe; what has been opened is cached under a lock. Memory: categories and coded
// strings are reserved from the index budget under `obs`; values that are returned belong to the caller.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "dataset/dataset_impl.h"
#include "penstock/dataset.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/coded_strings.h"
#include "source/table.h"

namespace penstock::internal {

// A value of a column as something to compare by equality: an integer, a boolean, or a code of a category. It
// means the same over all files.
struct ObsKey {
  std::int64_t value = 0;  // 0 when missing
  bool missing = false;
};

class ObsTable {
 public:
  struct File {
    std::string path;
    std::shared_ptr<const Table> obs;
  };
  ObsTable(std::vector<File> files, std::shared_ptr<MemoryBudget> budget)
      : files_(std::move(files)), budget_(std::move(budget)) {}

  // Those of the first file; one that another file lacks is not usable and says so.
  std::vector<ColumnInfo> columns() const;
  ColumnInfo info(const std::string& name) const;
  // The selected rows of a column. `parts` is parallel to the files. Categoricals keep their list and its
  // order when all files have the same one; else the list is the sorted union.
  Result<Column> read(const std::string& name, std::span<const FilePart> parts) const;
  Result<std::vector<std::string>> names(std::span<const FilePart> parts) const;
  // Sorted union over all rows of all files.
  Result<std::vector<std::string>> categories(const std::string& name) const;
  Result<LabelColumn> label(const std::string& name, const std::vector<std::string>* given) const;
  // The selected rows of a column as keys, in order, some thousands at a time. invalid_argument for floats.
  Status keys(const std::string& name, std::span<const FilePart> parts,
              const std::function<Status(std::span<const ObsKey>)>& sink) const;

 private:
  // A column over the files, opened: its arrays and lists, without values.
  struct Merged {
    Column::Kind kind = Column::Kind::string;
    std::vector<std::shared_ptr<const TableColumn>> files;
    // Parallel to files; null where the file has no list of its own.
    std::vector<std::shared_ptr<const Categories>> lists;
    bool same_list = false;  // every file is a categorical with the same list in the same order
    bool ordered = false;    // only with same_list
    bool is_unsigned = false;
    std::string dtype;
  };
  // What codes stand for over all files.
  struct Union {
    std::vector<std::string> names;  // sorted
    Column::Kind kind = Column::Kind::string;
    std::vector<std::vector<std::int32_t>> codes;  // per file: local code + 1 -> code in names; [0] = -1
    std::vector<std::shared_ptr<const CodedStrings>> coded;  // per file; null for categoricals
    Reservation held;
  };

  Result<std::shared_ptr<const Merged>> merged(const std::string& name) const;
  Result<std::shared_ptr<const Union>> united(const std::string& name, const Merged& column) const;
  Result<Merged> open(const std::string& name) const;
  Result<Union> unite(const std::string& name, const Merged& column) const;
  Status merge_numbers(const std::string& name, Merged& column) const;
  Status merge_categories(const std::string& name, Merged& column) const;
  Status mismatch(const std::string& name, std::size_t a, const std::string& a_type, std::size_t b,
                  const std::string& b_type) const;
  ObsKind number_kind(const Merged& column) const;

  const std::vector<File> files_;
  const std::shared_ptr<MemoryBudget> budget_;
  mutable Mutex mutex_;
  mutable std::map<std::string, std::shared_ptr<const Merged>> merged_ PENSTOCK_GUARDED_BY(mutex_);
  mutable std::map<std::string, std::shared_ptr<const Union>> united_ PENSTOCK_GUARDED_BY(mutex_);
};

}  // namespace penstock::internal
