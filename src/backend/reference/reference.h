// The backend that is right rather than fast: every op of plan.h as its comment says, one value
// after the other, sums in double. It is the oracle of the other backends and itself checked
// against recorded outputs of another engine.
#ifndef PUNA_BACKEND_REFERENCE_REFERENCE_H_
#define PUNA_BACKEND_REFERENCE_REFERENCE_H_

#include <memory>

#include "backend/backend.h"
#include "backend/input_observer.h"

namespace puna::backend {

// Thread safe; one thread computes. `observer` may be null.
std::unique_ptr<Backend> CreateReferenceBackend(InputObserver* observer = nullptr);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_REFERENCE_REFERENCE_H_
