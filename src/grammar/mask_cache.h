// Which tokens may come next, by walking the trie of the vocabulary along the automaton. Internal
// to grammar.
//
// The idea that makes it fast: what a token does inside its rule does not depend on where the rule
// was called from. So the walk starts at a state with an unknown stack below it. Tokens that stay
// inside are decided once and for all; a token that ends the rule in its middle leaves a trie node
// behind from which the walk goes on at the state that the stack holds. Such rests are few, a set
// of them is again a key of the cache, and after one or two levels nothing is left.
//
// A set of configurations allows what any of them allows, so each is looked up alone.
#ifndef PUNA_GRAMMAR_MASK_CACHE_H_
#define PUNA_GRAMMAR_MASK_CACHE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "grammar/automaton.h"
#include "grammar/configuration.h"
#include "grammar/token_trie.h"

namespace puna::grammar {

// Thread safe. Memory is bounded: it forgets everything when it has grown too large.
class MaskCache {
 public:
  // Both outlive it.
  MaskCache(const Automaton* automaton, const TokenTrie* trie);

  // Sets in `mask` the tokens that `kernel` allows, but not the end tokens. `frames` are those of
  // the kernel. kInvalidArgument if the grammar is too ambiguous to be followed.
  Status AddAllowed(std::span<const Config> kernel, const Frames& frames, std::span<uint64_t> mask);
  // About what it takes.
  size_t bytes() const { return bytes_; }

 private:
  using LocalId = int32_t;
  using SetId = int32_t;
  static constexpr LocalId kDead = -1, kNotYet = -2;

  // A set of configurations above an unknown stack.
  struct Local {
    Closure closure;
    std::unique_ptr<LocalId[]> next;  // [256], made on first use
    // By the kinds of characters (TokenTrie::WordKind) and the bytes that are missing of the one
    // under way: so many bytes of such characters may follow, whatever they are; at most
    // kMaxWordDepth are looked for. -1: not known yet.
    std::array<std::array<int8_t, 16>, 3> words = Unknown();
    static constexpr std::array<std::array<int8_t, 16>, 3> Unknown() {
      std::array<std::array<int8_t, 16>, 3> words;
      for (auto& row : words) row.fill(-1);
      return words;
    }
  };
  // What starting at one state, at a set of trie nodes, comes to.
  struct Partial {
    std::vector<TokenId> tokens;  // few of them ...
    std::vector<uint64_t> mask;   // ... or a whole mask
    SetId rests = 0;              // trie nodes at which the rule was over; 0: none
  };

  void Forget();
  SetId InternSet(std::vector<TokenTrie::NodeId> nodes);
  LocalId InternLocal(std::vector<Config> kernel);
  LocalId Next(LocalId from, uint8_t byte);
  int WordsFrom(LocalId from, uint8_t kinds, int missing);
  const Partial& Find(SetId set, StateId state);
  Partial Compute(SetId set, StateId state);
  // The tokens below `node` that are allowed from `start`, in order, and the nodes at which the
  // rule was over.
  void Walk(TokenTrie::NodeId node, LocalId start, std::vector<TokenRange>* allowed,
            std::vector<TokenTrie::NodeId>* rests);
  void AddTokens(TokenTrie::NodeId node, std::span<const TokenRange> allowed, Partial* out) const;

  const Automaton* automaton_;
  const TokenTrie* trie_;
  std::mutex mutex_;
  Stepper stepper_;
  std::vector<Local> locals_;
  std::map<std::vector<Config>, LocalId> local_ids_;
  std::vector<std::vector<TokenTrie::NodeId>> sets_;
  std::map<std::vector<TokenTrie::NodeId>, SetId> set_ids_;
  std::unordered_map<uint64_t, Partial> partials_;
  std::atomic<size_t> bytes_ = 0;
};

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_MASK_CACHE_H_
