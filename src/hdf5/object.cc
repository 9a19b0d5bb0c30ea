// An address becomes a group or a dataset. Nothing in an object header says which of them it is: the messages
// do. A group has a symbol table, links, or a link info message, and a dataset has a layout. A header with a
// datatype and neither of them is a datatype that was stored under a name of its own.
//
// The header is walked here for this alone, and by Dataset again for what it says: the page cache has it by
// then.
#include "hdf5/object.h"

#include <fmt/format.h>

#include <utility>

#include "hdf5/attribute.h"
#include "hdf5/dataset.h"
#include "hdf5/group.h"
#include "hdf5/object_header.h"
#include "store/locate.h"

namespace penstock::hdf5 {

Status Object::locate(Status status) const { return store::locate(std::move(status), label(), path_); }

Result<std::vector<std::string>> Object::attribute_names() const {
  auto names = read_attribute_names(*image_, header_);
  if (!names.ok()) return locate(std::move(names).status());
  return names;
}

Result<std::optional<store::Attribute>> Object::attribute(const std::string& name) const {
  auto found = read_attribute(*image_, header_, name);
  if (!found.ok()) return locate(std::move(found).status());
  return found;
}

Result<std::shared_ptr<const store::Node>> Object::follow(const store::Attribute& reference) const {
  if (reference.references.empty()) {
    return locate(Status::invalid_argument("the attribute holds no object reference"));
  }
  const Address target = reference.references[0];
  if (target == 0 || target == kUndefined)
    return locate(Status::corrupt("dangling object reference: it is null"));
  auto node =
      open_object(image_, target, fmt::format("(object at 0x{:x})", image_->superblock().base + target));
  // Files keep references to objects that were deleted, and then anything may lie there. The bytes are not
  // damaged then, so the message says that it was a reference that led to them.
  if (!node.ok() && node.status().code() == StatusCode::corrupt) {
    return std::move(node).status().with_context(
        fmt::format("{}: {}: dangling object reference", label(), path_));
  }
  return node;
}

Result<std::shared_ptr<const store::Node>> open_object(std::shared_ptr<const Image> image, Address header,
                                                       std::string path) {
  Object object(std::move(image), header, std::move(path));
  bool group = false, dataset = false, datatype = false;
  Status status = visit_messages(*object.image(), header, [&](const Message& m, bool&) -> Status {
    group |= m.type == MessageType::symbol_table || m.type == MessageType::link ||
             m.type == MessageType::link_info;
    dataset |= m.type == MessageType::layout;
    datatype |= m.type == MessageType::datatype;
    return {};
  });
  if (!status.ok()) return object.locate(std::move(status));
  if (group && dataset) return object.locate(Status::corrupt("the object is both a group and a dataset"));
  if (group) return std::shared_ptr<const store::Node>(std::make_shared<const Group>(std::move(object)));
  if (dataset) return Dataset::open(std::move(object));
  if (datatype)
    return object.locate(Status::unsupported("is an HDF5 committed datatype, neither a group nor an array"));
  return object.locate(object.image()->corrupt(header, "object header", "is neither a group nor a dataset"));
}

}  // namespace penstock::hdf5
