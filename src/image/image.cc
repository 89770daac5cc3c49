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

// Have the Huffman tables of the DHT segment that `rest` begins with (its length first) sizes that
// exist? stb writes past its own tables where the sixteen counts of one add up to more than 256
// codes, and reads a table to its end where the segment ends before it, so both is done here too.
bool HuffmanTablesFit(std::string_view rest) {
  const auto byte = [&](size_t at) { return at < rest.size() ? Bytes(rest)[at] : 0; };
  const size_t length = static_cast<size_t>(byte(0) << 8 | byte(1));
  for (size_t at = 2; at < length;) {
    int codes = 0;
    for (size_t i = 1; i <= 16; ++i) codes += byte(at + i);
    if (codes > 256) return false;
    at += 17 + static_cast<size_t>(codes);
  }
  return true;
}

// Judges every DHT marker of a JPEG before stb sees it. Segments are skipped up to the first scan;
// from there on any two bytes that look like the marker count, for stb looks for markers anywhere.
bool JpegTablesFit(std::string_view file) {
  const uint8_t* bytes = Bytes(file);
  bool in_scan = false;
  for (size_t at = 2; at + 4 <= file.size();) {
    if (bytes[at] != 0xff || bytes[at + 1] == 0xff || bytes[at + 1] == 0) {
      ++at;
      continue;
    }
    const int marker = bytes[at + 1];
    if (marker == 0xc4 && !HuffmanTablesFit(file.substr(at + 2))) return false;
    in_scan = in_scan || marker == 0xda;
    const bool has_length = marker >= 0xc0 && !(marker >= 0xd0 && marker <= 0xd9);
    at += has_length && !in_scan ? 2 + (size_t{bytes[at + 2]} << 8 | bytes[at + 3]) : 2;
  }
  return true;
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
  if (info.format == Format::kJpeg && !JpegTablesFit(file))
    return Broken("a Huffman table has more than 256 codes");
  SetStbBudget(kBudgetBytes);
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
  PUNA_ASSIGN_OR_RETURN(const Info info, Inspect(file, limits));
  PUNA_ASSIGN_OR_RETURN(const Pixels pixels,
                        info.format == Format::kWebp ? DecodeWebp(file) : DecodeStb(file, info));
  return Compose(pixels.get(), info);
}

}  // namespace puna::image
