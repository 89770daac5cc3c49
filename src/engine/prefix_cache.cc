// Leaves are kept in a set ordered by last use; inner nodes become leaves when their last child
// goes. A walk touches every node on its way, so a node is never older than those below it, and
// leaf-first is also oldest-first.
#include "engine/prefix_cache.h"

#include <algorithm>
#include <iterator>

#include "base/metrics.h"

namespace puna::engine {
namespace {

Counter evicted("puna_prefix_evictions_total", "Pages that the prefix cache gave up");

constexpr int32_t kNoToken = -1;  // less than every token

}  // namespace

PrefixCache::PrefixCache(model::PagePool* pool) : pool_(pool) {}

// Leaf by leaf: the tree may be as deep as the longest context has pages, too deep for recursive
// destructors.
PrefixCache::~PrefixCache() {
  while (!leaves_.empty()) RemoveLeaf(leaves_.begin()->second);
}

// With the tokens that are there.
PrefixCache::Block PrefixCache::BlockAt(std::span<const int32_t> tokens, size_t index) {
  Block block;
  block.fill(kNoToken);
  const size_t first = index * block.size();
  if (first < tokens.size()) {
    const size_t count = std::min(block.size(), tokens.size() - first);
    std::copy_n(tokens.begin() + static_cast<std::ptrdiff_t>(first), count, block.begin());
  }
  return block;
}

// The child that has most of its first tokens in common with `block`, and how many. In the order of
// the map that is a neighbour of the place where `block` would be.
std::pair<PrefixCache::Node*, int64_t> PrefixCache::FindLike(const Children& children,
                                                             const Block& block) {
  Node* best = nullptr;
  int64_t most = 0;
  const auto try_child = [&](const Children::value_type& child) {
    int64_t common = 0;
    for (size_t i = 0; i < block.size(); ++i, ++common) {
      if (block[i] != child.first[i] || block[i] == kNoToken) break;
    }
    if (common <= most) return;
    most = common;
    best = child.second.get();
  };
  const auto next = children.lower_bound(block);
  if (next != children.end()) try_child(*next);
  if (next != children.begin()) try_child(*std::prev(next));
  return {best, most};
}

void PrefixCache::Touch(Node* node) {
  const bool leaf = node->children.empty();
  if (leaf) leaves_.erase({node->last_used, node});
  if (node->checkpoint) with_checkpoint_.erase({node->last_used, node});
  node->last_used = clock_;
  if (leaf) leaves_.insert({clock_, node});
  if (node->checkpoint) with_checkpoint_.insert({clock_, node});
}

// The node of the last whole page that `tokens` begin with; `pages` and `checkpoint` (the last one)
// are those on the way. Null if nothing is known of this key.
PrefixCache::Node* PrefixCache::Walk(std::span<const int32_t> tokens, uint64_t key,
                                     std::vector<int32_t>* pages, model::Checkpoint* checkpoint) {
  ++clock_;
  const auto root = roots_.find(key);
  if (root == roots_.end()) return nullptr;
  Node* node = &root->second;
  for (size_t i = 0; (i + 1) * Block().size() <= tokens.size(); ++i) {
    const auto it = node->children.find(BlockAt(tokens, i));
    if (it == node->children.end()) break;
    node = it->second.get();
    Touch(node);
    pages->push_back(node->page);
    if (node->checkpoint) *checkpoint = node->checkpoint;
  }
  return node;
}

model::PageTable PrefixCache::Find(std::span<const int32_t> tokens, uint64_t key) {
  std::vector<int32_t> pages;
  model::Checkpoint checkpoint;
  Walk(tokens, key, &pages, &checkpoint);
  const int64_t matched = static_cast<int64_t>(pages.size()) * backend::kPageTokens;
  if (!pool_->has_states()) return model::PageTable::Share(pool_, pages, matched);
  const int64_t start = checkpoint ? checkpoint.position() : 0;
  pages.resize(static_cast<size_t>(start / backend::kPageTokens));
  model::PageTable sequence = model::PageTable::Share(pool_, pages, start, checkpoint);
  if (matched > start) sequence.KeepCheckpointAt(matched);
  return sequence;
}

model::PageTable PrefixCache::FindAll(std::span<const int32_t> tokens, uint64_t key) {
  if (pool_->has_states()) return Find(tokens, key);
  std::vector<int32_t> pages;
  model::Checkpoint none;
  Node* node = Walk(tokens, key, &pages, &none);
  int64_t matched = static_cast<int64_t>(pages.size()) * backend::kPageTokens;
  if (node != nullptr) {
    const auto [like, common] = FindLike(node->children, BlockAt(tokens, pages.size()));
    if (like != nullptr) {
      Touch(like);
      pages.push_back(like->page);
      matched += common;
    }
  }
  return model::PageTable::Share(pool_, pages, matched);
}

void PrefixCache::InsertCheckpoints(std::span<const int32_t> tokens,
                                    const model::PageTable& sequence, uint64_t key) {
  const auto root = roots_.find(key);
  if (!pool_->has_states() || root == roots_.end()) return;
  Node* node = &root->second;
  for (size_t i = 0; (i + 1) * Block().size() <= tokens.size(); ++i) {
    const auto it = node->children.find(BlockAt(tokens, i));
    if (it == node->children.end()) return;
    node = it->second.get();
    if (node->checkpoint) continue;
    node->checkpoint = sequence.CheckpointAt(static_cast<int64_t>(i + 1) * backend::kPageTokens);
    if (node->checkpoint) with_checkpoint_.insert({node->last_used, node});
  }
}

void PrefixCache::Insert(std::span<const int32_t> tokens, std::span<const int32_t> pages,
                         bool still_running, uint64_t key) {
  ++clock_;
  if (pages.empty()) return;
  const size_t whole = std::min(pages.size(), tokens.size() / Block().size());
  Node* node = &roots_[key];
  for (size_t i = 0; i < whole; ++i) {
    const Block block = BlockAt(tokens, i);
    const auto child = node->children.find(block);
    if (child == node->children.end()) {
      Add(node, block, pages[i]);
      node = node->children.at(block).get();
      continue;
    }
    node = child->second.get();
    if (still_running && node->page != pages[i]) return;
    Touch(node);
  }
  const auto rest = static_cast<int64_t>(tokens.size() - whole * Block().size());
  if (still_running || pool_->has_states() || rest == 0 || pages.size() == whole) return;
  const Block block = BlockAt(tokens, whole);
  const auto [like, common] = FindLike(node->children, block);
  if (common == rest) {
    Touch(like);
  } else {
    Add(node, block, pages[whole]);
  }
}

void PrefixCache::Add(Node* parent, const Block& block, int32_t page) {
  leaves_.erase({parent->last_used, parent});  // if it was one
  auto child = std::make_unique<Node>();
  child->parent = parent;
  child->block = block;
  child->page = page;
  child->last_used = clock_;
  pool_->AddReference(page);
  ++pages_;
  leaves_.insert({clock_, child.get()});
  parent->children[block] = std::move(child);
  RemoveShorter(parent, block);
}

// Removes the pages that are not full and hold nothing that the one of `block` does not hold: else
// each turn of a chat would leave one.
void PrefixCache::RemoveShorter(Node* parent, const Block& block) {
  if (parent->children.size() == 1) return;
  Block shorter = block;
  for (size_t last = block.size() - 1; last > 0; --last) {
    if (shorter[last] == kNoToken) continue;
    shorter[last] = kNoToken;
    const auto child = parent->children.find(shorter);
    if (child != parent->children.end()) RemoveLeaf(child->second.get());
  }
}

void PrefixCache::RemoveLeaf(Node* leaf) {
  leaves_.erase({leaf->last_used, leaf});
  with_checkpoint_.erase({leaf->last_used, leaf});
  pool_->Release(leaf->page);
  --pages_;
  Node* parent = leaf->parent;
  const Block block = leaf->block;  // a copy: the key dies with the node
  parent->children.erase(block);
  const bool root = parent->parent == nullptr;
  if (!root && parent->children.empty()) leaves_.insert({parent->last_used, parent});
}

template <typename Enough>
void PrefixCache::EvictUntil(Enough enough) {
  auto it = leaves_.begin();
  while (it != leaves_.end() && !enough()) {
    Node* leaf = it->second;
    if (pool_->references(leaf->page) > 1) {
      ++it;
      continue;
    }
    const uint64_t last_used = leaf->last_used;
    RemoveLeaf(
        leaf);  // its parent may be a leaf now; it is not older, so it comes later in the set
    ++evictions_;
    evicted.Add();
    it = leaves_.lower_bound({last_used, nullptr});
  }
}

void PrefixCache::EvictCheckpoints(int64_t slots) {
  auto next = with_checkpoint_.begin();
  while (pool_->states().free() < slots && next != with_checkpoint_.end()) {
    Node* node = next->second;
    if (!node->checkpoint.last()) {
      ++next;
      continue;
    }
    node->checkpoint = {};
    next = with_checkpoint_.erase(next);
  }
}

bool PrefixCache::CanMakeFree(int64_t pages, int64_t slots) const {
  const int64_t held_alone = std::max<int64_t>(0, pages_ - pool_->shared());
  if (pool_->free() + held_alone < pages) return false;
  int64_t free_slots = pool_->states().free();
  for (auto it = with_checkpoint_.begin(); free_slots < slots; ++it) {
    if (it == with_checkpoint_.end()) return false;
    free_slots += it->second->checkpoint.last();
  }
  return true;
}

bool PrefixCache::MakeFree(int64_t pages, int64_t slots) {
  EvictUntil([&] { return pool_->free() >= pages; });
  EvictCheckpoints(slots);
  return pool_->free() >= pages && pool_->states().free() >= slots;
}

void PrefixCache::ShrinkTo(int64_t pages) {
  EvictUntil([&] { return pages_ <= pages; });
}

}  // namespace puna::engine
