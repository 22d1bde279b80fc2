#define DWCA_ISA neon
#include "isa.inc"
