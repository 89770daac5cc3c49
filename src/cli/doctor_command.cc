// puna doctor: what hardware and settings are in use, and what would make it faster.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "api/version.h"
#include "backend/cpu/gemm.h"
#include "backend/device_choice.h"
#include "backend/vulkan/vulkan_backend.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/json_output.h"
#include "cli/machine.h"
#include "store/disk_space.h"
#include "store/store.h"

namespace puna::cli {
namespace {

using backend::DeviceChoice;
using backend::cpu::Isa;
using backend::vulkan::DeviceInfo;

std::string IsasOfThisMachine() {
  std::string names;
  for (const Isa isa : backend::cpu::AvailableIsas())
    names += (names.empty() ? "" : ", ") + std::string(backend::cpu::IsaName(isa));
  return names;
}

// The settings that somebody has set, as "NAME=value".
std::vector<std::string> ChangedSettings() {
  std::vector<std::string> changed;
  for (const SettingDescription& setting : DescribeSettings()) {
    for (const char* prefix : {"PUNA_", "OLLAMA_"}) {
      if (prefix[0] == 'O' && !setting.ollama) continue;
      const std::string name = prefix + std::string(setting.name);
      const char* value = std::getenv(name.c_str());
      if (value == nullptr || *value == '\0') continue;
      const bool secret = std::string_view(setting.name) == "API_KEY";
      changed.push_back(name + "=" + (secret ? "(set)" : value));
      break;
    }
  }
  return changed;
}

std::string ServerText(const Settings& settings) {
  const ApiClient client(settings);
  const auto version = client.Get("/api/version");
  if (!version) return "none at " + client.base_url();
  return fmt::format("{} at {}", JsonString(*version, "puna", JsonString(*version, "version")),
                     client.base_url());
}

// What the setting takes of `devices`, as the server decides it.
std::vector<DeviceChoice> ChoicesOf(const std::string& setting,
                                    const std::vector<DeviceInfo>& devices) {
  std::vector<DeviceChoice> choices = backend::ChooseDevices(setting, devices);
  if (setting != "auto" || backend::MayHaveDiscreteGpu()) return choices;
  for (DeviceChoice& choice : choices) {
    if (choice.used) choice = {false, "auto did not look: the system shows no GPU on its bus"};
  }
  return choices;
}

// "cpu", "vulkan:0,vulkan:2", "auto: the CPU".
std::string ComputesOn(const std::string& setting, const std::vector<DeviceInfo>& devices,
                       const std::vector<DeviceChoice>& choices) {
  if (setting != "auto") return setting;
  std::string taken;
  for (size_t i = 0; i < devices.size(); ++i) {
    if (choices[i].used)
      taken += fmt::format("{}vulkan:{}", taken.empty() ? "" : ",", devices[i].index);
  }
  return "auto: " + (taken.empty() ? "the CPU, there is no discrete GPU that can be used" : taken);
}

// How products of many tokens are computed.
std::string ProductsOf(const DeviceInfo& device) {
  if (!device.matrices.empty()) return "matrices of " + device.matrices;
  return device.fast_int8_dots ? "dot products of int8" : "float32";
}

Json DeviceJson(const DeviceInfo& device, const DeviceChoice& choice) {
  return {{"device", fmt::format("vulkan:{}", device.index)},
          {"name", device.name},
          {"driver", device.driver},
          {"kind", device.kind},
          {"vulkan", device.api_version},
          {"memory_bytes", device.memory_bytes},
          {"available_bytes", device.available_bytes},
          {"largest_allocation_bytes", device.largest_allocation_bytes},
          {"largest_binding_bytes", device.largest_binding_bytes},
          {"subgroup_size", device.subgroup_size},
          {"shared_memory_bytes", device.shared_memory_bytes},
          {"products", ProductsOf(device)},
          {"lacks", device.unfit},
          {"used", choice.used},
          {"why", choice.why}};
}

Json DevicesJson(const std::vector<DeviceInfo>& devices, const std::vector<DeviceChoice>& choices) {
  Json list = Json::array();
  for (size_t i = 0; i < devices.size(); ++i) list.push_back(DeviceJson(devices[i], choices[i]));
  return list;
}

std::string DeviceText(const DeviceInfo& device, const DeviceChoice& choice) {
  return fmt::format(
      "{} ({}, {}, Vulkan {}): {} of {} free, {} at once, subgroups of {}, products by {}; {}: {}",
      device.name, device.kind, device.driver, device.api_version,
      HumanBytes(device.available_bytes), HumanBytes(device.memory_bytes),
      HumanBytes(device.largest_allocation_bytes), device.subgroup_size, ProductsOf(device),
      choice.used ? "used" : "not used", choice.why);
}

// The models that a server has loaded, with what of each is in the memory of devices.
Json LoadedModels(const Settings& settings) {
  const auto listed = ApiClient(settings).Get("/api/ps");
  Json loaded = Json::array();
  if (!listed || !listed->contains("models")) return loaded;
  for (const Json& model : (*listed)["models"]) {
    loaded.push_back({{"name", JsonString(model, "name")},
                      {"size", model.value("size", int64_t{0})},
                      {"size_vram", model.value("size_vram", int64_t{0})}});
  }
  return loaded;
}

// What could be done with the GPUs of this machine, if anything.
std::string GpuAdvice(const Machine& machine, const std::vector<DeviceInfo>& devices,
                      const std::string& chosen) {
  const auto usable = [&](bool discrete) {
    return std::any_of(devices.begin(), devices.end(), [&](const DeviceInfo& device) {
      return !device.software && device.unfit.empty() && (!discrete || device.kind == "discrete");
    });
  };
  if (usable(true) && chosen == "cpu") return "there is a GPU; PUNA_DEVICE=auto computes on it";
  if (!usable(false) && !machine.gpus.empty())
    return "there is a GPU without a Vulkan driver that fits";
  return "";
}

Status Doctor(const Context& context, bool json) {
  const Settings& settings = context.settings;
  const Machine machine = ReadMachine();
  PUNA_ASSIGN_OR_RETURN(const Isa isa, backend::cpu::ChooseIsa(settings.isa));
  const std::string isa_name(backend::cpu::IsaName(isa));
  std::vector<std::string> advice = Advice(machine, isa_name, settings.threads);
  const auto listed = backend::vulkan::ListDevices();
  const std::vector<DeviceInfo> devices = listed.value_or(std::vector<DeviceInfo>());
  const std::vector<DeviceChoice> choices = ChoicesOf(settings.device, devices);
  const std::string gpu_advice = GpuAdvice(machine, devices, settings.device);
  if (!gpu_advice.empty()) advice.push_back(gpu_advice);
  const std::vector<std::string> changed = ChangedSettings();
  const store::StoreUsage usage = store::Store(settings.models).Usage();
  const std::string server = ServerText(settings);
  const Json loaded = LoadedModels(settings);
  // A store that does not exist yet is made when it is needed.
  const bool writable =
      ::access(settings.models.c_str(), F_OK) != 0 || ::access(settings.models.c_str(), W_OK) == 0;
  const int64_t free = store::FreeDiskBytes(settings.models).value_or(0);
  if (json) {
    PrintJsonLine({{"version", std::string(api::kVersion)},
                   {"server", server},
                   {"processor", machine.processor},
                   {"cores", machine.cores},
                   {"cpu_quota", machine.cpu_quota},
                   {"isa", isa_name},
                   {"memory_bytes", machine.memory_bytes},
                   {"available_bytes", machine.available_bytes},
                   {"memory_limit_bytes", machine.memory_limit},
                   {"gpus", machine.gpus},
                   {"device", settings.device},
                   {"computes_on", ComputesOn(settings.device, devices, choices)},
                   {"devices", DevicesJson(devices, choices)},
                   {"loaded", loaded},
                   {"models", settings.models.string()},
                   {"models_writable", writable},
                   {"model_count", usage.models.size()},
                   {"blob_bytes", usage.blob_bytes},
                   {"disk_free_bytes", free},
                   {"settings", changed},
                   {"advice", advice}});
    return {};
  }
  const auto row = [](const char* label, const std::string& text) {
    std::printf("%-14s%s\n", label, text.c_str());
  };
  row("puna", api::kVersion);
  row("server", server);
  row("processor", machine.processor.empty() ? "unknown" : machine.processor);
  row("cores",
      fmt::format(
          "{}{}", machine.cores,
          machine.cpu_quota > 0 ? fmt::format(", time for {:.1f}", machine.cpu_quota) : ""));
  row("kernels", fmt::format("{} (this machine runs {})", isa_name, IsasOfThisMachine()));
  row("memory",
      fmt::format(
          "{}, {} available{}", HumanBytes(machine.memory_bytes),
          HumanBytes(machine.available_bytes),
          machine.memory_limit > 0 ? ", limited to " + HumanBytes(machine.memory_limit) : ""));
  row("store", fmt::format("{}: {} models, {}; {} free on the disk{}", settings.models.string(),
                           usage.models.size(), HumanBytes(usage.blob_bytes), HumanBytes(free),
                           writable ? "" : "; you may not write to it"));
  for (const std::string& setting : changed) row("setting", setting);
  for (const std::string& gpu : machine.gpus) row("GPU", gpu);
  row("computes on", ComputesOn(settings.device, devices, choices));
  for (size_t i = 0; i < devices.size(); ++i)
    row(fmt::format("vulkan:{}", devices[i].index).c_str(), DeviceText(devices[i], choices[i]));
  if (!listed) row("vulkan", "none: " + listed.error().message);
  for (const Json& model : loaded) {
    row("loaded", fmt::format("{}: {}, of it {} on devices", JsonString(model, "name"),
                              HumanBytes(model["size"].get<int64_t>()),
                              HumanBytes(model["size_vram"].get<int64_t>())));
  }
  std::printf("\n");
  for (const std::string& sentence : advice) std::printf("* %s\n", sentence.c_str());
  if (advice.empty()) std::printf("nothing is known that would make it faster\n");
  return {};
}

}  // namespace

void AddDoctor(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand(
      "doctor", "Show the hardware and settings in use, and what would make it faster");
  auto json = std::make_shared<bool>(false);
  AddJsonFlag(command, json.get());
  command->callback(
      [&context, json, chosen] { *chosen = [&context, json] { return Doctor(context, *json); }; });
}

}  // namespace puna::cli
