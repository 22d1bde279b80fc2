#define DWCA_ISA neon_fp16
#define DWCA_OWN_ONLY  // the rest is that of the set below
#include "isa.inc"
