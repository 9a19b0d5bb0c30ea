// The entry that libFuzzer calls, for the target that the build names. With PENSTOCK_FUZZ_SAY set it prints
// what the target has to say, which is the text that lies beside a stored find.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static bool say = std::getenv("PENSTOCK_FUZZ_SAY") != nullptr;
  const std::string text =
      penstock::fuzz::PENSTOCK_FUZZ_TARGET({reinterpret_cast<const std::byte*>(data), size});
  if (say) std::fputs(text.c_str(), stdout);
  say = false;  // libFuzzer runs an input twice
  return 0;
}
