// A format of files as a Dataset sees it: what it is called, how it is told, how it is opened. A format gives
// one of these, and src/dataset/formats.cc lists them; nothing else there knows a format.
//
// Thread contract: constants. An opener is externally synchronised.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "io/file.h"
#include "penstock/memory_budget.h"
#include "penstock/options.h"
#include "penstock/status.h"
#include "penstock/verify.h"
#include "source/opened_file.h"
#include "source/verify_log.h"

namespace penstock {

// What the files of a Dataset are opened with.
struct OpenContext {
  FileOpener opener;
  std::shared_ptr<MemoryBudget> budget;  // of all metadata
  const OpenOptions* options = nullptr;
  std::size_t n_files = 1;  // how many files there are to open: how closely to look at each follows from it
};

// Opens files one after the other, and remembers what they share.
class FormatOpener {
 public:
  virtual ~FormatOpener() = default;
  virtual Result<std::shared_ptr<const OpenedFile>> open(const std::string& path) = 0;
};

struct Format {
  std::string_view name;  // "HDF5"
  // Names of files of this format, as far as a folder is searched for them: ".h5ad". Those of `companions`
  // lie beside such files and hold no rows.
  std::string_view ending;
  std::span<const std::string_view> companions;
  // Whether a folder is one thing to open, and whether the first bytes of a file are this format's.
  bool (*tell_folder)(const std::string& path);
  Result<bool> (*tell)(const File& file);
  std::unique_ptr<FormatOpener> (*open)(OpenContext context);
  // Goes through everything in a file (penstock/verify.h). Metadata from the context's budget, the rest from
  // `work`.
  Status (*verify)(const std::string& path, const VerifyOptions& options, OpenContext context, VerifyLog& log,
                   MemoryBudget& work);
};

}  // namespace penstock
