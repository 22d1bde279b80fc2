// What a depthwise convolution is, apart from how it is computed.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

namespace dwca {

enum class Activation { none, relu, relu6, hardswish };
enum class Storage { fp32, fp16, bf16 };
enum class Arithmetic { fp32, fp16 };

/// out[c, y, x] = activation(bias[c] + sum over i, j of weight[c, i, j] * in[c, y * stride + i * dilation - pad_top,
/// x * stride + j * dilation - pad_left]), with zeros outside of the input.
struct Layer {
  int channels = 1, height = 1, width = 1;  // of the input
  int kernel = 5, stride = 1, dilation = 1;
  int pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  Activation activation = Activation::none;

  int extent() const { return dilation * (kernel - 1) + 1; }
  int out_height() const { return (height + pad_top + pad_bottom - extent()) / stride + 1; }
  int out_width() const { return (width + pad_left + pad_right - extent()) / stride + 1; }
};

/// How tensors lie in memory: [channels / elempack][height][width][elempack], as in ncnn; elempack 1 is planar.
struct Format {
  int elempack = 1;
  Storage storage = Storage::fp32;
  Arithmetic arithmetic = Arithmetic::fp32;  // of products and sums
  std::size_t in_cstep = 0, out_cstep = 0;   // pixels from one channel group to the next; 0: they follow each other
};

inline void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("depthwise convolution: ") + what);
}

/// Throws std::invalid_argument for what cannot be computed.
inline void check(const Layer& layer, const Format& format) {
  constexpr int limit = 1 << 20;
  for (int size : {layer.channels, layer.height, layer.width, layer.kernel, layer.stride, layer.dilation})
    require(size >= 1 && size <= limit, "sizes are 1 to 2^20");
  for (int pad : {layer.pad_top, layer.pad_bottom, layer.pad_left, layer.pad_right})
    require(pad >= 0 && pad <= limit, "paddings are 0 to 2^20");
  require(layer.kernel <= 1024 && layer.dilation <= 1024, "kernel and dilation are 1 to 1024");
  require(layer.height + layer.pad_top + layer.pad_bottom >= layer.extent() &&
              layer.width + layer.pad_left + layer.pad_right >= layer.extent(),
          "the kernel is larger than the padded input");
  const int pack = format.elempack;
  require(pack == 1 || pack == 4 || pack == 8 || pack == 16, "elempack is 1, 4, 8 or 16");
  require(layer.channels % pack == 0, "channels are a multiple of elempack");
  require(format.arithmetic == Arithmetic::fp32 || format.storage == Storage::fp16, "fp16 arithmetic needs fp16 storage");
  const auto fits = [](std::size_t cstep, std::size_t pixels) { return cstep == 0 || cstep >= pixels; };
  require(fits(format.in_cstep, std::size_t(layer.height) * layer.width) &&
              fits(format.out_cstep, std::size_t(layer.out_height()) * layer.out_width()),
          "cstep is smaller than a channel");
}

}  // namespace dwca
