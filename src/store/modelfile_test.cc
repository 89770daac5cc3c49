#include "store/modelfile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace puna::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Modelfile, ReadsEveryCommand) {
  const auto file = ParseModelfile(R"(# a comment
FROM ./model.gguf
from mmproj.gguf
PARAMETER temperature 0.7
PARAMETER top_p 1.0
parameter num_ctx 4096
PARAMETER stop "<|end|>"
PARAMETER stop two words
PARAMETER use_mmap false
SYSTEM """You are
a "quoted" assistant."""
TEMPLATE "{{ .Prompt }}"
MESSAGE user hello
MESSAGE assistant "hi "
LICENSE one
LICENSE """two
lines"""
ADAPTER ./lora.gguf
)");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(file->from, ElementsAre("./model.gguf", "mmproj.gguf"));
  EXPECT_EQ("0.7", DumpJson(file->parameters["temperature"]));
  EXPECT_EQ("1", DumpJson(file->parameters["top_p"]));
  EXPECT_EQ(4096, file->parameters["num_ctx"]);
  EXPECT_EQ(Json::array({"<|end|>", "two words"}), file->parameters["stop"]);
  EXPECT_EQ(false, file->parameters["use_mmap"]);
  EXPECT_EQ("You are\na \"quoted\" assistant.", file->system);
  EXPECT_EQ("{{ .Prompt }}", file->template_text);
  ASSERT_EQ(2u, file->messages.size());
  EXPECT_EQ("hi ", file->messages[1].content);
  EXPECT_THAT(file->licenses, ElementsAre("one", "two\nlines"));
  EXPECT_THAT(file->adapters, ElementsAre("./lora.gguf"));
}

TEST(Modelfile, RequiresAVersion) {
  for (const char* version : {"0.14.0", "v1.2.3", "1", "1.2", "0.6.0-rc1", "1.0.0+build.5"}) {
    const auto file = ParseModelfile(fmt::format("FROM a\nREQUIRES {}", version));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(version == std::string("v1.2.3") ? "1.2.3" : version, file->requires_version);
  }
  for (const char* version : {"abc", "1.", "1.2.3.4", "01.2.3", "1.2-rc", "1.2.3-", "1.2.3 beta"}) {
    const auto file = ParseModelfile(fmt::format("FROM a\nREQUIRES {}", version));
    ASSERT_FALSE(file) << version;
    EXPECT_THAT(file.error().message, HasSubstr("(line 2): requires must be a version"));
  }
}

TEST(Modelfile, LineEndsAndEncodings) {
  for (const std::string& text :
       {std::string("FROM a\r\nSYSTEM b\r\n"), std::string("FROM a\rSYSTEM b"),
        std::string("\xEF\xBB\xBF"
                    "FROM a\nSYSTEM b"),
        std::string("\xFF\xFE"
                    "F\0R\0O\0M\0 \0a\0\n\0S\0Y\0S\0T\0E\0M\0 \0b\0",
                    32),
        std::string("\xFE\xFF"
                    "\0F\0R\0O\0M\0 \0a\0\n\0S\0Y\0S\0T\0E\0M\0 \0b",
                    32)}) {
    const auto file = ParseModelfile(text);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_THAT(file->from, ElementsAre("a"));
    EXPECT_EQ("b", file->system);
  }
}

TEST(Modelfile, KeepsWhatIsBetweenQuotes) {
  const auto file = ParseModelfile(
      "FROM a\nTEMPLATE \"\"\"{{ .System }} \n{{ .Prompt }}\t\n end \"\"\" \t\nSYSTEM \" one "
      "\r\ntwo\rthree\" \r\nPARAMETER stop \"User: \n\"\nMESSAGE user \"\" \nLICENSE  bare \n");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ("{{ .System }} \n{{ .Prompt }}\t\n end ", file->template_text);
  EXPECT_EQ(" one \r\ntwo\rthree", file->system);
  EXPECT_EQ(Json::array({"User: \n"}), file->parameters["stop"]);
  ASSERT_EQ(1u, file->messages.size());
  EXPECT_EQ("", file->messages[0].content);
  EXPECT_THAT(file->licenses, ElementsAre("bare"));
}

TEST(Modelfile, NumbersAndTruthsAreThoseOfGo) {
  const auto file = ParseModelfile(
      "FROM a\nPARAMETER temperature +0.5\nPARAMETER num_ctx +128\nPARAMETER use_mmap t\n"
      "PARAMETER top_p 1e-1\nPARAMETER seed -1\n");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(R"({"temperature":0.5,"num_ctx":128,"use_mmap":true,"top_p":0.1,"seed":-1})",
            DumpJson(file->parameters));
  EXPECT_EQ(false, ParseModelfile("FROM a\nPARAMETER use_mmap F")->parameters["use_mmap"]);
  for (const char* bad : {"num_ctx +-1", "num_ctx ++1", "num_ctx +", "temperature +-1",
                          "temperature 1f", "use_mmap yes", "num_ctx 1.0"}) {
    EXPECT_FALSE(ParseModelfile(fmt::format("FROM a\nPARAMETER {}", bad))) << bad;
  }
}

TEST(Modelfile, ErrorsNameTheLine) {
  const auto message = [](const char* text) { return ParseModelfile(text).error().message; };
  EXPECT_EQ("no FROM line", message("SYSTEM x"));
  EXPECT_THAT(message("FROM a\nBOGUS x"),
              HasSubstr("(line 2): command must be one of \"from\", \"license\""));
  EXPECT_THAT(
      message("FROM a\n\nMESSAGE robot x"),
      HasSubstr("(line 3): message role must be one of \"system\", \"user\", or \"assistant\""));
  EXPECT_EQ("(line 2): unexpected EOF: a quote is not closed",
            message("FROM a\nSYSTEM \"\"\"open"));
  EXPECT_THAT(message("FROM a\nPARAMETER bogus 1"), HasSubstr("unknown parameter 'bogus'"));
  EXPECT_THAT(message("FROM a\nPARAMETER num_ctx many"), HasSubstr("num_ctx"));
  EXPECT_THAT(message("FROM a\nPARAMETER temperature nan"), HasSubstr("temperature"));
  EXPECT_THAT(message("FROM"), HasSubstr("has no value"));
}

TEST(Modelfile, DeprecatedParametersAreAWarning) {
  const auto file = ParseModelfile("FROM a\nPARAMETER mirostat 1");
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->parameters.empty());
  EXPECT_EQ(1u, file->warnings.size());
}

TEST(Modelfile, QuotedValuesComeBackTheSame) {
  for (const std::string value : {"plain",
                                  " leading",
                                  "two\nlines",
                                  "a \"quote\"\nand line",
                                  "trailing ",
                                  "\"quoted\"",
                                  "\"quoted\" word",
                                  "\"",
                                  "\"\"",
                                  "\"\"\"",
                                  "ends with \"",
                                  "lone\rcr",
                                  "cr at the end\r",
                                  "a\r\nb",
                                  " \n ",
                                  "\n",
                                  "three \"\"\" within",
                                  "lines \n end \n in spaces\t\n",
                                  "",
                                  "# no comment",
                                  "SYSTEM x"}) {
    const auto quoted = QuoteModelfileValue(value);
    ASSERT_TRUE(quoted) << value;
    const auto file = ParseModelfile("FROM a\nMESSAGE user " + *quoted + "\nPARAMETER seed 1\n");
    ASSERT_TRUE(file) << value << ": " << file.error().message;
    ASSERT_EQ(1u, file->messages.size());
    EXPECT_EQ(value, file->messages[0].content);
    EXPECT_EQ(1, file->parameters["seed"]);
  }
  EXPECT_EQ("plain \"words\"", *QuoteModelfileValue("plain \"words\""));
}

TEST(Modelfile, WhatCannotBeQuotedIsAnError) {
  for (const char* value : {"three\"\"\"\nlines", "\"\"\"\nlines", "one\"\"\" \rcr"}) {
    const auto quoted = QuoteModelfileValue(value);
    ASSERT_FALSE(quoted) << *quoted;
    EXPECT_EQ(ErrorCode::kUnsupported, quoted.error().code);
  }
}

}  // namespace
}  // namespace puna::store
