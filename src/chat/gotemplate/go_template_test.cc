// text/template's language: expected texts follow from the documentation of Go's text/template and
// fmt.
#include "chat/gotemplate/go_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace puna::chat::gotemplate {
namespace {

using ::testing::HasSubstr;

const char* const kData =
    R"({"Messages": 1, "Name": "Ann", "Empty": "", "Zero": 0, "Yes": true, "List": ["a", "b", "c"], "None": [],
  "Map": {"b": 2, "a": {"c": "deep"}}, "Html": "<a & 'b'>",
  "Big": 1000000, "Floats": [1000000, 0.00001, 1e-7, 10000000000000000, 1e21, -0.5]})";

Result<std::string> Execute(std::string_view source) {
  PUNA_ASSIGN_OR_RETURN(const auto parsed,
                        GoTemplate::Parse("{{ if .Messages }}{{ end }}" + std::string(source)));
  std::tm now = {};
  now.tm_year = 126;
  now.tm_mday = 1;
  now.tm_hour = 10;
  GoLimits limits;
  limits.max_steps = 1'000'000;
  limits.max_output_bytes = 4 << 20;
  return parsed->Execute(GoValue::FromJson(Json::parse(kData)), now, limits);
}

TEST(GoTemplate, Language) {
  const std::pair<const char*, const char*> cases[] = {
      // Text and trimming.
      {"a {{ .Name }} b", "a Ann b"},
      {"a  {{- .Name -}}  b", "aAnnb"},
      {"a\n{{- /* note */ -}}\n b", "ab"},
      {"a{{/* note */}}b", "ab"},
      {"a {{ \"x\" -}} \n\t{{- \"y\" }}", "a xy"},
      {"{{ -1 }} {{- 2 }}", "-12"},
      // Conditions.
      {"{{ if .Empty }}a{{ else if .Zero }}b{{ else if .None }}c{{ else }}d{{ end }}", "d"},
      {"{{ if .Name }}a{{ else }}b{{ end }}{{ if .Missing }}c{{ end }}", "a"},
      {"{{ with .Map.a }}{{ .c }}{{ end }}{{ with .Empty }}x{{ else }}y{{ end }}", "deepy"},
      {"{{ with .Empty }}x{{ else with .Name }}{{ . }}{{ end }}", "Ann"},
      {"{{ if and .Yes .Name }}1{{ end }}{{ if or .Empty .Zero }}2{{ end }}{{ if not .Empty }}3{{ "
       "end }}",
       "13"},
      {"{{ and .Empty .Missing.Deep }}{{ or .Name .Missing.Deep }}", "Ann"},
      // Loops.
      {"{{ range .List }}{{ . }},{{ end }}", "a,b,c,"},
      {"{{ range $i, $v := .List }}{{ $i }}={{ $v }};{{ end }}", "0=a;1=b;2=c;"},
      {"{{ range $v := .List }}{{ $v }}{{ end }}{{ range .None }}x{{ else }}empty{{ end }}",
       "abcempty"},
      {"{{ range $k, $v := .Map }}{{ $k }} {{ end }}", "a b "},
      {"{{ range .List }}{{ if eq . \"b\" }}{{ continue }}{{ end }}{{ . }}{{ end }}", "ac"},
      {"{{ range .List }}{{ if eq . \"b\" }}{{ break }}{{ end }}{{ . }}{{ end }}", "a"},
      {"{{ range 3 }}{{ . }}{{ end }}", "012"},
      {"{{ range .List }}{{ $.Name }}{{ end }}", "AnnAnnAnn"},
      // Variables.
      {"{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"},
      {"{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21"},
      {"{{ $s := \"\" }}{{ range .List }}{{ $s = print . $s }}{{ end }}{{ $s }}", "cba"},
      {"{{ with $y := .Name }}{{ $y }}{{ end }}", "Ann"},
      // Values.
      {"{{ .Missing }}", "<no value>"},
      {"{{ .Yes }} {{ .Zero }} {{ .List }} {{ .Map }}", "true 0 [a b c] map[a:map[c:deep] b:2]"},
      {"{{ .Map.a.c }} {{ (index .Map \"a\").c }} {{ .Map.zz }}", "deep deep <no value>"},
      {"{{ \"a\\tb\\x41\\u00e9\\\"\" }} {{ `raw\\n` }} {{ 'a' }} {{ 1.5 }} {{ 0x10 }} {{ 1e3 }} {{ "
       "true }}",
       "a\tbA\xC3\xA9\" raw\\n 97 1.5 16 1000 true"},
      // Functions.
      {"{{ len .List }}{{ len .Name }}{{ len .Map }}", "332"},
      {"{{ index .List 1 }} {{ index .Map \"b\" }} {{ slice .List 1 }} {{ slice .Name 1 2 }}",
       "b 2 [b c] n"},
      {"{{ eq .Name \"Ann\" }} {{ eq .Name \"x\" \"Ann\" }} {{ ne 1 2 }} {{ lt 1 2 }} {{ le 2 2 }} "
       "{{ gt \"b\" \"a\" }} {{ ge 1 2 }}",
       "true true true true true true false"},
      {"{{ print 1 2 \"x\" 3 }}|{{ println \"a\" 1 }}|{{ printf "
       "\"%s-%d-%v-%q-%5.1f|%-4s|%04d|%t|%%\" \"a\" 7 .List \"q\\\"\" 2.25 \"ab\" 42 true }}",
       "1 2x3|a 1\n|a-7-[a b c]-\"q\\\"\"-  2.2|ab  |0042|true|%"},
      {"{{ printf \"%d %s\" \"x\" 1 }} {{ printf \"%s\" }} {{ printf \"x\" 1 }}",
       "%!d(string=x) %!s(int=1) %!s(MISSING) x%!(EXTRA int=1)"},
      {"{{ printf \"%*s|%-*d|%.*s|%*d\" 3 \"\" 4 7 1 \"abc\" -3 5 }}", "   |7   |a|5  "},
      {"{{ printf \"%[2]d %[1]s|%[3]*.[1]d\" \"a\" 2 }} {{ printf \"%[3]d\" 1 }} "
       "{{ printf \"%*d\" \"x\" 1 }}",
       "2 a|%!d(BADINDEX) %!d(BADINDEX) %!(BADWIDTH)1"},
      {"{{ printf \"%b %o %O %#x %X %x %U %q %q %c\" 5 8 8 255 255 -255 233 65 39 233 }}",
       "101 10 0o10 0xff FF -ff U+00E9 'A' '\\'' \xC3\xA9"},
      {"{{ printf \"%X %x %.2q %03d %+.3d|%5.3d\" \"az\" \"az\" \"abc\" -5 7 7 }}",
       "617A 617a \"ab\" -05 +007|  007"},
      {"{{ .Big }} {{ 999999.5 }} {{ 0.0001 }} {{ 0.00001 }} {{ printf \"%v %g %G\" .Big .Big .Big "
       "}}",
       "1e+06 999999.5 0.0001 1e-05 1e+06 1e+06 1E+06"},
      {"{{ json .Floats }}", "[1000000,0.00001,1e-7,10000000000000000,1e+21,-0.5]"},
      {"{{ .Name | printf \"%s%s\" \"a\" }} {{ .List | len }} {{ (len .List) | eq 3 }}",
       "aAnn 3 true"},
      {"{{ html .Html }} {{ js \"a'b\" }} {{ urlquery \"a b&c\" }}",
       "&lt;a &amp; &#39;b&#39;&gt; a\\'b a+b%26c"},
      {"{{ json .Map }} {{ json .Html }} {{ json .List }}",
       R"({"a":{"c":"deep"},"b":2} "\u003ca \u0026 'b'\u003e" ["a","b","c"])"},
      {"{{ currentDate }} {{ yesterdayDate }}", "2026-01-01 2025-12-31"},
      // Definitions.
      {"{{ define \"t\" }}[{{ . }}]{{ end }}{{ template \"t\" .Name }}{{ template \"t\" }}",
       "[Ann][<no value>]"},
      {"{{ block \"b\" .List }}{{ len . }}{{ end }}", "3"},
  };
  for (const auto& [source, expected] : cases) {
    SCOPED_TRACE(source);
    const auto text = Execute(source);
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(*text, expected);
  }
}

TEST(GoTemplate, Errors) {
  const std::pair<const char*, const char*> cases[] = {
      {"{{", "not closed"},
      {"{{ if .Name }}", "end"},
      {"{{ end }}", "unexpected {{end}}"},
      {"{{ else }}", "unexpected {{else}}"},
      {"{{ if }}{{ end }}", "missing"},
      {"{{ nofunction 1 }}", "function 'nofunction' is not defined"},
      {"{{ $x }}", "undefined variable '$x'"},
      {"{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "undefined variable"},
      {"{{ break }}", "outside"},
      {"{{ .Name.Field }}", "can't evaluate field Field in type string"},
      {"{{ .Missing.Field }}", "nil pointer"},
      {"{{ index .List 9 }}", "out of range"},
      {"{{ len 3 }}", "len of type int"},
      {"{{ eq .List 1 }}", "non-comparable"},
      {"{{ lt 1 \"a\" }}", "incompatible"},
      {"{{ template \"none\" }}", "not defined"},
      {"{{ range 1.5 }}{{ end }}", "can't iterate"},
      {"{{ .Name 1 }}", "no function"},
      {"{{ \"a }}", "unterminated"},
      {"{{ (1 }}", "parenthesis"},
      {"{{ 1 | 2 }}", "function"},
      {"{{ define \"t\" }}{{ template \"t\" }}{{ end }}{{ template \"t\" }}", "deeper"},
      {"{{ range 99999 }}{{ range 99999 }}x{{ end }}{{ end }}", "steps"},
  };
  for (const auto& [source, expected] : cases) {
    SCOPED_TRACE(source);
    const auto text = Execute(source);
    ASSERT_FALSE(text) << *text;
    EXPECT_THAT(text.error().message, HasSubstr(expected));
  }
}

TEST(GoTemplate, HostileTemplatesEndInAnError) {
  std::string nested;
  for (int i = 0; i < 100000; ++i) nested += "{{ if 1 }}";
  EXPECT_FALSE(Execute(nested));
  EXPECT_FALSE(Execute("{{ " + std::string(100000, '(') + "1"));
  EXPECT_FALSE(Execute("{{ $x := \"ab\" }}{{ range 99 }}{{ $x = print $x $x }}{{ end }}"));
  EXPECT_FALSE(Execute("{{ $x := printf \"%500d\" 1 }}{{ range 999999 }}{{ $x }}{{ end }}"));
  // Each escapes what the one before wrote, and so doubles it.
  std::string calls = "\"\\\\\"";
  for (int i = 0; i < 60; ++i) calls = "(js " + calls + ")";
  EXPECT_FALSE(Execute("{{ " + calls + " }}"));
}

TEST(GoTemplate, KnowsItsVariables) {
  const auto parsed = *GoTemplate::Parse(
      "{{ if .System }}{{ end }}{{ range $i, $m := .Messages }}{{ $m.Role }}{{ (len .Tools) }}{{ "
      "end }}");
  for (const char* name : {"system", "messages", "role", "tools"})
    EXPECT_TRUE(parsed->variables().contains(name)) << name;
  EXPECT_FALSE(parsed->variables().contains("suffix"));
}

}  // namespace
}  // namespace puna::chat::gotemplate
