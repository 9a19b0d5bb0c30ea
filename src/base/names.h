// Names: finding them in a list, what to say when one is not there, and how those that are no text are shown.
//
// Thread contract: pure functions and values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

// "did you mean 'drug'?" for a name that is nearly there, else "there are: 'a', 'b', ... (12 more)", or
// "it is empty". Linear in the names.
std::string suggest_names(std::string_view wanted, std::span<const std::string> names);

// The name at the smallest edit distance, without regard to case, if one is near; else nullptr.
const std::string* nearest_name(std::string_view wanted, std::span<const std::string> names);

// Finds names in a list that stays as it is, in logarithmic time: tables have thousands of columns.
class NameOrder {
 public:
  NameOrder() = default;
  explicit NameOrder(std::span<const std::string> names);
  // `names`: the list that it was made of.
  bool has(std::span<const std::string> names, std::string_view name) const;

 private:
  std::vector<std::uint32_t> order_;
};

// Whether bytes are UTF-8 text, which names of columns must be to be asked for.
bool is_utf8(std::string_view bytes);
// Text as it is; of other bytes each that does not belong to a character as \xNN, as Python shows them.
std::string shown_text(std::string_view bytes);

}  // namespace penstock
