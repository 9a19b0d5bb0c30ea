// The decoders on one chunk of counts and one of indices, as h5py writes them. Bytes are decoded bytes.
//
//   penstock_micro --benchmark_filter=codec
#include <benchmark/benchmark.h>
#include <liblzf/lzf.h>
#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "codecs/codec.h"
#include "codecs/fletcher32.h"
#include "codecs/kernels/unshuffle.h"

namespace penstock {
namespace {

constexpr std::size_t kItems = 17 * 1024;  // a 68 KiB chunk of 4-byte items

using Bytes = std::vector<std::byte>;

Bytes count_chunk() {
  std::mt19937 random(1);
  std::geometric_distribution<int> extra(0.6);
  std::vector<float> values(kItems);
  for (float& value : values) value = static_cast<float>(1 + extra(random));
  Bytes bytes(kItems * 4);
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

Bytes index_chunk() {
  std::mt19937 random(2);
  std::vector<std::int32_t> ids(kItems);
  std::int32_t id = 0;
  for (std::int32_t& out : ids) {
    id += 1 + static_cast<std::int32_t>(random() % 88);
    if (id >= 62710) id = 0;
    out = id;
  }
  Bytes bytes(kItems * 4);
  std::memcpy(bytes.data(), ids.data(), bytes.size());
  return bytes;
}

Bytes shuffled(const Bytes& raw) {
  Bytes out(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) out[i % 4 * (raw.size() / 4) + i / 4] = raw[i];
  return out;
}

Bytes deflated(const Bytes& raw) {
  uLongf size = compressBound(raw.size());
  Bytes out(size);
  compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(raw.data()),
            raw.size(), 4);
  out.resize(size);
  return out;
}

Bytes lzf_encoded(const Bytes& raw) {
  Bytes out(raw.size() * 2);
  out.resize(lzf_compress(raw.data(), static_cast<unsigned>(raw.size()), out.data(),
                          static_cast<unsigned>(out.size())));
  return out;
}

void codec(benchmark::State& state, std::vector<FilterId> ids, Bytes (*chunk)()) {
  std::vector<FilterSpec> filters;
  Bytes stored = chunk();
  const std::size_t decoded = stored.size();
  for (const FilterId id : ids) {
    filters.push_back({id, {}});
    stored = id == FilterId::deflate   ? deflated(stored)
             : id == FilterId::shuffle ? shuffled(stored)
                                       : lzf_encoded(stored);
  }
  const FilterPipeline pipeline = FilterPipeline::create(std::move(filters), 4).value();
  CodecContext context;
  Bytes out(decoded);
  Bytes step(pipeline.step_bytes(decoded));
  for (auto _ : state) {
    if (!pipeline.decode(stored, 0, out, step, context).ok()) state.SkipWithError("does not decode");
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * decoded));
}
BENCHMARK_CAPTURE(codec, deflate_counts, {FilterId::deflate}, count_chunk);
BENCHMARK_CAPTURE(codec, deflate_indices, {FilterId::deflate}, index_chunk);
BENCHMARK_CAPTURE(codec, shuffle_deflate_indices, (std::vector{FilterId::shuffle, FilterId::deflate}),
                  index_chunk);
BENCHMARK_CAPTURE(codec, lzf_counts, {FilterId::lzf}, count_chunk);
BENCHMARK_CAPTURE(codec, lzf_indices, {FilterId::lzf}, index_chunk);

// The first bytes of a deflated chunk.
void codec_head(benchmark::State& state, Bytes (*chunk)()) {
  const Bytes stored = deflated(chunk());
  const FilterPipeline pipeline = FilterPipeline::create({{FilterId::deflate, {4}}}, 4).value();
  CodecContext context;
  Bytes out(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    if (!pipeline.decode_head(stored, 0, out, context).ok()) state.SkipWithError("does not decode");
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(codec_head, counts, count_chunk)->Arg(2800)->Arg(5600)->Arg(22400);
BENCHMARK_CAPTURE(codec_head, indices, index_chunk)->Arg(2800)->Arg(5600)->Arg(22400);

void codec_unshuffle(benchmark::State& state) {
  const Bytes in = index_chunk();
  Bytes out(in.size());
  for (auto _ : state) {
    internal::unshuffle(in.data(), in.size(), static_cast<std::size_t>(state.range(0)), out.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * in.size()));
}
BENCHMARK(codec_unshuffle)->Arg(2)->Arg(4)->Arg(8)->Arg(3);

void codec_fletcher32(benchmark::State& state) {
  const Bytes in = index_chunk();
  for (auto _ : state) benchmark::DoNotOptimize(internal::fletcher32(in));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * in.size()));
}
BENCHMARK(codec_fletcher32);

}  // namespace
}  // namespace penstock
