// Remembers which token sequences the pages of the key/value cache hold, so that a prompt that
// begins like an earlier one (the same system prompt, the next turn of a chat) is not computed
// again. A radix tree with one page a node; the tree holds one reference to each of its pages.
// Sharing changes what is computed, never what comes out: a position of a page depends only on the
// tokens up to it. Not thread safe.
//
// Where texts part in the middle of a page, and where one ended there, the positions before are
// good for others too: they get them as a copy of the page, which costs less than computing one
// token. So the last page of a sequence that has ended is a node as well, a leaf that is not full.
//
// Invariant: if a running sequence holds the page of a node, it holds the pages of all nodes above.
// So a node whose page has no reference but the tree's has no used node below it, and everything
// that nobody uses can be evicted leaf by leaf.
//
// Networks with recurrent layers (model/kv_cache.h) can only begin where a state is: a node may
// hold the checkpoint at its end. Pages match further than checkpoints do, and where they do the
// found sequence is asked to leave a checkpoint there: the third prompt with the same beginning
// profits.
#ifndef PUNA_ENGINE_PREFIX_CACHE_H_
#define PUNA_ENGINE_PREFIX_CACHE_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "model/kv_cache.h"

namespace puna::engine {

class PrefixCache {
 public:
  explicit PrefixCache(model::PagePool* pool);  // the pool outlives it
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // The longest cached beginning of `tokens` that a sequence can start from, in whole pages,
  // shared. `key` stands for whatever else the pages depend on (the adapters that are applied);
  // only pages of the same key are found.
  model::PageTable Find(std::span<const int32_t> tokens, uint64_t key = 0);
  // The same and, in networks without states, so much of the page after them as begins alike.
  // PageTable::OwnLastPage makes that the sequence's own, before it counts as running.
  model::PageTable FindAll(std::span<const int32_t> tokens, uint64_t key = 0);

  // Remembers the pages of a sequence: pages[i] holds tokens[16 i, 16 i + 16). Where the tree
  // already has a page for the same tokens, that one stays. `still_running`: stops there, to keep
  // the invariant, and leaves out the last page if it is not full.
  void Insert(std::span<const int32_t> tokens, std::span<const int32_t> pages, bool still_running,
              uint64_t key = 0);

  // Keeps the checkpoints that `sequence` has at the ends of pages that the tree holds for
  // `tokens`.
  void InsertCheckpoints(std::span<const int32_t> tokens, const model::PageTable& sequence,
                         uint64_t key = 0);

  // Whether MakeFree would succeed; evicts nothing. REQUIRES: pages with several references are
  // held by the tree, so that those that only it holds can be told by their number.
  bool CanMakeFree(int64_t pages, int64_t slots = 0) const;
  // Evicts least recently used pages and checkpoints until the pool has `pages` free pages and
  // `slots` free state slots. False if it cannot; then it has evicted all that nobody uses.
  bool MakeFree(int64_t pages, int64_t slots = 0);
  // Evicts least recently used pages that nobody uses until the tree has at most `pages`.
  void ShrinkTo(int64_t pages);

  int64_t pages() const { return pages_; }
  int64_t evictions() const { return evictions_; }

 private:
  // The tokens of a page; those of a page that is not full end with kNoToken.
  using Block = std::array<int32_t, backend::kPageTokens>;
  struct Node {
    Node* parent = nullptr;
    Block block{};
    int32_t page = -1;
    uint64_t last_used = 0;
    model::Checkpoint checkpoint;  // of the state at the end of the page; may be empty
    // An exact key: a colliding hash would answer with wrong text.
    std::map<Block, std::unique_ptr<Node>> children;
  };
  using Children = std::map<Block, std::unique_ptr<Node>>;
  static Block BlockAt(std::span<const int32_t> tokens, size_t index);
  static std::pair<Node*, int64_t> FindLike(const Children& children, const Block& block);
  Node* Walk(std::span<const int32_t> tokens, uint64_t key, std::vector<int32_t>* pages,
             model::Checkpoint* checkpoint);
  void Add(Node* parent, const Block& block, int32_t page);
  void RemoveShorter(Node* parent, const Block& block);
  void Touch(Node* node);
  void RemoveLeaf(Node* leaf);
  template <typename Enough>
  void EvictUntil(Enough enough);
  void EvictCheckpoints(int64_t slots);

  model::PagePool* pool_;
  std::map<uint64_t, Node> roots_;                        // by key
  std::set<std::pair<uint64_t, Node*>> leaves_;           // by last use
  std::set<std::pair<uint64_t, Node*>> with_checkpoint_;  // by last use
  uint64_t clock_ = 0;
  int64_t pages_ = 0;
  int64_t evictions_ = 0;
};

}  // namespace puna::engine

#endif  // PUNA_ENGINE_PREFIX_CACHE_H_
