#include "anndata/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/checked.h"
#include "source/numbers.h"

namespace penstock::anndata {

namespace {

// An array to go through; `limit`: elements are column numbers below it (0: any value will do).
struct Task {
  std::shared_ptr<const store::Array> array;
  std::uint64_t limit = 0;

  // Elements of a piece: a chunk, or 1 MB of an array stored in one piece.
  std::uint64_t piece() const {
    if (array->is_chunked()) return std::max<std::uint64_t>(array->chunk_elements(), 1);
    return std::max<std::uint64_t>((1 << 20) / std::max<std::uint32_t>(array->dtype().size, 1), 1);
  }
  std::uint64_t pieces() const { return ceil_div(array->size(), piece()); }
};

bool fixed_width(const store::Array& array) {
  return array.dtype().cls == store::TypeClass::number || array.dtype().cls == store::TypeClass::boolean;
}

void add_column(const FrameColumn& column, std::vector<Task>& tasks) {
  if (fixed_width(*column.values)) tasks.push_back({column.values});
  if (column.mask) tasks.push_back({column.mask});
}

class ArrayVerifier {
 public:
  ArrayVerifier(MemoryBudget& budget, const std::function<void(const std::string&)>& report)
      : budget_(budget), report_(report) {}

  void bad(const std::string& message) {
    ++counts_.bad;
    if (report_) report_(message);
  }

  // Each piece of a task; memory that cannot be had is an error, everything else a report.
  Status run(const Task& task, const std::function<void()>& step) {
    const store::Array& array = *task.array;
    const auto bytes = checked_mul(std::min(task.piece(), array.size()), array.dtype().size);
    const ByteCount out_bytes = array.is_chunked() ? array.chunk_bytes() : bytes.value_or(0);
    const ByteCount scratch_bytes = array.is_chunked() ? array.step_bytes() : array.range_scratch_bytes();
    PENSTOCK_ASSIGN_OR_RETURN(const auto held,
                              budget_.reserve(MemoryTag::scratch, out_bytes + scratch_bytes));
    std::vector<std::byte> out(out_bytes), scratch(scratch_bytes);
    for (std::uint64_t number = 0; number < task.pieces(); ++number) {
      const Status status = check(task, number, out, scratch);
      if (status.code() == StatusCode::budget) return status;
      if (!status.ok()) bad(status.message());
      ++counts_.chunks;
      step();
    }
    return {};
  }

  const Dataset::VerifyCounts& counts() const { return counts_; }

 private:
  Status check(const Task& task, std::uint64_t number, std::span<std::byte> out,
               std::span<std::byte> scratch) {
    const store::Array& array = *task.array;
    const std::uint64_t first = number * task.piece(), n = std::min(task.piece(), array.size() - first);
    RequestList list;
    array.add_requests(first, n, Heads::whole, list);
    PENSTOCK_ASSIGN_OR_RETURN(const auto held, budget_.reserve(MemoryTag::fetch, list.total_bytes()));
    std::vector<std::byte> fetched(list.total_bytes());
    ByteCount at = 0;
    for (const ReadRequest& request : list.requests()) {
      Status read = request.file->read_at(request.offset, std::span(fetched).subspan(at, request.bytes));
      if (!read.ok()) {
        return std::move(read).with_context(
            fmt::format("{} chunk {} at byte 0x{:x}", array.where(), number, request.offset));
      }
      at += request.bytes;
    }
    counts_.bytes += at;
    const Fetched found(list.requests(), fetched.data());
    // Chunks are decoded whole, the padding of the last one too: a checksum covers all of it.
    PENSTOCK_RETURN_IF_ERROR(
        array.is_chunked()
            ? array.decode_chunk(number, found, out, scratch, codec_, nullptr)
            : array.decode_range(first, n, found, scratch, codec_, out.first(n * array.dtype().size)));
    if (task.limit == 0) return {};
    numbers_.resize(n);
    to_int64(array.dtype().number, out.data(), numbers_);
    const auto wrong = std::find_if(numbers_.begin(), numbers_.end(), [&](std::int64_t column) {
      return column < 0 || static_cast<std::uint64_t>(column) >= task.limit;
    });
    if (wrong == numbers_.end()) return {};
    const std::string where = array.is_chunked() && array.chunk(number).present
                                  ? fmt::format(" at byte 0x{:x}", array.chunk(number).offset)
                                  : std::string();
    return Status::corrupt(
        fmt::format("{} chunk {}{}: element {} is column {} of a matrix of {}", array.where(), number, where,
                    first + static_cast<std::uint64_t>(wrong - numbers_.begin()), *wrong, task.limit));
  }

  MemoryBudget& budget_;
  const std::function<void(const std::string&)>& report_;
  Dataset::VerifyCounts counts_;
  CodecContext codec_;
  std::vector<std::int64_t> numbers_;
};

// Arrays share ownership with the source that keeps them.
std::shared_ptr<const store::Array> shared(const std::shared_ptr<const CsrSource>& source,
                                           const store::Array& array) {
  return {source, &array};
}

// The arrays of a file; `bad` hears of columns that cannot be opened.
std::vector<Task> tasks_of(const AnnDataFile& file, const std::function<void(const std::string&)>& bad) {
  std::vector<Task> tasks;
  const auto& matrix = file.matrix;
  // n_cols may be 0 only where there is no element to check.
  tasks.push_back({shared(matrix, matrix->data())});
  tasks.push_back({shared(matrix, matrix->indices()), std::max<std::uint64_t>(matrix->traits().n_cols, 1)});
  tasks.push_back({shared(matrix, matrix->indptr())});
  for (const std::string& name : file.obs.columns()) {
    const auto column = file.obs.column(name);
    if (column.ok()) {
      add_column(*column, tasks);
    } else if (column.status().code() != StatusCode::unsupported) {
      bad(column.status().message());
    }
  }
  return tasks;
}

}  // namespace

std::uint64_t verify_chunks(const AnnDataFile& file) {
  std::uint64_t chunks = 0;
  for (const Task& task : tasks_of(file, [](const std::string&) {})) chunks += task.pieces();
  return chunks;
}

Result<Dataset::VerifyCounts> verify(const AnnDataFile& file, const OpenedFile::Verifier& verifier,
                                     MemoryBudget& budget) {
  ArrayVerifier arrays(budget, verifier.report);
  const auto tasks = tasks_of(file, [&](const std::string& message) { arrays.bad(message); });
  for (const Task& task : tasks) PENSTOCK_RETURN_IF_ERROR(arrays.run(task, verifier.step));
  return arrays.counts();
}

}  // namespace penstock::anndata
