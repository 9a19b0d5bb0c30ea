// Opening a file: superblock, its extension, root group. The extension is an object header, so reading it
// needs an Image, and it may change numbers that an Image keeps. Hence the two of them: one to read the
// extension with, and one with all numbers for everybody else.
#include "hdf5/hdf5.h"

#include <fmt/format.h>

#include <utility>

#include "hdf5/group.h"
#include "hdf5/image.h"
#include "hdf5/object.h"
#include "hdf5/superblock.h"
#include "store/locate.h"

namespace penstock::hdf5 {

Result<bool> is_hdf5(const File& file) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto found, find_signature(file));
  return found.has_value();
}

Result<std::shared_ptr<const store::Group>> open(const std::string& path, const store::OpenLimits& limits,
                                                 Checksums checksums) {
  PENSTOCK_ASSIGN_OR_RETURN(auto file, limits.opener(path));
  PENSTOCK_ASSIGN_OR_RETURN(Superblock superblock, read_superblock(*file, checksums));
  auto budget = limits.index_budget ? limits.index_budget : MemoryBudget::create(store::kDefaultIndexBytes);
  if (superblock.extension != kUndefined) {
    const Image before(file, superblock, budget);
    PENSTOCK_RETURN_IF_ERROR(store::locate(read_extension(before, superblock), file->label(), "superblock"));
  }
  auto image = std::make_shared<const Image>(std::move(file), superblock, std::move(budget));
  PENSTOCK_ASSIGN_OR_RETURN(auto root, open_object(image, superblock.root, "/"));
  auto group = std::dynamic_pointer_cast<const store::Group>(std::move(root));
  if (!group) {
    return Status::corrupt(fmt::format("{}: the root object at 0x{:x} is not a group", image->label(),
                                       superblock.base + superblock.root));
  }
  return group;
}

}  // namespace penstock::hdf5
