#include "http/zstd_body.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <string>

namespace puna::http {
namespace {

std::string Compressed(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

TEST(ZstdBody, GivesTheTextBack) {
  std::string longer;
  for (int i = 0; i < 200'000; ++i) longer += std::to_string(i);
  for (const std::string& text : {std::string(), std::string("{\"model\": \"mini\"}"), longer})
    EXPECT_EQ(*DecompressZstd(Compressed(text), longer.size()), text);
  EXPECT_EQ(*DecompressZstd(Compressed("one") + Compressed("two"), 6), "onetwo");
}

TEST(ZstdBody, RefusesWhatIsBrokenOrTooLarge) {
  const std::string whole = Compressed("some text of which nothing may be missing");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(DecompressZstd(whole.substr(0, size), 1000).error().code, ErrorCode::kInvalidArgument)
        << size;
  }
  EXPECT_EQ(DecompressZstd("{}", 1000).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(DecompressZstd(whole + "x", 1000).error().code, ErrorCode::kInvalidArgument);
  // A bomb: hundreds of megabytes out of a few kilobytes.
  const std::string bomb = Compressed(std::string(200 << 20, 'a'));
  EXPECT_LT(bomb.size(), size_t{40'000});
  EXPECT_EQ(DecompressZstd(bomb, 20 << 20).error().code, ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace puna::http
