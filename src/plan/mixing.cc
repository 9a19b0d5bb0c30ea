// A Mixing in words and as JSON.
#include "penstock/mixing.h"

#include <fmt/format.h>

#include "penstock/memory_budget.h"
#include "plan/record_json.h"

namespace penstock {

std::string Mixing::to_text() const {
  if (batches_looked_at == 0) return label + ": no batches";
  return fmt::format(
      "{}: {} value{}, {:.2f} bits over all cells; a batch has {:.2f} (a full shuffle {:.2f}, file order "
      "{:.2f}) and is worth {} independent cells; epoch {}, {} of {} batches",
      label, format_count(n_categories), n_categories == 1 ? "" : "s", entropy_of_cells, entropy,
      entropy_full_shuffle, entropy_file_order, format_count(static_cast<std::uint64_t>(q_eff)), epoch,
      format_count(batches_looked_at), format_count(n_batches));
}

std::string Mixing::to_json() const {
  plan::Json json;
  plan::add_fields(json, *this);
  return plan::json_text(json, 2);
}

}  // namespace penstock
