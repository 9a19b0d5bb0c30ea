// Nothing but names: an object of AnnData does not know that it lies in a modality, and everything that reads
// one takes its group for the root of a file.
#include "anndata/mudata.h"

#include <string_view>
#include <unordered_set>

#include "anndata/attributes.h"
#include "store/readable.h"

namespace penstock::anndata {

namespace {

constexpr std::string_view kMod = "mod";

// /mod, or null.
Result<std::shared_ptr<const store::Group>> mod_of(const store::Group& root) {
  PENSTOCK_RETURN_IF_ERROR(store::readable(root));
  if (!root.has(std::string(kMod))) return std::shared_ptr<const store::Group>();
  PENSTOCK_ASSIGN_OR_RETURN(const auto node, root.child(std::string(kMod)));
  auto group = as_group(node);
  if (group != nullptr) PENSTOCK_RETURN_IF_ERROR(store::readable(*group));
  return group;
}

}  // namespace

bool is_mudata(const store::Group& root) { return root.path() == "/" && root.has(std::string(kMod)); }

Result<std::vector<std::string>> list_modalities(const store::Group& root) {
  std::vector<std::string> names;
  PENSTOCK_ASSIGN_OR_RETURN(const auto mod, mod_of(root));
  if (mod == nullptr) return names;
  PENSTOCK_ASSIGN_OR_RETURN(const std::vector<std::string> children, mod->children());
  std::unordered_set<std::string_view> left(children.begin(), children.end());
  // The order matters to readers, not to what is there: an attribute that is damaged, or that names what is
  // not there, is done without.
  if (const auto order = mod->attribute("mod-order"); order.ok() && order->has_value()) {
    for (const std::string& name : (*order)->strings) {
      if (left.erase(name) > 0) names.push_back(name);
    }
  }
  for (const std::string& name : children) {
    if (left.contains(name)) names.push_back(name);
  }
  return names;
}

Result<std::shared_ptr<const store::Group>> open_modality(const store::Group& root, const std::string& name) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto mod, mod_of(root));
  if (mod == nullptr) return Status::not_found(root.where() + ": no modalities in it");
  PENSTOCK_ASSIGN_OR_RETURN(const auto node, mod->child(name));
  auto object = as_group(node);
  if (object == nullptr) return Status::corrupt(node->where() + ": an array, expected a modality");
  return object;
}

Result<std::shared_ptr<const store::Group>> object_of(std::shared_ptr<const store::Group> root,
                                                      const std::string& matrix) {
  // mod / NAME / what it is called there
  const std::size_t first = matrix.find('/');
  const std::size_t second = first == std::string::npos ? first : matrix.find('/', first + 1);
  if (second == std::string::npos || matrix.substr(0, first) != kMod) return root;
  const std::string name = matrix.substr(first + 1, second - first - 1);
  PENSTOCK_ASSIGN_OR_RETURN(const auto mod, mod_of(*root));
  // What is not there is said where names are checked, with what is.
  if (mod == nullptr || name.empty() || !mod->has(name)) return root;
  return open_modality(*root, name);
}

std::string matrix_prefix(const store::Group& object) {
  return object.path() == "/" ? std::string() : object.path().substr(1) + "/";
}

std::string name_inside(const store::Group& object, const std::string& matrix) {
  const std::string prefix = matrix_prefix(object);
  return matrix.starts_with(prefix) ? matrix.substr(prefix.size()) : matrix;
}

}  // namespace penstock::anndata
