#include "backend/device_choice.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <sstream>

#include "base/file.h"

namespace puna::backend {
namespace {

namespace fs = std::filesystem;
using vulkan::DeviceInfo;

// PCI's numbers of makers whose display adapters show pictures and compute nothing: those of
// servers' management controllers, and those that virtual machines pretend to have.
constexpr uint32_t kOnlyShow[] = {
    0x1013,  // Cirrus
    0x102b,  // Matrox
    0x1234,  // Bochs
    0x1414,  // Hyper-V
    0x15ad,  // VMware
    0x1a03,  // ASPEED
    0x1af4,  // virtio
    0x1b36,  // QXL
    0x80ee,  // VirtualBox
};
constexpr uint32_t kIntel = 0x8086;
// Where Intel's processors have their own GPU.
constexpr std::string_view kIntelsSlot = ":00:02.0";

// "0x030200\n"; 0 if it is no number.
uint32_t HexIn(const fs::path& file) {
  const std::string text = ReadFile(file).value_or("");
  uint32_t number = 0;
  if (text.starts_with("0x"))
    std::from_chars(text.data() + 2, text.data() + text.size(), number, /*base=*/16);
  return number;
}

bool IsGpu(const fs::path& pci_device) {
  const uint32_t kind = HexIn(pci_device / "class") >> 16;
  if (kind != 0x03 && kind != 0x12) return false;  // display controllers, accelerators
  const uint32_t maker = HexIn(pci_device / "vendor");
  if (maker == kIntel) return !pci_device.filename().string().ends_with(kIntelsSlot);
  return std::ranges::find(kOnlyShow, maker) == std::end(kOnlyShow);
}

DeviceChoice ChooseForAuto(const DeviceInfo& device, const std::vector<DeviceInfo>& taken) {
  if (device.kind != "discrete") {
    return {false, fmt::format("auto takes discrete GPUs only, PUNA_DEVICE=vulkan:{} takes this",
                               device.index)};
  }
  for (const DeviceInfo& other : taken) {
    if (!device.id.empty() && other.id == device.id)
      return {false, fmt::format("another driver of vulkan:{}", other.index)};
  }
  return {true, "a discrete GPU"};
}

DeviceChoice ChooseAsNamed(const DeviceInfo& device, std::string_view setting, bool is_first) {
  std::istringstream names{std::string(setting)};
  for (std::string name; std::getline(names, name, ',');) {
    if (name == fmt::format("vulkan:{}", device.index)) return {true, "PUNA_DEVICE names it"};
    if (name == "vulkan" && is_first) return {true, "the first GPU"};
  }
  return {false, fmt::format("PUNA_DEVICE is {}", setting)};
}

}  // namespace

bool MayHaveDiscreteGpu(const fs::path& root) {
  std::error_code error;
  // NVIDIA's driver, also where a container shows no bus, and the GPUs of a Windows around us.
  for (const char* sign : {"dev/nvidiactl", "proc/driver/nvidia/version", "dev/dxg"}) {
    if (fs::exists(root / sign, error)) return true;
  }
  const fs::directory_iterator bus(root / "sys/bus/pci/devices", error);
  return std::any_of(begin(bus), end(bus), [](const auto& entry) { return IsGpu(entry.path()); });
}

std::vector<DeviceChoice> ChooseDevices(std::string_view setting,
                                        const std::vector<DeviceInfo>& devices) {
  std::vector<DeviceChoice> choices;
  std::vector<DeviceInfo> taken;
  const auto first = std::ranges::find(devices, false, &DeviceInfo::software);
  for (auto device = devices.begin(); device != devices.end(); ++device) {
    DeviceChoice choice;
    if (setting != "auto") choice = ChooseAsNamed(*device, setting, device == first);
    if (!device->unfit.empty()) {
      choice = {false, "cannot be used: " + device->unfit};
    } else if (device->software && !choice.used) {
      choice = {false, "a software device, no faster than the CPU"};
    } else if (setting == "auto") {
      choice = ChooseForAuto(*device, taken);
    }
    if (choice.used) taken.push_back(*device);
    choices.push_back(std::move(choice));
  }
  return choices;
}

}  // namespace puna::backend
