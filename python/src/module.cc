// penstock._core: the engine as Python sees it. A table of contents; the package python/penstock is the
// friendly face of it.
#include <new>

#include "base/thread.h"
#include "bindings.h"
#include "penstock/version.h"

NB_MODULE(_core, m) {
  using namespace penstock::python;
  m.doc() = "The Penstock engine. Internal: use the penstock package.";
  // While memory is there: later, when it is not, an exception that says so must be thrown.
  if (!penstock::take_what_libraries_keep()) throw std::bad_alloc();
  m.attr("version") = penstock::version();
  // Loaders kept in globals or cycles outlive the interpreter's own order of destruction; that is no bug.
  nanobind::set_leak_warnings(false);
  bind_errors(m);
  bind_budget(m);
  bind_dataset(m);
  bind_plan(m);
  bind_batch(m);
  bind_options(m);
  bind_loader(m);
  bind_iteration(m);
}
