// The list of architectures: general.architecture as files write it, and the spec that reads it.
// Several names may share one.
#include "model/arch/spec.h"

#include <algorithm>
#include <string>
#include <vector>

#define PUNA_ARCHITECTURES(X) \
  X("bert", Bert)             \
  X("gemma2", Gemma2)         \
  X("gemma3", Gemma3)         \
  X("gpt-oss", GptOss)        \
  X("gptoss", GptOss)         \
  X("granite", Granite)       \
  X("llama", Llama)           \
  X("mistral3", Mistral3)     \
  X("phi3", Phi3)             \
  X("qwen2", Qwen2)           \
  X("qwen3", Qwen3)

namespace puna::model {
namespace arch {

#define PUNA_DECLARE(name, function) SpecFunction function;
PUNA_ARCHITECTURES(PUNA_DECLARE)
#undef PUNA_DECLARE

namespace {

struct Entry {
  std::string_view name;
  SpecFunction* read;
};
#define PUNA_ENTRY(name, function) {name, function},
constexpr Entry kArchitectures[] = {PUNA_ARCHITECTURES(PUNA_ENTRY)};
#undef PUNA_ENTRY

}  // namespace

SpecFunction* FindSpec(std::string_view name) {
  for (const Entry& entry : kArchitectures) {
    if (entry.name == name) return entry.read;
  }
  return nullptr;
}

}  // namespace arch

std::vector<std::string> SupportedArchitectures() {
  std::vector<std::string> names;
  for (const arch::Entry& entry : arch::kArchitectures) names.emplace_back(entry.name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace puna::model
