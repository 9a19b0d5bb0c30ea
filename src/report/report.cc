// A report is one HTML file without anything to load: template, style and script from src/report/page/, and a
// JSON object with everything that the page draws. The C++ side decides what the numbers are and says it in
// words; the script decides how they look. The object, for others who read it out of the page:
//
//     penstock_report         its version
//     summary, verdict        sentences: what ran, and what held it up
//     plan, stats             as Plan and LoaderStats give them
//     history                 what the recorder has sampled, an array for each quantity
//     trade_off               what other sizes of blocks would cost, and be worth
//     mixing                  cells of each value in each batch, three times; or null
//     files, more_files       counters of each file, and sums of those for which there is no room
//     options, environment    pairs of texts
//
// A report is read-only: it may be made while batches flow, after the loader was closed, and of a
// loader that never ran. Its own work, the mixture of a label, has a budget of its own, so that it
// never takes memory of the loader's.

#include "penstock/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>

#include "base/cores.h"
#include "base/guarded.h"
#include "loader/loader_impl.h"
#include "plan/sizing.h"
#include "report/machine.h"
#include "report/mixing_picture.h"
#include "report/page.h"
#include "report/words.h"

namespace penstock {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kReportMemory = 64'000'000;  // of the plan's blocks and the label's categories
constexpr std::size_t kMostFiles = 200;              // listed one by one
constexpr int kTradePoints = 60;

// In UTC, because a local time would tell where the machine is.
std::string now_text() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc = {};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
  return text;
}

Json history_json(const std::vector<loader::LoaderSample>& samples) {
  Json h;
  // One array for each quantity, and not an object for each sample: the names would be most of the page.
  const auto series = [&](const char* name, auto get) {
    Json values = Json::array();
    for (const auto& s : samples) values.push_back(get(s));
    h[name] = std::move(values);
  };
  // Tenths of a millisecond are plenty, and short.
  const auto times = [&](const char* name, double loader::LoaderSample::*member) {
    series(name, [member](const auto& s) { return std::round(s.*member * 1e4) / 1e4; });
  };
  times("seconds", &loader::LoaderSample::seconds);
  series("epoch", [](const auto& s) { return s.epoch; });
  series("batches", [](const auto& s) { return s.batches; });
  series("rows", [](const auto& s) { return s.rows; });
  series("rows_decoded", [](const auto& s) { return s.rows_decoded; });
  series("bytes_read", [](const auto& s) { return s.bytes_read; });
  times("read_seconds", &loader::LoaderSample::read);
  times("worker_read_seconds", &loader::LoaderSample::worker_read);
  times("decode_seconds", &loader::LoaderSample::decode);
  times("scatter_seconds", &loader::LoaderSample::scatter);
  times("assemble_seconds", &loader::LoaderSample::assemble);
  times("worker_idle_seconds", &loader::LoaderSample::idle);
  times("idle_for_reads_seconds", &loader::LoaderSample::idle_for_reads);
  times("idle_for_pages_seconds", &loader::LoaderSample::idle_for_pages);
  times("idle_for_consumer_seconds", &loader::LoaderSample::idle_for_consumer);
  times("consumer_wait_seconds", &loader::LoaderSample::wait);
  times("consumer_busy_seconds", &loader::LoaderSample::busy);
  series("window_bytes_used", [](const auto& s) { return s.window_used; });
  series("slot_bytes_used", [](const auto& s) { return s.slots_used; });
  for (std::size_t i = 0; i < kMemoryTags; ++i) {
    Json values = Json::array();
    for (const auto& s : samples) values.push_back(s.memory[i]);
    h["memory"][std::string(memory_tag_name(static_cast<MemoryTag>(i)))] = std::move(values);
  }
  return h;
}

Json files_json(const Dataset& dataset, const internal::LoaderImpl& impl, Json* rest) {
  const auto counts = impl.engine->file_counts();
  const auto infos = dataset.files();
  Json out = Json::array();
  std::uint64_t n = 0, planned = 0, read = 0, rows = 0, selected = 0;
  // The counters may be older than the list, or absent in a loader that was closed before it
  // ran: what is missing is 0.
  for (std::size_t i = 0; i < infos.size(); ++i) {
    const FileInfo& info = infos[i];
    const std::uint64_t plan = i < impl.planned_file_bytes.size() ? impl.planned_file_bytes[i] : 0;
    const loader::FileCounts count = i < counts.size() ? counts[i] : loader::FileCounts();
    // A set of thousands of files would make a page of megabytes. Those behind the 200th are one line of
    // sums.
    if (i >= kMostFiles) {
      ++n;
      planned += plan;
      read += count.bytes_read;
      rows += count.rows;
      selected += info.selected;
      continue;
    }
    const std::size_t slash = info.path.rfind('/');
    out.push_back({{"path", info.path},
                   {"name", slash == std::string::npos ? info.path : info.path.substr(slash + 1)},
                   {"n_obs", info.n_obs},
                   {"selected", info.selected},
                   {"file_bytes", info.file_bytes},
                   {"layout", info.layout},
                   {"planned_bytes", plan},
                   {"bytes_read", count.bytes_read},
                   {"rows_decoded", count.rows},
                   {"blocks_decoded", count.blocks}});
  }
  if (n > 0) {
    *rest = {{"files", n},
             {"selected", selected},
             {"planned_bytes", planned},
             {"bytes_read", read},
             {"rows_decoded", rows}};
  }
  return out;
}

// Blocks of one row to one window, at the plan's window and batch size. The curve that a person would look at
// before setting block_rows: large blocks are cheap to read and mix badly. Points lie at equal ratios, since
// what matters is whether a block is twice or four times as large.
Json trade_off_json(const Plan& plan, const loader::EngineConfig& config) {
  const double s = static_cast<double>(plan.window_rows), q = static_cast<double>(plan.batch_size);
  const double chunk = config.rows_per_chunk;
  const auto point = [&](double b) {
    return Json{{"block_rows", b},
                {"blocks_in_window", s / b},
                {"q_eff", plan::effective_rows(q, b, s)},
                {"decode_cost", plan::decode_cost(b, chunk, config.head_cost)}};
  };
  Json out;
  out["rows_per_chunk"] = chunk;
  out["window_rows"] = plan.window_rows;
  out["batch_size"] = plan.batch_size;
  out["here"] = point(std::max(1.0, static_cast<double>(plan.block_rows)));
  out["points"] = Json::array();
  // A block is at least a chunk; one that fills half of the window mixes nothing.
  const double least = std::max(1.0, chunk), most = std::max(2 * least, s / 2);
  for (int i = 0; i <= kTradePoints; ++i)
    out["points"].push_back(point(least * std::pow(most / least, static_cast<double>(i) / kTradePoints)));
  return out;
}

Json panel_json(const report::Panel& panel) {
  return {{"counts", panel.counts}, {"entropy", panel.entropy}, {"mean_entropy", panel.mean_entropy}};
}

Json mixing_json(const loader::LabelMixing& m) {
  const report::Picture p = report::draw(m);
  return {{"label", m.label},
          {"n_categories", p.n_values},
          {"missing_cells", p.missing_cells},
          {"categories_per_line", p.categories_per_line},
          {"lines", p.lines},
          {"line_cells", p.line_cells},
          {"batches", m.batches},
          {"row_step", m.row_step},
          {"entropy", loader::summary(m).entropy_of_cells},
          {"penstock", panel_json(p.penstock)},
          {"file_order", panel_json(p.file_order)},
          {"full_shuffle", panel_json(p.full_shuffle)}};
}

// Of the epoch being delivered, also when the loader was closed.
Result<loader::LabelMixing> mixing_of(const internal::LoaderImpl& impl, const Dataset& dataset,
                                      const std::string& label, std::uint64_t epoch) {
  const auto budget = MemoryBudget::create(kReportMemory);
  auto mixing = impl.engine->mixing(label, epoch, report::kMostBatches, *budget);
  // A closed loader has no tables left; they are made anew.
  if (mixing.ok() || mixing.status().code() != StatusCode::cancelled) return mixing;
  PENSTOCK_ASSIGN_OR_RETURN(const auto config,
                            loader::rows_again(impl.engine->config(), dataset.impl(), *budget));
  return loader::work_out_mixing(config, config.whole_epoch(epoch), dataset.impl(), label,
                                 report::kMostBatches, *budget);
}

// The column whose mixture is shown; empty: none of obs= has categories. The first of obs= that has values to
// be mixed. Numbers have none: each cell has its own.
Result<std::string> choose_label(const Dataset& dataset, const LoaderOptions& options,
                                 const std::string& asked) {
  if (!asked.empty()) return asked;
  for (const std::string& name : options.obs) {
    PENSTOCK_ASSIGN_OR_RETURN(const auto label, dataset.impl().label(name, nullptr));
    const bool coded = label.kind == ObsKind::category && !label.categories.empty();
    if (coded || label.kind == ObsKind::boolean) return name;
  }
  return std::string();
}

Result<std::string> page_of(const Loader& loader, const Dataset& dataset, const ReportOptions& options) {
  const internal::LoaderImpl& impl = loader.impl();
  // The engine's threads exist in the process that made them; its locks may be held for ever in a copy.
  if (getpid() != impl.pid) {
    return Status::invalid_argument(
        "this loader was made before fork(): make its report in the parent process");
  }
  const loader::EngineConfig& config = impl.engine->config();
  const LoaderOptions& chosen = config.options;
  const Plan& plan = loader.plan();
  const LoaderStats stats = loader.stats();

  Json data;
  data["penstock_report"] = 1;  // version of this object
  data["made"] = now_text();
  const auto lines = report::what_ran(plan, stats);
  const report::Verdict verdict = report::judge(plan, stats, usable_cores());
  data["summary"] = lines;
  data["verdict"] = {{"title", verdict.title}, {"advice", verdict.advice}};
  data["plan"] = Json::parse(plan.to_json());
  // Through the JSON that users get, so that a counter's name and form are decided in one place.
  data["stats"] = Json::parse(stats.to_json());
  data["history"] = history_json(impl.engine->history());
  data["trade_off"] = trade_off_json(plan, config);
  data["mixing"] = nullptr;
  PENSTOCK_ASSIGN_OR_RETURN(const std::string label, choose_label(dataset, chosen, options.label));
  if (!label.empty() && plan.n_batches > 0) {
    auto mixing = mixing_of(impl, dataset, label, stats.epoch);
    if (mixing.ok()) {
      data["mixing"] = mixing_json(*mixing);
    } else if (mixing.status().code() != StatusCode::budget) {
      // A label that was asked for and cannot be shown is an error. One that was chosen here must not cost
      // the page.
      return std::move(mixing).status();
    } else if (!options.label.empty()) {
      return std::move(mixing).status().with_context(
          fmt::format("obs '{}' has too many rows or values for a report: choose another label", label));
    }  // a label that nobody asked for is left out
  }
  Json more_files;
  data["files"] = files_json(dataset, impl, &more_files);
  data["more_files"] = std::move(more_files);
  data["options"] = Json::array();
  const auto option = [&](const char* name, const std::string& value) {
    data["options"].push_back(Json::array({name, value}));
  };
  if (!options.command.empty()) option("command", options.command);
  option("matrix", dataset.matrix());
  option("memory", format_bytes(plan.memory));
  option("batch_size", format_count(chosen.batch_size));
  option("format, dtype", plan.format + ", " + plan.dtype);
  option("shuffle, seed", fmt::format("{}, {}", plan.shuffle, plan.seed));
  option("obs", fmt::format("{}", fmt::join(chosen.obs, ", ")));
  option("drop_last", fmt::format("{}", chosen.drop_last));
  option("rank, world_size", fmt::format("{}, {}", plan.rank, plan.world_size));
  option("threads, io_threads", fmt::format("{}, {}", plan.threads, plan.io_threads));
  const auto sized = [](std::uint64_t rows, std::uint64_t asked) {
    return format_count(rows) + (asked == 0 ? " (from data and memory)" : " (given)");
  };
  option("block_rows", sized(plan.block_rows, chosen.block_rows));
  option("window_rows", sized(plan.window_rows, chosen.window_rows));
  data["environment"] = Json::array();
  auto machine = report::describe_machine();
  machine.insert(machine.end(), options.environment.begin(), options.environment.end());
  for (const auto& [name, value] : machine) data["environment"].push_back(Json::array({name, value}));

  const std::string title = fmt::format("Penstock: {} cells from {} file{}", format_count(plan.n_rows),
                                        format_count(plan.n_files), plan.n_files == 1 ? "" : "s");
  return report::make_page(title, lines, data);
}

}  // namespace

Result<std::string> report_html(const Loader& loader, const Dataset& dataset, const ReportOptions& options) {
  return guarded([&] { return page_of(loader, dataset, options); });
}

Status write_report(const Loader& loader, const Dataset& dataset, const std::string& path,
                    const ReportOptions& options) {
  return guarded([&]() -> Status {
    PENSTOCK_ASSIGN_OR_RETURN(const std::string page, page_of(loader, dataset, options));
    return replace_file(path, page);
  });
}

}  // namespace penstock
