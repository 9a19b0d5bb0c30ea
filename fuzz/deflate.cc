#include "codecs/deflate.h"

#include "codecs.h"
#include "require.h"

namespace penstock::fuzz {

using internal::inflate_all;
using internal::inflate_head;
using internal::StageResult;
using internal::StageStatus;
using testing::Bytes;
using testing::GuardedBytes;

std::string deflate(Input input) {
  static CodecContext codec;
  Head head(input);
  const std::size_t size = head.size(), part = head.size();
  const std::uint8_t level = head.u8();

  // The input as a stream: whatever the whole gives, its head gives too.
  const GuardedBytes stored(head.rest());
  const GuardedBytes whole(size), first(std::min(size, part));
  const StageResult all = inflate_all(stored.span(), whole.span(), codec);
  const StageResult some = inflate_head(stored.span(), first.span(), codec);
  require(all.status != StageStatus::ok || all.written <= size, "more written than there is room");
  require(some.status != StageStatus::ok || some.written <= first.span().size(),
          "a head longer than asked for");
  if (all.status == StageStatus::ok) {
    const std::size_t n = std::min(all.written, first.span().size());
    require(some.status == StageStatus::ok && some.written == n,
            "the head of a sound stream: " + stage_text(some));
    require(std::equal(first.span().begin(), first.span().begin() + static_cast<std::ptrdiff_t>(n),
                       whole.span().begin()),
            "the head differs from the whole");
  }

  // The input as data.
  const Bytes raw(head.rest().begin(), head.rest().end());
  const GuardedBytes again(testing::deflated(raw, level % 10));
  const GuardedBytes out(raw.size());
  const StageResult back = inflate_all(again.span(), out.span(), codec);
  require(back.status == StageStatus::ok && back.written == raw.size() && out.copy() == raw, "no round trip");
  const GuardedBytes front(std::min(part, raw.size()));
  require(inflate_head(again.span(), front.span(), codec).status == StageStatus::ok &&
              std::equal(front.span().begin(), front.span().end(), raw.begin()),
          "the head is not that of the data");
  return stage_text(all);
}

}  // namespace penstock::fuzz
