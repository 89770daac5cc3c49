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
  // the kernel. kResourceExhausted if the grammar is too ambiguous to be followed.
  Status AddAllowed(std::span<const Config> kernel, const Frames& frames, std::span<uint64_t> mask);

 private:
  using LocalId = int32_t;
  using SetId = int32_t;
  static constexpr LocalId kDead = -1, kNotYet = -2;

  // A set of configurations above an unknown stack.
  struct Local {
    Closure closure;
    std::unique_ptr<LocalId[]> next;  // [256], made on first use
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
  const Partial& Find(SetId set, StateId state);
  Partial Compute(SetId set, StateId state);
  void Walk(TokenTrie::NodeId node, LocalId start, std::vector<TokenId>* allowed,
            std::vector<TokenTrie::NodeId>* rests);

  const Automaton* automaton_;
  const TokenTrie* trie_;
  std::mutex mutex_;
  Stepper stepper_;
  std::vector<Local> locals_;
  std::map<std::vector<Config>, LocalId> local_ids_;
  std::vector<std::vector<TokenTrie::NodeId>> sets_;
  std::map<std::vector<TokenTrie::NodeId>, SetId> set_ids_;
  std::unordered_map<uint64_t, Partial> partials_;
  size_t bytes_ = 0;  // about what the cache takes
};

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_MASK_CACHE_H_
