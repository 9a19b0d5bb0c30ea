// BloscLZ, the LZ77 of Blosc (c-blosc, blosc/blosclz.c, says what is stored).
//
// Pure function: never writes outside `out` nor reads outside `stored`, whatever they hold.
#pragma once

#include "codecs/inner.h"

namespace penstock::internal {

StageResult blosclz_block(In stored, Out out);

}  // namespace penstock::internal
