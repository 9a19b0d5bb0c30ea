// AnnData's frames and their columns as the tables of a Dataset (source/table.h).
//
// Thread contract: immutable. Ownership: keeps the file open.
#pragma once

#include <memory>

#include "anndata/frame.h"
#include "source/table.h"

namespace penstock::anndata {

std::shared_ptr<const Table> make_table(Frame frame);
std::shared_ptr<const TableColumn> make_column(FrameColumn column);

}  // namespace penstock::anndata
