// Which columns of a matrix are wanted, and where they go: what a gene selection and a join of files with
// different genes come to for one file.
//
// Thread contract: immutable. Memory: a table of 2 or 4 bytes per column of the file, reserved under `index`
// for as long as the map lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/types.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock {

class ColumnMap {
 public:
  static constexpr std::uint32_t kDropped = 0xffffffff;

  // to[c]: the new number of the file's column c, < n_cols, or kDropped. No two columns share a number.
  static Result<std::shared_ptr<const ColumnMap>> create(std::span<const std::uint32_t> to, ColIndex n_cols,
                                                         MemoryBudget& budget);

  ColIndex source_cols() const { return n_source_; }
  ColIndex n_cols() const { return n_cols_; }  // of the result
  // The new number of a column of the file, or kDropped.
  std::uint32_t operator[](ColIndex c) const;

  // What keep() writes ids as: u16 while the largest value is free to mean "dropped", else u32.
  NumericType id_type() const { return n_cols_ < 0xffff ? NumericType::u16 : NumericType::u32; }
  // Copies those of n entries whose column is wanted to the front of ids and values, which have room for n;
  // returns how many. An id outside [0, source_cols()) sets *bad to its place, if that is smaller than what
  // is there; its entry is left out. Ids of `type` and values of value_bytes (1, 2, 4 or 8) each, at any
  // alignment.
  std::size_t keep(const std::byte* in_ids, NumericType type, const std::byte* in_values,
                   std::size_t value_bytes, std::size_t n, std::byte* ids, std::byte* values,
                   std::size_t* bad) const;

 private:
  ColumnMap() = default;
  template <class Index, class Id, class Value>
  std::size_t keep_as(const std::vector<Id>& table, const std::byte* in_ids, const std::byte* in_values,
                      std::size_t n, std::byte* ids, std::byte* values, std::size_t* bad) const;

  ColIndex n_source_ = 0, n_cols_ = 0;
  // One of them, by id_type(); with an entry behind the last that is dropped.
  std::vector<std::uint16_t> narrow_;
  std::vector<std::uint32_t> wide_;
  Reservation held_;
};

}  // namespace penstock
