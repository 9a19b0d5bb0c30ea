// LoaderStats in words and as JSON.
#include <fmt/format.h>

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
  j["heads_too_short"] = heads_too_short;
  j["values_rounded"] = values_rounded;
  j["rows_sorted"] = rows_sorted;
  j["labels_missing"] = labels_missing;
  j["read_seconds"] = read_seconds;
  j["decode_seconds"] = decode_seconds;
  j["assemble_seconds"] = assemble_seconds;
  j["worker_idle_seconds"] = worker_idle_seconds;
  j["consumer_wait_seconds"] = consumer_wait_seconds;
  j["consumer_busy_seconds"] = consumer_busy_seconds;
  j["elapsed_seconds"] = elapsed_seconds;
  j["slots_held"] = slots_held;
  j["memory"]["limit"] = memory.limit;
  j["memory"]["used"] = memory.used;
  j["memory"]["peak"] = memory.peak;
  for (std::size_t i = 0; i < kMemoryTags; ++i) {
    const std::string tag(memory_tag_name(static_cast<MemoryTag>(i)));
    j["memory"]["used_by_tag"][tag] = memory.used_by_tag[i];
    j["memory"]["peak_by_tag"][tag] = memory.peak_by_tag[i];
  }
  j["who_waited"] = who_waited();
  return j.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace penstock
