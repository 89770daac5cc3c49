// The bytes of a vocabulary as a trie in preorder, to be walked along an automaton. Internal to
// grammar. Immutable and thread safe.
//
// There are two tries in one array. The first holds the tokens made of plain characters only (see
// char_set.h), nine of ten in most vocabularies: inside a string they are accepted by their length
// alone, and only the second trie is walked.
//
// Control tokens have no text of their own. They are in the trie as the byte 0xFF, which occurs in
// no text, and their name: only a grammar that names one (Part::Special) allows it.
#ifndef PUNA_GRAMMAR_TOKEN_TRIE_H_
#define PUNA_GRAMMAR_TOKEN_TRIE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace puna::grammar {

using TokenId = int32_t;
inline constexpr char kSpecialMark = '\xFF';

class TokenTrie {
 public:
  using NodeId = int32_t;
  explicit TokenTrie(std::shared_ptr<const tokenizer::Tokenizer> tokenizer);

  const tokenizer::Tokenizer& tokenizer() const { return *tokenizer_; }
  int64_t vocabulary_size() const { return vocabulary_size_; }
  size_t mask_words() const { return (static_cast<size_t>(vocabulary_size_) + 63) / 64; }
  size_t max_token_bytes() const { return max_token_bytes_; }
  const std::vector<TokenId>& end_tokens() const { return end_tokens_; }
  // The bytes by which a grammar sees a token; empty: no grammar allows it.
  std::string BytesOf(TokenId token) const;

  NodeId plain_root() const { return 0; }
  NodeId other_root() const { return other_root_; }
  // The nodes below n are n + 1 up to end(n).
  NodeId end(NodeId n) const { return nodes_[static_cast<size_t>(n)].end; }
  uint8_t byte(NodeId n) const { return nodes_[static_cast<size_t>(n)].byte; }
  std::span<const TokenId> tokens(NodeId n) const {
    const Node& node = nodes_[static_cast<size_t>(n)];
    return std::span(tokens_).subspan(static_cast<size_t>(node.tokens_begin), node.tokens_count);
  }
  // The longest token that `text` starts with, and its length; token -1: none.
  std::pair<TokenId, size_t> Longest(std::string_view text) const;
  // Whether some token begins with `text` and goes on behind it.
  bool AnyLonger(std::string_view text) const;

  // Adds the plain tokens of at most `chars` characters to a mask.
  void AddPlain(int32_t chars, std::span<uint64_t> mask) const;

 private:
  struct Node {
    NodeId end;
    int32_t tokens_begin;
    uint16_t tokens_count;
    uint8_t byte;
  };
  using Entry = std::pair<std::string, TokenId>;
  NodeId AddTrie(std::vector<Entry> entries);
  NodeId Child(NodeId node, uint8_t byte) const;

  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  int64_t vocabulary_size_;
  size_t max_token_bytes_ = 1;
  std::vector<TokenId> end_tokens_;
  std::vector<Node> nodes_;
  std::vector<TokenId> tokens_;
  NodeId other_root_ = 0;
  std::vector<std::vector<uint64_t>> plain_up_to_;         // [characters]
  std::vector<std::pair<int32_t, TokenId>> plain_longer_;  // the rest, by characters
};

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_TOKEN_TRIE_H_
