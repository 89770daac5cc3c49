#include "registry/remote_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace puna::registry {
namespace {

using ::testing::ElementsAre;

TEST(ShardsTest, TheCompleteSetThatTheTagNamesIsChosen) {
  Json listing = Json::array();
  const auto add = [&](const std::string& path, char digit) {
    listing.push_back({{"type", "file"},
                       {"path", path},
                       {"size", 100},
                       {"lfs", {{"oid", std::string(64, digit)}, {"size", 100}}}});
  };
  add("README.md", '0');
  add("Q8_0/m-Q8_0-00002-of-00002.gguf", '2');
  add("Q8_0/m-Q8_0-00001-of-00002.gguf", '1');
  add("m-Q4_K_M-00001-of-00002.gguf", '3');  // the second is missing
  add("m-IQ4_K_M-00001-of-00001.gguf", '4');
  listing.push_back({{"path", "m-Q5_K_M-00001-of-00001.gguf"}});
  listing.push_back("text");
  const auto chosen = ChooseShards(listing, "q8_0");
  ASSERT_TRUE(chosen) << chosen.error().message;
  ASSERT_EQ(chosen->size(), 2u);
  EXPECT_EQ((*chosen)[0].layer.digest, "sha256:" + std::string(64, '1'));
  EXPECT_EQ((*chosen)[1].name, "m-Q8_0-00002-of-00002.gguf");
  EXPECT_EQ(ChooseShards(listing, "latest")->size(), 2u) << "Q4_K_M is not complete";
  EXPECT_FALSE(ChooseShards(listing, "Q4_K_M"));
  EXPECT_FALSE(ChooseShards(listing, "Q5_K_M"));
  EXPECT_FALSE(ChooseShards(Json::object(), "latest"));
  EXPECT_THAT(
      SplitUrls("https://h/a-00001-of-00002.gguf?x=1"),
      ElementsAre("https://h/a-00001-of-00002.gguf?x=1", "https://h/a-00002-of-00002.gguf?x=1"));
  EXPECT_THAT(SplitUrls("https://h/a.gguf"), ElementsAre("https://h/a.gguf"));
}

}  // namespace
}  // namespace puna::registry
