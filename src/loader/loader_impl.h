// The inside of a Loader.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "io/counted_file.h"
#include "penstock/loader.h"

namespace penstock::internal {

class LoaderImpl {
 public:
  Plan plan;
  std::shared_ptr<MemoryBudget> budget;
  std::vector<std::pair<std::string, std::vector<std::string>>> categories;  // of columns that come as codes
  std::vector<std::uint64_t> planned_file_bytes;                             // bytes_to_read by file
  std::unique_ptr<loader::Engine> engine;
  std::shared_ptr<const ReadCounts> file_reads;  // of the Dataset
  std::uint64_t bytes_opening = 0, bytes_planning = 0;
  const pid_t pid = getpid();
};

}  // namespace penstock::internal

namespace penstock::loader {

Result<std::unique_ptr<internal::LoaderImpl>> create_loader(std::shared_ptr<const Dataset> dataset,
                                                            LoaderOptions options);

}  // namespace penstock::loader
