#include "loader/scatter.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "batch/transform.h"
#include "source/numbers.h"

namespace penstock::loader {

double row_total(const CsrTile& tile, std::size_t i, const EncodedRow& row) {
  if (tile.totals != nullptr) return tile.totals[i];
  // Counts sum up exactly in any type.
  if (row.cls == batch::ValueClass::u8) {
    return static_cast<double>(batch::sum_counts(reinterpret_cast<const std::uint8_t*>(row.values), row.n));
  }
  return sum(tile.value_type, tile.values + tile.begins[i] * numeric_size(tile.value_type),
             tile.ends[i] - tile.begins[i]);
}

Status Scatter::csr(const CsrTile& tile) {
  const internal::FilePart& part = config_.parts[file_];
  const ByteCount label_bytes = config_.labels.record_bytes(), total_bytes = config_.total_bytes();
  const std::size_t id_bytes = RowEncoder::id_bytes(config_.n_cols);
  const auto from = std::chrono::steady_clock::now();
  EncodedRow row;
  for (std::size_t i = 0; i < tile.rows.size(); ++i) {
    PENSTOCK_CHECK(done_ < segment_.rows);
    const std::uint64_t place = window_.place_of(segment_.tape_row + done_);
    if (place < window_.first_kept_place()) [[unlikely]] {
      ++done_;
      finish_row(place);
      continue;
    }
    PENSTOCK_RETURN_IF_ERROR(worker_.encoder->encode(tile, i, part.source->label(), &row));
    const RowIndex file_row = tile.rows.first + i;
    const ByteCount ids = row.n * id_bytes;
    const ByteCount bytes = kRecordHeader + label_bytes + total_bytes + ids + row.value_bytes;
    RowEntry& entry = window_.entry(place);
    std::byte* record = window_.place_row(place, bytes, &pledged_);
    entry.n = row.n;
    if (record == nullptr) [[unlikely]] {
      entry.state = RowState::deferred;
      entry.page = file_;
      entry.offset = static_cast<std::uint32_t>(file_row);
      ++deferred_;
    } else {
      entry.cls = row.cls;
      const auto global = static_cast<std::int64_t>(part.first_row + file_row);
      std::memcpy(record, &global, kRecordHeader);
      labels_.write(file_row, record + kRecordHeader);
      record += kRecordHeader + label_bytes;
      if (total_bytes > 0) {
        const double total = row_total(tile, i, row);
        std::memcpy(record, &total, sizeof(total));
        record += sizeof(total);
      }
      std::memcpy(record, row.ids, ids);
      std::memcpy(record + ids, row.values, row.value_bytes);
    }
    entries_ += row.n;
    ++done_;
    finish_row(place);
  }
  took_ += std::chrono::steady_clock::now() - from;
  return {};
}

void Scatter::fail_rest(std::uint32_t error) {
  for (; done_ < segment_.rows; ++done_) {
    const std::uint64_t place = window_.place_of(segment_.tape_row + done_);
    RowEntry& entry = window_.entry(place);
    entry.state = RowState::failed;
    entry.page = error;
    entry.n = 0;
    finish_row(place);
  }
}

void Scatter::count_rows() {
  for (const std::uint32_t bin : worker_.bins_touched) {
    window_.rows_done(bin, std::exchange(worker_.rows_in_bin[bin], 0));
  }
  worker_.bins_touched.clear();
}

}  // namespace penstock::loader
