# CMake toolchain file: the clang of PyPI's ziglang, which brings its own headers, C++ library and linker, so that no
# compiler of the machine is needed and the result needs nothing but a glibc of at least DWCA_GLIBC.
# -D DWCA_PROCESSOR=x86_64|aarch64, -D DWCA_ZIG=the zig program
set(DWCA_GLIBC 2.28)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES DWCA_PROCESSOR DWCA_ZIG)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${DWCA_PROCESSOR})
set(CMAKE_CXX_COMPILER ${DWCA_ZIG} c++ -target ${DWCA_PROCESSOR}-linux-gnu.${DWCA_GLIBC})
# zig is one program for all; these take the place of the two that CMake would look for.
set(CMAKE_CXX_ARCHIVE_CREATE "\"${DWCA_ZIG}\" ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "\"${DWCA_ZIG}\" ranlib <TARGET>")
# zig compiles its C++ library when it first links for a target, which takes a minute: not for CMake's trials as well.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
