// What the rest of the program knows of Parquet: a record of names and functions (source/format.h). One
// opener serves all files of a Dataset, so that a gene table is read once and the files of wide tables share
// the names of their columns (SharedTables).
#include "parquet/format.h"

#include <fmt/format.h>

#include <array>

#include "parquet/metadata.h"
#include "parquet/parquet_file.h"
#include "parquet/verify.h"

namespace penstock::parquet {
namespace {

// Tables that lie beside files with rows: gene tables, and those of a pqdata folder.
constexpr std::array<std::string_view, 4> kCompanions = {"gene_metadata.parquet", "sample_metadata.parquet",
                                                         "obs.parquet", "var.parquet"};

class Opener final : public FormatOpener {
 public:
  explicit Opener(OpenContext context) : context_(std::move(context)) {}
  Result<std::shared_ptr<const OpenedFile>> open(const std::string& path) override {
    if (!context_.options->genome.empty() || !context_.options->feature_type.empty()) {
      return Status::invalid_argument(fmt::format(
          "{}: genome= and feature_type= choose features of a 10x .h5 file; this is a Parquet file", path));
    }
    return open_parquet(path, context_, tables_);
  }

 private:
  const OpenContext context_;
  SharedTables tables_;
};

std::unique_ptr<FormatOpener> make_opener(OpenContext context) {
  return std::make_unique<Opener>(std::move(context));
}

}  // namespace

const Format& parquet_format() {
  static constexpr Format kFormat = {.name = "Parquet",
                                     .ending = ".parquet",
                                     .companions = kCompanions,
                                     .tell_folder = is_pqdata,
                                     .tell = begins_as_parquet,
                                     .open = make_opener,
                                     .verify = verify};
  return kFormat;
}

}  // namespace penstock::parquet
