#define DWCA_ISA neon_fp16
#define DWCA_FP16_ONLY
#include "isa.inc"
