# The one place for compiler flags: every target links penstock_flags.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
# Line tables are enough for stack traces and profiles, and halve the size of what is built.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(penstock_flags INTERFACE)
target_compile_options(penstock_flags INTERFACE -Wall -Wextra -Wnon-virtual-dtor)
# src/base/mutex.h: which mutex guards what. The clang builds (asan, tsan) check it.
target_compile_options(penstock_flags INTERFACE $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety -Werror=thread-safety>)
# The order of rows follows from sizes worked out in doubles: a * b + c is rounded twice, on every machine. (What else such
# sizes may use is checked by tools/check_layers.py.)
target_compile_options(penstock_flags INTERFACE -ffp-contract=off)
# No AVX-512 kernels (Highway's bits of the x86 targets above AVX2): they run no faster than AVX2 ones on rows of this
# size, and on Intel the clock they cost slows inflate, which is most of the time, by 4 % (benchmarks/engine on a Xeon,
# 108,100 to 112,800 cells/s).
target_compile_definitions(penstock_flags INTERFACE HWY_DISABLED_TARGETS=0x1FF)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(penstock_flags INTERFACE -Wshadow=local)
  target_compile_options(penstock_flags INTERFACE -Wno-restrict)  # false positives of GCC 12 in std::string
endif()
if(PENSTOCK_WERROR)
  target_compile_options(penstock_flags INTERFACE -Werror)
endif()
if(PENSTOCK_SANITIZE)
  target_compile_options(penstock_flags INTERFACE -fsanitize=${PENSTOCK_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(penstock_flags INTERFACE -fsanitize=${PENSTOCK_SANITIZE})
endif()
