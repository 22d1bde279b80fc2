#define DWCA_ISA avx2
#include "isa.inc"
