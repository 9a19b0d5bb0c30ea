// What a file is that cannot be opened, and how to make one that can. People point a loader at what they
// have: an archive, a text table, an object of R, a Git LFS pointer, the HTML page that a download left. "Not
// an HDF5 file" would be true of all of them and help with none.
//
// A file is told by its first 4 KiB, in this order: empty; the signatures of kKinds; zip, whose members'
// names say what is in it; text, by its beginning; zeros; anything else. What is no data at all (an HTML
// page, JSON, a message of an error) is called corrupt and not unsupported.
#include "dataset/other_kinds.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "io/folder.h"

namespace penstock::internal {

namespace {

// Holds the signature of a tar archive (at byte 257) and the first names of a zip archive.
constexpr std::size_t kHead = 4096;

constexpr std::string_view kToH5ad =
    "read it with scanpy or anndata and write it with write_h5ad(), sparse (CSR)";

// A way to tell a kind of file, and what to say of it. The first row that fits counts.
struct Kind {
  std::size_t at;           // where `bytes` are
  std::string_view bytes;   // empty: any
  std::string_view ending;  // of the path, in lower case; empty: any
  std::string_view is;      // "{path}: is {is}"
  std::string_view way_out;
};

// The literals' suffix keeps zero bytes inside of signatures.
using namespace std::string_view_literals;

// R's and pickle's files are compressed with gzip as a rule: the name is all that tells them.
constexpr Kind kKinds[] = {
    {0, "version https://git-lfs.github.com/spec/"sv, "", "a Git LFS pointer, not the file itself",
     "fetch the file with: git lfs pull"},
    {0, "\x1f\x8b"sv, ".rds", "an R object (gzip)", "write it from R as .h5ad (zellkonverter, sceasy)"},
    {0, "\x1f\x8b"sv, ".rda", "R data (gzip)", "write it from R as .h5ad (zellkonverter, sceasy)"},
    {0, "\x1f\x8b"sv, ".rdata", "R data (gzip)", "write it from R as .h5ad (zellkonverter, sceasy)"},
    {0, "\x1f\x8b"sv, ".tar.gz", "a tar archive packed with gzip", "unpack it with: tar xf FILE"},
    {0, "\x1f\x8b"sv, ".tgz", "a tar archive packed with gzip", "unpack it with: tar xf FILE"},
    {0, "\x1f\x8b"sv, ".mtx.gz", "a Matrix Market file packed with gzip",
     "read it with scanpy.read_mtx() or read_10x_mtx() and write it with write_h5ad(), sparse (CSR)"},
    {0, "\x1f\x8b"sv, ".csv.gz", "CSV text packed with gzip",
     "read it with scanpy.read_csv() and write it with write_h5ad(), sparse (CSR)"},
    {0, "\x1f\x8b"sv, "", "packed with gzip", "unpack it first: gunzip FILE"},
    {0, "\x28\xb5\x2f\xfd"sv, "", "packed with zstd", "unpack it first: unzstd FILE"},
    {0, "BZh"sv, "", "packed with bzip2", "unpack it first: bunzip2 FILE"},
    {0, "\xfd\x37zXZ\x00"sv, "", "packed with xz", "unpack it first: unxz FILE"},
    {0, "\x04\x22\x4d\x18"sv, "", "packed with lz4", "unpack it first: unlz4 FILE"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "", "a 7-Zip archive", "unpack it first"},
    {0, "Rar!\x1a\x07"sv, "", "a RAR archive", "unpack it first"},
    {257, "ustar"sv, "", "a tar archive", "unpack it with: tar xf FILE"},
    {0, "\x93NUMPY"sv, "", "a NumPy array (.npy)",
     "make it a matrix of anndata.AnnData(scipy.sparse.csr_matrix(array)) and write it with write_h5ad()"},
    {0, "X\n\x00\x00\x00"sv, "", "an R object", "write it from R as .h5ad (zellkonverter, sceasy)"},
    {0, "RDX"sv, "", "R data", "write it from R as .h5ad (zellkonverter, sceasy)"},
    {0, "\x80\x02"sv, "", "a Python pickle", "load it and write it with write_h5ad() or to_parquet()"},
    {0, "\x80\x03"sv, "", "a Python pickle", "load it and write it with write_h5ad() or to_parquet()"},
    {0, "\x80\x04\x95"sv, "", "a Python pickle", "load it and write it with write_h5ad() or to_parquet()"},
    {0, "\x80\x05\x95"sv, "", "a Python pickle", "load it and write it with write_h5ad() or to_parquet()"},
    {0, "ARROW1"sv, "", "an Arrow IPC (Feather) file",
     "write it as Parquet: pandas.read_feather(FILE).to_parquet()"},
    {0, "ORC"sv, "", "an ORC file", "write it as Parquet: pandas.read_orc(FILE).to_parquet()"},
    {0, "SQLite format 3"sv, "", "an SQLite database", "write its table with to_parquet()"},
    {0, "%PDF"sv, "", "a PDF document", "look at where it was downloaded from: it is not the data"},
    {0, "\x89PNG"sv, "", "a PNG image", "look at where it was downloaded from: it is not the data"},
    {0, "%%MatrixMarket"sv, "", "a Matrix Market file",
     "read it with scanpy.read_mtx() or read_10x_mtx() and write it with write_h5ad(), sparse (CSR)"},
};

// Files shorter than a signature do not have it.
bool starts(std::string_view text, std::size_t at, std::string_view with) {
  return text.size() >= at + with.size() && text.substr(at, with.size()) == with;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

Status other(const std::string& path, std::string_view is, std::string_view way_out) {
  return Status::unsupported(
      fmt::format("{}: is {}, not a .h5ad (HDF5) or Parquet file; {}", path, is, way_out));
}

// What is no data of any kind.
// The same words, with another code: the file is damaged and not of another kind.
Status no_data(const std::string& path, std::string_view is, std::string_view way_out) {
  return Status::corrupt(other(path, is, way_out).message());
}

// A zip archive by the names of its first members, which lie in plain text between them.
Status zip(const std::string& path, std::string_view head) {
  const auto names = [head](std::string_view part) { return head.find(part) != std::string_view::npos; };
  if (names(".zgroup") || names(".zattrs") || names(".zarray") || names("zarr.json") || names(".zmetadata") ||
      lower(path).ends_with(".zarr.zip")) {
    return other(path, "a zarr store packed as zip",
                 "unpack it, then convert it: anndata.read_zarr(FOLDER).write_h5ad(NEW_FILE)");
  }
  if (names(".npy")) {
    return other(
        path, "a NumPy archive (.npz)",
        "a sparse matrix in it: anndata.AnnData(scipy.sparse.load_npz(FILE).tocsr()).write_h5ad(NEW_FILE)");
  }
  if (names("[Content_Types].xml")) {
    return other(path, "an Office document (.xlsx)",
                 "read it with pandas.read_excel() and write it with to_parquet()");
  }
  return other(path, "a zip archive", "unpack it first: unzip FILE");
}

bool is_text(std::string_view head) {
  return std::all_of(head.begin(), head.end(), [](unsigned char c) {
    return c >= 0x20 || c == '\t' || c == '\n' || c == '\r' || c == '\f';
  });
}

Status text(const std::string& path, std::string_view head) {
  std::string start = lower(head.substr(0, 1024));
  // Spreadsheets put a byte order mark in front of text.
  if (start.starts_with("\xef\xbb\xbf")) start.erase(0, 3);
  start.erase(0, std::min(start.find_first_not_of(" \t\r\n"), start.size()));
  if (start.starts_with("<!doctype html") || start.starts_with("<html")) {
    return no_data(path, "an HTML page, as a download that failed leaves behind",
                   "open it in a browser to see why, and download the file again");
  }
  if (start.starts_with("<?xml") || start.starts_with("<error")) {
    return no_data(path, "an XML document, as a download that failed leaves behind",
                   "look into it to see why, and download the file again");
  }
  if (start.starts_with("{") || start.starts_with("[")) {
    return no_data(path, "JSON text", "look at where it was downloaded from: it is not the data");
  }
  const std::string_view line = std::string_view(start).substr(0, start.find('\n'));
  const bool tabs = line.find('\t') != std::string_view::npos,
             commas = line.find(',') != std::string_view::npos;
  if (tabs || commas) {
    return other(path, tabs ? "text, a table with tabs (TSV)" : "text, a table with commas (CSV)",
                 fmt::format("read it with {} and write it with write_h5ad(), sparse (CSR): "
                             "anndata.AnnData(scipy.sparse.csr_matrix(frame), ...)",
                             tabs ? "pandas.read_csv(FILE, sep=\"\\t\", index_col=0)"
                                  : "pandas.read_csv(FILE, index_col=0)"));
  }
  return no_data(path, "text", "look into it: a download that failed leaves its message behind");
}

Status unknown(const std::string& path, std::string_view head, ByteCount size) {
  if (size == 0) {
    return Status::corrupt(
        fmt::format("{}: is empty (0 bytes): it was not written or not downloaded to its end; write, copy or "
                    "download it again",
                    path));
  }
  for (const Kind& kind : kKinds) {
    if (starts(head, kind.at, kind.bytes) && lower(path).ends_with(kind.ending)) {
      return other(path, kind.is, kind.way_out);
    }
  }
  if (starts(head, 0, "PK\x03\x04"sv) || starts(head, 0, "PK\x05\x06"sv)) return zip(path, head);
  if (is_text(head)) return text(path, head);
  // File systems hand out zeros for what was never written, so that this is a copy that did not end.
  if (std::all_of(head.begin(), head.end(), [](char c) { return c == 0; })) {
    return Status::corrupt(
        fmt::format("{}: begins with {} zero bytes: a copy or download that was not finished; make it again",
                    path, head.size()));
  }
  return Status::corrupt(
      fmt::format("{}: is not an HDF5 or Parquet file: no signature of either in its {} bytes, which begin "
                  "with {:02x} {:02x} {:02x} {:02x}; {}",
                  path, size, static_cast<unsigned char>(head[0]),
                  static_cast<unsigned char>(head[std::min<std::size_t>(1, head.size() - 1)]),
                  static_cast<unsigned char>(head[std::min<std::size_t>(2, head.size() - 1)]),
                  static_cast<unsigned char>(head[std::min<std::size_t>(3, head.size() - 1)]), kToH5ad));
}

}  // namespace

Status other_file(const std::string& path, const File& file) {
  std::string head(std::min<ByteCount>(file.size(), kHead), '\0');
  PENSTOCK_RETURN_IF_ERROR(file.read_at(0, std::as_writable_bytes(std::span(head))));
  return unknown(path, head, file.size());
}

Status other_folder(const std::string& path) {
  const auto has = [&](const char* name) { return exists(inside(path, name)); };
  if (has(".zgroup") || has(".zattrs") || has(".zarray") || has("zarr.json") || has(".zmetadata")) {
    return Status::unsupported(
        fmt::format("{}: is a zarr store, which is not read yet; convert it: "
                    "anndata.read_zarr(FOLDER).write_h5ad(NEW_FILE)",
                    path));
  }
  if (has("matrix.mtx") || has("matrix.mtx.gz")) {
    return Status::unsupported(
        fmt::format("{}: is a folder of 10x text files (matrix.mtx); convert it: "
                    "scanpy.read_10x_mtx(FOLDER).write_h5ad(NEW_FILE)",
                    path));
  }
  // TileDB's older and newer layout of a group.
  if (has("__tiledb_group.tdb") || has("__group")) {
    return Status::unsupported(fmt::format(
        "{}: is a TileDB-SOMA store, which is not read; export it with tiledbsoma.io.to_h5ad()", path));
  }
  if (has("dataset_info.json") && has("state.json")) {
    return Status::unsupported(fmt::format(
        "{}: is a data set saved by Hugging Face datasets (Arrow); write it with to_parquet()", path));
  }
  return Status::path_not_found(fmt::format("{}: no .h5ad or .parquet file in this directory", path));
}

}  // namespace penstock::internal
