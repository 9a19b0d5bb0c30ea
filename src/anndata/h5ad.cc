// What the engine knows of HDF5 files: how to tell one, open one and verify one (source/format.h). A file is
// told by its signature and not by its ending. Inside it may be AnnData, or what Cell Ranger writes; all else
// is refused in anndata_file.cc, which says what it is and how to convert it.
#include "anndata/h5ad.h"

#include <fmt/format.h>

#include "anndata/opened.h"
#include "anndata/tenx.h"
#include "anndata/verify.h"
#include "hdf5/hdf5.h"

namespace penstock::anndata {
namespace {

Result<std::shared_ptr<const store::Group>> open_root(const std::string& path, const OpenContext& context) {
  store::OpenLimits limits;
  limits.index_budget = context.budget;
  limits.opener = context.opener;
  return hdf5::open(path, limits);
}

class Opener final : public FormatOpener {
 public:
  explicit Opener(OpenContext context) : context_(std::move(context)) {}

  Result<std::shared_ptr<const OpenedFile>> open(const std::string& path) override {
    const OpenOptions& options = *context_.options;
    // An option that means nothing in this format is refused. Ignored, it would leave the user with another
    // matrix than the one they think they have.
    if (!options.var.empty()) {
      return Status::invalid_argument(
          fmt::format("{}: var='{}' names the gene table of Parquet files of lists; this is an HDF5 file",
                      path, options.var));
    }
    if (!options.row.empty() || !options.col.empty() || !options.value.empty() || !options.obs.empty()) {
      return Status::invalid_argument(
          fmt::format("{}: row=, col=, value= and obs= name columns of a Parquet file; this is an HDF5 file, "
                      "which says itself what its matrix and its obs are",
                      path));
    }
    PENSTOCK_ASSIGN_OR_RETURN(auto root, open_root(path, context_));
    // A 10x file has no obs and no var, so that as an AnnData file it could only be refused.
    if (is_tenx(*root)) return open_tenx(root, options, *context_.budget);
    if (!options.genome.empty() || !options.feature_type.empty()) {
      return Status::invalid_argument(
          fmt::format("{}: genome= and feature_type= choose features of a 10x .h5 file; this is none", path));
    }
    return open_anndata(std::move(root), options.matrix, *context_.budget);
  }

 private:
  const OpenContext context_;
};

// An HDF5 file is one file, never a folder.
bool no_folder(const std::string&) { return false; }

std::unique_ptr<FormatOpener> make_opener(OpenContext context) {
  return std::make_unique<Opener>(std::move(context));
}

Status verify_file(const std::string& path, const VerifyOptions& options, OpenContext context, VerifyLog& log,
                   MemoryBudget& work) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto root, open_root(path, context));
  if (is_tenx(*root)) return verify_tenx(root, log, *context.budget, work);
  // An empty name stands for all matrices.
  return verify(root, options.every_matrix ? std::string() : options.open.matrix, log, *context.budget, work);
}

}  // namespace

const Format& h5ad_format() {
  static constexpr Format kFormat = {.name = "HDF5",
                                     .ending = ".h5ad",
                                     .companions = {},
                                     .tell_folder = no_folder,
                                     .tell = hdf5::is_hdf5,
                                     .open = make_opener,
                                     .verify = verify_file};
  return kFormat;
}

}  // namespace penstock::anndata
