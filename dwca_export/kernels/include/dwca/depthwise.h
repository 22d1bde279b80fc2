// A depthwise convolution that is ready to run:
//
//     dwca::Depthwise convolution(layer, format, dwca::native::table(), "direct", weights, bias);
//     convolution.run(in, out);
//
// Include kernels.h too for dwca::native::table(), the kernels of the instruction set that the compiler is told to use
// (-march=native).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>

#include "job.h"
#include "storage.h"

namespace dwca {

/// Memory that begins at a cache line.
class Aligned {
 public:
  explicit Aligned(std::size_t bytes) : data_(::operator new(std::max<std::size_t>(bytes, 1), std::align_val_t(64))) {}
  void* at(std::size_t offset) const { return static_cast<char*>(data_.get()) + offset; }

 private:
  struct Free {
    void operator()(void* data) const { ::operator delete(data, std::align_val_t(64)); }
  };
  std::unique_ptr<void, Free> data_;
};

/// Channels that a kernel should compute at once for this format; 0 if none in the table can.
inline int lanes_for(const Table& table, const Layer& layer, const Format& format) {
  int best = 0;
  for (const Kernel& kernel : table) {
    if (kernel.arithmetic != format.arithmetic) continue;
    // Planar: the fewest that hold all channels, or the most. Packed: the most that a group of channels consists of.
    const bool fits = format.elempack == 1 ? true : format.elempack % kernel.lanes == 0;
    const bool wasteful = format.elempack == 1 && best >= layer.channels && kernel.lanes > best;
    const bool narrower = format.elempack == 1 && kernel.lanes >= layer.channels && kernel.lanes < best;
    if (fits && !wasteful && (kernel.lanes > best || narrower)) best = kernel.lanes;
  }
  return best;
}

/// The kernel of this name that can compute the layer; null if there is none.
inline const Kernel* find(const Table& table, std::string_view algorithm, const Layer& layer, const Format& format) {
  const int lanes = lanes_for(table, layer, format);
  for (const Kernel& kernel : table) {
    const bool any = kernel.kernel == 0;
    const bool same = kernel.kernel == layer.kernel && kernel.stride == layer.stride && layer.dilation == 1;
    if (kernel.algorithm == algorithm && kernel.lanes == lanes && kernel.arithmetic == format.arithmetic && (any || same))
      return &kernel;
  }
  return nullptr;
}

class Depthwise {
 public:
  /// Args:
  ///   algorithm: A name of the table's.
  ///   weights: [channels][kernel][kernel]; copied.
  ///   bias: [channels], or null; copied.
  ///   threads: Runs at most so many jobs at a time.
  /// Throws std::invalid_argument for a layer that cannot be, or that no kernel of this name can compute.
  Depthwise(const Layer& layer, const Format& format, const Table& table, std::string_view algorithm,
            const float* weights, const float* bias, int threads = 1)
      : layer_((check(layer, format), layer)),
        format_(format),
        kernel_(require_kernel(find(table, algorithm, layer, format))),
        threads_(std::max(threads, 1)),
        blocks_((layer.channels + kernel_.lanes - 1) / kernel_.lanes),
        has_bias_(bias != nullptr),
        weights_size_(round_up(kernel_.weights_size(layer))),
        bias_size_(has_bias_ ? round_up(kernel_.lanes * number_size()) : 0),
        workspace_size_(round_up(kernel_.workspace_size(layer)) + page),
        prepared_(blocks_ * (weights_size_ + bias_size_)),
        workspaces_(threads_ * workspace_size_) {
    if (format_.in_cstep == 0) format_.in_cstep = std::size_t(layer.height) * layer.width;
    if (format_.out_cstep == 0) format_.out_cstep = std::size_t(layer.out_height()) * layer.out_width();
    for (int block = 0; block < blocks_; ++block) prepare(block, weights, bias);
  }

  const Kernel& kernel() const { return kernel_; }
  int threads() const { return threads_; }

  /// One thread.
  void run(const void* in, void* out) const {
    for (int block = 0; block < blocks_; ++block) run_band(in, out, block, 0, layer_.out_height(), 0);
  }

  /// parallel(threads, jobs, body) calls body(job, thread) for each of the jobs, from up to `threads` threads, each with a
  /// number of its own below `threads`.
  template <class Parallel>
  void run(const void* in, void* out, Parallel&& parallel) const {
    // Bands begin where tiles of one thread would (1, 2 or 4 rows high): a result does not depend on the threads.
    constexpr int step = 4;
    const int height = layer_.out_height(), steps = (height + step - 1) / step;
    const int bands = std::min(steps, blocks_ % threads_ == 0 ? 1 : (2 * threads_ + blocks_ - 1) / blocks_);
    parallel(threads_, blocks_ * bands, [&](int job, int thread) {
      const int block = job / bands, band = job % bands;
      const auto edge = [&](int i) { return std::min(height, int(std::int64_t(steps) * i / bands) * step); };
      run_band(in, out, block, edge(band), edge(band + 1), thread);
    });
  }

 private:
  static constexpr std::size_t line = 64, page = 4096;

  static std::size_t round_up(std::size_t bytes) { return (bytes + line - 1) / line * line; }

  static const Kernel& require_kernel(const Kernel* kernel) {
    require(kernel, "no kernel of this name computes this layer in this format");
    return *kernel;
  }

  std::size_t number_size() const { return kernel_.arithmetic == Arithmetic::fp16 ? 2 : 4; }
  std::size_t storage_size() const { return format_.storage == Storage::fp32 ? 4 : 2; }
  int channels_of(int block) const { return std::min(kernel_.lanes, layer_.channels - block * kernel_.lanes); }
  void* weights_of(int block) const { return prepared_.at(block * (weights_size_ + bias_size_)); }
  void* bias_of(int block) const {
    return has_bias_ ? static_cast<char*>(weights_of(block)) + weights_size_ : nullptr;
  }

  void prepare(int block, const float* weights, const float* bias) {
    const int first = block * kernel_.lanes, channels = channels_of(block);
    kernel_.prepare(layer_, weights + std::size_t(first) * layer_.kernel * layer_.kernel, channels, weights_of(block));
    if (!has_bias_) return;
    std::memset(bias_of(block), 0, bias_size_);
    for (int lane = 0; lane < channels; ++lane) {
      void* to = static_cast<char*>(bias_of(block)) + lane * number_size();
      if (kernel_.arithmetic == Arithmetic::fp16) DWCA_ISA::narrow(bias[first + lane], static_cast<Half*>(to));
      else std::memcpy(to, bias + first + lane, sizeof(float));
    }
  }

  void run_band(const void* in, void* out, int block, int begin, int end, int thread) const {
    const std::size_t number = storage_size(), first = std::size_t(block) * kernel_.lanes;
    // The channel group that the block lies in, and where in it.
    const std::size_t group = first / format_.elempack, lane = first % format_.elempack;
    const auto offset = [&](std::size_t cstep) { return (group * cstep * format_.elempack + lane) * number; };
    kernel_.run({layer_, format_, static_cast<const char*>(in) + offset(format_.in_cstep),
                 static_cast<char*>(out) + offset(format_.out_cstep), std::ptrdiff_t(format_.in_cstep),
                 std::ptrdiff_t(format_.out_cstep), channels_of(block), weights_of(block), bias_of(block),
                 workspaces_.at(thread * workspace_size_), begin, end});
  }

  Layer layer_;
  Format format_;
  const Kernel& kernel_;
  int threads_, blocks_;
  bool has_bias_;
  std::size_t weights_size_, bias_size_, workspace_size_;
  Aligned prepared_, workspaces_;
};

}  // namespace dwca
