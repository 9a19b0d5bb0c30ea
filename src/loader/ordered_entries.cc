// Files are cut into pieces of equal numbers of rows, and a run of pieces slides over all of them: one Pieces
// is ahead and adds, another one follows and takes away. So the sum over each run costs two looks at a piece,
// and nothing is held but the sum. How many entries a piece has at most is known in two ways, and the smaller
// one counts: from the chunks that its rows lie in, and from the longest rows of the file.
//
// Worked example: a batch_size of 100, so that runs are of 400 rows and pieces of 100. A run that begins with
// the last row of piece 0 ends in piece 4. So the bound is the most entries of five pieces side by side.
#include "loader/ordered_entries.h"

#include <algorithm>

namespace penstock::loader {
namespace {

// Runs of rows of the files in order, those without a selected row left out.
class Pieces {
 public:
  Pieces(std::span<const internal::FilePart> parts, std::uint64_t batch_size)
      : parts_(parts), batch_size_(batch_size) {}

  struct Piece {
    std::uint64_t selected = 0, entries = 0;  // entries: at most
  };
  bool next(Piece* piece) {
    for (; file_ < parts_.size(); ++file_, first_ = rank_ = longest_of_ = 0) {
      const internal::FilePart& part = parts_[file_];
      const SourceTraits& t = part.source->traits();
      const std::uint64_t step = std::max<std::uint64_t>({batch_size_, 64, t.n_rows >> 16});
      while (first_ < t.n_rows) {
        const RowRange range{first_, std::min(t.n_rows, first_ + step)};
        first_ = range.last;
        std::uint64_t selected = range.size();
        // rank(row) is how many selected rows there are up to that one, itself included. So the difference of
        // two ranks is how many lie in between, without going through them.
        if (part.selected) {
          const std::uint64_t rank = part.selected->rank(static_cast<std::uint32_t>(range.last - 1));
          selected = rank - rank_;
          rank_ = rank;
        }
        if (selected == 0) continue;
        // Most pieces of a file are of one size.
        if (selected != longest_of_) longest_ = t.lengths.longest_sum(longest_of_ = selected);
        *piece = {selected, std::min(part.source->most_entries(range), longest_)};
        return true;
      }
    }
    return false;
  }

 private:
  std::span<const internal::FilePart> parts_;
  std::uint64_t batch_size_;
  std::size_t file_ = 0;
  RowIndex first_ = 0;
  std::uint64_t rank_ = 0;
  std::uint64_t longest_of_ = 0, longest_ = 0;  // the longest_sum() of so many rows of the file
};

}  // namespace

std::uint64_t ordered_entries(std::span<const internal::FilePart> parts, std::uint64_t batch_size) {
  // A run of `rows` selected rows that begins in a piece ends at the latest in the one that makes the pieces
  // behind the first hold as many.
  const std::uint64_t rows = 4 * batch_size;
  Pieces begins(parts, batch_size), ends(parts, batch_size);
  Pieces::Piece first, last;
  std::uint64_t most = 0, entries = 0, selected = 0;
  while (begins.next(&first)) {
    while (selected < first.selected + rows && ends.next(&last)) {
      entries += last.entries;
      selected += last.selected;
    }
    most = std::max(most, entries);
    entries -= first.entries;
    selected -= first.selected;
  }
  return most;
}

}  // namespace penstock::loader
