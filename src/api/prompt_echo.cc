#include "api/prompt_echo.h"

#include <algorithm>

#include "base/text.h"
#include "base/utf8.h"

namespace puna::api {
namespace {

using tokenizer::TokenId;
using tokenizer::Tokenizer;

// `places` are bytes of `text`, in order.
PromptEcho MakeEcho(std::string_view text, size_t first_token, const std::vector<size_t>& places) {
  PromptEcho echo{.text = ReplaceInvalidUtf8(text), .first_token = first_token};
  size_t at = 0;
  const auto count_up_to = [&](size_t end) {
    for (; at < end; ++echo.characters) at += DecodeUtf8(text.substr(at)).length_bytes;
    return echo.characters;
  };
  for (const size_t place : places) echo.offsets.push_back(count_up_to(place));
  count_up_to(text.size());
  return echo;
}

// Where each token begins in `text`, and the end of it. Tokens that the tokenizer added are between
// its bytes.
std::optional<std::vector<size_t>> PlacesIn(std::string_view text, const Tokenizer& tokenizer,
                                            const std::vector<TokenId>& tokens) {
  std::vector<size_t> places = {0};
  for (const TokenId token : tokens) {
    const std::string_view piece = tokenizer.PieceOf(token, /*with_special=*/true);
    const std::string_view rest = text.substr(places.back());
    size_t length = 0;
    if (rest.starts_with(piece)) {
      length = piece.size();
    } else if (piece.starts_with(' ') && rest.starts_with(piece.substr(1))) {
      length = piece.size() - 1;
    } else if (tokenizer.KindOf(token) != tokenizer::TokenKind::kControl) {
      return std::nullopt;
    }
    places.push_back(places.back() + length);
  }
  if (places.back() != text.size()) return std::nullopt;
  return places;
}

}  // namespace

PromptEcho EchoOfTokens(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  std::string text;
  std::vector<size_t> places;
  bool at_start = tokenizer.drops_leading_space();
  for (const TokenId token : tokens) {
    std::string_view piece = tokenizer.PieceOf(token, /*with_special=*/true);
    const tokenizer::TokenKind kind = tokenizer.KindOf(token);
    const bool before_text =
        kind == tokenizer::TokenKind::kControl || kind == tokenizer::TokenKind::kUnknown;
    if (at_start && !before_text && !piece.empty()) {
      if (piece[0] == ' ' && kind != tokenizer::TokenKind::kUserDefined) piece.remove_prefix(1);
      at_start = false;
    }
    places.push_back(text.size());
    text += piece;
  }
  return MakeEcho(text, 0, places);
}

std::optional<PromptEcho> EchoOfText(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens,
                                     std::string_view text, TextRange place,
                                     std::string_view prompt) {
  const auto places = PlacesIn(text, tokenizer, tokens);
  const size_t skipped = FindText(prompt, text.substr(place.begin, place.end - place.begin));
  if (!places || skipped == std::string_view::npos) return std::nullopt;
  size_t first = 0;
  while (first < tokens.size() && (*places)[first + 1] <= place.begin) ++first;
  std::vector<size_t> own;
  const size_t end = place.begin < place.end ? place.end : 0;
  for (size_t i = first; i < tokens.size() && (*places)[i] < end; ++i)
    own.push_back(skipped + std::max((*places)[i], place.begin) - place.begin);
  return MakeEcho(prompt, first, own);
}

}  // namespace puna::api
