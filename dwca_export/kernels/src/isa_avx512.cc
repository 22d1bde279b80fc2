#define DWCA_ISA avx512
#include "isa.inc"
