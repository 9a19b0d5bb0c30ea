#include "penstock/column.h"

namespace penstock {

std::uint64_t Column::size() const {
  switch (kind) {
    case Kind::categorical:
      return codes.size();
    case Kind::string:
      return strings.size();
    case Kind::integer:
      return integers.size();
    case Kind::floating:
      return floats.size();
    case Kind::boolean:
      return booleans.size();
  }
  return 0;
}

}  // namespace penstock
