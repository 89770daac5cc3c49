// Pictures that clients send: PNG, JPEG, WebP and GIF files to pixels. The bytes are hostile: sizes
// are judged from the head of the file before anything is unpacked, and unpacking has a memory
// budget, so that a small file cannot become a large allocation. Thread safe, no state.
#ifndef PUNA_IMAGE_IMAGE_H_
#define PUNA_IMAGE_IMAGE_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace puna::image {

enum class Format { kPng, kJpeg, kWebp, kGif };

struct Limits {
  int64_t max_file_bytes = int64_t{64} << 20;
  int64_t max_side = 16384;  // pixels
  int64_t max_pixels = 40'000'000;
};

// As in the head of the file: before the orientation is applied.
struct Info {
  Format format = Format::kPng;
  int width = 0, height = 0;
  // EXIF's tag, 1 to 8: how the stored rows and columns lie in the picture. 1: as they are.
  int orientation = 1;
};

// Reads the head only. kInvalidArgument: none of the formats, a broken head, or beyond a limit.
Result<Info> Inspect(std::string_view file, const Limits& limits = {});

struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3]
};

// The picture upright, as its EXIF orientation says. Transparent pixels lie on white; of an
// animation it is the first frame. kInvalidArgument: see Inspect, or broken data;
// kResourceExhausted: the memory budget.
Result<Image> Decode(std::string_view file, const Limits& limits = {});

}  // namespace puna::image

#endif  // PUNA_IMAGE_IMAGE_H_
