#include "parquet/verify.h"

#include <algorithm>
#include <vector>

#include "memory/reserve_for.h"
#include "parquet/metadata.h"
#include "parquet/page.h"
#include "parquet/page_walk.h"

namespace penstock::parquet {

std::uint64_t column_chunks(const File& file) {
  const auto budget = MemoryBudget::create(~std::uint64_t{0} >> 1);
  const auto metadata = read_metadata(file, *budget);
  return metadata.ok() ? metadata.value()->row_groups.size() * metadata.value()->columns.size() : 0;
}

Status verify_file(const File& file, const OpenedFile::Verifier& verifier, MemoryBudget& budget,
                   Dataset::VerifyCounts* counts) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto metadata, read_metadata(file, budget));
  PENSTOCK_ASSIGN_OR_RETURN(Reservation held, reserve_for(file.label(), budget, MemoryTag::scratch, 1));
  PageWalker walker(file, budget);
  CodecContext codec;
  std::vector<std::byte> stored, scratch;
  for (std::size_t g = 0; g < metadata->row_groups.size(); ++g) {
    for (std::size_t c = 0; c < metadata->columns.size(); ++c) {
      const Leaf& column = metadata->columns[c];
      const ColumnChunk& chunk = metadata->row_groups[g].columns[c];
      const PageContext context{
          chunk.codec, column.max_def, column.max_rep, {&file.label(), &column.path, g}};
      PageLimits limits;
      Status status;
      if (is_readable(chunk.codec) && column.shape != Leaf::Shape::nested) {
        status =
            walker
                .walk(
                    *metadata, g, c, &limits,
                    [&](const WalkedPage& page) -> Status {
                      const ByteCount need = page.header.stored + page.scratch;
                      if (need > held.bytes()) {
                        PENSTOCK_RETURN_IF_ERROR(
                            resize_for(file.label(), budget, held, MemoryTag::scratch, need));
                      }
                      stored.resize(page.header.stored);
                      scratch.resize(page.scratch);
                      PENSTOCK_RETURN_IF_ERROR(file.read_at(page.offset + page.header.header_bytes, stored));
                      counts->bytes += page.header.stored;
                      Page out;
                      return read_page(context, page.header, stored, page.offset, scratch, codec, &out);
                    })
                .status();
      }
      if (status.code() == StatusCode::budget) return status;
      if (!status.ok() && status.code() != StatusCode::unsupported) {
        ++counts->bad;
        if (verifier.report) verifier.report(status.message());
      }
      ++counts->chunks;
      if (verifier.step) verifier.step();
    }
  }
  return {};
}

}  // namespace penstock::parquet
