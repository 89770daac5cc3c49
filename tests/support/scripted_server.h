// A real server whose models say what the test wrote (scripted_backend.h).
#ifndef TESTS_SUPPORT_SCRIPTED_SERVER_H_
#define TESTS_SUPPORT_SCRIPTED_SERVER_H_

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/api.h"
#include "base/json.h"
#include "gguf/gguf.h"
#include "http/client.h"
#include "tests/support/scripted_backend.h"
#include "tests/support/shared_data.h"
#include "tokenizer/tokenizer.h"

namespace puna::testing {

class ScriptedServer : public ::testing::Test {
 protected:
  void SetUp() override {
    api::ServerConfig config;
    config.settings.models = folder_.path() / "models";
    config.settings.speculate = false;  // a guess would be checked against the script's next line
    config.settings.prepare = prepare_;
    config.private_port = true;
    config.last_pass = last_pass_;
    config.make_backend = [script = script_] { return std::make_unique<ScriptedBackend>(script); };
    auto server = api::ApiServer::Start(config);
    ASSERT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
    const auto file = gguf::File::Open(SourcePath("models/mini.gguf"));
    ASSERT_TRUE(file);
    mini_ = *file;
    tokenizer_ = *tokenizer::Tokenizer::FromGguf(*mini_);
  }

  std::string Post(const std::string& path, const Json& body) {
    return PostBytes(path, DumpJson(body));
  }
  std::string PostBytes(const std::string& path, std::string body) {
    const auto answer =
        http::Fetch({.method = "POST", .url = server_->url() + path, .body = std::move(body)});
    EXPECT_TRUE(answer) << answer.error().message;
    if (!answer) return "";
    Record(path, *answer);
    return answer->body;
  }

  // tests/e2e/answers_e2e.py checks what it finds there against docs/openapi.yaml.
  static void Record(const std::string& path, const http::ClientResponse& answer) {
    const char* file = std::getenv("PUNA_RECORD_ANSWERS");
    if (file == nullptr) return;
    std::ofstream(file, std::ios::app) << DumpJson({{"path", path},
                                                    {"status", answer.status},
                                                    {"content_type", answer.Header("content-type")},
                                                    {"body", answer.body}})
                                       << "\n";
  }

  // The next answer, whichever model gives it. `tokenizer` is that model's.
  void Say(const std::string& text, bool fails = false,
           const tokenizer::Tokenizer* tokenizer = nullptr) {
    if (tokenizer == nullptr) tokenizer = tokenizer_.get();
    std::vector<tokenizer::TokenId> ids;
    tokenizer->Encode(text, {.parse_special = tokenizer != tokenizer_.get(), .add_special = false},
                      &ids);
    if (!fails) ids.push_back(*tokenizer->eos());
    script_->Play(std::move(ids), fails);
  }

  std::chrono::milliseconds last_pass_{10'000};
  bool prepare_ = false;  // as Settings::prepare; true makes passes that nobody asked for
  TemporaryDirectory folder_;
  std::shared_ptr<Script> script_ = std::make_shared<Script>();
  std::shared_ptr<const gguf::File> mini_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  std::unique_ptr<api::ApiServer> server_;
};

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_SCRIPTED_SERVER_H_
