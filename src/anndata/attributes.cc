// Elements say what they are in attributes (formats.md, 2.1), and versions before 0.7 in others (2.2):
//
//     0.7 and later   encoding-type = "csr_matrix"    shape = [700, 765]
//     before          h5sparse_format = "csr"         h5sparse_shape = [700, 765]
//
// All of these come out of the file, so a type or a length that is not expected is `corrupt` and named.
#include "anndata/attributes.h"

#include <fmt/format.h>

#include "store/readable.h"

namespace penstock::anndata {

Result<std::optional<std::string>> string_attribute(const store::Node& node, const std::string& name) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto attribute, node.attribute(name));
  if (!attribute) return std::optional<std::string>();
  // A scalar and an array with one text in it both come out as one string, and both are accepted.
  if (attribute->strings.size() != 1) {
    return Status::corrupt(fmt::format("{}: attribute '{}' is {}, expected one string", node.where(), name,
                                       attribute->type.description));
  }
  return std::optional(attribute->strings.front());
}

Result<std::string> encoding_type(const store::Node& node) {
  PENSTOCK_ASSIGN_OR_RETURN(auto text, string_attribute(node, "encoding-type"));
  return text.value_or("");
}

Result<bool> flag_attribute(const store::Node& node, const std::string& name) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto attribute, node.attribute(name));
  // Booleans are decoded as numbers, be they an enum of HDF5 or a plain integer.
  return attribute && attribute->ints.size() == 1 && attribute->ints.front() != 0;
}

Result<std::optional<std::vector<std::uint64_t>>> shape_attribute(const store::Node& node,
                                                                  const std::string& name) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto attribute, node.attribute(name));
  if (!attribute) return std::optional<std::vector<std::uint64_t>>();
  if (attribute->ints.size() != 2 || attribute->ints[0] < 0 || attribute->ints[1] < 0) {
    return Status::corrupt(
        fmt::format("{}: attribute '{}' is not two sizes (rows and columns)", node.where(), name));
  }
  return std::optional(std::vector<std::uint64_t>(attribute->ints.begin(), attribute->ints.end()));
}

Result<std::string> sparse_format(const store::Node& node) {
  PENSTOCK_ASSIGN_OR_RETURN(const std::string type, encoding_type(node));
  if (type == "csr_matrix" || type == "csc_matrix") return type.substr(0, 3);
  // Another encoding says what the element is. Only files from before 0.7 have none, and name the format in
  // an attribute of the library that anndata used then.
  if (!type.empty()) return std::string();
  PENSTOCK_ASSIGN_OR_RETURN(const auto old, string_attribute(node, "h5sparse_format"));
  return old && (*old == "csr" || *old == "csc") ? *old : std::string();
}

Result<std::optional<std::vector<std::uint64_t>>> sparse_shape(const store::Node& node) {
  PENSTOCK_ASSIGN_OR_RETURN(auto shape, shape_attribute(node, "shape"));
  if (shape) return shape;
  return shape_attribute(node, "h5sparse_shape");
}

Result<std::shared_ptr<const store::Array>> array_child(const store::Group& group, const std::string& name) {
  PENSTOCK_RETURN_IF_ERROR(store::readable(group));
  if (!group.has(name)) return Status::corrupt(fmt::format("{}: no '{}' in it", group.where(), name));
  PENSTOCK_ASSIGN_OR_RETURN(const auto node, group.child(name));
  auto array = as_array(node);
  if (array == nullptr) return Status::corrupt(node->where() + ": a group, expected an array");
  return array;
}

std::shared_ptr<const store::Group> as_group(const std::shared_ptr<const store::Node>& node) {
  // The result points at the group inside of the node and shares the ownership of the node.
  const store::Group* group = node->as_group();
  return group == nullptr ? nullptr : std::shared_ptr<const store::Group>(node, group);
}

std::shared_ptr<const store::Array> as_array(const std::shared_ptr<const store::Node>& node) {
  const store::Array* array = node->as_array();
  return array == nullptr ? nullptr : std::shared_ptr<const store::Array>(node, array);
}

}  // namespace penstock::anndata
