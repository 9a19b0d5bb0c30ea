// The column "@file". It is made up: all rows of a file have the same code, so that it takes no memory a row
// and no reading. Everything that takes a column, queries, labels and splits, takes it, because it is put
// beside the file's own columns here and nobody else knows of it.
#include "dataset/file_column.h"

#include <set>
#include <unordered_map>
#include <utility>

#include "memory/reserve_for.h"
#include "source/codes_in_memory.h"
#include "source/column_text.h"

namespace penstock::internal {

namespace {

// Every row of a file has the file's code.
struct SameCode {
  std::int32_t code;
  std::int32_t operator()(RowIndex) const { return code; }
};

class FileOfRows final : public TableColumn {
 public:
  FileOfRows(std::uint64_t n_rows, std::string where, std::shared_ptr<const Categories> files,
             std::int32_t code)
      : n_rows_(n_rows), where_(std::move(where)), files_(std::move(files)), code_(code) {}
  Encoding encoding() const override { return Encoding::categorical; }
  NumericType number() const override { return NumericType::i32; }
  const std::string& where() const override { return where_; }
  const std::string& dtype() const override { return dtype_; }
  bool ordered() const override { return false; }
  bool masked() const override { return false; }
  std::uint64_t size() const override { return n_rows_; }
  Result<std::shared_ptr<const Categories>> categories(MemoryBudget&) const override { return files_; }
  std::uint64_t rows_at_once() const override { return 64 << 10; }
  Result<Column> read(std::uint64_t, std::uint64_t count, std::uint64_t) const override {
    Column out;
    out.kind = Column::Kind::categorical;
    out.codes.assign(count, code_);
    return out;
  }
  std::shared_ptr<const ObsColumn> stream(std::uint64_t) const override {
    return std::make_shared<const CodesInMemory<SameCode>>(n_rows_, SameCode{code_});
  }
  const std::string& name() const { return files_->names[static_cast<std::size_t>(code_)]; }

 private:
  const std::uint64_t n_rows_;
  const std::string where_, dtype_ = "category";
  const std::shared_ptr<const Categories> files_;
  const std::int32_t code_;
};

class WithFile final : public Table {
 public:
  WithFile(std::shared_ptr<const Table> table, std::shared_ptr<const Categories> files, std::int32_t code)
      : table_(std::move(table)),
        file_(std::make_shared<const FileOfRows>(table_->n_rows(), table_->where() + "/" + kFileColumn,
                                                 std::move(files), code)) {}
  std::uint64_t n_rows() const override { return table_->n_rows(); }
  const std::vector<std::string>& columns() const override { return table_->columns(); }
  bool has(const std::string& name) const override { return is_file(name) || table_->has(name); }
  Result<std::shared_ptr<const TableColumn>> index() const override { return table_->index(); }
  Result<std::shared_ptr<const TableColumn>> column(const std::string& name) const override {
    if (is_file(name)) return std::shared_ptr<const TableColumn>(file_);
    return table_->column(name);
  }
  ColumnInfo info(const std::string& name) const override {
    if (!is_file(name)) return table_->info(name);
    ColumnInfo info;
    info.name = name;
    info.dtype = file_->dtype();
    return info;
  }
  // A query for some of the files reads nothing of the others.
  Result<std::vector<ColumnBounds>> bounds(const std::string& name) const override {
    if (!is_file(name)) return table_->bounds(name);
    if (n_rows() == 0) return std::vector<ColumnBounds>();
    return std::vector<ColumnBounds>{{{0, n_rows()}, file_->name(), file_->name(), 0}};
  }
  std::string where() const override { return table_->where(); }

 private:
  bool is_file(const std::string& name) const { return name == kFileColumn && !table_->has(name); }

  const std::shared_ptr<const Table> table_;
  const std::shared_ptr<const FileOfRows> file_;
};

std::string base_name(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

// Without folders, unless two files would have the same name.
std::vector<std::string> names_of(const std::vector<std::string>& paths) {
  std::vector<std::string> names;
  for (const std::string& path : paths) names.push_back(base_name(path));
  // A file that is opened twice has one name twice, and that is right; two files a/x.h5ad and b/x.h5ad must
  // not.
  const std::set<std::string> files(paths.begin(), paths.end()), different(names.begin(), names.end());
  return different.size() == files.size() ? names : paths;
}

}  // namespace

Result<std::vector<std::shared_ptr<const Table>>> with_file_column(
    const std::vector<std::string>& paths, std::vector<std::shared_ptr<const Table>> tables,
    MemoryBudget& budget) {
  auto files = std::make_shared<Categories>();
  std::unordered_map<std::string, std::int32_t> codes;
  std::vector<std::int32_t> code_of;
  // Codes are numbered by first appearance; the list is sorted when it is united with others (obs_table.cc).
  for (std::string& name : names_of(paths)) {
    const auto [found, is_new] = codes.try_emplace(name, static_cast<std::int32_t>(files->names.size()));
    code_of.push_back(found->second);
    if (is_new) files->names.push_back(std::move(name));
  }
  PENSTOCK_ASSIGN_OR_RETURN(files->held,
                            reserve_for(kFileColumn, budget, MemoryTag::obs, string_bytes(files->names)));
  for (std::size_t i = 0; i < tables.size(); ++i) {
    tables[i] = std::make_shared<const WithFile>(std::move(tables[i]), files, code_of[i]);
  }
  return tables;
}

}  // namespace penstock::internal
