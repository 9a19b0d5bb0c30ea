// Plan: every number by name, and the texts.
#include <nanobind/stl/map.h>

#include <map>

#include "bindings.h"

namespace penstock::python {

namespace {

std::map<std::string, std::uint64_t> memory_by_tag(const Plan& plan) {
  std::map<std::string, std::uint64_t> out;
  for (std::size_t i = 0; i < kMemoryTags; ++i) {
    out[std::string(memory_tag_name(static_cast<MemoryTag>(i)))] = plan.memory_by_tag[i];
  }
  return out;
}

}  // namespace

void bind_plan(nb::module_& m) {
  nb::class_<Plan>(m, "Plan", "What a loader is about to do.")
      .def(nb::init<const Plan&>())
      .def_ro("n_files", &Plan::n_files, "Files.")
      .def_ro("n_rows", &Plan::n_rows, "Rows of an epoch, over all ranks.")
      .def_ro("n_selected", &Plan::n_selected, "Selected rows: n_rows unless they are sampled.")
      .def_ro("sampled", &Plan::sampled, "An epoch does not hold every row once.")
      .def_ro("balance", &Plan::balance, "The column whose values come equally often, or ''.")
      .def_ro("weights", &Plan::weights, "What rows are weighted by, in words, or ''.")
      .def_ro("epochs_per_pass", &Plan::epochs_per_pass, "Epochs that share the data.")
      .def_ro("most_copies", &Plan::most_copies, "How often a row comes in an epoch, at most.")
      .def_ro("distinct_rows", &Plan::distinct_rows, "Different rows that an epoch is expected to hold.")
      .def_ro("copies_per_window", &Plan::copies_per_window, "How often each of them comes, on average.")
      .def_ro("n_cols", &Plan::n_cols, "Genes.")
      .def_ro("shuffle", &Plan::shuffle, "False: file order.")
      .def_ro("seed", &Plan::seed)
      .def_ro("batch_size", &Plan::batch_size, "Rows.")
      .def_ro("block_rows", &Plan::block_rows, "Rows a block aims at; real blocks end at chunk boundaries.")
      .def_ro("n_blocks", &Plan::n_blocks)
      .def_ro("window_rows", &Plan::window_rows, "Rows shuffled together; a multiple of batch_size.")
      .def_ro("blocks_per_window", &Plan::blocks_per_window)
      .def_ro("ramp_batches", &Plan::ramp_batches,
              "Batches of epoch 0 that are worth less: its windows grow, so that the first batch comes soon.")
      .def_ro("first_q_eff", &Plan::first_q_eff, "As q_eff, of the first of them.")
      .def_ro("q_eff", &Plan::q_eff, "Independent cells a batch is worth when a block shares one label.")
      .def_ro("rank", &Plan::rank)
      .def_ro("world_size", &Plan::world_size)
      .def_ro("rows_this_rank", &Plan::rows_this_rank)
      .def_ro("n_batches", &Plan::n_batches, "Batches of an epoch of this rank.")
      .def_ro("format", &Plan::format)
      .def_ro("dtype", &Plan::dtype)
      .def_ro("threads", &Plan::threads, "Decode threads.")
      .def_ro("io_threads", &Plan::io_threads, "Readers.")
      .def_ro("slots", &Plan::slots, "Batches that can exist at once, at the typical size.")
      .def_ro("slot_bytes", &Plan::slot_bytes, "Bytes of a typical batch.")
      .def_ro("slot_bytes_max", &Plan::slot_bytes_max, "Bytes of the largest batch the metadata allows.")
      .def_ro("compact_row_bytes", &Plan::compact_row_bytes, "Estimated bytes of a row in the window.")
      .def_ro("resident_rows", &Plan::resident_rows, "Row offsets and codes stay in memory.")
      .def_ro("bytes_to_read", &Plan::bytes_to_read, "Bytes read by one epoch of this rank.")
      .def_ro("n_rows_of_files", &Plan::n_rows_of_files, "Rows of the files, selected or not.")
      .def_ro("bytes_of_selection", &Plan::bytes_of_selection,
              "Bytes to read of the blocks that have selected rows, over all ranks.")
      .def_ro("bytes_of_all_rows", &Plan::bytes_of_all_rows,
              "The same if every row of the files were selected.")
      .def_ro("bytes_to_decode", &Plan::bytes_to_decode, "Bytes decoded by one epoch of this rank.")
      .def_ro("requests", &Plan::requests, "Reads of one epoch of this rank.")
      .def_ro("read_amplification", &Plan::read_amplification, "Bytes read / bytes needed once.")
      .def_ro("seconds_per_epoch", &Plan::seconds_per_epoch, "Estimate from a sample; 0 when unknown.")
      .def_ro("first_window_rows", &Plan::first_window_rows, "Rows read before the first batch.")
      .def_ro("first_batch_seconds", &Plan::first_batch_seconds,
              "Estimate from the sample; what reading waits for comes on top.")
      .def_ro("memory", &Plan::memory, "The budget, in bytes.")
      .def_prop_ro("memory_by_tag", &memory_by_tag, "The most bytes each tag will hold.")
      .def_ro("notes", &Plan::notes, "Advice and warnings in words.")
      .def_prop_ro("summary", &Plan::summary, "One line for people.")
      .def("to_text", &Plan::to_text, "Several lines for people.")
      .def("to_json", &Plan::to_json, "All numbers as JSON.");
  nb::class_<Mixing>(m, "Mixing", "How an obs column is mixed over the batches of an epoch.")
      .def(nb::init<const Mixing&>())
      .def_ro("label", &Mixing::label, "The column.")
      .def_ro("epoch", &Mixing::epoch)
      .def_ro("n_batches", &Mixing::n_batches, "Of the epoch, of this rank.")
      .def_ro("batches_looked_at", &Mixing::batches_looked_at, "Of those.")
      .def_ro("batch_rows", &Mixing::batch_rows, "Rows looked at in a full batch.")
      .def_ro("n_categories", &Mixing::n_categories, "Values that cells have; a missing one counts.")
      .def_ro("entropy_of_cells", &Mixing::entropy_of_cells, "Of all selected cells, in bits.")
      .def_ro("entropy", &Mixing::entropy, "Of a batch, in bits: the mean.")
      .def_ro("entropy_full_shuffle", &Mixing::entropy_full_shuffle, "The same if cells came in any order.")
      .def_ro("entropy_file_order", &Mixing::entropy_file_order, "The same in file order.")
      .def_ro("q_eff", &Mixing::q_eff, "Independent cells a batch is worth by this column.")
      .def("to_text", &Mixing::to_text, "One line for people.")
      .def("to_json", &Mixing::to_json, "All numbers as JSON.");
}

}  // namespace penstock::python
