// Time of a mask over the vocabulary of Qwen 2 (151,936 tokens), along texts that obey schemas and
// grammars as users write them. Each text is met with an empty cache ("cold") and again ("warm").
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "gguf/gguf.h"
#include "grammar/grammar.h"
#include "tests/support/shared_data.h"

namespace puna::grammar {
namespace {

struct Example {
  const char* schema;
  const char* text;
};

constexpr Example
    kExamples
        [] =
            {
                {R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},"email":{"type":"string","format":"email"},"tags":{"type":"array","items":{"type":"string"},"maxItems":5}},"required":["name","age"]})",
                 R"({"name": "Ada Lovelace of London", "age": 36, "email": "ada.lovelace@example.org", "tags": ["mathematics", "analytical engine", "poetry"]})"},
                {R"({"type":"object","properties":{"title":{"type":"string","maxLength":200},"summary":{"type":"string","minLength":20,"maxLength":2000},"date":{"type":"string","format":"date"},"rating":{"type":"number","minimum":0,"maximum":5},"genre":{"enum":["drama","comedy","documentary","science fiction","horror"]}},"required":["title","summary","date","rating","genre"]})",
                 R"({"title": "The Long Way Home", "summary": "A captain and her small crew travel a very long way through the dark, and learn on the way what they owe to each other and to those they left behind.", "date": "2021-02-28", "rating": 4.25, "genre": "science fiction"})"},
                {R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"value":{"type":"integer"},"label":{"type":"string","pattern":"^[a-z][a-z0-9_]*$"},"children":{"type":"array","items":{"$ref":"#/$defs/node"}}},"required":["value","label","children"]}}})",
                 R"({"value": 1, "label": "root_node", "children": [{"value": 22, "label": "left", "children": []}, {"value": -333, "label": "right_child", "children": [{"value": 4444, "label": "leaf9", "children": []}]}]})"},
                {R"({"type":"object","properties":{"shape":{"oneOf":[{"type":"object","properties":{"kind":{"const":"circle"},"radius":{"type":"number","exclusiveMinimum":0}},"required":["kind","radius"]},{"type":"object","properties":{"kind":{"const":"polygon"},"points":{"type":"array","items":{"type":"array","prefixItems":[{"type":"number"},{"type":"number"}],"items":false,"minItems":2},"minItems":3}},"required":["kind","points"]}]},"note":{"type":["string","null"]}},"required":["shape","note"]})",
                 R"({"shape": {"kind": "polygon", "points": [[0, 0], [12.5, 7], [-3, 4e2], [1, 1]]}, "note": null})"},
                {R"({"type":"object"})",
                 "{\n  \"status\": \"ok\",\n  \"items\": [\n    {\"id\": 17, \"text\": \"He said "
                 "\\\"hello\\\" and left.\\nThen \xC3\xA9t\xC3\xA9 came.\"},\n    {\"id\": 18, "
                 "\"text\": \"\xE4\xB8\xAD\xE6\x96\x87\xE6\x96\x87\xE5\xAD\x97\"}\n  ],\n  "
                 "\"next\": null\n}"},
                {R"({"type":"array","items":{"type":"object","properties":{"uuid":{"type":"string","format":"uuid"},"at":{"type":"string","format":"date-time"},"level":{"enum":["debug","info","warning","error"]},"message":{"type":"string","maxLength":300},"fields":{"type":"object","additionalProperties":{"type":["string","number","boolean"]}}},"required":["uuid","at","level","message"]},"minItems":1,"maxItems":20})", R"([{"uuid": "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "at": "2024-05-17T08:30:06.283185Z", "level": "warning", "message": "disk nearly full", "fields": {"free": 1024, "path": "/var/lib/data", "read_only": false}}])"},
                {R"({"type":"object","properties":{"sku":{"type":"string","pattern":"^[A-Z]{2,4}-[0-9]{3,6}$"},"full_name":{"type":"string","pattern":"^[A-Z][A-Za-z' -]+$"},"slug":{"type":"string","pattern":"^[a-z0-9]+(?:-[a-z0-9]+)*$"},"contact":{"type":"string","pattern":"^[^@\\s]+@[^@\\s]+\\.[a-z]{2,}$"},"homepage":{"type":"string","format":"uri"},"address":{"type":"string","pattern":"^\\S.*\\S$"}},"required":["sku","full_name","slug","contact","homepage","address"]})",
                 R"({"sku": "ABC-12345", "full_name": "Jean Valjean-Fauchelevent", "slug": "a-long-article-title-2024", "contact": "first.last@mail.example.com", "homepage": "https://www.example.com/some/path?query=1&page=two#top", "address": "12 Long Street, Springfield"})"},
};

std::shared_ptr<const tokenizer::Tokenizer> QwenTokenizer() {
  const auto path = testing::SharedPath("data/vocab/ggml-vocab-qwen2.gguf");
  if (!path) return nullptr;
  const auto file = gguf::File::Open(*path);
  CHECK(file.has_value()) << file.error().message;
  const auto made = tokenizer::Tokenizer::FromGguf(**file);
  CHECK(made.has_value()) << made.error().message;
  return *made;
}

// Appends the microseconds of every mask along the text.
void Follow(const std::shared_ptr<const Constraint>& constraint,
            const tokenizer::Tokenizer& tokenizer, std::string_view text,
            std::vector<double>* times) {
  std::vector<TokenId> tokens;
  tokenizer.Encode(text, {}, &tokens);
  Matcher matcher(constraint);
  for (const TokenId token : tokens) {
    const auto start = std::chrono::steady_clock::now();
    const auto mask = matcher.Mask();
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    times->push_back(time.count());
    CHECK(mask.has_value()) << mask.error().message;
    CHECK(((*mask)[static_cast<size_t>(token) / 64] >> (static_cast<size_t>(token) % 64) & 1) != 0)
        << "\"" << tokenizer.PieceOf(token) << "\" in " << text;
    CHECK(matcher.Accept(token).has_value());
  }
  CHECK(matcher.complete()) << text;
}

void BM_Mask(benchmark::State& state, bool warm) {
  const auto tokenizer = QwenTokenizer();
  if (tokenizer == nullptr) {
    state.SkipWithError("no shared data");
    return;
  }
  const auto trie = MakeTokenTrie(tokenizer);
  std::vector<double> times;
  for (auto _ : state) {
    for (const Example& example : kExamples) {
      const auto grammar = Grammar::Compile(Part::Schema(Json::parse(example.schema)));
      CHECK(grammar.has_value()) << grammar.error().message;
      const auto constraint = std::make_shared<const Constraint>(*grammar, trie);
      std::vector<double> first;
      Follow(constraint, *tokenizer, example.text, warm ? &first : &times);
      if (warm) Follow(constraint, *tokenizer, example.text, &times);
    }
  }
  std::sort(times.begin(), times.end());
  double sum = 0;
  for (const double time : times) sum += time;
  state.counters["tokens"] = static_cast<double>(times.size());
  state.counters["mean_us"] = sum / static_cast<double>(times.size());
  state.counters["p50_us"] = times[times.size() / 2];
  state.counters["p99_us"] = times[times.size() * 99 / 100];
  state.counters["max_us"] = times.back();
}
BENCHMARK_CAPTURE(BM_Mask, cold, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Mask, warm, true)->Unit(benchmark::kMillisecond);

void BM_TokenTrie(benchmark::State& state) {
  const auto tokenizer = QwenTokenizer();
  if (tokenizer == nullptr) {
    state.SkipWithError("no shared data");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(MakeTokenTrie(tokenizer));
}
BENCHMARK(BM_TokenTrie)->Unit(benchmark::kMillisecond);

void BM_Compile(benchmark::State& state) {
  for (auto _ : state) {
    for (const Example& example : kExamples)
      benchmark::DoNotOptimize(Grammar::Compile(Part::Schema(Json::parse(example.schema))));
  }
}
BENCHMARK(BM_Compile)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace puna::grammar
