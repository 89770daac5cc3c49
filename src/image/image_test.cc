#include "image/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "tests/support/shared_data.h"

namespace puna::image {
namespace {

using ::testing::HasSubstr;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string BigEndian(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
  return out;
}

// Checksums are not looked at by the decoder.
std::string Chunk(const std::string& name, const std::string& data) {
  return BigEndian(static_cast<uint32_t>(data.size())) + name + data + BigEndian(0);
}

std::string Png(uint32_t width, uint32_t height, const std::string& packed,
                const std::string& before = "") {
  const std::string head = BigEndian(width) + BigEndian(height) + std::string("\x08\x02\0\0\0", 5);
  return "\x89PNG\r\n\x1a\n" + Chunk("IHDR", head) + before + Chunk("IDAT", packed) +
         Chunk("IEND", "");
}

// zlib data with one stored block.
std::string Stored(const std::string& raw) {
  std::string out = "\x78\x01\x01";
  const auto size = static_cast<uint16_t>(raw.size());
  for (const int value : {size & 0xFF, size >> 8, ~size & 0xFF, (~size >> 8) & 0xFF})
    out.push_back(static_cast<char>(value));
  return out + raw + BigEndian(0);
}

// zlib data that unpacks to 1 + 258 * `repeats` zero bytes: a literal, then matches of length 258
// at distance 1, in the fixed code.
std::string Bomb(int repeats) {
  std::string bits = "110";  // last block, fixed code
  bits += "00110000";        // literal 0
  for (int i = 0; i < repeats; ++i) bits += "1100010100000";
  bits += "0000000";
  std::string out = "\x78\x01";
  for (size_t i = 0; i < bits.size(); i += 8) {
    int byte = 0;
    for (size_t j = 0; j < 8 && i + j < bits.size(); ++j) byte |= (bits[i + j] - '0') << j;
    out.push_back(static_cast<char>(byte));
  }
  return out + BigEndian(0);
}

// Red, green; blue, white.
const std::string kFourPixels =
    std::string("\0\xff\0\0\0\xff\0", 7) + std::string("\0\0\0\xff\xff\xff\xff", 7);

TEST(Image, DecodesToRowsOfRedGreenBlue) {
  const auto image = Decode(Png(2, 2, Stored(kFourPixels)));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->width, 2);
  EXPECT_EQ(image->height, 2);
  EXPECT_EQ(image->rgb, (std::vector<uint8_t>{255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255}));
}

std::string Tiff(bool big, int orientation) {
  const auto number = [big](uint32_t value, int size) {
    std::string out;
    for (int i = 0; i < size; ++i)
      out.push_back(static_cast<char>(value >> (8 * (big ? size - 1 - i : i))));
    return out;
  };
  return (big ? "MM" : "II") + number(42, 2) + number(8, 4) + number(1, 2) + number(0x0112, 2) +
         number(3, 2) + number(1, 4) + number(static_cast<uint32_t>(orientation), 2) + number(0, 2);
}

TEST(Image, OrientationTurnsThePixels) {
  // Of a row of red and green.
  const std::string row = Stored(std::string("\0\xff\0\0\0\xff\0", 7));
  const std::vector<uint8_t> red_green = {255, 0, 0, 0, 255, 0};
  const std::vector<uint8_t> green_red = {0, 255, 0, 255, 0, 0};
  for (const bool big : {false, true}) {
    for (int orientation = 0; orientation <= 9; ++orientation) {
      const auto image = Decode(Png(2, 1, row, Chunk("eXIf", Tiff(big, orientation))));
      ASSERT_TRUE(image) << image.error().message;
      const bool turned = orientation >= 5 && orientation <= 8;
      EXPECT_EQ(image->width, turned ? 1 : 2) << orientation;
      const bool reversed =
          orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
      EXPECT_EQ(image->rgb, reversed ? green_red : red_green) << orientation;
    }
  }
}

TEST(Image, SizesAreJudgedBeforeUnpacking) {
  const auto message = [](const std::string& file, const Limits& limits = {}) {
    const auto image = Decode(file, limits);
    return image ? std::string("decoded") : image.error().message;
  };
  EXPECT_THAT(message(Png(20000, 2, Stored(kFourPixels))), HasSubstr("20000 x 2 pixels"));
  EXPECT_THAT(message(Png(10000, 10000, Stored(kFourPixels))), HasSubstr("limits"));
  EXPECT_THAT(message(Png(2, 2, Stored(kFourPixels)), {.max_file_bytes = 10}),
              HasSubstr("the limit is 10"));
  EXPECT_THAT(message("not a picture"), HasSubstr("none of png, jpeg, webp and gif"));
  EXPECT_THAT(message(""), HasSubstr("none of"));
}

TEST(Image, APackedBombHitsTheBudget) {
  // 200 MB of zeros in 1.2 MB, for a picture of four pixels.
  const std::string bomb = Png(2, 2, Bomb(200'000'000 / 258));
  EXPECT_LT(bomb.size(), 1'400'000u);
  const auto image = Decode(bomb);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(Decode(Png(2, 2, Stored(kFourPixels)))) << "the next picture has a budget again";
}

// The pixels of Pillow's hopper.ppm: an 128 x 128 P6 file with a comment.
std::vector<uint8_t> Hopper(const std::filesystem::path& folder) {
  const std::string file = ReadFile(folder / "hopper.ppm");
  const std::string pixels = file.substr(file.size() - 128 * 128 * 3);
  return {pixels.begin(), pixels.end()};
}

double MeanDifference(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  if (a.size() != b.size()) return INFINITY;
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return sum / static_cast<double>(a.size());
}

TEST(Image, FourFormatsShowTheSamePicture) {
  PUNA_SHARED_OR_SKIP(folder, "data/images/pillow");
  const std::vector<uint8_t> expected = Hopper(folder);
  const std::pair<const char*, double> files[] = {
      {"hopper.png", 2}, {"hopper.jpg", 4}, {"hopper.webp", 8}, {"hopper.gif", 10}};
  for (const auto& [name, tolerance] : files) {
    const auto image = Decode(ReadFile(folder / name));
    ASSERT_TRUE(image) << name << ": " << image.error().message;
    EXPECT_LE(MeanDifference(image->rgb, expected), tolerance) << name;
  }
}

TEST(Image, EveryOrientationComesOutUpright) {
  PUNA_SHARED_OR_SKIP(folder, "data/images/pillow");
  const auto upright = Decode(ReadFile(folder / "hopper_orientation_2.jpg"));
  ASSERT_TRUE(upright);
  EXPECT_LT(MeanDifference(upright->rgb, Hopper(folder)), 8);
  for (const char* name :
       {"hopper_orientation_3.jpg", "hopper_orientation_4.jpg", "hopper_orientation_5.jpg",
        "hopper_orientation_6.jpg", "hopper_orientation_7.jpg", "hopper_orientation_8.jpg",
        "hopper_orientation_6.webp"}) {
    const auto image = Decode(ReadFile(folder / name));
    ASSERT_TRUE(image) << name;
    EXPECT_LT(MeanDifference(image->rgb, upright->rgb), 6) << name;
  }
}

TEST(Image, TransparencyLiesOnWhite) {
  PUNA_SHARED_OR_SKIP(folder, "data/images/pillow");
  const auto png = Decode(ReadFile(folder / "transparent.png"));
  const auto webp = Decode(ReadFile(folder / "transparent.webp"));
  ASSERT_TRUE(png && webp);
  EXPECT_EQ(png->rgb[0], 255);
  EXPECT_LT(MeanDifference(png->rgb, webp->rgb), 4);
}

TEST(Image, PngSuiteHasItsSizesAndBrokenOnesAreRefused) {
  PUNA_SHARED_OR_SKIP(folder, "data/images");
  std::ifstream list(folder / "pngsuite" / "ref_results.csv");
  std::string line;
  std::getline(list, line);
  int decoded = 0;
  while (std::getline(list, line)) {
    std::istringstream fields(line);
    std::string name, width, height, channels, error;
    for (std::string* field : {&name, &width, &height, &channels, &error})
      std::getline(fields, *field, ',');
    const auto image = Decode(ReadFile(folder / name));
    if (!error.empty()) {
      EXPECT_FALSE(image) << name << ", " << error;
      continue;
    }
    if (!image) ADD_FAILURE() << name << ": " << image.error().message;
    if (!image) continue;
    ++decoded;
    EXPECT_EQ(std::to_string(image->width), width) << name;
    EXPECT_EQ(std::to_string(image->height), height) << name;
  }
  EXPECT_GT(decoded, 150);
}

TEST(Image, TruncatedAndOversizedFilesOfPillowAreRefused) {
  PUNA_SHARED_OR_SKIP(folder, "data/images/pillow");
  for (const char* name : {"truncated_image.png", "decompression_bomb.gif"})
    EXPECT_FALSE(Decode(ReadFile(folder / name))) << name;
}

}  // namespace
}  // namespace puna::image
