// An entry of obsm in one file: a vector of the same width for each row. A format whose files have such
// vectors implements this class.
//
// Rows are read beside those of the matrix: requests() says what to read of the file, begin() lays out a
// thread's scratch, and read() hands out one row after the other. Of storage in chunks the scratch holds the
// decoded chunks of the row that was read last, so rows that come in order cost each chunk once.
//
// Thread contract: immutable after open; every method is safe from many threads at once. A scratch belongs to
// the calling thread. Ownership: keeps the file open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "penstock/batch.h"
#include "penstock/status.h"
#include "source/request.h"
#include "source/row_source.h"

namespace penstock {

class ObsmArray {
 public:
  virtual ~ObsmArray() = default;
  // "a.h5ad: /obsm/X_pca"
  virtual const std::string& where() const = 0;
  virtual RowIndex n_rows() const = 0;
  // Numbers of a row, and the narrowest type that holds those of every column (widen.h).
  virtual std::uint64_t width() const = 0;
  virtual ArrayType type() const = 0;
  // Names of the numbers; empty where they have none.
  virtual const std::vector<std::string>& columns() const = 0;
  // "chunks of 12,500 x 4, deflate(4)"
  virtual std::string layout() const = 0;
  // True: a row is read for its own bytes. False: with chunks that hold others, too, of which the largest
  // hold so many.
  virtual bool row_addressable() const = 0;
  virtual RowIndex chunk_rows() const = 0;

  // Appends what read() will look up for rows that ascend; the caller coalesces the list. No I/O.
  virtual void requests(std::span<const RowRange> wanted, RequestList& list) const = 0;
  virtual ByteCount scratch_bytes() const = 0;
  // Before the first row out of other bytes. `scratch`: scratch_bytes(), aligned to 64.
  virtual void begin(std::span<std::byte> scratch) const = 0;
  // Writes the row's width() numbers as numbers of `type`, which is type() or wider, to any address. No I/O,
  // no allocation. `scratch.bytes`: what begin() was given. `invalid_argument`, naming row and column, for
  // an integer that `type` does not hold.
  virtual Status read(RowIndex row, ArrayType type, const Fetched& fetched, Scratch& scratch,
                      std::byte* out) const = 0;
};

}  // namespace penstock
