// What is applied to a finished sum. A NaN stays one.
#pragma once

#include "layer.h"
#include "vector.h"

namespace dwca {
namespace DWCA_ISA {

template <class V>
DWCA_INLINE V at_least(V value, V least) {
  return value < least ? least : value;
}

template <class V>
DWCA_INLINE V at_most(V value, V most) {
  return value > most ? most : value;
}

/// Applies it to all of an array of vectors with elements of type T.
template <class T, int L, int Count>
DWCA_INLINE void activate(Vector<T, L> (&values)[Count], Activation activation) {
  using V = Vector<T, L>;
  const V zero{}, six = splat<T, L>(6);
  switch (activation) {
    case Activation::none:
      break;
    case Activation::relu:
      unroll<Count>([&](auto i) DWCA_INLINED { values[i] = at_least(values[i], zero); });
      break;
    case Activation::relu6:
      unroll<Count>([&](auto i) DWCA_INLINED { values[i] = at_most(at_least(values[i], zero), six); });
      break;
    case Activation::hardswish:
      unroll<Count>([&](auto i) DWCA_INLINED {
        const V gate = at_most(at_least(values[i] + splat<T, L>(3), zero), six);
        values[i] = values[i] * (gate * splat<T, L>(T(1.0 / 6)));
      });
      break;
  }
}

}  // namespace DWCA_ISA
}  // namespace dwca
