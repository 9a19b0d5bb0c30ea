// Epochs of the C++ engine with nothing around it, and with slow reads when asked: what benchmarks/bench.py
// measures where Python would be in the way.
//
//   engine_bench --memory 512MB --batch 4096 --threads 2 --epochs 3 --json a.h5ad b.h5ad
//   engine_bench --delay-ms 5 ...         every read of an epoch takes 5 ms longer (the fault-injecting File)
//   engine_bench --step-ms 40 ...         a model that takes 40 ms per batch
//   engine_bench --verify ...             also prints the checksum that benchmarks/bench.py computes with
//   h5py
//
// Epochs run on one loader, so all but the first are a loader's steady state.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "io/file.h"
#include "io/testing/fault_file.h"
#include "penstock/dataset.h"
#include "penstock/loader.h"

namespace {

using Clock = std::chrono::steady_clock;
using penstock::testing::FaultFile;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

[[noreturn]] void die(const penstock::Status& status) {
  std::fprintf(stderr, "engine_bench: %s\n", status.to_string().c_str());
  std::exit(1);
}

// Independent of order: a sum of well-mixed (row, gene, value bits). benchmarks/bench.py has the same in
// numpy.
struct Checksum {
  std::uint64_t sum = 0, entries = 0, rows = 0, rows_sum = 0;

  void add(std::uint64_t row, std::uint64_t gene, float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    std::uint64_t x = row * 0x9E3779B97F4A7C15u ^ (gene << 32 | bits);
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 32;
    x *= 0x94D049BB133111EBu;
    sum += x ^ x >> 29;
    ++entries;
  }

  void add(const penstock::Batch& batch) {
    const auto* index = static_cast<const std::int64_t*>(batch.index.data);
    for (std::uint64_t r = 0; r < batch.n_rows; ++r) {
      const auto row = static_cast<std::uint64_t>(index[r]);
      ++rows;
      rows_sum += row;
      if (batch.is_dense()) {
        const float* values = static_cast<const float*>(batch.dense.data) + r * batch.n_cols;
        for (std::uint64_t g = 0; g < batch.n_cols; ++g) {
          if (values[g] != 0) add(row, g, values[g]);
        }
      } else if (batch.indices.type == penstock::ArrayType::i32) {
        add_row<std::int32_t>(batch, r, row);
      } else {
        add_row<std::int64_t>(batch, r, row);
      }
    }
  }

 private:
  template <class Index>
  void add_row(const penstock::Batch& batch, std::uint64_t r, std::uint64_t row) {
    const auto* indptr = static_cast<const Index*>(batch.indptr.data);
    const auto* indices = static_cast<const Index*>(batch.indices.data);
    const auto* values = static_cast<const float*>(batch.values.data);
    for (auto k = indptr[r]; k < indptr[r + 1]; ++k)
      add(row, static_cast<std::uint64_t>(indices[k]), values[k]);
  }
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Epochs of the engine, timed"};
  std::vector<std::string> paths;
  std::string memory = "512MB", format = "csr";
  penstock::LoaderOptions options;
  options.batch_size = 4096;
  double delay_ms = 0, step_ms = 0;
  unsigned epochs = 2;
  bool json = false, verify = false, ordered = false;
  app.add_option("files", paths, ".h5ad files")->required();
  app.add_option("--memory", memory, "budget")->capture_default_str();
  app.add_option("--batch", options.batch_size, "rows")->capture_default_str();
  app.add_option("--format", format)->check(CLI::IsMember({"csr", "dense"}))->capture_default_str();
  app.add_option("--threads", options.threads, "decode threads; 0: all cores")->capture_default_str();
  app.add_option("--io-threads", options.io_threads, "readers; 0: the default")->capture_default_str();
  app.add_option("--seed", options.seed)->capture_default_str();
  app.add_option("--block-rows", options.block_rows, "0: planned")->capture_default_str();
  app.add_option("--window-rows", options.window_rows, "0: planned")->capture_default_str();
  app.add_option("--epochs", epochs)->capture_default_str();
  app.add_option("--delay-ms", delay_ms, "added to every read of an epoch")->capture_default_str();
  app.add_option("--step-ms", step_ms, "slept per batch")->capture_default_str();
  app.add_flag("--ordered", ordered, "file order instead of shuffled");
  app.add_flag("--verify", verify, "checksum of the first epoch");
  app.add_flag("--json", json, "one JSON object to stdout");
  CLI11_PARSE(app, argc, argv);

  const auto bytes = penstock::parse_bytes(memory);
  if (!bytes.ok()) die(bytes.status());
  options.memory = *bytes;
  options.format = format == "dense" ? penstock::BatchFormat::dense : penstock::BatchFormat::csr;
  options.shuffle = !ordered;

  std::mutex mutex;
  std::vector<std::shared_ptr<FaultFile>> files;
  penstock::OpenOptions open_options;
  if (delay_ms > 0) {
    open_options.opener =
        [&](const std::string& path) -> penstock::Result<std::shared_ptr<const penstock::File>> {
      PENSTOCK_ASSIGN_OR_RETURN(auto real, penstock::open_posix_file(path));
      auto file = std::make_shared<FaultFile>(std::move(real));
      const std::lock_guard lock(mutex);
      files.push_back(file);
      return std::shared_ptr<const penstock::File>(std::move(file));
    };
  }
  auto start = Clock::now();
  const auto dataset = penstock::Dataset::open(paths, open_options);
  if (!dataset.ok()) die(dataset.status());
  const double open_seconds = since(start);

  start = Clock::now();
  auto loader = penstock::Loader::create(*dataset, options);
  if (!loader.ok()) die(loader.status());
  const double create_seconds = since(start);
  // Metadata came at full speed: the figure is about the reads of an epoch.
  penstock::testing::Faults faults;
  faults.delay = std::chrono::microseconds(static_cast<std::int64_t>(delay_ms * 1000));
  for (const auto& file : files) file->set(faults);

  double first_batch_seconds = 0;
  std::vector<double> epoch_seconds;
  std::vector<std::uint64_t> epoch_rows;
  Checksum checksum;
  for (unsigned e = 0; e < epochs; ++e) {
    start = Clock::now();
    if (const auto status = (*loader)->start_epoch(); !status.ok()) die(status);
    std::uint64_t rows = 0;
    for (bool first = true;; first = false) {
      const auto batch = (*loader)->next();
      if (!batch.ok()) die(batch.status());
      if (!*batch) break;
      if (first && e == 0) first_batch_seconds = since(start);
      rows += (*batch)->n_rows;
      if (verify && e == 0) checksum.add(**batch);
      if (step_ms > 0) std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(step_ms));
    }
    epoch_seconds.push_back(since(start));
    epoch_rows.push_back(rows);
  }

  const auto stats = (*loader)->stats();
  if (json) {
    nlohmann::json out{{"open_seconds", open_seconds},
                       {"create_seconds", create_seconds},
                       {"first_batch_seconds", first_batch_seconds},
                       {"epoch_seconds", epoch_seconds},
                       {"epoch_rows", epoch_rows},
                       {"plan", nlohmann::json::parse((*loader)->plan().to_json())},
                       {"stats", nlohmann::json::parse(stats.to_json())}};
    if (verify) {
      out["checksum"] = {{"sum", checksum.sum},
                         {"entries", checksum.entries},
                         {"rows", checksum.rows},
                         {"rows_sum", checksum.rows_sum}};
    }
    std::printf("%s\n", out.dump().c_str());
    return 0;
  }
  std::printf("%s\n", (*loader)->plan().summary().c_str());
  std::printf("open %.3f s, plan %.3f s, first batch %.3f s\n", open_seconds, create_seconds,
              first_batch_seconds);
  for (unsigned e = 0; e < epochs; ++e) {
    std::printf("epoch %u: %llu cells in %.3f s = %.0f cells/s\n", e,
                static_cast<unsigned long long>(epoch_rows[e]), epoch_seconds[e],
                static_cast<double>(epoch_rows[e]) / epoch_seconds[e]);
  }
  std::printf("%s\n", stats.who_waited().c_str());
  return 0;
}
