// What each fuzz target does with one input. The fuzzers (entry.cc) throw the result away; the regression
// test compares it with the text that lies beside the input.
//
// A target returns what a user would be told: one message a line, or "ok" and what was read. It ends the
// process (require() in require.h) when an invariant of ours is broken. It is a pure function of its input.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace penstock::fuzz {

using Input = std::span<const std::byte>;

// An HDF5 file: every object, attribute and array; whole reads against reads of ranges.
std::string hdf5(Input input);
// An h5ad file: every matrix by blocks of rows with random starts, kept offsets against offsets read again,
// encoding of each row, every column of obs and var, labels.
std::string anndata(Input input);
// A Parquet file, in the same way: lists (of 40 genes), triplets, wide, and its columns.
std::string parquet(Input input);
// Parquet's codecs: whole pages against their heads.
std::string compression(Input input);
// Codecs: damaged streams, and round trips of the input as data. Heads of deflate streams against the whole.
std::string deflate(Input input);
std::string lzf(Input input);
std::string fletcher32(Input input);
std::string pipeline(Input input);
// SIMD against plain loops on every instruction set that was compiled and that this machine has.
std::string shuffle(Input input);
std::string kernels(Input input);
// Decoders of Parquet pages: pieces and skips against single values, lists against a plain walk, unpacking on
// every instruction set.
std::string encodings(Input input);

// An expression, run on a made-up table of every kind of column: with statistics of its row groups against
// without, the expression against its negation.
std::string query(Input input);

}  // namespace penstock::fuzz
