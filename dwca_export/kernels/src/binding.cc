// The Python module dwca_export.kernels._native; dwca_export/kernels/plan.py is its only user.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <mutex>
#include <optional>

#include "dwca/depthwise.h"
#include "dwca/threads.h"
#include "isas.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Clock = std::chrono::steady_clock;
using Numbers = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Input = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<nb::c_contig, nb::device::cpu>;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

const dwca::Isa& isa_named(const std::string& name) {
  for (const dwca::Isa& isa : dwca::isas())
    if (name == isa.name) return isa;
  throw nb::value_error(("this CPU has no instruction set " + name).c_str());
}

template <class Value>
Value one_of(const std::vector<std::pair<const char*, Value>>& values, const std::string& name) {
  for (const auto& [known, value] : values)
    if (name == known) return value;
  throw nb::value_error(("unknown: " + name).c_str());
}

dwca::Layer layer_of(const std::vector<int>& shape, const std::vector<int>& padding, int kernel, int stride, int dilation,
                     const std::string& activation) {
  using dwca::Activation;
  if (shape.size() != 3 || padding.size() != 4) throw nb::value_error("shape has 3 numbers, padding 4");
  dwca::Layer layer{shape[0], shape[1], shape[2], kernel, stride, dilation, padding[0], padding[1], padding[2], padding[3]};
  layer.activation = one_of<Activation>({{"none", Activation::none},
                                         {"relu", Activation::relu},
                                         {"relu6", Activation::relu6},
                                         {"hardswish", Activation::hardswish}},
                                        activation);
  return layer;
}

dwca::Format format_of(int elempack, const std::string& storage, const std::string& arithmetic) {
  using dwca::Arithmetic, dwca::Storage;
  return {elempack,
          one_of<Storage>({{"fp32", Storage::fp32}, {"fp16", Storage::fp16}, {"bf16", Storage::bf16}}, storage),
          one_of<Arithmetic>({{"fp32", Arithmetic::fp32}, {"fp16", Arithmetic::fp16}}, arithmetic)};
}

/// A convolution, its threads, and what its tensors must be.
class Plan {
 public:
  Plan(const std::string& isa, const std::string& algorithm, const std::vector<int>& shape,
       const std::vector<int>& padding, int kernel, int stride, int dilation, const std::string& activation, int elempack,
       const std::string& storage, const std::string& arithmetic, Numbers weights, std::optional<Numbers> bias, int threads)
      : layer_(layer_of(shape, padding, kernel, stride, dilation, activation)),
        format_(format_of(elempack, storage, arithmetic)) {
    dwca::check(layer_, format_);
    dwca::require(threads >= 1 && threads <= 256, "threads are 1 to 256");
    dwca::require(weights.size() == std::size_t(layer_.channels) * kernel * kernel, "weights have a wrong size");
    dwca::require(!bias || bias->size() == std::size_t(layer_.channels), "the bias has a wrong size");
    convolution_.emplace(layer_, format_, isa_named(isa).table, algorithm, weights.data(),
                         bias ? bias->data() : nullptr, threads);
    if (threads > 1) threads_.emplace(threads);
  }

  void run(Input in, Output out) {
    check(in, out);
    const nb::gil_scoped_release released;
    const std::lock_guard lock(mutex_);
    run_once(in.data(), out.data());
  }

  /// Seconds that `calls` runs take.
  double time(Input in, Output out, int calls) {
    check(in, out);
    const nb::gil_scoped_release released;
    const std::lock_guard lock(mutex_);
    const Clock::time_point start = Clock::now();
    for (int call = 0; call < calls; ++call) run_once(in.data(), out.data());
    return seconds_since(start);
  }

  int lanes() const { return convolution_->kernel().lanes; }

 private:
  void check(const Input& in, const Output& out) const {
    const std::size_t number = format_.storage == dwca::Storage::fp32 ? 4 : 2;
    const auto is = [&](std::size_t bytes, std::size_t height, std::size_t width) {
      return bytes == number * layer_.channels * height * width;
    };
    dwca::require(is(in.nbytes(), layer_.height, layer_.width), "the input has a wrong size");
    dwca::require(is(out.nbytes(), layer_.out_height(), layer_.out_width()), "the output has a wrong size");
  }

  void run_once(const void* in, void* out) {
    if (threads_) convolution_->run(in, out, *threads_);
    else convolution_->run(in, out);
  }

  dwca::Layer layer_;
  dwca::Format format_;
  std::optional<dwca::Depthwise> convolution_;
  std::optional<dwca::Threads> threads_;
  std::mutex mutex_;
};

/// The most calls of `work` per second among stretches of a few milliseconds, for so many seconds in all.
template <class Work>
double best_rate(double seconds, Work&& work) {
  double best = 0;
  const Clock::time_point start = Clock::now();
  for (long calls = 1; seconds_since(start) < seconds;) {
    const Clock::time_point begin = Clock::now();
    for (long call = 0; call < calls; ++call) work();
    const double took = seconds_since(begin);
    if (took < 2e-3) calls *= 2;
    else best = std::max(best, calls / took);
  }
  return best;
}

double peak_multiply_adds(const std::string& name, double seconds) {
  const dwca::Isa& isa = isa_named(name);
  const nb::gil_scoped_release released;
  volatile float sink = 0;
  return isa.multiply_adds_at_once * best_rate(seconds, [&] { sink = isa.multiply_add(); });
}

double bandwidth(const std::string& name, std::size_t bytes, double seconds) {
  const dwca::Isa& isa = isa_named(name);
  const std::size_t count = std::max<std::size_t>(bytes / 2 / 64, 1) * 16;
  const dwca::Aligned from(count * 4), to(count * 4);
  std::memset(from.at(0), 0, count * 4);
  const nb::gil_scoped_release released;
  const auto copy = [&] { isa.copy(static_cast<const float*>(from.at(0)), static_cast<float*>(to.at(0)), count); };
  return 2.0 * count * 4 * best_rate(seconds, copy);
}

nb::list kernels(const std::string& isa) {
  nb::list rows;
  for (const dwca::Kernel& row : isa_named(isa).table)
    rows.append(nb::make_tuple(row.algorithm, row.kernel, row.stride, row.lanes,
                               row.arithmetic == dwca::Arithmetic::fp16 ? "fp16" : "fp32"));
  return rows;
}

nb::list isa_names() {
  nb::list names;
  for (const dwca::Isa& isa : dwca::isas()) names.append(isa.name);
  return names;
}

}  // namespace

NB_MODULE(_native, module) {
  nb::class_<Plan>(module, "Plan")
      .def(nb::init<const std::string&, const std::string&, const std::vector<int>&, const std::vector<int>&, int, int,
                    int, const std::string&, int, const std::string&, const std::string&, Numbers, std::optional<Numbers>,
                    int>(),
           nb::kw_only(), "isa"_a, "algorithm"_a, "shape"_a, "padding"_a, "kernel"_a, "stride"_a, "dilation"_a,
           "activation"_a, "elempack"_a, "storage"_a, "arithmetic"_a, "weights"_a.noconvert(),
           "bias"_a.none().noconvert(), "threads"_a)
      // A converted output would be a copy.
      .def("run", &Plan::run, "in_"_a.noconvert(), "out"_a.noconvert())
      .def("time", &Plan::time, "in_"_a.noconvert(), "out"_a.noconvert(), "calls"_a)
      .def_prop_ro("lanes", &Plan::lanes);
  module.def("isas", isa_names);
  module.def("kernels", kernels, "isa"_a);
  module.def("peak_multiply_adds", peak_multiply_adds, "isa"_a, "seconds"_a);
  module.def("bandwidth", bandwidth, "isa"_a, "bytes_"_a, "seconds"_a);
}
