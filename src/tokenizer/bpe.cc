// A text is cut into words by the pre-tokenizer; inside a word the adjacent pair with the lowest
// rank is merged, the leftmost of equals first, until no pair has a merge.
//
// Speed comes from three places: a per-thread cache of short words (most of natural text), merges
// on integers (two array reads or one hash probe per pair), and two algorithms for a word: up to
// kShortWord symbols the ranks are scanned for their minimum, which beats any heap; beyond that a
// heap of (rank, position) keeps a megabyte of "aaaa" at n log n. A heap entry is valid if the pair
// at its position still has its rank; nothing is ever removed from the middle.
#include "tokenizer/bpe.h"

#include <algorithm>
#include <functional>

#include "base/utf8.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/unicode_classes.h"
#include "tokenizer/vocabulary.h"
#include "tokenizer/word_cache.h"

namespace puna::tokenizer {
namespace {

constexpr size_t kShortWord = 48;  // symbols

// Pieces of a word while it is being merged.
struct Part {
  Symbol symbol = -1;  // -1: text that no merge or token knows
  uint32_t begin = 0;  // offset of its text in the word
};

TextTable PlainTokens(const Vocabulary& vocabulary) {
  TextTable tokens(vocabulary.spells_bytes ? &vocabulary.pieces : &vocabulary.texts);
  tokens.Reserve(static_cast<size_t>(vocabulary.size()));
  std::string spelled;
  // What the file spells in the byte alphabet is found by its bytes. Texts outside the alphabet,
  // and user-defined tokens that are not spelled, are left to the special-token matcher.
  for (const bool user_defined : {false, true}) {
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      const auto i = static_cast<size_t>(id);
      if (!vocabulary.IsPlain(id) ||
          (vocabulary.kinds[i] == TokenKind::kUserDefined) != user_defined)
        continue;
      if (vocabulary.spells_bytes) {
        spelled.clear();
        if (!AppendSpelledBytes(vocabulary.texts[i], &spelled)) continue;
        if (spelled != vocabulary.pieces[i]) continue;
      }
      tokens.Insert(i);
    }
  }
  return tokens;
}

std::string Lowered(std::string_view text) {
  std::string lowered;
  lowered.reserve(text.size());
  while (!text.empty()) {
    const DecodedCodepoint decoded = DecodeUtf8(text);
    AppendUtf8(ToLower(decoded.codepoint), &lowered);
    text.remove_prefix(decoded.length_bytes);
  }
  return lowered;
}

bool BeginsWithSpace(std::string_view text) {
  return (UnicodeClasses::Get().Of(DecodeUtf8(text).codepoint) & kSpace) != 0;
}

class BytePairTokenizer : public Tokenizer {
 public:
  BytePairTokenizer(std::unique_ptr<const Vocabulary> owned, PreTokenizer pretokenizer,
                    const std::vector<std::string_view>& merges)
      : Tokenizer(std::move(owned)),
        plain_tokens_(PlainTokens(vocabulary())),
        merges_(plain_tokens_, vocabulary().size(), merges, vocabulary().spells_bytes),
        pretokenizer_(std::move(pretokenizer)),
        ignores_merges_(vocabulary().pretokenizer->rules.ignore_merges),
        whole_newlines_(vocabulary().pretokenizer->rules.whole_newlines),
        only_words_(vocabulary().pretokenizer->rules.only_words),
        serial_(WordCache::NextSerial()) {
    for (int byte = 0; byte < 256; ++byte) {
      const auto value = static_cast<uint8_t>(byte);
      const char c = static_cast<char>(value);
      const TokenId id = vocabulary().spells_bytes ? plain_tokens_.Find({&c, 1})
                                                   : FindToken(ByteTokenText(value)).value_or(-1);
      byte_tokens_[static_cast<size_t>(byte)] = id;
    }
  }

 private:
  void EncodeText(std::string_view text, bool, std::vector<TokenId>* ids) const override {
    std::string changed;
    if (!IsValidUtf8Fast(text.data(), text.size())) {
      changed = ReplaceInvalidUtf8(text);
      text = changed;
    }
    std::string escaped;
    if (vocabulary().escapes_whitespace) {
      AppendEscapedSpaces(text, &escaped);
      text = escaped;
    }
    if (only_words_ && vocabulary().lowercase) {
      escaped = Lowered(text);
      text = escaped;
    }
    std::vector<size_t> ends;
    ends.reserve(text.size() / 4 + 4);
    pretokenizer_.Split(text, &ends);
    WordCache& cache = WordCache::OfThisThread();
    const auto encode = [this](std::string_view word, std::vector<TokenId>* out) {
      EncodeWord(word, out);
    };
    size_t begin = 0;
    for (const size_t end : ends) {
      if (!only_words_ || !BeginsWithSpace(text.substr(begin)))
        cache.Append(text, begin, end, serial_, encode, ids);
      begin = end;
    }
  }

  void EncodeWord(std::string_view word, std::vector<TokenId>* ids) const {
    if (ignores_merges_ ||
        (whole_newlines_ && word.find_first_not_of('\n') == std::string_view::npos)) {
      if (const TokenId id = plain_tokens_.Find(word); id >= 0) {
        ids->push_back(id);
        return;
      }
    }
    if (word.size() <= kShortWord) {
      std::array<Part, kShortWord> parts;
      const size_t count = FillParts(word, parts.data());
      EmitParts(word, parts.data(), MergeShort(word, parts.data(), count), ids);
    } else {
      // Offsets inside a word have 32 bits; a longer word is cut, which costs one merge in four
      // gigabytes.
      constexpr size_t kMaxWordBytes = size_t{1} << 31;
      for (; word.size() > kMaxWordBytes; word.remove_prefix(kMaxWordBytes)) {
        EncodeLong(word.substr(0, kMaxWordBytes), ids);
      }
      EncodeLong(word, ids);
    }
  }

  void EncodeLong(std::string_view word, std::vector<TokenId>* ids) const {
    std::vector<Part> parts(word.size());
    parts.resize(FillParts(word, parts.data()));
    EmitParts(word, parts.data(), MergeLong(&parts), ids);
  }

  // One part per byte, or per character where bytes are not spelled. `parts` has room for
  // word.size().
  size_t FillParts(std::string_view word, Part* parts) const {
    if (vocabulary().spells_bytes) {
      for (size_t i = 0; i < word.size(); ++i) {
        parts[i] = {merges_.OfByte(static_cast<uint8_t>(word[i])), static_cast<uint32_t>(i)};
      }
      return word.size();
    }
    size_t count = 0;
    for (size_t i = 0; i < word.size();) {
      const size_t length = DecodeUtf8(word.substr(i)).length_bytes;
      parts[count++] = {merges_.Find(word.substr(i, length)), static_cast<uint32_t>(i)};
      i += length;
    }
    return count;
  }

  MergeTable::Merge FindMerge(const Part& left, const Part& right) const {
    if (left.symbol < 0 || right.symbol < 0) return {};
    return merges_.Find(left.symbol, right.symbol);
  }

  // Merges in place and returns how many parts are left. REQUIRES: count <= kShortWord.
  size_t MergeShort(std::string_view word, Part* parts, size_t count) const {
    if (count < 2) return count;
    std::array<MergeTable::Merge, kShortWord> merges;  // [i] joins parts i and i + 1
    const bool bytes = vocabulary().spells_bytes;
    for (size_t i = 0; i + 1 < count; ++i) {
      merges[i] = bytes ? merges_.FindBytes(static_cast<uint8_t>(word[i]),
                                            static_cast<uint8_t>(word[i + 1]))
                        : FindMerge(parts[i], parts[i + 1]);
    }
    while (count > 1) {
      size_t best = 0;
      for (size_t i = 1; i + 1 < count; ++i) {
        if (merges[i].rank < merges[best].rank) best = i;
      }
      if (merges[best].rank == MergeTable::kNoRank) break;
      parts[best].symbol = merges[best].result;
      --count;
      for (size_t i = best + 1; i < count; ++i) parts[i] = parts[i + 1];
      for (size_t i = best + 1; i + 1 < count; ++i) merges[i] = merges[i + 1];
      if (best > 0) merges[best - 1] = FindMerge(parts[best - 1], parts[best]);
      if (best + 1 < count) merges[best] = FindMerge(parts[best], parts[best + 1]);
    }
    return count;
  }

  // The same for any length: a doubly linked list and a heap of rank << 32 | position, smallest on
  // top.
  size_t MergeLong(std::vector<Part>* all) const {
    std::vector<Part>& parts = *all;
    const auto count = static_cast<uint32_t>(parts.size());
    if (count < 2) return count;
    constexpr uint32_t kNone = 0xFFFFFFFF;
    std::vector<uint32_t> next(count), previous(count);
    std::vector<MergeTable::Merge> merges(count);  // of the part at i with its next
    std::vector<uint64_t> heap;
    heap.reserve(count);
    const auto entry = [&](uint32_t i) { return uint64_t{merges[i].rank} << 32 | i; };
    for (uint32_t i = 0; i < count; ++i) {
      previous[i] = i == 0 ? kNone : i - 1;
      next[i] = i + 1 < count ? i + 1 : kNone;
      if (i + 1 < count) merges[i] = FindMerge(parts[i], parts[i + 1]);
      if (merges[i].rank != MergeTable::kNoRank) heap.push_back(entry(i));
    }
    std::make_heap(heap.begin(), heap.end(), std::greater<>());
    const auto update = [&](uint32_t i) {
      merges[i] = next[i] == kNone ? MergeTable::Merge{} : FindMerge(parts[i], parts[next[i]]);
      if (merges[i].rank == MergeTable::kNoRank) return;
      heap.push_back(entry(i));
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    };
    while (!heap.empty()) {
      const uint64_t top = heap.front();
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      heap.pop_back();
      const auto i = static_cast<uint32_t>(top);
      if (merges[i].rank != top >> 32) continue;  // outdated
      const uint32_t removed = next[i];
      parts[i].symbol = merges[i].result;
      merges[removed] = {};
      next[i] = next[removed];
      if (next[i] != kNone) previous[next[i]] = i;
      update(i);
      if (previous[i] != kNone) update(previous[i]);
    }
    uint32_t left = 0;
    for (uint32_t i = 0; i != kNone; i = next[i]) parts[left++] = parts[i];
    return left;
  }

  void EmitParts(std::string_view word, const Part* parts, size_t count,
                 std::vector<TokenId>* ids) const {
    for (size_t i = 0; i < count; ++i) {
      if (parts[i].symbol >= 0 && parts[i].symbol < vocabulary().size()) {
        ids->push_back(parts[i].symbol);
        continue;
      }
      const size_t end = i + 1 < count ? parts[i + 1].begin : word.size();
      for (size_t at = parts[i].begin; at < end; ++at) {
        const TokenId id = byte_tokens_[static_cast<uint8_t>(word[at])];
        if (id >= 0) ids->push_back(id);
      }
    }
  }

  const TextTable plain_tokens_;  // bytes of the text to id
  const MergeTable merges_;
  const PreTokenizer pretokenizer_;
  const bool ignores_merges_;
  const bool whole_newlines_;  // Gemma 4: a run of line breaks that is a token is not merged
  const bool only_words_;
  const uint32_t serial_;
  std::array<TokenId, 256> byte_tokens_;  // -1: the byte cannot be written and is left out
};

}  // namespace

Result<std::unique_ptr<const Tokenizer>> MakeBytePairTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary, const std::vector<std::string_view>& merges) {
  PUNA_ASSIGN_OR_RETURN(PreTokenizer pretokenizer,
                        PreTokenizer::New(vocabulary->pretokenizer->stages));
  return std::make_unique<const BytePairTokenizer>(std::move(vocabulary), std::move(pretokenizer),
                                                   merges);
}

}  // namespace puna::tokenizer
