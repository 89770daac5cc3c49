// SentencePiece's BPE has no merge list: two neighbours may be joined if their joint text is a
// token, and the highest score goes first, the leftmost of equals. Spaces are U+2581 and one may be
// put in front of the text.
//
// A heap holds the candidates (score, position). A candidate is outdated if one of its two parts
// was joined in the meantime, which shows in the length of their joint text. There is no word
// boundary here, so a whole text is one problem; candidates longer than the longest token are not
// looked up, which keeps the work per candidate constant. Characters that no token has become byte
// tokens.
#include "tokenizer/spm.h"

#include <algorithm>
#include <array>

#include "tokenizer/vocabulary.h"

namespace puna::tokenizer {
namespace {

constexpr int32_t kNone = -1;

// Bytes of the character that a lead byte announces; 1 for bytes that cannot lead, so that
// malformed text is kept.
size_t AnnouncedLength(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

struct Part {
  uint32_t begin = 0;
  uint32_t size = 0;  // 0: joined to the part before
  int32_t previous = kNone;
  int32_t next = kNone;
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
      plain_tokens_.Insert(text, id);
      longest_bytes_ = std::max(longest_bytes_, text.size());
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
    // Part numbers have 31 bits. A cut between two gigabytes costs at most one merge.
    constexpr size_t kMaxBytes = size_t{1} << 30;
    std::string_view rest = escaped;
    for (; rest.size() > kMaxBytes; rest.remove_prefix(kMaxBytes))
      EncodeEscaped(rest.substr(0, kMaxBytes), ids);
    EncodeEscaped(rest, ids);
  }

  void EncodeEscaped(std::string_view text, std::vector<TokenId>* ids) const {
    std::vector<Part> parts;
    parts.reserve(text.size());
    for (size_t begin = 0; begin < text.size();) {
      const size_t size = std::min(AnnouncedLength(text[begin]), text.size() - begin);
      const auto index = static_cast<int32_t>(parts.size());
      parts.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(size), index - 1,
                       index + 1, plain_tokens_.Find(text.substr(begin, size))});
      begin += size;
    }
    if (parts.empty()) return;
    parts.back().next = kNone;
    Merge(text, &parts);
    for (int32_t i = 0; i != kNone; i = parts[static_cast<size_t>(i)].next) {
      Emit(text, parts[static_cast<size_t>(i)], ids);
    }
  }

  void Merge(std::string_view text, std::vector<Part>* all) const {
    std::vector<Part>& parts = *all;
    const auto part = [&](int32_t i) -> Part& { return parts[static_cast<size_t>(i)]; };
    std::vector<Candidate> heap;
    const auto consider = [&](int32_t left) {
      if (left == kNone || part(left).next == kNone) return false;
      const size_t size = part(left).size + part(part(left).next).size;
      if (size > longest_bytes_) return false;
      const TokenId token = plain_tokens_.Find(text.substr(part(left).begin, size));
      if (token < 0) return false;
      heap.push_back({vocabulary().scores[static_cast<size_t>(token)], left,
                      static_cast<uint32_t>(size), token});
      return true;
    };
    for (size_t i = 0; i + 1 < parts.size(); ++i) consider(static_cast<int32_t>(i));
    std::make_heap(heap.begin(), heap.end(), IsWorse);
    while (!heap.empty()) {
      const Candidate best = heap.front();
      std::pop_heap(heap.begin(), heap.end(), IsWorse);
      heap.pop_back();
      Part& left = part(best.left);
      if (left.size == 0 || left.next == kNone) continue;
      Part& right = part(left.next);
      if (left.size + right.size != best.size) continue;
      left.size += right.size;
      left.token = best.token;
      right.size = 0;
      left.next = right.next;
      if (left.next != kNone) part(left.next).previous = best.left;
      if (consider(left.previous)) std::push_heap(heap.begin(), heap.end(), IsWorse);
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

  StringTable plain_tokens_;
  size_t longest_bytes_ = 0;
  std::array<TokenId, 256> byte_tokens_;
};

}  // namespace

Result<std::unique_ptr<const Tokenizer>> MakeSentencePieceTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary) {
  return std::make_unique<const SentencePieceTokenizer>(std::move(vocabulary));
}

}  // namespace puna::tokenizer
