// A checkpoint answers two questions. Where does the loader stand: `epoch` and `lineage`, which every
// rank knows without asking another one. And is this the run that it was written by: everything else,
// because the next batch is the same only while everything that the order follows from is. The text is
// one line of JSON, cut short here:
//
//     {"version":3,"epoch":7,"lineage":[[8,120]],"seed":3,"shuffle":true,"batch_size":64,...,
//      "blocks":"00000000000000ab",...,"files":[{"name":"a.h5ad","bytes":40960,"n_obs":100,...}]}
//
// says that in epoch 7 each of 8 ranks has delivered 120 batches, and of which rows.
//
// What is too large to be stored (which rows are selected, where blocks end, what each row weighs) is stored
// as a digest of 64 bits. Digests tell a changed file or option from the same one; they do not resist
// somebody who looks for a collision on purpose, and need not: such a person can write any checkpoint. Files
// are told by their metadata, which opening them has read anyway, so that neither writing a state nor
// comparing two reads a byte.

#include "setup/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/fnv1a.h"
#include "base/guarded.h"
#include "base/permutation.h"
#include "penstock/memory_budget.h"
#include "setup/weights.h"

namespace penstock {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kMaxNumber =
    std::numeric_limits<std::int64_t>::max();  // what every JSON reader can hold
// Far more than a run has. They bound the work that a text from elsewhere can ask for: each stage is walked
// by everything in plan/lineage.cc.
constexpr std::size_t kMaxStages = 1000;
constexpr std::uint32_t kMaxWorld = 1 << 20;

Status not_a_state(const std::string& why) {
  return Status::invalid_argument("not a state of a penstock loader: " + why);
}

// Reads the fields of an object; the first failure stays. Calls can be chained because they do nothing once
// one has failed: the message is about the first field that is wrong, and the caller asks once, at the end.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail("", "is not an object");
  }
  // A JSON number with a sign or a fraction is a number of another kind to the parser, as is one of more than
  // 64 bits, so that neither comes out wrapped around or rounded.
  Fields& number(const char* name, std::uint64_t* out, std::uint64_t most = kMaxNumber) {
    if (const Json* value = find(name)) {
      if (!value->is_number_unsigned() || value->get<std::uint64_t>() > most) {
        fail(name, fmt::format("is not a whole number from 0 to {}", most));
      } else {
        *out = value->get<std::uint64_t>();
      }
    }
    return *this;
  }
  Fields& flag(const char* name, bool* out) {
    if (const Json* value = find(name)) {
      if (!value->is_boolean()) {
        fail(name, "is not true or false");
      } else {
        *out = value->get<bool>();
      }
    }
    return *this;
  }
  Fields& text(const char* name, std::string* out) {
    if (const Json* value = find(name)) {
      if (!value->is_string()) {
        fail(name, "is not a text");
      } else {
        *out = value->get<std::string>();
      }
    }
    return *this;
  }
  // Null when it is missing or no array.
  const Json* array(const char* name) {
    const Json* value = find(name);
    if (value != nullptr && !value->is_array()) fail(name, "is not an array");
    return status_.ok() ? value : nullptr;
  }
  Status status() const { return status_; }
  void fail(const std::string& name, const std::string& why) {
    if (status_.ok())
      status_ = not_a_state(fmt::format("{}{}{} {}", where_, name.empty() ? "" : " ", name, why));
  }

 private:
  const Json* find(const char* name) {
    if (!status_.ok()) return nullptr;
    const auto found = object_.find(name);
    if (found == object_.end()) {
      fail(name, "is missing");
      return nullptr;
    }
    return &*found;
  }

  const Json& object_;
  std::string where_;
  Status status_;
};

}  // namespace

std::string LoaderState::to_json() const {
  Json j;
  // A state that was read from an old version stays of it when it is written again. Its lineage counts
  // batches as they were cut then, and only check_old_batches() can say whether they are the same today.
  j["version"] = lone_rows ? 2 : kVersion;
  j["epoch"] = epoch;
  j["lineage"] = Json::array();
  for (const Stage& stage : lineage) j["lineage"].push_back({stage.world_size, stage.batches_done});
  j["seed"] = seed;
  j["shuffle"] = shuffle;
  j["batch_size"] = batch_size;
  j["drop_last"] = drop_last;
  j["window_rows"] = window_rows;
  j["block_rows"] = block_rows;
  j["block_rows_exact"] = block_rows_exact;
  j["blocks"] = blocks;
  j["epoch_size"] = epoch_size;
  j["balance"] = balance;
  j["weights"] = weights;
  j["masses"] = masses;
  j["matrix"] = matrix;
  j["n_obs"] = n_obs;
  j["n_vars"] = n_vars;
  j["genes"] = genes;
  j["files"] = Json::array();
  for (const File& file : files) {
    j["files"].push_back({{"name", file.name},
                          {"bytes", file.bytes},
                          {"n_obs", file.n_obs},
                          {"n_vars", file.n_vars},
                          {"digest", file.digest},
                          {"selected", file.selected},
                          {"selection", file.selection}});
  }
  // A file's name is whatever bytes the file system has. Those that are not UTF-8 are replaced, because
  // throwing would lose the run's checkpoint for the sake of a name.
  return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<LoaderState> LoaderState::from_json(std::string_view text) {
  // The text may come from anywhere, so each step bounds what the next one can cost: its length bounds what
  // the parser builds, its depth how things are nested in each other, and numbers have limits of their own.
  // guarded() turns what the JSON library throws (bad_alloc above all) into a Status.
  return guarded([&]() -> Result<LoaderState> {
    if (text.size() > kMaxJson) return not_a_state(fmt::format("{} of text", format_bytes(text.size())));
    // Nothing in a state is deeper than [[1, 2]] in an object.
    bool too_deep = false;
    const auto shallow = [&](int depth, Json::parse_event_t, Json&) {
      too_deep = too_deep || depth > 3;
      return !too_deep;
    };
    const Json j = Json::parse(text, shallow, false);
    if (j.is_discarded() || too_deep) return not_a_state("it is not JSON of that form");
    LoaderState s;
    std::uint64_t version = 0;
    Fields fields(j, "state:");
    fields.number("version", &version);
    PENSTOCK_RETURN_IF_ERROR(fields.status());
    if (version == 0 || version > kVersion) {
      return Status::invalid_argument(fmt::format(
          "a state of version {} of its form, this version of Penstock reads up to {}", version, kVersion));
    }
    // The epoch has room for one more, since messages and set_epoch() speak of the next. Seeds use all 64
    // bits.
    fields.number("epoch", &s.epoch, kMaxNumber - 1)
        .number("seed", &s.seed, ~std::uint64_t{0})
        .flag("shuffle", &s.shuffle)
        .number("batch_size", &s.batch_size)
        .flag("drop_last", &s.drop_last)
        .number("window_rows", &s.window_rows)
        .number("block_rows", &s.block_rows)
        .flag("block_rows_exact", &s.block_rows_exact)
        .text("blocks", &s.blocks)
        .text("matrix", &s.matrix)
        .number("n_obs", &s.n_obs)
        .number("n_vars", &s.n_vars)
        .text("genes", &s.genes);
    s.lone_rows = version < 3;
    if (version > 1) {
      fields.number("epoch_size", &s.epoch_size, plan::kMostEpochRows)
          .text("balance", &s.balance)
          .text("weights", &s.weights)
          .text("masses", &s.masses);
    }
    if (s.blocks.empty()) fields.fail("blocks", "is empty");
    if (s.batch_size == 0 || s.window_rows == 0 || s.block_rows == 0)
      fields.fail("batch_size, window_rows or block_rows", "is 0");
    if (const Json* lineage = fields.array("lineage")) {
      if (lineage->size() > kMaxStages)
        fields.fail("lineage", fmt::format("has more than {} stages", kMaxStages));
      for (const Json& pair : *lineage) {
        if (!fields.status().ok()) break;
        // A world size of 0 wraps around to the largest number here, and is refused with those that are too
        // large.
        const bool good = pair.is_array() && pair.size() == 2 && pair[0].is_number_unsigned() &&
                          pair[1].is_number_unsigned() && pair[0].get<std::uint64_t>() - 1 < kMaxWorld &&
                          pair[1].get<std::uint64_t>() <= kMaxNumber;
        if (!good) {
          fields.fail("lineage", "does not consist of [world_size, batches_done]");
        } else {
          s.lineage.push_back({pair[0].get<std::uint32_t>(), pair[1].get<std::uint64_t>()});
        }
      }
    }
    if (const Json* files = fields.array("files")) {
      for (const Json& item : *files) {
        LoaderState::File file;
        Fields of_file(item, "file:");
        of_file.text("name", &file.name)
            .number("bytes", &file.bytes)
            .number("n_obs", &file.n_obs)
            .number("n_vars", &file.n_vars)
            .text("digest", &file.digest)
            .number("selected", &file.selected)
            .text("selection", &file.selection);
        PENSTOCK_RETURN_IF_ERROR(of_file.status());
        s.files.push_back(std::move(file));
      }
    }
    PENSTOCK_RETURN_IF_ERROR(fields.status());
    return s;
  });
}

}  // namespace penstock

namespace penstock::loader {
namespace {

// Of what was added, in order. Each number is mixed with how many came before it, so that [1, 2] and [2, 1]
// differ, and [0] and [0, 0] do, too.
class Digest {
 public:
  Digest& add(std::uint64_t x) {
    state_ = mix(state_, x, ++n_);
    return *this;
  }
  std::string text() const { return fmt::format("{:016x}", state_); }

 private:
  std::uint64_t state_ = 0, n_ = 0;
};

// A file that was written again mostly has another number of entries or other lengths of rows. The histogram
// and the sum of squares notice rows that were exchanged for others, though not rows that changed places.
// Values are not looked at: that would be reading the file.
std::string digest_of(const SourceTraits& t) {
  Digest d;
  d.add(t.n_rows).add(t.n_cols).add(static_cast<std::uint64_t>(t.value_type));
  d.add(static_cast<std::uint64_t>(t.index_type)).add(t.stored_bytes).add(t.largest_chunks).add(t.n_chunks);
  d.add(t.lengths.rows).add(t.lengths.entries).add(t.lengths.longest);
  // The bits of the double, because the same file gives the same bits, and a conversion would lose some.
  d.add(std::bit_cast<std::uint64_t>(t.lengths.entries_squared));
  for (const std::uint64_t n : t.lengths.histogram) d.add(n);
  return d.text();
}

std::string digest_of(std::span<const std::string> names) {
  Digest d;
  for (const std::string& name : names) d.add(fnv1a(name));
  return d.text();
}

// The same for all rows and for a bitmap that holds all.
std::string digest_of_selection(const internal::FilePart& part) {
  Digest d;
  d.add(part.n_selected);
  if (part.selected != nullptr && part.n_selected != part.source->traits().n_rows) {
    // A sum: order does not matter, and rows are mixed four times as fast as in a chain.
    std::uint64_t sum = 0;
    part.selected->iterate(
        [](std::uint32_t row, void* into) {
          *static_cast<std::uint64_t*>(into) += mix64(row + 0x9e3779b97f4a7c15ULL);
          return true;
        },
        &sum);
    d.add(sum);
  }
  return d.text();
}

std::string digest_of(const std::vector<std::int32_t>& labels) {
  Digest d;
  for (const std::int32_t label : labels) d.add(static_cast<std::uint32_t>(label));
  return d.text();
}

// Without the folders, since the same files may be mounted elsewhere when a run goes on. A path that ends in
// a slash is that of a folder, whose own name is wanted.
std::string base_name(const std::string& path) {
  const auto end = path.find_last_not_of('/');
  if (end == std::string::npos) return path;
  const auto slash = path.find_last_of('/', end);
  return path.substr(slash == std::string::npos ? 0 : slash + 1,
                     end - (slash == std::string::npos ? 0 : slash + 1) + 1);
}

// Collects the first differences in words.
class Differences {
 public:
  template <class T>
  void compare(const std::string& what, const T& checkpoint, const T& here) {
    if (checkpoint == here) return;
    add(fmt::format("{}: {} in the checkpoint, {} here", what, show(checkpoint), show(here)));
  }
  // Two digests say nothing to a reader. `what` alone does: "which genes, or their order".
  void same(const std::string& what, const std::string& checkpoint, const std::string& here) {
    if (checkpoint != here) add(what);
  }
  void add(std::string text) {
    if (++n_ > 3) return;
    text_ += (text_.empty() ? "" : "; ") + std::move(text);
  }
  Status status() const {
    if (n_ == 0) return {};
    return Status::invalid_argument("the checkpoint is of another run: " + text_ +
                                    (n_ > 3 ? fmt::format("; and {} more differences", n_ - 3) : ""));
  }

 private:
  static std::string show(bool b) { return b ? "true" : "false"; }
  static std::string show(std::uint64_t n) { return format_count(n); }
  static std::string show(const std::string& s) { return fmt::format("'{}'", s); }
  std::string text_;
  std::size_t n_ = 0;
};

}  // namespace

LoaderState describe(const internal::DatasetImpl& data, const LoaderOptions& options) {
  LoaderState s;
  s.seed = options.seed;
  s.batch_size = options.batch_size;
  s.shuffle = options.shuffle;
  s.drop_last = options.drop_last;
  if (is_sampled(options)) {
    // In words rather than as the numbers themselves: the message of compare() shows both sides, and what
    // rows really weigh is in `masses`, once a pass over the columns has told.
    s.epoch_size = options.epoch_size == 0 ? data.n_obs() : options.epoch_size;
    s.balance =
        options.balance_labels ? "labels given, " + digest_of(*options.balance_labels) : options.balance;
    s.weights = options.weights                    ? "an array"
                : options.weights_column.empty()   ? ""
                : options.category_weights.empty() ? options.weights_column
                                                   : "categories of " + options.weights_column;
  }
  s.matrix = data.matrix();
  s.n_obs = data.n_obs();
  s.n_vars = data.n_vars();
  s.genes = digest_of(data.var_names());
  for (std::size_t i = 0; i < data.parts().size(); ++i) {
    const internal::FilePart& part = data.parts()[i];
    const SourceTraits& traits = part.source->traits();
    auto name = data.file_name(i);
    s.files.push_back({base_name(name.path), name.bytes, traits.n_rows, traits.n_cols, digest_of(traits),
                       part.n_selected, digest_of_selection(part)});
  }
  return s;
}

ByteCount description_bytes(const LoaderState& state) {
  ByteCount bytes = 0;
  // Two digests of 16 digits and a zero each are longer than what a string keeps within itself.
  for (const auto& file : state.files) bytes += sizeof(file) + file.name.capacity() + 2 * 17;
  return bytes;
}

std::string digest_of(const plan::BlockTable& blocks) {
  Digest d;
  for (std::uint64_t i = 0; i < blocks.size(); ++i) {
    const plan::Block& b = blocks[i];
    d.add(std::uint64_t{b.file} << 32 | b.first_row).add(std::uint64_t{b.rows} << 32 | b.selected);
  }
  return d.text();
}

std::string digest_of(const plan::Sampling& sampling, std::uint64_t rows) {
  Digest d;
  // The sum of each block is not enough: rows of one block could have exchanged their weights. `rows` has
  // those.
  for (std::uint64_t b = 0; b < sampling.n_blocks(); ++b) {
    const plan::Sampling::Stretch block = sampling.stretch(b);
    d.add(block.last - block.first);
  }
  return d.add(sampling.pass_rows()).add(rows).text();
}

// From the coarse to the fine: where a cause is named, what merely follows from it is not named as well.
// If a file has other rows, it says nothing that other rows are selected in it, and if block_rows
// differ, so do the places where blocks end. At most three differences are shown, so the first ones
// should be those to act on.
//
// This is asked twice. Before anything is planned `here` has no blocks yet, and a wrong seed or file is
// refused at once; when blocks and weights are known, they are compared, too.
Status compare(const LoaderState& checkpoint, const LoaderState& here) {
  Differences d;
  d.compare("matrix", checkpoint.matrix, here.matrix);
  d.compare("files", std::uint64_t{checkpoint.files.size()}, std::uint64_t{here.files.size()});
  for (std::size_t i = 0; i < std::min(checkpoint.files.size(), here.files.size()); ++i) {
    const LoaderState::File &a = checkpoint.files[i], &b = here.files[i];
    if (a == b) continue;
    d.compare(fmt::format("file {}", i), a.name, b.name);
    // Of another file everything is different.
    if (a.name != b.name) continue;
    d.compare("rows of " + b.name, a.n_obs, b.n_obs);
    d.compare("genes of " + b.name, a.n_vars, b.n_vars);
    d.compare("bytes of " + b.name, a.bytes, b.bytes);
    d.compare("selected rows of " + b.name, a.selected, b.selected);
    if (a.n_obs == b.n_obs && a.n_vars == b.n_vars && a.bytes == b.bytes)
      d.same("what " + b.name + " holds (row lengths, types or storage)", a.digest, b.digest);
    if (a.selected == b.selected)
      d.same("which rows of " + b.name + " are selected", a.selection, b.selection);
  }
  if (checkpoint.files == here.files) {
    d.compare("n_obs", checkpoint.n_obs, here.n_obs);
    d.compare("n_vars", checkpoint.n_vars, here.n_vars);
  }
  if (checkpoint.n_vars == here.n_vars) d.same("which genes, or their order", checkpoint.genes, here.genes);
  d.compare("seed", checkpoint.seed, here.seed);
  d.compare("shuffle", checkpoint.shuffle, here.shuffle);
  d.compare("batch_size", checkpoint.batch_size, here.batch_size);
  d.compare("drop_last", checkpoint.drop_last, here.drop_last);
  d.compare("epoch_size", checkpoint.epoch_size, here.epoch_size);
  d.compare("balance", checkpoint.balance, here.balance);
  d.compare("weights", checkpoint.weights, here.weights);
  if (!checkpoint.blocks.empty() && !here.blocks.empty()) {
    d.compare("window_rows", checkpoint.window_rows, here.window_rows);
    d.compare("block_rows", checkpoint.block_rows, here.block_rows);
    d.compare("block_rows are exact", checkpoint.block_rows_exact, here.block_rows_exact);
    if (checkpoint.block_rows == here.block_rows && checkpoint.files == here.files)
      d.same("where blocks begin and end", checkpoint.blocks, here.blocks);
    if (checkpoint.blocks == here.blocks && checkpoint.weights == here.weights &&
        checkpoint.balance == here.balance)
      d.same("the weights of rows", checkpoint.masses, here.masses);
  }
  return d.status();
}

plan::EpochRule rule_of(const LoaderState& state) {
  // An epoch_size of 0 is the form of versions before 2, and of runs that take every selected row once.
  return {state.epoch_size == 0 ? state.n_obs : state.epoch_size,
          state.batch_size,
          state.window_rows,
          state.drop_last,
          state.shuffle,
          state.seed,
          state.epoch};
}

}  // namespace penstock::loader
