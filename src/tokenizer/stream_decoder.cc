// Ids to text. A token may end inside a character (byte tokens, byte-level vocabularies), so up to
// three bytes wait for the next one. What can no longer become a character is replaced byte by
// byte, exactly as ReplaceInvalidUtf8 replaces it in a whole text: cutting the stream differently
// never changes the result.
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

namespace puna::tokenizer {
namespace {

// Could more bytes make a character of this beginning? REQUIRES: DecodeUtf8(text) is not valid.
bool IsUnfinished(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  const size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : lead >= 0xE0 && lead <= 0xEF ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
  if (text.size() >= length) return false;
  for (size_t i = 1; i < text.size(); ++i) {
    if ((static_cast<uint8_t>(text[i]) & 0xC0) != 0x80) return false;
  }
  if (text.size() == 1) return true;
  // The second byte rules out overlong forms, surrogates and what is above U+10FFFF.
  const auto second = static_cast<uint8_t>(text[1]);
  if (lead == 0xE0) return second >= 0xA0;
  if (lead == 0xED) return second <= 0x9F;
  if (lead == 0xF0) return second >= 0x90;
  if (lead == 0xF4) return second <= 0x8F;
  return true;
}

// Moves what is complete or malformed from `bytes` to `text`.
void TakeComplete(std::string* bytes, std::string* text) {
  std::string_view rest = *bytes;
  while (!rest.empty()) {
    const DecodedCodepoint decoded = DecodeUtf8(rest);
    if (decoded.valid) {
      text->append(rest.substr(0, decoded.length_bytes));
    } else if (IsUnfinished(rest)) {
      break;
    } else {
      AppendUtf8(0xFFFD, text);
    }
    rest.remove_prefix(decoded.length_bytes);
  }
  bytes->erase(0, bytes->size() - rest.size());
}

}  // namespace

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool continues_text, bool with_special)
    : tokenizer_(tokenizer),
      at_start_(!continues_text && tokenizer.drops_leading_space()),
      with_special_(with_special) {}

std::string StreamDecoder::Push(TokenId id) {
  std::string_view piece = tokenizer_.PieceOf(id, with_special_);
  if (piece.empty()) return {};
  // Control tokens in front (BOS) leave the start of the text where it was.
  const TokenKind kind = tokenizer_.KindOf(id);
  if (at_start_ && kind != TokenKind::kControl && kind != TokenKind::kUnknown) {
    if (piece.front() == ' ' && kind != TokenKind::kUserDefined) piece.remove_prefix(1);
    at_start_ = false;
  }
  std::string text;
  pending_.append(piece);
  TakeComplete(&pending_, &text);
  return text;
}

std::string StreamDecoder::Finish() {
  std::string text = ReplaceInvalidUtf8(pending_);
  pending_.clear();
  return text;
}

std::string Tokenizer::Decode(const std::vector<TokenId>& ids, bool with_special) const {
  StreamDecoder decoder(*this, false, with_special);
  std::string text;
  for (const TokenId id : ids) text += decoder.Push(id);
  text += decoder.Finish();
  return text;
}

}  // namespace puna::tokenizer
