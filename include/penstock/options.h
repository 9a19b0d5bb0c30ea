// Options of Dataset::open and Loader::create. Each field says its default, unit and cost.
// Layer: memory.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "penstock/file.h"
#include "penstock/memory_budget.h"
#include "penstock/state.h"

namespace penstock {

struct OpenOptions {
  // Which matrix: "X", "raw/X" or "layers/NAME", in MuData "mod/rna/X"; for a Parquet file that could be
  // several, "lists", "triplets" or "wide".
  std::string matrix = "X";
  // "exact": files must have the same var names in the same order. "inner": the genes that every file has, in
  // the first file's order. "outer": the genes of any file, sorted by name unless all files have the same
  // ones; a file without a gene has zeros.
  std::string join = "exact";
  // The var column that names the genes; empty: the index of var.
  std::string var_key;
  // Parquet files of lists: the columns that hold the genes and the values of each row, and the table
  // (Parquet or CSV) that says what the genes' numbers stand for; empty: looked for beside the files.
  std::string genes = "genes", expressions = "expressions", var;
  // Parquet files of triplets: the columns that hold the row number, the column number and the value of each
  // entry; empty: the usual names (row, col, data; cell_idx, gene_idx, count; soma_dim_0, ...).
  std::string row, col, value;
  // Wide Parquet files: the numeric columns that are obs, not genes.
  std::vector<std::string> obs;
  // 10x .h5 files: which genome's matrix or features; the features of which type ("Gene Expression"). Empty:
  // all; a file of several genomes that are matrices of their own asks for one.
  std::string genome, feature_type;
  // Bytes that metadata (chunk indexes, row tables, names, obs columns read) may hold.
  std::uint64_t index_memory = 256'000'000;
  // How paths become files; unset: pread on regular files. For tests and other file systems.
  FileOpener opener;
};

struct SplitOptions {
  std::uint64_t seed = 0;
  // Obs columns (strings, categories, integers, booleans; several: their combinations). Rows with the same
  // value are a group, which no two parts share. A missing value is a value of its own.
  std::vector<std::string> group_by;
  // Obs columns whose values are kept in the fractions' shares in every part.
  std::vector<std::string> stratify_by;
  // Rows of a run that stays together; 0: 1 below 1 M rows, else 256. With group_by or stratify_by: 0 or 1.
  std::uint64_t unit = 0;
  // Labels that are no obs column: a code for each selected row, in order (< 0: no value). Beside columns, or
  // instead of them.
  std::shared_ptr<const std::vector<std::int32_t>> group_labels, stratify_labels;
};

enum class BatchFormat : std::uint8_t { csr, dense };
enum class OutputType : std::uint8_t { float32, float64, float16, bfloat16, int32, int64, int16, uint8 };
// By the names that people give them.
inline constexpr std::pair<std::string_view, OutputType> kOutputTypes[] = {
    {"float32", OutputType::float32},   {"float64", OutputType::float64}, {"float16", OutputType::float16},
    {"bfloat16", OutputType::bfloat16}, {"int32", OutputType::int32},     {"int64", OutputType::int64},
    {"int16", OutputType::int16},       {"uint8", OutputType::uint8}};

struct LoaderOptions {
  std::uint64_t batch_size = 1024;  // rows; the last batches: Note [No lone row] in plan/windows.h
  // Everything this loader holds: a limit in bytes, or the share() of a budget that several loaders have.
  std::uint64_t memory = 1'000'000'000;
  std::shared_ptr<MemoryBudget> shared_budget;
  bool shuffle = true;  // false: file order
  std::uint64_t seed = 0;
  BatchFormat format = BatchFormat::csr;
  OutputType dtype = OutputType::float32;
  std::vector<std::string> obs;  // columns that travel with the rows
  // Entries of obsm that travel with the rows: dense arrays, and the numeric columns of DataFrames. AnnData
  // files only. Each has the same width in every file.
  std::vector<std::string> obsm;
  // Categories to code a column by, instead of the Dataset's own: values outside become -1.
  std::map<std::string, std::vector<std::string>> categories;
  // Batch::total: the sum of each row over all genes of its file, before genes are left out.
  bool totals = false;
  // Values are divided by the row's total and multiplied by this: scanpy's pp.normalize_total on the whole
  // matrix. > 0. A row whose total is 0 stays as it is. Floating dtypes only.
  std::optional<double> normalize_total;
  // The natural logarithm of 1 + value, after normalize_total. Floating dtypes only.
  bool log1p = false;
  // Rows of an epoch, over all ranks; 0: every selected row once. Another number takes that many of them,
  // spread evenly; with fewer than half of the rows, several epochs share them (plan/sampling.h).
  std::uint64_t epoch_size = 0;
  // How often rows come, relative to each other, in an epoch of epoch_size rows (0: as many as are selected):
  // a number for each selected row, or an obs column of numbers, or of categories whose weights are listed
  // (the others, and missing ones, weigh 1). Finite, >= 0; a row of weight 0 never comes.
  std::shared_ptr<const std::vector<double>> weights;
  std::string weights_column;
  std::map<std::string, double> category_weights;
  // An obs column of categories, strings, integers or booleans, whose values come equally often. With
  // weights, those say how often rows come among those of the same value.
  std::string balance;
  // Instead of a column: the class of each selected row, in order, numbered from 0; every row has one.
  std::shared_ptr<const std::vector<std::int32_t>> balance_labels;
  bool drop_last = false;
  std::uint32_t rank = 0, world_size = 1;
  std::uint32_t threads = 0;     // decode threads; 0: the cores this process may use (affinity, cgroup quota)
  std::uint32_t io_threads = 0;  // readers; 0: the default (see ARCHITECTURE.md)
  std::uint64_t window_rows = 0;  // 0: from data and memory
  // Rows of a block, exactly, whatever the storage; 0: from data and memory, cut where the storage has
  // boundaries.
  std::uint64_t block_rows = 0;
  // Go on where a checkpoint was made: the first start_epoch() without a number, or with its epoch's, begins
  // there. block_rows and window_rows are the checkpoint's; what else is different and matters is
  // invalid_argument. The number of ranks may be another one: what is left of the epoch is shared out by
  // rows.
  std::optional<LoaderState> resume;
  double slot_timeout_seconds = 10;  // how long next() waits when the consumer holds every batch
  // Called once, without locks, when next() finds every slot held; Python runs gc.collect() here.
  std::function<void()> on_slots_exhausted;
};

}  // namespace penstock
