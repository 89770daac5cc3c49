// Which tokens are special although the file does not say so, as llama.cpp decides it
// (https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp, loading of special
// tokens).
//
// One difference is deliberate. llama.cpp turns the channel marks of gpt-oss into user-defined
// tokens so that their text is output; that also lets a user's text become them. Here they stay
// control tokens that are always visible.
#include <algorithm>
#include <array>
#include <string>

#include "base/log.h"
#include "tokenizer/vocabulary.h"

namespace puna::tokenizer {
namespace {

// Texts that end a generation wherever they occur.
constexpr std::string_view kEndTexts[] = {"<|eot_id|>",
                                          "<|im_end|>",
                                          "<|end|>",
                                          "<|return|>",
                                          "<|call|>",
                                          "<|flush|>",
                                          "<|calls|>",
                                          "<end_of_turn>",
                                          "<|endoftext|>",
                                          "</s>",
                                          "<|eom_id|>",
                                          "<EOT>",
                                          "_<EOT>",
                                          "[EOT]",
                                          "[EOS]",
                                          "<|end_of_text|>",
                                          "<end_of_utterance>",
                                          "<eos>",
                                          "<turn|>",
                                          "<|tool_response>",
                                          "<｜end▁of▁sentence｜>",
                                          "[e~["};

// Fill-in-the-middle tokens: control tokens by text where no key names them. The last three kinds
// end a generation.
struct FimTexts {
  std::optional<int64_t> VocabularySource::*key;
  bool ends_generation;
  std::array<std::string_view, 8> texts;
};
constexpr FimTexts kFimTexts[] = {
    {&VocabularySource::fim_prefix,
     false,
     {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
      "<|code_prefix|>", "<|prefix|>"}},
    {&VocabularySource::fim_suffix,
     false,
     {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
      "<|code_suffix|>", "<|suffix|>"}},
    {&VocabularySource::fim_middle,
     false,
     {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
      "<|code_middle|>", "<|middle|>"}},
    {&VocabularySource::fim_padding,
     true,
     {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
    {&VocabularySource::fim_repository,
     true,
     {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
    {&VocabularySource::fim_separator, true, {"<|file_sep|>"}},
};

constexpr std::string_view kChannelMarks[] = {"<|channel|>", "<|message|>", "<|start|>",
                                              "<|constrain|>"};

class Marker {
 public:
  Marker(const VocabularySource& source, Vocabulary* vocabulary)
      : source_(source), vocabulary_(*vocabulary) {}

  void Mark() {
    MarkFim();
    for (const std::string_view text : kEndTexts) {
      if (const auto id = Find(text)) {
        MakeControl(*id);
        End(*id);
      }
    }
    for (const std::string_view text : kChannelMarks) {
      if (const auto id = Find(text)) {
        MakeControl(*id);
        Set(*id, Vocabulary::kVisible);
      }
    }
    if (vocabulary_.eos) End(*vocabulary_.eos);
    for (const auto& given : {source_.end_of_turn, source_.end_of_message}) {
      if (given && vocabulary_.Contains(*given)) End(static_cast<TokenId>(*given));
    }
    for (const int64_t id : source_.more_eos) {
      if (vocabulary_.Contains(id)) End(static_cast<TokenId>(id));
    }
    MarkExceptions();
    MarkStrips();
  }

 private:
  std::optional<TokenId> Find(std::string_view text) const {
    const int32_t id = text.empty() ? TextTable::kAbsent : vocabulary_.by_text.Find(text);
    return id == TextTable::kAbsent ? std::nullopt : std::optional<TokenId>(id);
  }
  void Set(TokenId id, Vocabulary::Flag flag) {
    vocabulary_.flags[static_cast<size_t>(id)] |= flag;
  }
  void Unset(TokenId id, Vocabulary::Flag flag) {
    vocabulary_.flags[static_cast<size_t>(id)] &= static_cast<uint8_t>(~flag);
  }
  void End(TokenId id) { Set(id, Vocabulary::kEndsGeneration); }
  bool Ends(std::string_view text) const {
    const auto id = Find(text);
    return id && (vocabulary_.flags[static_cast<size_t>(*id)] & Vocabulary::kEndsGeneration) != 0;
  }

  void MakeControl(TokenId id) {
    TokenKind& kind = vocabulary_.kinds[static_cast<size_t>(id)];
    if (kind == TokenKind::kControl) return;
    LogDebug("token {} '{}' is a control token by its text", id,
             vocabulary_.texts[static_cast<size_t>(id)]);
    kind = TokenKind::kControl;
  }

  void MarkFim() {
    for (const FimTexts& fim : kFimTexts) {
      const std::optional<int64_t>& given = source_.*fim.key;
      int64_t id = given.value_or(-1);
      if (!vocabulary_.Contains(id)) {
        id = -1;
        for (const std::string_view text : fim.texts) {
          const auto found = Find(text);
          if (found && (id < 0 || *found < id)) id = *found;
        }
        if (id >= 0) MakeControl(static_cast<TokenId>(id));
      }
      if (id >= 0 && fim.ends_generation) End(static_cast<TokenId>(id));
    }
  }

  // In the formats of gpt-oss and Solar <|end|> closes a message, not the answer; with
  // <|tool_response> there (Gemma 4)
  // </s> is ordinary text.
  void MarkExceptions() {
    const bool calls = Ends("<|call|>") || Ends("<|calls|>");
    if (Ends("<|end|>") && calls && (Ends("<|return|>") || Ends("<|flush|>"))) {
      const TokenId id = *Find("<|end|>");
      Unset(id, Vocabulary::kEndsGeneration);
      Set(id, Vocabulary::kVisible);
    }
    if (Ends("<|tool_response>") && Ends("</s>")) {
      const TokenId id = *Find("</s>");
      Unset(id, Vocabulary::kEndsGeneration);
      vocabulary_.kinds[static_cast<size_t>(id)] = TokenKind::kNormal;
    }
  }

  // Files do not carry the lstrip and rstrip attributes of Hugging Face's added tokens; a few
  // models need them.
  void MarkStrips() {
    const auto contains_any = [](std::string_view text,
                                 std::initializer_list<std::string_view> parts) {
      return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
        return text.find(part) != std::string_view::npos;
      });
    };
    std::string name = source_.model_name;
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    if (contains_any(source_.pre, {"jina-v2-de", "jina-v2-es", "jina-v2-code"}) ||
        contains_any(source_.architecture, {"nomic-bert-moe", "jina-bert-v3"})) {
      if (const auto mask = Find("<mask>")) Set(*mask, Vocabulary::kStripsLeft);
    } else if (contains_any(name, {"phi-3", "phi3"})) {
      for (TokenId id = 0; id < vocabulary_.size(); ++id) {
        const TokenKind kind = vocabulary_.kinds[static_cast<size_t>(id)];
        if (kind == TokenKind::kControl || kind == TokenKind::kUserDefined ||
            kind == TokenKind::kUnknown) {
          Set(id, Vocabulary::kStripsRight);
        }
      }
      if (const auto id = Find("</s>")) Set(*id, Vocabulary::kStripsRight);
      for (const std::string_view text : {"<unk>", "<s>", "<|endoftext|>"}) {
        if (const auto id = Find(text)) Unset(*id, Vocabulary::kStripsRight);
      }
    } else if (contains_any(name, {"modern-bert"})) {
      if (const auto mask = Find("[MASK]")) Set(*mask, Vocabulary::kStripsLeft);
    }
  }

  const VocabularySource& source_;
  Vocabulary& vocabulary_;
};

}  // namespace

void MarkSpecialTokens(const VocabularySource& source, Vocabulary* vocabulary) {
  Marker(source, vocabulary).Mark();
}

}  // namespace puna::tokenizer
