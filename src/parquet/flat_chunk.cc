// One column chunk of an obs or var column, from its pages to a value for each row. Values of a page lie side
// by side, and the rows that have none are told by the definition levels:
//
//     levels   1 0 1 1 0        of a column with max_def = 1
//     values   a b c            3 are stored
//     rows     a . b c .        spread() moves them apart, from the back
//
// for_each_page() does what numbers and strings have in common: pages, levels, and that their rows are as
// many as the row group has.
#include "parquet/flat_chunk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "parquet/encodings/byte_arrays.h"
#include "parquet/encodings/levels.h"
#include "parquet/page_stream.h"
#include "parquet/page_values.h"

namespace penstock::parquet {
namespace {

Status fail(const PageContext& context, ByteOffset page, DecodeError error) {
  return error == DecodeError::unsupported ? context.label.unsupported(page, describe(error))
                                           : context.label.corrupt(page, describe(error));
}

// Goes over the data pages of a chunk: dictionary(page) for dictionaries, data(page, first row, which of its
// rows have values, how many) for data pages. `levels` has room for the rows; it is filled for all of them.
template <class D, class V>
Status for_each_page(const PageContext& context, const Leaf& column, std::span<const std::byte> bytes,
                     ByteOffset at, std::uint64_t rows, std::span<std::byte> scratch,
                     std::span<std::uint8_t> levels, CodecContext& codec, D&& dictionary, V&& data) {
  PageStream pages(context, scratch, &codec);
  pages.open(bytes, at);
  std::uint64_t row = 0;
  // Ends when all rows are there, and does not look at the bytes behind: the chunk was read a little beyond
  // what the footer declares (kUndeclaredBytes).
  while (row < rows) {
    Page page;
    bool more = false;
    PENSTOCK_RETURN_IF_ERROR(pages.next(&page, &more));
    if (!more) {
      return context.label.corrupt(at, fmt::format("{} rows in its pages, the row group has {}", row, rows));
    }
    if (page.type == PageType::dictionary) {
      PENSTOCK_RETURN_IF_ERROR(dictionary(page));
      continue;
    }
    // `levels` and the values have room for the row group's rows, and no page may go beyond.
    if (page.n_values > rows - row) {
      return context.label.corrupt(page.offset, fmt::format("more rows than the {} of the row group", rows));
    }
    const auto here = levels.subspan(row, page.n_values);
    std::uint64_t present = page.n_values;
    if (column.max_def > 0) {
      const DecodeError error = read_levels(page.def_levels, column.max_def, page.n_values, here.data());
      if (error != DecodeError::ok) return fail(context, page.offset, error);
      present = 0;
      // Written over in place: the caller gets back 1 where a row has a value, whatever the column's highest
      // level is.
      for (std::uint8_t& level : here) {
        level = level == column.max_def ? 1 : 0;
        present += level;
      }
    } else {
      std::fill(here.begin(), here.end(), std::uint8_t{1});
    }
    PENSTOCK_RETURN_IF_ERROR(data(page, row, here, present));
    row += page.n_values;
  }
  return {};
}

}  // namespace

std::size_t value_bytes(const Leaf& column) {
  return column.type == PhysicalType::boolean ? 1 : physical_size(column.type, column.type_length);
}

Status decode_numbers(const PageContext& context, const Leaf& column, std::span<const std::byte> bytes,
                      ByteOffset at, std::uint64_t rows, const FlatMemory& memory, CodecContext& codec) {
  const std::size_t size = value_bytes(column);
  std::uint32_t n_dictionary = 0;
  const auto dictionary = [&](const Page& page) -> Status {
    // n_values comes from the page's header. A division, since a product might wrap.
    if (page.n_values > memory.dictionary.size() / size) {
      return context.label.corrupt(
          page.offset, fmt::format("a dictionary of {} entries in a column chunk of {} bytes", page.n_values,
                                   memory.dictionary.size()));
    }
    NumberReader reader;
    DecodeError error = NumberReader::open(Encoding::plain, column.type, column.type_length, page.values,
                                           page.n_values, &reader);
    if (error == DecodeError::ok) error = reader.read(memory.dictionary.data(), page.n_values);
    if (error != DecodeError::ok) return fail(context, page.offset, error);
    n_dictionary = static_cast<std::uint32_t>(page.n_values);
    return {};
  };
  const auto data = [&](const Page& page, std::uint64_t row, std::span<const std::uint8_t> present,
                        std::uint64_t n) -> Status {
    std::byte* out = memory.values.data() + row * size;
    PageValues values;
    DecodeError error = PageValues::open(page, column.type, n_dictionary, n, &values);
    if (error == DecodeError::ok && n > 0) {
      // Tables are told by size and not by type, since looking up copies bits. Sizes are those that
      // open_flat_column() lets pass.
      if (!values.coded()) {
        error = values.read(out, n);
      } else if (size == 1) {
        error = values.gather(reinterpret_cast<const std::uint8_t*>(memory.dictionary.data()),
                              reinterpret_cast<std::uint8_t*>(out), n);
      } else if (size == 4) {
        error = values.gather(reinterpret_cast<const std::uint32_t*>(memory.dictionary.data()),
                              reinterpret_cast<std::uint32_t*>(out), n);
      } else if (size == 8) {
        error = values.gather(reinterpret_cast<const std::uint64_t*>(memory.dictionary.data()),
                              reinterpret_cast<std::uint64_t*>(out), n);
      } else {
        error = DecodeError::unsupported;
      }
    }
    if (error != DecodeError::ok) return fail(context, page.offset, error);
    // Nothing is written between the values: who reads them asks `levels` first.
    spread(out, size, present, n);
    return {};
  };
  return for_each_page(context, column, bytes, at, rows, memory.page, memory.levels, codec, dictionary, data);
}

Status decode_strings(const PageContext& context, const Leaf& column, std::span<const std::byte> bytes,
                      ByteOffset at, std::uint64_t rows, std::span<std::byte> page_scratch,
                      CodecContext& codec, const StringSink& sink) {
  // DELTA_BYTE_ARRAY can make any length out of few bytes (byte_arrays.cc).
  constexpr std::uint64_t kMostBytes = 16 << 20;  // of one string
  std::vector<std::string> dictionary;
  std::vector<std::uint8_t> levels(rows);
  std::vector<std::uint32_t> indices;
  const auto take_dictionary = [&](const Page& page) -> Status {
    // A chunk has one dictionary. If a damaged one has several, each is charged, and the last one counts.
    dictionary.clear();
    // A value takes 4 bytes of the page at least.
    const auto entries = std::min<std::uint64_t>(page.n_values, page.values.size() / 4);
    PENSTOCK_RETURN_IF_ERROR(sink.charge(entries * (sizeof(std::string) + 1) + page.values.size()));
    dictionary.reserve(entries);
    const DecodeError error =
        for_each_byte_array(Encoding::plain, column.type, column.type_length, page.values, page.n_values,
                            kMostBytes, [&](std::string_view value) {
                              dictionary.emplace_back(value);
                              return true;
                            });
    return error == DecodeError::ok ? Status() : fail(context, page.offset, error);
  };
  const auto data = [&](const Page& page, std::uint64_t row, std::span<const std::uint8_t> present,
                        std::uint64_t n) -> Status {
    std::size_t next = 0;  // row of the page
    Status refused;
    // Rows without a value are handed out in their place, before the next one that has a value and behind the
    // last. A refusal by the sink stops all that follows it: the callbacks below only say "no more", and the
    // reason waits in `refused`.
    const auto skip_missing = [&] {
      for (; refused.ok() && next < present.size() && present[next] == 0; ++next) {
        refused = sink.row(row + next, false, {});
      }
    };
    const auto hand_out = [&](std::string_view value) {
      skip_missing();
      if (refused.ok()) refused = sink.row(row + next++, true, value);
      return refused.ok();
    };
    DecodeError error = DecodeError::ok;
    if (is_dictionary_coded(page.encoding)) {
      IndexReader reader;
      error = IndexReader::open(page.values, static_cast<std::uint32_t>(dictionary.size()), &reader);
      // n is at most the rows of the group, which the caller has reserved an index for.
      indices.resize(n);
      if (error == DecodeError::ok) error = reader.read(indices);
      if (error == DecodeError::ok) {
        for (const std::uint32_t index : indices) {
          if (!hand_out(dictionary[index])) break;
        }
      }
    } else {
      error = for_each_byte_array(page.encoding, column.type, column.type_length, page.values, n, kMostBytes,
                                  hand_out);
    }
    if (error != DecodeError::ok) return fail(context, page.offset, error);
    skip_missing();
    return refused;
  };
  return for_each_page(context, column, bytes, at, rows, page_scratch, levels, codec, take_dictionary, data);
}

}  // namespace penstock::parquet
