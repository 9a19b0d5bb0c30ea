// What a loader has done so far: Loader::stats().
//
// Thread contract: values.
// Layer: engine.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "penstock/fields.h"
#include "penstock/memory_budget.h"

namespace penstock {

// How a field of LoaderStats goes to Prometheus. By default it is a counter whose name follows from the
// field's: rows is penstock_rows_total, bytes_read is penstock_read_bytes_total.
struct Metric {
  enum class Kind : std::uint8_t { counter, gauge, none };

  Kind kind = Kind::counter;
  std::string_view family;  // without penstock_; empty: from the field's name
  // Of a family that several fields share: what it is, and which of its samples this is, stage="read".
  std::string_view help, label, value;

  static constexpr Metric none() { return {Kind::none, {}, {}, {}, {}}; }
  static constexpr Metric gauge(std::string_view family) { return {Kind::gauge, family, {}, {}, {}}; }
};

// Counters since the loader was made; times in seconds summed over threads. What each one is, and its name
// everywhere, stands in fields().
struct LoaderStats {
  std::uint64_t epoch = 0;
  std::uint64_t batches = 0, rows = 0, entries = 0;
  std::uint64_t rows_decoded = 0, blocks_decoded = 0;
  // Where every byte was read for. bytes_read_all == bytes_opening + bytes_planning + bytes_read +
  // bytes_reread when nothing else used the Dataset meanwhile; a read that failed counts nowhere exactly.
  // bytes_read counts blocks of all epochs begun, the next one's first windows too; epoch_bytes_read those
  // of `epoch`, at its end Loader::epoch_cost().
  std::uint64_t bytes_opening = 0, bytes_planning = 0;
  std::uint64_t bytes_read = 0, reads = 0;
  std::uint64_t epoch_bytes_read = 0, epoch_reads = 0;
  std::uint64_t bytes_reread = 0, rereads = 0;
  std::uint64_t bytes_read_all = 0;
  // Bytes of matrices that came out of the codecs (labels apart): of what was read, and for `epoch`, at its
  // end within a few percent of Loader::epoch_cost().
  std::uint64_t bytes_decoded = 0, epoch_bytes_decoded = 0;
  std::uint64_t rows_deferred = 0, entries_unknown = 0, heads_too_short = 0;
  std::uint64_t values_rounded = 0, rows_sorted = 0, labels_missing = 0;
  // decode_seconds includes decompress_seconds and scatter_seconds; read_seconds includes
  // worker_read_seconds, and worker_idle_seconds the three reasons below it.
  double read_seconds = 0, decode_seconds = 0, assemble_seconds = 0;
  double worker_read_seconds = 0, decompress_seconds = 0, scatter_seconds = 0;
  double worker_idle_seconds = 0;
  double idle_for_reads_seconds = 0, idle_for_pages_seconds = 0, idle_for_consumer_seconds = 0;
  double consumer_wait_seconds = 0, consumer_busy_seconds = 0;
  double elapsed_seconds = 0, first_batch_seconds = 0, last_batch_seconds = 0;
  MemoryBudget::Usage memory;
  std::uint64_t slots_held = 0;
  std::uint64_t window_bytes_used = 0, slot_bytes_used = 0;

  std::string to_json() const;  // one line
  // The same numbers in Prometheus' text format (0.0.4): counters end in _total, times are in seconds, sizes
  // in bytes. `labels` are put on every sample; a name that Prometheus does not allow is left out.
  std::string to_prometheus(const std::map<std::string, std::string>& labels = {}) const;
  // "of the decode threads' work, 41 % was decompressing, 22 % unpacking, ...": shares of reading, the parts
  // of decoding, assembling.
  std::string where_time_went() const;
  // "the model waited 3 % of the time for data" / "data waited for the model ..."
  std::string who_waited() const;

  // visit(name, member, what it is[, how it goes to Prometheus]), in the order of to_json().
  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using S = LoaderStats;
    using Kind = Metric::Kind;
    visit("epoch", &S::epoch, "Number of the epoch being delivered.", Metric::gauge("epoch"));
    visit("batches", &S::batches, "Batches delivered.");
    visit("rows", &S::rows, "Cells delivered.");
    visit("entries", &S::entries, "Non-zeros delivered.");
    visit("rows_decoded", &S::rows_decoded, "Cells decoded.");
    visit("blocks_decoded", &S::blocks_decoded, "Blocks decoded.");
    visit("bytes_opening", &S::bytes_opening,
          "Bytes read from the Dataset's files before this loader was made: metadata.", Metric::none());
    visit("bytes_planning", &S::bytes_planning,
          "Bytes read to make it: labels and row offsets that stay in memory, the sample.", Metric::none());
    visit("bytes_read", &S::bytes_read, "Bytes read from files.");
    visit("reads", &S::reads, "Reads of files.");
    visit("epoch_bytes_read", &S::epoch_bytes_read, "Of bytes_read, those for this epoch.", Metric::none());
    visit("epoch_reads", &S::epoch_reads, "Of reads, those for this epoch.", Metric::none());
    visit("epoch_bytes_decoded", &S::epoch_bytes_decoded, "Of bytes_decoded, those for this epoch.",
          Metric::none());
    visit("bytes_reread", &S::bytes_reread,
          "Bytes read again: for cells that found no page, for heads of chunks that were too short.");
    visit("rereads", &S::rereads, "Reads of those.", Metric::none());
    visit("bytes_read_all", &S::bytes_read_all,
          "Bytes read from the Dataset's files by anyone, ever: counted at the files.", Metric::none());
    visit("bytes_decoded", &S::bytes_decoded, "Bytes that came out of the codecs.");
    visit("rows_deferred", &S::rows_deferred, "Cells that found no page and were read again.");
    visit("entries_unknown", &S::entries_unknown, "Entries left out: their gene is not in the gene table.");
    visit("heads_too_short", &S::heads_too_short, "Blocks whose last chunks were read twice.");
    visit("values_rounded", &S::values_rounded, "Values that the output type could not hold exactly.");
    visit("rows_sorted", &S::rows_sorted, "Cells that were not sorted by gene in the file.");
    visit("labels_missing", &S::labels_missing, "Labels delivered as -1 or NaN.");

    constexpr auto stage = [](std::string_view value) {
      return Metric{Kind::counter, "stage_seconds_total",
                    "Seconds of work summed over threads; decode includes decompress and scatter, read "
                    "includes reader threads.",
                    "stage", value};
    };
    visit("read_seconds", &S::read_seconds, "Seconds of reading, by all threads.", stage("read"));
    visit("worker_read_seconds", &S::worker_read_seconds, "The part of it that decode threads spent.",
          Metric::none());
    visit("decode_seconds", &S::decode_seconds, "Seconds of decoding, which includes the two below.",
          stage("decode"));
    visit("decompress_seconds", &S::decompress_seconds, "The part of it that codecs and filters took.",
          stage("decompress"));
    visit("scatter_seconds", &S::scatter_seconds, "The part of it that put rows into the window.",
          stage("scatter"));
    visit("assemble_seconds", &S::assemble_seconds, "Seconds of building batches.", stage("assemble"));

    constexpr auto idle = [](std::string_view value) {
      return Metric{Kind::counter, "worker_idle_seconds_total",
                    "Seconds that decode threads had nothing to do, by reason.", "reason", value};
    };
    visit("worker_idle_seconds", &S::worker_idle_seconds, "Seconds that decode threads had nothing to do.",
          Metric::none());  // the three below and the rest are its samples
    visit("idle_for_reads_seconds", &S::idle_for_reads_seconds,
          "Of it, because the next bytes were not there yet.", idle("reads"));
    visit("idle_for_pages_seconds", &S::idle_for_pages_seconds, "Because the window had no page free.",
          idle("pages"));
    visit("idle_for_consumer_seconds", &S::idle_for_consumer_seconds,
          "Because the batches ahead of the consumer were all built.", idle("consumer"));

    visit("consumer_wait_seconds", &S::consumer_wait_seconds, "Seconds that next() waited for a batch.");
    visit("consumer_busy_seconds", &S::consumer_busy_seconds, "Seconds between two next() calls: the model.");
    visit("elapsed_seconds", &S::elapsed_seconds, "Seconds since the first epoch began.",
          Metric::gauge("elapsed_seconds"));
    visit("first_batch_seconds", &S::first_batch_seconds, "Seconds from then to the first batch.",
          Metric::none());
    visit("last_batch_seconds", &S::last_batch_seconds, "Seconds from then to the last one so far.",
          Metric::none());
    visit("slots_held", &S::slots_held, "Batches that the consumer holds.", Metric::gauge("batches_held"));

    constexpr auto used = [](std::string_view value) {
      return Metric{Kind::gauge, "memory_used_bytes",
                    "Bytes of the reservation with something in them now, by purpose.", "tag", value};
    };
    visit("window_bytes_used", &S::window_bytes_used, "Bytes of the window with something in them now.",
          used("window"));
    visit("slot_bytes_used", &S::slot_bytes_used, "Bytes of the slots with something in them now.",
          used("slots"));
    visit("memory", &S::memory, "Bytes of the budget, in all and by purpose.");
  }
};

}  // namespace penstock
