// Any bytes: never a crash, and pixels only of the size that the head promises.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "image/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const puna::image::Limits limits{
      .max_file_bytes = 1 << 20, .max_side = 512, .max_pixels = 1 << 16};
  const auto info = puna::image::Inspect(file, limits);
  const auto image = puna::image::Decode(file, limits);
  if (!image) return 0;
  const bool turned = info->orientation >= 5;
  if (!info || image->width != (turned ? info->height : info->width) ||
      image->rgb.size() !=
          static_cast<size_t>(info->width) * static_cast<size_t>(info->height) * 3) {
    std::abort();
  }
  return 0;
}
