#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/settings.h"

namespace puna {
namespace {

std::string KvTypeFor(const std::string& written) {
  const auto lookup = [&](const std::string& name) -> std::string {
    return name == "OLLAMA_KV_CACHE_TYPE" ? written : "";
  };
  return Settings::Read(lookup).kv_cache_type;
}

TEST(KvCacheType, SmallerOnesOfOllamaBecomeTheSmallestThereIs) {
  for (const char* smaller : {"q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl", "Q4_0"})
    EXPECT_EQ(KvTypeFor(smaller), "q8_0") << smaller;
}

TEST(KvCacheType, InAnyCaseAndTheDefaultForOtherWords) {
  EXPECT_EQ(KvTypeFor("Q8_0"), "q8_0");
  EXPECT_EQ(KvTypeFor("F32"), "f32");
  EXPECT_EQ(KvTypeFor("bf16"), "f16");
  EXPECT_EQ(KvTypeFor("q9"), "f16");
}

}  // namespace
}  // namespace puna
