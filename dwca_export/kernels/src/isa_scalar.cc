// Plain C++: no vectors, on any CPU.
#define DWCA_ISA scalar
#define DWCA_SCALAR
#include "isa.inc"
