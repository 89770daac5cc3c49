#include "grammar/token_trie.h"

#include <algorithm>
#include <limits>

#include "base/utf8.h"
#include "grammar/char_set.h"

namespace puna::grammar {
namespace {

constexpr int32_t kLongestTable = 32;
// Tokens with the same bytes; more of them than this are not worth a wider field.
constexpr size_t kMaxTwins = std::numeric_limits<uint16_t>::max();

// The number of characters if all are plain; -1 if not.
int32_t PlainLength(std::string_view bytes) {
  int32_t count = 0;
  while (!bytes.empty()) {
    const DecodedCodepoint c = DecodeUtf8(bytes);
    if (!c.valid || !IsPlainChar(c.codepoint)) return -1;
    bytes.remove_prefix(c.length_bytes);
    ++count;
  }
  return count;
}

}  // namespace

TokenTrie::TokenTrie(std::shared_ptr<const tokenizer::Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)), vocabulary_size_(tokenizer_->vocabulary_size()) {
  std::vector<Entry> plain, other;
  std::vector<std::pair<int32_t, TokenId>> lengths;
  for (TokenId token = 0; token < vocabulary_size_; ++token) {
    if (tokenizer_->IsEndOfGeneration(token)) {
      end_tokens_.push_back(token);
      continue;
    }
    std::string bytes = BytesOf(token);
    if (bytes.empty()) continue;
    max_token_bytes_ = std::max(max_token_bytes_, bytes.size());
    const int32_t length = PlainLength(bytes);
    if (length > 0) lengths.emplace_back(length, token);
    (length > 0 ? plain : other).emplace_back(std::move(bytes), token);
  }
  AddTrie(std::move(plain));
  other_root_ = AddTrie(std::move(other));
  // What ends the tokens of the last node.
  nodes_.push_back(
      {static_cast<NodeId>(nodes_.size()) + 1, static_cast<int32_t>(tokens_.size()), 0, 0});
  FindWords();

  std::sort(lengths.begin(), lengths.end());
  plain_up_to_.assign(kLongestTable + 1, std::vector<uint64_t>(mask_words(), 0));
  for (const auto& [length, token] : lengths) {
    for (int32_t chars = length; chars <= kLongestTable; ++chars)
      SetBit(token, plain_up_to_[static_cast<size_t>(chars)]);
    if (length > kLongestTable) plain_longer_.emplace_back(length, token);
  }
}

std::string TokenTrie::BytesOf(TokenId token) const {
  const tokenizer::TokenKind kind = tokenizer_->KindOf(token);
  if (kind == tokenizer::TokenKind::kControl)
    return kSpecialMark + std::string(tokenizer_->RawTextOf(token));
  if (kind == tokenizer::TokenKind::kUnknown || kind == tokenizer::TokenKind::kUnused) return {};
  const std::string_view piece = tokenizer_->PieceOf(token);
  // The byte of the mark is a token of its own in many vocabularies; it belongs to no text.
  if (piece.find(kSpecialMark) != std::string_view::npos) return {};
  return std::string(piece);
}

TokenTrie::NodeId TokenTrie::AddTrie(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end());
  const auto root = static_cast<NodeId>(nodes_.size());
  const auto add_node = [this](uint8_t byte) {
    nodes_.push_back({0, static_cast<int32_t>(tokens_.size()), 0, byte});
    return static_cast<NodeId>(nodes_.size()) - 1;
  };
  std::vector<NodeId> path = {add_node(0)};  // path[d] is the node of the first d bytes
  const auto close = [&](size_t depth) {
    while (path.size() > depth + 1) {
      nodes_[static_cast<size_t>(path.back())].end = static_cast<NodeId>(nodes_.size());
      path.pop_back();
    }
  };
  std::string_view previous;
  for (const auto& [bytes, token] : entries) {
    const auto differs =
        std::mismatch(previous.begin(), previous.end(), bytes.begin(), bytes.end());
    close(static_cast<size_t>(differs.second - bytes.begin()));
    for (size_t depth = path.size() - 1; depth < bytes.size(); ++depth)
      path.push_back(add_node(static_cast<uint8_t>(bytes[depth])));
    Node& node = nodes_[static_cast<size_t>(path.back())];
    if (node.tokens_count == 0) node.tokens_begin = static_cast<int32_t>(tokens_.size());
    if (node.tokens_count < kMaxTwins) {
      ++node.tokens_count;
      tokens_.push_back(token);
    }
    previous = bytes;
  }
  close(0);
  nodes_[static_cast<size_t>(root)].end = static_cast<NodeId>(nodes_.size());
  return root;
}

void TokenTrie::FindWords() {
  // Of the character that a node's byte belongs to: tokens begin with a whole one here.
  std::vector<uint8_t> kind(static_cast<size_t>(other_root_), 0);
  for (NodeId n = 0; n < other_root_; ++n) {
    const int missing = bytes_missing(n);
    for (NodeId child = n + 1; child < end(n); child = end(child)) {
      const uint8_t first = byte(child);
      const int length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
      nodes_[static_cast<size_t>(child)].missing =
          static_cast<uint8_t>((missing > 0 ? missing : length) - 1);
      kind[static_cast<size_t>(child)] =
          missing > 0 ? kind[static_cast<size_t>(n)] : WordKind(first);
    }
  }
  // Children come behind their parents, so backwards they are known first.
  for (NodeId n = other_root_ - 1; n >= 0; --n) {
    uint8_t kinds = 0;
    int depth = 0;
    bool words = true;
    for (NodeId child = n + 1; child < end(n) && words; child = end(child)) {
      const bool leaf = end(child) == child + 1;
      words = kind[static_cast<size_t>(child)] != 0 && (leaf || word_kinds_below(child) != 0) &&
              word_depth(child) < kMaxWordDepth;
      kinds |= kind[static_cast<size_t>(child)] | word_kinds_below(child);
      depth = std::max(depth, 1 + word_depth(child));
    }
    if (!words) continue;
    nodes_[static_cast<size_t>(n)].kinds_below = kinds;
    nodes_[static_cast<size_t>(n)].depth_below = static_cast<uint8_t>(depth);
  }
}

TokenTrie::NodeId TokenTrie::Child(NodeId node, uint8_t wanted) const {
  for (NodeId child = node + 1; child < end(node); child = end(child)) {
    if (byte(child) == wanted) return child;
  }
  return -1;
}

std::pair<TokenId, size_t> TokenTrie::Longest(std::string_view text) const {
  std::pair<TokenId, size_t> best = {-1, 0};
  for (NodeId node : {plain_root(), other_root()}) {
    for (size_t i = 0; i < text.size(); ++i) {
      node = Child(node, static_cast<uint8_t>(text[i]));
      if (node < 0) break;
      const TokenRange here = tokens(node);
      if (here.begin < here.end && i + 1 > best.second) best = {token(here.begin), i + 1};
    }
  }
  return best;
}

bool TokenTrie::AnyLonger(std::string_view text) const {
  for (NodeId node : {plain_root(), other_root()}) {
    for (size_t i = 0; node >= 0 && i < text.size(); ++i)
      node = Child(node, static_cast<uint8_t>(text[i]));
    if (node >= 0 && end(node) > node + 1) return true;
  }
  return false;
}

void TokenTrie::AddPlain(int32_t chars, std::span<uint64_t> mask) const {
  const std::vector<uint64_t>& table =
      plain_up_to_[static_cast<size_t>(std::min(chars, kLongestTable))];
  for (size_t i = 0; i < mask.size(); ++i) mask[i] |= table[i];
  for (const auto& [length, token] : plain_longer_) {
    if (length > chars) break;
    SetBit(token, mask);
  }
}

}  // namespace puna::grammar
