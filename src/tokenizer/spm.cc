// SentencePiece's BPE has no merge list: two neighbours may be joined if their joint text is a
// token, and the highest score goes first, the leftmost of equals. Spaces are U+2581 and one may be
// put in front of the text.
//
// Joins could cross any place of a text, but no vocabulary has tokens for that: joined text is
// always a token, so where no token has a byte x directly before U+2581, nothing is ever joined
// across such a place, and the text falls into words that can be encoded (and remembered) one by
// one. Which bytes x do occur is seen from the vocabulary; in the usual case only U+2581 itself.
//
// A short word keeps the best join of every pair in an array; a long one has a heap of candidates
// (score, position), in which a candidate is outdated if one of its two parts was joined in the
// meantime: then the length of their joint text is another. Candidates longer than the longest
// token are not looked up, which keeps the work per candidate constant. Characters that no token
// has become byte tokens.
#include "tokenizer/spm.h"

#include <algorithm>
#include <array>

#include "tokenizer/vocabulary.h"
#include "tokenizer/word_cache.h"

namespace puna::tokenizer {
namespace {

constexpr int32_t kNone = -1;
constexpr size_t kShortWord = 48;  // characters

// Bytes of the character that a lead byte announces; 1 for bytes that cannot lead, so that
// malformed text is kept.
size_t AnnouncedLength(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

struct Part {
  uint32_t begin = 0;
  uint32_t size = 0;  // 0: joined to the part before
  TokenId token = kNone;
};

struct Candidate {
  float score = 0;
  int32_t left = 0;  // part
  uint32_t size = 0;
  TokenId token = 0;
};

// For heaps with the best on top.
bool IsWorse(const Candidate& a, const Candidate& b) {
  return a.score < b.score || (a.score == b.score && a.left > b.left);
}

class SentencePieceTokenizer : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(std::unique_ptr<const Vocabulary> owned)
      : Tokenizer(std::move(owned)) {
    const Vocabulary& v = vocabulary();
    plain_tokens_.Reserve(static_cast<size_t>(v.size()));
    for (TokenId id = 0; id < v.size(); ++id) {
      if (!v.IsPlain(id)) continue;
      const std::string_view text = v.texts[static_cast<size_t>(id)];
      plain_tokens_.Insert(static_cast<size_t>(id));
      longest_bytes_ = std::max(longest_bytes_, text.size());
      for (size_t at = text.find(kEscapedSpace, 1); at != std::string_view::npos;
           at = text.find(kEscapedSpace, at + 1)) {
        joins_before_space_[static_cast<uint8_t>(text[at - 1])] = true;
      }
    }
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      TokenId id = FindToken(ByteTokenText(static_cast<uint8_t>(byte))).value_or(kNone);
      if (id == kNone) id = plain_tokens_.Find({&c, 1});
      byte_tokens_[static_cast<size_t>(byte)] = id;
    }
  }

 private:
  void EncodeText(std::string_view text, bool starts_text,
                  std::vector<TokenId>* ids) const override {
    std::string escaped;
    escaped.reserve(text.size() + text.size() / 2 + kEscapedSpace.size());
    if (vocabulary().add_space_prefix && starts_text) escaped += kEscapedSpace;
    AppendEscapedSpaces(text, &escaped);
    WordCache& cache = WordCache::OfThisThread();
    const auto encode = [this](std::string_view word, std::vector<TokenId>* out) {
      EncodeWord(word, out);
    };
    const std::string_view all = escaped;
    size_t word = 0;
    for (size_t at = 0; at < all.size(); at += AnnouncedLength(all[at])) {
      // Part numbers have 31 bits; cutting a word of a gigabyte costs at most one join.
      constexpr size_t kMaxWordBytes = size_t{1} << 30;
      const bool cuts = at > word && all.substr(at, kEscapedSpace.size()) == kEscapedSpace &&
                        !joins_before_space_[static_cast<uint8_t>(all[at - 1])];
      if (!cuts && at - word < kMaxWordBytes) continue;
      cache.Append(all, word, at, serial_, encode, ids);
      word = at;
    }
    cache.Append(all, word, all.size(), serial_, encode, ids);
  }

  void EncodeWord(std::string_view word, std::vector<TokenId>* ids) const {
    if (word.size() <= kShortWord) {
      std::array<Part, kShortWord> parts;
      size_t count = 0;
      ForEachCharacter(word, [&](const Part& part) { parts[count++] = part; });
      count = JoinShort(word, parts.data(), count);
      for (size_t i = 0; i < count; ++i) Emit(word, parts[i], ids);
    } else {
      std::vector<Part> parts;
      parts.reserve(word.size());
      ForEachCharacter(word, [&](const Part& part) { parts.push_back(part); });
      JoinLong(word, &parts);
      for (const Part& part : parts) {
        if (part.size > 0) Emit(word, part, ids);
      }
    }
  }

  template <typename Function>
  void ForEachCharacter(std::string_view word, Function function) const {
    for (size_t begin = 0; begin < word.size();) {
      const size_t size = std::min(AnnouncedLength(word[begin]), word.size() - begin);
      function(Part{static_cast<uint32_t>(begin), static_cast<uint32_t>(size),
                    plain_tokens_.Find(word.substr(begin, size))});
      begin += size;
    }
  }

  // The token that two neighbours would join to, or kNone.
  TokenId FindJoin(std::string_view word, const Part& left, const Part& right) const {
    const size_t size = size_t{left.size} + right.size;
    return size > longest_bytes_ ? kNone : plain_tokens_.Find(word.substr(left.begin, size));
  }

  // Joins in place and returns how many parts are left. REQUIRES: count <= kShortWord.
  size_t JoinShort(std::string_view word, Part* parts, size_t count) const {
    struct Join {
      float score = 0;
      TokenId token = kNone;
    };
    std::array<Join, kShortWord> joins;  // [i]: of parts i and i + 1
    const auto look_up = [&](size_t i) {
      const TokenId token = FindJoin(word, parts[i], parts[i + 1]);
      joins[i] = {token == kNone ? 0 : vocabulary().scores[static_cast<size_t>(token)], token};
    };
    for (size_t i = 0; i + 1 < count; ++i) look_up(i);
    for (;;) {
      size_t best = count;
      for (size_t i = 0; i + 1 < count; ++i) {
        if (joins[i].token == kNone) continue;
        if (best == count || joins[i].score > joins[best].score) best = i;
      }
      if (best == count) return count;
      parts[best].size += parts[best + 1].size;
      parts[best].token = joins[best].token;
      --count;
      for (size_t i = best + 1; i < count; ++i) parts[i] = parts[i + 1];
      for (size_t i = best + 1; i + 1 < count; ++i) joins[i] = joins[i + 1];
      if (best > 0) look_up(best - 1);
      if (best + 1 < count) look_up(best);
    }
  }

  // The same for any length. Joined parts stay in place with size 0.
  void JoinLong(std::string_view word, std::vector<Part>* all) const {
    std::vector<Part>& parts = *all;
    const auto count = static_cast<int32_t>(parts.size());
    std::vector<int32_t> next(parts.size()), previous(parts.size());
    for (int32_t i = 0; i < count; ++i) {
      next[static_cast<size_t>(i)] = i + 1 < count ? i + 1 : kNone;
      previous[static_cast<size_t>(i)] = i - 1;
    }
    std::vector<Candidate> heap;
    const auto consider = [&](int32_t left) {
      if (left == kNone || next[static_cast<size_t>(left)] == kNone) return false;
      const Part& a = parts[static_cast<size_t>(left)];
      const Part& b = parts[static_cast<size_t>(next[static_cast<size_t>(left)])];
      const TokenId token = FindJoin(word, a, b);
      if (token < 0) return false;
      heap.push_back(
          {vocabulary().scores[static_cast<size_t>(token)], left, a.size + b.size, token});
      return true;
    };
    for (int32_t i = 0; i < count; ++i) consider(i);
    std::make_heap(heap.begin(), heap.end(), IsWorse);
    while (!heap.empty()) {
      const Candidate best = heap.front();
      std::pop_heap(heap.begin(), heap.end(), IsWorse);
      heap.pop_back();
      const auto left = static_cast<size_t>(best.left);
      if (parts[left].size == 0 || next[left] == kNone) continue;
      const auto right = static_cast<size_t>(next[left]);
      if (parts[left].size + parts[right].size != best.size) continue;
      parts[left].size = best.size;
      parts[left].token = best.token;
      parts[right].size = 0;
      next[left] = next[right];
      if (next[left] != kNone) previous[static_cast<size_t>(next[left])] = best.left;
      if (consider(previous[left])) std::push_heap(heap.begin(), heap.end(), IsWorse);
      if (consider(best.left)) std::push_heap(heap.begin(), heap.end(), IsWorse);
    }
  }

  void Emit(std::string_view text, const Part& part, std::vector<TokenId>* ids) const {
    if (part.token >= 0) {
      ids->push_back(part.token);
      return;
    }
    const TokenId unknown = vocabulary().unknown.value_or(kNone);
    for (const char byte : text.substr(part.begin, part.size)) {
      TokenId id = byte_tokens_[static_cast<uint8_t>(byte)];
      if (id == kNone) id = unknown;
      if (id != kNone) ids->push_back(id);
    }
  }

  TextTable plain_tokens_{&vocabulary().texts};
  size_t longest_bytes_ = 0;
  std::array<bool, 256>
      joins_before_space_{};  // may this byte and U+2581 after it be in one token?
  std::array<TokenId, 256> byte_tokens_;
  const uint32_t serial_ = WordCache::NextSerial();
};

}  // namespace

Result<std::unique_ptr<const Tokenizer>> MakeSentencePieceTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary) {
  return std::make_unique<const SentencePieceTokenizer>(std::move(vocabulary));
}

}  // namespace puna::tokenizer
