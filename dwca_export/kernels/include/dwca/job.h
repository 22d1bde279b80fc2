// What a kernel is told, and what it tells of itself: the border between code of one instruction set and all other.
#pragma once

#include <cstddef>

#include "layer.h"

namespace dwca {

/// Output rows [begin, end) of a block of channels.
struct Job {
  const Layer& layer;
  const Format& format;
  const void* in;  // at the block's first channel
  void* out;
  std::ptrdiff_t in_plane, out_plane;  // planar: numbers from one channel to the next
  int channels;                        // of the block; fewer than the kernel's lanes only if planar
  const void* weights;                 // as the kernel prepared them
  const void* bias;                    // [lanes] in the type that is computed with, or null
  void* workspace;
  int begin, end;
};

/// A row of the table of kernels.
struct Kernel {
  const char* algorithm;
  int kernel, stride;  // 0: any
  int lanes;           // channels that it computes at once
  Arithmetic arithmetic;
  std::size_t (*weights_size)(const Layer&);  // bytes for a block of channels
  /// weights: [channels][kernel * kernel]; prepared: weights_size bytes.
  void (*prepare)(const Layer&, const float* weights, int channels, void* prepared);
  std::size_t (*workspace_size)(const Layer&);  // bytes
  void (*run)(const Job&);
};

struct Table {
  const Kernel* rows;
  int size;
  const Kernel* begin() const { return rows; }
  const Kernel* end() const { return rows + size; }
};

}  // namespace dwca
