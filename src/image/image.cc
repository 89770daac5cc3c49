// stb_image reads PNG, JPEG and GIF, libwebp the rest. Both get their output into memory that was
// judged before: libwebp writes into a buffer of the size that the head says, and stb takes its
// memory from a budget that follows from that size, because a PNG's packed data may unpack to far
// more than its pixels.
#include "image/image.h"

#include <algorithm>
#include <climits>
#include <memory>

#define STBI_NO_STDIO
#include <stb/stb_image.h>
#include <webp/decode.h>

#include "image/exif.h"
#include "image/stb_memory.h"

namespace puna::image {
namespace {

// At most what stb needs at once: two copies of rows of four 16-bit samples while a buffer grows,
// and the result.
constexpr int64_t kBudgetBytesPerPixel = 24;
constexpr int64_t kBudgetBytes = int64_t{8} << 20;

const uint8_t* Bytes(std::string_view file) {
  return reinterpret_cast<const uint8_t*>(file.data());
}

Result<Format> Recognize(std::string_view file) {
  using std::string_view_literals::operator""sv;
  if (file.starts_with("\x89PNG\r\n\x1a\n"sv)) return Format::kPng;
  if (file.starts_with("\xff\xd8\xff"sv)) return Format::kJpeg;
  if (file.starts_with("GIF87a"sv) || file.starts_with("GIF89a"sv)) return Format::kGif;
  if (file.size() >= 12 && file.starts_with("RIFF"sv) && file.substr(8, 4) == "WEBP"sv)
    return Format::kWebp;
  return MakeError(ErrorCode::kInvalidArgument,
                   "the image is none of png, jpeg, webp and gif ({} bytes)", file.size());
}

tl::unexpected<Error> Broken(std::string_view why) {
  return MakeError(ErrorCode::kInvalidArgument, "the image is broken: {}", why);
}

// Red, green, blue and alpha, [height, width, 4].
using Pixels = std::unique_ptr<uint8_t, void (*)(void*)>;

Result<Pixels> DecodeStb(std::string_view file, const Info& info) {
  SetStbBudget(kBudgetBytes + static_cast<int64_t>(file.size()) +
               kBudgetBytesPerPixel * info.width * info.height);
  int width = 0, height = 0, channels = 0;
  Pixels pixels(stbi_load_from_memory(Bytes(file), static_cast<int>(file.size()), &width, &height,
                                      &channels, 4),
                StbFree);
  if (pixels != nullptr && width == info.width && height == info.height) return pixels;
  if (StbBudgetExceeded()) {
    return MakeError(ErrorCode::kResourceExhausted,
                     "the image unpacks to more than its {} x {} pixels need", info.width,
                     info.height);
  }
  return Broken(pixels == nullptr ? stbi_failure_reason() : "its size is not what its head says");
}

Result<Pixels> DecodeWebp(std::string_view file) {
  int width = 0, height = 0;
  Pixels pixels(WebPDecodeRGBA(Bytes(file), file.size(), &width, &height), WebPFree);
  if (pixels == nullptr) return Broken("its webp data cannot be decoded");
  return pixels;
}

// Where the stored pixel (x, y) lies in the upright picture, by EXIF's orientations.
struct Place {
  int x, y;
};
Place Upright(int orientation, int x, int y, int width, int height) {
  switch (orientation) {
    case 2:
      return {width - 1 - x, y};
    case 3:
      return {width - 1 - x, height - 1 - y};
    case 4:
      return {x, height - 1 - y};
    case 5:
      return {y, x};
    case 6:
      return {height - 1 - y, x};
    case 7:
      return {height - 1 - y, width - 1 - x};
    case 8:
      return {y, width - 1 - x};
    default:
      return {x, y};
  }
}

Image Compose(const uint8_t* rgba, const Info& info) {
  const bool turned = info.orientation >= 5;
  Image image{turned ? info.height : info.width, turned ? info.width : info.height, {}};
  image.rgb.resize(static_cast<size_t>(info.width) * static_cast<size_t>(info.height) * 3);
  for (int y = 0; y < info.height; ++y) {
    for (int x = 0; x < info.width; ++x, rgba += 4) {
      const Place place = Upright(info.orientation, x, y, info.width, info.height);
      uint8_t* out =
          image.rgb.data() + (static_cast<size_t>(place.y) * static_cast<size_t>(image.width) +
                              static_cast<size_t>(place.x)) *
                                 3;
      for (int c = 0; c < 3; ++c) {
        const int alpha = rgba[3];
        out[c] = static_cast<uint8_t>((rgba[c] * alpha + 255 * (255 - alpha) + 127) / 255);
      }
    }
  }
  return image;
}

}  // namespace

Result<Info> Inspect(std::string_view file, const Limits& limits) {
  if (static_cast<int64_t>(file.size()) > std::min<int64_t>(limits.max_file_bytes, INT_MAX)) {
    return MakeError(ErrorCode::kInvalidArgument, "the image has {} bytes, the limit is {}",
                     file.size(), limits.max_file_bytes);
  }
  Info info;
  PUNA_ASSIGN_OR_RETURN(info.format, Recognize(file));
  int channels = 0;
  const bool known = info.format == Format::kWebp
                         ? WebPGetInfo(Bytes(file), file.size(), &info.width, &info.height) != 0
                         : stbi_info_from_memory(Bytes(file), static_cast<int>(file.size()),
                                                 &info.width, &info.height, &channels) != 0;
  if (!known || info.width <= 0 || info.height <= 0) return Broken("its head has no size");
  if (std::max(info.width, info.height) > limits.max_side ||
      int64_t{info.width} * info.height > limits.max_pixels) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the image has {} x {} pixels, the limits are {} a side and {} in all",
                     info.width, info.height, limits.max_side, limits.max_pixels);
  }
  info.orientation = ExifOrientation(file, info.format);
  return info;
}

Result<Image> Decode(std::string_view file, const Limits& limits) {
  SetStbBudget(kBudgetBytes);
  PUNA_ASSIGN_OR_RETURN(const Info info, Inspect(file, limits));
  PUNA_ASSIGN_OR_RETURN(const Pixels pixels,
                        info.format == Format::kWebp ? DecodeWebp(file) : DecodeStb(file, info));
  return Compose(pixels.get(), info);
}

}  // namespace puna::image
