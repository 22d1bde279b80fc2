#define DWCA_ISA avx512
#define DWCA_OWN_ONLY  // the rest is that of the set below
#include "isa.inc"
