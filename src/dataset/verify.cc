#include "dataset/verify.h"

#include <new>

namespace penstock::internal {

Result<Dataset::VerifyCounts> verify(const OpenedFiles& opened,
                                     const std::function<void(const std::string&)>& report,
                                     const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  try {
    std::uint64_t total = 0, done = 0;
    for (const OpenedFiles::File& file : opened.files) total += file.content->verify_chunks();
    const OpenedFile::Verifier verifier{report, [&] {
                                          ++done;
                                          if (progress) progress(done, total);
                                        }};
    Dataset::VerifyCounts sum;
    for (const OpenedFiles::File& file : opened.files) {
      PENSTOCK_ASSIGN_OR_RETURN(const auto counts, file.content->verify(verifier, *opened.budget));
      sum.chunks += counts.chunks;
      sum.bad += counts.bad;
      sum.bytes += counts.bytes;
    }
    return sum;
  } catch (const std::bad_alloc&) {
    return Status::budget("the system has no memory for a chunk");
  }
}

}  // namespace penstock::internal
