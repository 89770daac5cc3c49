// The same source three times. Products and sums are never fused, so that a model that is quantized
// here has the same bytes, and the same digest, as on any other machine.
#include "quant/quant_fit_lanes.h"

#include "quant/quant_levels.h"

#pragma GCC optimize("fp-contract=off")
// Vectors are only passed within this file.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace puna::quant {
namespace {

namespace baseline {
#include "quant/quant_fit_lanes_inl.h"
}  // namespace baseline

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2")
namespace avx2 {
#include "quant/quant_fit_lanes_inl.h"
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,prefer-vector-width=512")
namespace avx512 {
#include "quant/quant_fit_lanes_inl.h"
}  // namespace avx512
#pragma GCC pop_options
#endif

}  // namespace

const NamedFitLoops (&AllFitLoops())[3] {
#if defined(__x86_64__)
  static const NamedFitLoops all[3] = {
      {"avx512", __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")
                     ? &avx512::kLoops
                     : nullptr},
      {"avx2", __builtin_cpu_supports("avx2") ? &avx2::kLoops : nullptr},
      {"baseline", &baseline::kLoops}};
#else
  static const NamedFitLoops all[3] = {
      {"avx512", nullptr}, {"avx2", nullptr}, {"baseline", &baseline::kLoops}};
#endif
  return all;
}

const FitLoops& BestFitLoops() {
  static const FitLoops* best = [] {
    for (const NamedFitLoops& named : AllFitLoops()) {
      if (named.loops != nullptr) return named.loops;
    }
    return &baseline::kLoops;
  }();
  return *best;
}

}  // namespace puna::quant
