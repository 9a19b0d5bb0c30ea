// The kernels of src/batch on rows like those of real files: 1,400 of 62,710 genes, small counts. Time is per
// row. The last argument of each: 1 = SIMD, 0 = plain loops (force_scalar).
//
//   penstock_micro --benchmark_filter=compact
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <type_traits>
#include <vector>

#include "batch/cast.h"
#include "batch/compact_row.h"
#include "batch/densify.h"
#include "batch/numeric.h"

namespace penstock::batch {
namespace {

constexpr std::size_t kNonZeros = 1400;
constexpr std::size_t kColumns = 62710;

template <class Id>
std::vector<Id> row_ids() {
  std::vector<std::uint32_t> all(kColumns);
  std::iota(all.begin(), all.end(), 0U);
  std::vector<Id> ids;
  std::mt19937 random(1);
  std::sample(all.begin(), all.end(), std::back_inserter(ids), kNonZeros, random);
  return ids;
}

template <class T>
std::vector<T> row_values(unsigned most = 12) {
  std::mt19937 random(2);
  std::vector<T> values(kNonZeros);
  for (T& value : values) value = cast<T>(static_cast<std::uint16_t>(1 + random() % most));
  return values;
}

template <class T>
const std::byte* bytes(const std::vector<T>& v) {
  return reinterpret_cast<const std::byte*>(v.data());
}

// One iteration is one row.
template <class F>
void per_row(benchmark::State& state, F&& f) {
  force_scalar(state.range(0) == 0);
  for (auto _ : state) {
    f();
    benchmark::ClobberMemory();
  }
  state.SetLabel(simd_target());
  force_scalar(false);
}

template <class In, class Out>
void narrow(benchmark::State& state) {
  const auto ids = row_ids<In>();
  std::vector<Out> out(kNonZeros);
  const NumericType type = sizeof(In) == 4 ? NumericType::i32 : NumericType::i64;
  per_row(state,
          [&] { benchmark::DoNotOptimize(narrow_ids(bytes(ids), type, kNonZeros, kColumns, out.data())); });
}
BENCHMARK(narrow<std::int32_t, std::uint16_t>)->Arg(1)->Arg(0);
BENCHMARK(narrow<std::int64_t, std::uint16_t>)->Arg(1)->Arg(0);
BENCHMARK(narrow<std::int32_t, std::uint32_t>)->Arg(1)->Arg(0);

// The same row as elements of any type.
std::vector<std::byte> row_values_of(NumericType type, unsigned most = 12) {
  return visit_numeric(type, [&]<class T>(std::type_identity<T>) {
    const auto values = row_values<T>(most);
    return std::vector<std::byte>(bytes(values), bytes(values) + kNonZeros * sizeof(T));
  });
}

void compact(benchmark::State& state, NumericType type, unsigned most) {
  const auto values = row_values_of(type, most);
  std::vector<std::byte> out(values.size());
  per_row(state,
          [&] { benchmark::DoNotOptimize(compact_values(values.data(), type, kNonZeros, out.data())); });
}
BENCHMARK_CAPTURE(compact, f32_to_u8, NumericType::f32, 12U)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(compact, f32_to_u16, NumericType::f32, 5000U)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(compact, f64_to_u8, NumericType::f64, 12U)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(compact, bf16_to_u8, NumericType::bf16, 12U)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(compact, f16_to_u8, NumericType::f16, 12U)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(compact, i32_to_u8, NumericType::i32, 12U)->Arg(1)->Arg(0);

void expand(benchmark::State& state, ValueClass cls, NumericType type) {
  const auto values = row_values<std::uint16_t>(12);
  std::vector<std::byte> out(kNonZeros * 8);
  per_row(state, [&] { expand_values(bytes(values), cls, kNonZeros, out.data(), type); });
}
BENCHMARK_CAPTURE(expand, u8_to_f32, ValueClass::u8, NumericType::f32)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(expand, u16_to_f32, ValueClass::u16, NumericType::f32)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(expand, u8_to_bf16, ValueClass::u8, NumericType::bf16)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(expand, u8_to_f16, ValueClass::u8, NumericType::f16)->Arg(1)->Arg(0);

template <class In, class Out>
void ids(benchmark::State& state) {
  const auto in = row_ids<In>();
  std::vector<Out> out(kNonZeros);
  per_row(state, [&] { expand_ids(in.data(), kNonZeros, out.data()); });
}
BENCHMARK(ids<std::uint16_t, std::int32_t>)->Arg(1)->Arg(0);
BENCHMARK(ids<std::uint16_t, std::int64_t>)->Arg(1)->Arg(0);

void convert(benchmark::State& state, NumericType from, NumericType to) {
  const auto values = row_values_of(from);
  std::vector<std::byte> out(kNonZeros * 8);
  per_row(state,
          [&] { benchmark::DoNotOptimize(convert_values(values.data(), from, kNonZeros, out.data(), to)); });
}
BENCHMARK_CAPTURE(convert, f64_to_f32, NumericType::f64, NumericType::f32)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(convert, i32_to_f32, NumericType::i32, NumericType::f32)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(convert, i64_to_f32, NumericType::i64, NumericType::f32)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(convert, f32_to_bf16, NumericType::f32, NumericType::bf16)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(convert, f32_to_f16, NumericType::f32, NumericType::f16)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(convert, f32_to_i32, NumericType::f32, NumericType::i32)->Arg(1)->Arg(0);

void sort(benchmark::State& state) {
  const auto sorted = row_ids<std::uint16_t>();
  std::vector<std::uint16_t> shuffled = sorted;
  std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(3));
  std::vector<std::uint16_t> row(kNonZeros);
  auto values = row_values<float>();
  std::vector<std::byte> scratch(sort_scratch_bytes(kNonZeros));
  per_row(state, [&] {
    std::memcpy(row.data(), shuffled.data(), kNonZeros * 2);
    sort_row(row.data(), reinterpret_cast<std::byte*>(values.data()), NumericType::f32, kNonZeros,
             scratch.data());
  });
}
BENCHMARK(sort)->Arg(1);

// 256 rows one after the other into 64 MB (f32), as a batch is written: memory bandwidth included.
void densify(benchmark::State& state, ValueClass cls, NumericType type) {
  constexpr std::size_t kRows = 256;
  const auto row_of_ids = row_ids<std::uint16_t>();
  const auto values = row_values<std::uint16_t>();
  const std::size_t row_bytes = kColumns * numeric_size(type);
  std::vector<std::byte> scratch(row_bytes);
  std::vector<std::byte> batch(kRows * row_bytes);
  std::size_t row = 0;
  per_row(state, [&] {
    densify_row(row_of_ids.data(), bytes(values), cls, kNonZeros, type, scratch.data(), kColumns,
                batch.data() + row * row_bytes);
    row = (row + 1) % kRows;
  });
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * row_bytes));
}
BENCHMARK_CAPTURE(densify, u8_to_f32, ValueClass::u8, NumericType::f32)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(densify, u8_to_bf16, ValueClass::u8, NumericType::bf16)->Arg(1)->Arg(0);
BENCHMARK_CAPTURE(densify, u16_to_f32, ValueClass::u16, NumericType::f32)->Arg(1)->Arg(0);

// What the memory allows: the copy alone.
void stream(benchmark::State& state) {
  constexpr std::size_t kRows = 256;
  const std::size_t row_bytes = kColumns * 4;
  const std::vector<std::byte> source(16384);
  std::vector<std::byte> batch(kRows * row_bytes);
  std::size_t row = 0;
  per_row(state, [&] {
    std::byte* to = batch.data() + row * row_bytes;
    for (std::size_t i = 0; i < row_bytes; i += source.size()) {
      stream_copy(to + i, source.data(), std::min(source.size(), row_bytes - i));
    }
    row = (row + 1) % kRows;
  });
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * row_bytes));
}
BENCHMARK(stream)->Arg(1)->Arg(0);

}  // namespace
}  // namespace penstock::batch
