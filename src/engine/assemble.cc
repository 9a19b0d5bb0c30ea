// A batch is laid out in its slot first, all arrays at their final size, since the number of its rows and
// entries is known (BatchExtent). Then its rows are written one after the other. In a CSR batch a row's
// entries go behind those of the rows before it:
//
//   row     entries   indptr          indices and values
//    -                0
//    0         3      3               [0, 3)
//    1         0      3               nothing
//    2         2      5               [3, 5)
//
// Nearly every row lies packed in a page of its bin. A deferred one found no page, and is read from its file
// again, into memory of the worker, which is done with before the next row comes.
#include "engine/assemble.h"

#include <cstring>

#include "base/check.h"
#include "batch/densify.h"
#include "batch/numeric.h"
#include "batch/transform.h"
#include "engine/scatter.h"
#include "source/read_requests.h"

namespace penstock::loader {
namespace {

// Larger batches are in no cache any more when the consumer comes to them.
constexpr ByteCount kCachedBatch = 4 << 20;

// One row, wherever it is: in its bin, or read again into the worker's memory.
struct RowView {
  const std::byte* fixed = nullptr;  // the fixed part of its record
  const std::byte* ids = nullptr;
  const std::byte* values = nullptr;
  std::uint32_t n = 0;
  batch::ValueClass cls = batch::ValueClass::u8;
};

// Takes the single row of a re-read, and writes the fixed part of its record.
class OneRow : public RowSink {
 public:
  OneRow(const EngineConfig& config, std::uint32_t file, const BesideRows& beside, WorkerState& worker)
      : config_(config), file_(file), beside_(beside), worker_(worker) {}
  Status csr(const CsrTile& tile) override {
    PENSTOCK_CHECK(tile.rows.size() == 1);
    PENSTOCK_RETURN_IF_ERROR(worker_.encoder->encode(tile, 0, config_.parts[file_].source->label(), &row));
    return write_fixed_part(config_, file_, tile, 0, row, beside_, worker_.record.data());
  }
  EncodedRow row;

 private:
  const EngineConfig& config_;
  const std::uint32_t file_;
  const BesideRows& beside_;
  WorkerState& worker_;
};

// Reads a deferred row again.
Result<RowView> reread_row(const EngineConfig& config, const RowEntry& entry, WorkerState& worker,
                           AssembleCounts* counts) {
  // What a deferred row's entry holds instead of a place in a page: its file, and its number there.
  const std::uint32_t file = entry.page;
  const RowRange range{entry.offset, RowIndex{entry.offset} + 1};
  const internal::FilePart& part = config.parts[file];
  ++counts->deferred;
  RequestList& list = worker.reread_requests;
  list.clear();
  PENSTOCK_RETURN_IF_ERROR(part.source->requests({&range, 1}, Heads::whole, list));
  PENSTOCK_RETURN_IF_ERROR(config.requests_beside(file, {&range, 1}, list));
  list.coalesce(0, kCoalesceMax);  // no gaps: the bytes are bounded by those of the row's block
  PENSTOCK_RETURN_IF_ERROR(read_requests(list, worker.reread));
  counts->again.bytes += list.total_bytes();
  counts->again.requests += list.requests().size();
  const Fetched fetched(list.requests(), worker.reread.data());
  PENSTOCK_ASSIGN_OR_RETURN(
      const BesideRows beside,
      config.read_beside(file, range, fetched, worker.label_scratch, worker.obsm_scratch, worker.codec));
  Scratch scratch{worker.source_scratch, &worker.codec};
  scratch.totals = config.record.has_total();
  const EncodeCounts counted = worker.encoder->counts();  // this row was counted when it was deferred
  OneRow sink(config, file, beside, worker);
  PENSTOCK_RETURN_IF_ERROR(part.source->decode({&range, 1}, fetched, scratch, sink));
  counts->again.bytes += scratch.bytes_read;
  counts->again.requests += scratch.reads;
  worker.encoder->counts() = counted;
  // The slot was laid out for the entries that the row had when it was deferred. A row that has more now
  // would be written past the end of the batch.
  if (sink.row.n != entry.n)
    return Status::io_error(part.source->label() + ": the file changed while it was being read");
  return RowView{worker.record.data(), sink.row.ids, sink.row.values, sink.row.n, sink.row.cls};
}

// A row as it lies in its bin.
RowView row_in_bin(const plan::RecordLayout& layout, const std::byte* record, const RowEntry& entry) {
  return {record, layout.ids(record), layout.values(record, entry.n), entry.n, entry.cls};
}

// The values of a row as they are delivered, in the output type, at `out` or, when that is nullptr, in the
// worker's memory; returns where they are. Computed in EngineConfig::stored, so that a narrow output type is
// rounded to once, at the end.
const std::byte* transformed(const EngineConfig& config, const RowView& row, WorkerState& worker,
                             std::byte* out) {
  // With normalize_total=10,000 and log1p, a count of 3 in a row whose total is 5,000 is scaled by 2, and
  // comes as log(1 + 6) = 1.946. A row without counts has a total of 0, and stays as it is.
  const bool narrow = config.stored != config.output;
  std::byte* const values = out == nullptr || narrow ? worker.transformed.data() : out;
  const auto& target = config.options.normalize_total;
  const double total = target ? config.record.total(row.fixed) : 0;
  const double scale = total != 0 ? *target / total : 1;
  const bool aligned = reinterpret_cast<std::uintptr_t>(values) % alignof(float) == 0;
  // Counts of a byte have 256 possible results, which this kernel makes use of; it stores whole floats, hence
  // the alignment. All other rows are unpacked first and then scaled where they are.
  if (row.cls == batch::ValueClass::u8 && config.stored == NumericType::f32 && aligned) {
    batch::scale_counts(reinterpret_cast<const std::uint8_t*>(row.values), row.n, scale, config.options.log1p,
                        reinterpret_cast<float*>(values));
  } else {
    batch::expand_values(row.values, row.cls, row.n, values, config.stored);
    batch::scale_values(values, config.stored, row.n, scale, config.options.log1p);
  }
  if (!narrow) return values;
  std::byte* const delivered = out == nullptr ? worker.narrowed.data() : out;
  batch::convert_values(values, config.stored, row.n, delivered, config.output);
  return delivered;
}

// Calls f(ids) with a row's column ids in the type that they have in the window.
template <class F>
void with_ids(const plan::RecordLayout& layout, const RowView& row, F f) {
  if (layout.id_bytes() == sizeof(std::uint16_t)) {
    f(reinterpret_cast<const std::uint16_t*>(row.ids));
  } else {
    f(reinterpret_cast<const std::uint32_t*>(row.ids));
  }
}

// Where a batch's arrays lie in its slot, by what they are.
struct BatchArrays {
  std::byte *index = nullptr, *totals = nullptr;
  std::byte* columns[plan::SlotLayout::kMaxColumns];
  std::byte* obsm[plan::SlotLayout::kMaxObsm];
  std::size_t n_columns = 0, n_obsm = 0;
  std::byte *dense = nullptr, *indptr = nullptr, *indices = nullptr, *values = nullptr;
};

// Lays the arrays of `out` into the slot.
BatchArrays lay_out(const EngineConfig& config, const BatchExtent& extent, std::byte* slot, Batch* out) {
  using Part = plan::SlotLayout::Part;
  BatchArrays to;
  // place() visits the arrays in the order of the layout, so that columns and obsm come in the order of the
  // options.
  config.slot.place(slot, extent.rows, extent.entries,
                    [&](const plan::SlotLayout::Array& array, const ArrayView& view) {
                      auto* const data = static_cast<std::byte*>(view.data);
                      switch (array.part) {
                        case Part::index:
                          to.index = data;
                          out->index = view;
                          break;
                        case Part::column:
                          out->obs.push_back({config.labels.columns()[to.n_columns].name, view});
                          to.columns[to.n_columns++] = data;
                          break;
                        case Part::total:
                          to.totals = data;
                          out->total = view;
                          break;
                        case Part::obsm: {
                          const internal::ObsmEntry& entry = config.obsm.entries()[to.n_obsm];
                          out->obsm.push_back({entry.name, view, entry.width});
                          to.obsm[to.n_obsm++] = data;
                          break;
                        }
                        case Part::dense:
                          to.dense = data;
                          out->dense = view;
                          break;
                        case Part::indptr:
                          to.indptr = data;
                          out->indptr = view;
                          break;
                        case Part::indices:
                          to.indices = data;
                          out->indices = view;
                          break;
                        case Part::values:
                          to.values = data;
                          out->values = view;
                          break;
                      }
                    });
  return to;
}

// What travels beside a row's entries -> row i of the batch; returns how many labels are missing.
std::uint64_t write_fixed(const EngineConfig& config, const std::byte* fixed, bool repeated, std::uint64_t i,
                          const BatchArrays& to) {
  const plan::RecordLayout& layout = config.record;
  // -1 says of a row that evens out ranks that it is another rank's, so that an evaluation can leave it out.
  batch::store(to.index, i, repeated ? std::int64_t{-1} : plan::RecordLayout::row_number(fixed));
  if (to.totals != nullptr) batch::store(to.totals, i, layout.total(fixed));
  for (std::size_t k = 0; k < to.n_obsm; ++k) {
    const ByteCount bytes = config.obsm.entries()[k].row_bytes();
    if (bytes > 0)
      std::memcpy(to.obsm[k] + i * bytes, layout.obsm(fixed) + config.obsm.record_offset(k), bytes);
  }
  return config.labels.unpack(layout.labels(fixed), i, {to.columns, to.n_columns});
}

// A row's entries -> row i of a dense X.
void write_dense(const EngineConfig& config, RowView row, std::uint64_t i, WorkerState& worker,
                 const BatchArrays& to) {
  if (config.transforms()) {
    row.values = transformed(config, row, worker, nullptr);
    row.cls = batch::ValueClass::wide;
  }
  std::byte* const out = to.dense + i * config.n_cols * numeric_size(config.output);
  with_ids(config.record, row, [&](const auto* ids) {
    batch::densify_row(ids, row.values, row.cls, row.n, config.output, worker.dense_row.data(), config.n_cols,
                       out);
  });
}

// A row's entries -> row i of a CSR X, whose rows before it have `done` entries.
template <class Index>
void write_csr(const EngineConfig& config, const RowView& row, std::uint64_t i, std::uint64_t done,
               WorkerState& worker, batch::Writes writes, const BatchArrays& to) {
  with_ids(config.record, row, [&](const auto* ids) {
    batch::expand_ids(ids, row.n, reinterpret_cast<Index*>(to.indices) + done, writes);
  });
  std::byte* const values = to.values + done * numeric_size(config.output);
  if (config.transforms()) {
    transformed(config, row, worker, values);
  } else {
    batch::expand_values(row.values, row.cls, row.n, values, config.output, writes);
  }
  reinterpret_cast<Index*>(to.indptr)[i + 1] = static_cast<Index>(done + row.n);
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

// Failed rows are told by the batch that needed them, so that a batch without such a row comes whole although
// the block that failed is of the same window. One error is enough: the loader is finished with it.
BatchExtent batch_extent(Window& window, std::uint64_t b) {
  BatchExtent extent;
  extent.first_place = window.plan().before(b);
  extent.rows = window.plan().before(b + 1) - extent.first_place;
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

Result<Batch> build_batch(const EngineConfig& config, Window& window, std::uint64_t b,
                          const BatchExtent& extent, const std::shared_ptr<std::byte>& slot,
                          WorkerState& worker, AssembleCounts* counts) {
  Batch out;
  out.number = window.plan().first_batch + b;
  out.epoch = window.epoch();
  out.n_rows = extent.rows;
  out.n_cols = config.n_cols;
  out.set_owner(slot);
  const BatchArrays to = lay_out(config, extent, slot.get(), &out);
  const bool wide_index = config.csr_index == NumericType::i64;
  const ByteCount entry_bytes = numeric_size(config.csr_index) + numeric_size(config.output);
  // A batch that no cache holds until the consumer comes to it is written past them.
  const batch::Writes writes =
      extent.entries * entry_bytes > kCachedBatch ? batch::Writes::streamed : batch::Writes::cached;
  if (to.indptr != nullptr) std::memset(to.indptr, 0, numeric_size(config.csr_index));  // before row 0
  std::uint64_t done = 0;                                                               // entries
  for (std::uint64_t i = 0; i < extent.rows; ++i) {
    const RowEntry& e = window.entry(extent.first_place + i);
    RowView row;
    if (e.state == RowState::deferred) [[unlikely]] {
      PENSTOCK_ASSIGN_OR_RETURN(row, reread_row(config, e, worker, counts));
    } else {
      if (i + 1 < extent.rows) {
        // Rows lie scattered over the bin's pages: start the next one's lines early.
        const RowEntry& next = window.entry(extent.first_place + i + 1);
        if (next.state == RowState::in_page) {
          // 8 lines are 512 bytes: the fixed part and the first ids of a row. The processor's own prefetcher
          // follows once it sees the row being read on.
          const std::byte* ahead = window.record(next);
          for (int line = 0; line < 8; ++line) __builtin_prefetch(ahead + line * 64);
        }
      }
      row = row_in_bin(config.record, window.record(e), e);
    }
    counts->missing_labels += write_fixed(config, row.fixed, window.plan().repeat, i, to);
    if (to.dense != nullptr) {
      write_dense(config, row, i, worker, to);
    } else if (wide_index) {
      write_csr<std::int64_t>(config, row, i, done, worker, writes, to);
    } else {
      write_csr<std::int32_t>(config, row, i, done, worker, writes, to);
    }
    done += row.n;
  }
  if (writes == batch::Writes::streamed) batch::stream_fence();
  counts->entries = done;
  return out;
}

}  // namespace penstock::loader
