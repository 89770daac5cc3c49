// Devices and the CPU together: the layers of a plan are divided between them, the first on the
// CPU, the last on the devices, as many as fit there.
#ifndef PUNA_BACKEND_SPLIT_BACKEND_H_
#define PUNA_BACKEND_SPLIT_BACKEND_H_

#include <memory>
#include <vector>

#include "backend/backend.h"

namespace puna::backend {

// A plan goes to one device, the one with most room, if all of its share fits there; else to all of
// them, by what is free on each. What does not fit, at the prediction or when the memory is taken,
// goes to the CPU, and so does everything if a device cannot be used. A plan that cannot be cut
// (plan_split.h) is on a device as a whole or not at all. REQUIRES: at least one device.
std::unique_ptr<Backend> CreateSplitBackend(std::vector<std::unique_ptr<Backend>> devices,
                                            std::unique_ptr<Backend> cpu);

// What is free now on the devices that a share may use, whatever is promised.
int64_t FreeBytes(const Backend& backend, const DeviceShare& share);
// DeviceShare::promised_bytes that leaves no more than `bytes` of what is free on the devices now.
// What leaves them then is what a smaller device would not have taken.
int64_t PromiseAllBut(int64_t bytes, const Backend& backend, const DeviceShare& share);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_SPLIT_BACKEND_H_
