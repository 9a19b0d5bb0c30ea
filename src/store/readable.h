// Group::has() says false for what cannot be read, too. Where "not there" would be the answer to a user, ask
// this first: a disk error or a budget must come out as what it is.
#pragma once

#include <utility>

#include "store/store.h"

namespace penstock::store {

// Whether the names in a group can be read; they are kept for the has() that follows.
inline Status readable(const Group& group) {
  auto names = group.children();
  return names.ok() ? Status() : std::move(names).status();
}

}  // namespace penstock::store
