#include "codecs/lzf.h"

#include "codecs.h"
#include "require.h"

namespace penstock::fuzz {

using internal::lzf_decode;
using internal::StageResult;
using internal::StageStatus;
using testing::Bytes;
using testing::GuardedBytes;

std::string lzf(Input input) {
  Head head(input);
  const std::size_t size = head.size();
  const GuardedBytes stored(head.rest());
  const GuardedBytes out(size);
  const StageResult result = lzf_decode(stored.span(), out.span());
  require(result.status != StageStatus::ok || result.written <= size, "more written than there is room");
  if (result.status == StageStatus::ok && result.written > 0) {
    // A byte less room is not enough, and the exact room is.
    const GuardedBytes exact(result.written), less(result.written - 1);
    require(lzf_decode(stored.span(), exact.span()).status == StageStatus::ok &&
                exact.copy() == Bytes(out.span().begin(),
                                      out.span().begin() + static_cast<std::ptrdiff_t>(result.written)),
            "another result with the exact room");
    require(lzf_decode(stored.span(), less.span()).status != StageStatus::ok, "a byte too few was enough");
  }

  const Bytes raw(head.rest().begin(), head.rest().end());
  const GuardedBytes again(raw.empty() ? Bytes() : testing::lzf_encoded(raw));
  if (again.span().empty()) return stage_text(result);
  const GuardedBytes back(raw.size());
  const StageResult round = lzf_decode(again.span(), back.span());
  require(round.status == StageStatus::ok && round.written == raw.size() && back.copy() == raw,
          "no round trip");
  return stage_text(result);
}

}  // namespace penstock::fuzz
