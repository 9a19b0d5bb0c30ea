// The version of the headers; version() is that of the library.
// Layer: base.
#pragma once

#define PENSTOCK_VERSION "0.1.0"

namespace penstock {
const char* version();
}
