// The narrow waist: a matrix that can hand out its rows. Everything specific to a file format ends here, and
// everything after it is format-agnostic. A new format is a new RowSource.
//
// Thread contract: immutable after open; every method is safe from many threads at once. Scratch and RowSink
// belong to the calling thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/types.h"
#include "codecs/codec.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/request.h"

namespace penstock {

// How the non-zeros are spread over rows: what batches can weigh, without keeping a length per row.
// Bucket edges grow by 1/8 octave: bucket_of(n) is monotone and bucket_max(bucket_of(n)) >= n.
struct RowLengths {
  static constexpr int kBuckets = 512;
  std::uint64_t rows = 0;
  std::uint64_t entries = 0;   // sum of stored entries
  double entries_squared = 0;  // sum of squares
  std::uint64_t longest = 0;
  std::array<std::uint64_t, kBuckets> histogram{};

  static int bucket_of(std::uint64_t entries);
  static std::uint64_t bucket_max(int bucket);  // the largest row length that falls into the bucket
  void add(std::uint64_t row_entries);
  void merge(const RowLengths& other);
  // For rows that have at most `most` entries left: upper bounds of the new lengths.
  void clip(std::uint64_t most);
  // An upper bound of the entries in any `n` different rows: the n longest, by bucket.
  std::uint64_t longest_sum(std::uint64_t n) const;
};

struct SourceTraits {
  RowIndex n_rows = 0;
  ColIndex n_cols = 0;
  NumericType value_type = NumericType::f32;  // as stored
  NumericType index_type = NumericType::i32;  // as stored
  RowLengths lengths;
  std::string layout;          // for people: "csr float32/int32, chunks of 17,078, deflate(4)"
  ByteCount stored_bytes = 0;  // of data + indices in the file
  // Stored bytes of the largest chunk of data, and of that of indices, together: of those whose heads are read.
  ByteCount largest_chunks = 0;
  // Storage chunks of values over the whole matrix, those that stand side by side counted as one (0:
  // row-addressable storage), and whether the head of a chunk costs about what it holds (a block's last row
  // usually runs into one more chunk).
  std::uint64_t n_chunks = 0;
  std::uint64_t chunks_across = 1;  // those that stand side by side, each a request of its own
  bool cheap_heads = false;
  // False: chunks begin and end with rows, as row groups do, so no block shares one with the next.
  bool rows_cross_chunks = true;
  // True: `lengths` are bounds: those of the file, before columns are left out, or before zeros are.
  bool lengths_are_bounds = false;
  // Bytes of a chunk of row offsets, decoded and as stored: a block reads whole ones unless resident() keeps
  // offsets in memory. 0: a block reads its own and no more.
  ByteCount offset_chunk = 0, offset_chunk_stored = 0;
  // Pages that opening passed over, because only they say where rows begin and how long they are.
  std::uint64_t pages_passed = 0;
  // Bytes in the file that opening passed over for the same reason.
  ByteCount bytes_passed = 0;
};

struct ReadCost {
  ByteCount stored = 0;   // bytes to read
  ByteCount decoded = 0;  // bytes that decode() will count into its CodecContext, or about as many
  std::uint64_t requests = 0;
};

// Consecutive rows of one tile, CSR. Row i has the entries [begins[i], ends[i]) of the tile's arrays; both
// have rows.size() elements and ascend, with gaps where a source leaves entries out. Column indices are as
// stored: not checked against n_cols, maybe unsorted or repeated; the receiver validates. Types may be
// narrower than the traits say where they hold the same values. Valid during the call only.
struct CsrTile {
  RowRange rows;
  const std::uint64_t* begins = nullptr;
  const std::uint64_t* ends = nullptr;
  const std::byte* indices = nullptr;  // index_type, little-endian, aligned to its size
  const std::byte* values = nullptr;   // value_type, little-endian, aligned to its size
  NumericType index_type = NumericType::i32;
  NumericType value_type = NumericType::f32;
  // element number (in the file's arrays) of the tile's element 0, for messages
  std::uint64_t first_element = 0;
  // Of each row, the sum over all columns of the file, where columns were left out and Scratch::totals asked
  // for it; else nullptr: all of the row is here.
  const double* totals = nullptr;
};

class ColumnMajor;  // column_major.h
class TurnedRows;

class RowSink {
 public:
  virtual ~RowSink() = default;
  // Tiles come in ascending row order and cover each wanted row exactly once; rows that were not wanted never
  // come.
  virtual Status csr(const CsrTile& tile) = 0;
};

// A thread's decode buffers.
struct Scratch {
  // At least RowSource::least_scratch_bytes(), better scratch_bytes(); 64-byte aligned, reserved by the caller.
  std::span<std::byte> bytes;
  CodecContext* codec = nullptr;
  // Set by decode() when it failed for one reason only: the estimated head of a chunk was too short. The rows
  // that the sink has not got yet can be had from `Heads::whole` requests.
  bool head_too_short = false;
  // Entries that decode() left out because the file's gene table does not know their gene: added to.
  std::uint64_t entries_dropped = 0;
  // Entries in columns that are not wanted (mapped_source.h): added to.
  std::uint64_t entries_left_out = 0;
  // Of a matrix that stores every value, those that decode() left out because they are zero, and those in
  // columns that it did not read: added to.
  std::uint64_t zeros = 0;
  // The sink wants CsrTile::totals.
  bool totals = false;
  // Of a matrix that is stored column by column: its rows, once a pass has put them together.
  const TurnedRows* turned = nullptr;
  // Bytes that decode() read itself, and in how many reads: added to.
  ByteCount bytes_read = 0;
  std::uint64_t reads = 0;
};

class ColumnMap;
class RowSource;
// `internal` when a scratch lacks its codec, or some of the bytes that decode() needs.
Status check_scratch(const RowSource& source, const Scratch& scratch, ByteCount needed);

class RowSource {
 public:
  virtual ~RowSource() = default;

  virtual const SourceTraits& traits() const = 0;
  // "file.h5ad: X"
  virtual const std::string& label() const = 0;

  // The natural boundary (start of a storage chunk's first row, or n_rows) nearest first + target, always >
  // first. For row-addressable storage that is first + target itself.
  virtual RowIndex cut(RowIndex first, RowIndex target) const = 0;

  // `wanted` below is ascending, disjoint, inside [0, n_rows). Costs are those of estimated heads.
  virtual ReadCost cost(std::span<const RowRange> wanted) const = 0;
  // At least as many as the entries of these rows, from metadata alone.
  virtual std::uint64_t most_entries(RowRange rows) const = 0;
  // Appends the byte ranges that decode() will look up; the caller coalesces the list. No I/O.
  virtual Status requests(std::span<const RowRange> wanted, Heads heads, RequestList& list) const = 0;
  // Decodes the wanted rows out of fetched bytes. No I/O, no allocation; but for a matrix that is stored column
  // by column, of which there are no requests: see by_columns().
  virtual Status decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                        RowSink& sink) const = 0;
  // Scratch that decode() needs for `wanted` lists of at most max_rows rows in total.
  virtual ByteCount scratch_bytes(RowIndex max_rows) const = 0;
  // With how little decode() does it all the same, if slower: chunks are decoded more than once.
  virtual ByteCount least_scratch_bytes(RowIndex max_rows) const { return scratch_bytes(max_rows); }

  // A twin of this source that keeps its row offsets in memory instead of reading them again with each
  // block. resident_bytes() is what that takes, reserved from `budget` under `index`.
  virtual ByteCount resident_bytes() const = 0;
  virtual Result<std::shared_ptr<const RowSource>> resident(MemoryBudget& budget) const = 0;

  // A twin that reads no storage in which there are dropped columns alone; columns keep their numbers, and
  // entries of dropped ones may still come. nullptr: it would read the same.
  virtual std::shared_ptr<const RowSource> only_columns(const ColumnMap&) const { return nullptr; }
  // A twin that reads less, for who wants no CsrTile::totals. nullptr: it would read the same.
  virtual std::shared_ptr<const RowSource> without_totals() const { return nullptr; }

  // Not nullptr: the matrix is stored column by column, and rows are cheap only many at a time. requests() and
  // cost() say nothing of it. decode() hands out rows of Scratch::turned; without that, it goes through all of
  // the matrix itself, once for as many rows as the scratch holds.
  virtual const ColumnMajor* by_columns() const { return nullptr; }
  // How many entries there are of those that SourceTraits::lengths counts: exact where by_columns() is.
  virtual std::uint64_t wanted_entries() const { return traits().lengths.entries; }
};

}  // namespace penstock
