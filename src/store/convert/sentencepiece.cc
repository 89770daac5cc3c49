// A SentencePiece model is a protocol buffer (sentencepiece_model.proto). Only the few fields that
// matter are read, by a reader that checks every length: field 1 are the pieces, 2 the trainer's
// settings, 3 the normalizer's.
#include <cmath>
#include <cstring>

#include "store/convert/hf_tokenizer.h"

namespace puna::store {
namespace {

constexpr size_t kMaxPieces = size_t{1} << 22;

tl::unexpected<Error> Broken(std::string_view what) {
  return MakeError(ErrorCode::kInvalidArgument, "tokenizer.model: {}", what);
}

// One field of a message: a number, or bytes.
struct Field {
  uint64_t number = 0;  // of the field
  uint64_t value = 0;   // varint and fixed width
  std::string_view bytes;
};

// Walks through the fields of a message. Groups, which nobody writes any more, are errors.
class WireMessage {
 public:
  explicit WireMessage(std::string_view bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }

  Result<Field> Next() {
    Field field;
    PUNA_ASSIGN_OR_RETURN(const uint64_t tag, Varint());
    field.number = tag >> 3;
    switch (tag & 7) {
      case 0: {
        PUNA_ASSIGN_OR_RETURN(field.value, Varint());
        return field;
      }
      case 1:
        return Fixed(8, field);
      case 5:
        return Fixed(4, field);
      case 2: {
        PUNA_ASSIGN_OR_RETURN(const uint64_t length, Varint());
        if (length > rest_.size()) return Broken("a field is longer than what holds it");
        field.bytes = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return field;
      }
      default:
        return Broken("a field of an unknown kind");
    }
  }

 private:
  Result<uint64_t> Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return Broken("it ends within a number");
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    return Broken("a number of more than 64 bits");
  }

  Result<Field> Fixed(size_t size, Field field) {
    if (rest_.size() < size) return Broken("it ends within a number");
    std::memcpy(&field.value, rest_.data(), size);
    rest_.remove_prefix(size);
    return field;
  }

  std::string_view rest_;
};

Status ReadPiece(std::string_view bytes, TokenizerDraft* draft) {
  std::string text;
  float score = 0;
  uint64_t type = 1;
  for (WireMessage piece(bytes); !piece.done();) {
    PUNA_ASSIGN_OR_RETURN(const Field field, piece.Next());
    if (field.number == 1) text = field.bytes;
    if (field.number == 2) {
      const auto bits = static_cast<uint32_t>(field.value);
      std::memcpy(&score, &bits, sizeof(score));
    }
    if (field.number == 3) type = field.value;
  }
  if (draft->tokens.size() >= kMaxPieces) return Broken("more than 4 million pieces");
  if (type < 1 || type > 6) return Broken("a piece of an unknown kind");
  draft->tokens.push_back(std::move(text));
  draft->scores.push_back(std::isfinite(score) ? score : 0);
  draft->types.push_back(static_cast<TokenType>(type));  // GGUF's numbers are SentencePiece's
  return {};
}

Status ReadTrainer(std::string_view bytes, TokenizerDraft* draft) {
  constexpr std::pair<uint64_t, const char*> kIds[] = {
      {40, "unknown"}, {41, "bos"}, {42, "eos"}, {43, "padding"}};
  constexpr uint64_t kModelType = 3, kUnigram = 1;
  uint64_t type = kUnigram;
  for (WireMessage trainer(bytes); !trainer.done();) {
    PUNA_ASSIGN_OR_RETURN(const Field field, trainer.Next());
    if (field.number == kModelType) type = field.value;
    for (const auto& [number, name] : kIds) {
      const auto id = static_cast<int32_t>(field.value);  // -1: there is none
      if (field.number == number && id >= 0) draft->ids[name] = static_cast<uint32_t>(id);
      if (field.number == number && id < 0) draft->ids.erase(name);
    }
  }
  draft->model = type == kUnigram ? "t5" : "llama";
  return {};
}

Status ReadNormalizer(std::string_view bytes, TokenizerDraft* draft) {
  for (WireMessage normalizer(bytes); !normalizer.done();) {
    PUNA_ASSIGN_OR_RETURN(const Field field, normalizer.Next());
    if (field.number == 2) draft->charsmap.assign(field.bytes.begin(), field.bytes.end());
    if (field.number == 3) draft->flags["add_space_prefix"] = field.value != 0;
    if (field.number == 4) draft->flags["remove_extra_whitespaces"] = field.value != 0;
  }
  return {};
}

}  // namespace

Result<TokenizerDraft> ParseSentencePiece(std::string_view bytes) {
  TokenizerDraft draft;
  draft.model = "t5";
  draft.ids = {{"unknown", 0}, {"bos", 1}, {"eos", 2}};  // the defaults of the format
  draft.flags = {{"add_space_prefix", true}, {"remove_extra_whitespaces", true}};
  for (WireMessage model(bytes); !model.done();) {
    PUNA_ASSIGN_OR_RETURN(const Field field, model.Next());
    if (field.number == 1) PUNA_RETURN_IF_ERROR(ReadPiece(field.bytes, &draft));
    if (field.number == 2) PUNA_RETURN_IF_ERROR(ReadTrainer(field.bytes, &draft));
    if (field.number == 3) PUNA_RETURN_IF_ERROR(ReadNormalizer(field.bytes, &draft));
  }
  if (draft.tokens.empty()) return Broken("there are no pieces");
  for (const char* name : {"unknown", "bos", "eos", "padding"}) {
    const auto it = draft.ids.find(name);
    if (it != draft.ids.end() && it->second >= draft.tokens.size()) draft.ids.erase(it);
  }
  // Only Unigram's engine reads the map; to the other it would be megabytes of nothing.
  if (draft.model == "llama") {
    draft.charsmap.clear();
    draft.flags.erase("remove_extra_whitespaces");
  }
  return draft;
}

}  // namespace puna::store
