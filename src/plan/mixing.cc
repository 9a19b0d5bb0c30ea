// A Mixing in words and as JSON.
#include "penstock/mixing.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "penstock/memory_budget.h"

namespace penstock {

std::string Mixing::to_text() const {
  if (batches_looked_at == 0) return label + ": no batches";
  return fmt::format(
      "{}: {} value{}, {:.2f} bits over all cells; a batch has {:.2f} (a full shuffle {:.2f}, file order "
      "{:.2f}) "
      "and is worth {} independent cells; epoch {}, {} of {} batches",
      label, format_count(n_categories), n_categories == 1 ? "" : "s", entropy_of_cells, entropy,
      entropy_full_shuffle, entropy_file_order, format_count(static_cast<std::uint64_t>(q_eff)), epoch,
      format_count(batches_looked_at), format_count(n_batches));
}

std::string Mixing::to_json() const {
  nlohmann::ordered_json j;
  j["label"] = label;
  j["epoch"] = epoch;
  j["n_batches"] = n_batches;
  j["batches_looked_at"] = batches_looked_at;
  j["batch_rows"] = batch_rows;
  j["n_categories"] = n_categories;
  j["entropy_of_cells"] = entropy_of_cells;
  j["entropy"] = entropy;
  j["entropy_full_shuffle"] = entropy_full_shuffle;
  j["entropy_file_order"] = entropy_file_order;
  j["q_eff"] = q_eff;
  return j.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace penstock
