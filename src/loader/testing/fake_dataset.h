// A Dataset out of thin air for the loader's tests: rows whose contents follow from their number, in files
// that live in memory and can be slow or broken.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/permutation.h"
#include "dataset/dataset_impl.h"
#include "io/testing/fault_file.h"
#include "penstock/dataset.h"
#include "source/column_map.h"
#include "source/column_pass.h"

namespace penstock::testing {

// memcpy that allows nothing from nowhere.
inline void copy(void* to, const void* from, std::size_t n) {
  if (n > 0) std::memcpy(to, from, n);
}

struct FakeFileSpec {
  RowIndex rows = 0;
  std::uint64_t mean_entries = 20;  // row lengths are 0 .. 2 * mean
  RowIndex chunk_rows = 7;          // natural boundaries
};

struct FakeSpec {
  std::vector<FakeFileSpec> files;
  ColIndex n_cols = 1000;
  std::uint64_t long_row = UINT64_MAX;  // this global row has every column set
  float scale = 1;                      // 0.5: values that are not whole numbers
  std::uint64_t long_values_every = 0;  // every so many rows hold values > 255
  std::uint64_t label_run = 1;          // so many rows one after the other share a label
  bool by_columns = false;              // entries are stored column by column
  ByteCount offset_bytes = 0;           // a row's offset takes in memory
  ByteCount offset_chunk = 0;           // as SourceTraits has it
};

// Entries of a global row: ids ascending, values.
struct FakeRow {
  std::vector<std::int32_t> ids;
  std::vector<float> values;
};
inline FakeRow fake_row(const FakeSpec& spec, std::uint64_t mean, std::uint64_t row) {
  FakeRow out;
  if (row == spec.long_row) {
    for (ColIndex c = 0; c < spec.n_cols; ++c) {
      out.ids.push_back(static_cast<std::int32_t>(c));
      out.values.push_back(static_cast<float>(c % 300));
    }
    return out;
  }
  const std::uint64_t n =
      mean == 0 ? 0 : std::min<std::uint64_t>(mix(1, row, 0) % (2 * mean + 1), spec.n_cols);
  const std::uint64_t step = n == 0 ? 1 : spec.n_cols / n;
  for (std::uint64_t i = 0; i < n; ++i) {
    out.ids.push_back(static_cast<std::int32_t>(i * step + mix(2, row, i) % step));
    float v = static_cast<float>(1 + mix(3, row, i) % 9) * spec.scale;
    if (spec.long_values_every != 0 && row % spec.long_values_every == 0) v += 70000;
    out.values.push_back(v);
  }
  return out;
}

// Bytes in memory as a File; `delay` before each read, failure of reads that touch `bad_offset`.
class FakeFile : public File {
 public:
  explicit FakeFile(std::string label) : label_(std::move(label)) {}
  Status read_at(ByteOffset offset, std::span<std::byte> out) const override {
    reads.fetch_add(1);
    if (delay.count() > 0) std::this_thread::sleep_for(delay);
    if (offset <= bad_offset && bad_offset < offset + out.size()) {
      return Status::io_error(label_ + ": broken at byte " + std::to_string(bad_offset), 5);
    }
    copy(out.data(), bytes.data() + offset, out.size());
    return {};
  }
  ByteCount size() const override { return bytes.size(); }
  const std::string& label() const override { return label_; }

  std::vector<std::byte> bytes;
  std::chrono::microseconds delay{0};
  std::atomic<ByteOffset> bad_offset{UINT64_MAX};
  mutable std::atomic<std::uint64_t> reads{0};

 private:
  std::string label_;
};

// The entries of rows stored column by column, in parts: the row of each, the columns, the values.
class FakeColumns : public ColumnMajor {
 public:
  struct Entry {
    std::uint32_t row = 0, column = 0;
    float value = 0;
  };
  FakeColumns(std::vector<Entry> entries, RowIndex rows, std::shared_ptr<FakeFile> file,
              std::shared_ptr<FaultFile> read)
      : n_(entries.size()), read_(std::move(read)), lengths_(rows) {
    std::stable_sort(entries.begin(), entries.end(),
                     [](const Entry& a, const Entry& b) { return a.column < b.column; });
    for (std::size_t first = 0; first < n_; first += kPart) {
      const std::size_t n = std::min(kPart, n_ - first);
      for (std::size_t i = 0; i < n; ++i) append(file->bytes, &entries[first + i].row);
      for (std::size_t i = 0; i < n; ++i) append(file->bytes, &entries[first + i].column);
      for (std::size_t i = 0; i < n; ++i) append(file->bytes, &entries[first + i].value);
    }
    for (const Entry& entry : entries) {
      ++lengths_[entry.row];
      columns_.push_back(entry.column);
    }
  }
  std::span<const std::uint32_t> row_lengths() const override { return lengths_; }
  std::uint64_t entries_in(const ColumnMap& map) const override {
    return static_cast<std::uint64_t>(std::count_if(
        columns_.begin(), columns_.end(), [&](std::uint32_t c) { return map[c] != ColumnMap::kDropped; }));
  }
  NumericType turned_id_type() const override { return NumericType::u16; }
  NumericType turned_value_type() const override { return NumericType::f32; }
  std::uint64_t n_parts() const override { return (n_ + kPart - 1) / kPart; }
  Status requests(std::uint64_t part, RequestList& list) const override {
    list.add(read_.get(), part * kPart * 12, size(part) * 12);
    return {};
  }
  ReadCost pass_cost() const override { return {n_ * 12, n_ * 12, n_parts()}; }
  ByteCount part_stored_bytes() const override { return kPart * 12; }
  ByteCount part_scratch_bytes() const override { return kPart * 12; }
  Status decode(std::uint64_t part, const Fetched& fetched, std::span<std::byte> scratch,
                CodecContext& codec) const override {
    const auto bytes = fetched.find(read_.get(), part * kPart * 12, size(part) * 12);
    if (bytes.size() != size(part) * 12) return Status::internal("bytes were not fetched");
    copy(scratch.data(), bytes.data(), bytes.size());
    codec.count(bytes.size());
    return {};
  }
  Status place(std::uint64_t part, std::span<std::byte> scratch, const TurnedRows& rows) const override {
    const std::size_t n = size(part);
    const auto* from = reinterpret_cast<const std::uint32_t*>(scratch.data());
    for (std::size_t i = 0; i < n; ++i) {
      std::uint32_t& next = rows.next()[from[i] - rows.rows().first];
      if (next == TurnedRows::kNotWanted) continue;
      if (next >= rows.capacity()) return Status::internal("more entries than there is room for");
      reinterpret_cast<std::uint16_t*>(rows.ids())[next] = static_cast<std::uint16_t>(from[n + i]);
      copy(rows.values() + next * 4, &from[2 * n + i], 4);
      ++next;
    }
    return {};
  }
  std::span<const std::byte> values(std::uint64_t part, std::span<std::byte> scratch) const override {
    return scratch.subspan(size(part) * 8, size(part) * 4);
  }

 private:
  static constexpr std::size_t kPart = 1000;
  static void append(std::vector<std::byte>& bytes, const void* word) {
    bytes.resize(bytes.size() + 4);
    copy(bytes.data() + bytes.size() - 4, word, 4);
  }
  std::size_t size(std::uint64_t part) const { return std::min(kPart, n_ - part * kPart); }

  std::size_t n_;
  std::shared_ptr<FaultFile> read_;
  std::vector<std::uint32_t> lengths_, columns_;
};

// Rows stored one after the other: ids, then values. Or, by_columns, what FakeColumns says.
class FakeSource : public RowSource {
 public:
  FakeSource(const FakeSpec& spec, const FakeFileSpec& file, std::uint64_t first_row, std::string label)
      : chunk_rows_(file.chunk_rows), label_(label), file_(std::make_shared<FakeFile>(label)) {
    if (const char* faults = std::getenv("PENSTOCK_TEST_FAULTS");
        faults && std::strcmp(faults, "benign") == 0) {
      read_->set({.delay = std::chrono::microseconds(20), .short_reads = true, .interrupts = true});
    }
    traits_.n_rows = file.rows;
    traits_.n_cols = spec.n_cols;
    traits_.layout = "fake";
    traits_.offset_chunk = spec.offset_chunk;
    resident_bytes_ = spec.offset_bytes * file.rows;
    offsets_.push_back(0);
    std::vector<FakeColumns::Entry> entries;
    for (RowIndex r = 0; r < file.rows; ++r) {
      const FakeRow row = fake_row(spec, file.mean_entries, first_row + r);
      if (spec.by_columns) {
        for (std::size_t i = 0; i < row.ids.size(); ++i)
          entries.push_back(
              {static_cast<std::uint32_t>(r), static_cast<std::uint32_t>(row.ids[i]), row.values[i]});
        traits_.lengths.add(row.ids.size());
        offsets_.push_back(offsets_.back() + row.ids.size());
        continue;
      }
      const auto at = file_->bytes.size();
      file_->bytes.resize(at + row.ids.size() * 8);
      copy(file_->bytes.data() + at, row.ids.data(), row.ids.size() * 4);
      copy(file_->bytes.data() + at + row.ids.size() * 4, row.values.data(), row.ids.size() * 4);
      offsets_.push_back(offsets_.back() + row.ids.size());
      traits_.lengths.add(row.ids.size());
    }
    if (spec.by_columns) {
      columns_ = std::make_unique<FakeColumns>(std::move(entries), file.rows, file_, read_);
      traits_.index_type = NumericType::u16;
    }
    traits_.stored_bytes = file_->bytes.size();
  }
  const ColumnMajor* by_columns() const override { return columns_.get(); }
  FakeFile& file() const { return *file_; }
  // What the loader reads through. PENSTOCK_TEST_FAULTS=benign makes every file of every test short of
  // breath.
  FaultFile& faults() const { return *read_; }
  ByteOffset row_offset(RowIndex r) const { return offsets_[r] * 8; }

  const SourceTraits& traits() const override { return traits_; }
  const std::string& label() const override { return label_; }
  RowIndex cut(RowIndex first, RowIndex target) const override {
    const RowIndex at = (first + std::max<RowIndex>(target, 1) + chunk_rows_ - 1) / chunk_rows_ * chunk_rows_;
    return std::min(traits_.n_rows, std::max(at, first + 1));
  }
  ReadCost cost(std::span<const RowRange> wanted) const override {
    ReadCost c;
    if (columns_) return c;
    for (const RowRange& r : wanted) {
      c.stored += (offsets_[r.last] - offsets_[r.first]) * 8;
      ++c.requests;
    }
    c.decoded = c.stored;
    return c;
  }
  std::uint64_t most_entries(RowRange rows) const override {
    return offsets_[rows.last] - offsets_[rows.first];
  }
  Status requests(std::span<const RowRange> wanted, Heads, RequestList& list) const override {
    if (columns_) return {};
    for (const RowRange& r : wanted) {
      list.add(read_.get(), offsets_[r.first] * 8, (offsets_[r.last] - offsets_[r.first]) * 8);
    }
    return {};
  }
  Status decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                RowSink& sink) const override {
    if (columns_) return decode_turned(wanted, scratch, sink);
    for (const RowRange& range : wanted) {
      for (RowIndex r = range.first; r < range.last; ++r) {
        const std::uint64_t n = offsets_[r + 1] - offsets_[r];
        const auto bytes = fetched.find(read_.get(), offsets_[r] * 8, n * 8);
        if (bytes.size() != n * 8) return Status::internal("bytes were not fetched");
        copy(scratch.bytes.data(), bytes.data(), bytes.size());
        scratch.codec->count(bytes.size());
        const std::uint64_t begin = 0;
        CsrTile tile;
        tile.rows = {r, r + 1};
        tile.begins = &begin;
        tile.ends = &n;
        tile.indices = scratch.bytes.data();
        tile.values = scratch.bytes.data() + n * 4;
        PENSTOCK_RETURN_IF_ERROR(sink.csr(tile));
      }
    }
    return {};
  }
  ByteCount scratch_bytes(RowIndex) const override {
    return (columns_ ? ColumnPass::bytes_needed(*columns_) : 0) + traits_.lengths.longest * 8 + 64;
  }
  ByteCount resident_bytes() const override { return resident_bytes_; }
  Result<std::shared_ptr<const RowSource>> resident(MemoryBudget& budget) const override {
    PENSTOCK_ASSIGN_OR_RETURN(auto held, budget.reserve(MemoryTag::index, resident_bytes_));
    // The twin is this source, which is not to be changed: what it holds goes with the pointer.
    auto keeps = std::make_shared<std::pair<Reservation, std::shared_ptr<const RowSource>>>(std::move(held),
                                                                                            self.lock());
    const RowSource* source = keeps->second.get();
    return std::shared_ptr<const RowSource>(std::move(keeps), source);
  }
  std::weak_ptr<const RowSource> self;

 private:
  Status decode_turned(std::span<const RowRange> wanted, Scratch& scratch, RowSink& sink) const {
    if (scratch.turned == nullptr) return Status::internal("the rows were not turned");
    const TurnedRows& turned = *scratch.turned;
    for (const RowRange& range : wanted) {
      for (RowIndex r = range.first; r < range.last; ++r) {
        const std::uint64_t end = turned.next()[r], begin = end - columns_->row_lengths()[r];
        CsrTile tile;
        tile.rows = {r, r + 1};
        tile.begins = &begin;
        tile.ends = &end;
        tile.indices = turned.ids();
        tile.values = turned.values();
        tile.index_type = NumericType::u16;
        PENSTOCK_RETURN_IF_ERROR(sink.csr(tile));
      }
    }
    return {};
  }

  RowIndex chunk_rows_;
  std::string label_;
  std::shared_ptr<FakeFile> file_;
  std::shared_ptr<FaultFile> read_ = std::make_shared<FaultFile>(file_);
  SourceTraits traits_;
  ByteCount resident_bytes_ = 0;
  std::vector<std::uint64_t> offsets_;
  std::unique_ptr<FakeColumns> columns_;
};

// Codes (row / run) % 5, streamable without bytes on disk.
class FakeColumn : public ObsColumn {
 public:
  FakeColumn(RowIndex rows, std::uint64_t first_row, std::uint64_t run,
             std::shared_ptr<const std::atomic<std::int32_t>> all_are)
      : rows_(rows), first_row_(first_row), run_(run), all_are_(std::move(all_are)) {}
  ObsKind kind() const override { return ObsKind::category; }
  RowIndex n_rows() const override { return rows_; }
  bool streamable() const override { return true; }
  Status requests(RowRange, RequestList&) const override { return {}; }
  ByteCount scratch_bytes(RowIndex) const override { return 0; }
  Status decode(RowRange rows, const Fetched&, Scratch&, std::span<std::byte> out) const override {
    for (RowIndex r = rows.first; r < rows.last; ++r) {
      const std::int32_t same = all_are_->load();
      const auto code = same >= 0 ? same : static_cast<std::int32_t>((first_row_ + r) / run_ % 5);
      copy(out.data() + (r - rows.first) * 4, &code, 4);
    }
    return {};
  }

 private:
  RowIndex rows_;
  std::uint64_t first_row_, run_;
  std::shared_ptr<const std::atomic<std::int32_t>> all_are_;
};

class FakeDataset : public internal::DatasetImpl {
 public:
  explicit FakeDataset(FakeSpec spec) : spec(std::move(spec)) {
    std::uint64_t first = 0;
    for (std::size_t f = 0; f < this->spec.files.size(); ++f) {
      auto source =
          std::make_shared<FakeSource>(this->spec, this->spec.files[f], first, "fake" + std::to_string(f));
      source->self = source;
      sources.push_back(source);
      parts_.push_back({source, first, nullptr, this->spec.files[f].rows});
      for (RowIndex r = 0; r < this->spec.files[f].rows; ++r)
        means.push_back(this->spec.files[f].mean_entries);
      first += this->spec.files[f].rows;
    }
    n_ = first;
  }
  // Keeps the global rows for which keep(row).
  template <class Keep>
  void select(Keep keep) {
    n_ = 0;
    for (auto& part : parts_) {
      auto bits = std::make_shared<internal::Bitmap>();
      for (RowIndex r = 0; r < part.source->traits().n_rows; ++r) {
        if (keep(part.first_row + r)) bits->add(static_cast<std::uint32_t>(r));
      }
      part.n_selected = bits->cardinality();
      part.selected = bits;
      n_ += part.n_selected;
    }
  }
  std::span<const internal::FilePart> parts() const override { return parts_; }
  std::uint64_t n_obs() const override { return n_; }
  std::uint64_t n_vars() const override { return spec.n_cols; }
  std::span<const std::string> var_names() const override { return {}; }
  Result<internal::LabelColumn> label(const std::string& column,
                                      const std::vector<std::string>*) const override {
    internal::LabelColumn label;
    label.name = column;
    label.categories = {"a", "b", "c", "d", "e"};
    for (const auto& part : parts_) {
      label.files.push_back({std::make_shared<FakeColumn>(part.source->traits().n_rows, part.first_row,
                                                          spec.label_run, labels_are),
                             {-1, 0, 1, 2, 3, 4}});
    }
    return label;
  }
  std::uint64_t index_bytes() const override { return 1000; }
  std::vector<Note> notes() const override { return {}; }
  const std::string& matrix() const override { return matrix_name; }
  FileName file_name(std::size_t part) const override {
    return {"/fake/" + sources[part]->label(), sources[part]->file().size()};
  }
  std::shared_ptr<const ReadCounts> read_counts() const override { return reads; }

  FakeSpec spec;
  std::string matrix_name = "X";
  // >= 0: the code of every row from now on, as if the file had been overwritten.
  std::shared_ptr<std::atomic<std::int32_t>> labels_are = std::make_shared<std::atomic<std::int32_t>>(-1);
  std::vector<std::shared_ptr<FakeSource>> sources;
  std::vector<std::uint64_t> means;  // per global row
  std::shared_ptr<ReadCounts> reads = std::make_shared<ReadCounts>();

 private:
  std::vector<internal::FilePart> parts_;
  std::uint64_t n_ = 0;
};

}  // namespace penstock::testing
