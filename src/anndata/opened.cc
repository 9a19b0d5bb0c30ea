#include "anndata/opened.h"

#include "anndata/anndata_file.h"
#include "anndata/matrices.h"
#include "anndata/table.h"
#include "anndata/verify.h"

namespace penstock::anndata {

namespace {

class OpenedAnnData final : public OpenedFile {
 public:
  OpenedAnnData(AnnDataFile file, std::string matrix)
      : file_(std::move(file)),
        name_(std::move(matrix)),
        matrix_(file_.matrix),
        obs_(make_table(file_.obs)),
        var_(make_table(file_.var)) {}

  const std::shared_ptr<const RowSource>& matrix() const override { return matrix_; }
  const std::shared_ptr<const Table>& obs() const override { return obs_; }
  const std::shared_ptr<const Table>& var() const override { return var_; }
  ByteCount file_bytes() const override {
    const File* bytes = file_.matrix->data().file();
    return bytes != nullptr ? bytes->size() : 0;
  }
  Result<std::vector<std::string>> other_matrices() const override {
    PENSTOCK_ASSIGN_OR_RETURN(const auto entries, list_matrices(*file_.root));
    std::vector<std::string> names;
    for (const auto& entry : entries) {
      if (entry.readable && entry.name != name_) names.push_back(entry.name);
    }
    return names;
  }
  Result<std::optional<bool>> looks_like_counts(const std::string& matrix) const override {
    if (matrix == name_) return anndata::looks_like_counts(file_.matrix->data());
    PENSTOCK_ASSIGN_OR_RETURN(const auto parts, open_csr(*file_.root, matrix));
    return anndata::looks_like_counts(*parts.data);
  }
  std::uint64_t verify_chunks() const override { return anndata::verify_chunks(file_); }
  Result<Dataset::VerifyCounts> verify(const Verifier& verifier, MemoryBudget& budget) const override {
    return anndata::verify(file_, verifier, budget);
  }

 private:
  const AnnDataFile file_;
  const std::string name_;
  const std::shared_ptr<const RowSource> matrix_;
  const std::shared_ptr<const Table> obs_, var_;
};

}  // namespace

Result<std::shared_ptr<const OpenedFile>> open_anndata(std::shared_ptr<const store::Group> root,
                                                       const std::string& matrix,
                                                       MemoryBudget& index_budget) {
  PENSTOCK_ASSIGN_OR_RETURN(AnnDataFile file, AnnDataFile::open(std::move(root), matrix, index_budget));
  return std::shared_ptr<const OpenedFile>(std::make_shared<const OpenedAnnData>(std::move(file), matrix));
}

}  // namespace penstock::anndata
