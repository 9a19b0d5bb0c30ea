// The public Loader. It adds two things to the engine that it holds: no call touches it in a process that
// was forked after the loader was made, and no exception of the standard library leaves it (guarded()). What
// the numbers of stats() miss, because the engine does not know it, is filled in here.
#include "penstock/loader.h"

#include "base/guarded.h"
#include "loader/loader_impl.h"

namespace penstock {
namespace {

// Looked at by mixing(): their mean entropy is that of an epoch's to a few tenths of a percent.
constexpr std::uint64_t kMixingBatches = 1024;

// A forked child has none of the parent's threads and maybe their locks: nothing of the engine may be
// touched.
Status check_process(const internal::LoaderImpl& impl) {
  if (getpid() == impl.pid) return {};
  return Status::invalid_argument("this loader was made before fork(): make a new one in the child process");
}

}  // namespace

Loader::Loader(std::unique_ptr<internal::LoaderImpl> impl) : impl_(std::move(impl)) {}

// In a forked child the inside is left as it is, on purpose: freeing it would join threads that are not
// there. The child's copy of the memory goes with the child.
Loader::~Loader() {
  if (!check_process(*impl_).ok()) static_cast<void>(impl_.release());
}

Result<std::unique_ptr<Loader>> Loader::create(std::shared_ptr<const Dataset> dataset,
                                               LoaderOptions options) {
  return guarded([&]() -> Result<std::unique_ptr<Loader>> {
    // What opening found out about the files is what the plan is made of, so they must be the same still.
    PENSTOCK_RETURN_IF_ERROR(dataset->impl().unchanged());
    PENSTOCK_ASSIGN_OR_RETURN(auto impl, loader::create_loader(std::move(dataset), std::move(options)));
    return std::unique_ptr<Loader>(new Loader(std::move(impl)));
  });
}

const Plan& Loader::plan() const { return impl_->plan; }
std::uint64_t Loader::n_batches() const { return impl_->plan.n_batches; }

const std::vector<std::string>* Loader::categories(const std::string& column) const {
  for (const auto& [name, categories] : impl_->categories) {
    if (name == column) return &categories;
  }
  return nullptr;
}

Status Loader::start_epoch(std::optional<std::uint64_t> epoch) {
  PENSTOCK_RETURN_IF_ERROR(check_process(*impl_));
  return guarded([&] { return impl_->engine->start_epoch(epoch); });
}

std::uint64_t Loader::next_epoch() const {
  return check_process(*impl_).ok() ? impl_->engine->next_epoch() : 0;
}

Result<LoaderState> Loader::state(std::optional<std::uint64_t> batches_done) const {
  PENSTOCK_RETURN_IF_ERROR(check_process(*impl_));
  return guarded([&] { return impl_->engine->state(batches_done); });
}

std::uint64_t Loader::epoch_batches() const {
  return check_process(*impl_).ok() ? impl_->engine->epoch_batches() : 0;
}

std::uint64_t Loader::batches_left() const {
  return check_process(*impl_).ok() ? impl_->engine->batches_left() : 0;
}

Result<std::optional<Batch>> Loader::next(const std::function<bool()>& interrupted) {
  PENSTOCK_RETURN_IF_ERROR(check_process(*impl_));
  return guarded([&] { return impl_->engine->next(interrupted, false); });
}

Result<std::optional<Batch>> Loader::peek(const std::function<bool()>& interrupted) {
  PENSTOCK_RETURN_IF_ERROR(check_process(*impl_));
  return guarded([&] { return impl_->engine->next(interrupted, true); });
}

// A Densifier of no loader works on fresh memory with the caller's thread alone, as a child process has to.
Densifier Loader::densifier() const {
  return check_process(*impl_).ok() ? Densifier(impl_->engine->densifier()) : Densifier();
}

bool Loader::advance() { return check_process(*impl_).ok() && impl_->engine->advance(); }

Result<EpochCost> Loader::epoch_cost(std::uint64_t epoch) const {
  PENSTOCK_RETURN_IF_ERROR(check_process(*impl_));
  return guarded([&] { return impl_->engine->epoch_cost(epoch); });
}

Result<Mixing> Loader::mixing(const std::string& label, std::optional<std::uint64_t> epoch,
                              std::uint64_t memory) const {
  PENSTOCK_RETURN_IF_ERROR(check_process(*impl_));
  return guarded([&]() -> Result<Mixing> {
    // Not out of the loader's budget, all of which may be in use: what this takes is asked for, used and
    // given back within the call.
    const auto budget = MemoryBudget::create(memory);
    PENSTOCK_ASSIGN_OR_RETURN(const auto found, impl_->engine->mixing(label, epoch, kMixingBatches, *budget));
    return loader::summary(found);
  });
}

LoaderStats Loader::stats() const {
  if (!check_process(*impl_).ok()) return {};
  LoaderStats s = impl_->engine->stats();
  s.memory = impl_->budget->usage();
  s.bytes_opening = impl_->bytes_opening;
  s.bytes_planning = impl_->bytes_planning;
  s.bytes_read_all = impl_->file_reads->bytes;
  return s;
}

void Loader::close() {
  if (check_process(*impl_).ok()) impl_->engine->close();
}

}  // namespace penstock
