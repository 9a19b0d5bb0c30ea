// A column of obs or var as values: what Dataset::obs() and Dataset::var() give, and what every format's
// readers fill.
//
// Thread contract: values.
// Layer: base.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace penstock {

// A column (of obs or var) in memory. The vector that `kind` names is filled.
struct Column {
  enum class Kind : std::uint8_t { categorical, string, integer, floating, boolean } kind = Kind::string;
  std::string name;
  // categorical: codes (-1 missing) into categories
  std::vector<std::int32_t> codes;
  std::vector<std::string> categories;
  // What the category strings spell: string, integer, floating or boolean.
  Kind categories_kind = Kind::string;
  bool ordered = false;
  std::vector<std::string> strings;
  std::vector<std::int64_t> integers;
  bool is_unsigned = false;  // integers hold the bits of uint64
  std::vector<double> floats;
  std::vector<std::uint8_t> booleans;
  std::vector<std::uint8_t> missing;  // 1 = missing; empty when the encoding has no mask
  std::string dtype;  // as stored: "float32", "int64", "category", "string", "nullable-integer", ...
  std::uint64_t size() const;
};

struct ColumnInfo {
  std::string name;
  std::string dtype;   // as in Column
  bool usable = true;  // false: listed, but reading it is `unsupported` (why says so)
  std::string why;
};

// An entry of obsm: a vector for each row.
struct ObsmInfo {
  std::string name;
  std::uint64_t width = 0;           // numbers of a row
  std::string dtype;                 // as numpy has it: "float32", "bool"
  std::vector<std::string> columns;  // their names; empty where they have none
  bool usable = true;                // false: listed, but reading it is `unsupported` (why says so)
  std::string why;
};

}  // namespace penstock
