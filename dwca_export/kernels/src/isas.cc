#include "isas.h"

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstdint>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace dwca {
namespace {

/// Adds an instruction set that has new kernels for its widest vectors, and those of the last one for all else.
[[maybe_unused]] void extend(std::vector<Isa>& found, Isa isa) {
  static std::vector<Kernel> rows;
  rows.assign(isa.table.begin(), isa.table.end());
  rows.insert(rows.end(), found.back().table.begin(), found.back().table.end());
  isa.table = {rows.data(), int(rows.size())};
  found.push_back(isa);
}

#if defined(__x86_64__)
struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(unsigned leaf) {
  Registers r;
  __get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c, &r.d);
  return r;
}

// Which registers the operating system saves: bits 1, 2 SSE and AVX, bits 5 to 7 AVX-512.
std::uint64_t saved_registers() {
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t(high) << 32 | low;
}

// Bits as in Intel's manual, volume 2A, CPUID.
void add_of_this_cpu(std::vector<Isa>& found) {
  const auto all = [](std::uint64_t value, std::uint64_t bits) { return (value & bits) == bits; };
  constexpr unsigned fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29, avx2 = 1u << 5;
  constexpr unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // F, DQ, BW, VL
  if (!all(cpuid(1).c, fma | osxsave | avx | f16c) || !all(cpuid(7).b, avx2) || !all(saved_registers(), 0x6)) return;
  found.push_back(isa_avx2());
  if (all(cpuid(7).b, avx512) && all(saved_registers(), 0xe6)) extend(found, isa_avx512());
}
#elif defined(__aarch64__)
bool has_fp16() {
#if defined(__linux__)
  return getauxval(AT_HWCAP) & HWCAP_ASIMDHP;
#elif defined(__APPLE__)
  return true;  // of every 64-bit Mac
#else
  return false;
#endif
}

void add_of_this_cpu(std::vector<Isa>& found) {
  found.push_back(isa_neon());
  if (has_fp16()) extend(found, isa_neon_fp16());
}
#else
void add_of_this_cpu(std::vector<Isa>&) {}
#endif

}  // namespace

const std::vector<Isa>& isas() {
  static const std::vector<Isa> found = [] {
    std::vector<Isa> all{isa_scalar()};
    add_of_this_cpu(all);
    return all;
  }();
  return found;
}

}  // namespace dwca
