// LoaderStats in words and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "penstock/loader.h"

namespace penstock {

std::string LoaderStats::who_waited() const {
  const double loop = consumer_wait_seconds + consumer_busy_seconds;
  if (batches == 0 || loop <= 0) return "nothing has been delivered yet";
  const double wait = consumer_wait_seconds / loop;
  std::string text =
      fmt::format("the training loop waited for data {:.0f} % of the time ({:.2f} of {:.2f} s)", 100 * wait,
                  consumer_wait_seconds, loop);
  const double work = decode_seconds + assemble_seconds;
  const double threads = work + worker_idle_seconds;
  if (threads > 0)
    text += fmt::format("; the decode threads were idle {:.0f} %", 100 * worker_idle_seconds / threads);
  if (wait > 0.5) {
    text += worker_idle_seconds > work ? ": reading is the bottleneck" : ": decoding is the bottleneck";
  } else if (wait < 0.1) {
    text += ": the model is the bottleneck";
  }
  return text;
}

std::string LoaderStats::where_time_went() const {
  const double all = worker_read_seconds + decode_seconds + assemble_seconds;
  if (all <= 0) return "nothing has been decoded yet";
  const double unpack = std::max(0.0, decode_seconds - decompress_seconds - scatter_seconds);
  const auto percent = [all](double seconds) { return 100 * seconds / all; };
  return fmt::format(
      "of the decode threads' work, {:.0f} % was reading, {:.0f} % decompressing, {:.0f} % unpacking, {:.0f} "
      "% "
      "scattering into the window, {:.0f} % assembling",
      percent(worker_read_seconds), percent(decompress_seconds), percent(unpack), percent(scatter_seconds),
      percent(assemble_seconds));
}

std::string LoaderStats::to_json() const {
  nlohmann::ordered_json j;
  j["epoch"] = epoch;
  j["batches"] = batches;
  j["rows"] = rows;
  j["entries"] = entries;
  j["rows_decoded"] = rows_decoded;
  j["blocks_decoded"] = blocks_decoded;
  j["bytes_opening"] = bytes_opening;
  j["bytes_planning"] = bytes_planning;
  j["bytes_read"] = bytes_read;
  j["reads"] = reads;
  j["epoch_bytes_read"] = epoch_bytes_read;
  j["epoch_reads"] = epoch_reads;
  j["bytes_reread"] = bytes_reread;
  j["rereads"] = rereads;
  j["bytes_read_all"] = bytes_read_all;
  j["bytes_decoded"] = bytes_decoded;
  j["rows_deferred"] = rows_deferred;
  j["entries_unknown"] = entries_unknown;
  j["heads_too_short"] = heads_too_short;
  j["values_rounded"] = values_rounded;
  j["rows_sorted"] = rows_sorted;
  j["labels_missing"] = labels_missing;
  j["read_seconds"] = read_seconds;
  j["worker_read_seconds"] = worker_read_seconds;
  j["decode_seconds"] = decode_seconds;
  j["decompress_seconds"] = decompress_seconds;
  j["scatter_seconds"] = scatter_seconds;
  j["assemble_seconds"] = assemble_seconds;
  j["worker_idle_seconds"] = worker_idle_seconds;
  j["idle_for_reads_seconds"] = idle_for_reads_seconds;
  j["idle_for_pages_seconds"] = idle_for_pages_seconds;
  j["idle_for_consumer_seconds"] = idle_for_consumer_seconds;
  j["consumer_wait_seconds"] = consumer_wait_seconds;
  j["consumer_busy_seconds"] = consumer_busy_seconds;
  j["elapsed_seconds"] = elapsed_seconds;
  j["first_batch_seconds"] = first_batch_seconds;
  j["last_batch_seconds"] = last_batch_seconds;
  j["slots_held"] = slots_held;
  j["window_bytes_used"] = window_bytes_used;
  j["slot_bytes_used"] = slot_bytes_used;
  j["memory"]["limit"] = memory.limit;
  j["memory"]["used"] = memory.used;
  j["memory"]["peak"] = memory.peak;
  for (std::size_t i = 0; i < kMemoryTags; ++i) {
    const std::string tag(memory_tag_name(static_cast<MemoryTag>(i)));
    j["memory"]["used_by_tag"][tag] = memory.used_by_tag[i];
    j["memory"]["peak_by_tag"][tag] = memory.peak_by_tag[i];
  }
  j["who_waited"] = who_waited();
  j["where_time_went"] = where_time_went();
  return j.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

namespace {

bool label_name_allowed(const std::string& name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  // Names that begin with __ are Prometheus' own; `tag`, `stage` and `reason` are ours.
  if (name.empty() || !letter(name[0]) || name.starts_with("__")) return false;
  if (name == "tag" || name == "stage" || name == "reason") return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::string escape_label(const std::string& value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

// Families of samples, each with its HELP and TYPE.
class PrometheusText {
 public:
  explicit PrometheusText(const std::map<std::string, std::string>& labels) {
    for (const auto& [name, value] : labels) {
      if (!label_name_allowed(name)) continue;
      common_ += fmt::format("{}{}=\"{}\"", common_.empty() ? "" : ",", name, escape_label(value));
    }
  }
  void family(const char* name, const char* type, const char* help) {
    name_ = name;
    text_ += fmt::format("# HELP penstock_{0} {2}\n# TYPE penstock_{0} {1}\n", name, type, help);
  }
  template <class Number>
  void sample(Number value, const std::string& label = "") {
    const std::string labels = common_ + (common_.empty() || label.empty() ? "" : ",") + label;
    text_ += fmt::format("penstock_{}{}{}{} {}\n", name_, labels.empty() ? "" : "{", labels,
                         labels.empty() ? "" : "}", value);
  }
  template <class Number>
  void one(const char* name, const char* type, const char* help, Number value) {
    family(name, type, help);
    sample(value);
  }
  std::string text() && { return std::move(text_); }

 private:
  std::string common_, text_;
  const char* name_ = "";
};

}  // namespace

std::string LoaderStats::to_prometheus(const std::map<std::string, std::string>& labels) const {
  PrometheusText t(labels);
  constexpr const char *kCounter = "counter", *kGauge = "gauge";
  t.one("epoch", kGauge, "Number of the epoch being delivered.", epoch);
  t.one("batches_total", kCounter, "Batches delivered.", batches);
  t.one("rows_total", kCounter, "Cells delivered.", rows);
  t.one("entries_total", kCounter, "Non-zeros delivered.", entries);
  t.one("rows_decoded_total", kCounter, "Cells decoded.", rows_decoded);
  t.one("blocks_decoded_total", kCounter, "Blocks decoded.", blocks_decoded);
  t.one("read_bytes_total", kCounter, "Bytes read from files.", bytes_read);
  t.one("reads_total", kCounter, "Reads of files.", reads);
  t.one("decoded_bytes_total", kCounter, "Bytes that came out of the codecs.", bytes_decoded);
  t.one("reread_bytes_total", kCounter,
        "Bytes read again: for cells that found no page, for heads of chunks that were too short.",
        bytes_reread);
  t.one("entries_unknown_total", kCounter, "Entries left out: their gene is not in the gene table.",
        entries_unknown);
  t.one("heads_too_short_total", kCounter, "Blocks whose last chunks were read twice.", heads_too_short);
  t.one("rows_deferred_total", kCounter, "Cells that found no page and were read again.", rows_deferred);
  t.one("values_rounded_total", kCounter, "Values that the output type could not hold exactly.",
        values_rounded);
  t.one("rows_sorted_total", kCounter, "Cells that were not sorted by gene in the file.", rows_sorted);
  t.one("labels_missing_total", kCounter, "Labels delivered as -1 or NaN.", labels_missing);
  t.family("stage_seconds_total", kCounter,
           "Seconds of work summed over threads; decode includes decompress and scatter, read includes "
           "reader threads.");
  t.sample(read_seconds, "stage=\"read\"");
  t.sample(decode_seconds, "stage=\"decode\"");
  t.sample(decompress_seconds, "stage=\"decompress\"");
  t.sample(scatter_seconds, "stage=\"scatter\"");
  t.sample(assemble_seconds, "stage=\"assemble\"");
  t.family("worker_idle_seconds_total", kCounter,
           "Seconds that decode threads had nothing to do, by reason.");
  t.sample(idle_for_reads_seconds, "reason=\"reads\"");
  t.sample(idle_for_pages_seconds, "reason=\"pages\"");
  t.sample(idle_for_consumer_seconds, "reason=\"consumer\"");
  t.sample(std::max(0.0, worker_idle_seconds - idle_for_reads_seconds - idle_for_pages_seconds -
                             idle_for_consumer_seconds),
           "reason=\"other\"");
  t.one("consumer_wait_seconds_total", kCounter, "Seconds that next() waited for a batch.",
        consumer_wait_seconds);
  t.one("consumer_busy_seconds_total", kCounter, "Seconds between two next() calls: the model.",
        consumer_busy_seconds);
  t.one("elapsed_seconds", kGauge, "Seconds since the first epoch began.", elapsed_seconds);
  t.one("batches_held", kGauge, "Batches that the consumer holds.", slots_held);
  t.one("memory_limit_bytes", kGauge, "The budget.", memory.limit);
  t.one("memory_peak_bytes", kGauge, "The most of the budget that was reserved at once.", memory.peak);
  t.family("memory_bytes", kGauge, "Bytes of the budget reserved now, by purpose.");
  for (std::size_t i = 0; i < kMemoryTags; ++i) {
    t.sample(memory.used_by_tag[i], fmt::format("tag=\"{}\"", memory_tag_name(static_cast<MemoryTag>(i))));
  }
  t.family("memory_used_bytes", kGauge, "Bytes of the reservation with something in them now, by purpose.");
  t.sample(window_bytes_used, "tag=\"window\"");
  t.sample(slot_bytes_used, "tag=\"slots\"");
  return std::move(t).text();
}

}  // namespace penstock
