// Leaves are kept in a set ordered by last use; inner nodes become leaves when their last child
// goes. A walk touches every node on its way, so a node is never older than those below it, and
// leaf-first is also oldest-first. Pages are the unit, not single tokens: sharing a half-full page
// would need a copy, and saves at most 15 tokens.
#include "engine/prefix_cache.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/metrics.h"

namespace puna::engine {
namespace {

Counter evicted("puna_prefix_evictions_total", "Pages that the prefix cache gave up");

}  // namespace

PrefixCache::PrefixCache(model::PagePool* pool) : pool_(pool) {}

// Leaf by leaf: the tree may be as deep as the longest context has pages, too deep for recursive
// destructors.
PrefixCache::~PrefixCache() {
  while (!leaves_.empty()) RemoveLeaf(leaves_.begin()->second);
}

PrefixCache::Block PrefixCache::BlockAt(std::span<const int32_t> tokens, size_t index) {
  Block block;
  std::copy_n(tokens.begin() + static_cast<std::ptrdiff_t>(index * block.size()), block.size(),
              block.begin());
  return block;
}

void PrefixCache::Touch(Node* node) {
  const bool leaf = node->children.empty();
  if (leaf) leaves_.erase({node->last_used, node});
  if (node->checkpoint) with_checkpoint_.erase({node->last_used, node});
  node->last_used = clock_;
  if (leaf) leaves_.insert({clock_, node});
  if (node->checkpoint) with_checkpoint_.insert({clock_, node});
}

model::PageTable PrefixCache::Find(std::span<const int32_t> tokens, uint64_t key) {
  ++clock_;
  std::vector<int32_t> pages;
  model::Checkpoint checkpoint;  // the last one on the way
  const auto root = roots_.find(key);
  if (root == roots_.end()) return model::PageTable(pool_);
  Node* node = &root->second;
  for (size_t i = 0; (i + 1) * Block().size() <= tokens.size(); ++i) {
    const auto it = node->children.find(BlockAt(tokens, i));
    if (it == node->children.end()) break;
    node = it->second.get();
    Touch(node);
    pages.push_back(node->page);
    if (node->checkpoint) checkpoint = node->checkpoint;
  }
  if (!pool_->has_states()) return model::PageTable::Share(pool_, pages);
  const int64_t matched = static_cast<int64_t>(pages.size()) * backend::kPageTokens;
  const int64_t start = checkpoint ? checkpoint.position() : 0;
  pages.resize(static_cast<size_t>(start / backend::kPageTokens));
  model::PageTable sequence = model::PageTable::Share(pool_, pages, checkpoint);
  if (matched > start) sequence.KeepCheckpointAt(matched);
  return sequence;
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
  const size_t whole = std::min(pages.size(), tokens.size() / Block().size());
  if (whole == 0) return;
  Node* node = &roots_[key];
  for (size_t i = 0; i < whole; ++i) {
    auto& child = node->children[BlockAt(tokens, i)];
    if (child == nullptr) {
      child = std::make_unique<Node>();
      child->parent = node;
      child->block = BlockAt(tokens, i);
      child->page = pages[i];
      child->last_used = clock_;
      pool_->AddReference(pages[i]);
      ++pages_;
      leaves_.erase({node->last_used, node});  // if it was one
      leaves_.insert({clock_, child.get()});
    } else {
      if (still_running && child->page != pages[i]) return;
      Touch(child.get());
    }
    node = child.get();
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

bool PrefixCache::MakeFree(int64_t pages, int64_t slots) {
  EvictUntil([&] { return pool_->free() >= pages; });
  EvictCheckpoints(slots);
  return pool_->free() >= pages && pool_->states().free() >= slots;
}

void PrefixCache::ShrinkTo(int64_t pages) {
  EvictUntil([&] { return pages_ <= pages; });
}

}  // namespace puna::engine
