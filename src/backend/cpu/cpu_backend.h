// The cpu backend: packed weights, SIMD kernels chosen at run time, one thread pool shared by all
// programs of a backend.
#ifndef PUNA_BACKEND_CPU_CPU_BACKEND_H_
#define PUNA_BACKEND_CPU_CPU_BACKEND_H_

#include <memory>

#include "backend/backend.h"
#include "backend/input_observer.h"
#include "base/result.h"

namespace puna::backend::cpu {

// `options.threads` and `options.isa` as described there. kInvalidArgument if the instruction set
// is unknown or missing on this machine, or if there are more than 1024 threads. `observer` may be
// null.
Result<std::unique_ptr<Backend>> CreateCpuBackend(const BackendOptions& options,
                                                  InputObserver* observer = nullptr);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_CPU_BACKEND_H_
