// One HTML page about a run: what happened, where the time and the memory went, how well batches were mixed.
//
//   PENSTOCK_RETURN_IF_ERROR(penstock::write_report(*loader, *dataset, "report.html", {.label = "drug"}));
//
// The page is one file that loads nothing: it opens from disk and can be sent by mail. All its numbers are in
// it as JSON, in <script type="application/json" id="penstock-data">. It holds file paths, category names and
// the machine's CPU and kernel, no cell's data.
//
// Thread contract: any thread, also while the loader runs or after it was closed; not in a forked child.
// Memory: outside the loader's budget, only while the call runs: at most about 64 MB beside the page and one
// label column's categories.
// Layer: report.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "penstock/dataset.h"
#include "penstock/loader.h"
#include "penstock/status.h"

namespace penstock {

struct ReportOptions {
  // The obs column (categories or booleans) whose mixture over batches is shown; empty: the first such column
  // of the loader's `obs`, if any. The column is read once.
  std::string label;
  // How the run was started, for the table of options: "penstock stream a.h5ad --memory 1GB"; may be empty.
  std::string command;
  // More lines for the table of the environment: {"python", "3.12.1"}, ...
  std::vector<std::pair<std::string, std::string>> environment;
};

// The page as text. `dataset` is what the loader was made of. Errors: not_found (no such column, with near
// names), invalid_argument (a column of numbers; a forked child), and what reading the column can give.
Result<std::string> report_html(const Loader& loader, const Dataset& dataset,
                                const ReportOptions& options = {});

// Writes the page to `path`, replacing a file that is there; on an error (io_error, and those above) that
// file stays as it was.
Status write_report(const Loader& loader, const Dataset& dataset, const std::string& path,
                    const ReportOptions& options = {});

// Writes `text` beside `path` and renames it: who reads `path` sees the old text or the new one, never a
// part.
Status replace_file(const std::string& path, std::string_view text);

}  // namespace penstock
