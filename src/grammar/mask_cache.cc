#include "grammar/mask_cache.h"

#include <algorithm>
#include <set>
#include <utility>

namespace puna::grammar {
namespace {

constexpr size_t kMaxMaskBytes = size_t{64} << 20;
// Local sets beyond this many have no table: they are computed again each time.
constexpr size_t kMaxTables = 16'384;
// With more places than this behind a few letters, walking is no slower than looking ahead.
constexpr size_t kMaxWordPlaces = 100;
// A mask that is not made after so many configurations would take seconds.
constexpr int64_t kMaxMaskWork = 50'000'000;
// Beyond this many tokens a mask is smaller than a list.
constexpr size_t kLongestList = 2048;
// The set of both roots, which is where every token begins.
constexpr int32_t kNoRests = 0, kRoots = 1;

}  // namespace

MaskCache::MaskCache(const Automaton* automaton, const TokenTrie* trie)
    : automaton_(automaton), trie_(trie), stepper_(automaton) {
  Forget();
}

void MaskCache::Forget() {
  stepper_ = Stepper(automaton_);
  locals_.clear();
  local_ids_.clear();
  sets_.clear();
  set_ids_.clear();
  partials_.clear();
  bytes_ = 0;
  InternSet({});
  InternSet({trie_->plain_root(), trie_->other_root()});
}

MaskCache::SetId MaskCache::InternSet(std::vector<TokenTrie::NodeId> nodes) {
  const auto [it, is_new] = set_ids_.try_emplace(nodes, static_cast<SetId>(sets_.size()));
  if (is_new) {
    bytes_ += nodes.size() * sizeof(nodes[0]) * 2;
    sets_.push_back(std::move(nodes));
  }
  return it->second;
}

MaskCache::LocalId MaskCache::InternLocal(std::vector<Config> kernel) {
  if (kernel.empty()) return kDead;
  const auto it = local_ids_.find(kernel);
  if (it != local_ids_.end()) return it->second;
  Local local;
  stepper_.Close(kernel, &local.closure);
  bytes_ += 200 + (kernel.size() + local.closure.reading.size()) * sizeof(Config);
  const auto id = static_cast<LocalId>(locals_.size());
  locals_.push_back(std::move(local));
  local_ids_.emplace(std::move(kernel), id);
  return id;
}

MaskCache::LocalId MaskCache::Next(LocalId from, uint8_t byte) {
  Local& local = locals_[static_cast<size_t>(from)];
  if (local.next != nullptr && local.next[byte] != kNotYet) return local.next[byte];
  if (local.next == nullptr && std::cmp_less(from, kMaxTables)) {
    local.next = std::make_unique_for_overwrite<LocalId[]>(256);
    std::fill_n(local.next.get(), 256, kNotYet);
    // Most bytes lead nowhere, and that is cheap to find out for all of them at once.
    bool allowed[256];
    stepper_.AllowedBytes(local.closure, &allowed);
    for (size_t i = 0; i < 256; ++i) {
      if (!allowed[i]) local.next[i] = kDead;
    }
    bytes_ += 256 * sizeof(LocalId);
    if (local.next[byte] == kDead) return kDead;
  }
  std::vector<Config> kernel;
  const auto [first, last] = stepper_.Step(local.closure, byte, &kernel);
  const LocalId to = InternLocal(std::move(kernel));  // may move locals_
  if (LocalId* next = locals_[static_cast<size_t>(from)].next.get(); next != nullptr)
    std::fill(next + first, next + last + 1, to);
  return to;
}

int MaskCache::WordsFrom(LocalId from, uint8_t kinds, int missing) {
  const auto known = [&]() -> int8_t& {
    return locals_[static_cast<size_t>(from)].words[static_cast<size_t>(missing)][kinds];
  };
  if (known() >= 0) return known();
  if (std::cmp_greater_equal(from, kMaxTables)) return 0;  // each step would take its time
  using Place = std::pair<LocalId, int>;                   // and the bytes missing there
  std::vector<Place> here = {{from, missing}}, next;
  std::set<Place> seen = {here[0]};
  // Breadth first: the shortest way to an end counts. False: there is one.
  const auto step = [&](const Place& place, uint8_t byte, int then_missing) {
    const LocalId to = Next(place.first, byte);
    if (to == kDead) return false;
    if (seen.insert({to, then_missing}).second) next.emplace_back(to, then_missing);
    return seen.size() <= kMaxWordPlaces;
  };
  const auto all_steps = [&](const Place& place) {
    for (int byte = place.second > 0 ? 0x80 : '0'; byte < (place.second > 0 ? 0xC0 : 0xED);
         ++byte) {
      const auto first = static_cast<uint8_t>(byte);
      if (place.second == 0 && (TokenTrie::WordKind(first) & kinds) == 0) continue;
      const int then = place.second > 0 ? place.second - 1
                       : first < 0x80   ? 0
                       : first < 0xE0   ? 1
                                        : 2;
      if (!step(place, first, then)) return false;
    }
    return true;
  };
  int depth = 0;
  for (; depth < TokenTrie::kMaxWordDepth && !here.empty(); ++depth) {
    if (!std::all_of(here.begin(), here.end(), all_steps)) break;
    here.swap(next);
    next.clear();
  }
  if (here.empty()) depth = TokenTrie::kMaxWordDepth;  // whatever follows leads back
  known() = static_cast<int8_t>(depth);
  return depth;
}

void MaskCache::Walk(TokenTrie::NodeId node, LocalId start, std::vector<TokenRange>* allowed,
                     std::vector<TokenTrie::NodeId>* rests) {
  struct Level {
    TokenTrie::NodeId end;
    LocalId local;
    const LocalId* next;  // its table, if it has one
  };
  const auto level = [this](TokenTrie::NodeId end, LocalId local) {
    return Level{end, local, locals_[static_cast<size_t>(local)].next.get()};
  };
  const auto add = [allowed](TokenRange range) {
    if (!allowed->empty() && allowed->back().end == range.begin) {
      allowed->back().end = range.end;
    } else if (range.begin < range.end) {
      allowed->push_back(range);
    }
  };
  const TokenTrie::NodeId end = trie_->end(node);
  std::vector<Level> path = {level(end, start)};
  for (TokenTrie::NodeId n = node + 1; n < end;) {
    while (n >= path.back().end) path.pop_back();
    Level& above = path.back();
    LocalId local = above.next == nullptr ? kNotYet : above.next[trie_->byte(n)];
    if (local == kNotYet) {
      local = Next(above.local, trie_->byte(n));
      above.next = locals_[static_cast<size_t>(above.local)].next.get();
    }
    const TokenTrie::NodeId after = trie_->end(n);
    if (local == kDead) {
      n = after;
      continue;
    }
    add(trie_->tokens(n));
    if (after == n + 1) {
      ++n;
      continue;
    }
    const Closure& closure = locals_[static_cast<size_t>(local)].closure;
    if (closure.complete) rests->push_back(n);
    if (closure.reading.empty() || stepper_.work() > kMaxMaskWork) {
      n = after;
      continue;
    }
    if (const uint8_t kinds = trie_->word_kinds_below(n);
        kinds != 0 && trie_->word_depth(n) <= WordsFrom(local, kinds, trie_->bytes_missing(n))) {
      add(trie_->tokens_below(n));
      n = after;
      continue;
    }
    path.push_back(level(after, local));
    ++n;
  }
}

void MaskCache::AddTokens(TokenTrie::NodeId node, std::span<const TokenRange> allowed,
                          Partial* out) const {
  size_t count = 0;
  for (const TokenRange& range : allowed) count += static_cast<size_t>(range.end - range.begin);
  const auto each = [&](TokenRange range, const auto& apply) {
    for (int32_t i = range.begin; i < range.end; ++i) apply(trie_->token(i));
  };
  if (out->mask.empty() && out->tokens.size() + count <= kLongestList) {
    for (const TokenRange& range : allowed)
      each(range, [&](TokenId token) { out->tokens.push_back(token); });
    return;
  }
  out->mask.resize(trie_->mask_words(), 0);
  const auto set = [&](TokenId token) { SetBit(token, out->mask); };
  for (const TokenId token : out->tokens) set(token);
  out->tokens.clear();
  const TokenRange all = trie_->tokens_below(node);
  if (node != trie_->plain_root() || count < static_cast<size_t>(all.end - all.begin) / 2) {
    for (const TokenRange& range : allowed) each(range, set);
    return;
  }
  // Fewer are to be left out than to be put in.
  trie_->AddPlain(TextRun::kUnlimited, out->mask);
  const auto clear = [&](TokenId token) {
    out->mask[static_cast<size_t>(token) / 64] &=
        ~(uint64_t{1} << (static_cast<size_t>(token) % 64));
  };
  int32_t begin = all.begin;
  for (const TokenRange& range : allowed) {
    each({begin, range.begin}, clear);
    begin = range.end;
  }
  each({begin, all.end}, clear);
}

MaskCache::Partial MaskCache::Compute(SetId set, StateId state) {
  Partial out;
  const LocalId start = InternLocal({{state, kBottom}});
  const std::vector<TokenTrie::NodeId> nodes = sets_[static_cast<size_t>(set)];
  std::vector<TokenTrie::NodeId> rests;
  if (locals_[static_cast<size_t>(start)].closure.complete) rests = nodes;
  const TextRun* run = nullptr;
  if (set == kRoots) {
    for (const Config& config : locals_[static_cast<size_t>(start)].closure.reading) {
      const TextRun* candidate = automaton_->run(config.state);
      if (candidate != nullptr && (run == nullptr || candidate->chars > run->chars))
        run = candidate;
    }
  }
  bool skip_plain = false;
  if (run != nullptr) {
    out.mask.assign(trie_->mask_words(), 0);
    trie_->AddPlain(run->chars, out.mask);
    // With other ways to go on, those could allow what this one does not.
    skip_plain = run->chars == TextRun::kUnlimited ||
                 (run->exact && automaton_->run(state) == run && rests.empty());
  }
  std::vector<TokenRange> allowed;
  for (const TokenTrie::NodeId node : nodes) {
    if (skip_plain && node == trie_->plain_root()) continue;
    allowed.clear();
    Walk(node, start, &allowed, &rests);
    AddTokens(node, allowed, &out);
  }
  out.tokens.shrink_to_fit();
  if (skip_plain) {
    // All that the first trie holds is decided.
    std::erase_if(rests, [&](TokenTrie::NodeId n) { return n < trie_->other_root(); });
  }
  std::sort(rests.begin(), rests.end());
  rests.erase(std::unique(rests.begin(), rests.end()), rests.end());
  out.rests = InternSet(std::move(rests));
  bytes_ += 100 + out.tokens.size() * sizeof(TokenId) + out.mask.size() * sizeof(uint64_t);
  return out;
}

const MaskCache::Partial& MaskCache::Find(SetId set, StateId state) {
  int64_t which = state;
  if (const TextRun* run = automaton_->run(state);
      set == kRoots && run != nullptr && run->zone >= 0 &&
      std::cmp_greater_equal(run->zone_chars, trie_->max_token_bytes())) {
    which = automaton_->num_states() + run->zone;
  }
  const uint64_t key = (static_cast<uint64_t>(set) << 32) | static_cast<uint64_t>(which);
  if (const auto it = partials_.find(key); it != partials_.end()) return it->second;
  return partials_.emplace(key, Compute(set, state)).first->second;
}

Status MaskCache::AddAllowed(std::span<const Config> kernel, const Frames& frames,
                             std::span<uint64_t> mask) {
  const std::lock_guard lock(mutex_);
  if (bytes_ > kMaxMaskBytes || stepper_.work() > kMaxMaskWork / 2) Forget();
  struct Task {
    SetId set;
    Config config;
    auto operator<=>(const Task&) const = default;
  };
  std::vector<Task> tasks;
  std::set<Task> done;
  for (const Config& config : kernel) tasks.push_back({kRoots, config});
  for (size_t steps = 0; !tasks.empty(); ++steps) {
    const Task task = tasks.back();
    tasks.pop_back();
    if (!done.insert(task).second) continue;
    const Partial& partial = Find(task.set, task.config.state);
    for (const TokenId token : partial.tokens) SetBit(token, mask);
    for (size_t i = 0; i < partial.mask.size(); ++i) mask[i] |= partial.mask[i];
    if (partial.rests == kNoRests || task.config.frame == kBottom) continue;
    tasks.push_back(
        {partial.rests, {frames.then(task.config.frame), frames.below(task.config.frame)}});
  }
  if (stepper_.overflowed() || stepper_.work() > kMaxMaskWork) {
    Forget();
    return MakeError(ErrorCode::kInvalidArgument,
                     "the grammar is too ambiguous: too many ways to read the text at once");
  }
  return {};
}

}  // namespace puna::grammar
