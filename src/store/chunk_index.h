// Where the chunks of an array lie, in about 2 bytes a chunk where they lie one behind the other.
//
// Chunks come in groups of 64. Of a group the index holds where its first chunk lies, the chunks' sizes as
// differences to the smallest one, in as few bits as the largest difference takes, and how far each chunk
// lies from the end of the one before it: nothing where that is 0 for all of them, as when a writer appended;
// else the few that are not, or one packed number each, whichever is shorter.
//
// A ChunkIndexBuilder is the one way in: whoever reads a kind of index (hdf5/chunk_btree.h) adds chunks to
// it, and whoever asks for a chunk does not know which kind it was.
//
// Thread contract: an index is immutable and safe from many threads; a builder and a cursor belong to one.
// Memory: reserved under `index` before it is taken, group by group.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "memory/growing.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::store {

// Where a chunk lies.
struct ChunkLocation {
  ByteOffset offset = 0;
  ByteCount stored = 0;    // below 2^32
  std::uint32_t mask = 0;  // filters that were skipped
  bool present = false;    // false: every element is the fill value
};

class ChunkIndex {
 public:
  ChunkIndex() = default;

  bool empty() const { return present_ == 0; }  // no chunk is there
  std::uint64_t present() const { return present_; }
  // Every chunk is there, with all of its filters: what a chunk decodes to needs no look at where it lies.
  bool uniform() const { return present_ > 0 && present_ == n_chunks_ && masks_.empty(); }
  ByteCount largest_stored() const { return largest_stored_; }
  // What it holds, all of it reserved.
  ByteCount bytes() const { return reservation_.bytes(); }

  // A chunk by its number in the grid; those that were never added are not present. Takes the time of at
  // most 64 short steps; for many in a row there is the cursor.
  ChunkLocation find(std::uint64_t number) const;

  // Looks chunks up; one that lies behind the last one asked for, in the same group, costs only the steps
  // between them.
  class Cursor {
   public:
    explicit Cursor(const ChunkIndex& index) : index_(index) {}
    ChunkLocation at(std::uint64_t number);

   private:
    void load(std::uint64_t group);
    void pass(std::uint64_t within);
    ChunkLocation step();

    const ChunkIndex& index_;
    const std::uint64_t* record_ = nullptr;  // null: no chunk of the group is there
    std::uint64_t group_ = ~std::uint64_t{0};
    std::uint64_t next_ = 0;                   // of the chunks of the group, the first not looked at
    ByteOffset end_ = 0;                       // of the chunk before
    std::uint64_t size_at_ = 0, jump_at_ = 0;  // bits
    std::uint64_t exceptions_left_ = 0, exception_ = 0;
    // Of the record's head.
    std::uint64_t least_ = 0;
    unsigned size_bits_ = 0, jump_bits_ = 0;
    bool each_jumps_ = false;
  };

 private:
  friend class ChunkIndexBuilder;
  static constexpr std::uint64_t kGroup = 64;
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::uint64_t kBlockWords = 1 << 16;  // a record lies in one block

  std::uint64_t n_chunks_ = 0, present_ = 0;
  ByteCount largest_stored_ = 0;
  std::vector<std::uint32_t> records_;                          // per group: block * kBlockWords + word
  std::vector<std::vector<std::uint64_t>> blocks_;              // full but for what no record fitted into
  std::vector<std::pair<std::uint64_t, std::uint32_t>> masks_;  // those that are not 0, by chunk number
  Reservation reservation_;
};

class ChunkIndexBuilder {
 public:
  // what: for messages, "a table of 131,071 chunks".
  ChunkIndexBuilder(std::string what, std::uint64_t n_chunks, MemoryBudget& budget);

  // Reserves what follows from the size of the grid alone, so that one that no budget has room for is refused
  // before anything is read. add() does it where nobody has.
  Status start();
  // A chunk that is there, once; its size is not 0 and below 2^32. Those in ascending order are packed as
  // they come; where one comes later than that, all are held at 16 bytes a chunk until finish(). `corrupt`:
  // it came before. `budget`.
  Status add(std::uint64_t number, const ChunkLocation& chunk);
  Result<ChunkIndex> finish();

 private:
  struct Plain {
    ByteOffset offset = 0;
    std::uint32_t stored = 0;  // 0: not there
    std::uint32_t unused = 0;
  };

  Status put(std::uint64_t number, const Plain& chunk);
  Status close_group();
  Status append_record();
  Status seal_block();
  Status unpack();

  ChunkIndex index_;
  MemoryBudget& budget_;
  const std::string what_;
  Growing held_;
  bool started_ = false;
  std::uint64_t group_ = 0;                    // that is being filled
  std::uint64_t next_ = 0;                     // one past the last number that was added
  std::vector<Plain> open_;                    // of the group
  std::vector<std::uint64_t> record_, block_;  // of the group; the last block
  std::vector<Plain> plain_;                   // every chunk, once one came out of order
  Reservation plain_held_;
};

}  // namespace penstock::store
