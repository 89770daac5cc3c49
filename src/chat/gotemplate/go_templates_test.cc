// The Go templates under shared/data: three conversations each, as Ollama renders them.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "chat/chat.h"
#include "tests/support/shared_data.h"

namespace puna::chat {
namespace {
namespace fs = std::filesystem;

Message Say(std::string role, std::string content) {
  Message message;
  message.role = std::move(role);
  message.content = std::move(content);
  return message;
}

TEST(GoTemplates, RenderAsOllamaDoes) {
  PUNA_SHARED_OR_SKIP(folder, "data/go_templates/template");
  const std::vector<Message> turns = {
      Say("system", "You are a helpful assistant."), Say("user", "Hello, how are you?"),
      Say("assistant", "I'm doing great. How can I help you today?"),
      Say("user", "I'd like to show off how chat templating works!")};
  const std::pair<std::string, std::pair<size_t, size_t>> conversations[] = {
      {"user", {1, 2}}, {"user-assistant-user", {1, 4}}, {"system-user-assistant-user", {0, 4}}};
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".gotmpl") continue;
    SCOPED_TRACE(entry.path().filename().string());
    const auto prompt = PromptTemplate::FromGo(*ReadFile(entry.path()));
    ASSERT_TRUE(prompt) << prompt.error().message;
    for (const auto& [name, range] : conversations) {
      SCOPED_TRACE(name);
      PromptRequest request;
      request.messages.assign(turns.begin() + static_cast<ptrdiff_t>(range.first),
                              turns.begin() + static_cast<ptrdiff_t>(range.second));
      const auto text = (*prompt)->Render(request);
      ASSERT_TRUE(text) << text.error().message;
      EXPECT_EQ(*text, *ReadFile(folder / "testdata" / entry.path().filename() / name));
      ++compared;
    }
  }
  EXPECT_GE(compared, 60);
}

}  // namespace
}  // namespace puna::chat
