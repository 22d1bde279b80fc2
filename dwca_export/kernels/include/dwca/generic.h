// Any kernel size, stride and dilation, by the definition. Every other kernel is measured against it.
#pragma once

#include "activation.h"
#include "job.h"
#include "rows.h"
#include "taps.h"

namespace dwca {
namespace DWCA_ISA {

template <class T, int L>
struct Generic : Taps<T, L> {
  static std::size_t row(const Layer& layer) { return row_size<T, L>(padded_width(layer)); }

  static std::size_t workspace_size(const Layer& layer) {
    return sizeof(T) * ((layer.extent() + 1) * row(layer) + row_size<T, L>(layer.out_width()));
  }

  static void run(const Job& job) {
    const Layer& layer = job.layer;
    const Transport<T> via = transport<T, L>(job.format);
    T* const memory = static_cast<T*>(job.workspace);
    for (int i = 0; i < layer.extent(); ++i) clear_padding<T, L>(memory + i * row(layer), layer, row(layer));
    RowRing<T> ring(memory, layer.extent(), row(layer), layer.height);
    const OutputRows<T, L> output(job, via, memory + (layer.extent() + 1) * row(layer));
    for (int y = job.begin; y < job.end; ++y) {
      T* out = output.row(y, 0);
      const Vector<T, L> bias = job.bias ? load<L>(static_cast<const T*>(job.bias)) : Vector<T, L>{};
      for (int x = 0; x < layer.out_width(); ++x) store(out + std::ptrdiff_t(x) * L, bias);
      for (int i = 0; i < layer.extent(); ++i) {
        const int source = y * layer.stride - layer.pad_top + i;
        const T* in = ring.row(source, [&](T* to) { via.load(job, source, to + std::ptrdiff_t(layer.pad_left) * L); });
        if (i % layer.dilation == 0) add_row(job, i / layer.dilation, in, out);
      }
      finish(layer, out);
      output.finish(y, 0);
    }
  }

 private:
  /// Adds what the kernel's row i makes of an input row.
  static void add_row(const Job& job, int i, const T* in, T* out) {
    const Layer& layer = job.layer;
    const T* weights = static_cast<const T*>(job.weights) + std::ptrdiff_t(i) * layer.kernel * L;
    for (int x = 0; x < layer.out_width(); ++x) {
      Vector<T, L> sum = load<L>(out + std::ptrdiff_t(x) * L);
      for (int j = 0; j < layer.kernel; ++j)
        sum += load<L>(weights + j * L) * load<L>(in + std::ptrdiff_t(x * layer.stride + j * layer.dilation) * L);
      store(out + std::ptrdiff_t(x) * L, sum);
    }
  }

  static void finish(const Layer& layer, T* out) {
    for (int x = 0; x < layer.out_width(); ++x) {
      Vector<T, L> result[1] = {load<L>(out + std::ptrdiff_t(x) * L)};
      activate<T, L>(result, layer.activation);
      store(out + std::ptrdiff_t(x) * L, result[0]);
    }
  }
};

}  // namespace DWCA_ISA
}  // namespace dwca
