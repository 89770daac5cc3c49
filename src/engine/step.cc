// The round: who is in, how many rows each gets, one pass, one token for everybody whose turn has
// come.
//
// Fixed slots were rejected: a sequence holds only the pages it has filled. When they run out, the
// prefix cache gives up what nobody uses, and then the youngest sequence loses its pages (and
// states) and is computed again when there is room: its tokens and its sampler are kept, so nothing
// is sent twice and the output stays the same.
//
// A prompt puts its pages into the prefix cache step by step while it is computed. Another one that
// begins alike waits for them, step by step, as long as somebody is computing them; there is no
// appointment between the two, so that nobody has to be told when the first one is cancelled.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/batch_planner.h"
#include "engine/engine.h"
#include "engine/engine_state.h"

namespace puna::engine {
namespace {

Counter steps("puna_steps_total", "Passes through a model");
Histogram step_seconds("puna_step_seconds", "Duration of a pass", SecondsBounds());
Histogram step_rows("puna_step_rows", "Tokens computed in a pass", CountBounds());
Histogram step_sequences("puna_step_sequences", "Requests that advance in a pass", CountBounds());
Counter preempted("puna_preemptions_total", "Requests that lost their pages to older ones");

// A sequence that generates may have a few tokens to compute at once (those that a grammar forces);
// with more it has lost its pages, and counts as a prompt.
constexpr int64_t kMostReaderRows = 32;
constexpr int64_t kLongestDraft = 12;
// Rows of a prompt whose logits are wanted: with a vocabulary of 152k, 39 MB.
constexpr int64_t kMostPromptLogits = 64;

// After a pass that gave somebody a token, weights are settled for as long as the pass took, or so
// long: then they are in place after a few passes, and the first tokens come at half the speed
// instead of after all of that. Passes of prompts alone hardly gain from settled weights, and their
// senders wait for the first token.
constexpr double kLeastSettleSeconds = 0.1;

double SecondsBetween(Sequence::Clock::time_point from, Sequence::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

void Engine::Admit() {
  state_->DropUnwanted();
  state_->Admit();
  state_->AdmitEmbeddings();
}

bool Engine::Step() {
  State& s = *state_;
  if (idle() || !s.failure) return false;
  const double round_begin = s.parts.clock();
  Admit();
  if (s.parts.options.embeddings) return s.EmbedPass();
  s.failure = s.Encode();
  if (!s.failure) return s.Recover();
  s.PlanBatch();
  if (s.batch.tokens.empty()) return true;
  const double begin = s.parts.clock();
  s.failure = s.batch.Run(s.parts.program.get(), static_cast<int64_t>(s.batch.output_rows.size()),
                          s.parts.output_width);
  if (s.failure) s.failure = s.CheckFile();
  if (!s.failure) return s.Recover();
  s.proved = true;
  const double seconds = s.parts.clock() - begin;
  steps.Add();
  step_seconds.Observe(seconds);
  step_rows.Observe(static_cast<double>(s.batch.tokens.size()));
  step_sequences.Observe(static_cast<double>(s.batch.segments.size()));
  s.Deliver();
  s.Learn(s.parts.clock() - round_begin);
  if (!s.batch.output_rows.empty() || !s.batch.ranked_rows.empty())
    s.Settle(std::max(seconds, kLeastSettleSeconds));
  return true;
}

// What readers wait for is the whole round: choosing tokens is part of it.
void Engine::State::Learn(double seconds) {
  if (bounded) {
    cost.ObservePlanned(work, seconds);
  } else {
    cost.Observe(work, seconds);
  }
}

const Status& Engine::failure() const { return state_->failure; }

void Engine::State::DropUnwanted() {
  const auto now = Sequence::Clock::now();
  const auto drop = [&](std::unique_ptr<Sequence>& sequence) {
    const bool gone = sequence->cancelled();
    if (!gone && sequence->deadline() > now) return;
    Remember(sequence.get(), /*still_running=*/false);
    if (gone) {
      sequence->Fail({ErrorCode::kCancelled, "the request was cancelled"});
    } else {
      sequence->Expire();
    }
    sequence.reset();
  };
  for (auto& sequence : waiting) drop(sequence);
  for (auto& sequence : running) drop(sequence);
  std::erase(waiting, nullptr);
  if (std::erase(running, nullptr) > 0) LimitPrefixes();
}

// A sequence is admitted when there are pages for all its tokens, for those that the admitted ones
// still have to compute, and one more for each: so prompts do not push each other out, and nobody
// is computed only to be preempted at the next page border. (What is generated later may run out of
// pages: that is what preemption is for.)
void Engine::State::Admit() {
  int64_t promised = static_cast<int64_t>(running.size()), promised_slots = promised;
  for (const auto& sequence : running) {
    promised += sequence->cache().PagesNeeded(sequence->remaining());
    promised_slots += sequence->cache().SlotsNeeded(sequence->remaining());
  }
  if (!pool.has_states()) promised_slots = 0;
  while (!waiting.empty() && std::cmp_less(running.size(), parts.options.max_sequences)) {
    Sequence* next = waiting.front().get();
    const std::span<const TokenId> tokens = next->tokens();
    // The last token is always computed: its logits are wanted.
    model::PageTable cached =
        parts.options.prefix_cache && !next->wants_prompt_logits()
            ? prefixes.FindAll(tokens.first(tokens.size() - 1), next->prefix_key())
            : model::PageTable(&pool);
    const auto count = static_cast<int64_t>(tokens.size());
    const int64_t pages = cached.PagesNeeded(count - cached.length()) + 1;
    const int64_t slots = pool.has_states() ? cached.SlotsNeeded(count - cached.length()) + 1 : 0;
    if (parts.cached) {
      const int64_t all_pages = promised + pages, all_slots = promised_slots + slots;
      // Who has to wait anyway is no reason to forget anything.
      if (!running.empty() && !prefixes.CanMakeFree(all_pages, all_slots)) return;
      prefixes.MakeFree(all_pages, all_slots);
    }
    cached.OwnLastPage(parts.program.get());
    promised += cached.PagesNeeded(count - cached.length()) + 1;
    promised_slots += slots;
    next->Admit(std::move(cached));
    running.push_back(std::move(waiting.front()));
    waiting.pop_front();
  }
}

// Where an encoder reads prompts: each alone and whole, in a pass before the step in which its
// sequence begins to advance.
Status Engine::State::Encode() {
  for (size_t i = 0; i < running.size(); ++i) {
    Sequence* sequence = running[i].get();
    const int64_t count = sequence->to_encode();
    if (count == 0) continue;
    if (!GrowOrPreempt(sequence, count)) return {};
    PUNA_RETURN_IF_ERROR(EncodeText(std::span(sequence->tokens()).first(static_cast<size_t>(count)),
                                    &sequence->cache(), sequence->adapters()));
  }
  return {};
}

// `cache` has room for the text and holds nothing yet.
Status Engine::State::EncodeText(std::span<const TokenId> text, model::PageTable* cache,
                                 std::span<const backend::AppliedAdapter> applied) {
  batch.Clear();
  batch.AddWhole(text, *cache, applied);
  PUNA_RETURN_IF_ERROR(batch.Encode(parts.program.get()));
  PUNA_RETURN_IF_ERROR(CheckFile());
  cache->MarkEncoded();
  return {};
}

bool Engine::State::IsReader(const Sequence& sequence) const {
  if (whole_prompts) return sequence.cache().length() >= sequence.prompt_tokens();
  return sequence.remaining() == 1 ||
         (sequence.generating() && sequence.remaining() <= kMostReaderRows);
}

// Indexes of the running sequences that have a prompt to compute, in the order in which they get
// rows.
std::vector<size_t> Engine::State::PromptOrder() const {
  const auto now = Sequence::Clock::now();
  std::vector<std::pair<double, size_t>> prompts;
  for (size_t i = 0; i < running.size(); ++i) {
    const Sequence& sequence = *running[i];
    if (IsReader(sequence)) continue;
    const StepWork work = StepWork().Plus(sequence.remaining(), sequence.cache().length());
    prompts.emplace_back(
        PromptUrgency(cost.Seconds(work), SecondsBetween(sequence.submitted(), now)), i);
  }
  std::sort(prompts.begin(), prompts.end());
  std::vector<size_t> order;
  for (const auto& [urgency, index] : prompts) order.push_back(index);
  return order;
}

// Is somebody who got rows in this step about to fill the next page that `sequence` needs? Two that
// hold the same page before it have said the same until there: a page stands for all tokens up to
// its end, and AdoptPages has given `sequence` the pages that were to be had.
bool Engine::State::PagesAreComing(const Sequence& sequence) const {
  const int64_t computed = sequence.cache().length();
  const int64_t page_begin = computed / backend::kPageTokens * backend::kPageTokens;
  const int64_t page_end = page_begin + backend::kPageTokens;
  const std::vector<TokenId>& tokens = sequence.tokens();
  if (!parts.options.prefix_cache || sequence.wants_prompt_logits() ||
      std::cmp_greater_equal(page_end, tokens.size())) {
    return false;
  }
  const size_t page = static_cast<size_t>(page_begin / backend::kPageTokens);
  for (size_t i = 0; i < running.size(); ++i) {
    const Sequence& other = *running[i];
    if (rows[i] == 0 || other.prefix_key() != sequence.prefix_key() ||
        std::cmp_less(other.tokens().size(), page_end) || other.cache().length() < page_begin ||
        other.cache().length() >= page_end) {
      continue;
    }
    if (page > 0 && sequence.cache().pages()[page - 1] != other.cache().pages()[page - 1]) continue;
    if (std::equal(tokens.begin() + page_begin, tokens.begin() + page_end,
                   other.tokens().begin() + page_begin)) {
      return true;
    }
  }
  return false;
}

// What others have computed since `sequence` was admitted becomes its own.
void Engine::State::AdoptPages(Sequence* sequence) {
  if (!parts.options.prefix_cache || sequence->wants_prompt_logits()) return;
  const std::span<const TokenId> tokens = sequence->tokens();
  model::PageTable cached =
      prefixes.FindAll(tokens.first(tokens.size() - 1), sequence->prefix_key());
  const int64_t computed = sequence->cache().length();
  if (cached.length() > computed) cached.OwnLastPage(parts.program.get());
  if (cached.length() > computed) {
    sequence->Adopt(std::move(cached));
  } else {
    sequence->cache().TakeWish(cached);
  }
}

// Decides how many rows each running sequence gets.
void Engine::State::PlanRows() {
  const std::chrono::duration<double> budget = parts.options.step_budget;
  StepPlan plan(&cost, parts.options.max_batch_tokens, budget.count());
  rows.assign(running.size(), 0);
  for (size_t i = 0; i < running.size(); ++i) {
    if (!IsReader(*running[i])) continue;
    const int64_t wanted = whole_prompts ? 1 : running[i]->remaining();
    rows[i] = plan.TakeRows(wanted, running[i]->cache().length(), running[i]->streamed());
  }
  for (const size_t i : PromptOrder()) {
    Sequence* sequence = running[i].get();
    AdoptPages(sequence);
    if (PagesAreComing(*sequence)) continue;
    const int64_t most =
        sequence->wants_prompt_logits() ? kMostPromptLogits : parts.options.max_batch_tokens;
    const int64_t depth = sequence->cache().length();
    rows[i] = whole_prompts            ? plan.TakeWhole(sequence->prompt_tokens())
              : sequence->background() ? plan.TakeBackground(sequence->remaining(), depth)
                                       : plan.TakeChunk(sequence->remaining(), depth, most);
    if (rows[i] == 0) break;
  }
  PlanDrafts(&plan);
  work = plan.work();
  bounded = plan.bounded();
}

// What the step has width left for is filled with guesses. They must not cost anybody pages or
// state slots, of which a draft needs one more than it writes: the state before it is kept. A page
// that only the prefix cache holds costs nobody: sooner or later the cache holds all of them.
void Engine::State::PlanDrafts(StepPlan* plan) {
  int64_t pages = static_cast<int64_t>(running.size());  // that must stay free
  int64_t slots = pool.states().free() - static_cast<int64_t>(running.size());
  for (size_t i = 0; i < running.size(); ++i) {
    Sequence* sequence = running[i].get();
    if (rows[i] != 1) continue;
    const std::vector<TokenId> guess = sequence->Guess(kLongestDraft);
    if (guess.empty()) continue;
    const int64_t most_slots = sequence->cache().SlotsNeeded(1 + kLongestDraft) + 1;
    if (pool.has_states() && slots < most_slots) continue;
    const int64_t most_pages = pages + sequence->cache().PagesNeeded(1 + kLongestDraft);
    if (!prefixes.CanMakeFree(most_pages)) continue;
    prefixes.MakeFree(most_pages);
    const int64_t draft =
        plan->TakeDraft(sequence->guess_acceptance(), static_cast<int64_t>(guess.size()),
                        sequence->cache().length() + 1);
    pages += sequence->cache().PagesNeeded(1 + draft);
    slots -= most_slots;
    sequence->SetDraft(std::span(guess).first(static_cast<size_t>(draft)));
    rows[i] += draft;
  }
}

void Engine::State::PlanBatch() {
  PlanRows();
  for (size_t i = 0; i < running.size(); ++i) {  // preemption shortens `running` from the end
    if (rows[i] > 0 && !GrowOrPreempt(running[i].get(), rows[i])) break;
  }
  // Pages are settled now; until here the tables could still change.
  batch.Clear();
  outputs_of.assign(running.size(), 0);
  ranked_of.assign(running.size(), 0);
  for (size_t i = 0; i < running.size(); ++i) {
    if (rows[i] == 0) continue;
    batch.Add(running[i]->tokens(), running[i]->cache(), rows[i], running[i]->adapters());
    WantOutputs(i);
  }
  NoteTouched();
}

// Whole rows, unless a few logits of each are enough to choose the same tokens and the program can
// tell which they are.
void Engine::State::WantOutputs(size_t index) {
  const Sequence& sequence = *running[index];
  if (sequence.wants_prompt_logits()) {
    outputs_of[index] = rows[index];
  } else if (sequence.remaining() == 0 && !sequence.prompt_only()) {
    const int64_t most = parts.program->most_ranked();
    const std::vector<int64_t> counts = most > 0 ? sequence.RankedNeeded() : std::vector<int64_t>();
    if (!counts.empty() && *std::max_element(counts.begin(), counts.end()) <= most) {
      ranked_of[index] = static_cast<int64_t>(counts.size());
      batch.RankLastRows(counts);
      return;
    }
    outputs_of[index] = 1 + sequence.draft();
  }
  batch.WantLastRows(outputs_of[index]);
}

// False if `sequence` itself had to go.
bool Engine::State::GrowOrPreempt(Sequence* sequence, int64_t rows) {
  while (!sequence->cache().Grow(rows, parts.program.get())) {
    if (prefixes.MakeFree(sequence->cache().PagesNeeded(rows), sequence->cache().SlotsNeeded(rows)))
      continue;
    const bool itself = running.back().get() == sequence;
    if (running.size() == 1) {
      FailOnlyOne();
    } else {
      Preempt();
    }
    if (itself) return false;
  }
  return true;
}

// A pool has room for the longest that a sequence may become, so this is a mistake of ours. It is
// no reason to end the process, and with it the requests of other models and those that wait.
void Engine::State::FailOnlyOne() {
  const Error error{ErrorCode::kInternal,
                    fmt::format("one sequence alone needs more than the {} pages or {} slots of "
                                "the pool",
                                pool.total(), pool.states().total())};
  LogError("{}", error.message);
  running.back()->Fail(error);
  running.pop_back();
  LimitPrefixes();
}

void Engine::State::Preempt() {
  ++preemptions;
  preempted.Add();
  running.back()->DropDraft();
  Remember(running.back().get(), /*still_running=*/false);
  StartAgain(std::move(running.back()));
  running.pop_back();
}

void Engine::State::Deliver() {
  const auto width = static_cast<size_t>(parts.output_width);
  size_t output = 0, ranked = 0;
  for (size_t i = 0; i < running.size(); ++i) {
    std::unique_ptr<Sequence>& sequence = running[i];
    const auto outputs = static_cast<size_t>(outputs_of[i]);
    const auto best = std::span<const backend::RankedRow>(batch.ranked_rows)
                          .subspan(ranked, static_cast<size_t>(ranked_of[i]));
    ranked += best.size();
    const bool all_there = sequence->prompt_only() && sequence->remaining() == 0;
    if (outputs == 0 && best.empty() && !all_there) {
      if (rows[i] > 0) Remember(sequence.get(), /*still_running=*/true);
      continue;
    }
    std::span<float> logits(batch.outputs.data() + output * width, outputs * width);
    output += outputs;
    if (sequence->wants_prompt_logits()) {
      sequence->TakePromptLogits(logits, rows[i]);
      if (sequence->remaining() > 0) {
        Remember(sequence.get(), /*still_running=*/true);
        continue;
      }
      logits = logits.last(width);
    }
    const bool prompt_done = !sequence->generating();
    const bool ended = sequence->TakeLogits(logits, best);
    if (prompt_done || ended) Remember(sequence.get(), !ended);
    if (prompt_done) KeepOnDisk(*sequence);
    if (ended) sequence.reset();
  }
  if (std::erase(running, nullptr) > 0) LimitPrefixes();
}

// When somebody has left, whose pages are now the cache's alone.
void Engine::State::LimitPrefixes() {
  const int64_t tokens = parts.options.prefix_cache_tokens;
  if (tokens > 0) prefixes.ShrinkTo(tokens / backend::kPageTokens);
}

void Engine::State::Remember(Sequence* sequence, bool still_running) {
  if (!parts.options.prefix_cache) return;
  model::PageTable& cache = sequence->cache();
  const auto computed = std::span(sequence->tokens()).first(static_cast<size_t>(cache.length()));
  prefixes.Insert(computed, cache.pages(), still_running, sequence->prefix_key());
  prefixes.InsertCheckpoints(computed, cache, sequence->prefix_key());
  cache.ForgetCheckpoints();  // the tree has them now
}

}  // namespace puna::engine
