// EXIF data is a TIFF file inside the picture: in a JPEG's APP1 segment, a PNG's eXIf chunk or a
// WebP's EXIF chunk. The orientation is tag 0x0112 of its first directory.
#include "image/exif.h"

#include <cstdint>
#include <optional>

namespace puna::image {
namespace {

constexpr std::string_view kExifMark{"Exif\0\0", 6};
constexpr int kOrientationTag = 0x0112;

// Unsigned numbers of a byte range; nothing beyond its end.
class Numbers {
 public:
  Numbers(std::string_view bytes, bool big_endian) : bytes_(bytes), big_endian_(big_endian) {}
  std::optional<uint32_t> At(size_t offset, size_t size) const {
    if (offset > bytes_.size() || bytes_.size() - offset < size) return std::nullopt;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      const size_t at = big_endian_ ? i : size - 1 - i;
      value = (value << 8) | static_cast<uint8_t>(bytes_[offset + at]);
    }
    return value;
  }

 private:
  std::string_view bytes_;
  bool big_endian_;
};

int OrientationOfTiff(std::string_view tiff) {
  if (!tiff.starts_with("II") && !tiff.starts_with("MM")) return 1;
  const Numbers numbers(tiff, tiff[0] == 'M');
  const auto directory = numbers.At(4, 4);
  if (numbers.At(2, 2) != 42u || !directory) return 1;
  const auto entries = numbers.At(*directory, 2);
  for (size_t i = 0; entries && i < *entries; ++i) {
    const size_t entry = size_t{*directory} + 2 + i * 12;
    const auto tag = numbers.At(entry, 2);
    if (!tag) return 1;
    if (*tag != kOrientationTag) continue;
    const uint32_t value = numbers.At(entry + 8, 2).value_or(1);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

std::string_view WithoutMark(std::string_view data) {
  if (data.starts_with(kExifMark)) data.remove_prefix(kExifMark.size());
  return data;
}

int OrientationOfJpeg(std::string_view file) {
  const Numbers numbers(file, /*big_endian=*/true);
  size_t at = 2;
  while (true) {
    const auto marker = numbers.At(at, 2);
    const auto length = numbers.At(at + 2, 2);
    // The pixels begin: nothing of interest follows.
    if (!marker || !length || (*marker >> 8) != 0xFF || *marker == 0xFFDA || *length < 2) return 1;
    const std::string_view segment =
        file.substr(std::min(at + 4, file.size())).substr(0, *length - 2);
    if (*marker == 0xFFE1 && segment.starts_with(kExifMark))
      return OrientationOfTiff(WithoutMark(segment));
    at += 2 + *length;
  }
}

// PNG: length, name, data, checksum. RIFF: name, length, data, padded to even.
int OrientationOfChunks(std::string_view file, bool png) {
  const Numbers numbers(file, /*big_endian=*/png);
  size_t at = png ? 8 : 12;
  while (true) {
    const auto length = numbers.At(png ? at : at + 4, 4);
    if (!length || file.size() - at < 8) return 1;
    const std::string_view name = file.substr(png ? at + 4 : at, 4);
    const std::string_view data = file.substr(at + 8).substr(0, *length);
    if (name == (png ? "eXIf" : "EXIF")) return OrientationOfTiff(WithoutMark(data));
    at += 8 + size_t{*length} + (png ? 4 : *length % 2);
    if (at > file.size()) return 1;
  }
}

}  // namespace

int ExifOrientation(std::string_view file, Format format) {
  switch (format) {
    case Format::kJpeg:
      return OrientationOfJpeg(file);
    case Format::kPng:
      return OrientationOfChunks(file, /*png=*/true);
    case Format::kWebp:
      return OrientationOfChunks(file, /*png=*/false);
    case Format::kGif:
      return 1;
  }
  return 1;
}

}  // namespace puna::image
