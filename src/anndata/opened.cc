// An opened AnnData file as everything behind this folder sees it (source/opened_file.h): one matrix and two
// tables, and questions about the rest of the file. The other matrices and the entries of obsm are looked for
// when somebody asks, because most users never do.
#include "anndata/opened.h"

#include "anndata/anndata_file.h"
#include "anndata/file_notes.h"
#include "anndata/matrices.h"
#include "anndata/obsm.h"
#include "anndata/table.h"

namespace penstock::anndata {

namespace {

class OpenedAnnData final : public OpenedFile {
 public:
  OpenedAnnData(AnnDataFile file, std::string matrix, std::vector<Note> notes)
      : file_(std::move(file)),
        name_(std::move(matrix)),
        matrix_(file_.matrix),
        obs_(make_table(file_.obs)),
        var_(make_table(file_.var)),
        notes_(std::move(notes)) {}

  const std::shared_ptr<const RowSource>& matrix() const override { return matrix_; }
  const std::shared_ptr<const Table>& obs() const override { return obs_; }
  const std::shared_ptr<const Table>& var() const override { return var_; }
  ByteCount file_bytes() const override {
    // Any array knows its file. Where there is no X, the index of obs is one.
    const File* bytes = (file_.values != nullptr ? file_.values : file_.obs.index().values)->file();
    return bytes != nullptr ? bytes->size() : 0;
  }
  Result<std::vector<std::string>> other_matrices() const override {
    PENSTOCK_ASSIGN_OR_RETURN(const auto entries, list_matrices(*file_.object));
    std::vector<std::string> names;
    for (const auto& entry : entries) {
      if (entry.readable && entry.name != name_) names.push_back(entry.name);
    }
    return names;
  }
  Result<std::optional<bool>> looks_like_counts(const std::string& matrix) const override {
    // There is no X to look at.
    if (matrix == name_ && file_.values == nullptr) return std::optional<bool>();
    if (matrix == name_) return anndata::looks_like_counts(*file_.values);
    // Another matrix than the open one: only its values are opened, not its index.
    PENSTOCK_ASSIGN_OR_RETURN(const auto values, open_values(*file_.object, matrix));
    return anndata::looks_like_counts(*values);
  }
  Result<std::shared_ptr<const ObsmArray>> obsm(const std::string& name) const override {
    return open_obsm(*file_.object, name, file_.obs.n_rows());
  }
  Result<std::vector<ObsmInfo>> obsm_entries() const override {
    return list_obsm(*file_.object, file_.obs.n_rows());
  }
  std::vector<Note> notes() const override { return notes_; }

 private:
  const AnnDataFile file_;
  const std::string name_;
  const std::shared_ptr<const RowSource> matrix_;
  const std::shared_ptr<const Table> obs_, var_;
  const std::vector<Note> notes_;
};

}  // namespace

Result<std::shared_ptr<const OpenedFile>> open_anndata(std::shared_ptr<const store::Group> root,
                                                       const std::string& matrix,
                                                       MemoryBudget& index_budget) {
  // `matrix` has been checked by then: it is the name of what is open, and other_matrices() leaves it out.
  auto notes = notes_of(*root);
  PENSTOCK_ASSIGN_OR_RETURN(AnnDataFile file, AnnDataFile::open(std::move(root), matrix, index_budget));
  return std::shared_ptr<const OpenedFile>(
      std::make_shared<const OpenedAnnData>(std::move(file), matrix, std::move(notes)));
}

}  // namespace penstock::anndata
