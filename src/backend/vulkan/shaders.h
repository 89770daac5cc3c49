// The embedded shaders. shaders.cc is written by the build from the files of shaders/.
#ifndef PUNA_BACKEND_VULKAN_SHADERS_H_
#define PUNA_BACKEND_VULKAN_SHADERS_H_

#include <cstdint>
#include <span>
#include <string_view>

namespace puna::backend::vulkan {

struct Shader {
  std::string_view name;  // of the file, without ".comp"
  std::span<const uint32_t> words;
};

std::span<const Shader> Shaders();

// Whether this build has it; some need a newer glslc.
bool HasShader(std::string_view name);
// Index of a shader, found when the program is compiled. A name that does not exist does not
// compile a plan: it is a CHECK.
int ShaderByName(std::string_view name);

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_SHADERS_H_
