// Running a pipeline backwards.
//
// Example: 1,024 floats, written with shuffle, deflate and fletcher32 in this order.
//
//     written   4,096 --shuffle--> 4,096 --deflate--> 1,210 --fletcher32--> 1,214 bytes in the file
//     read      1,214 --strip--> 1,210 --inflate--> step buffer of 4,096 --unshuffle--> 4,096 in `out`
//
// Each filter must give the number of bytes that the one before it took: 4,096 is exact for inflate,
// because shuffle keeps lengths. Only behind the first compressor (in the order of writing) a length
// is not known, and a bound has to do. So a chunk that inflates to 4,092 bytes is found out at
// deflate, and the message says so.
//
// The mask is the chunk's own (HDF5 File Format Specification, "Filter Mask" of a chunk's record): a writer
// leaves out a filter that did not help, such as deflate of noise.
#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "codecs/bitshuffle.h"
#include "codecs/blosc.h"
#include "codecs/codec_record.h"
#include "codecs/codec_state.h"
#include "codecs/fletcher32.h"
#include "codecs/inner.h"
#include "codecs/kernels/unshuffle.h"
#include "codecs/step_plan.h"

namespace penstock {
namespace {

using internal::Codec;
using internal::codec_of;
using internal::StageResult;
using internal::StageStatus;
using Kind = DecodeResult::Kind;

// One call of decode(): `current_` is what the filters undone so far have left.
class Decoder {
 public:
  Decoder(std::span<const std::byte> stored, std::span<std::byte> out, std::span<std::byte> step,
          internal::StepPlan plan, CodecContext& context)
      : current_(stored), out_(out), work_(step.first(plan.work)), context_(context) {
    step = step.subspan(plan.work);
    for (std::size_t i = 0; i < plan.buffers; ++i) steps_[i] = step.subspan(i * plan.bytes, plan.bytes);
    // With one buffer one filter writes to it and the next one to the output, so swapping does no harm.
    if (plan.buffers == 1) steps_[1] = steps_[0];
  }

  // Undoes a filter that writes. `last`: straight into the output. `room`: the most bytes that can come out;
  // `exact`: that very number must.
  DecodeResult undo(const FilterSpec& filter, bool last, ByteCount room, bool exact) {
    std::span<std::byte> to = last ? out_ : steps_[0].first(room);
    const Codec* codec = &codec_of(filter.id);
    const StageResult result = run(filter, *codec, to);
    switch (result.status) {
      case StageStatus::ok:
        break;
      case StageStatus::full:
        return {Kind::long_output, codec, to.size(), to.size() + 1};
      case StageStatus::bad_data:
        return {Kind::bad_data, codec};
      case StageStatus::no_memory:
        return {Kind::no_space, codec};
    }
    if (exact && result.written < to.size()) {
      return {Kind::short_output, codec, to.size(), result.written};
    }
    current_ = to.first(result.written);
    in_out_ = last;
    // What was written becomes the input of the next filter, which writes to the other buffer.
    std::swap(steps_[0], steps_[1]);
    return {};
  }

  // Verifies and drops the checksum at the end of what there is.
  DecodeResult strip_fletcher32() {
    const Codec* codec = &codec_of(FilterId::fletcher32);
    if (current_.size() < internal::kFletcher32Bytes) {
      return {Kind::short_output, codec, internal::kFletcher32Bytes, current_.size()};
    }
    const auto data = current_.first(current_.size() - internal::kFletcher32Bytes);
    // Little-endian, as everything in HDF5 is.
    std::uint32_t stored = 0;
    std::memcpy(&stored, current_.data() + data.size(), sizeof(stored));
    const std::uint32_t computed = internal::fletcher32(data);
    if (stored != computed && stored != internal::fletcher32_swapped(computed)) {
      return {Kind::checksum, codec, stored, computed};
    }
    current_ = data;
    return {};
  }

  // What is left must be exactly the output.
  DecodeResult finish(const Codec* last) {
    if (current_.size() < out_.size()) return {Kind::short_output, last, out_.size(), current_.size()};
    if (current_.size() > out_.size()) return {Kind::long_output, last, out_.size(), current_.size()};
    // The last thing that was undone wrote nothing, or nothing was undone at all.
    if (!in_out_ && !out_.empty()) std::memcpy(out_.data(), current_.data(), out_.size());
    return {};
  }

 private:
  StageResult run(const FilterSpec& filter, const Codec& codec, std::span<std::byte> to) {
    switch (filter.id) {
      case FilterId::shuffle:
        if (current_.size() > to.size()) return {StageStatus::full};
        internal::unshuffle(current_.data(), current_.size(), filter.params[0], to.data());
        return {StageStatus::ok, current_.size()};
      case FilterId::zstd:
        return internal::zstd_block(current_, to, internal::zstd_in(work_));
      case FilterId::blosc:
        return internal::blosc_decode(current_, to, work_, context_);
      case FilterId::bitshuffle:
        return internal::bitshuffle_decode(current_, to, filter.params, work_);
      default:
        return codec.decode(current_, to, context_);
    }
  }

  std::span<const std::byte> current_;
  std::span<std::byte> out_;
  std::span<std::byte> work_;
  std::span<std::byte> steps_[2];  // the first is free: undo() swaps them
  bool in_out_ = false;
  CodecContext& context_;
};

bool skipped(std::uint32_t mask, std::size_t i) { return (mask >> i & 1U) != 0; }

}  // namespace

DecodeResult FilterPipeline::decode(std::span<const std::byte> stored, std::uint32_t mask,
                                    std::span<std::byte> out, std::span<std::byte> step,
                                    CodecContext& context) const {
  const internal::StepPlan plan = internal::plan_steps(filters_, out.size());
  // The total saturates for sizes that no budget has.
  if (step.size() < plan.total()) {
    return {Kind::no_space, nullptr, step_bytes(out.size()), step.size()};
  }
  const CodecTimer timer(context);
  context.count(out.size());
  // Bytes that lay before each filter when the chunk was written: known exactly up to the first compressor.
  ByteCount before[32] = {};
  bool exact[32] = {};
  ByteCount size = out.size();
  bool known = true;
  std::size_t first = filters_.size();
  for (std::size_t i = 0; i < filters_.size(); ++i) {
    if (skipped(mask, i)) continue;
    if (first == filters_.size()) first = i;
    before[i] = size;
    exact[i] = known;
    known = known && !codec_of(filters_[i].id).compresses;
    size = codec_of(filters_[i].id).most_encoded(size);
  }
  Decoder decoder(stored, out, step, plan, context);
  const Codec* last = nullptr;
  for (std::size_t i = filters_.size(); i-- > 0;) {
    if (skipped(mask, i)) continue;
    last = &codec_of(filters_[i].id);
    const DecodeResult result = filters_[i].id == FilterId::fletcher32
                                    ? decoder.strip_fletcher32()
                                    : decoder.undo(filters_[i], i == first, before[i], exact[i]);
    if (!result.ok()) return result;
  }
  return decoder.finish(last);
}

DecodeResult FilterPipeline::decode_head(std::span<const std::byte> stored, std::uint32_t mask,
                                         std::span<std::byte> out, CodecContext& context) const {
  const CodecTimer timer(context);
  context.count(out.size());
  for (std::size_t i = 0; i < filters_.size(); ++i) {
    if (skipped(mask, i)) continue;
    const Codec* codec = &codec_of(filters_[i].id);
    const StageResult result = codec->head(stored, out, context);
    if (result.status == StageStatus::bad_data) return {Kind::bad_data, codec};
    if (result.status == StageStatus::no_memory) return {Kind::no_space, codec};
    if (result.written < out.size()) return {Kind::short_output, codec, out.size(), result.written};
    return {};
  }
  // No filter is active: the head is the stored bytes themselves.
  if (stored.size() < out.size()) return {Kind::short_output, nullptr, out.size(), stored.size()};
  if (!out.empty()) std::memcpy(out.data(), stored.data(), out.size());
  return {};
}

std::string DecodeResult::describe() const {
  const char* who = codec == nullptr ? "unfiltered chunk" : codec->name;
  switch (kind) {
    case Kind::ok:
      return "ok";
    case Kind::short_output:
      return fmt::format("{}: expected {} bytes, got {}", who, expected, found);
    case Kind::long_output:
      // A decompressor stops when the room is used up: how much would have come is not known.
      return found == expected + 1 && codec != nullptr && codec->compresses
                 ? fmt::format("{}: expected {} bytes, got more", who, expected)
                 : fmt::format("{}: expected {} bytes, got {}", who, expected, found);
    case Kind::bad_data:
      return fmt::format("{}: the compressed data is damaged", who);
    case Kind::checksum:
      return fmt::format("{}: stored checksum 0x{:08x}, computed 0x{:08x}", who, expected, found);
    case Kind::no_space:
      return expected > 0 ? fmt::format("{} bytes of step buffer needed, {} given", expected, found)
                          : fmt::format("{}: no memory for the decompressor", who);
  }
  return "?";
}

}  // namespace penstock
