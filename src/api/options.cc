#include "api/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <string_view>

#include "base/log.h"

namespace puna::api {
namespace {

using Options = GenerationOptions;
using IntegerField = int64_t& (*)(Options&);
using NumberField = double& (*)(Options&);

struct IntegerRow {
  std::string_view name;
  IntegerField field;
};
struct NumberRow {
  std::string_view name;
  NumberField field;
};

constexpr IntegerRow kIntegers[] = {
    {"num_ctx", [](Options& o) -> int64_t& { return o.num_ctx; }},
    {"num_predict", [](Options& o) -> int64_t& { return o.num_predict; }},
    {"num_keep", [](Options& o) -> int64_t& { return o.num_keep; }},
    {"num_gpu", [](Options& o) -> int64_t& { return o.num_gpu; }},
    {"main_gpu", [](Options& o) -> int64_t& { return o.main_gpu; }},
    {"seed", [](Options& o) -> int64_t& { return o.sampling.seed; }},
    {"top_k", [](Options& o) -> int64_t& { return o.sampling.top_k; }},
    {"repeat_last_n", [](Options& o) -> int64_t& { return o.sampling.repeat_last_n; }},
    {"mirostat", [](Options& o) -> int64_t& { return o.sampling.mirostat; }},
    {"dry_allowed_length", [](Options& o) -> int64_t& { return o.sampling.dry_allowed_length; }},
    {"dry_penalty_last_n", [](Options& o) -> int64_t& { return o.sampling.dry_penalty_last_n; }},
};
constexpr NumberRow kNumbers[] = {
    {"temperature", [](Options& o) -> double& { return o.sampling.temperature; }},
    {"top_p", [](Options& o) -> double& { return o.sampling.top_p; }},
    {"min_p", [](Options& o) -> double& { return o.sampling.min_p; }},
    {"typical_p", [](Options& o) -> double& { return o.sampling.typical_p; }},
    {"repeat_penalty", [](Options& o) -> double& { return o.sampling.repeat_penalty; }},
    {"presence_penalty", [](Options& o) -> double& { return o.sampling.presence_penalty; }},
    {"frequency_penalty", [](Options& o) -> double& { return o.sampling.frequency_penalty; }},
    {"mirostat_tau", [](Options& o) -> double& { return o.sampling.mirostat_tau; }},
    {"mirostat_eta", [](Options& o) -> double& { return o.sampling.mirostat_eta; }},
    {"xtc_probability", [](Options& o) -> double& { return o.sampling.xtc_probability; }},
    {"xtc_threshold", [](Options& o) -> double& { return o.sampling.xtc_threshold; }},
    {"dry_multiplier", [](Options& o) -> double& { return o.sampling.dry_multiplier; }},
    {"dry_base", [](Options& o) -> double& { return o.sampling.dry_base; }},
};
// Options that Ollama has and that mean nothing here: puna places and sizes these things itself.
// The keep-alive of a model is the model catalog's.
constexpr std::string_view kWithoutEffect[] = {
    "num_batch", "use_mmap",  "num_thread",       "draft_num_predict", "numa",       "low_vram",
    "f16_kv",    "use_mlock", "penalize_newline", "vocab_only",        "logits_all", "keep_alive"};

tl::unexpected<Error> WrongType(std::string_view name, std::string_view type) {
  return MakeError(ErrorCode::kInvalidArgument, "option \"{}\" must be of type {}", name, type);
}

Status ReadTexts(std::string_view name, const Json& value, std::vector<std::string>* stop) {
  stop->clear();
  if (value.is_string()) {
    stop->push_back(value.get<std::string>());
    return {};
  }
  if (!value.is_array()) return WrongType(name, "array");
  for (const Json& element : value) {
    if (!element.is_string()) return WrongType(name, "array of strings");
    if (!element.get_ref<const std::string&>().empty()) stop->push_back(element.get<std::string>());
  }
  return {};
}

// A fraction is cut off, as Ollama does.
bool ReadInteger(const Json& value, int64_t* out) {
  if (value.is_number_integer()) {
    if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX}) return false;
    *out = value.get<int64_t>();
    return true;
  }
  if (!value.is_number_float()) return false;
  const double number = value.get<double>();
  if (!(std::abs(number) <= 9e15)) return false;
  *out = static_cast<int64_t>(number);
  return true;
}

Status AddBias(const tokenizer::Tokenizer& tokenizer, const Json& token, const Json& bias,
               std::map<sampler::TokenId, double>* out) {
  double value = -std::numeric_limits<double>::infinity();
  if (bias.is_number()) {
    value = bias.get<double>();
  } else if (bias != false) {
    return WrongType("logit_bias", "map of tokens to float32");
  }
  int64_t id = -1;
  bool by_id = token.is_number_integer();
  if (by_id) id = token.get<int64_t>();
  if (token.is_string()) {
    const std::string& text = token.get_ref<const std::string&>();
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), id);
    by_id = code == std::errc() && end == text.data() + text.size();
    if (!by_id) {
      std::vector<tokenizer::TokenId> ids;
      tokenizer.Encode(text, {.parse_special = true, .add_special = false}, &ids);
      for (const tokenizer::TokenId one : ids) (*out)[one] = value;
      return {};
    }
  }
  if (!by_id) return WrongType("logit_bias", "map of tokens to float32");
  if (id < 0 || id >= tokenizer.vocabulary_size()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "option \"logit_bias\" names token {}, the vocabulary has {}", id,
                     tokenizer.vocabulary_size());
  }
  (*out)[static_cast<sampler::TokenId>(id)] = value;
  return {};
}

}  // namespace

Status ResolveTokens(const tokenizer::Tokenizer& tokenizer, GenerationOptions* out) {
  if (out->logit_bias.is_object()) {
    for (const auto& [token, bias] : out->logit_bias.items()) {
      PUNA_RETURN_IF_ERROR(AddBias(tokenizer, token, bias, &out->sampling.logit_bias));
    }
  } else if (out->logit_bias.is_array()) {
    for (const Json& pair : out->logit_bias) {
      if (!pair.is_array() || pair.size() != 2)
        return WrongType("logit_bias", "map of tokens to float32");
      PUNA_RETURN_IF_ERROR(AddBias(tokenizer, pair[0], pair[1], &out->sampling.logit_bias));
    }
  }
  if (out->sampling.dry_multiplier == 0) return {};
  for (tokenizer::TokenId id = 0; id < tokenizer.vocabulary_size(); ++id) {
    const std::string_view piece = tokenizer.PieceOf(id);
    const bool breaks = std::any_of(
        out->dry_sequence_breakers.begin(), out->dry_sequence_breakers.end(),
        [&](const std::string& text) { return piece.find(text) != std::string_view::npos; });
    if (breaks) out->sampling.dry_breakers.push_back(id);
  }
  return {};
}

Status ApplyOptions(const Json& options, GenerationOptions* out) {
  if (options.is_null()) return {};
  if (!options.is_object())
    return MakeError(ErrorCode::kInvalidArgument, "\"options\" must be an object");
  for (const auto& [name, value] : options.items()) {
    if (value.is_null()) continue;
    const auto named = [&name = name](const auto& row) { return row.name == name; };
    if (const auto* row = std::find_if(std::begin(kIntegers), std::end(kIntegers), named);
        row != std::end(kIntegers)) {
      if (!ReadInteger(value, &row->field(*out))) return WrongType(name, "integer");
    } else if (const auto* number = std::find_if(std::begin(kNumbers), std::end(kNumbers), named);
               number != std::end(kNumbers)) {
      if (!value.is_number()) return WrongType(name, "float32");
      number->field(*out) = value.get<double>();
    } else if (name == "stop") {
      PUNA_RETURN_IF_ERROR(ReadTexts(name, value, &out->stop));
    } else if (name == "dry_sequence_breakers") {
      PUNA_RETURN_IF_ERROR(ReadTexts(name, value, &out->dry_sequence_breakers));
    } else if (name == "logit_bias") {
      if (!value.is_structured()) return WrongType(name, "object");
      out->logit_bias = value;
    } else if (name == "grammar") {
      if (!value.is_string()) return WrongType(name, "string");
      out->grammar = value.get<std::string>();
    } else if (std::find(std::begin(kWithoutEffect), std::end(kWithoutEffect), name) ==
               std::end(kWithoutEffect)) {
      LogWarning("invalid option provided: {}", name);
    }
  }
  if (out->num_ctx < 0)
    return MakeError(ErrorCode::kInvalidArgument, "option \"num_ctx\" is {}, it must be positive",
                     out->num_ctx);
  return out->sampling.Validate();
}

}  // namespace puna::api
