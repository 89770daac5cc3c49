#include "cli/synth_shapes.h"

namespace puna::cli {
namespace {

constexpr Shape kShapes[] = {
    // For tests: everything small, and still a multiple of the largest block.
    {"tiny", "llama", 256, 2, 4, 2, 64, 512, 512, 2048, 10000, false, false},
    {"tiny-moe", "qwen3moe", 256, 2, 4, 2, 64, 512, 512, 2048, 10000, false, true, 8, 2, 256},
    {"tiny-gemma3", "gemma3", 256, 6, 4, 1, 64, 512, 512, 2048, 1e6F, true, true, 0, 0, 0, 64,
     true},
    {"llama-1b", "llama", 2048, 16, 32, 8, 64, 8192, 128256, 131072, 500000, false, false},
    {"llama-3b", "llama", 3072, 28, 24, 8, 128, 8192, 128256, 131072, 500000, true, false},
    {"llama-8b", "llama", 4096, 32, 32, 8, 128, 14336, 128256, 131072, 500000, false, false},
    {"qwen3-0.6b", "qwen3", 1024, 28, 16, 8, 128, 3072, 151936, 40960, 1e6F, true, true},
    {"qwen3-1.7b", "qwen3", 2048, 28, 16, 8, 128, 6144, 151936, 40960, 1e6F, true, true},
    {"qwen3-4b", "qwen3", 2560, 36, 32, 8, 128, 9728, 151936, 40960, 1e6F, true, true},
    {"qwen3-8b", "qwen3", 4096, 36, 32, 8, 128, 12288, 151936, 40960, 1e6F, false, true},
    // Qwen3-30B-A3B with 8 of its 48 layers: the same layers in a sixth of the memory.
    {"qwen3moe-tiny", "qwen3moe", 2048, 8, 32, 4, 128, 6144, 151936, 40960, 1e6F, false, true, 128,
     8, 768},
    {"gemma3-1b", "gemma3", 1152, 26, 4, 1, 256, 6912, 262144, 32768, 1e6F, true, true, 0, 0, 0,
     512, true},
};

}  // namespace

std::span<const Shape> AllShapes() { return kShapes; }

const Shape* FindShape(std::string_view name) {
  for (const Shape& shape : kShapes) {
    if (shape.name == name) return &shape;
  }
  return nullptr;
}

}  // namespace puna::cli
