// LoaderStats in words, as JSON and for Prometheus.
#include "penstock/stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plan/record_json.h"

namespace penstock {
namespace {

// All members are 8 bytes or whole multiples of that, so that there is no padding and the sizes of the listed
// ones add up to the whole. A member that somebody adds and forgets to list stops the build here.
constexpr std::size_t listed_bytes() {
  std::size_t bytes = 0;
  LoaderStats::fields(
      [&bytes]<class T>(const char*, T LoaderStats::*, const char*, const auto&...) { bytes += sizeof(T); });
  return bytes;
}
static_assert(listed_bytes() == sizeof(LoaderStats), "LoaderStats::fields() lists every field");

}  // namespace

// A training loop either waits in next() or does its own work. Where it waits most of the time, what the
// threads do tells why: threads that are mostly idle wait for bytes, and busy ones cannot decode faster.
// Between a tenth and a half of the time there is no single bottleneck to name.
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
  // Decoding is decompressing, turning decoded arrays into rows, and scattering these. Only the first and the
  // last are timed, so the middle is what is left; clocks that are read apart may make that a little less
  // than 0.
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
  plan::Json json;
  plan::add_fields(json, *this);
  json["who_waited"] = who_waited();
  json["where_time_went"] = where_time_went();
  return plan::json_text(json, -1);
}

namespace {

bool label_name_allowed(const std::string& name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  // Names that begin with __ are Prometheus' own; `tag`, `stage` and `reason` are ours.
  if (name.empty() || !letter(name[0]) || name.starts_with("__")) return false;
  if (name == "tag" || name == "stage" || name == "reason") return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// A label value stands between quotes, on one line: quotes, backslashes and line ends are escaped.
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

using Kind = Metric::Kind;

// bytes_read is read_bytes_total, rows is rows_total.
std::string counter_name(std::string_view field) {
  constexpr std::string_view kBytes = "bytes_";
  if (field.starts_with(kBytes)) return fmt::format("{}_bytes_total", field.substr(kBytes.size()));
  return fmt::format("{}_total", field);
}

// Families of samples, each with its HELP and TYPE, in the order in which they are first named. The format
// wants all samples of a family together, but fields of one family need not be neighbours in LoaderStats. So
// the text is collected by family:
//
//   # HELP penstock_memory_bytes Bytes of the budget reserved now, by purpose.
//   # TYPE penstock_memory_bytes gauge
//   penstock_memory_bytes{run="a",tag="index"} 4096
//   penstock_memory_bytes{run="a",tag="window"} 65536
class PrometheusText {
 public:
  explicit PrometheusText(const std::map<std::string, std::string>& labels) {
    for (const auto& [name, value] : labels) {
      if (!label_name_allowed(name)) continue;
      common_ += fmt::format("{}{}=\"{}\"", common_.empty() ? "" : ",", name, escape_label(value));
    }
  }

  // A field of LoaderStats.
  template <class Number>
  void field(std::string_view name, Number value, std::string_view help, const Metric& metric) {
    if (metric.kind == Kind::none) return;
    if (metric.family.empty()) {
      sample(counter_name(name), metric.kind, help, value);
    } else {
      sample(metric.family, metric.kind, metric.help.empty() ? help : metric.help, value, metric.label,
             metric.value);
    }
  }
  void field(std::string_view, const MemoryBudget::Usage& memory, std::string_view, const Metric&) {
    sample("memory_limit_bytes", Kind::gauge, "The budget.", memory.limit);
    sample("memory_peak_bytes", Kind::gauge, "The most of the budget that was reserved at once.",
           memory.peak);
    for (std::size_t i = 0; i < kMemoryTags; ++i) {
      sample("memory_bytes", Kind::gauge, "Bytes of the budget reserved now, by purpose.",
             memory.used_by_tag[i], "tag", memory_tag_name(static_cast<MemoryTag>(i)));
    }
  }

  // `label`: empty, or what tells this sample of the family from the others.
  template <class Number>
  void sample(std::string_view family, Kind kind, std::string_view help, Number number,
              std::string_view label = {}, std::string_view value = {}) {
    auto at = find(family);
    if (at == families_.end()) {
      families_.push_back({std::string(family), ""});
      at = families_.end() - 1;
      at->text = fmt::format("# HELP penstock_{0} {1}\n# TYPE penstock_{0} {2}\n", family, help,
                             kind == Kind::gauge ? "gauge" : "counter");
    }
    std::string labels = common_;
    if (!label.empty()) labels += fmt::format("{}{}=\"{}\"", labels.empty() ? "" : ",", label, value);
    if (!labels.empty()) labels = "{" + labels + "}";
    at->text += fmt::format("penstock_{}{} {}\n", family, labels, number);
  }

  void move_behind(std::string_view family, std::string_view other) {
    const auto from = find(family);
    Family moved = std::move(*from);
    families_.erase(from);
    families_.insert(find(other) + 1, std::move(moved));
  }

  std::string text() const {
    std::string all;
    for (const Family& family : families_) all += family.text;
    return all;
  }

 private:
  struct Family {
    std::string name, text;
  };
  std::vector<Family>::iterator find(std::string_view family) {
    return std::find_if(families_.begin(), families_.end(),
                        [family](const Family& each) { return each.name == family; });
  }

  std::string common_;
  std::vector<Family> families_;
};

}  // namespace

std::string LoaderStats::to_prometheus(const std::map<std::string, std::string>& labels) const {
  PrometheusText text(labels);
  each_field(*this, [&](const char* name, const auto& value, const char* help, const Metric& metric = {}) {
    text.field(name, value, help, metric);
  });
  // The three reasons are samples of one family. With the rest beside them a sum over the family is all idle
  // time.
  const double other = std::max(
      0.0, worker_idle_seconds - idle_for_reads_seconds - idle_for_pages_seconds - idle_for_consumer_seconds);
  text.sample("worker_idle_seconds_total", Kind::counter, "", other, "reason", "other");
  // Three families have another place than their field: the text stays comparable with that of earlier runs.
  text.move_behind("reread_bytes_total", "decoded_bytes_total");
  text.move_behind("rows_deferred_total", "heads_too_short_total");
  text.move_behind("memory_used_bytes", "memory_bytes");
  return text.text();
}

}  // namespace penstock
