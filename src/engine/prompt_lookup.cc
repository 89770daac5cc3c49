// A wrong guess costs time only, so a hash without a check of the tokens is enough.
#include "engine/prompt_lookup.h"

#include <algorithm>

namespace puna::engine {
namespace {

constexpr int64_t kContext = 3;
// Of a long prompt only so many tokens are indexed between two steps, so that its length delays
// nobody: about a tenth of a millisecond.
constexpr int64_t kMostIndexedAtOnce = 1024;
// The estimate follows about the last eight judgements.
constexpr double kShare = 0.125;

uint64_t HashOfThree(const TokenId* last) {
  uint64_t hash = 0;
  for (int64_t i = kContext - 1; i >= 0; --i) {
    hash = (hash ^ static_cast<uint32_t>(last[-i])) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
  }
  return hash;
}

}  // namespace

void PromptLookup::Reset() {
  last_.clear();
  indexed_ = 0;
  proposed_.clear();
  judged_ = 0;
}

std::vector<TokenId> PromptLookup::Propose(std::span<const TokenId> tokens, int64_t most) {
  const auto count = static_cast<int64_t>(tokens.size());
  if (count <= kContext || most <= 0) return {};
  // The last three themselves come in when it is known what follows them.
  indexed_ = std::max(indexed_, kContext - 1);
  const int64_t end = std::min(count - 1, indexed_ + kMostIndexedAtOnce);
  for (; indexed_ < end; ++indexed_) last_[HashOfThree(tokens.data() + indexed_)] = indexed_;
  proposed_.clear();
  judged_ = 0;
  const auto found = last_.find(HashOfThree(tokens.data() + count - 1));
  if (found == last_.end()) return {};
  const int64_t first = found->second + 1;
  const auto begin = tokens.begin() + first;
  proposed_.assign(begin, begin + std::min(most, count - first));
  return proposed_;
}

void PromptLookup::Judge(TokenId token) {
  if (judged_ >= proposed_.size()) return;
  const bool right = proposed_[judged_++] == token;
  acceptance_ += kShare * ((right ? 1.0 : 0.0) - acceptance_);
  if (!right) judged_ = proposed_.size();
}

}  // namespace puna::engine
