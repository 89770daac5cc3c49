// For tests: networks divided between devices and the CPU at a border of the test's choice.
#ifndef TESTS_SUPPORT_SHARING_BACKEND_H_
#define TESTS_SUPPORT_SHARING_BACKEND_H_

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/experts_split.h"
#include "backend/plan_split.h"
#include "backend/split_backend.h"

namespace puna::testing {

// Somebody else's backend as a device that everything fits on, if it is not told otherwise.
class RoomyDevice final : public backend::Backend {
 public:
  explicit RoomyDevice(backend::Backend* inner) : inner_(inner) {}
  int64_t room = kPlenty;
  bool weights_alone = false;  // nothing else counts
  std::string_view name() const override { return inner_->name(); }
  Result<std::unique_ptr<backend::Program>> Compile(
      std::shared_ptr<const backend::Plan> plan, const backend::CompileOptions& options) override {
    return inner_->Compile(std::move(plan), options);
  }
  backend::MemoryUse Predict(const backend::Plan& plan,
                             const backend::CompileOptions& options) const override {
    const backend::MemoryUse use = inner_->Predict(plan, options);
    return weights_alone ? backend::MemoryUse{.weights = use.weights} : use;
  }
  std::vector<backend::DeviceMemory> devices() const override { return {{room}}; }

  static constexpr int64_t kPlenty = int64_t{1} << 40;

 private:
  backend::Backend* inner_;
};

// Compiles with so many layers on its devices.
class SharingBackend final : public backend::Backend {
 public:
  explicit SharingBackend(const std::vector<backend::Backend*>& devices) {
    std::vector<std::unique_ptr<backend::Backend>> all;
    for (backend::Backend* device : devices) {
      auto roomy = std::make_unique<RoomyDevice>(device);
      devices_.push_back(roomy.get());
      all.push_back(std::move(roomy));
    }
    inner_ = backend::CreateSplitBackend(std::move(all), *backend::CreateBackend({.name = "cpu"}));
  }
  int64_t layers = 0;
  bool short_of_a_byte = false;  // no device has room for all
  // With all layers: the devices have room for no embeddings and no experts.
  bool short_of_experts = false;
  std::string_view name() const override { return "sharing"; }
  Result<std::unique_ptr<backend::Program>> Compile(
      std::shared_ptr<const backend::Plan> plan, const backend::CompileOptions& options) override {
    backend::CompileOptions own = options;
    own.share.layers = layers;
    for (RoomyDevice* device : devices_) {
      // Of tiny networks the experts may be smaller than what their input takes.
      device->weights_alone = short_of_experts;
      const backend::MemoryUse use = device->Predict(short_of_experts ? Rest(*plan) : *plan, own);
      device->room = short_of_a_byte ? use.fixed() + use.kv_page * own.kv_pages +
                                           use.state_slot * own.state_slots - 1
                                     : RoomyDevice::kPlenty;
      if (short_of_experts)
        device->room = use.fixed() + use.kv_page * own.kv_pages + use.state_slot * own.state_slots;
    }
    return inner_->Compile(std::move(plan), own);
  }
  backend::MemoryUse Predict(const backend::Plan& plan,
                             const backend::CompileOptions& options) const override {
    return inner_->Predict(plan, options);
  }

 private:
  // What is left for a device without embeddings and experts.
  static backend::Plan Rest(const backend::Plan& plan) {
    const auto cut = backend::FindCuts(plan).back();
    const backend::Plan layers = cut ? backend::SplitPlan(plan, {&*cut, 1})[1] : plan;
    return backend::TakeExpertsApart(layers, backend::CountExperts(layers)).plan;
  }

  std::vector<RoomyDevice*> devices_;  // of inner_
  std::unique_ptr<backend::Backend> inner_;
};

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_SHARING_BACKEND_H_
