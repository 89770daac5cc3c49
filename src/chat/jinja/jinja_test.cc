// The language, against what Python's Jinja made of tests/data/chat/jinja_cases.json (see
// make_jinja_cases.py there), and what Python has no word on: limits, hostile templates, list
// changes, threads.
#include "chat/jinja/jinja.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "chat/chat.h"
#include "tests/support/shared_data.h"

namespace puna::chat::jinja {
namespace {

using ::testing::HasSubstr;

Result<std::string> Render(std::string_view source, const Json& variables = Json::object(),
                           const RenderOptions& options = {}) {
  PUNA_ASSIGN_OR_RETURN(const auto parsed, Template::Parse(source));
  return parsed->Render(variables, options);
}

std::string MustRender(std::string_view source, const Json& variables = Json::object(),
                       const RenderOptions& options = {}) {
  const auto text = Render(source, variables, options);
  EXPECT_TRUE(text) << text.error().message;
  return text ? *text : "";
}

TEST(Jinja, AgreesWithPython) {
  std::ifstream in(::puna::testing::SourcePath("tests/data/chat/jinja_cases.json"));
  const Json file = Json::parse(in);
  ASSERT_GT(file["cases"].size(), 380u);
  for (const Json& entry : file["cases"]) {
    Json variables = entry.value("variables", file["variables"]);
    variables["strftime_now"] = file["now"];
    const std::string source = entry["template"];
    SCOPED_TRACE(source);
    const auto text = RenderJinja(source, variables);
    if (entry.contains("error")) {
      EXPECT_FALSE(text) << "rendered: " << *text;
    } else {
      ASSERT_TRUE(text) << text.error().message;
      EXPECT_EQ(*text, entry["text"].get<std::string>());
    }
  }
}

TEST(Jinja, ErrorsSayWhereAndWhat) {
  EXPECT_EQ(Render("a\n{{ b.c }}").error().message, "'b' is undefined");
  EXPECT_EQ(Render("{{ raise_exception('only users may speak') }}").error().message,
            "only users may speak");
  EXPECT_EQ(Render("a\n\n{% if x %}").error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(Render("a\n\n{% fi %}").error().message, HasSubstr("line 3: unknown block 'fi'"));
  EXPECT_THAT(Render("\n{{ 1 | nope }}").error().message,
              HasSubstr("line 2: no filter named 'nope'"));
  EXPECT_THAT(Render("{{ 9223372036854775807 + 1 }}").error().message, HasSubstr("64-bit"));
}

TEST(Jinja, GeneratorsAreJsonOnlyWhereAllowed) {
  const std::string source = "{{ [1, 2] | map('string') | tojson }}";
  EXPECT_THAT(Render(source).error().message, HasSubstr("not JSON serializable"));
  RenderOptions options;
  options.allow_list_changes = true;
  EXPECT_EQ(MustRender(source, {}, options), "[\"1\", \"2\"]");
}

TEST(Jinja, ListsChangeOnlyWhereAllowed) {
  const std::string source =
      "{% set l = [1] %}{% for i in range(2) %}{% set _ = l.append(i) %}{% endfor %}{{ l }}";
  EXPECT_THAT(Render(source).error().message, HasSubstr("unsafe"));
  RenderOptions options;
  options.allow_list_changes = true;
  EXPECT_EQ(MustRender(source, {}, options), "[1, 0, 1]");
  EXPECT_EQ(
      MustRender("{% set l = [2] %}{% set _ = l.insert(0, 1) %}{% set _ = l.extend('ab') %}{{ l }}",
                 {}, options),
      "[1, 2, 'a', 'b']");
}

// Each of these would run for ages, fill the memory or end the process without the limits.
TEST(Jinja, HostileTemplatesEndInAnError) {
  const std::pair<std::string, std::string> templates[] = {
      {"endless loop",
       "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"},
      {"doubling text",
       "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% "
       "endfor %}"},
      {"doubling output", "{% set x = 'a' * 9999999 %}{% for i in range(99) %}{{ x }}{% endfor %}"},
      {"doubling lists",
       "{% set ns = namespace(x=[1, 2]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% "
       "endfor %}"},
      {"shared lists",
       "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% "
       "endfor %}{{ ns.x }}"},
      {"shared lists compared",
       "{% set a = namespace(x=[1]) %}{% set b = namespace(x=[1]) %}{% for i in range(99) %}{% set "
       "a.x = [a.x, a.x] %}"
       "{% set b.x = [b.x, b.x] %}{% endfor %}{{ a.x == b.x }}"},
      {"shared lists as json",
       "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% "
       "endfor %}{{ ns.x|tojson }}"},
      {"deep lists",
       "{% set ns = namespace(x=[1]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor "
       "%}"},
      {"endless macro", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"},
      {"two macros",
       "{% macro f(g) %}{{ g(f) }}{% endmacro %}{% macro g(f) %}{{ f(g) }}{% endmacro %}{{ f(g) "
       "}}"},
      {"endless recursive loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"},
      {"repeat", "{{ 'a' * 9223372036854775807 }}"},
      {"repeat list", "{{ [1] * 4611686018427387904 }}"},
      {"center", "{{ 'a'.center(9223372036854775807) }}"},
      {"zfill", "{{ 'a'.zfill(9223372036854775807) }}"},
      {"format width", "{{ '%99999999999d' % 1 }}"},
      {"format width", "{{ '{:99999999999}'.format(1) }}"},
      {"indent", "{{ ('a\n' * 99999)|indent(99999) }}"},
      {"replace", "{% set x = 'a' * 9999999 %}{{ x.replace('a', x) }}"},
      {"join", "{% set x = 'a' * 9999999 %}{{ x|join(x) }}"},
      {"chain of joiners",
       "{% set ns = namespace(j=1) %}{% for i in range(99999) %}{% set ns.j = joiner(ns.j) %}{% "
       "endfor %}"},
      {"chain of cyclers",
       "{% set ns = namespace(j=1) %}{% for i in range(99999) %}{% set ns.j = cycler(ns.j) %}{% "
       "endfor %}"},
      {"long text searched again and again",
       "{% set x = 'a' * 999999 %}{% for i in range(99999) %}{% set n = x.isalpha() %}{% endfor "
       "%}"},
      {"long texts compared",
       "{% set x = 'a' * 999999 %}{% set y = x ~ 'b' %}{% set z = x ~ 'b' %}{% for i in "
       "range(99999) %}{% set n = y == z %}{% endfor %}"},
      {"many lines", "{{ ('a ' * 4999999) | wordwrap(1) }}"},
      {"many parts", "{% set x = ('a ' * 4999999).split() %}"},
      {"nested brackets", "{{ " + std::string(100000, '(') + "1"},
      {"nested blocks",
       [] {
         std::string text;
         for (int i = 0; i < 10000; ++i) text += "{% if 1 %}";
         return text;
       }()},
      {"long sum",
       [] {
         std::string text = "{{ 1";
         for (int i = 0; i < 10000; ++i) text += "+1";
         return text + " }}";
       }()},
      {"long minus", "{{ " + std::string(100000, '-') + "1 }}"},
      {"long not",
       [] {
         std::string text = "{{ ";
         for (int i = 0; i < 10000; ++i) text += "not ";
         return text + "1 }}";
       }()},
      {"long attributes",
       [] {
         std::string text = "{{ a";
         for (int i = 0; i < 10000; ++i) text += ".a";
         return text + " }}";
       }()},
      {"long filters",
       [] {
         std::string text = "{{ a";
         for (int i = 0; i < 10000; ++i) text += "|e";
         return text + " }}";
       }()},
      {"long filter block",
       [] {
         std::string text = "{% filter e";
         for (int i = 0; i < 10000; ++i) text += "|e";
         return text + " %}{% endfilter %}";
       }()},
  };
  RenderOptions options;  // a tenth of the usual, to be quick
  options.limits.max_steps = 3'000'000;
  options.limits.max_live_bytes = 20 << 20;
  options.limits.max_output_bytes = 4 << 20;
  for (const auto& [name, source] : templates) {
    SCOPED_TRACE(name);
    EXPECT_FALSE(Render(source, Json::object(), options));
  }
}

// Objects that refer to themselves or to very many others must still go away with the rendering.
TEST(Jinja, CyclesAndChainsAreReleased) {
  EXPECT_EQ(MustRender("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is defined }}"),
            "True");
  EXPECT_EQ(MustRender("{% set ns = namespace(p=none) %}{% for i in range(50000) %}{% set n = "
                       "namespace(p=ns.p) %}"
                       "{% set ns.p = n %}{% endfor %}ok"),
            "ok");
  EXPECT_EQ(
      MustRender(
          "{% set ns = namespace(m=none) %}{% for i in range(20000) %}{% set old = ns.m %}{% with "
          "%}"
          "{% macro m() %}{{ old }}{% endmacro %}{% set ns.m = m %}{% endwith %}{% endfor %}ok"),
      "ok");
  RenderOptions options;
  options.allow_list_changes = true;
  EXPECT_EQ(MustRender("{% set l = [] %}{% set _ = l.append(l) %}{{ l|length }}", {}, options),
            "1");
  EXPECT_EQ(MustRender("{% set ns = namespace(l=none) %}{% for i in range(50000) %}{% for k in [1] "
                       "%}{% set c = loop.changed(ns.l) %}{% set ns.l = loop %}{% endfor %}{% "
                       "endfor %}ok"),
            "ok");
  EXPECT_EQ(MustRender("{% set ns = namespace(a=[]) %}{% for i in range(50000) %}{% set b = [] %}"
                       "{% set _ = b.append(ns.a) %}{% set ns.a = b %}{% endfor %}ok",
                       {}, options),
            "ok");
  EXPECT_FALSE(Render("{% set l = [] %}{% set _ = l.append(l) %}{{ l }}", {}, options));
}

TEST(Jinja, NumbersBeyondIntegersAreWritten) {
  EXPECT_EQ(MustRender("{{ -1e30 | filesizeformat }}"), "-1000000000000000019884624838656 Bytes");
  EXPECT_EQ(MustRender("{{ 'a'.zfill(-9223372036854775807) }}"), "a");
  EXPECT_FALSE(Render("{{ 9223372036854775807 | round(-19) }}"));
}

TEST(Jinja, DeepVariablesAreRefused) {
  Json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = Json::array({std::move(deep)});
  EXPECT_FALSE(Render("{{ x }}", {{"x", deep}}));
}

// Each took the product of the lengths.
TEST(Jinja, SearchingTakesTheTimeOfTheTexts) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string texts =
      "{% set text = 'a' * 6000000 %}{% set end = 'a' * 3000000 ~ 'b' %}"
      "{% set start = 'b' ~ 'a' * 3000000 %}";
  for (const auto& [expression, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"end in text", "False"},
           {"text.count(end)", "0"},
           {"text.find(end)", "-1"},
           {"text.rfind(start)", "-1"},
           {"text.replace(end, 'x') | length", "6000000"},
           {"text.split(end) | length", "1"},
           {"text.rsplit(start) | length", "1"},
           {"text.partition(end)[0] | length", "6000000"},
           {"text.rpartition(start)[2] | length", "6000000"}}) {
    EXPECT_EQ(MustRender(texts + "{{ " + expression + " }}"), value) << expression;
  }
  // A set of three million characters with the same first byte.
  EXPECT_EQ(MustRender("{{ ('\u4e00' * 1000000).strip('\u4e01' * 1000000 ~ '\u4e00') }}"), "");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST(Jinja, SplittingFromTheRightTakesTheLastOnes) {
  EXPECT_EQ(MustRender("{{ 'aaaaa'.rsplit('aa') }}"), "['a', '', '']");
  EXPECT_EQ(MustRender("{{ 'a--b---c'.rsplit('--', 1) }}"), "['a--b-', 'c']");
  EXPECT_EQ(MustRender("{{ 'ab'.rsplit('abc') }}"), "['ab']");
}

TEST(Jinja, LimitsAreTheCallers) {
  RenderOptions options;
  options.limits.max_output_bytes = 10;
  EXPECT_EQ(MustRender("{{ '0123456789' }}", {}, options), "0123456789");
  EXPECT_EQ(Render("{{ '0123456789' }}x", {}, options).error().code, ErrorCode::kResourceExhausted);
  options = {};
  options.limits.max_steps = 1000;
  EXPECT_EQ(Render("{% for i in range(1000) %}{{ i }}{% endfor %}", {}, options).error().code,
            ErrorCode::kResourceExhausted);
}

TEST(Jinja, OneTemplateManyThreads) {
  const auto parsed = *Template::Parse(
      "{% set ns = namespace(n=0) %}{% for m in range(50) %}{% set ns.n = ns.n + k %}{% endfor "
      "%}{{ ns.n }}");
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; ++k) {
    threads.emplace_back([&, k] {
      for (int i = 0; i < 20; ++i)
        EXPECT_EQ(*parsed->Render({{"k", k}}, {}), std::to_string(50 * k));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace puna::chat::jinja
