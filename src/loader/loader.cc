#include "penstock/loader.h"

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

Loader::~Loader() {
  if (!check_process(*impl_).ok()) static_cast<void>(impl_.release());
}

Result<std::unique_ptr<Loader>> Loader::create(std::shared_ptr<const Dataset> dataset,
                                               LoaderOptions options) {
  PENSTOCK_ASSIGN_OR_RETURN(auto impl, loader::create_loader(std::move(dataset), std::move(options)));
  return std::unique_ptr<Loader>(new Loader(std::move(impl)));
}

const Plan& Loader::plan() const { return impl_->plan; }
std::uint64_t Loader::n_batches() const { return impl_->plan.n_batches; }

const std::vector<std::string>& Loader::categories(const std::string& column) const {
  static const std::vector<std::string> kNone;
  for (const auto& [name, categories] : impl_->categories) {
    if (name == column) return categories;
  }
  return kNone;
}

Status Loader::start_epoch(std::optional<std::uint64_t> epoch) {
  PENSTOCK_RETURN_IF_ERROR(check_process(*impl_));
  return impl_->engine->start_epoch(epoch);
}

std::uint64_t Loader::next_epoch() const {
  return check_process(*impl_).ok() ? impl_->engine->next_epoch() : 0;
}

Result<LoaderState> Loader::state(std::optional<std::uint64_t> batches_done) const {
  PENSTOCK_RETURN_IF_ERROR(check_process(*impl_));
  return impl_->engine->state(batches_done);
}

std::uint64_t Loader::epoch_batches() const {
  return check_process(*impl_).ok() ? impl_->engine->epoch_batches() : 0;
}

Result<std::optional<Batch>> Loader::next(const std::function<bool()>& interrupted) {
  PENSTOCK_RETURN_IF_ERROR(check_process(*impl_));
  return impl_->engine->next(interrupted, false);
}

Result<std::optional<Batch>> Loader::peek(const std::function<bool()>& interrupted) {
  PENSTOCK_RETURN_IF_ERROR(check_process(*impl_));
  return impl_->engine->next(interrupted, true);
}

Result<EpochCost> Loader::epoch_cost(std::uint64_t epoch) const {
  PENSTOCK_RETURN_IF_ERROR(check_process(*impl_));
  return impl_->engine->epoch_cost(epoch);
}

Result<Mixing> Loader::mixing(const std::string& label, std::optional<std::uint64_t> epoch,
                              std::uint64_t memory) const {
  PENSTOCK_RETURN_IF_ERROR(check_process(*impl_));
  const auto budget = MemoryBudget::create(memory);
  PENSTOCK_ASSIGN_OR_RETURN(const auto found, impl_->engine->mixing(label, epoch, kMixingBatches, *budget));
  return loader::summary(found);
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
