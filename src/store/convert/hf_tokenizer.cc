#include "store/convert/hf_tokenizer.h"

#include <algorithm>

namespace puna::store {
namespace {

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define O200K_UPPER "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define O200K_LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

// The expressions are facts of published tokenizers. With `ignores_merges`, words that are tokens
// are never taken apart.
struct PreRow {
  std::string_view expressions, pre, pre_if_ignoring_merges;
};
constexpr PreRow kPreTokenizers[] = {
    {"ByteLevel", "gpt-2", "gpt-2"},
    {"Digits\nByteLevel", "starcoder", "starcoder"},
    // Llama 3, GPT-4's cl100k, OLMo 2, Phi-4.
    {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "dbrx", "llama-bpe"},
    {"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
     "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "dbrx", "llama-bpe"},
    // Qwen 2 and 3.
    {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "qwen2", "qwen2"},
    // o200k: GPT-4o, gpt-oss, Phi-4-mini.
    {O200K_UPPER "*" O200K_LOWER "+" CONTRACTIONS "?|" O200K_UPPER "+" O200K_LOWER "*" CONTRACTIONS
                 "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|"
                 "\\s+(?!\\S)|\\s+",
     "gpt-4o", "gpt-4o"},
    // Mistral's Tekken.
    {O200K_UPPER "*" O200K_LOWER "+|" O200K_UPPER "+" O200K_LOWER
                 "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "tekken", "tekken"},
    {"[\\r\\n]\n\\s?\\p{L}+\n\\s?\\p{P}+\n[一-龥ࠀ-一가-퟿]+\nDigits", "deepseek-coder",
     "deepseek-coder"},
};

// How tokenizer_config.json names special tokens, and GGUF.
constexpr std::pair<const char*, const char*> kSpecial[] = {
    {"bos_token", "bos"},     {"eos_token", "eos"}, {"unk_token", "unknown"},
    {"pad_token", "padding"}, {"cls_token", "cls"}, {"sep_token", "seperator"},
    {"mask_token", "mask"}};

// Written as text or as {"content": text}.
std::string TokenText(const Json& config, const char* name) {
  if (!config.is_object() || !config.contains(name)) return "";
  return config[name].is_object() ? JsonString(config[name], "content") : JsonString(config, name);
}

class TokenizerWriter {
 public:
  TokenizerWriter(const Checkpoint& checkpoint, int64_t rows, gguf::StreamWriter* metadata,
                  std::vector<std::string>* warnings)
      : checkpoint_(checkpoint), rows_(rows), metadata_(metadata), warnings_(warnings) {}

  Status Write() {
    PUNA_ASSIGN_OR_RETURN(const bool found, ReadDraft());
    if (!found) {
      metadata_->Set("tokenizer.ggml.model", "no_vocab");
      warnings_->push_back(
          "there is no tokenizer.json and no tokenizer.model: the model will have no vocabulary "
          "and "
          "take no text; transformers' AutoTokenizer writes a tokenizer.json with save_pretrained");
      return {};
    }
    PUNA_ASSIGN_OR_RETURN(config_, checkpoint_.ReadJsonFile("tokenizer_config.json"));
    PUNA_RETURN_IF_ERROR(FitRows());
    PUNA_RETURN_IF_ERROR(ReadSpecialTokens());
    PUNA_RETURN_IF_ERROR(SetKeys());
    return SetTemplates();
  }

 private:
  // A SentencePiece model has the true scores; tokenizer.json beside it may have more tokens.
  Result<bool> ReadDraft() {
    PUNA_ASSIGN_OR_RETURN(const auto json, checkpoint_.ReadSmallFile("tokenizer.json"));
    PUNA_ASSIGN_OR_RETURN(const auto pieces, checkpoint_.ReadSmallFile("tokenizer.model"));
    if (!json && !pieces) return false;
    if (json) {
      PUNA_ASSIGN_OR_RETURN(draft_, ParseTokenizerJson(*json));
    }
    if (!pieces || (json && draft_.model != "llama")) return true;
    PUNA_ASSIGN_OR_RETURN(TokenizerDraft exact, ParseSentencePiece(*pieces));
    if (exact.model != "llama" && json) return true;
    exact.first = draft_.first;
    exact.last = draft_.last;
    for (size_t i = 0; i < draft_.tokens.size(); ++i) {
      if (i >= exact.tokens.size()) {
        exact.tokens.push_back(draft_.tokens[i]);
        exact.types.push_back(draft_.types[i]);
        exact.scores.push_back(-1000);
      } else if (draft_.types[i] == TokenType::kControl ||
                 draft_.types[i] == TokenType::kUserDefined) {
        exact.tokens[i] = draft_.tokens[i];
        exact.types[i] = draft_.types[i];
      }
    }
    draft_ = std::move(exact);
    return true;
  }

  // Tokens that were added for pictures, say, and that the model has no embeddings for.
  void DropSurplusTokens() {
    size_t count = draft_.tokens.size();
    while (static_cast<int64_t>(count) > rows_ && draft_.types[count - 1] != TokenType::kNormal &&
           draft_.types[count - 1] != TokenType::kByte)
      --count;
    if (count == draft_.tokens.size() || static_cast<int64_t>(count) > rows_) return;
    warnings_->push_back(fmt::format(
        "{} added tokens from '{}' on are left out: the model has embeddings for {} tokens",
        draft_.tokens.size() - count, draft_.tokens[count].substr(0, 100), rows_));
    draft_.tokens.resize(count);
    draft_.types.resize(count);
    std::erase_if(draft_.ids, [&](const auto& id) { return id.second >= count; });
  }

  // Engines expect a token for each row of the embeddings.
  Status FitRows() {
    DropSurplusTokens();
    if (static_cast<int64_t>(draft_.tokens.size()) > rows_) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "the tokenizer has {} tokens, the model embeddings for {}",
                       draft_.tokens.size(), rows_);
    }
    for (size_t i = 0; i < draft_.tokens.size(); ++i) {
      if (draft_.tokens[i].empty()) draft_.tokens[i] = fmt::format("[PAD{}]", i);
    }
    while (static_cast<int64_t>(draft_.tokens.size()) < rows_) {
      draft_.tokens.push_back(fmt::format("[PAD{}]", draft_.tokens.size()));
      draft_.types.push_back(TokenType::kUnused);
    }
    if (!draft_.scores.empty()) draft_.scores.resize(draft_.tokens.size(), -1000);
    return {};
  }

  Status ReadSpecialTokens() {
    PUNA_ASSIGN_OR_RETURN(const Json map, checkpoint_.ReadJsonFile("special_tokens_map.json"));
    for (const auto& [name, key] : kSpecial) {
      std::string text = TokenText(config_, name);
      if (text.empty()) text = TokenText(map, name);
      if (const auto id = FindToken(text)) draft_.ids[key] = *id;
    }
    PUNA_ASSIGN_OR_RETURN(const Json generation,
                          checkpoint_.ReadJsonFile("generation_config.json"));
    // What the model was trained to end with may be more than one token.
    for (const Json* source : {&generation, &checkpoint_.config()}) {
      if (!source->is_object()) continue;
      for (const auto& [name, key] :
           {std::pair("bos_token_id", "bos"), std::pair("eos_token_id", "eos")})
        AddIds(*source, name, key);
    }
    for (const char* flag : {"add_bos_token", "add_eos_token"}) {
      if (config_.is_object() && config_.contains(flag) && config_[flag].is_boolean())
        draft_.flags[flag] = config_[flag].get<bool>();
    }
    UseFrame();
    return {};
  }

  std::optional<uint32_t> FindToken(const std::string& text) const {
    const auto it = std::find(draft_.tokens.begin(), draft_.tokens.end(), text);
    if (text.empty() || it == draft_.tokens.end()) return std::nullopt;
    return static_cast<uint32_t>(it - draft_.tokens.begin());
  }

  // What tokenizer.json puts around a text, where tokenizer_config.json does not say whether that
  // is done. The last token may be another than the one that ends an answer (Qwen 3's embeddings):
  // GGUF has but one name for what closes a text, so the other becomes the end of a turn.
  void UseFrame() {
    if (const auto first = FindToken(draft_.first)) {
      const uint32_t bos = draft_.ids.emplace("bos", *first).first->second;
      if (bos == *first) draft_.flags.emplace("add_bos_token", true);
    }
    const auto last = FindToken(draft_.last);
    if (!last || !draft_.flags.emplace("add_eos_token", true).first->second) return;
    const auto eos = draft_.ids.emplace("eos", *last).first;
    if (eos->second == *last) return;
    draft_.ids.emplace("eot", eos->second);
    eos->second = *last;
  }

  void AddIds(const Json& source, const char* name, const char* key) {
    if (!source.contains(name)) return;
    const Json list = source[name].is_array() ? source[name] : Json::array({source[name]});
    for (const Json& id : list) {
      if (!id.is_number_unsigned() || id.get<uint64_t>() >= draft_.tokens.size()) continue;
      const auto number = id.get<uint32_t>();
      draft_.ids.emplace(key, number);
      const bool new_end = std::string_view(key) == "eos" &&
                           std::find(ends_.begin(), ends_.end(), id.get<int32_t>()) == ends_.end();
      if (new_end) ends_.push_back(id.get<int32_t>());
    }
  }

  Status SetKeys() {
    metadata_->Set("tokenizer.ggml.model", draft_.model);
    if (draft_.model == "gpt2") metadata_->Set("tokenizer.ggml.pre", draft_.pre);
    if (draft_.model != "gpt2") metadata_->Set("tokenizer.ggml.pre", "default");
    metadata_->Set("tokenizer.ggml.tokens", draft_.tokens);
    std::vector<int32_t> types;
    for (const TokenType type : draft_.types) types.push_back(static_cast<int32_t>(type));
    metadata_->Set("tokenizer.ggml.token_type", types);
    if (!draft_.scores.empty()) metadata_->Set("tokenizer.ggml.scores", draft_.scores);
    if (!draft_.merges.empty()) metadata_->Set("tokenizer.ggml.merges", draft_.merges);
    if (!draft_.charsmap.empty())
      metadata_->Set("tokenizer.ggml.precompiled_charsmap", draft_.charsmap);
    for (const auto& [name, id] : draft_.ids)
      metadata_->Set(fmt::format("tokenizer.ggml.{}_token_id", name), id);
    for (const auto& [name, on] : draft_.flags)
      metadata_->Set(fmt::format("tokenizer.ggml.{}", name), on);
    if (ends_.size() > 1) metadata_->Set("tokenizer.ggml.eos_token_ids", ends_);
    return {};
  }

  Status SetTemplates() {
    PUNA_ASSIGN_OR_RETURN(const auto file, checkpoint_.ReadSmallFile("chat_template.jinja"));
    if (file) {
      metadata_->Set("tokenizer.chat_template", *file);
      return {};
    }
    if (!config_.is_object() || !config_.contains("chat_template")) return {};
    const Json& templates = config_["chat_template"];
    if (templates.is_string())
      metadata_->Set("tokenizer.chat_template", templates.get<std::string>());
    for (const Json& one : templates.is_array() ? templates : Json::array()) {
      const std::string name = JsonString(one, "name"), text = JsonString(one, "template");
      const std::string key = name == "default" || name.empty()
                                  ? "tokenizer.chat_template"
                                  : fmt::format("tokenizer.chat_template.{}", name);
      if (!text.empty() && !metadata_->Has(key)) metadata_->Set(key, text);
    }
    return {};
  }

  const Checkpoint& checkpoint_;
  const int64_t rows_;
  gguf::StreamWriter* metadata_;
  std::vector<std::string>* warnings_;
  TokenizerDraft draft_;
  Json config_;
  std::vector<int32_t> ends_;
};

}  // namespace

std::optional<std::string_view> FindPreTokenizer(std::string_view expressions, bool ignore_merges) {
  for (const PreRow& row : kPreTokenizers) {
    if (row.expressions == expressions) return ignore_merges ? row.pre_if_ignoring_merges : row.pre;
  }
  return std::nullopt;
}

Status SetTokenizer(const Checkpoint& checkpoint, int64_t rows, gguf::StreamWriter* metadata,
                    std::vector<std::string>* warnings) {
  return TokenizerWriter(checkpoint, rows, metadata, warnings).Write();
}

}  // namespace puna::store
