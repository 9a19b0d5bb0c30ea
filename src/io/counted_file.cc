#include "io/counted_file.h"

#include <utility>

namespace penstock {
namespace {

// In the block that every thread begins with: elsewhere the C library takes memory for it at the first use,
// and aborts when there is none.
[[gnu::tls_model("initial-exec")]] thread_local ByteCount t_bytes_read = 0;

class CountedFile final : public File {
 public:
  CountedFile(std::shared_ptr<const File> file, std::shared_ptr<ReadCounts> counts)
      : file_(std::move(file)), counts_(std::move(counts)) {}

  Status read_at(ByteOffset offset, std::span<std::byte> out) const override {
    // Counted after the read, so that the sum is of bytes that somebody got.
    PENSTOCK_RETURN_IF_ERROR(file_->read_at(offset, out));
    if (out.empty()) return {};
    // Relaxed: the two numbers are shown and added up, and nothing is decided by them together.
    counts_->bytes.fetch_add(out.size(), std::memory_order_relaxed);
    counts_->reads.fetch_add(1, std::memory_order_relaxed);
    t_bytes_read += out.size();
    return {};
  }
  Status unchanged() const override { return file_->unchanged(); }
  ByteCount size() const override { return file_->size(); }
  const std::string& label() const override { return file_->label(); }

 private:
  const std::shared_ptr<const File> file_;
  const std::shared_ptr<ReadCounts> counts_;
};

}  // namespace

std::shared_ptr<const File> count_reads(std::shared_ptr<const File> file,
                                        std::shared_ptr<ReadCounts> counts) {
  return std::make_shared<const CountedFile>(std::move(file), std::move(counts));
}

ByteCount thread_bytes_read() { return t_bytes_read; }

}  // namespace penstock
