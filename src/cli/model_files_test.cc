#include "cli/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/file.h"
#include "tests/support/tiny_llama.h"

namespace puna::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ModelFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "puna-model-files-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    ASSERT_TRUE(puna::testing::WriteTinyLlama(folder_ / "b.gguf"));
    fs::copy_file(folder_ / "b.gguf", folder_ / "a.gguf");
    fs::create_directory(folder_ / "empty");
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<ModelSources> Find(const std::string& text) {
    auto modelfile = store::ParseModelfile(text);
    EXPECT_TRUE(modelfile) << modelfile.error().message;
    return FindSources(*modelfile, folder_);
  }
  std::string MessageOf(const std::string& text) {
    auto sources = Find(text);
    return sources ? "no error" : sources.error().message;
  }

  fs::path folder_;
};

TEST_F(ModelFilesTest, PathsAreRelativeToTheModelfile) {
  EXPECT_EQ(ResolvePath("x.gguf", "/models"), "/models/x.gguf");
  EXPECT_EQ(ResolvePath("./x.gguf", "/models"), "/models/x.gguf");
  EXPECT_EQ(ResolvePath("../x.gguf", "/models/a"), "/models/x.gguf");
  EXPECT_EQ(ResolvePath("/x.gguf", "/models"), "/x.gguf");
  EXPECT_EQ(ResolvePath("~/x.gguf", "/models"), HomeDirectory() / "x.gguf");
  EXPECT_EQ(ResolvePath("~", "/models"), HomeDirectory());
}

TEST_F(ModelFilesTest, ExistingFilesAreFilesAndOtherWordsAreNames) {
  auto sources = Find("FROM ./a.gguf\nADAPTER b.gguf\n");
  ASSERT_TRUE(sources) << sources.error().message;
  EXPECT_EQ(sources->from, "");
  EXPECT_THAT(sources->files, ElementsAre(folder_ / "a.gguf"));
  EXPECT_THAT(sources->adapters, ElementsAre(folder_ / "b.gguf"));

  sources = Find("FROM mini\n");
  ASSERT_TRUE(sources) << sources.error().message;
  EXPECT_EQ(sources->from, "mini");
  EXPECT_TRUE(sources->files.empty());
}

TEST_F(ModelFilesTest, AFolderStandsForItsGgufFilesInOrder) {
  const auto sources = Find("FROM .\n");
  ASSERT_TRUE(sources) << sources.error().message;
  EXPECT_THAT(sources->files, ElementsAre(folder_ / "a.gguf", folder_ / "b.gguf"));
}

TEST_F(ModelFilesTest, ASafetensorsFolderComesWithAllThatBelongsToIt) {
  const fs::path model = folder_ / "hf";
  fs::create_directories(model / "1_Pooling");
  for (const char* name :
       {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "config.json",
        "tokenizer.json", "1_Pooling/config.json", "README.md", "training_args.json"})
    std::ofstream(model / name) << "{}";
  const auto sources = Find("FROM ./hf\n");
  ASSERT_TRUE(sources) << sources.error().message;
  EXPECT_THAT(sources->files,
              ElementsAre(model / "model-00001-of-00002.safetensors",
                          model / "model-00002-of-00002.safetensors", model / "config.json",
                          model / "tokenizer.json", model / "1_Pooling/config.json"));
  EXPECT_THAT(NamesInRequest(sources->files),
              ElementsAre("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                          "config.json", "tokenizer.json", "1_Pooling/config.json"));
}

TEST_F(ModelFilesTest, NamesTellWhichFilesLieInOneFolder) {
  for (const char* name : {"x/lora", "y/lora"}) {
    fs::create_directories(folder_ / name);
    std::ofstream(folder_ / name / "adapter_model.safetensors") << "x";
    std::ofstream(folder_ / name / "adapter_config.json") << "{}";
  }
  const auto sources = Find("FROM mini\nADAPTER ./x/lora/\nADAPTER b.gguf\nADAPTER ./y/lora\n");
  ASSERT_TRUE(sources) << sources.error().message;
  EXPECT_THAT(
      NamesInRequest(sources->adapters),
      ElementsAre("x/lora/adapter_model.safetensors", "x/lora/adapter_config.json", "b.gguf",
                  "y/lora/adapter_model.safetensors", "y/lora/adapter_config.json"));
  EXPECT_THAT(NamesInRequest(std::vector<fs::path>{"a.gguf"}), ElementsAre("a.gguf"));
  EXPECT_THAT(NamesInRequest(std::vector<fs::path>{"/a/x", "/b/x"}), ElementsAre("a/x", "b/x"));
  EXPECT_TRUE(NamesInRequest({}).empty());
}

TEST_F(ModelFilesTest, LinksThatLeaveTheFolderAreRefused) {
  const fs::path model = folder_ / "linked";
  fs::create_directory(model);
  std::ofstream(model / "model.safetensors") << "x";
  fs::create_symlink(folder_ / "a.gguf", model / "tokenizer.json");
  EXPECT_THAT(MessageOf("FROM ./linked\n"), HasSubstr("leads out of"));
}

TEST_F(ModelFilesTest, ErrorsNameWhatIsMissing) {
  EXPECT_THAT(MessageOf("FROM ./missing.gguf\n"), HasSubstr("missing.gguf"));
  EXPECT_THAT(MessageOf("FROM missing.gguf\n"), HasSubstr("there is no file"));
  EXPECT_THAT(MessageOf("FROM ./empty\n"), HasSubstr("no GGUF file and no safetensors file"));
  EXPECT_THAT(MessageOf("FROM mini\nFROM other\n"), HasSubstr("two models"));
  EXPECT_THAT(MessageOf("FROM mini\nFROM a.gguf\n"), HasSubstr("a.gguf"));
  EXPECT_THAT(MessageOf("FROM mini\nADAPTER none.gguf\n"), HasSubstr("ADAPTER none.gguf"));
}

TEST_F(ModelFilesTest, WhatIsNoGgufIsSaidBeforeItIsSent) {
  std::ofstream(folder_ / "text.gguf") << "not a model";
  EXPECT_THAT(MessageOf("FROM text.gguf\n"), HasSubstr("text.gguf"));
}

}  // namespace
}  // namespace puna::cli
