// The round: who is in, how many rows each gets, one pass, one token for everybody whose turn has
// come.
//
// Fixed slots were rejected: a sequence holds only the pages it has filled. When they run out, the
// prefix cache gives up what nobody uses, and then the youngest sequence loses its pages and is
// computed again when there is room: its tokens and its sampler are kept, so nothing is sent twice
// and the output stays the same.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/batch_planner.h"
#include "engine/engine.h"
#include "engine/engine_state.h"

namespace puna::engine {

bool Engine::Step() {
  State& s = *state_;
  if (idle()) return false;
  s.DropCancelled();
  s.Admit();
  s.PlanBatch();
  if (s.batch.tokens.empty()) return true;
  s.batch.Run(s.parts.program.get(), static_cast<int64_t>(s.outputs_of.size()),
              s.parts.output_width);
  s.Deliver();
  return true;
}

void Engine::State::DropCancelled() {
  const auto drop = [this](std::unique_ptr<Sequence>& sequence) {
    if (!sequence->cancelled()) return;
    Remember(sequence.get(), /*still_running=*/false);
    sequence->Fail({ErrorCode::kCancelled, "the request was cancelled"});
    sequence.reset();
  };
  for (auto& sequence : waiting) drop(sequence);
  for (auto& sequence : running) drop(sequence);
  std::erase(waiting, nullptr);
  std::erase(running, nullptr);
}

// A sequence is admitted when there are pages for all its tokens, for those that the admitted ones
// still have to compute, and one more for each: so prompts do not push each other out, and nobody
// is computed only to be preempted at the next page border. (What is generated later may run out of
// pages: that is what preemption is for.)
void Engine::State::Admit() {
  int64_t promised = static_cast<int64_t>(running.size());
  for (const auto& sequence : running)
    promised += sequence->cache().PagesNeeded(sequence->remaining());
  while (!waiting.empty() && std::cmp_less(running.size(), parts.options.max_sequences)) {
    Sequence* next = waiting.front().get();
    const std::span<const TokenId> tokens = next->tokens();
    // The last token is always computed: its logits are wanted.
    model::PageTable cached = parts.options.prefix_cache
                                  ? prefixes.Find(tokens.first(tokens.size() - 1))
                                  : model::PageTable(&pool);
    const int64_t pages =
        cached.PagesNeeded(static_cast<int64_t>(tokens.size()) - cached.length()) + 1;
    if (parts.cached && !prefixes.MakeFree(promised + pages) && !running.empty()) return;
    promised += pages;
    next->Admit(std::move(cached));
    running.push_back(std::move(waiting.front()));
    waiting.pop_front();
  }
}

void Engine::State::PlanBatch() {
  std::vector<int64_t> remaining;
  for (const auto& sequence : running) remaining.push_back(sequence->remaining());
  std::vector<int64_t> rows = PlanRows(remaining, parts.options.max_batch_tokens);
  for (size_t i = 0; i < running.size(); ++i) {  // preemption shortens `running` from the end
    if (rows[i] > 0 && !GrowOrPreempt(running[i].get(), rows[i])) break;
  }
  // Pages are settled now; until here the tables could still change.
  batch.Clear();
  outputs_of.clear();
  for (size_t i = 0; i < running.size(); ++i) {
    if (rows[i] == 0) continue;
    batch.Add(running[i]->tokens(), running[i]->cache(), rows[i]);
    if (running[i]->remaining() > 0) continue;
    batch.WantLastRow();
    outputs_of.push_back(i);
  }
  pages_touched = std::max(pages_touched, pool.total() - pool.free());
}

// False if `sequence` itself had to go.
bool Engine::State::GrowOrPreempt(Sequence* sequence, int64_t rows) {
  while (!sequence->cache().Grow(rows, parts.program.get())) {
    if (prefixes.MakeFree(sequence->cache().PagesNeeded(rows))) continue;
    const bool itself = running.back().get() == sequence;
    Preempt();
    if (itself) return false;
  }
  return true;
}

void Engine::State::Preempt() {
  CHECK(running.size() > 1) << "one sequence alone needs more than the " << pool.total()
                            << " pages of the pool";
  ++preemptions;
  Sequence* youngest = running.back().get();
  Remember(youngest, /*still_running=*/false);
  youngest->Admit(model::PageTable(&pool));
  waiting.push_front(std::move(running.back()));
  running.pop_back();
}

void Engine::State::Deliver() {
  const auto width = static_cast<size_t>(parts.output_width);
  for (size_t i = 0; i < outputs_of.size(); ++i) {
    std::unique_ptr<Sequence>& sequence = running[outputs_of[i]];
    const bool prompt_done = !sequence->generating();
    const bool ended = sequence->TakeLogits({batch.outputs.data() + i * width, width});
    if (prompt_done || ended) Remember(sequence.get(), !ended);
    if (ended) sequence.reset();
  }
  std::erase(running, nullptr);
}

void Engine::State::Remember(Sequence* sequence, bool still_running) {
  if (!parts.options.prefix_cache) return;
  const model::PageTable& cache = sequence->cache();
  prefixes.Insert(std::span(sequence->tokens()).first(static_cast<size_t>(cache.length())),
                  cache.pages(), still_running);
}

}  // namespace puna::engine
