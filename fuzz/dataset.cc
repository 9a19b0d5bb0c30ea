#include "penstock/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>

#include "dataset/dataset_impl.h"
#include "engine/encode.h"
#include "io/testing/memory_file.h"
#include "outcome.h"
#include "plan/record_layout.h"
#include "source/numbers.h"
#include "targets.h"

namespace penstock::fuzz {

namespace {

constexpr ByteCount kIndexMemory = 16 << 20;
// What one block may take; a loader would refuse the plan.
constexpr ByteCount kMostBytes = 4 << 20;
constexpr std::uint64_t kMostRows = 20'000;  // read of a column, or of a file
constexpr std::size_t kBlocks = 6;

// A buffer as a loader gives it, of exactly this size: the address sanitizer sees one byte more.
class Aligned {
 public:
  explicit Aligned(std::size_t bytes) : size_(bytes) {
    if (posix_memalign(&data_, 64, std::max<std::size_t>(bytes, 1)) != 0) std::abort();
    std::memset(data_, 0xA5, bytes);
  }
  ~Aligned() { std::free(data_); }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_;
};

// Every wanted row once, in order; each is encoded as the loader does and kept.
class Sink final : public RowSink {
 public:
  struct Row {
    std::vector<std::byte> indices, values;
    friend bool operator==(const Row&, const Row&) = default;
  };
  Sink(const RowSource& source, std::span<const RowRange> wanted) : source_(source) {
    for (const RowRange& range : wanted) {
      for (RowIndex row = range.first; row < range.last; ++row) expected_.push_back(row);
    }
  }

  Status csr(const CsrTile& tile) override {
    const SourceTraits& traits = source_.traits();
    require(tile.rows.size() > 0 && tile.begins != nullptr && tile.ends != nullptr,
            "a tile without its rows");
    require(numeric_size(tile.value_type) <= numeric_size(traits.value_type), "a tile of wider values");
    const std::size_t item = numeric_size(tile.value_type), id = numeric_size(tile.index_type);
    for (std::size_t r = 0; r < tile.rows.size(); ++r) {
      require(next_ < expected_.size() && expected_[next_] == tile.rows.first + r, "a row out of order");
      ++next_;
      require(tile.begins[r] <= tile.ends[r], "offsets fall");
      const std::uint64_t begin = tile.begins[r], n = tile.ends[r] - begin;
      require(n <= traits.lengths.longest, "a row longer than the longest");
      // Widened: a source may choose another narrow type when it reads a row with others.
      Row row{std::vector<std::byte>(n * sizeof(std::int64_t)), std::vector<std::byte>(n * sizeof(double))};
      to_int64(tile.index_type, tile.indices + begin * id,
               {reinterpret_cast<std::int64_t*>(row.indices.data()), n});
      to_double(tile.value_type, tile.values + begin * item,
                {reinterpret_cast<double*>(row.values.data()), n});
      rows.emplace(tile.rows.first + r, std::move(row));
      if (encoded.ok()) encoded = encode(tile, r, n);
    }
    return {};
  }

  bool complete() const { return next_ == expected_.size(); }

  std::map<RowIndex, Row> rows;
  Status encoded;  // of the first row that could not be

 private:
  Status encode(const CsrTile& tile, std::size_t r, std::uint64_t n) {
    const auto n_cols = source_.traits().n_cols;
    if (n_cols == 0 || n_cols > std::uint64_t{1} << 32) return {};
    const Aligned room(loader::RowEncoder::bytes_needed(n, n_cols, NumericType::f32));
    loader::RowEncoder encoder(room.bytes(), n, n_cols, NumericType::f32);
    loader::EncodedRow row;
    PENSTOCK_RETURN_IF_ERROR(encoder.encode(tile, r, source_.label(), &row));
    require(row.n <= n, "an encoded row has grown");
    const std::size_t id_bytes = plan::RecordLayout::id_bytes(n_cols);
    std::uint32_t last = 0;
    for (std::uint32_t i = 0; i < row.n; ++i) {
      std::uint32_t column = 0;
      std::memcpy(&column, row.ids + i * id_bytes, id_bytes);
      require(column < n_cols && (i == 0 || column > last), "an encoded row is not sorted or out of range");
      last = column;
    }
    return {};
  }

  const RowSource& source_;
  std::vector<RowIndex> expected_;
  std::size_t next_ = 0;
};

// Fetches what was asked for. nullptr: more than a loader of this size would take.
std::unique_ptr<Aligned> fetch(const RequestList& list, Status& status) {
  if (list.total_bytes() > kMostBytes) return nullptr;
  auto bytes = std::make_unique<Aligned>(list.total_bytes());
  ByteCount at = 0;
  for (const ReadRequest& request : list.requests()) {
    status = request.file->read_at(request.offset, bytes->bytes().subspan(at, request.bytes));
    if (!status.ok()) return nullptr;
    at += request.bytes;
  }
  return bytes;
}

// Some blocks of rows, read as the loader does. Rows that were read before must be the same again.
void read_blocks(const RowSource& source, std::uint64_t seed, std::map<RowIndex, Sink::Row>& known,
                 Outcome& outcome) {
  std::mt19937_64 random(seed);
  const RowIndex n_rows = source.traits().n_rows;
  CodecContext codec;
  for (std::size_t i = 0; i < kBlocks && n_rows > 0; ++i) {
    std::vector<RowRange> wanted;
    const RowIndex first = i == 0 ? 0 : random() % n_rows;
    const RowIndex cut = source.cut(first, 1 + random() % 64);
    require(cut > first && cut <= n_rows, "a block is cut outside of the matrix");
    for (RowIndex row = first; row < std::min(n_rows, first + 200) && wanted.size() < 10;) {
      const RowIndex last = std::min(n_rows, row + 1 + random() % 40);
      wanted.push_back({row, last});
      row = last + 1 + random() % 5;
    }
    RowIndex rows = 0;
    for (const RowRange& range : wanted) rows += range.size();
    const ByteCount scratch_bytes = source.scratch_bytes(rows);
    if (scratch_bytes > kMostBytes) return;
    const Aligned scratch(scratch_bytes);
    Scratch room{scratch.bytes(), &codec};
    // From whole chunks only when a head was too short, as a loader does.
    for (const Heads heads : {Heads::estimated, Heads::whole}) {
      RequestList list;
      if (!outcome.take(source.requests(wanted, heads, list))) return;
      list.coalesce(kCoalesceGap, kCoalesceMax);
      const ReadCost cost = source.cost(wanted);
      require(heads == Heads::whole ||
                  (cost.stored == list.total_bytes() && cost.requests == list.requests().size()),
              "the price of a block is not what it asks for");
      Status read;
      const auto fetched = fetch(list, read);
      outcome.take(read);
      if (!fetched) break;
      Sink sink(source, wanted);
      const Status decoded =
          source.decode(wanted, Fetched(list.requests(), fetched->bytes().data()), room, sink);
      require(!room.head_too_short || heads == Heads::estimated, "a whole chunk is too short a head");
      if (!room.head_too_short) {
        outcome.take(sink.encoded);
        if (outcome.take(decoded)) require(sink.complete(), "rows are missing");
      }
      for (const auto& [row, content] : sink.rows) {
        const auto [before, fresh] = known.emplace(row, content);
        require(fresh || before->second == content,
                fmt::format("row {} differs from when it was read before", row));
      }
      if (!room.head_too_short) break;
    }
  }
}

void read_label(const Dataset& dataset, const std::string& name, std::mt19937_64& random, Outcome& outcome) {
  const auto label = dataset.impl().label(name, nullptr);
  if (!outcome.take(label.status())) return;
  const auto& column = *label->files.front().column;
  const auto& codes = label->files.front().codes;
  require(column.n_rows() == dataset.n_obs_total(), "a label has another number of rows");
  CodecContext codec;
  for (int i = 0; i < 2 && column.n_rows() > 0; ++i) {
    const RowIndex first = random() % column.n_rows();
    const RowRange rows{first, std::min(column.n_rows(), first + 1 + random() % 100)};
    RequestList list;
    if (!outcome.take(column.requests(rows, list))) return;
    list.coalesce(kCoalesceGap, kCoalesceMax);
    const ByteCount scratch_bytes = column.scratch_bytes(rows.size());
    if (scratch_bytes > kMostBytes) return;
    Status read;
    const auto fetched = fetch(list, read);
    outcome.take(read);
    if (!fetched) return;
    const Aligned scratch(scratch_bytes);
    Scratch room{scratch.bytes(), &codec};
    const Aligned out(rows.size() * obs_value_bytes(column.kind()));
    const Status decoded =
        column.decode(rows, Fetched(list.requests(), fetched->bytes().data()), room, out.bytes());
    if (!outcome.take(decoded) || label->kind != ObsKind::category) continue;
    for (RowIndex row = 0; row < rows.size(); ++row) {
      std::int32_t code = 0;
      std::memcpy(&code, out.bytes().data() + row * sizeof(code), sizeof(code));
      require(code >= -1 && static_cast<std::size_t>(code + 1) < codes.size(),
              "a code outside of its categories");
      const std::int32_t global = codes[static_cast<std::size_t>(code + 1)];
      require(global >= -1 && global < static_cast<std::int64_t>(label->categories.size()),
              "a code of no category");
    }
  }
}

void read_tables(const Dataset& dataset, std::mt19937_64& random, Outcome& outcome) {
  const bool few_rows = dataset.n_obs() <= kMostRows, few_columns = dataset.n_vars() <= kMostRows;
  const auto check = [&](const Result<Column>& column, std::uint64_t n) {
    if (!outcome.take(column.status())) return;
    require(column->size() == n, column->name + ": a column of another length");
    for (const std::int32_t code : column->codes) {
      require(code >= -1 && code < static_cast<std::int64_t>(column->categories.size()),
              "a code of no category");
    }
  };
  std::size_t left = 24;
  for (const ColumnInfo& info : dataset.obs_columns()) {
    if (left-- == 0) break;
    read_label(dataset, info.name, random, outcome);
    if (few_rows) check(dataset.obs(info.name), dataset.n_obs());
    (void)dataset.categories(info.name).ok();
  }
  for (const ColumnInfo& info : dataset.var_columns()) {
    if (left-- == 0 || !few_columns) break;
    check(dataset.var(info.name), dataset.n_vars());
  }
  if (few_rows) outcome.take(dataset.obs_names().status());
}

}  // namespace

namespace {

constexpr const char* kGenes = "genes.csv";

// Tokens 3 to 42 of 40 genes.
std::vector<std::byte> gene_table() {
  std::string text = "token_id,gene_symbol\n";
  for (int i = 0; i < 40; ++i) text += fmt::format("{},G{}\n", i + 3, i);
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// The matrices of one file, and every table.
std::string dataset_of(Input input, const std::string& label, std::vector<std::string> matrices,
                       OpenOptions options) {
  const auto file =
      std::make_shared<const testing::MemoryFile>(std::vector<std::byte>(input.begin(), input.end()), label);
  const auto genes = std::make_shared<const testing::MemoryFile>(gene_table(), kGenes);
  Outcome outcome(label);
  std::string summary = "not opened";
  for (std::size_t i = 0; i < matrices.size() && i < 4; ++i) {
    std::mt19937_64 random(input.size() + i);
    options.matrix = matrices[i];
    options.index_memory = kIndexMemory;
    options.opener = [&](const std::string& path) {
      return Result<std::shared_ptr<const File>>(path == kGenes ? genes : file);
    };
    const auto dataset = Dataset::open({label}, options);
    // Most files have no raw.
    const bool absent = i > 0 && (dataset.status().code() == StatusCode::not_found ||
                                  dataset.status().code() == StatusCode::unsupported);
    if (absent || !outcome.take(dataset.status())) continue;
    if (i == 0) {
      for (const std::string& other : (*dataset)->other_matrices()) {
        if (other.starts_with("layers/")) matrices.push_back(other);
      }
    }
    const RowSource& source = *(*dataset)->impl().parts().front().source;
    std::map<RowIndex, Sink::Row> known;
    read_blocks(source, random(), known, outcome);
    const auto budget = MemoryBudget::create(kIndexMemory);
    const auto resident = source.resident(*budget);
    if (outcome.take(resident.status())) read_blocks(**resident, random(), known, outcome);
    read_tables(**dataset, random, outcome);
    summary =
        fmt::format("ok: {} x {}, {} entries, {} obs columns", (*dataset)->n_obs(), (*dataset)->n_vars(),
                    source.traits().lengths.entries, (*dataset)->obs_columns().size());
  }
  return outcome.text(summary);
}

}  // namespace

std::string anndata(Input input) { return dataset_of(input, "input.h5ad", {"X", "raw/X"}, {}); }

std::string parquet(Input input) {
  OpenOptions options;
  options.var = kGenes;
  return dataset_of(input, "input.parquet", {"X", "wide"}, options);
}

}  // namespace penstock::fuzz
