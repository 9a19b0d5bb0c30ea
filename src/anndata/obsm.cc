// An entry of obsm is a list of pieces side by side: a dense array is one of as many columns as it has, a
// DataFrame one of a single column for each of its numeric columns, with a mask beside it where it is nullable.
//
//     "X_pca"     [ array, 50 columns, float32 ]
//     "protein"   [ CD3, int32 ] [ CD4, float64 ] [ maybe, int64 + mask ]      a row: three float64
//
// A thread's scratch, as a Carver lays it out: one row of the widest piece as it is stored, what the codecs
// need, and for each piece in chunks the number of the band that is decoded and its chunks. Pieces in one
// piece need nothing: their rows are taken out of the bytes that were fetched.
#include "anndata/obsm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "anndata/attributes.h"
#include "anndata/frame.h"
#include "base/carver.h"
#include "base/checked.h"
#include "base/names.h"
#include "source/widen.h"
#include "store/readable.h"

namespace penstock::anndata {
namespace {

// Numbers of a row: with 8 bytes each no window holds more.
constexpr std::uint64_t kMostWidth = (std::uint64_t{1} << 29) - 1;
constexpr std::uint64_t kNoBand = std::numeric_limits<std::uint64_t>::max();
// A scratch that no budget has.
constexpr ByteCount kNever = ByteCount{1} << 58;

// Rows of one array of rows x columns, or of rows alone. A band is the rows of one row of chunks.
class Grid {
 public:
  explicit Grid(std::shared_ptr<const store::Array> array) : array_(std::move(array)) {
    const auto& shape = array_->shape();
    cols_ = shape.size() < 2 ? 1 : shape[1];
    item_ = array_->dtype().size;
    if (!array_->is_chunked()) return;
    const auto& chunk = array_->chunk_shape();
    chunk_rows_ = chunk[0];
    chunk_cols_ = chunk.size() < 2 ? 1 : chunk[1];
    n_across_ = ceil_div(cols_, chunk_cols_);
  }

  std::uint64_t cols() const { return cols_; }
  ByteCount row_bytes() const { return cols_ * item_; }
  bool chunked() const { return array_->is_chunked(); }
  RowIndex chunk_rows() const { return chunk_rows_; }
  ByteCount step_bytes() const { return chunked() ? array_->step_bytes() : 0; }
  std::string layout() const {
    if (!chunked()) return "contiguous";
    return fmt::format("chunks of {} x {}, {}", format_count(chunk_rows_), format_count(chunk_cols_),
                       array_->filters().describe());
  }

  // What a thread keeps of it: the chunks of a band, decoded, and which band that is.
  struct Parts {
    std::span<std::uint64_t> band;
    std::span<std::byte> chunks;
  };
  Parts parts(Carver& memory) const {
    if (!chunked()) return {};
    return {memory.array<std::uint64_t>(1), memory.bytes(band_bytes())};
  }
  ByteCount band_bytes() const {
    return std::min(kNever, checked_mul(n_across_, array_->chunk_bytes()).value_or(kNever));
  }

  // Whole bands, each once. The chunks of neighbouring bands have consecutive numbers, so that a run of bands
  // is one call; elements are counted as they are stored, with the padding of chunks, which is how
  // add_requests() takes them for an array in chunks.
  void requests(std::span<const RowRange> wanted, RequestList& list) const {
    if (!chunked()) {
      for (const RowRange& range : wanted)
        array_->add_requests(range.first * cols_, range.size() * cols_, Heads::whole, list);
      return;
    }
    const std::uint64_t of_band = n_across_ * array_->chunk_elements();
    std::uint64_t next = 0;  // bands before it are in the list
    for (const RowRange& range : wanted) {
      if (range.size() == 0) continue;
      const std::uint64_t first = std::max(next, range.first / chunk_rows_);
      next = std::max(next, (range.last - 1) / chunk_rows_ + 1);
      if (first < next) array_->add_requests(first * of_band, (next - first) * of_band, Heads::whole, list);
    }
  }

  // A row as it is stored, in native byte order: row_bytes() at `out`.
  Status read(RowIndex row, const Fetched& fetched, const Parts& parts, std::span<std::byte> step,
              CodecContext& codec, std::byte* out) const {
    if (cols_ == 0) return {};
    if (!chunked()) {
      return array_->decode_range(row * cols_, cols_, fetched, {}, codec, {out, row_bytes()});
    }
    const std::uint64_t band = row / chunk_rows_;
    if (parts.band[0] != band) PENSTOCK_RETURN_IF_ERROR(decode_band(band, fetched, parts, step, codec));
    // Row 7 in chunks of 5 rows x 3 columns is the third row of band 1. It takes 3 values of each chunk, and
    // of the last one only those that are inside of the matrix.
    const std::byte* in = parts.chunks.data() + row % chunk_rows_ * chunk_cols_ * item_;
    for (std::uint64_t col = 0; col < cols_; col += chunk_cols_, in += array_->chunk_bytes())
      std::memcpy(out + col * item_, in, std::min(chunk_cols_, cols_ - col) * item_);
    return {};
  }

 private:
  Status decode_band(std::uint64_t band, const Fetched& fetched, const Parts& parts,
                     std::span<std::byte> step, CodecContext& codec) const {
    // While this goes on, and after an error, there is neither the old band nor the new one in memory.
    parts.band[0] = kNoBand;
    const ByteCount bytes = array_->chunk_bytes();
    for (std::uint64_t across = 0; across < n_across_; ++across) {
      PENSTOCK_RETURN_IF_ERROR(array_->decode_chunk(band * n_across_ + across, fetched,
                                                    parts.chunks.subspan(across * bytes, bytes), step, codec,
                                                    nullptr));
    }
    parts.band[0] = band;
    return {};
  }

  std::shared_ptr<const store::Array> array_;
  std::uint64_t cols_ = 1;
  std::size_t item_ = 0;
  RowIndex chunk_rows_ = 1;
  std::uint64_t chunk_cols_ = 1, n_across_ = 0;
};

// An array, or a column of a DataFrame. What is missing comes out as NaN, so a column with a mask is float64,
// whatever it is stored as.
struct Piece {
  Grid values;
  std::optional<Grid> mask;  // 1: missing, which is NaN
  ArrayType stored = ArrayType::f32;
  // Of what it comes out as; masked: float64.
  ArrayType type() const { return mask ? ArrayType::f64 : stored; }
};

class StoredObsm final : public ObsmArray {
 public:
  StoredObsm(std::string where, RowIndex n_rows, std::vector<Piece> pieces, std::vector<std::string> columns,
             ArrayType type)
      : where_(std::move(where)),
        n_rows_(n_rows),
        pieces_(std::move(pieces)),
        columns_(std::move(columns)),
        type_(type) {
    for (const Piece& piece : pieces_) {
      width_ += piece.values.cols();
      // Only while every piece is in one piece in the file does a row cost just its own bytes.
      row_addressable_ =
          row_addressable_ && !piece.values.chunked() && !(piece.mask && piece.mask->chunked());
      if (piece.values.chunked()) chunk_rows_ = std::max(chunk_rows_, piece.values.chunk_rows());
      if (piece.mask) chunk_rows_ = std::max(chunk_rows_, piece.mask->chunk_rows());
      raw_bytes_ = std::max(raw_bytes_, piece.values.row_bytes());
      step_bytes_ = std::max(step_bytes_, piece.values.step_bytes());
      if (piece.mask) step_bytes_ = std::max(step_bytes_, piece.mask->step_bytes());
    }
  }

  const std::string& where() const override { return where_; }
  RowIndex n_rows() const override { return n_rows_; }
  std::uint64_t width() const override { return width_; }
  ArrayType type() const override { return type_; }
  const std::vector<std::string>& columns() const override { return columns_; }
  std::string layout() const override { return pieces_.front().values.layout(); }
  bool row_addressable() const override { return row_addressable_; }
  RowIndex chunk_rows() const override { return chunk_rows_; }

  void requests(std::span<const RowRange> wanted, RequestList& list) const override {
    for (const Piece& piece : pieces_) {
      piece.values.requests(wanted, list);
      if (piece.mask) piece.mask->requests(wanted, list);
    }
  }

  ByteCount scratch_bytes() const override {
    // Sizes of chunks are what the file says. They are summed up with a limit first, because the sum that
    // Carver makes could wrap around.
    ByteCount bytes = 0;
    for (const Piece& piece : pieces_) {
      bytes += piece.values.band_bytes();
      if (piece.mask) bytes += piece.mask->band_bytes();
      if (bytes >= kNever) return kNever;
    }
    Carver measured;
    own_parts(measured);
    for (const Piece& piece : pieces_) {
      piece.values.parts(measured);
      if (piece.mask) piece.mask->parts(measured);
    }
    return measured.used();
  }

  void begin(std::span<std::byte> scratch) const override {
    // Bytes that another array has left in the scratch could look like the number of a band.
    Carver memory(scratch.data());
    own_parts(memory);
    const auto forget = [&](const Grid& grid) {
      const Grid::Parts parts = grid.parts(memory);
      if (!parts.band.empty()) parts.band[0] = kNoBand;
    };
    for (const Piece& piece : pieces_) {
      forget(piece.values);
      if (piece.mask) forget(*piece.mask);
    }
  }

  Status read(RowIndex row, ArrayType type, const Fetched& fetched, Scratch& scratch,
              std::byte* out) const override {
    // The layout is worked out anew for each row, in the order of scratch_bytes(): a few additions, and no
    // state to be kept.
    Carver memory(scratch.bytes.data());
    const Own own = own_parts(memory);
    std::uint64_t column = 0;
    for (const Piece& piece : pieces_) {
      const Grid& grid = piece.values;
      const Grid::Parts parts = grid.parts(memory);
      bool missing = false;
      if (piece.mask) {
        // One byte an element: open_column() has checked that.
        std::byte mask{};
        PENSTOCK_RETURN_IF_ERROR(
            piece.mask->read(row, fetched, piece.mask->parts(memory), own.step, *scratch.codec, &mask));
        missing = mask != std::byte{0};
      }
      // As it is stored, where that is what is wanted, and without a copy. Booleans go through widen() in any
      // case: stored bytes may be others than 0 and 1.
      const bool as_it_is = piece.stored == type && type != ArrayType::boolean;
      std::byte* const raw = as_it_is ? out : own.raw.data();
      PENSTOCK_RETURN_IF_ERROR(grid.read(row, fetched, parts, own.step, *scratch.codec, raw));
      // What was read is not looked at: under a mask there may be any value.
      if (missing) {
        const double nan = std::numeric_limits<double>::quiet_NaN();
        widen(ArrayType::f64, reinterpret_cast<const std::byte*>(&nan), 1, type, out);
      } else if (!as_it_is) {
        const std::size_t good = widen(piece.stored, raw, grid.cols(), type, out);
        if (good < grid.cols()) return not_exact(row, column + good, type);
      }
      column += grid.cols();
      out += grid.cols() * item_bytes(type);
    }
    return {};
  }

 private:
  // A row of a piece as it is stored, and what codecs need.
  struct Own {
    std::span<std::byte> raw, step;
  };
  Own own_parts(Carver& memory) const { return {memory.bytes(raw_bytes_), memory.bytes(step_bytes_)}; }

  Status not_exact(RowIndex row, std::uint64_t column, ArrayType type) const {
    const std::string name =
        columns_.empty() ? fmt::format("column {}", column) : fmt::format("column '{}'", columns_[column]);
    return Status::invalid_argument(
        fmt::format("{}: row {}, {}: an integer that {} does not hold exactly; the other columns, or files, "
                    "have fractions: store it as float64",
                    where_, row, name, type_name(type)));
  }

  const std::string where_;
  const RowIndex n_rows_;
  const std::vector<Piece> pieces_;
  const std::vector<std::string> columns_;
  const ArrayType type_;
  std::uint64_t width_ = 0;
  bool row_addressable_ = true;
  RowIndex chunk_rows_ = 1;
  ByteCount raw_bytes_ = 0, step_bytes_ = 0;
};

std::optional<ArrayType> stored_type(const store::Array& array) {
  if (array.dtype().cls == store::TypeClass::boolean && array.dtype().size == 1) return ArrayType::boolean;
  if (array.dtype().cls == store::TypeClass::number) return array_type(array.dtype().number);
  return std::nullopt;
}

Status other_rows(const std::string& where, std::uint64_t found, RowIndex expected) {
  return Status::corrupt(fmt::format("{}: {} rows, but obs has {}", where, found, expected));
}

Status too_wide(const std::string& where, std::uint64_t width) {
  return Status::unsupported(fmt::format("{}: {} numbers a row; at most {} are read", where,
                                         format_count(width), format_count(kMostWidth)));
}

using Opened = Result<std::shared_ptr<const ObsmArray>>;

Opened open_array(std::shared_ptr<const store::Array> array, RowIndex n_rows) {
  std::string where = array->where();
  const auto& shape = array->shape();
  if (shape.size() != 2) {
    return Status::unsupported(fmt::format(
        "{}: {} dimensions; an entry of obsm is read when it has two, rows x columns{}", where, shape.size(),
        shape.size() == 1 ? ": make it a column of obs, or reshape it to (rows, 1)"
                          : ": reshape it to (rows, columns)"));
  }
  const auto type = stored_type(*array);
  if (!type) {
    return Status::unsupported(fmt::format("{}: elements of type {}; numbers and booleans are read", where,
                                           array->dtype().description));
  }
  if (shape[0] != n_rows) return other_rows(where, shape[0], n_rows);
  if (shape[1] > kMostWidth) return too_wide(where, shape[1]);
  std::vector<Piece> pieces;
  pieces.push_back({Grid(std::move(array)), std::nullopt, *type});
  return std::shared_ptr<const ObsmArray>(std::make_shared<const StoredObsm>(
      std::move(where), n_rows, std::move(pieces), std::vector<std::string>(), *type));
}

// A column of numbers as a piece; nullopt: it has something else. A column of texts or categories is no fault
// of a table, so it is passed over; one that is damaged is told.
Result<std::optional<Piece>> numeric_piece(const Frame& frame, const std::string& name) {
  using Encoding = FrameColumn::Encoding;
  auto opened = frame.column(name);
  if (!opened.ok() && opened.status().code() == StatusCode::unsupported) return std::optional<Piece>();
  if (!opened.ok()) return std::move(opened).status();
  const bool masked =
      opened->encoding == Encoding::nullable_number || opened->encoding == Encoding::nullable_boolean;
  if (!masked && opened->encoding != Encoding::number && opened->encoding != Encoding::boolean)
    return std::optional<Piece>();
  const auto type = stored_type(*opened->values);
  if (!type) return std::optional<Piece>();
  Piece piece{Grid(std::move(opened->values)), std::nullopt, *type};
  if (masked) piece.mask.emplace(std::move(opened->mask));
  return std::optional(std::move(piece));
}

Opened open_table(std::shared_ptr<const store::Node> node, RowIndex n_rows) {
  std::string where = node->where();
  PENSTOCK_ASSIGN_OR_RETURN(const Frame frame, Frame::open(std::move(node)));
  if (frame.n_rows() != n_rows) return other_rows(where, frame.n_rows(), n_rows);
  if (frame.columns().size() > kMostWidth) return too_wide(where, frame.columns().size());
  std::vector<Piece> pieces;
  std::vector<std::string> columns;
  ArrayType type = ArrayType::boolean;
  for (const std::string& name : frame.columns()) {
    PENSTOCK_ASSIGN_OR_RETURN(auto piece, numeric_piece(frame, name));
    if (!piece) continue;
    // int32 and then float64 come out as float64, int8 and int16 as int16. No type holds all of a uint64 and
    // an int8.
    const auto wider = wider_type(type, piece->type());
    if (!wider) {
      return Status::unsupported(fmt::format(
          "{}: column '{}' is {} and those before it are {}; no integer type holds both: store them as "
          "float64, or as one integer type",
          where, name, type_name(piece->type()), type_name(type)));
    }
    type = *wider;
    pieces.push_back(*std::move(piece));
    columns.push_back(name);
  }
  if (pieces.empty()) return Status::unsupported(where + ": a DataFrame without a column of numbers");
  return std::shared_ptr<const ObsmArray>(std::make_shared<const StoredObsm>(
      std::move(where), n_rows, std::move(pieces), std::move(columns), type));
}

Opened open_entry(std::shared_ptr<const store::Node> node, RowIndex n_rows) {
  if (auto array = as_array(node)) return open_array(std::move(array), n_rows);
  PENSTOCK_ASSIGN_OR_RETURN(const std::string format, sparse_format(*node));
  const std::string key = node->path().substr(node->path().rfind('/') + 1);
  if (!format.empty()) {
    return Status::unsupported(
        fmt::format("{}: a sparse matrix; dense arrays and DataFrames are read of obsm: store it dense, "
                    "adata.obsm[\"{}\"] = adata.obsm[\"{}\"].toarray()",
                    node->where(), key, key));
  }
  PENSTOCK_ASSIGN_OR_RETURN(const std::string encoding, encoding_type(*node));
  if (encoding == "dataframe") return open_table(std::move(node), n_rows);
  return Status::unsupported(
      fmt::format("{}: an element of encoding {}; dense arrays and DataFrames are read of obsm",
                  node->where(), encoding.empty() ? std::string("(none)") : "'" + encoding + "'"));
}

// The group, or null where the file has none.
Result<std::shared_ptr<const store::Group>> find_group(const store::Group& root) {
  PENSTOCK_RETURN_IF_ERROR(store::readable(root));
  if (!root.has("obsm")) return std::shared_ptr<const store::Group>();
  PENSTOCK_ASSIGN_OR_RETURN(const auto node, root.child("obsm"));
  auto group = as_group(node);
  if (group != nullptr) return group;
  // Writers leave an empty array where there is none.
  if (node->as_array()->dtype().cls != store::TypeClass::compound) return group;
  return Status::unsupported(node->where() +
                             ": a table of records, as anndata before 0.7 wrote it; write the file anew: "
                             "anndata.read_h5ad(FILE).write_h5ad(NEW_FILE)");
}

}  // namespace

Result<std::shared_ptr<const ObsmArray>> open_obsm(const store::Group& root, const std::string& name,
                                                   RowIndex n_rows) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto group, find_group(root));
  std::vector<std::string> names;
  if (group != nullptr) {
    PENSTOCK_ASSIGN_OR_RETURN(names, group->children());
  }
  if (std::find(names.begin(), names.end(), name) != names.end()) {
    PENSTOCK_ASSIGN_OR_RETURN(auto node, group->child(name));
    return open_entry(std::move(node), n_rows);
  }
  // For the message; until here names were compared as the file has them.
  for (std::string& other : names) other = shown_text(other);
  return Status::not_found(
      fmt::format("{}: obsm has no '{}'; {}", root.file_label(), name, suggest_names(name, names)));
}

Result<std::vector<ObsmInfo>> list_obsm(const store::Group& root, RowIndex n_rows) {
  std::vector<ObsmInfo> out;
  const auto group = find_group(root);
  // A list is not the place to refuse a file for an old obsm: who asks for an entry hears of it.
  if (!group.ok() && group.status().code() == StatusCode::unsupported) return out;
  if (!group.ok()) return group.status();
  if (*group == nullptr) return out;
  PENSTOCK_ASSIGN_OR_RETURN(const auto names, (*group)->children());
  for (const std::string& name : names) {
    ObsmInfo info;
    info.name = shown_text(name);
    auto opened = open_obsm(root, name, n_rows);
    info.usable = opened.ok() && is_utf8(name);
    if (opened.ok()) {
      info.width = (*opened)->width();
      info.dtype = type_name((*opened)->type());
      info.columns = (*opened)->columns();
      if (!info.usable) info.why = "its name is not UTF-8: rename it to read it";
    } else {
      info.why = opened.status().message();
    }
    out.push_back(std::move(info));
  }
  return out;
}

}  // namespace penstock::anndata
