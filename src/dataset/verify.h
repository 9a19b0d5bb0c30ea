// Decodes every chunk of what a Dataset would read and tells of those that cannot be decoded.
//
// Thread contract: pure function of immutable files. Memory: one chunk stored and decoded, reserved from the
// index budget. What is decoded is the format's to say (source/opened_file.h).
#pragma once

#include <functional>
#include <string>

#include "dataset/opened_files.h"
#include "penstock/dataset.h"
#include "penstock/status.h"

namespace penstock::internal {

Result<Dataset::VerifyCounts> verify(const OpenedFiles& opened,
                                     const std::function<void(const std::string&)>& report,
                                     const std::function<void(std::uint64_t, std::uint64_t)>& progress);

}  // namespace penstock::internal
