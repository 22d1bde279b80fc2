// The instruction sets of this binary.
#pragma once

#include <cstddef>
#include <vector>

#include "dwca/job.h"

namespace dwca {

struct Isa {
  const char* name;
  Table table;
  int multiply_adds_at_once;
  float (*multiply_add)();
  void (*copy)(const float* from, float* to, std::size_t count);
};

Isa isa_scalar();
Isa isa_avx2();
Isa isa_avx512();
Isa isa_neon();
Isa isa_neon_fp16();

/// Those that this CPU and its operating system can run, from the plainest to the best.
const std::vector<Isa>& isas();

}  // namespace dwca
