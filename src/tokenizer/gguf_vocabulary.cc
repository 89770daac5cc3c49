// The tokenizer.* keys of a GGUF file as a VocabularySource. Only types are checked here (and
// lengths of the file, by the reader); what the values mean to each other is checked by
// Vocabulary::New.
#include <array>

#include "base/base64.h"
#include "tokenizer/vocabulary.h"

namespace puna::tokenizer {
namespace {

constexpr std::string_view kGemmaPre = "gemma4";

struct AlgorithmName {
  std::string_view name;
  Algorithm algorithm;
  std::string_view pre{};  // of the only pre-tokenizer, whatever tokenizer.ggml.pre says
};
constexpr AlgorithmName kAlgorithms[] = {{"llama", Algorithm::kSentencePiece},
                                         {"gpt2", Algorithm::kBytePairs},
                                         {kGemmaPre, Algorithm::kBytePairs, kGemmaPre},
                                         {"bert", Algorithm::kWordPiece},
                                         {"t5", Algorithm::kUnigram},
                                         {"rwkv", Algorithm::kRwkv},
                                         {"plamo2", Algorithm::kPlamo},
                                         {"whitespace", Algorithm::kBytePairs, "whitespace"}};

// What the network tells of its tokens where files of Ollama's own converter are silent or say
// something else: it knows few pre-tokenizers and calls the others "default", and writes Gemma's
// byte pairs like other tables of tokens, with ids for scores.
struct NetworkTokens {
  std::string_view architecture;
  std::string_view model;     // tokenizer.ggml.model of those files
  std::string_view pre;       // what the network was trained with
  bool always = false;        // whatever tokenizer.ggml.pre says; otherwise where it says nothing
  std::string_view marker{};  // other networks of this name do not have this token
  size_t marker_id = 0;
};
constexpr NetworkTokens kNetworks[] = {
    {"gemma3", "gpt2", kGemmaPre},
    {"gemma3n", "gpt2", kGemmaPre},
    {"gemma4", "llama", kGemmaPre, true},
    {"glm4moelite", "gpt2", "glm4", true},
    {"glmocr", "gpt2", "chatglm-bpe", true},
    {"gptoss", "gpt2", "gpt-4o", true},
    {"lfm2", "gpt2", "lfm2"},
    {"llama", "gpt2", "llama-bpe", false, "<|eot_id|>", 128009},  // Llama 3
    {"llama4", "gpt2", "llama4"},
    {"mistral3", "gpt2", "tekken"},
};

struct IdKey {
  std::string_view key;
  std::optional<int64_t> VocabularySource::*field;
};
// In order: a later key wins, so deprecated names come first.
constexpr IdKey kIdKeys[] = {
    {"tokenizer.ggml.cls_token_id", &VocabularySource::bos},
    {"tokenizer.ggml.bos_token_id", &VocabularySource::bos},
    {"tokenizer.ggml.eos_token_id", &VocabularySource::eos},
    {"tokenizer.ggml.eot_token_id", &VocabularySource::end_of_turn},
    {"tokenizer.ggml.eom_token_id", &VocabularySource::end_of_message},
    {"tokenizer.ggml.unknown_token_id", &VocabularySource::unknown},
    {"tokenizer.ggml.seperator_token_id", &VocabularySource::separator},
    {"tokenizer.ggml.prefix_token_id", &VocabularySource::fim_prefix},
    {"tokenizer.ggml.suffix_token_id", &VocabularySource::fim_suffix},
    {"tokenizer.ggml.middle_token_id", &VocabularySource::fim_middle},
    {"tokenizer.ggml.fim_pre_token_id", &VocabularySource::fim_prefix},
    {"tokenizer.ggml.fim_suf_token_id", &VocabularySource::fim_suffix},
    {"tokenizer.ggml.fim_mid_token_id", &VocabularySource::fim_middle},
    {"tokenizer.ggml.fim_pad_token_id", &VocabularySource::fim_padding},
    {"tokenizer.ggml.fim_rep_token_id", &VocabularySource::fim_repository},
    {"tokenizer.ggml.fim_sep_token_id", &VocabularySource::fim_separator},
};

struct BoolKey {
  std::string_view key;
  std::optional<bool> VocabularySource::*field;
};
constexpr BoolKey kBoolKeys[] = {
    {"tokenizer.ggml.add_bos_token", &VocabularySource::add_bos},
    {"tokenizer.ggml.add_eos_token", &VocabularySource::add_eos},
    {"tokenizer.ggml.add_space_prefix", &VocabularySource::add_space_prefix},
    {"tokenizer.ggml.remove_extra_whitespaces", &VocabularySource::remove_extra_whitespaces},
    {"tokenizer.ggml.normalizer.lowercase", &VocabularySource::lowercase},
    {"tokenizer.ggml.normalizer.strip_accents", &VocabularySource::strip_accents},
};

enum class Elements { kText, kNumbers };

// The array under `key` with elements of the wanted kind; null if the key is absent.
Result<const gguf::Array*> GetArrayOf(const gguf::File& file, std::string_view key,
                                      Elements elements) {
  PUNA_ASSIGN_OR_RETURN(const gguf::Array* array, file.GetArray(key));
  if (array == nullptr) return array;
  const bool is_text = array->kind() == gguf::Array::Kind::kString;
  const bool is_number = !is_text && array->kind() != gguf::Array::Kind::kBool;
  if (elements == Elements::kText ? is_text : is_number) return array;
  return MakeError(ErrorCode::kCorrupt, "{} is an array of GGUF type {}, expected {}", key,
                   array->gguf_type(), elements == Elements::kText ? "strings" : "numbers");
}

Result<std::string> GetText(const gguf::File& file, std::string_view key) {
  PUNA_ASSIGN_OR_RETURN(const std::optional<std::string_view> text, file.GetString(key));
  return std::string(text.value_or(""));
}

Status ReadTexts(const gguf::File& file, std::string_view key, std::vector<std::string_view>* out) {
  PUNA_ASSIGN_OR_RETURN(const gguf::Array* array, GetArrayOf(file, key, Elements::kText));
  if (array == nullptr) return {};
  out->reserve(static_cast<size_t>(array->size()));
  for (int64_t i = 0; i < array->size(); ++i) out->push_back(array->string_at(i));
  return {};
}

Status ReadIds(const gguf::File& file, std::string_view key, std::vector<int64_t>* out) {
  PUNA_ASSIGN_OR_RETURN(const gguf::Array* array, GetArrayOf(file, key, Elements::kNumbers));
  if (array == nullptr) return {};
  for (int64_t i = 0; i < array->size(); ++i) out->push_back(array->integer_at(i));
  return {};
}

// Texts of the tokens. Those of pictures and sound, which files of Ollama list behind the others,
// have no embeddings and are left out: nothing may become them.
Status ReadTokens(const gguf::File& file, VocabularySource* source) {
  PUNA_RETURN_IF_ERROR(ReadTexts(file, "tokenizer.ggml.tokens", &source->tokens));
  if (source->tokens.empty())
    return MakeError(ErrorCode::kCorrupt, "tokenizer.ggml.tokens is absent or empty");
  for (const char* table : {"token_embd.weight", "per_layer_token_embd.weight"}) {
    const gguf::Tensor* tensor = file.FindTensor(table);
    if (tensor == nullptr || tensor->n_dims < 2) continue;
    const auto rows = static_cast<size_t>(tensor->dims[1]);
    if (rows > 0 && rows < source->tokens.size()) source->tokens.resize(rows);
  }
  return {};
}

// Arrays that are only looked at up to the number of tokens; a longer one is legal.
Status ReadPerToken(const gguf::File& file, VocabularySource* source) {
  const auto count = static_cast<int64_t>(source->tokens.size());
  PUNA_ASSIGN_OR_RETURN(const gguf::Array* scores,
                        GetArrayOf(file, "tokenizer.ggml.scores", Elements::kNumbers));
  for (int64_t i = 0; scores != nullptr && i < std::min(scores->size(), count); ++i) {
    source->scores.push_back(static_cast<float>(scores->number_at(i)));
  }
  PUNA_ASSIGN_OR_RETURN(const gguf::Array* types,
                        GetArrayOf(file, "tokenizer.ggml.token_type", Elements::kNumbers));
  for (int64_t i = 0; types != nullptr && i < std::min(types->size(), count); ++i) {
    const int64_t type = types->integer_at(i);
    source->types.push_back(type >= 0 && type <= 6 ? static_cast<int32_t>(type) : 0);
  }
  return {};
}

// In files of Ollama's own converter Gemma's bytes are ordinary tokens.
void MarkByteTokens(VocabularySource* source) {
  for (size_t id = 0; id < source->types.size(); ++id) {
    if (source->types[id] == static_cast<int32_t>(TokenKind::kNormal) &&
        ParseByteToken(source->tokens[id])) {
      source->types[id] = static_cast<int32_t>(TokenKind::kByte);
    }
  }
}

// Replaces what kNetworks knows better.
void TrustNetwork(std::string_view model, VocabularySource* source) {
  const bool silent = source->pre.empty() || source->pre == "default";
  for (const NetworkTokens& row : kNetworks) {
    if (row.architecture != source->architecture || row.model != model) continue;
    if (!row.always && !silent) continue;
    if (!row.marker.empty() &&
        (source->tokens.size() <= row.marker_id || source->tokens[row.marker_id] != row.marker)) {
      continue;
    }
    source->algorithm = Algorithm::kBytePairs;
    source->pre = row.pre;
    if (row.pre == kGemmaPre) MarkByteTokens(source);
  }
}

Status ReadCharsmap(const gguf::File& file, VocabularySource* source) {
  constexpr std::string_view kKey = "tokenizer.ggml.precompiled_charsmap";
  constexpr int64_t kMaxBytes = int64_t{64} << 20;
  PUNA_ASSIGN_OR_RETURN(const gguf::Array* array, file.GetArray(kKey));
  if (array == nullptr) return {};
  if (array->size() > kMaxBytes) {
    return MakeError(ErrorCode::kCorrupt, "{} has {} bytes, the limit is {}", kKey, array->size(),
                     kMaxBytes);
  }
  if (array->kind() ==
      gguf::Array::Kind::kString) {  // Ollama: the characters of base64, one by one
    std::string text;
    for (int64_t i = 0; i < array->size(); ++i) text += array->string_at(i);
    const Result<std::string> bytes = DecodeBase64(text);
    if (!bytes) return MakeError(ErrorCode::kCorrupt, "{}: {}", kKey, bytes.error().message);
    source->charsmap.assign(bytes->begin(), bytes->end());
    return {};
  }
  PUNA_ASSIGN_OR_RETURN(const gguf::Array* bytes, GetArrayOf(file, kKey, Elements::kNumbers));
  source->charsmap.reserve(static_cast<size_t>(bytes->size()));
  for (int64_t i = 0; i < bytes->size(); ++i) {
    source->charsmap.push_back(static_cast<uint8_t>(bytes->integer_at(i)));  // int8 or uint8
  }
  return {};
}

}  // namespace

Result<VocabularySource> ReadVocabularySource(const gguf::File& file) {
  PUNA_ASSIGN_OR_RETURN(const std::string model, GetText(file, "tokenizer.ggml.model"));
  if (model.empty() || model == "no_vocab" || model == "none") {
    return MakeError(ErrorCode::kUnsupported,
                     "the file has no vocabulary (tokenizer.ggml.model is '{}')", model);
  }
  VocabularySource source;
  const AlgorithmName* known = nullptr;
  for (const AlgorithmName& row : kAlgorithms) {
    if (row.name == model) known = &row;
  }
  if (known == nullptr) {
    return MakeError(ErrorCode::kUnsupported,
                     "tokenizer.ggml.model is '{}', expected llama, gpt2, gemma4, bert, t5, rwkv, "
                     "plamo2 or whitespace",
                     model.substr(0, 64));
  }
  source.algorithm = known->algorithm;
  PUNA_ASSIGN_OR_RETURN(source.pre, GetText(file, "tokenizer.ggml.pre"));
  if (!known->pre.empty()) source.pre = known->pre;
  PUNA_ASSIGN_OR_RETURN(source.model_name, GetText(file, "general.name"));
  PUNA_ASSIGN_OR_RETURN(source.architecture, GetText(file, "general.architecture"));
  PUNA_RETURN_IF_ERROR(ReadTokens(file, &source));
  PUNA_RETURN_IF_ERROR(ReadPerToken(file, &source));
  TrustNetwork(model, &source);
  PUNA_RETURN_IF_ERROR(ReadTexts(file, "tokenizer.ggml.merges", &source.merges));
  if (source.algorithm == Algorithm::kBytePairs && source.merges.empty()) {
    return MakeError(ErrorCode::kCorrupt,
                     "tokenizer.ggml.merges is absent or empty, tokenizer.ggml.model is '{}'",
                     model);
  }
  PUNA_RETURN_IF_ERROR(ReadCharsmap(file, &source));
  PUNA_RETURN_IF_ERROR(ReadIds(file, "tokenizer.ggml.eos_token_ids", &source.more_eos));
  PUNA_RETURN_IF_ERROR(ReadIds(file, "tokenizer.ggml.suppress_tokens", &source.suppressed));
  for (const IdKey& row : kIdKeys) {
    PUNA_ASSIGN_OR_RETURN(const std::optional<int64_t> id, file.GetInteger(row.key));
    if (id) source.*row.field = id;
  }
  for (const BoolKey& row : kBoolKeys) {
    PUNA_ASSIGN_OR_RETURN(const std::optional<bool> value, file.GetBool(row.key));
    if (value) source.*row.field = value;
  }
  return source;
}

}  // namespace puna::tokenizer
