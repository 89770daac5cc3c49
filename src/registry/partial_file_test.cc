#include "registry/partial_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"

namespace puna::registry {
namespace {

namespace fs = std::filesystem;

TEST(PartialFileTest, StatesThatDoNotFitAreNotBelieved) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("puna-partial-{}", ::getpid());
  fs::create_directories(folder);
  const fs::path blob = folder / "sha256-x";
  for (const char* state :
       {"", "[]", "{}", R"({"size":100})", R"({"size":100,"parts":[[50,0]]})",
        R"({"size":100,"parts":[[200,0]]})", R"({"size":100,"parts":[[100,101]]})",
        R"({"size":100,"parts":[[-1,0],[101,0]]})", R"({"size":100,"parts":[[100,"x"]]})",
        R"({"size":99,"parts":[[99,99]]})", R"({"size":100,"parts":{"a":1}})"}) {
    ASSERT_TRUE(WriteFileAtomically(blob.string() + "-partial-state", state));
    auto file = PartialFile::Open(blob, 100, 4);
    ASSERT_TRUE(file && *file);
    EXPECT_EQ((*file)->Done(), 0) << state;
    EXPECT_EQ((*file)->Contiguous(), 0) << state;
    EXPECT_EQ(*PartialFile::Open(blob, 100, 4), nullptr) << "it is held";
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace puna::registry
