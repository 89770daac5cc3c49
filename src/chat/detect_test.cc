#include "chat/detect.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "base/file.h"
#include "chat/chat.h"
#include "tests/support/shared_data.h"

namespace puna::chat {
namespace {

std::string NameOf(std::string_view source) {
  const KnownTemplate* known = DetectTemplate(source);
  return known == nullptr ? "" : std::string(known->name);
}

TEST(DetectTemplate, TellsFormatsByTheirTexts) {
  const std::string loop =
      "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + "
      "'<|im_end|>' }}{% endfor %}";
  EXPECT_EQ(NameOf(loop), "chatml");
  EXPECT_EQ(DetectTemplate(loop)->stops,
            (std::vector<std::string_view>{"<|im_start|>", "<|im_end|>"}));
  EXPECT_EQ(NameOf(loop + std::string(5000, 'x')), "");
  EXPECT_EQ(NameOf("{{ messages }}"), "");
}

TEST(DetectTemplate, AgreesWithOllamaOnItsSamples) {
  PUNA_SHARED_OR_SKIP(path, "data/go_templates/template/testdata/templates.jsonl");
  std::ifstream in(path);
  int samples = 0;
  for (std::string line; std::getline(in, line); ++samples) {
    const Json sample = Json::parse(line);
    EXPECT_EQ(NameOf(sample.begin().value().get<std::string>()), sample.begin().key())
        << line.substr(0, 300);
  }
  EXPECT_GE(samples, 35);
}

// By Ollama's measure three of the published templates are near one of its samples, and the others
// near none.
TEST(DetectTemplate, LeavesOtherTemplatesAlone) {
  PUNA_SHARED_OR_SKIP(folder, "data/chat_templates/jinja");
  const std::map<std::string, std::string> near = {
      {"google-gemma-2-2b-it", "gemma-instruct"},
      {"meta-llama-Llama-3.1-8B-Instruct", "llama3-instruct"},
      {"meta-llama-Llama-3.3-70B-Instruct", "llama3-instruct"}};
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().stem().string();
    const auto expected = near.find(name);
    EXPECT_EQ(NameOf(*ReadFile(entry.path())), expected == near.end() ? "" : expected->second)
        << name;
  }
}

}  // namespace
}  // namespace puna::chat
