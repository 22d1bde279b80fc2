// A kernel's taps as they are multiplied by: [tap][L].
#pragma once

#include <cstddef>

#include "layer.h"
#include "vector.h"

namespace dwca {
namespace DWCA_ISA {

template <class T, int L>
struct Taps {
  static std::size_t weights_size(const Layer& layer) { return sizeof(T) * layer.kernel * layer.kernel * L; }

  static void prepare(const Layer& layer, const float* weights, int channels, void* prepared) {
    T* to = static_cast<T*>(prepared);
    const int taps = layer.kernel * layer.kernel;
    for (int tap = 0; tap < taps; ++tap)
      for (int lane = 0; lane < L; ++lane) *to++ = lane < channels ? T(weights[lane * taps + tap]) : T(0);
  }
};

}  // namespace DWCA_ISA
}  // namespace dwca
