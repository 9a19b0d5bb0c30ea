// Groups: from a path to an object. Links are looked up in the group's LinkTable, which the file's LinkCache
// keeps for a while; objects are opened anew each time, and not remembered.
//
// Links may form loops: hard ones, since a group may contain its own parent, as well as soft ones. Nothing
// here walks a tree on its own, so hard loops only make long paths. Soft links are followed up to
// kMaxSoftLinks, counted over all of a search, and paths to kMaxComponents, counted where they continue
// inside of soft links, too.
#include "hdf5/group.h"

#include <fmt/format.h>

#include <utility>

#include "base/names.h"

namespace penstock::hdf5 {
namespace {

constexpr int kMaxSoftLinks = 16;
constexpr int kMaxComponents = 1024;

std::string join(const std::string& parent, std::string_view name) {
  return parent == "/" ? fmt::format("/{}", name) : fmt::format("{}/{}", parent, name);
}

}  // namespace

Result<std::shared_ptr<const LinkTable>> Group::links() const {
  auto table = object_.image()->link_cache().get(*object_.image(), object_.header());
  if (!table.ok()) return object_.locate(std::move(table).status());
  return table;
}

Result<std::vector<std::string>> Group::children() const {
  PENSTOCK_ASSIGN_OR_RETURN(const auto table, links());
  return table->names();
}

// True for a link, wherever it leads: soft links that dangle are there. Only a path's earlier parts are
// opened.
bool Group::has(const std::string& name) const {
  const auto slash = name.rfind('/');
  if (slash != std::string::npos) {
    const auto parent = child(name.substr(0, slash));
    const auto* group = parent.ok() ? (*parent)->as_group() : nullptr;
    return group && group->has(name.substr(slash + 1));
  }
  const auto table = links();
  return table.ok() && (*table)->find(name) != nullptr;
}

Result<std::shared_ptr<const store::Node>> Group::child(const std::string& name) const {
  Progress progress;
  return resolve(name, progress);
}

// One component at a time. A soft link's path (HDF5 spec IV.A.2.g) replaces the component and may start at
// the root; "." and empty components stay where they are, ".." is an ordinary name.
Result<std::shared_ptr<const store::Node>> Group::resolve(std::string_view path, Progress& progress) const {
  const Group* at = this;
  std::shared_ptr<const store::Node> holder;  // keeps `at` alive
  // `at` becomes null where the object is an array: that is an error only if the path goes on.
  const auto enter = [&](std::shared_ptr<const store::Node> node) {
    holder = std::move(node);
    at = dynamic_cast<const Group*>(holder.get());
  };
  if (path.starts_with('/')) {
    PENSTOCK_ASSIGN_OR_RETURN(auto root,
                              open_object(object_.image(), object_.image()->superblock().root, "/"));
    enter(std::move(root));
    if (!at) return object_.locate(Status::corrupt("the root object is not a group"));
  }
  while (!path.empty()) {
    const auto slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (name.empty() || name == ".") continue;
    if (!at) {
      return Status::not_found(fmt::format("{}: is an array and has no '{}'", holder->where(), name));
    }
    if (++progress.components > kMaxComponents) {
      return object_.locate(Status::invalid_argument(
          fmt::format("the path has more than {} components, soft links included", kMaxComponents)));
    }
    PENSTOCK_ASSIGN_OR_RETURN(const auto table, at->links());
    const Link* link = table->find(name);
    if (!link) {
      return Status::not_found(
          fmt::format("{}: has no '{}'; {}", at->where(), name, suggest_names(name, table->names())));
    }
    switch (link->kind) {
      case Link::Kind::hard: {
        PENSTOCK_ASSIGN_OR_RETURN(auto node,
                                  open_object(object_.image(), link->address, join(at->path(), name)));
        enter(std::move(node));
        break;
      }
      case Link::Kind::soft: {
        if (++progress.soft_links > kMaxSoftLinks) {
          return Status::corrupt(fmt::format("{}: more than {} soft links lead to '{}': they may form a loop",
                                             at->where(), kMaxSoftLinks, name));
        }
        ++progress.depth;
        // Relative to the group that holds the link, not to the one where the search began. The recursion is
        // as deep as links lead to links, so at most kMaxSoftLinks.
        auto node = at->resolve(link->target, progress);
        --progress.depth;
        if (!node.ok()) {
          // The first link of a chain and where the chain ended are enough.
          if (progress.depth > 0) return std::move(node).status();
          return std::move(node).status().with_context(
              fmt::format("{}: soft link '{}' to '{}'", at->where(), name, link->target));
        }
        enter(std::move(node).value());
        break;
      }
      case Link::Kind::external:
        return Status::unsupported(fmt::format("{}: '{}' is a link to another file", at->where(), name));
      case Link::Kind::user:
        return Status::unsupported(fmt::format("{}: '{}' is a user-defined link", at->where(), name));
    }
  }
  // Without a component, as in ".", nothing was entered: the answer is this group, as an object of its own.
  if (holder) return holder;
  return open_object(object_.image(), object_.header(), object_.path());
}

}  // namespace penstock::hdf5
