#include "base/guarded.h"

#include <string>

namespace penstock {
namespace {

// A text that needs no memory of the heap: it fits into the string itself. Used when the longer message could
// not be had: memory may be so short that a hundred bytes are refused.
Status out_of_memory() { return {StatusCode::budget, "out of memory", ENOMEM}; }

// The exception that is under way is thrown once more, which is how C++ tells what it is: guarded() has one
// handler, and the list of kinds stands here alone.
Status in_words() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return {
        StatusCode::budget,
        "the system refused memory. Leave the process more of it (ulimit -v, the limit of its cgroup), or "
        "use less: memory=, threads=, io_threads=",
        ENOMEM};
  } catch (const std::length_error&) {
    // A container that was asked for more than its type can count. Sizes from files are checked before they
    // get here, so that this is a limit of 32-bit address spaces or our mistake.
    return {StatusCode::budget, "more memory was asked for than can be addressed", ENOMEM};
  } catch (const std::system_error& error) {
    return Status::io_error(std::string("the system refused: ") + error.what(), error.code().value());
  } catch (const std::exception& error) {
    return Status::internal(std::string("an exception nobody expected: ") + error.what());
  }
}

}  // namespace

Status refusal() {
  try {
    return in_words();
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  }
}

}  // namespace penstock
