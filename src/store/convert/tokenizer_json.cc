// tokenizer.json: https://huggingface.co/docs/tokenizers. Three kinds of models matter: byte pairs
// (over bytes as in GPT-2, or over characters as SentencePiece makes them), Unigram and WordPiece.
#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/base64.h"
#include "base/json.h"
#include "store/convert/hf_tokenizer.h"

namespace puna::store {
namespace {

constexpr int64_t kMaxTokens = int64_t{1} << 22;

tl::unexpected<Error> Bad(std::string_view what) {
  return MakeError(ErrorCode::kInvalidArgument, "tokenizer.json: {}", what);
}

const Json* FindMember(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::string Text(const Json& object, const char* name) {
  const Json* value = FindMember(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

bool Flag(const Json& object, const char* name, bool absent = false) {
  const Json* value = FindMember(object, name);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : absent;
}

// Calls `visit` for an object of a pipeline and, if it is a Sequence, for its parts.
template <typename Visit>
void ForEachStep(const Json* step, const char* list, Visit&& visit) {
  if (step == nullptr) return;
  if (Text(*step, "type") != "Sequence") return visit(*step);
  const Json* parts = FindMember(*step, list);
  if (parts == nullptr || !parts->is_array()) return;
  for (const Json& part : *parts) visit(part);
}

class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {}
  Result<TokenizerDraft> Read();

 private:
  Status Place(const std::string& token, const Json& id, TokenType type);
  Status ReadVocabularyObject(const Json& model);
  Status ReadBytePairs(const Json& model);
  Status ReadMerges(const Json& model);
  Status ReadUnigram(const Json& model);
  Status ReadWordPiece(const Json& model);
  Status ReadAddedTokens();
  Status ReadPreTokenizer(const Json& model);
  void ReadNormalizer();
  void ReadPostProcessor();
  void ScoreByMerges();
  bool SplitsBytes() const;

  const Json& json_;
  TokenizerDraft draft_;
};

// Ids may have gaps, which become unused tokens.
Status Reader::Place(const std::string& token, const Json& id, TokenType type) {
  if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= kMaxTokens)
    return Bad(fmt::format("token '{}' has no id below {}", token.substr(0, 100), kMaxTokens));
  const auto index = static_cast<size_t>(id.get<int64_t>());
  if (index >= draft_.tokens.size()) {
    draft_.tokens.resize(index + 1);
    draft_.types.resize(index + 1, TokenType::kUnused);
  }
  draft_.tokens[index] = token;
  draft_.types[index] = type;
  return {};
}

bool IsByteToken(const std::string& token) {
  return token.size() == 6 && token.starts_with("<0x") && token.back() == '>';
}

Status Reader::ReadVocabularyObject(const Json& model) {
  const Json* vocabulary = FindMember(model, "vocab");
  if (vocabulary == nullptr || !vocabulary->is_object() || vocabulary->empty())
    return Bad("model.vocab is no object with tokens");
  for (const auto& [token, id] : vocabulary->items())
    PUNA_RETURN_IF_ERROR(Place(token, id, TokenType::kNormal));
  return {};
}

bool Reader::SplitsBytes() const {
  bool bytes = false;
  const auto look = [&](const Json& step) { bytes |= Text(step, "type") == "ByteLevel"; };
  ForEachStep(FindMember(json_, "pre_tokenizer"), "pretokenizers", look);
  ForEachStep(FindMember(json_, "decoder"), "decoders", look);
  return bytes;
}

// Older files write a merge as "a b", newer ones as ["a", "b"], so that tokens may have spaces.
Status Reader::ReadMerges(const Json& model) {
  const Json* merges = FindMember(model, "merges");
  if (merges == nullptr || !merges->is_array()) return Bad("model.merges is no list");
  draft_.merges.reserve(merges->size());
  for (const Json& merge : *merges) {
    if (merge.is_string() && merge.get_ref<const std::string&>().find(' ') != std::string::npos) {
      draft_.merges.push_back(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      std::string left = merge[0].get<std::string>(), right = merge[1].get<std::string>();
      if (left.find(' ') != std::string::npos || right.find(' ') != std::string::npos) {
        return MakeError(ErrorCode::kUnsupported,
                         "tokenizer.json: merges of tokens with spaces are not supported");
      }
      draft_.merges.push_back(left + " " + right);
    } else {
      return Bad("a merge is neither \"a b\" nor [\"a\", \"b\"]");
    }
  }
  return {};
}

// SentencePiece joins the pair whose result has the best score; the merges stand in that order.
void Reader::ScoreByMerges() {
  std::unordered_map<std::string, size_t> index;
  for (size_t i = 0; i < draft_.tokens.size(); ++i) index.emplace(draft_.tokens[i], i);
  draft_.scores.assign(draft_.tokens.size(), 0);
  for (size_t rank = 0; rank < draft_.merges.size(); ++rank) {
    std::string joined = draft_.merges[rank];
    joined.erase(joined.find(' '), 1);
    const auto it = index.find(joined);
    if (it != index.end() && draft_.scores[it->second] == 0)
      draft_.scores[it->second] = -static_cast<float>(rank + 1);
  }
  draft_.merges.clear();
}

Status Reader::ReadBytePairs(const Json& model) {
  PUNA_RETURN_IF_ERROR(ReadVocabularyObject(model));
  PUNA_RETURN_IF_ERROR(ReadMerges(model));
  if (SplitsBytes()) {
    draft_.model = "gpt2";
    return ReadPreTokenizer(model);
  }
  draft_.model = "llama";
  if (!Flag(model, "byte_fallback")) {
    return MakeError(ErrorCode::kUnsupported,
                     "tokenizer.json: byte pairs neither over bytes nor with bytes to fall back to "
                     "are not supported");
  }
  for (size_t i = 0; i < draft_.tokens.size(); ++i) {
    if (IsByteToken(draft_.tokens[i])) draft_.types[i] = TokenType::kByte;
  }
  ScoreByMerges();
  bool prefix = false;
  const auto look = [&](const Json& step) {
    prefix |= Text(step, "type") == "Prepend" ||
              (Text(step, "type") == "Metaspace" && Text(step, "prepend_scheme") != "never" &&
               Flag(step, "add_prefix_space", true));
  };
  ForEachStep(FindMember(json_, "normalizer"), "normalizers", look);
  ForEachStep(FindMember(json_, "pre_tokenizer"), "pretokenizers", look);
  draft_.flags["add_space_prefix"] = prefix;
  return {};
}

Status Reader::ReadPreTokenizer(const Json& model) {
  std::string expressions;
  ForEachStep(FindMember(json_, "pre_tokenizer"), "pretokenizers", [&](const Json& step) {
    const std::string type = Text(step, "type");
    std::string part;
    if (type == "Split") {
      const Json* pattern = FindMember(step, "pattern");
      if (pattern != nullptr) part = Text(*pattern, "Regex") + Text(*pattern, "String");
    } else if (type == "ByteLevel") {
      if (Flag(step, "use_regex", true)) part = "ByteLevel";
    } else if (type == "Digits") {
      part = Flag(step, "individual_digits") ? "Digits" : "DigitRuns";
    } else {
      part = type;
    }
    if (!part.empty()) expressions += (expressions.empty() ? "" : "\n") + part;
  });
  const auto pre = FindPreTokenizer(expressions, Flag(model, "ignore_merges"));
  if (!pre) {
    return MakeError(ErrorCode::kUnsupported,
                     "tokenizer.json: the pre-tokenizer is not known; its expressions are {}",
                     expressions.substr(0, 300));
  }
  draft_.pre = *pre;
  return {};
}

Status Reader::ReadUnigram(const Json& model) {
  const Json* vocabulary = FindMember(model, "vocab");
  if (vocabulary == nullptr || !vocabulary->is_array() || vocabulary->empty() ||
      static_cast<int64_t>(vocabulary->size()) > kMaxTokens)
    return Bad("model.vocab is no list of tokens");
  draft_.model = "t5";
  for (const Json& entry : *vocabulary) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      return Bad("a token of model.vocab is no [text, score]");
    draft_.tokens.push_back(entry[0].get<std::string>());
    draft_.scores.push_back(entry[1].get<float>());
    draft_.types.push_back(IsByteToken(draft_.tokens.back()) ? TokenType::kByte
                                                             : TokenType::kNormal);
  }
  const Json* unknown = FindMember(model, "unk_id");
  if (unknown != nullptr && unknown->is_number_unsigned() &&
      unknown->get<uint64_t>() < draft_.tokens.size()) {
    draft_.ids["unknown"] = unknown->get<uint32_t>();
    draft_.types[unknown->get<uint32_t>()] = TokenType::kUnknown;
  }
  draft_.flags["add_space_prefix"] = true;
  ReadNormalizer();
  return {};
}

void Reader::ReadNormalizer() {
  ForEachStep(FindMember(json_, "normalizer"), "normalizers", [&](const Json& step) {
    const std::string type = Text(step, "type");
    if (type == "Precompiled") {
      if (auto bytes = DecodeBase64(Text(step, "precompiled_charsmap")))
        draft_.charsmap.assign(bytes->begin(), bytes->end());
    }
    // "Replace runs of spaces by one", which Unigram models have instead of the flag.
    if (type == "Replace" || type == "Strip") draft_.flags["remove_extra_whitespaces"] = true;
    if (type == "BertNormalizer") {
      const bool lower = Flag(step, "lowercase", true);
      draft_.flags["normalizer.lowercase"] = lower;
      draft_.flags["normalizer.strip_accents"] = Flag(step, "strip_accents", lower);
    }
  });
}

// GGUF marks what begins a word, tokenizer.json what goes on within one.
Status Reader::ReadWordPiece(const Json& model) {
  PUNA_RETURN_IF_ERROR(ReadVocabularyObject(model));
  draft_.model = "bert";
  std::string inner = Text(model, "continuing_subword_prefix");
  if (inner.empty()) inner = "##";
  const std::string unknown = Text(model, "unk_token");
  for (size_t i = 0; i < draft_.tokens.size(); ++i) {
    std::string& token = draft_.tokens[i];
    if (token == unknown) draft_.ids["unknown"] = static_cast<uint32_t>(i);
    if (token.starts_with('[') && token.ends_with(']')) continue;
    if (token.starts_with(inner)) {
      token.erase(0, inner.size());
    } else {
      token.insert(0, "\u2581");
    }
  }
  ReadNormalizer();
  return {};
}

Status Reader::ReadAddedTokens() {
  const Json* added = FindMember(json_, "added_tokens");
  if (added == nullptr) return {};
  if (!added->is_array()) return Bad("added_tokens is no list");
  for (const Json& token : *added) {
    const Json* id = FindMember(token, "id");
    const std::string content = Text(token, "content");
    if (id == nullptr || content.empty()) return Bad("an added token has no id or no content");
    const bool known_unknown =
        draft_.ids.contains("unknown") && *id == Json(draft_.ids.at("unknown"));
    TokenType type = Flag(token, "special") ? TokenType::kControl : TokenType::kUserDefined;
    if (known_unknown && draft_.model != "bert") type = TokenType::kUnknown;
    PUNA_RETURN_IF_ERROR(Place(content, *id, type));
  }
  if (!draft_.scores.empty()) draft_.scores.resize(draft_.tokens.size(), 0);
  return {};
}

// A template lists what stands for one text: special tokens and the text itself. BERT's and
// RoBERTa's own steps name the two tokens, each as [text, id].
void Reader::ReadPostProcessor() {
  ForEachStep(FindMember(json_, "post_processor"), "processors", [&](const Json& step) {
    const std::string type = Text(step, "type");
    const auto special = [](const Json& part) {
      const Json* token = FindMember(part, "SpecialToken");
      return token == nullptr ? "" : Text(*token, "id");
    };
    const auto named = [&](const char* name) {
      const Json* pair = FindMember(step, name);
      const bool is_pair = pair != nullptr && pair->is_array() && !pair->empty();
      return is_pair && (*pair)[0].is_string() ? (*pair)[0].get<std::string>() : "";
    };
    const Json* single = FindMember(step, "single");
    if (type == "TemplateProcessing" && single != nullptr && single->is_array() &&
        single->size() > 1) {
      draft_.first = special(single->front());
      draft_.last = special(single->back());
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      draft_.first = named("cls");
      draft_.last = named("sep");
    }
  });
}

Result<TokenizerDraft> Reader::Read() {
  const Json* model = FindMember(json_, "model");
  if (model == nullptr || !model->is_object()) return Bad("there is no object 'model'");
  std::string type = Text(*model, "type");
  if (type.empty())  // older files
    type = FindMember(*model, "merges") != nullptr ? "BPE" : "WordPiece";
  if (type == "BPE") {
    PUNA_RETURN_IF_ERROR(ReadBytePairs(*model));
  } else if (type == "Unigram") {
    PUNA_RETURN_IF_ERROR(ReadUnigram(*model));
  } else if (type == "WordPiece") {
    PUNA_RETURN_IF_ERROR(ReadWordPiece(*model));
  } else {
    return MakeError(ErrorCode::kUnsupported,
                     "tokenizer.json: a model of type '{}' is not supported", type.substr(0, 100));
  }
  PUNA_RETURN_IF_ERROR(ReadAddedTokens());
  ReadPostProcessor();
  return std::move(draft_);
}

}  // namespace

Result<TokenizerDraft> ParseTokenizerJson(std::string_view text) {
  if (ShapeOfJson(text).depth > kMaxJsonNesting) return Bad("nested too deep");
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Bad("no JSON object");
  return Reader(json).Read();
}

}  // namespace puna::store
