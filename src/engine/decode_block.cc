// A block in three steps: what travels beside its rows (labels, vectors of obsm) is made ready, then, with a
// sampling, how often each row is wanted, which follows from labels; then rows stream from the source into
// Scatter, tile by tile. Whatever fails, rows that have come stay, and Scatter::fail_rest() marks the others.
#include "engine/decode_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/counters.h"
#include "source/read_requests.h"

namespace penstock::loader {
namespace {

// Takes the first n rows away.
void drop_rows(std::vector<RowRange>& rows, std::uint64_t n) {
  // Each range is visited once, in order: 5 rows off [0, 3), [10, 20) leave [12, 20).
  std::erase_if(rows, [&n](RowRange& range) {
    const std::uint64_t part = std::min<std::uint64_t>(n, range.size());
    n -= part;
    range.first += part;
    return range.first == range.last;
  });
}

// Decodes what is left of a block of whose chunks too short a head was read: `wanted` without the rows that
// the sink has got. One range comes from whole chunks; those after it may be well estimated; when they are
// not either, range by range from whole chunks. So what is read at once is bounded like a block, and what is
// read in all by three times that.
//
// What was read first may lie in the very memory that is read into here: vectors of obsm, which are taken out
// of those bytes row by row, are read again, too. Labels have been decoded.
Status decode_rest(const EngineConfig& config, BlockTask& task, BesideRows& beside, Scatter& sink,
                   WorkerState& worker, RereadCounts* counts) {
  const std::uint32_t file = task.block.file;
  const RowSource& source = *config.parts[file].source;
  std::vector<RowRange>& wanted = task.wanted;
  Scratch scratch{worker.source_scratch, &worker.codec};
  scratch.totals = sink.wants_totals();
  const auto decode = [&](std::span<const RowRange> rows, Heads heads) -> Status {
    RequestList& list = worker.reread_requests;
    list.clear();
    PENSTOCK_RETURN_IF_ERROR(source.requests(rows, heads, list));
    config.obsm.requests(file, rows, list);
    list.coalesce(0, kCoalesceMax);
    PENSTOCK_RETURN_IF_ERROR(read_requests(list, worker.reread));
    counts->bytes += list.total_bytes();
    counts->requests += list.requests().size();
    const Fetched fetched(list.requests(), worker.reread.data());
    beside.obsm = config.obsm.prepare(file, fetched, {worker.obsm_scratch, &worker.codec});
    return source.decode(rows, fetched, scratch, sink);
  };
  drop_rows(wanted, sink.rows_decoded());
  PENSTOCK_RETURN_IF_ERROR(decode({&wanted.front(), 1}, Heads::whole));
  wanted.erase(wanted.begin());
  if (wanted.empty()) return {};
  const std::uint64_t before = sink.rows_decoded();
  const Status status = decode(wanted, Heads::estimated);
  if (!scratch.head_too_short) return status;
  drop_rows(wanted, sink.rows_decoded() - before);
  for (const RowRange& range : wanted) PENSTOCK_RETURN_IF_ERROR(decode({&range, 1}, Heads::whole));
  return {};
}

// What travels beside the block's rows, then the rows.
Status decode_rows(const EngineConfig& config, BlockTask& task, const std::byte* bytes, BesideRows& beside,
                   Scatter& scatter, WorkerState& worker, BlockCounts* counts) {
  const RowSource& source = *config.parts[task.block.file].source;
  const RowRange span{task.wanted.front().first, task.wanted.back().last};
  if (!task.error.ok()) {
    return Status(task.error)
        .with_context(fmt::format("{}: rows {} to {}", source.label(), span.first, span.last - 1));
  }
  const Fetched fetched(task.requests.requests(), bytes);
  PENSTOCK_ASSIGN_OR_RETURN(beside, config.read_beside(task.block.file, span, fetched, worker.label_scratch,
                                                       worker.obsm_scratch, worker.codec));
  (void)worker.codec.take_bytes();  // of labels: only the matrix counts as decoded
  PENSTOCK_RETURN_IF_ERROR(scatter.weigh(task));
  Scratch scratch{worker.source_scratch, &worker.codec};
  scratch.totals = config.record.has_total();
  scratch.turned = task.turned;
  Status status = source.decode(task.wanted, fetched, scratch, scatter);
  counts->entries_unknown = scratch.entries_dropped;
  if (scratch.head_too_short) {
    ++counts->heads_too_short;
    status = decode_rest(config, task, beside, scatter, worker, &counts->again);
  }
  PENSTOCK_RETURN_IF_ERROR(status);
  // A row too few would leave its bin incomplete, and next() waiting for ever.
  if (scatter.rows_placed() == task.segment.rows) return {};
  return Status::internal(
      fmt::format("a block came out with {} rows instead of {}", scatter.rows_placed(), task.segment.rows));
}

}  // namespace

Status decode_block(const EngineConfig& config, BlockTask& task, const std::byte* bytes, BesideRows& beside,
                    Scatter& scatter, WorkerState& worker, BlockCounts* counts) {
  const auto from = Clock::now();
  // What the codecs have counted since was of rows that were read again for a batch.
  (void)worker.codec.take_seconds();
  (void)worker.codec.take_bytes();
  Status status = decode_rows(config, task, bytes, beside, scatter, worker, counts);
  counts->file = task.block.file;
  counts->epoch = task.window->epoch();
  counts->bytes_read = task.bytes;
  counts->rows = scatter.rows_decoded();
  counts->bytes_decoded = worker.codec.take_bytes();
  counts->values_rounded = std::exchange(worker.encoder->counts().rounded, 0);
  counts->rows_sorted = std::exchange(worker.encoder->counts().rows_sorted, 0);
  counts->decompress_seconds = worker.codec.take_seconds();
  counts->scatter_seconds = scatter.seconds();
  counts->seconds = in_seconds(Clock::now() - from);
  return status;
}

}  // namespace penstock::loader
