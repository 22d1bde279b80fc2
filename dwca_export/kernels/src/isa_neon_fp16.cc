#define DWCA_ISA neon_fp16
#include "isa.inc"
