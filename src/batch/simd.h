// Which loops run: see force_scalar() in compact_row.h. Internal to src/batch.
#pragma once

namespace penstock::batch::internal {

bool scalar_forced();

}  // namespace penstock::batch::internal
