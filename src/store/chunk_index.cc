// Where chunks lie, packed (see the header for why). A group of 64 chunks is one record of 64-bit words:
//
//     word 0    where its first chunk lies
//     word 1    head: the smallest size, bits of a size, bits of a jump, how many jumps
//     word 2    the smallest jump, only where every chunk has one of its own
//     then      64 sizes of size_bits each, and the jumps
//
// A worked example: four chunks that a writer appended, with something else of 8 bytes before the third.
//
//     offset    1000 1500 2018 2530     with sizes of 500 510 512 498
//     size      3 13 15 1               1 + what it is above the least, 498; 4 bits each
//     jump      0, 0, 8, 0              one exception: chunk 2 (6 bits), zigzag(8) = 16 (5 bits)
//
// To find chunk n the record is walked from its beginning, adding up sizes and jumps: at most 64 short steps,
// for two bytes a chunk in memory instead of 16. The cursor remembers where it was, and readers ask in
// ascending order.
//
// A file's index need not be in order, and may not be complete. Chunks that never come have size 0. When one
// comes that lies before others, all that were packed are unpacked into a plain array, and packed again at
// the end.
#include "store/chunk_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <new>
#include <span>

#include "base/checked.h"
#include "base/packed_bits.h"
#include "memory/reserve_for.h"

namespace penstock::store {
namespace {

// A group's record: where its first chunk lies | the head | jumps' smallest one, where every chunk has its
// own | packed: a size for each chunk, then the jumps. A size is stored as 1 + what it is above the smallest,
// 0 where the chunk is missing.
struct Head {
  std::uint64_t least = 0;       // stored bytes
  unsigned size_bits = 0;        // 0 to 33
  unsigned jump_bits = 0;        // 0 to 64
  std::uint64_t exceptions = 0;  // jumps that are there; kEach: one for each chunk

  static constexpr std::uint64_t kEach = 127;
  std::uint64_t pack() const {
    return least | std::uint64_t{size_bits} << 32 | std::uint64_t{jump_bits} << 40 | exceptions << 48;
  }
  static Head unpack(std::uint64_t word) {
    return {word & 0xffffffff, static_cast<unsigned>(word >> 32 & 0xff),
            static_cast<unsigned>(word >> 40 & 0xff), word >> 48};
  }
  std::uint64_t first_bit() const { return 64 * (exceptions == kEach ? 3 : 2); }
};
constexpr unsigned kPositionBits = 6;

}  // namespace

void ChunkIndex::Cursor::load(std::uint64_t group) {
  group_ = group;
  next_ = 0;
  record_ = nullptr;
  const std::uint32_t at = group < index_.records_.size() ? index_.records_[group] : kNone;
  if (at == kNone) return;
  record_ = index_.blocks_[at / kBlockWords].data() + at % kBlockWords;
  const Head head = Head::unpack(record_[1]);
  const std::uint64_t chunks = std::min(kGroup, index_.n_chunks_ - group * kGroup);
  end_ = record_[0];
  size_at_ = head.first_bit();
  jump_at_ = size_at_ + chunks * head.size_bits;
  least_ = head.least;
  size_bits_ = head.size_bits;
  jump_bits_ = head.jump_bits;
  each_jumps_ = head.exceptions == Head::kEach;
  exceptions_left_ = each_jumps_ ? 0 : head.exceptions;
  // The first chunk that has a jump, or none of the group.
  exception_ = exceptions_left_ > 0 ? read_bits(record_, jump_at_, kPositionBits) : kGroup;
}

// Goes over the chunks before that one, of which nobody wants to know more than where they end. A plan does
// this for every block of a file; where all chunks jump or none of these does, only numbers are added up.
void ChunkIndex::Cursor::pass(std::uint64_t within) {
  const std::uint64_t plain = each_jumps_ ? within : std::min(within, exception_);
  if (next_ < plain) {
    ByteOffset end = end_;
    for (std::uint64_t n = next_; n < plain; ++n, size_at_ += size_bits_) {
      const std::uint64_t code = read_bits(record_, size_at_, size_bits_);
      end += code == 0 ? 0 : least_ + code - 1;
    }
    if (each_jumps_) {
      for (std::uint64_t n = next_; n < plain; ++n, jump_at_ += jump_bits_)
        end += record_[2] + read_bits(record_, jump_at_, jump_bits_);
    }
    next_ = plain;
    end_ = end;
  }
  while (next_ < within) step();
}

// Goes over one chunk: its size moves the end along, and so does its jump, whether or not anybody asked for
// it.
ChunkLocation ChunkIndex::Cursor::step() {
  const std::uint64_t code = read_bits(record_, size_at_, size_bits_);
  size_at_ += size_bits_;
  const std::uint64_t here = next_++;
  if (each_jumps_) {
    end_ += record_[2] + read_bits(record_, jump_at_, jump_bits_);
    jump_at_ += jump_bits_;
  } else if (here == exception_) {
    end_ += unzigzag(read_bits(record_, jump_at_ + kPositionBits, jump_bits_));
    jump_at_ += kPositionBits + jump_bits_;
    exception_ = --exceptions_left_ > 0 ? read_bits(record_, jump_at_, kPositionBits) : kGroup;
  }
  // A chunk that is not there has no place, and the next one follows the one before it.
  if (code == 0) return {};
  ChunkLocation at{.offset = end_, .stored = least_ + code - 1, .present = true};
  end_ += at.stored;
  return at;
}

ChunkLocation ChunkIndex::Cursor::at(std::uint64_t number) {
  const std::uint64_t group = number / kGroup, within = number % kGroup;
  // Backwards means from the beginning of the record again.
  if (group != group_ || within < next_) load(group);
  if (record_ == nullptr) return {};
  pass(within);
  ChunkLocation at = step();
  // Masks other than 0 are rare enough for a list of their own.
  if (at.present && !index_.masks_.empty()) {
    const auto mask = std::lower_bound(index_.masks_.begin(), index_.masks_.end(), number,
                                       [](const auto& m, std::uint64_t n) { return m.first < n; });
    if (mask != index_.masks_.end() && mask->first == number) at.mask = mask->second;
  }
  return at;
}

ChunkLocation ChunkIndex::find(std::uint64_t number) const { return Cursor(*this).at(number); }

ChunkIndexBuilder::ChunkIndexBuilder(std::string what, std::uint64_t n_chunks, MemoryBudget& budget)
    : budget_(budget), what_(std::move(what)), held_(what_, budget, MemoryTag::index) {
  index_.n_chunks_ = n_chunks;
}

// The list of groups is as long as the grid says, which is a claim of the file: reserved before it is taken.
Status ChunkIndexBuilder::start() {
  if (started_) return {};
  const std::uint64_t groups = ceil_div(index_.n_chunks_, ChunkIndex::kGroup);
  constexpr std::uint64_t kRecordWords = 3 + 2 * ChunkIndex::kGroup;
  PENSTOCK_RETURN_IF_ERROR(held_.add(groups * sizeof(std::uint32_t) + ChunkIndex::kGroup * sizeof(Plain) +
                                     kRecordWords * sizeof(std::uint64_t)));
  try {
    index_.records_.assign(groups, ChunkIndex::kNone);
  } catch (const std::bad_alloc&) {
    return Status::budget(what_ + ": the system has no memory for it");
  }
  record_.reserve(kRecordWords);
  open_.assign(std::min(ChunkIndex::kGroup, index_.n_chunks_), {});
  started_ = true;
  return {};
}

Status ChunkIndexBuilder::add(std::uint64_t number, const ChunkLocation& chunk) {
  PENSTOCK_RETURN_IF_ERROR(start());
  if (number >= index_.n_chunks_ || chunk.stored == 0 || chunk.stored > 0xffffffff) {
    return Status::internal(fmt::format("{}: chunk {} of {} bytes", what_, number, chunk.stored));
  }
  const auto twice = [&] {
    return Status::corrupt(
        fmt::format("chunk {} at byte 0x{:x}: the index has it twice", number, chunk.offset));
  };
  const Plain plain{chunk.offset, static_cast<std::uint32_t>(chunk.stored)};
  // The first chunk that is out of order. One that repeats the last number is refused here; other repetitions
  // show in the plain array.
  if (number < next_ && plain_.empty()) {
    if (number + 1 == next_) return twice();
    PENSTOCK_RETURN_IF_ERROR(unpack());
  }
  if (plain_.empty()) {
    PENSTOCK_RETURN_IF_ERROR(put(number, plain));
    next_ = number + 1;
  } else {
    if (plain_[number].stored != 0) return twice();
    plain_[number] = plain;
  }
  if (chunk.mask != 0) PENSTOCK_RETURN_IF_ERROR(held_.push(index_.masks_, {number, chunk.mask}));
  ++index_.present_;
  index_.largest_stored_ = std::max(index_.largest_stored_, chunk.stored);
  return {};
}

Status ChunkIndexBuilder::put(std::uint64_t number, const Plain& chunk) {
  const std::uint64_t group = number / ChunkIndex::kGroup;
  if (group != group_) {
    PENSTOCK_RETURN_IF_ERROR(close_group());
    group_ = group;
  }
  open_[number % ChunkIndex::kGroup] = chunk;
  return {};
}

// Packs the open group into record_, and that into the last block.
Status ChunkIndexBuilder::close_group() {
  const std::uint64_t n = std::min(ChunkIndex::kGroup, index_.n_chunks_ - group_ * ChunkIndex::kGroup);
  const std::span<const Plain> chunks(open_.data(), n);
  Head head;
  std::uint64_t most = 0;
  head.least = ~std::uint32_t{0};
  for (const Plain& c : chunks) {
    if (c.stored == 0) continue;
    head.least = std::min<std::uint64_t>(head.least, c.stored);
    most = std::max<std::uint64_t>(most, c.stored);
  }
  if (most == 0) return {};  // nothing of it is there
  // One more than the difference, because 0 stands for a chunk that is not there.
  head.size_bits = bits_for(most - head.least + 1);

  std::array<std::uint64_t, ChunkIndex::kGroup> jumps{};
  std::uint64_t first = 0, end = 0, widest = 0, exceptions = 0;
  auto least_jump = std::int64_t{0}, most_jump = std::int64_t{0};
  for (std::uint64_t i = 0, seen = 0; i < n; ++i) {
    if (chunks[i].stored == 0) continue;
    if (seen++ == 0) first = end = chunks[i].offset;
    // Unsigned: a chunk that lies before its neighbour jumps back, and wraps around to the same place when it
    // is added.
    jumps[i] = chunks[i].offset - end;
    end = chunks[i].offset + chunks[i].stored;
    const auto jump = static_cast<std::int64_t>(jumps[i]);
    least_jump = std::min(least_jump, jump);
    most_jump = std::max(most_jump, jump);
    widest = std::max(widest, zigzag(jumps[i]));
    exceptions += jump != 0;
  }
  const unsigned listed = bits_for(widest);
  const unsigned each =
      bits_for(static_cast<std::uint64_t>(most_jump) - static_cast<std::uint64_t>(least_jump));
  // Which of the two ways takes fewer bits. Files that were appended have no exceptions; files whose chunks
  // are scattered have one for each chunk.
  const bool list = exceptions * (kPositionBits + listed) <= 64 + n * each;
  head.exceptions = list ? exceptions : Head::kEach;
  head.jump_bits = list ? (exceptions == 0 ? 0 : listed) : each;

  record_.assign({first, head.pack()});
  if (!list) record_.push_back(static_cast<std::uint64_t>(least_jump));
  BitWriter out(record_);
  for (const Plain& c : chunks) out.put(c.stored == 0 ? 0 : c.stored - head.least + 1, head.size_bits);
  for (std::uint64_t i = 0; i < n; ++i) {
    if (list && jumps[i] == 0) continue;
    if (list) out.put(i, kPositionBits);
    out.put(list ? zigzag(jumps[i]) : jumps[i] - static_cast<std::uint64_t>(least_jump), head.jump_bits);
  }
  std::fill(open_.begin(), open_.end(), Plain());
  return append_record();
}

Status ChunkIndexBuilder::append_record() {
  if (block_.size() + record_.size() > ChunkIndex::kBlockWords) PENSTOCK_RETURN_IF_ERROR(seal_block());
  const std::uint64_t at = index_.blocks_.size() * ChunkIndex::kBlockWords + block_.size();
  // The place of a record has 32 bits, in words.
  if (at >= ChunkIndex::kNone) return Status::unsupported(what_ + ": more than 32 GB of it");
  // By hand, so that each growth is charged before it happens and the old memory is given back after it.
  if (block_.size() + record_.size() > block_.capacity()) {
    const std::size_t before = block_.capacity();
    const auto after =
        std::min<std::size_t>(ChunkIndex::kBlockWords, std::max<std::size_t>(2 * before, 2 * record_.size()));
    PENSTOCK_RETURN_IF_ERROR(held_.add(after * sizeof(std::uint64_t)));
    block_.reserve(after);
    held_.drop(before * sizeof(std::uint64_t));
  }
  block_.insert(block_.end(), record_.begin(), record_.end());
  index_.records_[group_] = static_cast<std::uint32_t>(at);
  return {};
}

// The last block becomes one of the index's, in just the memory that it needs.
Status ChunkIndexBuilder::seal_block() {
  if (block_.empty()) return {};
  PENSTOCK_RETURN_IF_ERROR(held_.add(block_.size() * sizeof(std::uint64_t)));
  PENSTOCK_RETURN_IF_ERROR(held_.push(index_.blocks_, std::vector<std::uint64_t>()));
  index_.blocks_.back().reserve(block_.size());
  index_.blocks_.back().assign(block_.begin(), block_.end());
  block_.clear();
  return {};
}

// A chunk came that lies before others: all are held as they are from now on.
Status ChunkIndexBuilder::unpack() {
  const auto bytes = checked_mul(index_.n_chunks_, sizeof(Plain));
  if (!bytes) return Status::budget(what_ + ", unordered, does not fit in memory");
  PENSTOCK_ASSIGN_OR_RETURN(plain_held_, reserve_for(what_, budget_, MemoryTag::index, *bytes));
  try {
    plain_.resize(index_.n_chunks_);
  } catch (const std::bad_alloc&) {
    return Status::budget(what_ + ": the system has no memory for it");
  }
  PENSTOCK_RETURN_IF_ERROR(close_group());
  PENSTOCK_RETURN_IF_ERROR(seal_block());
  ChunkIndex::Cursor cursor(index_);
  for (std::uint64_t i = 0; i < next_; ++i) {
    const ChunkLocation at = cursor.at(i);
    if (at.present) plain_[i] = {at.offset, static_cast<std::uint32_t>(at.stored)};
  }
  for (const auto& block : index_.blocks_) held_.drop(block.size() * sizeof(std::uint64_t));
  index_.blocks_.clear();
  std::fill(index_.records_.begin(), index_.records_.end(), ChunkIndex::kNone);
  group_ = 0;
  return {};
}

Result<ChunkIndex> ChunkIndexBuilder::finish() {
  if (index_.present_ == 0) return ChunkIndex();
  for (std::uint64_t i = 0; i < plain_.size(); ++i) {
    if (plain_[i].stored != 0) PENSTOCK_RETURN_IF_ERROR(put(i, plain_[i]));
  }
  PENSTOCK_RETURN_IF_ERROR(close_group());
  PENSTOCK_RETURN_IF_ERROR(seal_block());
  held_.drop((block_.capacity() + record_.capacity()) * sizeof(std::uint64_t) +
             ChunkIndex::kGroup * sizeof(Plain));
  block_ = {};
  record_ = {};
  open_ = {};
  plain_ = {};
  plain_held_.release();
  std::sort(index_.masks_.begin(), index_.masks_.end());
  index_.reservation_ = held_.finish();
  return std::move(index_);
}

}  // namespace penstock::store
