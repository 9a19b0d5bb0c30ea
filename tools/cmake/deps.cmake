# Every third-party dependency, found on the system (Debian package in brackets).
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)              # libfmt-dev
find_package(ZLIB REQUIRED)             # zlib1g-dev
find_package(roaring CONFIG REQUIRED)   # libroaring-dev
find_package(nlohmann_json REQUIRED)    # nlohmann-json3-dev
find_package(PkgConfig REQUIRED)
pkg_check_modules(libdeflate REQUIRED IMPORTED_TARGET libdeflate)  # libdeflate-dev
pkg_check_modules(libhwy REQUIRED IMPORTED_TARGET libhwy)          # libhwy-dev
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)           # libzstd-dev
pkg_check_modules(lz4 REQUIRED IMPORTED_TARGET liblz4)             # liblz4-dev
pkg_check_modules(brotli REQUIRED IMPORTED_TARGET libbrotlidec)    # libbrotli-dev
find_package(Snappy REQUIRED)                                      # libsnappy-dev
find_library(LZF_LIBRARY lzf REQUIRED)                             # liblzf-dev
find_path(LZF_INCLUDE_DIR liblzf/lzf.h REQUIRED)
if(PENSTOCK_BUILD_CLI)
  find_package(CLI11 REQUIRED)          # libcli11-dev
endif()
if(PENSTOCK_BUILD_TESTS)
  find_package(GTest REQUIRED)          # libgtest-dev libgmock-dev
  pkg_check_modules(brotlienc REQUIRED IMPORTED_TARGET libbrotlienc)  # libbrotli-dev
endif()
if(PENSTOCK_BUILD_BENCHMARKS)
  find_package(benchmark REQUIRED)      # libbenchmark-dev
endif()
