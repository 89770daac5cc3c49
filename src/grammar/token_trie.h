// The bytes of a vocabulary as a trie in preorder, to be walked along an automaton. Internal to
// grammar. Immutable and thread safe.
//
// There are two tries in one array. The first holds the tokens made of plain characters only (see
// char_set.h), nine of ten in most vocabularies: inside a string they are accepted by their length
// alone, and only the second trie is walked.
//
// Of every subtree it is known which kinds of characters it is made of, and how deep it is: where
// a rule reads letters or digits whatever they are, the subtree is accepted without a walk.
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

// In a mask, which has a bit for each token.
inline void SetBit(TokenId token, std::span<uint64_t> mask) {
  mask[static_cast<size_t>(token) / 64] |= uint64_t{1} << (static_cast<size_t>(token) % 64);
}

struct TokenRange {
  int32_t begin, end;
};

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
  // Tokens are numbered in the order of their nodes: those of n and of the nodes below it.
  TokenRange tokens(NodeId n) const {
    const Node& node = nodes_[static_cast<size_t>(n)];
    return {node.tokens_begin, node.tokens_begin + node.tokens_count};
  }
  TokenRange tokens_below(NodeId n) const {
    return {tokens(n).end, nodes_[static_cast<size_t>(end(n))].tokens_begin};
  }
  TokenId token(int32_t number) const { return tokens_[static_cast<size_t>(number)]; }
  // The kinds (WordKind) of the bytes below n, a set of bits. 0: there are others, or it is deeper
  // than kMaxWordDepth, or n is inside of a character of another kind.
  uint8_t word_kinds_below(NodeId n) const { return nodes_[static_cast<size_t>(n)].kinds_below; }
  // How many bytes are below n at most. REQUIRES: word_kinds_below(n) != 0.
  int word_depth(NodeId n) const { return nodes_[static_cast<size_t>(n)].depth_below; }
  // So many bytes are missing of the character that n is inside of.
  int bytes_missing(NodeId n) const { return nodes_[static_cast<size_t>(n)].missing; }
  static constexpr uint8_t kDigit = 1, kLower = 2, kUpper = 4, kWide = 8;
  static constexpr int kMaxWordDepth = 24;
  // Of the first byte of a character. Wide are those whose first byte alone says that they are
  // letters, or nearly so (U+00C0 to U+07FF, U+4000 to U+CFFF), and any bytes may follow. 0:
  // another.
  static constexpr uint8_t WordKind(uint8_t byte) {
    if (byte >= '0' && byte <= '9') return kDigit;
    if (byte >= 'a' && byte <= 'z') return kLower;
    if (byte >= 'A' && byte <= 'Z') return kUpper;
    return (byte >= 0xC3 && byte <= 0xDF) || (byte >= 0xE4 && byte <= 0xEC) ? kWide : 0;
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
    uint8_t kinds_below = 0, depth_below = 0, missing = 0;
  };
  using Entry = std::pair<std::string, TokenId>;
  NodeId AddTrie(std::vector<Entry> entries);
  void FindWords();
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
