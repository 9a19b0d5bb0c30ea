#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <type_traits>
#include <vector>

#include "base/byte_reader.h"
#include "batch/compact_row.h"
#include "batch/compact_row_ref.h"
#include "batch/densify.h"
#include "batch/densify_ref.h"
#include "every_target.h"
#include "require.h"
#include "targets.h"

namespace penstock::fuzz {

namespace {

using batch::ValueClass;
using Bytes = std::vector<std::byte>;

constexpr std::byte kGarbage{0xA5};
constexpr std::size_t kMostColumns = 5000;

// What a kernel gave: its return value and its output.
struct Result {
  std::uint64_t value = 0;
  Bytes bytes;
  friend bool operator==(const Result&, const Result&) = default;
};

// The head of an input, and the data behind it at an odd address in an allocation that ends with it.
struct Case {
  explicit Case(Input input) : head(input) {
    kernel = head.u8();
    in_type = static_cast<NumericType>(head.u8() % 12);
    out_type = static_cast<NumericType>(head.u8() % 12);
    flags = head.u8();
    size = head.u16();
    const Input rest = input.subspan(std::min(input.size(), head.position()));
    bytes.assign(1, std::byte{0});
    bytes.insert(bytes.end(), rest.begin(), rest.end());
  }
  const std::byte* data() const { return bytes.data() + 1; }
  std::size_t n_bytes() const { return bytes.size() - 1; }
  std::size_t elements() const { return n_bytes() / numeric_size(in_type); }

  ByteReader head;
  std::uint8_t kernel = 0, flags = 0;
  NumericType in_type = NumericType::i8, out_type = NumericType::i8;
  std::uint16_t size = 0;
  Bytes bytes;
};

// An output of garbage at an aligned address, with a guard behind it that must stay.
class Output {
 public:
  explicit Output(std::size_t bytes) : size_(bytes), bytes_(bytes + kGuard, kGarbage) {}
  std::byte* data() { return bytes_.data(); }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(bytes_.data());
  }
  Bytes take(std::size_t n) const {
    for (std::size_t i = 0; i < kGuard; ++i)
      require(bytes_[size_ + i] == kGarbage, "written behind the output");
    return {bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(n)};
  }
  Bytes take() const { return take(size_); }

 private:
  static constexpr std::size_t kGuard = 64;
  std::size_t size_;
  Bytes bytes_;
};

// All instruction sets and the forced plain loops give `expected`.
template <class Run>
void expect_everywhere(const char* kernel, const Result& expected, const Run& run) {
  const auto check = [&](const std::string& target) {
    require(run() == expected, fmt::format("{} on {} differs from the plain loop", kernel, target));
  };
  on_every_target(check);
  batch::force_scalar(true);
  check("the forced plain loop");
  batch::force_scalar(false);
}

// What is written for ids out of range is not promised.
template <class Id>
Result narrowed(const batch::NarrowResult& result, const Output& out) {
  const std::uint64_t value = result.in_range | result.ascending << 1 | result.bad << 2;
  return {value, result.in_range ? out.take() : Bytes()};
}

template <class Id>
void narrow(const Case& c) {
  const std::uint64_t most = sizeof(Id) == 2 ? 65536 : std::uint64_t{1} << 32;
  const std::uint64_t n_cols =
      c.flags & 1 ? most : std::min<std::uint64_t>(most, std::uint64_t{c.size} << (c.flags >> 4));
  const std::size_t n = c.elements();
  const auto run = [&](auto&& kernel) {
    Output out(n * sizeof(Id));
    const batch::NarrowResult result = kernel(out.as<Id>());
    return narrowed<Id>(result, out);
  };
  const Result expected =
      run([&](Id* out) { return batch::ref::narrow_ids(c.data(), c.in_type, n, n_cols, out); });
  expect_everywhere("narrow_ids", expected, [&] {
    return run([&](Id* out) { return batch::narrow_ids(c.data(), c.in_type, n, n_cols, out); });
  });
}

// A stable sort that sums duplicates, written as simply as can be. Which of two NaNs a sum keeps is up to the
// compiler (addition commutes): such a sum counts as one NaN.
template <class Id, class T>
void sort_row_of(const Case& c) {
  const std::size_t n = c.n_bytes() / (sizeof(Id) + sizeof(T));
  const std::byte* values = c.data() + n * sizeof(Id);
  struct Cell {
    T value{};
    bool is_sum = false;
  };
  std::map<Id, Cell> row;
  for (std::size_t i = 0; i < n; ++i) {
    const T value = batch::load<T>(values, i);
    const auto [at, fresh] = row.emplace(batch::load<Id>(c.data(), i), Cell{value});
    if (!fresh) at->second = {batch::sum(at->second.value, value), true};
  }
  // The n-th id and value as bytes, and NaNs that are sums as zeros.
  const auto append = [](Bytes& bytes, Id id, T value, bool is_sum) {
    bool nan = false;
    if constexpr (!std::is_integral_v<T>) nan = batch::widened(value) != batch::widened(value);
    if (nan && is_sum) value = T{};
    const std::size_t end = bytes.size();
    bytes.resize(end + sizeof(Id) + sizeof(T) + 1);
    std::memcpy(bytes.data() + end, &id, sizeof(Id));
    std::memcpy(bytes.data() + end + sizeof(Id), &value, sizeof(T));
    bytes.back() = nan ? std::byte{1} : std::byte{0};
  };
  Result expected{row.size(), {}};
  for (const auto& [id, cell] : row) append(expected.bytes, id, cell.value, cell.is_sum);
  expect_everywhere("sort_row", expected, [&] {
    Output ids(n * sizeof(Id)), sums(n * sizeof(T)), scratch(batch::sort_scratch_bytes(n) + 1);
    if (n > 0) std::memcpy(ids.data(), c.data(), n * sizeof(Id));
    if (n > 0) std::memcpy(sums.data(), values, n * sizeof(T));
    const std::size_t kept = batch::sort_row(ids.as<Id>(), sums.data(), c.out_type, n, scratch.data() + 1);
    (void)scratch.take();
    const Bytes sorted = ids.take(), added = sums.take();
    require(kept == row.size(), "sort_row keeps another number of entries");
    Result result{kept, {}};
    std::size_t i = 0;
    for (const auto& each : row) {
      append(result.bytes, batch::load<Id>(sorted.data(), i), batch::load<T>(added.data(), i),
             each.second.is_sum);
      ++i;
    }
    return result;
  });
}

template <class Id>
void sort_row(const Case& c) {
  batch::visit_numeric(c.out_type, [&]<class T>(std::type_identity<T>) { sort_row_of<Id, T>(c); });
}

void convert(const Case& c) {
  const std::size_t n = c.elements();
  const auto run = [&](auto kernel) {
    Output out(n * numeric_size(c.out_type));
    const std::uint64_t inexact = kernel(c.data(), c.in_type, n, out.data(), c.out_type);
    return Result{inexact, out.take()};
  };
  expect_everywhere("convert_values", run(batch::ref::convert_values),
                    [&] { return run(batch::convert_values); });
}

void compact(const Case& c) {
  const std::size_t n = c.elements(), item = numeric_size(c.in_type);
  ValueClass cls{};
  const auto run = [&](auto kernel) {
    Output out(n * item);
    cls = kernel(c.data(), c.in_type, n, out.data());
    return Result{static_cast<std::uint64_t>(cls), out.take(n * batch::value_class_bytes(cls, c.in_type))};
  };
  const Result packed = run(batch::ref::compact_values);
  expect_everywhere("compact_values", packed, [&] { return run(batch::compact_values); });
  // And back: the same bits.
  cls = static_cast<ValueClass>(packed.value);
  const Result original{0, Bytes(c.data(), c.data() + n * item)};
  for (const batch::Writes writes : {batch::Writes::cached, batch::Writes::streamed}) {
    expect_everywhere("expand_values", original, [&] {
      Output out(n * item);
      batch::expand_values(packed.bytes.data(), cls, n, out.data(), c.in_type, writes);
      batch::stream_fence();
      return Result{0, out.take()};
    });
  }
}

// Any integers, not only those that compact_values packs.
void expand(const Case& c) {
  const auto cls = static_cast<ValueClass>(c.flags % 3);
  const std::size_t n = c.n_bytes() / batch::value_class_bytes(cls, c.out_type),
                    item = numeric_size(c.out_type);
  Output plain(n * item);
  batch::ref::expand_values(c.data(), cls, n, plain.data(), c.out_type);
  const auto writes = c.flags & 64 ? batch::Writes::streamed : batch::Writes::cached;
  expect_everywhere("expand_values", {0, plain.take()}, [&] {
    Output out(n * item);
    batch::expand_values(c.data(), cls, n, out.data(), c.out_type, writes);
    batch::stream_fence();
    return Result{0, out.take()};
  });
}

template <class In, class Out>
void expand_ids(const Case& c) {
  const std::size_t n = c.n_bytes() / sizeof(In);
  std::vector<In> ids(n);
  if (n > 0) std::memcpy(ids.data(), c.data(), n * sizeof(In));
  // Ids are smaller than the number of columns, which fits the index type.
  if constexpr (sizeof(In) == 4) {
    for (In& id : ids) id &= 0x7fffffff;
  }
  Output plain(n * sizeof(Out));
  batch::ref::expand_ids(ids.data(), n, plain.as<Out>());
  const auto writes = c.flags & 64 ? batch::Writes::streamed : batch::Writes::cached;
  expect_everywhere("expand_ids", {0, plain.take()}, [&] {
    Output out(n * sizeof(Out));
    batch::expand_ids(ids.data(), n, out.as<Out>(), writes);
    batch::stream_fence();
    return Result{0, out.take()};
  });
}

template <class Id>
void densify_row(const Case& c) {
  const auto cls = static_cast<ValueClass>(c.flags % 3);
  const std::size_t item = numeric_size(c.out_type), width = batch::value_class_bytes(cls, c.out_type);
  const std::size_t n_cols = c.size % kMostColumns;
  // Each 16 bits are the gap to the next column, so that any input is a row; its values are the same bytes.
  std::vector<Id> ids;
  std::size_t column = 0;
  for (std::size_t i = 0; i + 1 < c.n_bytes() && (i / 2 + 1) * width <= c.n_bytes(); i += 2) {
    column += batch::load<std::uint16_t>(c.data(), i / 2) % 200 + (i > 0 ? 1 : 0);
    if (column >= n_cols) break;
    ids.push_back(static_cast<Id>(column));
  }
  Output plain(n_cols * item);
  batch::ref::densify_row(ids.data(), c.data(), cls, ids.size(), c.out_type, n_cols, plain.data());
  const std::size_t shift = c.flags >> 4;
  expect_everywhere("densify_row", {0, plain.take()}, [&] {
    Output out(n_cols * item + shift * item);
    Bytes row(n_cols * item);
    batch::densify_row(ids.data(), c.data(), cls, ids.size(), c.out_type, row.data(), n_cols,
                       out.data() + shift * item);
    require(std::all_of(row.begin(), row.end(), [](std::byte b) { return b == std::byte{0}; }),
            "densify_row leaves its scratch dirty");
    const Bytes all = out.take();
    return Result{0, Bytes(all.begin() + static_cast<std::ptrdiff_t>(shift * item), all.end())};
  });
}

// Users write into batches: any bytes may be the arrays of a CSR matrix.
template <class Index>
void densify_csr(const Case& c) {
  const std::size_t n_rows = c.flags % 8, n_cols = c.size % 600;
  const std::size_t fixed = (n_rows + 1) * sizeof(Index);
  if (c.n_bytes() < fixed) return;
  const std::size_t item = numeric_size(c.in_type), out_item = numeric_size(c.out_type);
  const std::size_t nnz = (c.n_bytes() - fixed) / (sizeof(Index) + item);
  // Half of the inputs are made sound, else few would be accepted.
  Bytes arrays(c.data(), c.data() + c.n_bytes());
  if (c.flags & 8 && n_cols > 0 && n_rows > 0) {
    for (std::size_t r = 0; r <= n_rows; ++r) {
      batch::store(arrays.data(), r, static_cast<Index>(r == n_rows ? nnz : nnz * r / n_rows));
    }
    for (std::size_t i = 0; i < nnz; ++i) {
      const auto id = batch::load<std::make_unsigned_t<Index>>(arrays.data() + fixed, i);
      batch::store(arrays.data() + fixed, i, static_cast<Index>(id % n_cols));
    }
  }
  const auto run = [&] {
    Output out(n_rows * n_cols * out_item);
    const batch::CsrArrays csr{.indptr = arrays.data(),
                               .indices = arrays.data() + fixed,
                               .index_type = sizeof(Index) == 4 ? NumericType::i32 : NumericType::i64,
                               .values = arrays.data() + fixed + nnz * sizeof(Index),
                               .value_type = c.in_type,
                               .nnz = nnz,
                               .n_rows = n_rows,
                               .n_cols = n_cols};
    // In two parts where the input says so.
    const std::size_t cut = c.flags & 16 ? n_rows / 2 : n_rows;
    bool valid = batch::densify_csr(csr, 0, cut, c.out_type, out.data());
    valid = valid && batch::densify_csr(csr, cut, n_rows, c.out_type, out.data() + cut * n_cols * out_item);
    const Bytes dense = out.take();
    return Result{valid, valid ? dense : Bytes()};
  };
  batch::force_scalar(true);
  const Result expected = run();
  batch::force_scalar(false);
  expect_everywhere("densify_csr", expected, run);
}

void stream_copy(const Case& c) {
  const std::size_t shift = c.flags % 64;
  expect_everywhere("stream_copy", {0, Bytes(c.data(), c.data() + c.n_bytes())}, [&] {
    Output out(c.n_bytes() + shift);
    batch::stream_copy(out.data() + shift, c.data(), c.n_bytes());
    batch::stream_fence();
    const Bytes all = out.take();
    return Result{0, Bytes(all.begin() + static_cast<std::ptrdiff_t>(shift), all.end())};
  });
}

}  // namespace

std::string kernels(Input input) {
  using Kernel = void (*)(const Case&);
  static constexpr Kernel kKernels[] = {
      narrow<std::uint16_t>,
      narrow<std::uint32_t>,
      sort_row<std::uint16_t>,
      sort_row<std::uint32_t>,
      convert,
      compact,
      expand,
      expand_ids<std::uint16_t, std::int32_t>,
      expand_ids<std::uint16_t, std::int64_t>,
      expand_ids<std::uint32_t, std::int32_t>,
      expand_ids<std::uint32_t, std::int64_t>,
      densify_row<std::uint16_t>,
      densify_row<std::uint32_t>,
      densify_csr<std::int32_t>,
      densify_csr<std::int64_t>,
      stream_copy,
  };
  const Case c(input);
  kKernels[c.kernel % std::size(kKernels)](c);
  return fmt::format("ok: kernel {}, {} bytes\n", c.kernel % std::size(kKernels), c.n_bytes());
}

}  // namespace penstock::fuzz
