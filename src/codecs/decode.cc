// Running a pipeline backwards.
#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "codecs/codec_state.h"
#include "codecs/compression.h"
#include "codecs/deflate.h"
#include "codecs/filter_names.h"
#include "codecs/fletcher32.h"
#include "codecs/kernels/unshuffle.h"
#include "codecs/lzf.h"
#include "codecs/stage.h"
#include "codecs/step_plan.h"

namespace penstock {
namespace {

using internal::StageResult;
using internal::StageStatus;
using Kind = DecodeResult::Kind;

// One call of decode(): `current_` is what the filters undone so far have left.
class Decoder {
 public:
  Decoder(std::span<const std::byte> stored, std::span<std::byte> out, std::span<std::byte> step,
          internal::StepPlan plan, CodecContext& context)
      : current_(stored), out_(out), context_(context) {
    for (std::size_t i = 0; i < plan.buffers; ++i) steps_[i] = step.subspan(i * plan.bytes, plan.bytes);
    if (plan.buffers == 1) steps_[1] = steps_[0];
  }

  // Undoes a filter that writes. `last`: straight into the output. `room`: the most bytes that can come out;
  // `exact`: that very number must.
  DecodeResult undo(const FilterSpec& filter, bool last, ByteCount room, bool exact) {
    std::span<std::byte> to = last ? out_ : steps_[0].first(room);
    const StageResult result = run(filter, to);
    switch (result.status) {
      case StageStatus::ok:
        break;
      case StageStatus::full:
        return {Kind::long_output, filter.id, to.size(), to.size() + 1};
      case StageStatus::bad_data:
        return {Kind::bad_data, filter.id};
      case StageStatus::no_memory:
        return {Kind::no_space, filter.id};
    }
    if (exact && result.written < to.size())
      return {Kind::short_output, filter.id, to.size(), result.written};
    current_ = to.first(result.written);
    in_out_ = last;
    std::swap(steps_[0], steps_[1]);
    return {};
  }

  // Verifies and drops the checksum at the end of what there is.
  DecodeResult strip_fletcher32(std::uint16_t id) {
    if (current_.size() < internal::kFletcher32Bytes) {
      return {Kind::short_output, id, internal::kFletcher32Bytes, current_.size()};
    }
    const auto data = current_.first(current_.size() - internal::kFletcher32Bytes);
    std::uint32_t stored = 0;
    std::memcpy(&stored, current_.data() + data.size(), sizeof(stored));
    const std::uint32_t computed = internal::fletcher32(data);
    if (stored != computed && stored != internal::fletcher32_swapped(computed)) {
      return {Kind::checksum, id, stored, computed};
    }
    current_ = data;
    return {};
  }

  // What is left must be exactly the output.
  DecodeResult finish(std::uint16_t id) {
    if (current_.size() < out_.size()) return {Kind::short_output, id, out_.size(), current_.size()};
    if (current_.size() > out_.size()) return {Kind::long_output, id, out_.size(), current_.size()};
    if (!in_out_ && !out_.empty()) std::memcpy(out_.data(), current_.data(), out_.size());
    return {};
  }

 private:
  StageResult run(const FilterSpec& filter, std::span<std::byte> to) {
    switch (static_cast<FilterId>(filter.id)) {
      case FilterId::deflate:
        return internal::inflate_all(current_, to, context_);
      case FilterId::lzf:
        return internal::lzf_decode(current_, to);
      case FilterId::shuffle:
        if (current_.size() > to.size()) return {StageStatus::full};
        internal::unshuffle(current_.data(), current_.size(), filter.params[0], to.data());
        return {StageStatus::ok, current_.size()};
      case FilterId::fletcher32:
        break;
    }
    return {StageStatus::bad_data};
  }

  std::span<const std::byte> current_;
  std::span<std::byte> out_;
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
  if (step.size() / (plan.buffers > 0 ? plan.buffers : 1) < plan.bytes) {
    return {Kind::no_space, 0, step_bytes(out.size()), step.size()};
  }
  const CodecTimer timer(context);
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
    const auto id = static_cast<FilterId>(filters_[i].id);
    known = known && id != FilterId::deflate && id != FilterId::lzf;
    size = internal::most_encoded(filters_[i].id, size);
  }
  Decoder decoder(stored, out, step, plan, context);
  std::uint16_t last_id = 0;
  for (std::size_t i = filters_.size(); i-- > 0;) {
    if (skipped(mask, i)) continue;
    last_id = filters_[i].id;
    const DecodeResult result = last_id == static_cast<std::uint16_t>(FilterId::fletcher32)
                                    ? decoder.strip_fletcher32(last_id)
                                    : decoder.undo(filters_[i], i == first, before[i], exact[i]);
    if (!result.ok()) return result;
  }
  return decoder.finish(last_id);
}

DecodeResult FilterPipeline::decode_head(std::span<const std::byte> stored, std::uint32_t mask,
                                         std::span<std::byte> out, CodecContext& context) const {
  const CodecTimer timer(context);
  const auto deflate = static_cast<std::uint16_t>(FilterId::deflate);
  for (std::size_t i = 0; i < filters_.size(); ++i) {
    if (skipped(mask, i)) continue;
    const StageResult result = internal::inflate_head(stored, out, context);
    if (result.status == StageStatus::bad_data) return {Kind::bad_data, deflate};
    if (result.status == StageStatus::no_memory) return {Kind::no_space, deflate};
    if (result.written < out.size()) return {Kind::short_output, deflate, out.size(), result.written};
    return {};
  }
  if (stored.size() < out.size()) return {Kind::short_output, 0, out.size(), stored.size()};
  if (!out.empty()) std::memcpy(out.data(), stored.data(), out.size());
  return {};
}

std::string DecodeResult::describe() const {
  const std::string_view known = internal::filter_name(filter);
  const bool compression = filter >= kFirstCompressionId;
  const std::string who = filter == 0 ? "unfiltered chunk"
                          : compression
                              ? compression_name(static_cast<Compression>(filter - kFirstCompressionId))
                              : std::string(known);
  switch (kind) {
    case Kind::ok:
      return "ok";
    case Kind::short_output:
      return fmt::format("{}: expected {} bytes, got {}", who, expected, found);
    case Kind::long_output:
      // A decompressor stops when the room is used up: how much would have come is not known.
      return found == expected + 1 &&
                     (compression || filter == static_cast<std::uint16_t>(FilterId::deflate) ||
                      filter == static_cast<std::uint16_t>(FilterId::lzf))
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
