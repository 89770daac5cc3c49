#include "cli/machine.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>

#include "base/control_groups.h"
#include "base/cores.h"
#include "base/result.h"

namespace puna::cli {
namespace {

namespace fs = std::filesystem;

std::string ReadText(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  std::string all = text.str();
  while (!all.empty() && (all.back() == '\n' || all.back() == ' ')) all.pop_back();
  return all;
}

// The value of "key: value" or "key   value kB" lines; "" where there is none.
std::string FieldOf(const std::string& text, const std::string& key) {
  const size_t at = text.starts_with(key) ? 0 : text.find("\n" + key);
  if (at == std::string::npos) return "";
  const size_t colon = text.find(':', at);
  if (colon == std::string::npos) return "";
  const size_t begin = std::min(text.find_first_not_of(" \t", colon + 1), text.size());
  return text.substr(begin, text.find('\n', begin) - begin);
}

int64_t Number(const std::string& text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

int64_t KibiBytes(const std::string& text, const std::string& key) {
  return Number(FieldOf(text, key)) << 10;
}

// The chosen one of "always [madvise] never".
std::string Chosen(const std::string& text) {
  const size_t open = text.find('['), close = text.find(']');
  return open == std::string::npos || close < open ? "" : text.substr(open + 1, close - open - 1);
}

// Bytes that the tightest of the control groups allows; 0: none does.
int64_t MemoryLimit(const fs::path& root, int64_t memory_bytes) {
  int64_t least = 0;
  for (const ControlGroup& group : ControlGroups("memory", root)) {
    const char* name = group.version == 1 ? "memory.limit_in_bytes" : "memory.max";
    const int64_t limit = Number(ReadText(group.folder / name));
    // Version 1 has a number beyond any machine where there is no limit.
    if (limit > 0 && limit < memory_bytes) least = least == 0 ? limit : std::min(least, limit);
  }
  return least;
}

std::vector<std::string> FindGpus(const fs::path& root) {
  std::vector<std::string> gpus;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root / "proc/driver/nvidia/gpus", error))
    gpus.push_back(FieldOf(ReadText(entry.path() / "information"), "Model"));
  if (fs::exists(root / "dev/kfd", error)) gpus.push_back("an AMD GPU with ROCm");
  return gpus;
}

}  // namespace

Machine ReadMachine(const fs::path& root) {
  Machine machine;
  machine.processor = FieldOf(ReadText(root / "proc/cpuinfo"), "model name");
  machine.cores = CoresOfMask();
  const std::string memory = ReadText(root / "proc/meminfo");
  machine.memory_bytes = KibiBytes(memory, "MemTotal");
  machine.available_bytes = KibiBytes(memory, "MemAvailable");
  machine.swap_used_bytes = KibiBytes(memory, "SwapTotal") - KibiBytes(memory, "SwapFree");
  machine.huge_pages = Chosen(ReadText(root / "sys/kernel/mm/transparent_hugepage/enabled"));
  machine.governor = ReadText(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  machine.gpus = FindGpus(root);
  machine.cpu_quota = CoresOfQuota(root);
  machine.memory_limit = MemoryLimit(root, machine.memory_bytes);
  return machine;
}

std::vector<std::string> Advice(const Machine& machine, const std::string& isa, int64_t threads) {
  std::vector<std::string> advice;
  if (isa == "scalar") {
    advice.push_back(
        "the portable kernels are used, which are slow: a processor with AVX2 is many "
        "times faster");
  } else if (isa == "avx2" || isa == "avxvnni") {
    advice.push_back("a processor with AVX-512 VNNI or AMX computes prompts faster");
  }
  const bool quota = machine.cpu_quota > 0 && machine.cpu_quota < machine.cores;
  const int usable = quota ? static_cast<int>(std::ceil(machine.cpu_quota)) : machine.cores;
  if (quota) {
    advice.push_back(
        fmt::format("the control group allows {:.1f} cores' worth of time on {} cores; CPUQuota "
                    "(--cpus) raises that",
                    machine.cpu_quota, machine.cores));
  }
  if (threads > 0 && threads < usable) {
    advice.push_back(
        fmt::format("PUNA_THREADS is {} of {} cores that may compute; without it all of them do",
                    threads, usable));
  }
  if (threads > usable) {
    advice.push_back(
        fmt::format("PUNA_THREADS is {}, more than the {} cores that may compute: "
                    "threads wait for each other",
                    threads, usable));
  }
  if (machine.governor == "powersave") {
    advice.push_back(
        "the processor's clock is governed by \"powersave\"; \"performance\" is "
        "faster: cpupower frequency-set -g performance");
  }
  if (machine.huge_pages == "never") {
    advice.push_back(
        "transparent huge pages are off; weights are read faster with them: echo "
        "madvise > /sys/kernel/mm/transparent_hugepage/enabled");
  }
  if (machine.swap_used_bytes > (int64_t{1} << 30)) {
    advice.push_back("more than 1 GB is swapped out: models that do not fit into memory crawl");
  }
  const int64_t limit = machine.memory_limit > 0
                            ? std::min(machine.memory_limit, machine.memory_bytes)
                            : machine.memory_bytes;
  if (machine.available_bytes < limit / 4) {
    advice.push_back(
        "less than a quarter of the memory is free; smaller models or "
        "PUNA_KV_CACHE_TYPE=q8_0 leave more");
  }
  return advice;
}

}  // namespace puna::cli
