// Attributes of AnnData elements, in the shapes that their readers need.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "penstock/status.h"
#include "store/store.h"

namespace penstock::anndata {

// The value of a scalar (or one-element) string attribute; nullopt when there is none. Another type is
// `corrupt`.
Result<std::optional<std::string>> string_attribute(const store::Node& node, const std::string& name);
// "csr_matrix", "categorical", ...; empty when the element has no encoding-type.
Result<std::string> encoding_type(const store::Node& node);
// A boolean attribute; false when there is none.
Result<bool> flag_attribute(const store::Node& node, const std::string& name);
// Two non-negative integers, such as `shape`; nullopt when there is none.
Result<std::optional<std::vector<std::uint64_t>>> shape_attribute(const store::Node& node,
                                                                  const std::string& name);

// What a group of data, indices and indptr is: "csr" or "csc", whatever version of anndata says so; empty
// when it is neither.
Result<std::string> sparse_format(const store::Node& node);
// Its rows and columns; nullopt when the attribute is absent.
Result<std::optional<std::vector<std::uint64_t>>> sparse_shape(const store::Node& node);

// A child as an array. `corrupt` when it is absent or a group.
Result<std::shared_ptr<const store::Array>> array_child(const store::Group& group, const std::string& name);

// The same object under its own type, sharing ownership; null when it is the other kind.
std::shared_ptr<const store::Group> as_group(const std::shared_ptr<const store::Node>& node);
std::shared_ptr<const store::Array> as_array(const std::shared_ptr<const store::Node>& node);

}  // namespace penstock::anndata
