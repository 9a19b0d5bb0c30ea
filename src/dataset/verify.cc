// Verify walks over a path twice with fresh budgets: once to count the steps, so that progress can be shown,
// and once to take them. What it finds goes into the log, and an error is returned only for what ends the
// walk.
#include "penstock/verify.h"

#include <fmt/format.h>

#include <memory>
#include <new>

#include "dataset/formats.h"
#include "source/verify_log.h"

namespace penstock {

namespace {

Status walk(const std::string& path, const VerifyOptions& options, const std::shared_ptr<MemoryBudget>& index,
            MemoryBudget& work, VerifyLog& log) {
  const FileOpener opener = options.open.opener ? options.open.opener : FileOpener(open_posix_file);
  PENSTOCK_ASSIGN_OR_RETURN(const Format* format, internal::format_of(path, opener));
  OpenContext context;
  context.opener = opener;
  context.budget = index;
  context.options = &options.open;
  return format->verify(path, options, std::move(context), log, work);
}

Result<VerifyResult> run(const std::string& path, const VerifyOptions& options) {
  VerifyLog log(options);
  // Once to count the steps, once to take them. What ends the first walk is said by the second.
  for (const bool counting : {true, false}) {
    if (!counting) log.begin();
    const auto index = MemoryBudget::create(options.open.index_memory);
    const auto work = MemoryBudget::create(options.memory);
    const Status status = walk(path, options, index, *work, log);
    // An error of the counting walk comes again in the second one, where it has been looked at properly.
    if (!counting && !status.ok()) return status;
  }
  VerifyResult& result = log.result();
  // Neither read nor found damaged: the user must not take that for a sound file.
  if (result.matrices.empty() && result.bad == 0) {
    return Status::unsupported(fmt::format("{}: no matrix of it could be checked{}{}", path,
                                           result.not_checked.empty() ? "" : ": ",
                                           result.not_checked.empty() ? "" : result.not_checked.front()));
  }
  return std::move(result);
}

}  // namespace

Result<VerifyResult> verify(const std::string& path, const VerifyOptions& options) {
  try {
    auto result = run(path, options);
    if (result.ok() || result.status().code() != StatusCode::budget) return result;
    const std::string why = fmt::format("{}; metadata has index_memory={}, a chunk memory={}: give it more",
                                        result.status().message(), format_bytes(options.open.index_memory),
                                        format_bytes(options.memory));
    return std::move(result).status().reworded(why);
  } catch (const std::bad_alloc&) {
    return Status::budget(path + ": the system has no memory for a chunk");
  }
}

}  // namespace penstock
