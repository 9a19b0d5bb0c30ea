// What every subcommand needs. Two rules run through it. Results go to stdout and everything else to stderr,
// so that a pipe gets nothing but results; and an error is one line, so that a script can log it, with an
// exit code that says whose fault it is (2: the command line's, 1: the file's or the plan's).
//
// A flag is checked where it is parsed, before any file is opened: a typing error should not cost the time in
// which a thousand files are opened.

#include "command.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

#include "gene_names.h"
#include "penstock/memory_budget.h"

namespace penstock::cli {

namespace {

std::atomic<bool> interrupt_seen = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // a signal handler sets it

extern "C" void on_interrupt(int) {
  // The first Ctrl-C asks for an orderly end, which may take as long as a read. The second one does not wait:
  // _exit() is among the few calls that are allowed in a signal handler, and there is nothing to save.
  if (interrupt_seen.exchange(true)) _exit(kInterrupted);
}

// From the core's table, so that a type that is added there is known here.
std::vector<std::string> type_names() {
  std::vector<std::string> names;
  for (const auto& [name, type] : kOutputTypes) names.emplace_back(name);
  return names;
}

}  // namespace

std::string check_bytes(const std::string& text) {
  const auto bytes = parse_bytes(text);
  return bytes.ok() ? std::string() : bytes.status().message();
}

CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                      const std::string& what) {
  // By default an option with many values would take all words that follow it, and with them the files.
  return app.add_option(name, values, what)->delimiter(',')->take_all()->allow_extra_args(false);
}

namespace {

// CLI11 validator for 64-bit numbers: it would take -1 for 2^64 - 1, and what is larger for that, too.
std::string check_number(const std::string& text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end
             ? std::string()
             : fmt::format("{} is not a whole number from 0 to 2^64 - 1", text);
}

}  // namespace

void OpenFlags::add_to(CLI::App& app) {
  app.add_option(
         "FILE", files,
         "Files (.h5ad, 10x .h5, .parquet), globs or folders of them, read as one matrix in this order")
      ->required();
  app.add_option("--matrix", options.matrix, "X, raw/X or layers/NAME; mod/rna/X in MuData")
      ->capture_default_str();
  app.add_option("--genes", options.genes, "Parquet lists: the column of genes")->capture_default_str();
  app.add_option("--expressions", options.expressions, "Parquet lists: the column of values")
      ->capture_default_str();
  app.add_option("--var", options.var,
                 "Parquet lists: the gene table (default: looked for beside the files)");
  app.add_option(
      "--row", options.row,
      "Parquet triplets: the column of row numbers (default: the usual names: row, cell_idx, i, ...)");
  app.add_option("--col", options.col, "Parquet triplets: the column of column numbers");
  app.add_option("--value", options.value, "Parquet triplets: the column of values");
  app.add_option("--obs-columns", options.obs,
                 "Wide Parquet: the numeric columns that are obs, not genes: a,b,c")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--genome", options.genome, "10x .h5: only this genome's features");
  app.add_option("--feature-type", options.feature_type,
                 "10x .h5: only features of this type: \"Gene Expression\"");
  app.add_option("--join", options.join,
                 "Files with different genes: exact (refused), inner (genes of every file), outer (of any)")
      ->check(CLI::IsMember({"exact", "inner", "outer"}))
      ->capture_default_str();
  app.add_option("--var-key", options.var_key, "Column of var that names the genes (default: its index)");
  // Byte counts stay text until resolve(), because the library parses them: "256MB" means the same here and
  // in Python.
  app.add_option("--index-memory", index_memory, "Bytes that metadata may hold")
      ->check(check_bytes)
      ->capture_default_str();
  app.add_flag("--json", json, "Print JSON");
}

void OpenFlags::add_selection_to(CLI::App& app) {
  app.add_option("--query", query,
                 "Only rows for which this holds: \"n_counts > 500 and drug != 'DMSO_TF'\"");
  app.add_option("--param", params, "name=value: what @name stands for in --query (repeatable)")
      ->take_all()
      ->allow_extra_args(false);
  auto* select = app.add_option("--select-vars", genes,
                                "Only these genes, in this order: TP53,MYC or @FILE with one name a line");
  app.add_option("--select-key", genes_key,
                 "Column of var that --select-vars names genes by (default: their names)")
      ->needs(select);
  app.add_option(
         "--missing", missing,
         "Genes of --select-vars that are not there: error, drop (left out), zero (a column of zeros)")
      ->check(CLI::IsMember({"error", "drop", "zero"}))
      ->needs(select)
      ->capture_default_str();
}

Result<std::vector<std::string>> OpenFlags::paths() const { return expand_paths(files); }

Result<OpenOptions> OpenFlags::resolve() const {
  OpenOptions chosen = options;
  PENSTOCK_ASSIGN_OR_RETURN(chosen.index_memory, parse_bytes(index_memory));
  return chosen;
}

Result<std::shared_ptr<const Dataset>> OpenFlags::open() const {
  PENSTOCK_ASSIGN_OR_RETURN(auto found, paths());
  return open(std::move(found));
}

// Rows are selected before genes. It makes no difference to the result, but a query that names a wrong column
// is refused before names of genes are read.
Result<std::shared_ptr<const Dataset>> OpenFlags::open(std::vector<std::string> paths) const {
  PENSTOCK_ASSIGN_OR_RETURN(OpenOptions chosen, resolve());
  QueryParams values;
  for (const std::string& param : params) {
    const auto equals = param.find('=');
    // Only the first "=" separates, so that a value may contain some.
    if (equals == std::string::npos || equals == 0) {
      return Status::invalid_argument("--param takes name=value, not " + param);
    }
    PENSTOCK_ASSIGN_OR_RETURN(values[param.substr(0, equals)], parse_query_value(param.substr(equals + 1)));
  }
  PENSTOCK_ASSIGN_OR_RETURN(auto dataset, Dataset::open(std::move(paths), std::move(chosen)));
  if (query) {
    PENSTOCK_ASSIGN_OR_RETURN(dataset, dataset->query(*query, values));
  }
  if (genes) {
    PENSTOCK_ASSIGN_OR_RETURN(const auto names, gene_names(*genes));
    PENSTOCK_ASSIGN_OR_RETURN(dataset, dataset->select_var_names(names, genes_key, missing));
  }
  return dataset;
}

void LoaderFlags::add_to(CLI::App& app) {
  app.add_option("--memory", memory, "The budget, in bytes: 2GB, 512MiB, ...")
      ->check(check_bytes)
      ->capture_default_str();
  app.add_option("--batch-size", options.batch_size, "Rows per batch")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{0x7fffffff}))
      ->capture_default_str();
  app.add_option("--format", format, "csr or dense")
      ->check(CLI::IsMember({"csr", "dense"}))
      ->capture_default_str();
  app.add_option("--dtype", dtype, "Type of the values")
      ->check(CLI::IsMember(type_names()))
      ->capture_default_str();
  add_list(app, "--obs", options.obs, "Columns that travel with the rows: a,b,c");
  add_list(app, "--obsm", options.obsm, "Entries of obsm that travel with the rows: X_pca,...");
  app.add_option("--seed", options.seed, "Of the shuffle")->check(check_number)->capture_default_str();
  app.add_flag("--no-shuffle", ordered, "File order");
  app.add_option("--epoch-size", options.epoch_size, "Rows of an epoch (default: every selected row once)")
      ->check(check_number);
  app.add_option("--balance", options.balance, "An obs column whose values come equally often");
  app.add_option("--weights", options.weights_column,
                 "A numeric obs column: how often rows come, relatively");
  app.add_flag("--drop-last", options.drop_last, "Leave out a short last batch");
  app.add_option("--threads", options.threads, "Decode threads (default: the cores this process may use)");
  app.add_option("--io-threads", options.io_threads, "Readers");
  app.add_option("--window-rows", options.window_rows,
                 "Rows shuffled together (default: from data and memory)")
      ->check(check_number);
  app.add_option("--block-rows", options.block_rows, "Rows read together (default: from data and memory)")
      ->check(check_number);
  app.add_option("--rank", options.rank, "This process's share")->capture_default_str();
  app.add_option("--world-size", options.world_size, "Number of shares")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

Result<LoaderOptions> LoaderFlags::resolve() const {
  LoaderOptions chosen = options;
  PENSTOCK_ASSIGN_OR_RETURN(chosen.memory, parse_bytes(memory));
  chosen.format = format == "dense" ? BatchFormat::dense : BatchFormat::csr;
  // It is found: the option was checked against the same list.
  chosen.dtype = std::find_if(std::begin(kOutputTypes), std::end(kOutputTypes), [&](const auto& t) {
                   return t.first == dtype;
                 })->second;
  chosen.shuffle = !ordered;
  return chosen;
}

std::string one_line(std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  return message;
}

int fail(const Status& status) {
  std::string message = status.to_string();
  // The picture under a query's error (the query with a mark below) is several lines, and these must be one.
  message.resize(message.size() - status.picture().size());
  fmt::print(stderr, "penstock: {}\n", one_line(std::move(message)));
  return status.code() == StatusCode::invalid_argument ? kUsage : kFailed;
}

void print_json(const nlohmann::json& json) {
  // File names and labels may be no valid UTF-8.
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = &on_interrupt;
  sigaction(SIGINT, &action, nullptr);
}

bool interrupted() { return interrupt_seen.load(); }

ProgressLine::ProgressLine() : terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() { clear(); }

// Asked before the text is made, because the text costs more than the question: stats() takes a lock.
bool ProgressLine::due() { return terminal_ && std::chrono::steady_clock::now() >= next_; }

void ProgressLine::show(std::string_view text) {
  if (!terminal_) return;
  // \033[K clears what is left of a longer line before.
  fmt::print(stderr, "\r{}\033[K", text);
  std::fflush(stderr);
  shown_ = true;
  next_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
}

void ProgressLine::clear() {
  if (!shown_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  shown_ = false;
}

std::string command_line() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::string out;
  // The words as the shell has split them, each ending with a zero byte. Quotes are put back where a shell
  // would need them: what is shown in a report should run when it is copied.
  for (std::string word; std::getline(in, word, '\0');) {
    if (out.empty()) {
      out = word.substr(word.rfind('/') + 1);  // npos + 1 == 0
      continue;
    }
    const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || std::strchr("-_./=,:+@%", c) != nullptr || c >= 0x80;
    });
    if (plain) {
      out += " " + word;
      continue;
    }
    // Inside single quotes a shell takes everything as it is, but for the quote itself: it's becomes
    // 'it'\''s'.
    out += " '";
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += "'";
  }
  return out;
}

std::uint64_t peak_rss() {
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace penstock::cli
