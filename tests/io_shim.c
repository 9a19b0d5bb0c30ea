// LD_PRELOAD library: counts what a process really reads from .h5ad and .parquet files, apart from its own accounting, and makes
// those reads misbehave on request. tests/python/io_shim.py builds and drives it.
//
// Counted: bytes and calls of read, readv, pread and preadv, and the length of file mappings. Files are told by
// /proc/self/fd, so nothing has to be known about how they were opened. At exit, "bytes calls path" lines go to
// $PENSTOCK_SHIM_OUT. A process that has the library loaded can also ask it by ctypes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { kPaths = 64, kPathBytes = 512 };
static struct {
  char path[kPathBytes];
  unsigned long long bytes, calls;
} table[kPaths];
static int n_paths;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

// Faults of pread: 0 none, 1 short, 2 EINTR every other call, 3 EIO once, 4 EIO from there on.
static atomic_int fault_kind;
static atomic_long fault_nth, fault_seen;

static int data_file(int fd, char* path) {
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, kPathBytes - 1);
  if (n < 0) return 0;
  path[n] = 0;
  const char* suffix = strrchr(path, '.');
  return suffix != NULL && (strcmp(suffix, ".h5ad") == 0 || strcmp(suffix, ".parquet") == 0);
}

static void count(const char* path, long long bytes) {
  if (bytes <= 0) return;
  pthread_mutex_lock(&mutex);
  int i = 0;
  while (i < n_paths && strcmp(table[i].path, path) != 0) ++i;
  if (i == kPaths) abort();  // a silent miscount would be worse
  if (i == n_paths) strcpy(table[n_paths++].path, path);
  table[i].bytes += (unsigned long long)bytes;
  ++table[i].calls;
  pthread_mutex_unlock(&mutex);
}

unsigned long long penstock_shim_bytes(void) {
  unsigned long long sum = 0;
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < n_paths; ++i) sum += table[i].bytes;
  pthread_mutex_unlock(&mutex);
  return sum;
}
unsigned long long penstock_shim_calls(void) {
  unsigned long long sum = 0;
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < n_paths; ++i) sum += table[i].calls;
  pthread_mutex_unlock(&mutex);
  return sum;
}
void penstock_shim_fault(int kind, long nth) {
  fault_nth = nth;
  fault_seen = 0;
  fault_kind = kind;
}

__attribute__((constructor)) static void start(void) {
  const char* kind = getenv("PENSTOCK_SHIM_FAULT");
  if (kind != NULL) fault_kind = atoi(kind);
}
__attribute__((destructor)) static void finish(void) {
  const char* out = getenv("PENSTOCK_SHIM_OUT");
  FILE* file = out == NULL ? NULL : fopen(out, "w");
  if (file == NULL) return;
  for (int i = 0; i < n_paths; ++i) fprintf(file, "%llu %llu %s\n", table[i].bytes, table[i].calls, table[i].path);
  fclose(file);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static ssize_t counted_pread(int fd, void* data, size_t bytes, off_t offset) {
  static __typeof__(&pread) real;
  if (real == NULL) real = REAL(pread);
  char path[kPathBytes];
  if (!data_file(fd, path)) return real(fd, data, bytes, offset);
  const int kind = fault_kind;
  const long seen = kind == 0 ? 0 : ++fault_seen;
  if (kind == 1 && bytes > 1) bytes = 1 + (size_t)(offset * 31 + seen * 7) % (bytes < 5000 ? bytes : 5000);
  if (kind == 2 && seen % 2 == 1) {
    errno = EINTR;
    return -1;
  }
  if ((kind == 3 && seen == fault_nth) || (kind == 4 && seen >= fault_nth)) {
    errno = EIO;
    return -1;
  }
  const ssize_t n = real(fd, data, bytes, offset);
  count(path, n);
  return n;
}

ssize_t pread(int fd, void* data, size_t bytes, off_t offset) { return counted_pread(fd, data, bytes, offset); }
ssize_t pread64(int fd, void* data, size_t bytes, off_t offset) { return counted_pread(fd, data, bytes, offset); }

ssize_t read(int fd, void* data, size_t bytes) {
  const ssize_t n = REAL(read)(fd, data, bytes);
  const int error = errno;
  char path[kPathBytes];
  if (n > 0 && data_file(fd, path)) count(path, n);
  errno = error;
  return n;
}
ssize_t readv(int fd, const struct iovec* parts, int n_parts) {
  const ssize_t n = REAL(readv)(fd, parts, n_parts);
  char path[kPathBytes];
  if (n > 0 && data_file(fd, path)) count(path, n);
  return n;
}
ssize_t preadv(int fd, const struct iovec* parts, int n_parts, off_t offset) {
  const ssize_t n = REAL(preadv)(fd, parts, n_parts, offset);
  char path[kPathBytes];
  if (n > 0 && data_file(fd, path)) count(path, n);
  return n;
}

static void* counted_mmap(void* at, size_t bytes, int protection, int flags, int fd, off_t offset) {
  static __typeof__(&mmap) real;
  if (real == NULL) real = REAL(mmap);
  void* p = real(at, bytes, protection, flags, fd, offset);
  char path[kPathBytes];
  if (fd >= 0 && p != MAP_FAILED && data_file(fd, path)) count(path, (long long)bytes);
  return p;
}
void* mmap(void* at, size_t bytes, int protection, int flags, int fd, off_t offset) {
  return counted_mmap(at, bytes, protection, flags, fd, offset);
}
void* mmap64(void* at, size_t bytes, int protection, int flags, int fd, off_t offset) {
  return counted_mmap(at, bytes, protection, flags, fd, offset);
}
