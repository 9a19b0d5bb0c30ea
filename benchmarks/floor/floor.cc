// The floor under every loader: read each chunk of a list, inflate it, do nothing with it.
//
//   floor --threads 2 --repeats 3 chunks.tsv              T threads: pread, inflate, next
//   floor --threads 2 --readers 16 chunks.tsv             cold disks: 16 threads read ahead, T threads
//   inflate
//
// The list comes from tools/chunk_list.py: "path<TAB>offset<TAB>stored bytes<TAB>raw bytes" per chunk. The
// inflate is libdeflate's, as in the engine; buffers are made once. One JSON object goes to stdout.
#include <fcntl.h>
#include <libdeflate.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Chunk {
  int fd;
  std::uint64_t offset, stored, raw;
};

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "floor: %s\n", message.c_str());
  std::exit(1);
}

std::vector<Chunk> read_list(const std::string& path) {
  std::ifstream in(path);
  if (!in) die("cannot open " + path);
  std::vector<Chunk> chunks;
  std::map<std::string, int> files;
  std::string line;
  while (std::getline(in, line)) {
    const std::size_t tab = line.find('\t');
    if (line.empty() || line[0] == '#') continue;
    if (tab == std::string::npos) die("not a chunk list: " + line);
    const std::string name = line.substr(0, tab);
    auto [file, is_new] = files.try_emplace(name, -1);
    if (is_new && (file->second = open(name.c_str(), O_RDONLY | O_CLOEXEC)) < 0) die("cannot open " + name);
    Chunk chunk{file->second, 0, 0, 0};
    std::istringstream numbers(line.substr(tab));
    if (!(numbers >> chunk.offset >> chunk.stored >> chunk.raw)) die("not a chunk list: " + line);
    chunks.push_back(chunk);
  }
  if (chunks.empty()) die("no chunks in " + path);
  return chunks;
}

void read_chunk(const Chunk& chunk, char* out) {
  std::uint64_t done = 0;
  while (done < chunk.stored) {
    const ssize_t n =
        pread(chunk.fd, out + done, chunk.stored - done, static_cast<off_t>(chunk.offset + done));
    if (n <= 0) die("short read at byte " + std::to_string(chunk.offset + done));
    done += static_cast<std::uint64_t>(n);
  }
}

// One per decode thread.
class Inflater {
 public:
  explicit Inflater(std::uint64_t largest) : out_(largest), state_(libdeflate_alloc_decompressor()) {}
  ~Inflater() { libdeflate_free_decompressor(state_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  void inflate(const Chunk& chunk, const char* in) {
    const auto result = libdeflate_zlib_decompress(state_, in, chunk.stored, out_.data(), chunk.raw, nullptr);
    if (result != LIBDEFLATE_SUCCESS) die("bad chunk at byte " + std::to_string(chunk.offset));
  }

 private:
  std::vector<char> out_;
  libdeflate_decompressor* state_;
};

struct Sizes {
  std::uint64_t stored = 0, raw = 0;  // of the largest chunk
};

// T threads draw from one counter.
void run_plain(const std::vector<Chunk>& chunks, Sizes largest, unsigned threads) {
  std::atomic<std::size_t> next{0};
  auto work = [&] {
    std::vector<char> in(largest.stored);
    Inflater inflater(largest.raw);
    for (std::size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < chunks.size();) {
      read_chunk(chunks[i], in.data());
      inflater.inflate(chunks[i], in.data());
    }
  };
  std::vector<std::thread> pool;
  for (unsigned t = 0; t < threads; ++t) pool.emplace_back(work);
  for (auto& thread : pool) thread.join();
}

// Readers fill buffers of a fixed pool, threads empty them.
void run_readers(const std::vector<Chunk>& chunks, Sizes largest, unsigned threads, unsigned readers) {
  struct Full {
    std::size_t chunk;
    char* bytes;
  };
  std::vector<std::unique_ptr<char[]>> buffers;
  std::vector<char*> empty;
  for (unsigned i = 0; i < 2 * readers + threads; ++i) {
    buffers.push_back(std::make_unique<char[]>(largest.stored));
    empty.push_back(buffers.back().get());
  }
  std::vector<Full> full;
  std::mutex mutex;
  std::condition_variable has_empty, has_full;
  std::atomic<std::size_t> next{0};
  std::size_t taken = 0;  // chunks that a decode thread has taken

  auto read = [&] {
    for (std::size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < chunks.size();) {
      char* bytes;
      {
        std::unique_lock lock(mutex);
        has_empty.wait(lock, [&] { return !empty.empty(); });
        bytes = empty.back();
        empty.pop_back();
      }
      read_chunk(chunks[i], bytes);
      {
        std::lock_guard lock(mutex);
        full.push_back({i, bytes});
      }
      has_full.notify_one();
    }
  };
  auto work = [&] {
    Inflater inflater(largest.raw);
    for (;;) {
      Full item;
      {
        std::unique_lock lock(mutex);
        has_full.wait(lock, [&] { return !full.empty() || taken == chunks.size(); });
        if (full.empty()) return;
        item = full.back();
        full.pop_back();
        if (++taken == chunks.size()) has_full.notify_all();
      }
      inflater.inflate(chunks[item.chunk], item.bytes);
      {
        std::lock_guard lock(mutex);
        empty.push_back(item.bytes);
      }
      has_empty.notify_one();
    }
  };
  std::vector<std::thread> pool;
  for (unsigned t = 0; t < threads; ++t) pool.emplace_back(work);
  for (unsigned t = 0; t < readers; ++t) pool.emplace_back(read);
  for (auto& thread : pool) thread.join();
}

}  // namespace

int main(int argc, char** argv) {
  unsigned threads = 1, readers = 0, repeats = 1;
  std::string list;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    unsigned* number = arg == "--threads"   ? &threads
                       : arg == "--readers" ? &readers
                       : arg == "--repeats" ? &repeats
                                            : nullptr;
    if (number != nullptr && i + 1 < argc) {
      *number = static_cast<unsigned>(std::strtoul(argv[++i], nullptr, 10));
    } else if (list.empty() && arg[0] != '-') {
      list = arg;
    } else {
      die("usage: floor [--threads N] [--readers N] [--repeats N] chunks.tsv");
    }
  }
  if (list.empty() || threads == 0 || repeats == 0)
    die("a chunk list, and at least 1 thread and repeat, are needed");

  const std::vector<Chunk> chunks = read_list(list);
  Sizes largest, total;
  for (const Chunk& chunk : chunks) {
    largest = {std::max(largest.stored, chunk.stored), std::max(largest.raw, chunk.raw)};
    total = {total.stored + chunk.stored, total.raw + chunk.raw};
  }
  std::vector<double> seconds;
  for (unsigned r = 0; r < repeats; ++r) {
    const auto start = std::chrono::steady_clock::now();
    if (readers != 0) {
      run_readers(chunks, largest, threads, readers);
    } else {
      run_plain(chunks, largest, threads);
    }
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  std::printf(
      "{\"threads\": %u, \"readers\": %u, \"chunks\": %zu, \"stored_bytes\": %llu, \"raw_bytes\": %llu, ",
      threads, readers, chunks.size(), static_cast<unsigned long long>(total.stored),
      static_cast<unsigned long long>(total.raw));
  std::printf("\"median_seconds\": %.6f, \"seconds\": [", sorted[sorted.size() / 2]);
  for (std::size_t i = 0; i < seconds.size(); ++i) std::printf("%s%.6f", i != 0 ? ", " : "", seconds[i]);
  std::printf("]}\n");
  return 0;
}
