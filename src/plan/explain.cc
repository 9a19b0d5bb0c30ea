// A Plan in words and as JSON.
#include <fmt/format.h>

#include <cmath>

#include "penstock/plan.h"
#include "plan/record_json.h"

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

// The texts count files, cells, rows, blocks, threads and batches: "es" is for the last ones.
std::string plural(std::uint64_t n, std::string_view one) {
  const std::string_view ending = n == 1 ? "" : one.ends_with("ch") ? "es" : "s";
  return fmt::format("{} {}{}", format_count(n), one, ending);
}

std::string dense_text(const Plan& plan) {
  const std::string bytes = format_bytes(plan.dense_bytes);
  switch (plan.dense_buffers) {
    case 0:
      return fmt::format(
          "batch.dense() takes {} of fresh memory each time, since no buffer of that size fits into the "
          "budget; batch.dense(out=) takes none",
          bytes);
    case 1:
      return fmt::format(
          "batch.dense() fills a buffer of {} that is kept, or fresh memory while the result before is in "
          "use",
          bytes);
    default:
      return fmt::format("batch.dense() fills one of {} buffers of {} that are kept", plan.dense_buffers,
                         bytes);
  }
}

}  // namespace

std::string Plan::summary() const {
  // The first line stands alone, in a log or under a progress bar, so it holds what a person would ask first.
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
  // Without a selection the amplification has another cause, small blocks, and this advice would not help.
  if (read_amplification > kScattered && n_selected < n_rows_of_files && passes == 0) {
    t += fmt::format(
        "           reads {:.1f} times the bytes of its rows: the selected {} of {} rows lie scattered among "
        "others; split(unit=256) keeps runs together\n",
        read_amplification, format_count(n_selected), format_count(n_rows_of_files));
  }
  if (passes > 0) {
    t += fmt::format("  passes   {} an epoch over what is stored by columns (CSC), {} each\n",
                     format_count(passes), format_bytes(pass_bytes));
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
          "worth {} or more\n",
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
  const auto kept = [](bool in_memory) { return in_memory ? "in memory" : "re-read with each block"; };
  t += fmt::format("  engine   {}, {}; row offsets {}", plural(threads, "decode thread"),
                   plural(io_threads, "reader"),
                   resident_offsets == resident_labels
                       ? fmt::format("and codes {}", kept(resident_labels))
                       : fmt::format("{}, codes {}", kept(resident_offsets), kept(resident_labels)));
  t += "\n";
  t += fmt::format("  memory   {} =", format_bytes(memory));
  // The tags must add up to the budget for a reader who checks, so what is free is one of the terms.
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
  if (dense_bytes > 0) t += "           " + dense_text(*this) + "\n";
  for (const auto& note : notes) t += "  note     " + note.text + "\n";
  return t;
}

std::string Plan::to_json() const {
  plan::Json json;
  json["summary"] = summary();
  plan::add_fields(json, *this);
  return plan::json_text(json, 2);
}

}  // namespace penstock
