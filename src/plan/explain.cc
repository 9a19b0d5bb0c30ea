// A Plan in words and as JSON.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "penstock/plan.h"

namespace penstock {
namespace {

// A selection that makes an epoch read more than this many times the bytes of its rows gets a line of advice.
constexpr double kScattered = 2;

std::string seconds_text(double s) {
  if (s < 1) return fmt::format("{:.2g} s", s);
  if (s < 10) return fmt::format("{:.1f} s", s);
  if (s < 120) return fmt::format("{:.0f} s", s);
  if (s < 7200) return fmt::format("{:.0f} min", s / 60);
  return fmt::format("{:.1f} h", s / 3600);
}

std::string plural(std::uint64_t n, std::string_view one) {
  const std::string_view ending = n == 1 ? "" : one.ends_with("ch") ? "es" : "s";
  return fmt::format("{} {}{}", format_count(n), one, ending);
}

}  // namespace

std::string Plan::summary() const {
  std::string text =
      fmt::format("{} \u00b7 {} \u00b7 {} \u2192 window {}, {} \u00b7 {}", plural(n_files, "file"),
                  plural(n_rows, "cell"), format_bytes(memory), plural(window_rows, "cell"),
                  plural(n_blocks, "block"), plural(threads, "thread"));
  if (seconds_per_epoch > 0) text += fmt::format(" \u00b7 ~{}/epoch", seconds_text(seconds_per_epoch));
  return text;
}

std::string Plan::to_text() const {
  std::string t = summary() + "\n";
  t += fmt::format(
      "  data     {} x {} in {}; an epoch reads {} in {} ({:.2f}x the selection's chunks) and decodes {}\n",
      format_count(n_rows), format_count(n_cols), plural(n_files, "file"), format_bytes(bytes_to_read),
      plural(requests, "request"), read_amplification, format_bytes(bytes_to_decode));
  if (read_amplification > kScattered && n_selected < n_rows_of_files) {
    t += fmt::format(
        "           reads {:.1f} times the bytes of its rows: the selected {} of {} rows lie scattered among "
        "others; split(unit=256) keeps runs together\n",
        read_amplification, format_count(n_selected), format_count(n_rows_of_files));
  }
  if (n_selected < n_rows_of_files) {
    const double share = bytes_of_all_rows == 0 ? 0
                                                : static_cast<double>(bytes_of_selection) /
                                                      static_cast<double>(bytes_of_all_rows);
    t += fmt::format("  selection {} of {} rows ({:.3g} %); their blocks are {} of {} ({:.3g} %)\n",
                     format_count(n_selected), format_count(n_rows_of_files),
                     100 * static_cast<double>(n_selected) / static_cast<double>(n_rows_of_files),
                     format_bytes(bytes_of_selection), format_bytes(bytes_of_all_rows), 100 * share);
  }
  if (sampled) {
    std::string what = plural(n_rows, "row") + " an epoch";
    if (!balance.empty()) what += fmt::format(", balanced by {}", balance);
    if (!weights.empty()) what += fmt::format(", weighted by {}", weights);
    t += fmt::format(
        "  sampling {}: about {} different ones, {:.2f} copies of each (none more than {}), those read "
        "together in one window\n",
        what, format_count(distinct_rows), copies_per_window, format_count(most_copies));
    if (epochs_per_pass > 1)
      t += fmt::format("           {} epochs share the data: each reads another part of it\n",
                       epochs_per_pass);
  }
  if (shuffle) {
    t += fmt::format(
        "  shuffle  {} of ~{} cells, {:.0f} of them in a window of {}; a batch of {} is worth {} independent "
        "cells or more\n",
        plural(n_blocks, "block"), format_count(block_rows), blocks_per_window, format_count(window_rows),
        format_count(batch_size), format_count(static_cast<std::uint64_t>(q_eff)));
    if (ramp_batches > 0) {
      t += fmt::format(
          "           the first epoch's windows grow from small ones: {} of it are mixed less, the first "
          "worth {} or "
          "more\n",
          plural(ramp_batches, "batch"), format_count(static_cast<std::uint64_t>(first_q_eff)));
    }
  } else {
    t += fmt::format("  order    file order; blocks of ~{} cells, windows of {}\n", format_count(block_rows),
                     format_count(window_rows));
  }
  t += fmt::format("  batches  {} of {} as {} {}{}; the first comes after {} cells are read{}\n",
                   format_count(n_batches), format_count(batch_size), format, dtype,
                   world_size > 1 ? fmt::format(", rank {} of {}", rank, world_size) : "",
                   format_count(first_window_rows),
                   first_batch_seconds > 0 ? fmt::format(", ~{}", seconds_text(first_batch_seconds)) : "");
  t += fmt::format("  engine   {}, {}; row offsets and codes {}\n", plural(threads, "decode thread"),
                   plural(io_threads, "reader"), resident_rows ? "in memory" : "re-read with each block");
  t += fmt::format("  memory   {} =", format_bytes(memory));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kMemoryTags; ++i) {
    if (memory_by_tag[i] == 0) continue;
    t += fmt::format("{} {} {}", sum == 0 ? "" : " +", memory_tag_name(static_cast<MemoryTag>(i)),
                     format_bytes(memory_by_tag[i]));
    sum += memory_by_tag[i];
  }
  if (sum < memory) t += fmt::format("{} free {}", sum == 0 ? "" : " +", format_bytes(memory - sum));
  t +=
      fmt::format("\n           a batch is {} (at most {}), {} can exist at once; a cell in the window ~{}\n",
                  format_bytes(slot_bytes), format_bytes(slot_bytes_max), format_count(slots),
                  format_bytes(compact_row_bytes));
  for (const auto& note : notes) t += "  note     " + note + "\n";
  return t;
}

std::string Plan::to_json() const {
  nlohmann::ordered_json j;
  j["summary"] = summary();
  j["n_files"] = n_files;
  j["n_rows"] = n_rows;
  j["n_selected"] = n_selected;
  j["n_cols"] = n_cols;
  j["sampled"] = sampled;
  j["balance"] = balance;
  j["weights"] = weights;
  j["epochs_per_pass"] = epochs_per_pass;
  j["most_copies"] = most_copies;
  j["distinct_rows"] = distinct_rows;
  j["copies_per_window"] = copies_per_window;
  j["shuffle"] = shuffle;
  j["seed"] = seed;
  j["batch_size"] = batch_size;
  j["block_rows"] = block_rows;
  j["n_blocks"] = n_blocks;
  j["window_rows"] = window_rows;
  j["blocks_per_window"] = blocks_per_window;
  j["q_eff"] = q_eff;
  j["ramp_batches"] = ramp_batches;
  j["first_q_eff"] = first_q_eff;
  j["rank"] = rank;
  j["world_size"] = world_size;
  j["rows_this_rank"] = rows_this_rank;
  j["n_batches"] = n_batches;
  j["format"] = format;
  j["dtype"] = dtype;
  j["threads"] = threads;
  j["io_threads"] = io_threads;
  j["slots"] = slots;
  j["slot_bytes"] = slot_bytes;
  j["slot_bytes_max"] = slot_bytes_max;
  j["compact_row_bytes"] = compact_row_bytes;
  j["resident_rows"] = resident_rows;
  j["bytes_to_read"] = bytes_to_read;
  j["bytes_to_decode"] = bytes_to_decode;
  j["requests"] = requests;
  j["n_rows_of_files"] = n_rows_of_files;
  j["bytes_of_selection"] = bytes_of_selection;
  j["bytes_of_all_rows"] = bytes_of_all_rows;
  j["read_amplification"] = read_amplification;
  j["seconds_per_epoch"] = seconds_per_epoch;
  j["first_window_rows"] = first_window_rows;
  j["first_batch_seconds"] = first_batch_seconds;
  j["memory"] = memory;
  for (std::size_t i = 0; i < kMemoryTags; ++i) {
    j["memory_by_tag"][std::string(memory_tag_name(static_cast<MemoryTag>(i)))] = memory_by_tag[i];
  }
  j["notes"] = notes;
  return j.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace penstock
