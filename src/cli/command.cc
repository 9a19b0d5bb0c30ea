#include "command.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
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
  if (interrupt_seen.exchange(true)) _exit(kInterrupted);
}

constexpr std::array<std::pair<std::string_view, OutputType>, 8> kTypes = {
    {{"float32", OutputType::float32},
     {"float64", OutputType::float64},
     {"float16", OutputType::float16},
     {"bfloat16", OutputType::bfloat16},
     {"int32", OutputType::int32},
     {"int64", OutputType::int64},
     {"int16", OutputType::int16},
     {"uint8", OutputType::uint8}}};

std::vector<std::string> type_names() {
  std::vector<std::string> names;
  for (const auto& [name, type] : kTypes) names.emplace_back(name);
  return names;
}

// CLI11 validator for byte counts.
std::string check_bytes(const std::string& text) {
  const auto bytes = parse_bytes(text);
  return bytes.ok() ? std::string() : bytes.status().message();
}

}  // namespace

void OpenFlags::add_to(CLI::App& app) {
  app.add_option("FILE", files, "Files (.h5ad), read as one matrix in this order")->required();
  app.add_option("--matrix", options.matrix, "X, raw/X or layers/NAME")->capture_default_str();
  app.add_option("--genes", options.genes, "Parquet lists: the column of genes")->capture_default_str();
  app.add_option("--expressions", options.expressions, "Parquet lists: the column of values")
      ->capture_default_str();
  app.add_option("--var", options.var,
                 "Parquet lists: the gene table (default: looked for beside the files)");
  app.add_option("--join", options.join,
                 "Files with different genes: exact (refused), inner (genes of every file), outer (of any)")
      ->check(CLI::IsMember({"exact", "inner", "outer"}))
      ->capture_default_str();
  app.add_option("--var-key", options.var_key, "Column of var that names the genes (default: its index)");
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

Result<std::shared_ptr<const Dataset>> OpenFlags::open(std::vector<std::string> paths) const {
  OpenOptions chosen = options;
  PENSTOCK_ASSIGN_OR_RETURN(chosen.index_memory, parse_bytes(index_memory));
  QueryParams values;
  for (const std::string& param : params) {
    const auto equals = param.find('=');
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
  app.add_option("--obs", options.obs, "Columns that travel with the rows: a,b,c")->delimiter(',');
  app.add_option("--seed", options.seed, "Of the shuffle")->capture_default_str();
  app.add_flag("--no-shuffle", ordered, "File order");
  app.add_option("--epoch-size", options.epoch_size, "Rows of an epoch (default: every selected row once)");
  app.add_option("--balance", options.balance, "An obs column whose values come equally often");
  app.add_option("--weights", options.weights_column,
                 "A numeric obs column: how often rows come, relatively");
  app.add_flag("--drop-last", options.drop_last, "Leave out a short last batch");
  app.add_option("--threads", options.threads, "Decode threads (default: the cores this process may use)");
  app.add_option("--io-threads", options.io_threads, "Readers");
  app.add_option("--window-rows", options.window_rows,
                 "Rows shuffled together (default: from data and memory)");
  app.add_option("--block-rows", options.block_rows, "Rows read together (default: from data and memory)");
  app.add_option("--rank", options.rank, "This process's share")->capture_default_str();
  app.add_option("--world-size", options.world_size, "Number of shares")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

Result<LoaderOptions> LoaderFlags::resolve() const {
  LoaderOptions chosen = options;
  PENSTOCK_ASSIGN_OR_RETURN(chosen.memory, parse_bytes(memory));
  chosen.format = format == "dense" ? BatchFormat::dense : BatchFormat::csr;
  chosen.dtype =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& t) { return t.first == dtype; })->second;
  chosen.shuffle = !ordered;
  return chosen;
}

int fail(const Status& status) {
  std::string line = status.to_string();
  // The lines below a query's error show what its position says.
  if (const auto shown = line.find("\n  "); line.find("position ") < shown) line.resize(shown);
  std::replace(line.begin(), line.end(), '\n', ' ');
  fmt::print(stderr, "penstock: {}\n", line);
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
