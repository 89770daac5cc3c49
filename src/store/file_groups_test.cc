#include "store/file_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "gguf/gguf.h"
#include "tests/support/shared_data.h"

namespace puna::store {
namespace {

using ::testing::ElementsAre;
using Kind = FileGroup::Kind;

class FileGroupsTest : public ::testing::Test {
 protected:
  // A file as it lies in the store, where its name tells nothing.
  UploadedFile Upload(const std::string& name, uint32_t parts = 1) {
    const std::filesystem::path path = folder_.path() / std::to_string(count_++);
    if (name.find("gguf") != std::string::npos) {
      gguf::Writer writer;
      writer.Set("split.no", uint32_t{0});
      writer.Set("split.count", parts);
      EXPECT_TRUE(writer.WriteFile(path));
    } else {
      EXPECT_TRUE(WriteFileAtomically(path, "{}"));
    }
    return {name, "", path};
  }
  // "kind folder: names", one for each group.
  static std::vector<std::string> Describe(const std::vector<UploadedFile>& files) {
    std::vector<std::string> groups;
    for (const FileGroup& group : GroupFiles(files)) {
      std::string text = group.kind == Kind::kGguf        ? "gguf"
                         : group.kind == Kind::kSplitGguf ? "split"
                                                          : "safetensors " + group.folder;
      text += ':';
      for (const auto& [name, path] : group.files) text += ' ' + name;
      groups.push_back(text);
    }
    return groups;
  }

  testing::TemporaryDirectory folder_;
  int count_ = 0;
};

TEST_F(FileGroupsTest, FoldersWithSafetensorsStandApartInTheOrderOfTheRequest) {
  EXPECT_THAT(
      Describe({Upload("b/adapter_model.safetensors"), Upload("b/adapter_config.json"),
                Upload("one.gguf"), Upload("a/adapter_config.json"),
                Upload("a/adapter_model.safetensors"), Upload("two.gguf")}),
      ElementsAre("safetensors b: adapter_config.json adapter_model.safetensors", "gguf: one.gguf",
                  "safetensors a: adapter_config.json adapter_model.safetensors",
                  "gguf: two.gguf"));
}

// As Ollama's clients name the files of one folder.
TEST_F(FileGroupsTest, WhatLiesBelowSafetensorsBelongsToThem) {
  EXPECT_THAT(Describe({Upload("1_Pooling/config.json"), Upload("config.json"),
                        Upload("model-1.safetensors"), Upload("model-2.safetensors"),
                        Upload("checkpoint/adapter_config.json"),
                        Upload("checkpoint/adapter_model.safetensors"), Upload("mmproj.gguf"),
                        Upload("mmproj-gguf-without-ending")}),
              ElementsAre("safetensors : 1_Pooling/config.json config.json model-1.safetensors "
                          "model-2.safetensors",
                          "safetensors checkpoint: adapter_config.json adapter_model.safetensors",
                          "gguf: mmproj.gguf", "gguf: mmproj-gguf-without-ending"));
}

TEST_F(FileGroupsTest, PartsBelongTogetherUnderAnyName) {
  EXPECT_THAT(Describe({Upload("m-00001-of-00002.gguf", 2), Upload("mmproj.gguf"),
                        Upload("other name of a gguf", 2), Upload("of three.gguf", 3)}),
              ElementsAre("split: m-00001-of-00002.gguf other name of a gguf", "gguf: mmproj.gguf",
                          "split: of three.gguf"));
}

TEST_F(FileGroupsTest, WhatIsNothingStandsAlone) {
  UploadedFile text = Upload("text");
  text.name = "text.gguf";
  EXPECT_THAT(
      Describe({text, Upload("config.json"), Upload("a/model.safetensors")}),
      ElementsAre("gguf: text.gguf", "gguf: config.json", "safetensors a: model.safetensors"));
}

}  // namespace
}  // namespace puna::store
