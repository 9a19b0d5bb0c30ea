// Two looks, for two questions. take_sample() asks what a row of any file is like; it looks at the same rows
// whoever asks, so that window_rows, and with it the order of rows, does not depend on chance.
// measure_drawn() asks how long the rows are that come, where some come more often than others.
//
// Both decode for real, through the sinks below, because metadata says how long rows are but not how small
// their values pack, nor how many of their columns are wanted. A matrix that is stored by columns has no rows
// to look at; MadeUpRows stands in for it.
#include "loader/sample.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/checked.h"
#include "engine/encode.h"
#include "memory/reserved_buffer.h"
#include "source/column_major.h"
#include "source/read_requests.h"

namespace penstock::loader {
namespace {

// Files looked at, spread evenly over all, and rows at each of two places in one.
constexpr std::uint64_t kFiles = 8;
constexpr RowIndex kRows = 64;
constexpr int kTimes = 3;  // that a look decodes its rows
// Of rows drawn by weight: so many at least, and no more after so much was decoded for them.
constexpr double kLeastDrawn = 32;
constexpr ByteCount kMostDecoded = ByteCount{1} << 30;

// Adds up what rows come to in the window, in the file's own value type and in the output type.
class Weigh : public RowSink {
 public:
  Weigh(RowEncoder* stored, RowEncoder* output, const std::string& label)
      : stored_(stored), output_(output), label_(label) {}
  // The larger of both sizes counts. So a plan does not change when a float32 file of counts, which pack into
  // a byte each, is asked for as float64; it does where float64 values really take more.
  Status csr(const CsrTile& tile) override {
    for (std::size_t i = 0; i < tile.rows.size(); ++i) {
      EncodedRow row;
      PENSTOCK_RETURN_IF_ERROR(stored_->encode(tile, i, label_, &row));
      const ByteCount stored = row.value_bytes;
      PENSTOCK_RETURN_IF_ERROR(output_->encode(tile, i, label_, &row));
      ++rows;
      entries += row.n;
      squares += static_cast<double>(row.n) * static_cast<double>(row.n);
      value_bytes += std::max(stored, row.value_bytes);
    }
    return {};
  }
  std::uint64_t rows = 0, entries = 0, value_bytes = 0;
  double squares = 0;

 private:
  RowEncoder *stored_, *output_;
  const std::string& label_;
};

// Rows whose bytes are damaged do not count: they are the same ones whenever this file is sampled, and their
// error comes with the batch that needs them, if any does. What the system refuses now and may grant next
// time is an error: window_rows, and with it the order of rows, follows from the sample.
bool is_damage(const Status& status) { return status.code() == StatusCode::corrupt; }

// Adds up entries.
class Count : public RowSink {
 public:
  Status csr(const CsrTile& tile) override {
    for (std::size_t i = 0; i < tile.rows.size(); ++i) entries += tile.ends[i] - tile.begins[i];
    return {};
  }
  std::uint64_t entries = 0;
};

// Of a matrix that is stored by columns, whose rows cannot be had for less than a pass: rows made up of its
// values. A few parts spread over it are decoded, and a made-up row takes values at even distances in one, as
// many as rows have on average. How many entries are wanted is known exactly.
class MadeUpRows {
 public:
  explicit MadeUpRows(MemoryBudget& budget)
      : pass_("looking at columns before planning", &budget, MemoryTag::scratch),
        row_("rows made up before planning", &budget, MemoryTag::scratch) {}

  // `seconds`: to decode the parts, for an entry.
  Status look(const RowSource& source, RowSink& sink, double* seconds) {
    const ColumnMajor& columns = *source.by_columns();
    const SourceTraits& t = source.traits();
    *seconds = 0;
    // No column is wanted, or there is none: no value fits into a row.
    if (t.n_cols == 0 || source.wanted_entries() == 0) return {};
    const std::uint64_t n_parts = columns.n_parts(), looks = std::min(kParts, n_parts);
    const ByteCount stored = round_up(columns.part_stored_bytes(), 64);
    const auto mean = static_cast<std::uint64_t>(t.n_rows == 0 ? 0 : source.wanted_entries() / t.n_rows);
    const std::uint64_t length = std::clamp<std::uint64_t>(
        mean, 1, std::max<std::uint64_t>(1, std::min<std::uint64_t>(t.lengths.longest, t.n_cols)));
    PENSTOCK_RETURN_IF_ERROR(pass_.grow_to(stored + columns.part_scratch_bytes()));
    PENSTOCK_RETURN_IF_ERROR(row_.grow_to(length * (8 + sizeof(std::uint32_t))));
    double took = 0;
    std::uint64_t entries = 0;
    for (std::uint64_t i = 0; i < looks; ++i) {
      const std::uint64_t part = i * n_parts / looks;
      const auto scratch = pass_.bytes().subspan(stored);
      list_.clear();
      PENSTOCK_RETURN_IF_ERROR(columns.requests(part, list_));
      list_.coalesce(kCoalesceGap, kCoalesceMax);
      PENSTOCK_RETURN_IF_ERROR(read_requests(list_, pass_.bytes().first(stored)));
      const auto from = std::chrono::steady_clock::now();
      const Status status =
          columns.decode(part, Fetched(list_.requests(), pass_.bytes().data()), scratch, codec_);
      took += std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
      if (is_damage(status)) continue;
      PENSTOCK_RETURN_IF_ERROR(status);
      const auto values = columns.values(part, scratch);
      const std::size_t item = numeric_size(columns.turned_value_type());
      entries += values.size() / item;
      PENSTOCK_RETURN_IF_ERROR(make_up(values, item, length, columns.turned_value_type(), sink));
    }
    // Values of a part are all that is in it, wanted or not, since all of it has to be decoded.
    *seconds = entries == 0 ? 0 : took / static_cast<double>(entries);
    return {};
  }

 private:
  static constexpr std::uint64_t kParts = 8, kRowsOfPart = 16;

  // A part of 1,000 values, where rows have 10 on average: the distance is 100, row 0 takes values 0, 100,
  // ... 900, row 1 takes 1, 101, ... 901, and so on for 16 rows. Column ids are simply 0, 1, 2, ...: how wide
  // they are follows from the number of columns, and ascending ones need no sorting.
  Status make_up(std::span<const std::byte> values, std::size_t item, std::uint64_t length, NumericType type,
                 RowSink& sink) {
    length = std::min<std::uint64_t>(length, values.size() / item);
    if (length == 0) return {};
    const std::uint64_t step = values.size() / item / length;
    std::byte* const out = row_.bytes().data();
    // `row_` holds the values first, at up to 8 bytes each, then the ids, which thus are aligned.
    auto* const ids = reinterpret_cast<std::uint32_t*>(out + length * 8);
    const std::uint64_t begin = 0;
    CsrTile tile;
    tile.rows = {0, 1};
    tile.begins = &begin;
    tile.ends = &length;
    tile.indices = reinterpret_cast<const std::byte*>(ids);
    tile.values = out;
    tile.index_type = NumericType::u32;
    tile.value_type = type;
    for (std::uint64_t r = 0; r < std::min(step, kRowsOfPart); ++r) {
      for (std::uint64_t j = 0; j < length; ++j) {
        ids[j] = static_cast<std::uint32_t>(j);
        std::memcpy(out + j * item, values.data() + (r + j * step) * item, item);
      }
      PENSTOCK_RETURN_IF_ERROR(sink.csr(tile));
    }
    return {};
  }

  RequestList list_;
  ReservedBuffer pass_, row_;
  CodecContext codec_;
};

// Entries that decoding left out: in columns that are not wanted, and zeros of a matrix that stores them.
struct LeftOut {
  std::uint64_t in_columns = 0, zeros = 0;
};

// What a look at rows takes: memory that grows to what the largest look needs, and is given back with this.
class Look {
 public:
  explicit Look(MemoryBudget& budget)
      : bytes_("looking at rows before planning", &budget, MemoryTag::scratch),
        decode_("decoding rows before planning", &budget, MemoryTag::scratch),
        encode_("encoding rows before planning", &budget, MemoryTag::scratch) {}

  // Reads the rows that decode() is for.
  Status read(const RowSource& source, RowRange rows) {
    source_ = &source;
    rows_ = rows;
    list_.clear();
    PENSTOCK_RETURN_IF_ERROR(source.requests({&rows, 1}, Heads::whole, list_));
    list_.coalesce(kCoalesceGap, kCoalesceMax);
    PENSTOCK_RETURN_IF_ERROR(decode_.grow_to(source.scratch_bytes(rows.size())));
    return read_requests(list_, bytes_).status();
  }
  // As often as wanted. Entries that were left out are added to `left_out`.
  Status decode(RowSink& sink, LeftOut* left_out) {
    Scratch scratch{decode_.bytes(), &codec_};
    const Fetched fetched(list_.requests(), bytes_.bytes().data());
    PENSTOCK_RETURN_IF_ERROR(source_->decode({&rows_, 1}, fetched, scratch, sink));
    left_out->in_columns += scratch.entries_left_out;
    left_out->zeros += scratch.zeros;
    return {};
  }
  // What all looks so far have decoded.
  ByteCount bytes_decoded() { return decoded_ += codec_.take_bytes(); }
  // For an encoder.
  Result<std::span<std::byte>> room(ByteCount bytes) {
    PENSTOCK_RETURN_IF_ERROR(encode_.grow_to(bytes));
    return encode_.first(bytes);
  }

 private:
  const RowSource* source_ = nullptr;
  RowRange rows_;
  RequestList list_;
  ReservedBuffer bytes_, decode_, encode_;
  CodecContext codec_;
  ByteCount decoded_ = 0;
};

}  // namespace

Result<Sample> take_sample(std::span<const internal::FilePart> parts, ColIndex n_cols, NumericType output,
                           MemoryBudget& budget) {
  Sample out;
  Look look(budget);
  double seconds = 0;
  std::uint64_t value_bytes = 0, left_out = 0, zeros = 0;
  double squares = 0;
  double by_columns = 0;  // files
  double kept_of_columns = 0;
  const std::uint64_t n_files = std::min<std::uint64_t>(kFiles, parts.size());
  for (std::uint64_t i = 0; i < n_files; ++i) {
    const RowSource& source = *parts[i * parts.size() / n_files].source;
    const SourceTraits& traits = source.traits();
    const std::uint64_t longest = traits.lengths.longest;
    if (source.by_columns() != nullptr) {
      PENSTOCK_ASSIGN_OR_RETURN(
          const auto room, look.room(std::max(RowEncoder::bytes_needed(longest, n_cols, output),
                                              RowEncoder::bytes_needed(longest, n_cols, traits.value_type))));
      RowEncoder stored(room, longest, n_cols, traits.value_type);
      RowEncoder converted(room, longest, n_cols, output);
      Weigh sink(&stored, &converted, source.label());
      double entry_seconds = 0;
      PENSTOCK_RETURN_IF_ERROR(MadeUpRows(budget).look(source, sink, &entry_seconds));
      out.rows += sink.rows;
      out.entries += sink.entries;
      value_bytes += sink.value_bytes;
      // Seconds for an entry become seconds for a row by the entries that the file has for each of its rows.
      seconds += entry_seconds * static_cast<double>(traits.lengths.entries) /
                 static_cast<double>(std::max<RowIndex>(1, traits.n_rows)) * static_cast<double>(sink.rows);
      ++by_columns;
      kept_of_columns += traits.lengths.entries == 0 ? 1
                                                     : static_cast<double>(source.wanted_entries()) /
                                                           static_cast<double>(traits.lengths.entries);
      continue;
    }
    // The beginning and the middle: files are often sorted by donor or plate, so that rows side by side are
    // alike.
    for (const RowIndex first : {RowIndex{0}, traits.n_rows / 2}) {
      const RowRange range{first, std::min(traits.n_rows, first + kRows)};
      if (range.size() == 0) continue;
      // One encoder after the other works in the same room: only the sizes are wanted.
      PENSTOCK_ASSIGN_OR_RETURN(
          const auto room, look.room(std::max(RowEncoder::bytes_needed(longest, n_cols, output),
                                              RowEncoder::bytes_needed(longest, n_cols, traits.value_type))));
      RowEncoder stored(room, longest, n_cols, traits.value_type);
      RowEncoder converted(room, longest, n_cols, output);
      Weigh sink(&stored, &converted, source.label());
      Status status = look.read(source, range);
      // The first time pays for page faults and cold tables. Of the others the shorter one counts: the system may
      // have given the core to somebody else meanwhile.
      LeftOut left;
      double took = 0;
      for (int time = 0; time < kTimes; ++time) {
        const auto from = std::chrono::steady_clock::now();
        if (status.ok()) status = look.decode(sink, &left);
        const std::chrono::duration<double> now = std::chrono::steady_clock::now() - from;
        took = time < 2 ? now.count() : std::min(took, now.count());
      }
      if (is_damage(status)) continue;
      PENSTOCK_RETURN_IF_ERROR(status);
      seconds += took;
      out.rows += sink.rows / kTimes;
      out.entries += sink.entries / kTimes;
      squares += sink.squares / kTimes;
      left_out += (left.in_columns + left.zeros) / kTimes;
      zeros += left.zeros;
      value_bytes += sink.value_bytes / kTimes;
    }
  }
  if (out.entries > 0) out.value_bytes = static_cast<double>(value_bytes) / static_cast<double>(out.entries);
  if (left_out > 0) {
    // At least one entry in a row, so that a selection that the sample has nothing of is not planned for as
    // nothing.
    out.kept = static_cast<double>(std::max(out.entries, out.rows)) /
               static_cast<double>(std::max(out.entries + left_out, out.rows));
  }
  // Files stored by columns know their share exactly, and the others have what the sample saw: the mean over
  // files. With 6 such files that keep 0.5 and 2 others that keep 0.9 that is (3 + 1.8) / 8 = 0.6.
  if (by_columns > 0) {
    const double files = static_cast<double>(n_files);
    out.kept = (kept_of_columns + out.kept * (files - by_columns)) / files;
  }
  // The mean of the squares less the square of the mean. Rounding can make it a little less than 0.
  if (zeros > 0 && out.rows > 0) {
    const double n = static_cast<double>(out.rows), mean = static_cast<double>(out.entries) / n;
    out.variance = std::max(0.0, squares / n - mean * mean);
  }
  if (out.rows > 0) {
    out.seconds_per_row = seconds / static_cast<double>(out.rows);
    out.decoded_per_row = static_cast<double>(look.bytes_decoded()) / kTimes / static_cast<double>(out.rows);
  }
  return out;
}

Result<DrawnLengths> measure_drawn(std::span<const internal::FilePart> parts,
                                   std::span<const RowWeights::Drawn> rows, MemoryBudget& budget) {
  DrawnLengths out;
  Look look(budget);
  double n = 0, sum = 0, squares = 0;
  for (const RowWeights::Drawn& drawn : rows) {
    Count sink;
    const RowSource& source = *parts[drawn.file].source;
    if (const ColumnMajor* columns = source.by_columns()) {
      const double all = static_cast<double>(std::max<std::uint64_t>(1, source.traits().lengths.entries));
      // Nothing is read: opening counted the entries of each row, and that a row has its share of wanted
      // columns is as good a guess as any.
      const double entries =
          columns->row_lengths()[drawn.row] * static_cast<double>(source.wanted_entries()) / all;
      ++n;
      sum += entries;
      squares += entries * entries;
      continue;
    }
    Status status = look.read(*parts[drawn.file].source, {drawn.row, drawn.row + 1});
    LeftOut left_out;
    if (status.ok()) status = look.decode(sink, &left_out);
    if (is_damage(status)) continue;
    PENSTOCK_RETURN_IF_ERROR(status);
    const double entries = static_cast<double>(sink.entries);
    ++n;
    sum += entries;
    squares += entries * entries;
    // A row of a dense matrix may cost a band of chunks.
    if (left_out.zeros > 0 && look.bytes_decoded() > kMostDecoded && n >= kLeastDrawn) break;
  }
  if (n == 0) return out;
  out.rows = n;
  out.mean = sum / n;
  out.variance = std::max(0.0, squares / n - out.mean * out.mean);
  return out;
}

}  // namespace penstock::loader
