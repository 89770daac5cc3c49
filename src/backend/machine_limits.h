// What this machine can do at most, measured: the denominators of a benchmark. A prompt is bound by
// products of int8, a generated token by reading the weights.
#ifndef PUNA_BACKEND_MACHINE_LIMITS_H_
#define PUNA_BACKEND_MACHINE_LIMITS_H_

#include <string>

#include "backend/backend.h"
#include "base/result.h"

namespace puna::backend {

struct MachineLimits {
  std::string isa;  // whose dot products were counted: "avx512vnni"
  int threads = 0;
  double read_gb_s = 0;    // all threads together, a gigabyte in huge pages, 1e9 bytes
  double int8_gmac_s = 0;  // all threads together, from registers, 1e9 multiply-adds; 0 if the
                           // instruction set has no such instruction
};

// Takes some seconds and a gigabyte of memory. `options.threads` and `options.isa` as in
// CreateBackend. Errors: an unknown instruction set, no memory.
Result<MachineLimits> MeasureMachine(const BackendOptions& options);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_MACHINE_LIMITS_H_
