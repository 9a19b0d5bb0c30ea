// A Dataset of which there is only metadata, worked out from numbers: billions of rows cost nothing to have,
// so that planning for them can be measured. Shaped like Tahoe-100M: CSR in chunks of 17,078 entries that
// rows cross, about 1,400 entries a row, cells sorted by drug. Reads fail, so no sample can be taken.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/permutation.h"
#include "dataset/dataset_impl.h"
#include "penstock/dataset.h"

namespace penstock::testing {

class NoFile : public File {
 public:
  explicit NoFile(std::string label) : label_(std::move(label)) {}
  Status read_at(ByteOffset, std::span<std::byte>) const override {
    return Status::corrupt(label_ + " is metadata only");
  }
  ByteCount size() const override { return ByteCount{1} << 50; }
  const std::string& label() const override { return label_; }

 private:
  std::string label_;
};

// Lengths of rows repeat after kPeriod rows.
class MetadataSource : public RowSource {
 public:
  static constexpr RowIndex kPeriod = 4096;
  static constexpr std::uint64_t kChunk = 17'078;                        // entries
  static constexpr ByteCount kDataBytes = 12'000, kIndexBytes = 30'000;  // of a chunk, stored
  static constexpr ByteOffset kIndices = ByteOffset{1} << 49;            // where they begin

  // `periods` * kPeriod rows.
  MetadataSource(RowIndex periods, std::string label) : label_(label), file_(std::move(label)) {
    begins_[0] = 0;
    RowLengths lengths;
    for (RowIndex r = 0; r < kPeriod; ++r) {
      const std::uint64_t n = 700 + mix(1, r, 0) % 1400;
      begins_[r + 1] = begins_[r] + n;
      lengths.add(n);
    }
    lengths.rows *= periods;
    lengths.entries *= periods;
    lengths.entries_squared *= static_cast<double>(periods);
    for (auto& rows : lengths.histogram) rows *= periods;
    traits_.n_rows = periods * kPeriod;
    traits_.n_cols = 62'710;
    traits_.lengths = lengths;
    traits_.layout = "metadata only";
    traits_.n_chunks = chunk_of(begin_of(traits_.n_rows) - 1) + 1;
    traits_.stored_bytes = traits_.n_chunks * (kDataBytes + kIndexBytes);
    traits_.largest_chunks = kDataBytes + kIndexBytes;
    traits_.cheap_heads = true;
  }

  const SourceTraits& traits() const override { return traits_; }
  const std::string& label() const override { return label_; }
  RowIndex cut(RowIndex first, RowIndex target) const override {
    const RowIndex wanted = std::min(traits_.n_rows, first + std::max<RowIndex>(target, 1));
    const std::uint64_t chunk = (begin_of(wanted) + kChunk / 2) / kChunk;
    return std::min(traits_.n_rows, std::max(first + 1, first_row_from(chunk * kChunk)));
  }
  ReadCost cost(std::span<const RowRange> wanted) const override {
    ReadCost cost;
    for (const RowRange& rows : wanted) {
      const std::uint64_t chunks = chunk_of(begin_of(rows.last) - 1) - chunk_of(begin_of(rows.first)) + 1;
      cost.stored += chunks * (kDataBytes + kIndexBytes);
      cost.decoded += chunks * kChunk * 8;
      cost.requests += 2;
    }
    return cost;
  }
  std::uint64_t most_entries(RowRange rows) const override {
    return begin_of(rows.last) - begin_of(rows.first);
  }
  // Whole chunks, and of the last one the part that the rows take.
  Status requests(std::span<const RowRange> wanted, Heads heads, RequestList& list) const override {
    for (const auto& [start, bytes] :
         {std::pair{ByteOffset{0}, kDataBytes}, std::pair{kIndices, kIndexBytes}}) {
      for (const RowRange& rows : wanted) {
        const std::uint64_t last = begin_of(rows.last);
        for (std::uint64_t c = chunk_of(begin_of(rows.first)); c * kChunk < last; ++c) {
          const std::uint64_t part = heads == Heads::whole ? kChunk : std::min(kChunk, last - c * kChunk);
          list.add(&file_, start + c * bytes, std::max<ByteCount>(1, bytes * part / kChunk));
        }
      }
    }
    return {};
  }
  Status decode(std::span<const RowRange>, const Fetched&, Scratch&, RowSink&) const override {
    return Status::internal("there are no bytes");
  }
  ByteCount scratch_bytes(RowIndex) const override { return 4 * kChunk * 4; }
  ByteCount resident_bytes() const override { return (traits_.n_rows + 1) * 4; }
  Result<std::shared_ptr<const RowSource>> resident(MemoryBudget&) const override {
    return std::shared_ptr<const RowSource>(self.lock());
  }
  std::weak_ptr<const RowSource> self;

 private:
  static std::uint64_t chunk_of(std::uint64_t entry) { return entry / kChunk; }
  std::uint64_t begin_of(RowIndex row) const {
    return row / kPeriod * begins_[kPeriod] + begins_[row % kPeriod];
  }
  // The first row that begins at this entry or behind it.
  RowIndex first_row_from(std::uint64_t entry) const {
    const auto in_period = entry % begins_[kPeriod];
    const auto found = std::lower_bound(begins_.begin(), begins_.end(), in_period);
    return entry / begins_[kPeriod] * kPeriod + static_cast<RowIndex>(found - begins_.begin());
  }

  std::string label_;
  NoFile file_;
  SourceTraits traits_;
  std::array<std::uint64_t, kPeriod + 1> begins_;
};

// Codes of a column in whose files cells are sorted: `run` cells of each of `n` values, then from the start.
class SortedColumn : public ObsColumn {
 public:
  SortedColumn(RowIndex rows, std::uint64_t run, std::uint64_t n) : rows_(rows), run_(run), n_(n) {}
  ObsKind kind() const override { return ObsKind::category; }
  RowIndex n_rows() const override { return rows_; }
  bool streamable() const override { return true; }
  Status requests(RowRange, RequestList&) const override { return {}; }
  ByteCount scratch_bytes(RowIndex) const override { return 0; }
  Status decode(RowRange rows, const Fetched&, Scratch&, std::span<std::byte> out) const override {
    for (RowIndex r = rows.first; r < rows.last; ++r) {
      const auto code = static_cast<std::int32_t>(r / run_ % n_);
      std::memcpy(out.data() + (r - rows.first) * 4, &code, 4);
    }
    return {};
  }

 private:
  RowIndex rows_;
  std::uint64_t run_, n_;
};

class MetadataDataset : public internal::DatasetImpl {
 public:
  static constexpr std::uint64_t kDrugs = 96;

  MetadataDataset(std::size_t n_files, RowIndex periods_per_file) {
    const RowIndex rows = periods_per_file * MetadataSource::kPeriod;
    for (std::size_t f = 0; f < n_files; ++f) {
      auto source = std::make_shared<MetadataSource>(periods_per_file, "plate" + std::to_string(f));
      source->self = source;
      parts_.push_back({source, f * rows, nullptr, rows});
    }
  }
  // Keeps `keep` of every `of` runs of 256 rows.
  void select(std::uint64_t keep, std::uint64_t of) {
    for (auto& part : parts_) {
      auto bits = std::make_shared<internal::Bitmap>();
      const RowIndex n = part.source->traits().n_rows;
      for (RowIndex run = 0; run * 256 < n; ++run) {
        if (run % of < keep) bits->addRange(run * 256, std::min(n, run * 256 + 256));
      }
      part.n_selected = bits->cardinality();
      part.selected = bits;
    }
  }
  std::span<const internal::FilePart> parts() const override { return parts_; }
  std::uint64_t n_obs() const override {
    std::uint64_t n = 0;
    for (const auto& part : parts_) n += part.n_selected;
    return n;
  }
  std::uint64_t n_vars() const override { return 62'710; }
  std::span<const std::string> var_names() const override { return {}; }
  Result<internal::LabelColumn> label(const std::string& column,
                                      const std::vector<std::string>*) const override {
    internal::LabelColumn label;
    label.name = column;
    std::vector<std::int32_t> codes = {-1};
    for (std::uint64_t i = 0; i < kDrugs; ++i) {
      label.categories.push_back("drug" + std::to_string(i));
      codes.push_back(static_cast<std::int32_t>(i));
    }
    for (const auto& part : parts_) {
      const RowIndex rows = part.source->traits().n_rows;
      label.files.push_back({std::make_shared<SortedColumn>(rows, rows / kDrugs + 1, kDrugs), codes});
    }
    return label;
  }
  std::uint64_t index_bytes() const override { return parts_.size() * sizeof(MetadataSource); }
  std::vector<Note> notes() const override { return {}; }
  const std::string& matrix() const override { return matrix_; }
  FileName file_name(std::size_t part) const override {
    return {"/metadata/" + parts_[part].source->label(), ByteCount{1} << 50};
  }
  std::shared_ptr<const ReadCounts> read_counts() const override { return reads_; }

 private:
  std::vector<internal::FilePart> parts_;
  std::string matrix_ = "X";
  std::shared_ptr<ReadCounts> reads_ = std::make_shared<ReadCounts>();
};

}  // namespace penstock::testing
