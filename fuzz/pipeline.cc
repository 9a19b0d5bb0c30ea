#include <fmt/format.h>

#include "codecs.h"
#include "codecs/codec.h"
#include "require.h"

namespace penstock::fuzz {

namespace {

using testing::Bytes;
using testing::GuardedBytes;

// What a writer does; empty when LZF finds nothing to save.
Bytes encode(const FilterPipeline& pipeline, std::uint32_t mask, Bytes bytes) {
  for (std::size_t i = 0; i < pipeline.filters().size() && !bytes.empty(); ++i) {
    if ((mask >> i & 1U) != 0) continue;
    const FilterSpec& filter = pipeline.filters()[i];
    switch (filter.id) {
      case FilterId::deflate:
        bytes = testing::deflated(bytes);
        break;
      case FilterId::shuffle:
        bytes = testing::shuffled(bytes, filter.params[0]);
        break;
      case FilterId::fletcher32:
        bytes = testing::with_fletcher32(bytes);
        break;
      case FilterId::lzf:
        bytes = testing::lzf_encoded(bytes);
        break;
      case FilterId::lz4:
        bytes = testing::lz4_encoded(bytes, 1000);
        break;
      case FilterId::zstd:
        bytes = testing::zstd_encoded(bytes);
        break;
      case FilterId::blosc:
        bytes = testing::blosc_encoded(bytes, 4, 512, mask % 2 ? 1 : 4, mask % 4 < 2 ? 1 : 4);
        break;
      case FilterId::bitshuffle: {
        if (bytes.size() % filter.params[2] != 0) return {};
        const std::size_t block = filter.params.size() > 3 && filter.params[3] != 0 ? filter.params[3] : 128;
        const unsigned compression = filter.params.size() > 4 ? filter.params[4] : 0;
        if (compression == 0 && block == 128) return {};  // the default depends on the element
        bytes = testing::bitshuffle_encoded(bytes, filter.params[2], block, compression);
        break;
      }
    }
  }
  return bytes;
}

FilterSpec filter_of(Head& head) {
  using enum FilterId;
  static constexpr FilterId kIds[] = {deflate, shuffle, fletcher32, lzf, lz4, zstd, blosc, bitshuffle};
  FilterSpec filter;
  filter.id = kIds[head.u8() % 8];
  for (std::size_t n = head.u8() % 6; n > 0; --n) filter.params.push_back(head.u16() % 40);
  return filter;
}

}  // namespace

std::string pipeline(Input input) {
  static CodecContext codec;
  Head head(input);
  std::vector<FilterSpec> filters;
  for (std::size_t n = head.u8() % 6; n > 0; --n) filters.push_back(filter_of(head));
  const auto created = FilterPipeline::create(std::move(filters), head.u8() % 18);
  const std::uint32_t mask = head.u8() & (head.u8() % 2 ? 0xffU : 0U);
  const std::size_t size = head.size(), part = std::min(size, head.size());
  if (!created.ok()) return created.status().to_string() + "\n";
  const FilterPipeline& filter = *created;
  const Input rest = head.rest();

  const GuardedBytes stored(rest), out(size), step(filter.step_bytes(size));
  const DecodeResult result = filter.decode(stored.span(), mask, out.span(), step.span(), codec);
  require(!result.describe().empty(), "a result without words");
  if (filter.can_decode_head(mask)) {
    const GuardedBytes first(part);
    const DecodeResult some = filter.decode_head(stored.span(), mask, first.span(), codec);
    if (result.ok()) {
      require(some.ok(), "the head of a sound chunk: " + some.describe());
      require(std::equal(first.span().begin(), first.span().end(), out.span().begin()), "the head differs");
    }
  }
  if (result.ok() && size > 0) {
    require(size <= filter.max_decoded(rest.size(), mask), "more decoded than max_decoded allows");
  }

  const Bytes raw(rest.begin(), rest.end());
  const GuardedBytes written(encode(filter, mask, raw));
  if (!written.span().empty()) {
    require(written.span().size() <= filter.max_stored(raw.size()), "more stored than max_stored allows");
    const GuardedBytes back(raw.size()), room(filter.step_bytes(raw.size()));
    const DecodeResult round = filter.decode(written.span(), mask, back.span(), room.span(), codec);
    require(round.ok() && back.copy() == raw, filter.describe() + ": no round trip: " + round.describe());
  }
  return fmt::format("{}: {}\n", filter.describe(), result.describe());
}

}  // namespace penstock::fuzz
