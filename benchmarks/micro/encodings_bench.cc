// The decoders of Parquet pages, on pages as pyarrow writes them for single cells. Items are values.
//
//   penstock_micro --benchmark_filter=encodings
#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <vector>

#include "codecs/kernels/bit_unpack.h"
#include "parquet/encodings/indices.h"
#include "parquet/encodings/levels.h"

namespace penstock::parquet {
namespace {

constexpr std::uint64_t kPage = 400'000;  // values of a page
constexpr std::uint64_t kSlice = 16'384;  // values of one call
constexpr std::size_t kPages = 24;        // more than the second-level cache holds

using Bytes = std::vector<std::byte>;

void put_varint(Bytes& out, std::uint64_t v) {
  for (; v >= 0x80; v >>= 7) out.push_back(static_cast<std::byte>(v | 0x80));
  out.push_back(static_cast<std::byte>(v));
}

// A width byte, then packed runs of 504 values, as pyarrow cuts them.
Bytes coded_page(int width, std::uint32_t entries, std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes out{static_cast<std::byte>(width)};
  for (std::uint64_t at = 0; at < kPage; at += 504) {
    put_varint(out, 63 << 1 | 1);
    std::uint64_t word = 0;
    int bits = 0;
    for (int i = 0; i < 504; ++i) {
      word |= std::uint64_t{random() % entries} << bits;
      for (bits += width; bits >= 8; bits -= 8, word >>= 8) out.push_back(static_cast<std::byte>(word));
    }
  }
  return out;
}

template <class T>
void encodings_gather(benchmark::State& state) {
  const int width = static_cast<int>(state.range(0));
  const auto entries = static_cast<std::uint32_t>(state.range(1));
  std::vector<T> table(entries);
  for (std::uint32_t i = 0; i < entries; ++i) table[i] = static_cast<T>(i * 7919);
  std::vector<Bytes> pages;
  for (std::uint32_t p = 0; p < kPages; ++p) pages.push_back(coded_page(width, entries, p));
  std::vector<T> out(kSlice);
  std::size_t page = 0;
  for (auto _ : state) {
    IndexReader reader;
    if (IndexReader::open(pages[page++ % kPages], entries, &reader) != DecodeError::ok) {
      state.SkipWithError("open");
    }
    for (std::uint64_t at = 0; at < kPage; at += kSlice) {
      const std::uint64_t n = std::min(kSlice, kPage - at);
      if (reader.gather(table.data(), out.data(), n) != DecodeError::ok) state.SkipWithError("gather");
      benchmark::DoNotOptimize(out.data());
      benchmark::ClobberMemory();
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kPage));
}
BENCHMARK_TEMPLATE(encodings_gather, std::uint8_t)
    ->Args({5, 32})
    ->Args({6, 50})
    ->Args({7, 100})
    ->Args({8, 200});
BENCHMARK_TEMPLATE(encodings_gather, std::uint16_t)
    ->Args({15, 32'768})
    ->Args({15, 20'000})
    ->Args({16, 62'710});

void encodings_unpack(benchmark::State& state) {
  const int width = static_cast<int>(state.range(0));
  std::vector<std::byte> in(static_cast<std::size_t>(1024 * width / 8 + 64), std::byte{0x5b});
  std::vector<std::uint32_t> out(1024);
  for (auto _ : state) {
    benchmark::DoNotOptimize(internal::bit_unpack(in.data(), in.size(), width, 1024, out.data()));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * 1024);
}
BENCHMARK(encodings_unpack)->Arg(5)->Arg(6)->Arg(7)->Arg(8)->Arg(15)->Arg(16)->Arg(26);

// Rows of 1,400 entries: a packed group that holds the 0, then a run of 1s; def is one run.
void encodings_list_starts(benchmark::State& state) {
  Bytes rep, def;
  std::uint64_t n = 0;
  for (; n < kPage; n += 1400) {
    put_varint(rep, 3);
    rep.push_back(std::byte{0xfe});
    put_varint(rep, 1392 << 1);
    rep.push_back(std::byte{1});
  }
  put_varint(def, n << 1);
  def.push_back(std::byte{3});
  std::vector<std::uint32_t> starts(n / 1400);
  ListPage page;
  for (auto _ : state) {
    if (list_starts(rep, def, 3, 2, 1, n, starts, &page) != DecodeError::ok) state.SkipWithError("levels");
    benchmark::DoNotOptimize(starts.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(n));
}
BENCHMARK(encodings_list_starts);

}  // namespace
}  // namespace penstock::parquet
