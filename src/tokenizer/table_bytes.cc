// Counts what vocabulary.h, text_table.h, merge_table.h and byte_trie.h hold for each token, text
// byte and merge. Their constructors decide the capacities; table_bytes_test.cc compares with what
// the allocator gave.
//
// Rejected: asking the tokenizer that was made. The question is whether it may be made.
#include "tokenizer/table_bytes.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace puna::tokenizer {
namespace {

constexpr size_t kMergeSlotBytes = 16;  // MergeTable
constexpr size_t kTrieNodeBytes = 13;   // ByteTrie, with its label

size_t TextBytes(const std::vector<std::string_view>& texts) {
  size_t bytes = 0;
  for (const std::string_view text : texts) bytes += text.size();
  return bytes;
}

size_t TextTableBytes(size_t texts) { return sizeof(uint32_t) * TextTable::SlotsFor(texts); }

// A node for each beginning of a text.
size_t TrieBytes(std::vector<std::string_view> texts) {
  std::sort(texts.begin(), texts.end());
  size_t nodes = 1;
  std::string_view before;
  for (const std::string_view text : texts) {
    const auto differ = std::mismatch(text.begin(), text.end(), before.begin(), before.end()).first;
    nodes += static_cast<size_t>(text.end() - differ);
    before = text;
  }
  return kTrieNodeBytes * nodes;
}

}  // namespace

int64_t TableBytes(const VocabularySource& source) {
  const size_t tokens = source.tokens.size(), text = TextBytes(source.tokens);
  // Texts and pieces, each with its bytes; kind and flags; the table by text.
  size_t bytes = tokens * (2 * sizeof(uint32_t) + 2) + 2 * text + TextTableBytes(tokens) +
                 source.charsmap.size();
  const size_t merges = source.merges.size();
  switch (source.algorithm) {
    case Algorithm::kSentencePiece:
      bytes += TextTableBytes(tokens) + tokens * sizeof(float);
      break;
    case Algorithm::kBytePairs:
      bytes += TextTableBytes(tokens) + kMergeSlotBytes * TextTable::SlotsFor(merges) +
               size_t{256} * 256 * 8;
      break;
    case Algorithm::kUnigram:
    case Algorithm::kPlamo:
      bytes += TrieBytes(source.tokens) + tokens * sizeof(float);
      break;
    case Algorithm::kWordPiece:
    case Algorithm::kRwkv:
      bytes += TrieBytes(source.tokens);
      break;
  }
  return static_cast<int64_t>(bytes);
}

int64_t TableBytes(const gguf::File& file) {
  const auto source = ReadVocabularySource(file);
  return source ? TableBytes(*source) : 0;
}

}  // namespace puna::tokenizer
