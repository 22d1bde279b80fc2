// Runs every row of the table of the instruction set that this is compiled for on tensors of exactly their size, over
// many layers and formats. Compiled with -fsanitize=address,undefined an access beside a tensor, beside the prepared
// weights or beside the workspace ends it, and so does undefined behaviour.
//
// usage: sanitize [--plant read|write|overflow]; prints the number of rows and of runs.
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "dwca/depthwise.h"
#include "dwca/kernels.h"
#include "dwca/threads.h"

namespace {

using dwca::Arithmetic, dwca::Format, dwca::Kernel, dwca::Layer, dwca::Storage;

std::size_t bytes(const Format& format, std::size_t numbers) { return numbers * (format.storage == Storage::fp32 ? 4 : 2); }

/// Small numbers in any storage, each vector of them an allocation of its own and no byte larger.
std::vector<unsigned char> tensor(const Format& format, std::size_t numbers) {
  std::vector<unsigned char> memory(bytes(format, numbers));
  memory.shrink_to_fit();
  for (std::size_t i = 0; i < numbers; ++i) {
    const float value = float(i % 13) - 6;
    if (format.storage == Storage::fp32) std::memcpy(memory.data() + 4 * i, &value, 4);
    else memory[2 * i + 1] = 0x3c;  // 1 as fp16, about 1/128 as bf16
  }
  return memory;
}

/// Returns false if the table's row is not the one that computes this layer in this format.
bool run(const Kernel& row, const Layer& layer, const Format& format, int threads) {
  const dwca::Table table = dwca::DWCA_ISA::table();
  if (dwca::find(table, row.algorithm, layer, format) != &row) return false;
  const std::vector<float> weights(std::size_t(layer.channels) * layer.kernel * layer.kernel, 0.5f);
  const std::vector<float> bias(layer.channels, 0.25f);
  const dwca::Depthwise convolution(layer, format, table, row.algorithm, weights.data(), bias.data(), threads);
  const auto in = tensor(format, std::size_t(layer.channels) * layer.height * layer.width);
  auto out = tensor(format, std::size_t(layer.channels) * layer.out_height() * layer.out_width());
  if (threads == 1) {
    convolution.run(in.data(), out.data());
  } else {
    dwca::Threads workers(threads);
    convolution.run(in.data(), out.data(), workers);
  }
  return true;
}

struct Counts {
  int rows = 0, runs = 0;
};

Layer random_layer(const Kernel& row, const Format& format, std::mt19937& random) {
  const auto below = [&](int limit) { return int(random() % unsigned(limit)); };
  Layer layer;
  layer.kernel = row.kernel ? row.kernel : 1 + below(9);
  layer.stride = row.stride ? row.stride : 1 + below(4);
  layer.dilation = row.kernel ? 1 : 1 + below(3);
  layer.channels = format.elempack == 1 ? 1 + below(35) : format.elempack * (1 + below(3));
  layer.height = 1 + below(12);
  layer.width = 1 + below(40);
  const bool same = below(2);
  for (int* pad : {&layer.pad_top, &layer.pad_bottom, &layer.pad_left, &layer.pad_right})
    *pad = same ? layer.kernel / 2 : below(2 * layer.kernel);
  layer.pad_bottom = std::max(layer.pad_bottom, layer.extent() - layer.height - layer.pad_top);
  layer.pad_right = std::max(layer.pad_right, layer.extent() - layer.width - layer.pad_left);
  constexpr dwca::Activation activations[] = {dwca::Activation::none, dwca::Activation::relu, dwca::Activation::relu6,
                                              dwca::Activation::hardswish};
  layer.activation = activations[below(4)];
  return layer;
}

/// Every row in every format that leads to it.
Counts run_all(int layers) {
  Counts counts;
  std::mt19937 random(1);
  for (const Kernel& row : dwca::DWCA_ISA::table()) {
    const int before = counts.runs;
    for (const int elempack : {1, 4, 8, 16})
      for (const Storage storage : {Storage::fp32, Storage::fp16, Storage::bf16}) {
        const Format format{elempack, storage, row.arithmetic};
        if (row.arithmetic == Arithmetic::fp16 && storage != Storage::fp16) continue;
        for (int i = 0; i < layers; ++i)
          counts.runs += run(row, random_layer(row, format, random), format, 1 + i % 8 / 7 * 2);
      }
    if (counts.runs == before) std::printf("never reached: %s, %d lanes\n", row.algorithm, row.lanes);
    else ++counts.rows;
  }
  return counts;
}

/// Faults that must end the program.
void plant(const std::string& kind) {
  Layer layer{8, 9, 16, 5, 1, 1, 2, 2, 2, 2};
  const Format format{4};
  const std::vector<float> weights(8 * 25, 0.5f);
  const dwca::Depthwise convolution(layer, format, dwca::DWCA_ISA::table(), "direct", weights.data(), nullptr);
  const std::size_t size = 8 * 9 * 16;
  auto in = tensor(format, kind == "read" ? size - 1 : size), out = tensor(format, kind == "write" ? size - 1 : size);
  if (kind == "overflow") {
    layer.width = layer.pad_right = 0x7fffffff;
    std::printf("%d\n", layer.out_width());
  }
  convolution.run(in.data(), out.data());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--plant") {
    plant(argv[2]);
    std::printf("nothing noticed\n");
    return 0;
  }
  const Counts counts = run_all(25);
  std::printf("%d rows %d runs\n", counts.rows, counts.runs);
  return 0;
}
