#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "grammar/grammar.h"
#include "tests/support/shared_data.h"

namespace puna::grammar {
namespace {

std::shared_ptr<const Grammar> Read(std::string_view text) {
  auto grammar = Grammar::Compile(Part::Gbnf(text));
  EXPECT_TRUE(grammar.has_value()) << text << ": " << grammar.error().message;
  return grammar.value_or(nullptr);
}

std::string ErrorOf(std::string_view text) {
  const auto grammar = Grammar::Compile(Part::Gbnf(text));
  return grammar ? "" : grammar.error().message;
}

void Expect(std::string_view grammar_text, const std::vector<std::string>& yes,
            const std::vector<std::string>& no) {
  const auto grammar = Read(grammar_text);
  ASSERT_NE(grammar, nullptr);
  for (const std::string& text : yes)
    EXPECT_TRUE(grammar->Accepts(text)) << grammar_text << ": " << text;
  for (const std::string& text : no)
    EXPECT_FALSE(grammar->Accepts(text)) << grammar_text << ": " << text;
}

TEST(Gbnf, LiteralsChoicesAndGroups) {
  Expect(R"(root ::= "a" ("b" | "c") "d")", {"abd", "acd"}, {"", "a", "ad", "abcd", "abdd"});
  Expect("root ::= \"\\x41\\u00e9\\U0001F600\\n\\\"\"", {"A\xC3\xA9\xF0\x9F\x98\x80\n\""}, {"A"});
  Expect("root ::=\n  \"x\" |\n  (\n \"y\"\n )\n", {"x", "y"}, {"xy"});
  Expect("# a comment\nroot ::= a # more\na ::= \"1\" |  \n", {"", "1"}, {"11"});
}

TEST(Gbnf, ClassesAndCounts) {
  Expect("root ::= [a-c]+ [^x] .", {"aaz!", "b\xE2\x82\xAC\n"}, {"zz", "ax!", "a"});
  Expect("root ::= [-+] [a\\]]", {"-a", "+]"}, {"a-"});
  Expect(R"(root ::= "a"{2} "b"{1,} "c"{,2} "d"{1,3})", {"aabd", "aabbbbccddd"},
         {"abd", "aad", "aabcccd", "aabdddd"});
  Expect(R"(root ::= ("ab"){2,3} "!"?)", {"abab", "ababab!"}, {"ab", "abababab"});
  Expect("root ::= [\xC2\xA2-\xF0\x9F\x98\x80]", {"\xC2\xA2", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"},
         {"\xC2\xA1", "\xF0\x9F\x98\x81", "\xED\xA0\x80", "x"});
}

TEST(Gbnf, Recursion) {
  Expect(R"g(root ::= "(" root ")" | "x")g", {"x", "((x))"}, {"(x", "x)", "()"});
  Expect("root ::= list\nlist ::= \"a\" list | \"a\"", {"a", std::string(5000, 'a')}, {"", "b"});
  Expect(R"g(root ::= (("a"?)*)* "b")g", {"b", "aaab"}, {"a"});
}

TEST(Gbnf, SaysWhatIsWrong) {
  EXPECT_EQ(ErrorOf("x ::= \"a\""), "grammar: there is no rule \"root\"");
  EXPECT_EQ(ErrorOf("root ::= a\n"), "grammar: rule \"a\" is used in line 1 and not defined");
  EXPECT_EQ(ErrorOf("root ::= \"a\n"), "grammar, line 2: unexpected end");
  EXPECT_EQ(ErrorOf("root ::= \"a\" )"), "grammar, line 1: unexpected \")\"");
  EXPECT_EQ(ErrorOf("root = \"a\""), "grammar, line 1: expected \"::=\" behind \"root\"");
  EXPECT_EQ(ErrorOf("root ::= \"a\"\nroot ::= \"b\""),
            "grammar, line 2: rule \"root\" is defined twice");
  EXPECT_EQ(ErrorOf("root ::= root \"a\" | \"b\""),
            "rule \"root\" refers to itself before it consumes anything (left recursion)");
  EXPECT_EQ(ErrorOf("root ::= b root | \"y\"\nb ::= \"x\"?"),
            "rule \"root\" refers to itself before it consumes anything (left recursion)");
  EXPECT_EQ(ErrorOf("root ::= <[12]>"),
            "grammar, line 1: only tokens by their text are supported, as in <think>");
}

TEST(Gbnf, IsBounded) {
  EXPECT_NE(ErrorOf("root ::= [a-z]{0,1000000000}").find("too large"), std::string::npos);
  EXPECT_NE(ErrorOf("root ::= (((\"abc\"{1000}){1000}){1000}){1000000}").find("too large"),
            std::string::npos);
  EXPECT_NE(ErrorOf("root ::= " + std::string(100'000, '(')).find("levels"), std::string::npos);
  // Every rule of a level is a choice of all of the next: more ways than anybody could visit.
  std::string fans = "root ::= r0x0*\n";
  for (int level = 0; level < 6; ++level) {
    for (int rule = 0; rule < 40; ++rule) {
      fans += fmt::format("r{}x{} ::=", level, rule);
      for (int next = 0; next < 40; ++next)
        fans += level == 5 ? fmt::format(" {} [{}-z]", next == 0 ? "" : "|",
                                         static_cast<char>('a' + next % 25))
                           : fmt::format(" {} r{}x{}", next == 0 ? "" : "|", level + 1, next);
      fans += "\n";
    }
  }
  EXPECT_NE(Read(fans), nullptr);
  // A chain whose first links are mentioned first: each can be empty because the next can.
  std::string mentions = "root ::= \"x\"", links;
  for (int i = 0; i < 40'000; ++i) {
    mentions += fmt::format(" | r{}", i);
    links += fmt::format("r{} ::= r{}\n", i, i + 1);
  }
  EXPECT_NE(Read(mentions + "\n" + links + "r40000 ::= \"b\"?\n"), nullptr);
  std::string chain = "root ::= r0\n";
  for (int i = 0; i < 20'000; ++i) chain += fmt::format("r{} ::= r{} | \"a\"\n", i, i + 1);
  chain += "r20000 ::= \"b\"\n";
  const auto grammar = Read(chain);
  ASSERT_NE(grammar, nullptr);
  EXPECT_TRUE(grammar->Accepts("a"));
}

TEST(Gbnf, ARuleWithoutEndIsUnsatisfiable) {
  const auto grammar = Read("root ::= \"a\" root");
  ASSERT_NE(grammar, nullptr);
  EXPECT_FALSE(grammar->satisfiable());
  Expect("root ::= \"x\" | \"y\" never\nnever ::= \"a\" never", {"x"}, {"y", "ya"});
}

TEST(Gbnf, PublishedGrammars) {
  PUNA_SHARED_OR_SKIP(folder, "data/json_schema/gbnf");
  const auto read = [&](const std::string& name) {
    return Read(*ReadFile(folder / (name + ".gbnf")));
  };
  const auto json = read("json");
  EXPECT_TRUE(json->Accepts(R"({"a": [1, 2.5e1, "x\n\u00e9"], "b": {"c": null}})"));
  EXPECT_FALSE(json->Accepts(R"({"a": [1, }])"));
  EXPECT_TRUE(read("json_arr")->Accepts("[\n1,\n2]"));
  EXPECT_TRUE(read("arithmetic")->Accepts("x1*4 = (2+3)\n"));
  EXPECT_TRUE(read("list")->Accepts("- one\n- two\n"));
  EXPECT_FALSE(read("list")->Accepts("- one"));
  EXPECT_TRUE(read("chess")->Accepts("1. e4 e5\n2. Nf3 Nc6\n"));
  EXPECT_TRUE(read("english")->Accepts("This is it. Or not?"));
  EXPECT_TRUE(read("japanese")->Accepts("\xE3\x81\x82\xE3\x82\xA2 \xE4\xB8\x80"));
  EXPECT_TRUE(read("c")->Accepts("int main(){return 1;}"));
}

}  // namespace
}  // namespace puna::grammar
