// Rows come out of the decoder in file order, and each one's place in the window is known already: the
// segment's first tape row, plus how many rows of it came before, through the window's permutation. So a row
// is encoded once and written once, where its batch will look for it.
//
// Worked example: a segment of 3 rows begins at tape row 1,002 of a window that begins at 1,000. Its rows are
// numbers 2, 3 and 4 of the window, and the permutation may send them to the places 17, 5 and 40. With a
// batch_size of 16 they leave in the batches 1, 0 and 2 of the window.
//
// With a sampling a row of the block is wanted any number of times, and `copies_` says at which tape rows. It
// is encoded once and written for each.
#include "engine/scatter.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "batch/transform.h"
#include "source/numbers.h"

namespace penstock::loader {
namespace {
// A place beyond the segment's last row belongs to somebody else. It is checked before a row is written.
Status more_rows_than_planned(const std::string& label) {
  return Status::internal(fmt::format("{}: a block came out with more rows than it was planned with", label));
}
}  // namespace

double row_total(const CsrTile& tile, std::size_t i, const EncodedRow& row) {
  if (tile.totals != nullptr) return tile.totals[i];
  // Counts sum up exactly in any type.
  if (row.cls == batch::ValueClass::u8) {
    return static_cast<double>(batch::sum_counts(reinterpret_cast<const std::uint8_t*>(row.values), row.n));
  }
  return sum(tile.value_type, tile.values + tile.begins[i] * numeric_size(tile.value_type),
             tile.ends[i] - tile.begins[i]);
}

Scatter::Scatter(const EngineConfig& config, const BlockTask& task, const BesideRows& beside,
                 WorkerState& worker, std::uint32_t pledged)
    : config_(config),
      window_(*task.window),
      segment_(task.segment),
      file_(task.block.file),
      beside_(beside),
      worker_(worker),
      pledged_(pledged) {}

Status Scatter::weigh(const BlockTask& task) {
  if (!config_.sampling) return {};
  copies_.emplace(config_, window_.epoch(), segment_, task.line, beside_.labels, worker_.copies);
  // Weights were summed up when the loader was made. If labels have changed since, a block has more or fewer
  // copies than the tape has room for.
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
      if (done_ >= segment_.rows) return more_rows_than_planned(label);
      const std::uint64_t place = window_.place_of(segment_.tape_row + done_);
      // Before a resumed epoch stopped, these were delivered. They count as come, so that their bins
      // complete.
      if (place >= window_.first_kept_place()) [[likely]] {
        PENSTOCK_RETURN_IF_ERROR(worker_.encoder->encode(tile, i, label, &row));
        PENSTOCK_RETURN_IF_ERROR(put(tile, i, row, place));
      }
      finish_row(place);
      ++done_;
    } else {
      if (decoded_ >= copies_->rows()) return more_rows_than_planned(label);
      bool wanted = false;
      copies_->each(decoded_, [&](std::uint64_t) { wanted = true; });
      if (wanted) {
        PENSTOCK_RETURN_IF_ERROR(worker_.encoder->encode(tile, i, label, &row));
        // Copies count once all are there: after a failure fail_rest() comes to each of them.
        Status status;
        copies_->each(decoded_, [&](std::uint64_t tape_row) {
          const std::uint64_t place = window_.place_of(tape_row);
          if (status.ok() && place >= window_.first_kept_place()) status = put(tile, i, row, place);
        });
        PENSTOCK_RETURN_IF_ERROR(status);
        copies_->each(decoded_, [&](std::uint64_t tape_row) {
          finish_row(window_.place_of(tape_row));
          ++done_;
        });
      }
    }
    ++decoded_;
  }
  took_ += std::chrono::steady_clock::now() - from;
  return {};
}

Status write_fixed_part(const EngineConfig& config, std::uint32_t file, const CsrTile& tile, std::size_t i,
                        const EncodedRow& row, const BesideRows& beside, std::byte* record) {
  const plan::RecordLayout& layout = config.record;
  const RowIndex file_row = tile.rows.first + i;
  layout.set_row_number(record, static_cast<std::int64_t>(config.parts[file].first_row + file_row));
  beside.labels.write(file_row, layout.labels(record));
  if (layout.has_total()) layout.set_total(record, row_total(tile, i, row));
  return beside.obsm.write(file_row, layout.obsm(record));
}

Status Scatter::put(const CsrTile& tile, std::size_t i, const EncodedRow& row, std::uint64_t place) {
  const plan::RecordLayout& layout = config_.record;
  // The entry is this worker's alone until the bin's counter says that the row has come.
  RowEntry& entry = window_.entry(place);
  std::byte* record = window_.place_row(place, layout.bytes(row.n, row.value_bytes), &pledged_);
  entry.n = row.n;
  // No page. What is known of the row stays in its entry: how long it is, for the batch's size, and where it
  // is in the files, for build_batch() to read it again.
  if (record == nullptr) [[unlikely]] {
    entry.state = RowState::deferred;
    entry.page = file_;
    entry.offset = static_cast<std::uint32_t>(tile.rows.first + i);
    ++deferred_;
    return {};
  }
  entry.cls = row.cls;
  PENSTOCK_RETURN_IF_ERROR(write_fixed_part(config_, file_, tile, i, row, beside_, record));
  std::memcpy(layout.ids(record), row.ids, row.n * layout.id_bytes());
  std::memcpy(layout.values(record, row.n), row.values, row.value_bytes);
  return {};
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

// Bins' counters are shared by all workers, so that each of them is touched once a block, and not once a row.
void Scatter::count_rows() {
  for (const std::uint32_t bin : worker_.bins_touched) {
    window_.rows_done(bin, std::exchange(worker_.rows_in_bin[bin], 0));
  }
  worker_.bins_touched.clear();
}

}  // namespace penstock::loader
