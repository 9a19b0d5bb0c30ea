#include "loader/assemble.h"

#include <cstring>

#include "base/check.h"
#include "base/checked.h"
#include "batch/densify.h"
#include "batch/transform.h"
#include "loader/scatter.h"
#include "loader/sync_read.h"

namespace penstock::loader {
namespace {

constexpr ByteCount kAlign = 64;
constexpr ByteCount kCachedBatch = 4 << 20;

ArrayType array_type(NumericType type) {
  switch (type) {
    case NumericType::i8:
      return ArrayType::i8;
    case NumericType::i16:
      return ArrayType::i16;
    case NumericType::i32:
      return ArrayType::i32;
    case NumericType::i64:
      return ArrayType::i64;
    case NumericType::u8:
      return ArrayType::u8;
    case NumericType::u16:
      return ArrayType::u16;
    case NumericType::u32:
      return ArrayType::u32;
    case NumericType::u64:
      return ArrayType::u64;
    case NumericType::f16:
      return ArrayType::f16;
    case NumericType::bf16:
      return ArrayType::bf16;
    case NumericType::f32:
      return ArrayType::f32;
    case NumericType::f64:
      return ArrayType::f64;
  }
  return ArrayType::f32;
}

ArrayType label_type(ObsKind kind) {
  switch (kind) {
    case ObsKind::category:
    case ObsKind::integer:
      return ArrayType::i64;
    case ObsKind::floating32:
      return ArrayType::f32;
    case ObsKind::floating64:
      return ArrayType::f64;
    case ObsKind::boolean:
      return ArrayType::boolean;
  }
  return ArrayType::i64;
}

ByteCount label_width(ObsKind kind) { return kind == ObsKind::category ? 8 : obs_value_bytes(kind); }

// One row, wherever it is.
struct RowView {
  std::int64_t index = 0;
  const std::byte* labels = nullptr;
  const std::byte* ids = nullptr;
  const std::byte* values = nullptr;
  std::uint32_t n = 0;
  batch::ValueClass cls = batch::ValueClass::u8;
  double total = 0;  // where the loader keeps totals
};

// Takes the single row of a re-read.
class OneRow : public RowSink {
 public:
  OneRow(RowEncoder* encoder, const std::string& label) : encoder_(encoder), label_(label) {}
  Status csr(const CsrTile& tile) override {
    PENSTOCK_CHECK(tile.rows.size() == 1);
    PENSTOCK_RETURN_IF_ERROR(encoder_->encode(tile, 0, label_, &row));
    total = row_total(tile, 0, row);
    return {};
  }
  EncodedRow row;
  double total = 0;

 private:
  RowEncoder* encoder_;
  const std::string& label_;
};

// Reads a deferred row again.
Result<RowView> reread_row(const EngineConfig& config, const RowEntry& entry, WorkerState& worker,
                           std::byte* label_record, AssembleCounts* counts) {
  const std::uint32_t file = entry.page;
  const RowRange range{entry.offset, RowIndex{entry.offset} + 1};
  const internal::FilePart& part = config.parts[file];
  RequestList& list = worker.reread_requests;
  list.clear();
  PENSTOCK_RETURN_IF_ERROR(part.source->requests({&range, 1}, Heads::whole, list));
  PENSTOCK_RETURN_IF_ERROR(config.labels.requests(file, range, list));
  list.coalesce(0, kCoalesceMax);  // no gaps: the bytes are bounded by those of the row's block
  PENSTOCK_RETURN_IF_ERROR(read_requests(list, worker.reread));
  counts->bytes_reread += list.total_bytes();
  counts->rereads += list.requests().size();
  const Fetched fetched(list.requests(), worker.reread.data());
  PENSTOCK_ASSIGN_OR_RETURN(
      const auto labels, config.labels.prepare(file, range, fetched, {worker.label_scratch, &worker.codec}));
  Scratch scratch{worker.source_scratch, &worker.codec};
  scratch.totals = config.keeps_totals();
  const EncodeCounts counted = worker.encoder->counts();  // this row was counted when it was deferred
  OneRow sink(worker.encoder.get(), part.source->label());
  PENSTOCK_RETURN_IF_ERROR(part.source->decode({&range, 1}, fetched, scratch, sink));
  worker.encoder->counts() = counted;
  labels.write(range.first, label_record);
  RowView row;
  row.index = static_cast<std::int64_t>(part.first_row + range.first);
  row.labels = label_record;
  row.ids = sink.row.ids;
  row.values = sink.row.values;
  row.n = sink.row.n;
  row.cls = sink.row.cls;
  row.total = sink.total;
  return row;
}

// The values of a row as they are delivered, in the output type, at `out` or, when that is nullptr, in the
// worker's memory; returns where they are.
const std::byte* transformed(const EngineConfig& config, const RowView& row, WorkerState& worker,
                             std::byte* out) {
  const bool narrow = config.stored != config.output;
  std::byte* const half = worker.row.data() + worker.row.size() / 2;
  std::byte* const values = out == nullptr || narrow ? worker.row.data() : out;
  const auto& target = config.options.normalize_total;
  const double scale = target && row.total != 0 ? *target / row.total : 1;
  const bool aligned = reinterpret_cast<std::uintptr_t>(values) % alignof(float) == 0;
  if (row.cls == batch::ValueClass::u8 && config.stored == NumericType::f32 && aligned) {
    batch::scale_counts(reinterpret_cast<const std::uint8_t*>(row.values), row.n, scale, config.options.log1p,
                        reinterpret_cast<float*>(values));
  } else {
    batch::expand_values(row.values, row.cls, row.n, values, config.stored);
    batch::scale_values(values, config.stored, row.n, scale, config.options.log1p);
  }
  if (!narrow) return values;
  std::byte* const delivered = out == nullptr ? half : out;
  batch::convert_values(values, config.stored, row.n, delivered, config.output);
  return delivered;
}

template <class Index>
void expand_ids(const EngineConfig& config, const RowView& row, std::byte* out, batch::Writes writes) {
  auto* to = reinterpret_cast<Index*>(out);
  if (RowEncoder::id_bytes(config.n_cols) == 2) {
    batch::expand_ids(reinterpret_cast<const std::uint16_t*>(row.ids), row.n, to, writes);
  } else {
    batch::expand_ids(reinterpret_cast<const std::uint32_t*>(row.ids), row.n, to, writes);
  }
}

void store_indptr(std::byte* indptr, NumericType type, std::uint64_t i, std::uint64_t value) {
  if (type == NumericType::i32) {
    reinterpret_cast<std::int32_t*>(indptr)[i] = static_cast<std::int32_t>(value);
  } else {
    reinterpret_cast<std::int64_t*>(indptr)[i] = static_cast<std::int64_t>(value);
  }
}

}  // namespace

NumericType numeric_type(OutputType type) {
  switch (type) {
    case OutputType::float32:
      return NumericType::f32;
    case OutputType::float64:
      return NumericType::f64;
    case OutputType::float16:
      return NumericType::f16;
    case OutputType::bfloat16:
      return NumericType::bf16;
    case OutputType::int32:
      return NumericType::i32;
    case OutputType::int64:
      return NumericType::i64;
    case OutputType::int16:
      return NumericType::i16;
    case OutputType::uint8:
      return NumericType::u8;
  }
  return NumericType::f32;
}

BatchExtent batch_extent(Window& window, std::uint64_t b, std::uint64_t batch_size) {
  BatchExtent extent;
  extent.first_place = b * batch_size;
  extent.rows = std::min(batch_size, window.plan().rows - extent.first_place);
  for (std::uint64_t i = 0; i < extent.rows; ++i) {
    const RowEntry& e = window.entry(extent.first_place + i);
    if (e.state == RowState::failed) [[unlikely]] {
      extent.error = e.page;
      return extent;
    }
    extent.entries += e.n;
  }
  return extent;
}

ByteCount slot_bytes(const EngineConfig& config, std::uint64_t rows, std::uint64_t entries) {
  ByteCount bytes = round_up(rows * 8, kAlign);
  if (config.options.totals) bytes += round_up(rows * sizeof(double), kAlign);
  for (const auto& label : config.labels.columns()) bytes += round_up(rows * label_width(label.kind), kAlign);
  if (config.options.format == BatchFormat::dense)
    return bytes + round_up(rows * config.n_cols * numeric_size(config.output), kAlign);
  return bytes + round_up((rows + 1) * numeric_size(config.csr_index), kAlign) +
         round_up(entries * numeric_size(config.csr_index), kAlign) +
         round_up(entries * numeric_size(config.output), kAlign);
}

Result<Batch> build_batch(const EngineConfig& config, Window& window, std::uint64_t b,
                          const BatchExtent& extent, const std::shared_ptr<std::byte>& slot,
                          WorkerState& worker, AssembleCounts* counts) {
  Batch out;
  out.number = window.plan().first_batch + b;
  out.epoch = window.epoch();
  out.n_rows = extent.rows;
  out.n_cols = config.n_cols;
  out.set_owner(slot);
  std::byte* p = slot.get();
  const auto carve = [&p](ByteCount bytes) {
    std::byte* start = p;
    p += round_up(bytes, kAlign);
    return start;
  };
  const std::size_t index_size = numeric_size(config.csr_index), value_size = numeric_size(config.output);
  std::byte* index = carve(extent.rows * 8);
  out.index = {index, ArrayType::i64, extent.rows};
  constexpr std::size_t kMaxColumns = 64;  // Loader::create refuses more
  std::byte* columns[kMaxColumns];
  std::size_t n_columns = 0;
  for (const auto& label : config.labels.columns()) {
    std::byte* data = carve(extent.rows * label_width(label.kind));
    columns[n_columns++] = data;
    out.obs.push_back({label.name, {data, label_type(label.kind), extent.rows}});
  }
  std::byte* totals = nullptr;
  if (config.options.totals) {
    totals = carve(extent.rows * sizeof(double));
    out.total = {totals, ArrayType::f64, extent.rows};
  }
  const bool dense = config.options.format == BatchFormat::dense;
  std::byte *dense_out = nullptr, *indptr = nullptr, *indices = nullptr, *values = nullptr;
  if (dense) {
    dense_out = carve(extent.rows * config.n_cols * value_size);
    out.dense = {dense_out, array_type(config.output), extent.rows * config.n_cols};
  } else {
    indptr = carve((extent.rows + 1) * index_size);
    indices = carve(extent.entries * index_size);
    values = carve(extent.entries * value_size);
    out.indptr = {indptr, array_type(config.csr_index), extent.rows + 1};
    out.indices = {indices, array_type(config.csr_index), extent.entries};
    out.values = {values, array_type(config.output), extent.entries};
    store_indptr(indptr, config.csr_index, 0, 0);
  }
  const ByteCount label_bytes = config.labels.record_bytes(), total_bytes = config.total_bytes();
  const bool transforms = config.transforms();
  const std::size_t id_bytes = RowEncoder::id_bytes(config.n_cols);
  // A batch that no cache holds until the consumer comes to it is written past them.
  const batch::Writes writes = extent.entries * (index_size + value_size) > kCachedBatch
                                   ? batch::Writes::streamed
                                   : batch::Writes::cached;
  std::byte label_record[kMaxColumns * 8];
  std::uint64_t done = 0;  // entries
  for (std::uint64_t i = 0; i < extent.rows; ++i) {
    const RowEntry& e = window.entry(extent.first_place + i);
    RowView row;
    if (e.state == RowState::deferred) [[unlikely]] {
      ++counts->deferred;
      PENSTOCK_ASSIGN_OR_RETURN(row, reread_row(config, e, worker, label_record, counts));
      if (row.n != e.n) {
        return Status::io_error(config.parts[e.page].source->label() +
                                ": the file changed while it was being read");
      }
    } else {
      const std::byte* record = window.record(e);
      if (i + 1 < extent.rows) {
        // Rows lie scattered over the bin's pages: start the next one's lines early.
        const RowEntry& next = window.entry(extent.first_place + i + 1);
        if (next.state == RowState::in_page) {
          const std::byte* ahead = window.record(next);
          for (int line = 0; line < 8; ++line) __builtin_prefetch(ahead + line * 64);
        }
      }
      std::memcpy(&row.index, record, 8);
      row.labels = record + kRecordHeader;
      if (total_bytes > 0) std::memcpy(&row.total, row.labels + label_bytes, sizeof(row.total));
      row.ids = row.labels + label_bytes + total_bytes;
      row.n = e.n;
      row.cls = e.cls;
      row.values = row.ids + e.n * id_bytes;
    }
    if (window.plan().repeat) row.index = -1;
    std::memcpy(index + i * 8, &row.index, 8);
    counts->missing_labels += config.labels.unpack(row.labels, i, {columns, n_columns});
    if (totals != nullptr) std::memcpy(totals + i * sizeof(double), &row.total, sizeof(double));
    if (dense) {
      if (transforms) {
        row.values = transformed(config, row, worker, nullptr);
        row.cls = batch::ValueClass::wide;
      }
      std::byte* to = dense_out + i * config.n_cols * value_size;
      if (id_bytes == 2) {
        batch::densify_row(reinterpret_cast<const std::uint16_t*>(row.ids), row.values, row.cls, row.n,
                           config.output, worker.dense_row.data(), config.n_cols, to);
      } else {
        batch::densify_row(reinterpret_cast<const std::uint32_t*>(row.ids), row.values, row.cls, row.n,
                           config.output, worker.dense_row.data(), config.n_cols, to);
      }
    } else {
      if (config.csr_index == NumericType::i32) {
        expand_ids<std::int32_t>(config, row, indices + done * index_size, writes);
      } else {
        expand_ids<std::int64_t>(config, row, indices + done * index_size, writes);
      }
      std::byte* const to = values + done * value_size;
      if (transforms) {
        transformed(config, row, worker, to);
      } else {
        batch::expand_values(row.values, row.cls, row.n, to, config.output, writes);
      }
      done += row.n;
      store_indptr(indptr, config.csr_index, i + 1, done);
    }
  }
  if (writes == batch::Writes::streamed) batch::stream_fence();
  return out;
}

}  // namespace penstock::loader
