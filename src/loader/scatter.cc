#include "loader/scatter.h"

#include <fmt/format.h>

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

Scatter::Scatter(const EngineConfig& config, const BlockTask& task, const Labels::View& labels,
                 WorkerState& worker, std::uint32_t pledged)
    : config_(config),
      window_(*task.window),
      segment_(task.segment),
      file_(task.block.file),
      labels_(labels),
      worker_(worker),
      pledged_(pledged) {}

Status Scatter::weigh(const BlockTask& task) {
  if (!config_.sampling) return {};
  copies_.emplace(config_, window_.epoch(), segment_, task.line, labels_, worker_.copies);
  if (copies_->as_planned()) return {};
  copies_.reset();
  return Status::corrupt(fmt::format(
      "{}: rows {} to {}: the obs columns that rows are weighted by have changed since the loader was made",
      config_.parts[file_].source->label(), task.wanted.front().first, task.wanted.back().last - 1));
}

Status Scatter::csr(const CsrTile& tile) {
  const std::string& label = config_.parts[file_].source->label();
  const auto from = std::chrono::steady_clock::now();
  EncodedRow row;
  for (std::size_t i = 0; i < tile.rows.size(); ++i) {
    if (!copies_) {
      PENSTOCK_CHECK(done_ < segment_.rows);
      const std::uint64_t place = window_.place_of(segment_.tape_row + done_);
      if (place >= window_.first_kept_place()) [[likely]] {
        PENSTOCK_RETURN_IF_ERROR(worker_.encoder->encode(tile, i, label, &row));
        entries_ += row.n;
        put(tile, i, row, place);
      }
      finish_row(place);
      ++done_;
    } else {
      PENSTOCK_CHECK(decoded_ < copies_->rows());
      bool wanted = false;
      copies_->each(decoded_, [&](std::uint64_t) { wanted = true; });
      if (wanted) {
        PENSTOCK_RETURN_IF_ERROR(worker_.encoder->encode(tile, i, label, &row));
        entries_ += row.n;
        copies_->each(decoded_, [&](std::uint64_t tape_row) {
          const std::uint64_t place = window_.place_of(tape_row);
          if (place >= window_.first_kept_place()) put(tile, i, row, place);
          finish_row(place);
          ++done_;
        });
      }
    }
    ++decoded_;
  }
  took_ += std::chrono::steady_clock::now() - from;
  return {};
}

void Scatter::put(const CsrTile& tile, std::size_t i, const EncodedRow& row, std::uint64_t place) {
  const ByteCount label_bytes = config_.labels.record_bytes(), total_bytes = config_.total_bytes();
  const ByteCount ids = row.n * RowEncoder::id_bytes(config_.n_cols);
  const ByteCount bytes = kRecordHeader + label_bytes + total_bytes + ids + row.value_bytes;
  const RowIndex file_row = tile.rows.first + i;
  RowEntry& entry = window_.entry(place);
  std::byte* record = window_.place_row(place, bytes, &pledged_);
  entry.n = row.n;
  if (record == nullptr) [[unlikely]] {
    entry.state = RowState::deferred;
    entry.page = file_;
    entry.offset = static_cast<std::uint32_t>(file_row);
    ++deferred_;
    return;
  }
  entry.cls = row.cls;
  const auto global = static_cast<std::int64_t>(config_.parts[file_].first_row + file_row);
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

void Scatter::fail(std::uint64_t place, std::uint32_t error) {
  RowEntry& entry = window_.entry(place);
  entry.state = RowState::failed;
  entry.page = error;
  entry.n = 0;
  finish_row(place);
  ++done_;
}

void Scatter::fail_rest(std::uint32_t error) {
  if (!copies_) {
    while (done_ < segment_.rows) fail(window_.place_of(segment_.tape_row + done_), error);
    return;
  }
  for (; decoded_ < copies_->rows(); ++decoded_)
    copies_->each(decoded_, [&](std::uint64_t tape_row) { fail(window_.place_of(tape_row), error); });
}

void Scatter::count_rows() {
  for (const std::uint32_t bin : worker_.bins_touched) {
    window_.rows_done(bin, std::exchange(worker_.rows_in_bin[bin], 0));
  }
  worker_.bins_touched.clear();
}

}  // namespace penstock::loader
