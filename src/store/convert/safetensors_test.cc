#include "store/convert/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "tests/support/shared_data.h"

namespace puna::store {
namespace {

using ::testing::HasSubstr;

std::string MessageOf(std::string_view header, uint64_t data_bytes) {
  const auto tensors = ParseSafetensorsHeader(header, 8, data_bytes);
  return tensors ? "no error" : tensors.error().message;
}

TEST(SafetensorsTest, ReadsWhatIsThere) {
  const auto tensors = ParseSafetensorsHeader(
      R"({"__metadata__": {"format": "pt"},
          "w": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [4, 16]},
          "one": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
          "none": {"dtype": "F32", "shape": [0, 7], "data_offsets": [16, 16]}})",
      100, 16);
  ASSERT_TRUE(tensors) << tensors.error().message;
  ASSERT_EQ(tensors->size(), 3u);
  const StoredTensor& w = tensors->at("w");
  EXPECT_EQ(w.type, ElementType::kBF16);
  EXPECT_EQ(w.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(w.offset_bytes, 104u);
  EXPECT_EQ(w.elements(), 6);
  EXPECT_EQ(tensors->at("one").elements(), 1);
  EXPECT_EQ(tensors->at("none").elements(), 0);
}

TEST(SafetensorsTest, HostileHeadersAreRefused) {
  EXPECT_THAT(MessageOf("[]", 0), HasSubstr("no JSON object"));
  EXPECT_THAT(MessageOf("{\"a\":", 0), HasSubstr("no JSON object"));
  EXPECT_THAT(MessageOf(R"({"a": 3})", 0), HasSubstr("not described by an object"));
  const auto one = [](const char* dtype, const char* shape, const char* offsets) {
    return MessageOf(fmt::format(R"({{"a": {{"dtype": "{}", "shape": {}, "data_offsets": {}}}}})",
                                 dtype, shape, offsets),
                     16);
  };
  EXPECT_EQ(one("F32", "[4]", "[0, 16]"), "no error");
  EXPECT_THAT(one("F31", "[4]", "[0, 16]"), HasSubstr("unknown dtype 'F31'"));
  EXPECT_THAT(one("F32", "[4]", "[0, 20]"), HasSubstr("the data has 16"));
  EXPECT_THAT(one("F32", "[4]", "[8, 4]"), HasSubstr("bytes 8 to 4"));
  EXPECT_THAT(one("F32", "[3]", "[0, 16]"), HasSubstr("its shape and type say 12"));
  EXPECT_THAT(one("F32", "[-4]", "[0, 16]"), HasSubstr("a dimension"));
  EXPECT_THAT(one("F32", "[4.0]", "[0, 16]"), HasSubstr("a dimension"));
  EXPECT_THAT(one("F32", "[4294967296, 4294967296]", "[0, 16]"), HasSubstr("2^63"));
  EXPECT_THAT(one("F32", "[1,1,1,1,1,1,1,1,4]", "[0, 16]"), HasSubstr("8 dimensions"));
  EXPECT_THAT(one("F32", "[4]", "[0]"), HasSubstr("two numbers"));
  EXPECT_THAT(one("F32", "[4]", "[0, 18446744073709551615]"), HasSubstr("an offset"));
}

TEST(SafetensorsTest, OverlapsAndDuplicatesAreRefused) {
  const char* a = R"("a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]})";
  const char* b = R"("b": {"dtype": "U8", "shape": [9], "data_offsets": [7, 16]})";
  EXPECT_THAT(MessageOf(fmt::format("{{{}, {}}}", a, b), 16), HasSubstr("overlaps with 'a'"));
  EXPECT_THAT(MessageOf(fmt::format("{{{}, {}}}", a, a), 16), HasSubstr("named twice"));
}

TEST(SafetensorsTest, FilesThatLieAboutTheirHeaderAreRefused) {
  const puna::testing::TemporaryDirectory folder;
  const auto path = folder.path() / "x.safetensors";
  const auto message = [&](uint64_t length, const std::string& rest) {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&length), 8);
    out << rest;
    out.close();
    const auto file = SafetensorsFile::Open(path);
    return file ? std::string("no error") : file.error().message;
  };
  EXPECT_EQ(message(2, "{}"), "no error");
  EXPECT_THAT(message(3, "{}"), HasSubstr("a header of 3 bytes"));
  EXPECT_THAT(message(UINT64_MAX, "{}"), HasSubstr("a header of"));
  std::ofstream(path) << "short";
  EXPECT_THAT(SafetensorsFile::Open(path).error().message, HasSubstr("too short"));
}

TEST(SafetensorsTest, EightBitFloatsAreThoseOfTheStandard) {
  const uint8_t e4m3[] = {0x00, 0x01, 0x08, 0x38, 0x7E, 0xB8, 0x80};
  float out[7];
  DecodeElements(ElementType::kF8E4M3, e4m3, 7, out);
  EXPECT_THAT(out, ::testing::ElementsAre(0, 0x1p-9F, 0x1p-6F, 1, 448, -1, 0));
  const uint8_t nan[] = {0x7F};
  DecodeElements(ElementType::kF8E4M3, nan, 1, out);
  EXPECT_TRUE(std::isnan(out[0]));
  const uint8_t e5m2[] = {0x3C, 0x7B, 0x01, 0xC0};
  DecodeElements(ElementType::kF8E5M2, e5m2, 4, out);
  EXPECT_EQ(out[0], 1);
  EXPECT_EQ(out[1], 57344);
  EXPECT_EQ(out[2], 0x1p-16F);
  EXPECT_EQ(out[3], -2);
}

}  // namespace
}  // namespace puna::store
