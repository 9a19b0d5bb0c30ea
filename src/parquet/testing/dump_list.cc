// Reads a list column as the matrix sources do, through ElementWindow and pages that are walked before, but
// with a target that keeps values as they are stored and missing ones as null, so that a test can compare
// each of them with what pyarrow reads.
#include "parquet/testing/dump_list.h"

#include <cstring>
#include <vector>

#include "parquet/column_target.h"
#include "parquet/element_window.h"
#include "parquet/matrix_column.h"
#include "parquet/page_walk.h"
#include "source/numbers.h"

namespace penstock::parquet {
namespace {

// Values as stored, each followed by a byte that says whether there is one.
class AsStored final : public ColumnTarget {
 public:
  AsStored(NumericType type, PhysicalType physical, std::uint64_t entries)
      : size_of_(numeric_size(type)), physical_(physical), table_(entries * size_of_), type_(type) {}

  Status dictionary(const PageContext& context, const Page& page) override {
    NumberReader reader;
    DecodeError error =
        NumberReader::open(Encoding::plain, physical_, 0, page.values, page.n_values, &reader);
    if (error == DecodeError::ok) error = reader.read(table_.data(), page.n_values);
    if (error != DecodeError::ok) return context.label.corrupt(page.offset, describe(error));
    size_ = static_cast<std::uint32_t>(page.n_values);
    return {};
  }
  void no_dictionary() override { size_ = 0; }
  std::size_t item() const override { return 8; }
  bool takes(const PageValues&) const override { return true; }
  DecodeError read(PageValues& values, std::uint64_t n, std::byte* out) override {
    std::vector<std::byte> stored(n * size_of_);
    DecodeError error = DecodeError::ok;
    if (!values.coded()) {
      error = values.read(stored.data(), n);
    } else if (size_of_ == 4) {
      error = values.gather(reinterpret_cast<const std::uint32_t*>(table_.data()),
                            reinterpret_cast<std::uint32_t*>(stored.data()), n);
    } else {
      error = values.gather(reinterpret_cast<const std::uint64_t*>(table_.data()),
                            reinterpret_cast<std::uint64_t*>(stored.data()), n);
    }
    for (std::uint64_t i = 0; i < n; ++i) {
      // Elements take 8 bytes in the window, whatever is stored.
      std::memset(out + i * 8, 0, 8);
      std::memcpy(out + i * 8, stored.data() + i * size_of_, size_of_);
    }
    return error;
  }
  Missing missing() const override { return Missing::is_written; }
  void put_missing(std::byte* out) override { std::memcpy(out, &kMissing, sizeof(kMissing)); }

  nlohmann::json json(const std::byte* element) const {
    std::uint64_t bits = 0;
    std::memcpy(&bits, element, sizeof(bits));
    if (bits == kMissing) return nullptr;
    const auto as = [&]<class T>() {
      T value;
      std::memcpy(&value, element, sizeof(value));
      return value;
    };
    switch (type_) {
      case NumericType::f32:
        return as.operator()<float>();
      case NumericType::f64:
        return as.operator()<double>();
      case NumericType::i32:
        return as.operator()<std::int32_t>();
      case NumericType::u32:
        return as.operator()<std::uint32_t>();
      case NumericType::u64:
        return bits;
      default:
        return as.operator()<std::int64_t>();
    }
  }

 private:
  static constexpr std::uint64_t kMissing = 0x7ff9'0123'4567'89ab;  // no test file holds it

  const std::size_t size_of_;
  const PhysicalType physical_;
  std::vector<std::byte> table_;
  const NumericType type_;
};

}  // namespace

Result<nlohmann::json> dump_list(const File& file, const FileMetadata& metadata, std::size_t number) {
  const auto budget = MemoryBudget::create(1'000'000'000);
  PENSTOCK_ASSIGN_OR_RETURN(MatrixColumn side,
                            open_matrix_column(metadata, number, Leaf::Shape::list, false));
  auto rows = nlohmann::json::array();
  PageWalker walker(file, *budget);
  for (std::size_t g = 0; g < metadata.row_groups.size(); ++g) {
    const ColumnChunk& chunk = metadata.row_groups[g].columns[number];
    PageLimits limits;
    PENSTOCK_ASSIGN_OR_RETURN(const ByteOffset end, walker.walk(metadata, g, number, &limits,
                                                                [](const auto&) { return Status(); }));
    RequestList list;
    list.add(&file, chunk.offset, end - chunk.offset);
    std::vector<std::byte> bytes(end - chunk.offset), page(limits.page);
    PENSTOCK_RETURN_IF_ERROR(file.read_at(chunk.offset, bytes));
    std::vector<std::byte> elements((chunk.n_values + kSlice) * 8);
    std::vector<std::uint32_t> starts(2 * limits.positions + 2);
    AsStored target(side.stored, side.column.type, limits.dictionary);
    CodecContext codec;
    ElementWindow window(side.column, side.context(file.label(), g), side.column.type, &target,
                         {page, elements, starts}, &codec);
    PageSpan span;
    // All pages of the chunk, the dictionary among them.
    span.begin = chunk.offset;
    span.end = end;
    PENSTOCK_RETURN_IF_ERROR(window.open(span, &file, Fetched(list.requests(), bytes.data()), false));
    // Row by row, as it may be asked for: some are passed over and others read.
    for (std::uint64_t row = 0; row < metadata.row_groups[g].n_rows; ++row) {
      PENSTOCK_RETURN_IF_ERROR(window.seek(row));
      const auto known = [&] {
        return window.rows_known() > 1 ? window.start(1) <= window.end()
                                       : window.exhausted() && window.total() <= window.end();
      };
      bool widen = false;
      while (!known()) PENSTOCK_RETURN_IF_ERROR(window.more(0, &widen));
      const std::uint64_t last = window.rows_known() > 1 ? window.start(1) : window.total();
      auto values = nlohmann::json::array();
      for (std::uint64_t i = 0; i < last; ++i) values.push_back(target.json(window.at(i)));
      rows.push_back(std::move(values));
    }
  }
  return rows;
}

}  // namespace penstock::parquet
