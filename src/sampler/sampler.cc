// The chain keeps a list of candidates and shortens it step by step. What costs time is not the
// chain but getting from a vocabulary of 150,000 logits to the first list, so that part is written
// with care:
//
// * Logits are scanned in blocks; a block in which nothing exceeds the current threshold (the best
//   so far, or the worst of the k best) costs one comparison a logit and no branch. For random
//   order only about k * ln(n / k) logits get further.
// * Changed logits (bias, penalties) are not written into a copy of the logits: the scan goes over
//   the gaps between these tokens, which are few and sorted, and offers those with their new logit.
// * top-p without top-k sums up the exponentials of all logits, but makes records only of those
//   that are near enough to the largest to hold top-p together.
// * Where a head of the ranking is wanted by its probability, for top-p and in the draw, it is
//   selected and not sorted: halving takes a time proportional to the list.
//
// Probabilities are summed in double, so that the point at which top-p cuts does not depend on
// rounding of a float sum over the vocabulary. The draw maps the generator's bits to [0, 1) here:
// std::uniform_real_distribution may differ between standard libraries, and a seed shall mean the
// same output everywhere.
#include "sampler/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"
#include "sampler/exponentials.h"
#include "sampler/repetition.h"

namespace puna::sampler {
namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();
// Beyond this k the heap's logarithm and cache misses cost more than one pass of nth_element.
constexpr size_t kLargestHeap = 1024;
constexpr size_t kScanBlock = 64;
constexpr double kLargestPenalty = 1e30;
// How far below the largest logit the nucleus of top-p is looked for at first, and at last.
constexpr float kFirstReach = 6, kReachGrowth = 1.3f, kLastReach = 1024;
// So few candidates are ranked by halving at once.
constexpr size_t kFewCandidates = 256;

uint64_t SeedOf(int64_t seed) {
  if (seed >= 0) return static_cast<uint64_t>(seed);
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

// Calls offer(index, logit) for the finite logits of allowed tokens above *threshold, which `offer`
// may raise on the way. A mask leaves few tokens, so its words are looked at first.
template <typename Offer>
void ScanMasked(std::span<const float> logits, std::span<const uint64_t> allowed, size_t begin,
                size_t end, const float* threshold, Offer offer) {
  end = std::min(end, allowed.size() * 64);
  while (begin < end) {
    const size_t word_end = std::min(end, (begin / 64 + 1) * 64);
    uint64_t bits = allowed[begin / 64] >> (begin % 64);
    for (size_t i = begin; bits != 0 && i < word_end; ++i, bits >>= 1) {
      const auto skipped = static_cast<size_t>(std::countr_zero(bits));
      i += skipped;
      bits >>= skipped;
      if (i < word_end && logits[i] > *threshold && std::isfinite(logits[i])) offer(i, logits[i]);
    }
    begin = word_end;
  }
}

// The same without a mask.
template <typename Offer>
void ScanBlockwise(std::span<const float> logits, size_t begin, size_t end, const float* threshold,
                   Offer offer) {
  const float* values = logits.data();
  while (begin < end) {
    const size_t count = std::min(kScanBlock, end - begin);
    const float bar = *threshold;
    int above = 0;  // NaN compares false and so never counts
    if (count == kScanBlock) {
      for (size_t i = 0; i < kScanBlock; ++i) above += values[begin + i] > bar;
    } else {
      for (size_t i = 0; i < count; ++i) above += values[begin + i] > bar;
    }
    if (above != 0) {
      for (size_t i = begin; i < begin + count; ++i) {
        if (values[i] > *threshold && std::isfinite(values[i])) offer(i, values[i]);
      }
    }
    begin += count;
  }
}

}  // namespace

Status SamplingOptions::Validate() const {
  const std::pair<const char*, double> numbers[] = {{"temperature", temperature},
                                                    {"top_p", top_p},
                                                    {"min_p", min_p},
                                                    {"typical_p", typical_p},
                                                    {"repeat_penalty", repeat_penalty},
                                                    {"presence_penalty", presence_penalty},
                                                    {"frequency_penalty", frequency_penalty},
                                                    {"xtc_probability", xtc_probability},
                                                    {"xtc_threshold", xtc_threshold},
                                                    {"dry_multiplier", dry_multiplier},
                                                    {"dry_base", dry_base},
                                                    {"mirostat_tau", mirostat_tau},
                                                    {"mirostat_eta", mirostat_eta}};
  for (const auto& [name, value] : numbers) {
    if (!std::isfinite(value)) {
      return MakeError(ErrorCode::kInvalidArgument, "option {} is {}, expected a finite number",
                       name, value);
    }
  }
  if (repeat_penalty <= 0) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "option repeat_penalty is {}, expected more than 0", repeat_penalty);
  }
  const std::pair<const char*, int64_t> windows[] = {{"repeat_last_n", repeat_last_n},
                                                     {"dry_penalty_last_n", dry_penalty_last_n}};
  for (const auto& [name, value] : windows) {
    if (value < -1) {
      return MakeError(ErrorCode::kInvalidArgument, "option {} is {}, expected -1 or more", name,
                       value);
    }
  }
  if (mirostat < 0 || mirostat > 2) {
    return MakeError(ErrorCode::kInvalidArgument, "option mirostat is {}, expected 0, 1 or 2",
                     mirostat);
  }
  if (dry_multiplier != 0 && (dry_base < 1 || dry_allowed_length < 1)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "options dry_base and dry_allowed_length are {} and {}, expected 1 or more",
                     dry_base, dry_allowed_length);
  }
  for (const auto& [token, bias] : logit_bias) {
    if (std::isnan(bias)) {
      return MakeError(ErrorCode::kInvalidArgument, "option logit_bias of token {} is no number",
                       token);
    }
  }
  return {};
}

Sampler::Sampler(const SamplingOptions& options)
    : options_(options),
      penalties_on_(options.repeat_last_n != 0 &&
                    (options.repeat_penalty != 1 || options.presence_penalty != 0 ||
                     options.frequency_penalty != 0)),
      random_(SeedOf(options.seed)),
      mirostat_mu_(2 * options.mirostat_tau) {}

void Sampler::Accept(TokenId token) {
  if (options_.dry_multiplier != 0) history_.push_back(token);
  if (!penalties_on_) return;
  ++seen_[token];
  if (options_.repeat_last_n < 0) return;
  if (std::cmp_less(window_.size(), options_.repeat_last_n)) {
    window_.push_back(token);
    return;
  }
  TokenId& oldest = window_[window_next_];
  const auto it = seen_.find(oldest);
  if (--it->second == 0) seen_.erase(it);
  oldest = token;
  window_next_ = (window_next_ + 1) % window_.size();
}

bool Sampler::RanksBefore(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

float Sampler::Penalized(float logit, int64_t times_seen) const {
  const float repeat = static_cast<float>(options_.repeat_penalty);
  const float repeated = logit <= 0 ? logit * repeat : logit / repeat;
  return repeated -
         static_cast<float>(static_cast<double>(times_seen) * options_.frequency_penalty +
                            options_.presence_penalty);
}

bool Sampler::IsAllowed(size_t token) const {
  if (allowed_.empty()) return true;
  return token / 64 < allowed_.size() && ((allowed_[token / 64] >> (token % 64)) & 1) != 0;
}

// By token: how many earlier tokens it would go on repeating, if DRY minds.
std::map<TokenId, int64_t> Sampler::Repetitions() const {
  if (options_.dry_multiplier == 0) return {};
  std::span<const TokenId> history = history_;
  if (const int64_t window = options_.dry_penalty_last_n;
      window >= 0 && std::cmp_less(window, history.size())) {
    history = history.last(static_cast<size_t>(window));
  }
  return FindRepetitions(history, options_.dry_allowed_length, options_.dry_breakers);
}

float Sampler::Adjusted(TokenId token, float logit,
                        const std::map<TokenId, int64_t>& repeated) const {
  const auto& bias = options_.logit_bias;
  if (const auto it = bias.find(token); it != bias.end())
    logit = static_cast<float>(logit + it->second);
  if (const auto it = seen_.find(token); it != seen_.end()) logit = Penalized(logit, it->second);
  if (const auto it = repeated.find(token); it != repeated.end()) {
    const auto excess = static_cast<double>(it->second - options_.dry_allowed_length);
    // Long repetitions would make it infinite, and -infinity + infinity is no number.
    const double penalty = options_.dry_multiplier * std::pow(options_.dry_base, excess);
    logit -= static_cast<float>(std::clamp(penalty, -kLargestPenalty, kLargestPenalty));
  }
  return logit;
}

// Fills `adjusted_` for this step.
void Sampler::Adjust(std::span<const float> logits) {
  adjusted_.clear();
  const std::map<TokenId, int64_t> repeated = Repetitions();
  const auto& bias = options_.logit_bias;
  if (bias.empty() && repeated.empty() && seen_.empty()) return;
  std::vector<TokenId> tokens;
  tokens.reserve(bias.size() + repeated.size() + seen_.size());
  for (const auto& entry : bias) tokens.push_back(entry.first);
  for (const auto& entry : repeated) tokens.push_back(entry.first);
  for (const auto& entry : seen_) tokens.push_back(entry.first);
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  for (const TokenId token : tokens) {
    if (token < 0 || std::cmp_greater_equal(token, logits.size())) continue;
    adjusted_.emplace_back(token, Adjusted(token, logits[static_cast<size_t>(token)], repeated));
  }
}

// Calls offer(token, logit) for every token whose finite logit, after the adjustments, is above
// *threshold. Tokens come in no particular order, so ties must be broken by the receiver.
template <typename Offer>
void Sampler::ScanAbove(std::span<const float> logits, const float* threshold, Offer offer) const {
  size_t begin = 0;
  const auto offer_index = [&](size_t i, float logit) { offer(static_cast<TokenId>(i), logit); };
  const auto scan = [&](size_t from, size_t to) {
    if (allowed_.empty()) {
      ScanBlockwise(logits, from, to, threshold, offer_index);
    } else {
      ScanMasked(logits, allowed_, from, to, threshold, offer_index);
    }
  };
  for (const auto& [token, logit] : adjusted_) {
    const auto index = static_cast<size_t>(token);
    scan(begin, index);
    begin = index + 1;
  }
  scan(begin, logits.size());
  for (const auto& [token, logit] : adjusted_) {
    if (!IsAllowed(static_cast<size_t>(token))) continue;
    if (std::isfinite(logit)) offer(token, logit);
  }
}

Sampler::Candidate Sampler::MostLikely(std::span<const float> logits) const {
  Candidate best{FirstAllowed(), kImpossible, 1};
  ScanAbove(logits, &best.logit, [&](TokenId token, float logit) {
    const Candidate candidate{token, logit, 1};
    if (RanksBefore(candidate, best)) best = candidate;
  });
  return best;
}

// `heap` holds the best `limit` so far with the worst on top.
void Sampler::OfferToHeap(size_t limit, Candidate candidate, std::vector<Candidate>* heap) {
  if (heap->size() == limit) {
    if (!RanksBefore(candidate, heap->front())) return;
    std::pop_heap(heap->begin(), heap->end(), RanksBefore);
    heap->back() = candidate;
  } else {
    heap->push_back(candidate);
  }
  std::push_heap(heap->begin(), heap->end(), RanksBefore);
}

void Sampler::CollectTopK(std::span<const float> logits, size_t limit) {
  candidates_.clear();
  float threshold = kImpossible;
  ScanAbove(logits, &threshold, [&](TokenId token, float logit) {
    OfferToHeap(limit, {token, logit, 0}, &candidates_);
    // A seen token is offered last and may have a lower id than an equal logit in the heap: it is
    // compared there.
    if (candidates_.size() == limit) threshold = candidates_.front().logit;
  });
  std::sort_heap(candidates_.begin(), candidates_.end(), RanksBefore);
  order_ = Order::kRanked;
}

void Sampler::CollectAll(std::span<const float> logits) {
  candidates_.clear();
  candidates_.reserve(logits.size());
  const float threshold = kImpossible;
  ScanAbove(logits, &threshold, [&](TokenId token, float logit) {
    candidates_.push_back({token, logit, 0});
  });
  order_ = Order::kByToken;
  if (options_.top_k > 0 && std::cmp_less(options_.top_k, candidates_.size())) {
    const auto end = candidates_.begin() + options_.top_k;
    std::nth_element(candidates_.begin(), end, candidates_.end(), RanksBefore);
    candidates_.erase(end, candidates_.end());
    SortAll();  // the order that nth_element leaves is the library's own, and the draw must not
                // depend on it
  }
}

// What CollectAll and KeepTopP leave, without a record for every token.
void Sampler::CollectNucleus(std::span<const float> logits) {
  order_ = Order::kHead;
  candidates_.clear();
  const float largest = MostLikely(logits).logit;
  if (largest == kImpossible) return;
  const double all = SumOfWeights(logits, largest);
  double found = 0;
  for (float reach = kFirstReach; found < options_.top_p * all; reach *= kReachGrowth) {
    const bool last = reach > kLastReach;
    const float threshold = last ? kImpossible : largest - reach;
    candidates_.clear();
    ScanAbove(logits, &threshold, [&](TokenId token, float logit) {
      if (logit > threshold) candidates_.push_back({token, logit, 0});
    });
    found = SetWeights(largest, 1);
    if (last) break;
  }
  candidates_.resize(HeadOf(options_.top_p * all));
}

// Of the softmax's numerators, with that of the largest logit as 1. A block of logits is as long as
// a word of the mask.
double Sampler::SumOfWeights(std::span<const float> logits, float largest) const {
  static_assert(kExponentials == 64);
  std::array<double, kExponentials> weights;
  double sum = 0;
  auto adjusted = adjusted_.begin();
  for (size_t begin = 0; begin < logits.size(); begin += weights.size()) {
    const size_t count = std::min(weights.size(), logits.size() - begin);
    const float* block = logits.data() + begin;
    if (count == weights.size()) {  // a loop of fixed length becomes vector instructions
      for (size_t i = 0; i < kExponentials; ++i)
        weights[i] = static_cast<double>(block[i]) - largest;
    } else {
      weights.fill(-HUGE_VAL);
      for (size_t i = 0; i < count; ++i) weights[i] = static_cast<double>(block[i]) - largest;
    }
    for (; adjusted != adjusted_.end() && std::cmp_less(adjusted->first, begin + count);
         ++adjusted) {
      weights[static_cast<size_t>(adjusted->first) - begin] =
          static_cast<double>(adjusted->second) - largest;
    }
    if (!allowed_.empty()) {
      const uint64_t word = begin / 64 < allowed_.size() ? allowed_[begin / 64] : 0;
      for (size_t i = 0; i < weights.size(); ++i) {
        if (((word >> i) & 1) == 0) weights[i] = -HUGE_VAL;
      }
    }
    sum += TakeExponentials(&weights);  // those that are not finite count as 0
  }
  return sum;
}

// The candidates' probabilities become the softmax's numerators; returns their sum. Differences to
// the largest logit are taken in double before the division, so that no temperature, however small,
// makes infinity minus infinity.
double Sampler::SetWeights(float largest, double temperature) {
  std::array<double, kExponentials> weights;
  double sum = 0;
  for (size_t begin = 0; begin < candidates_.size(); begin += weights.size()) {
    const size_t count = std::min(weights.size(), candidates_.size() - begin);
    weights.fill(-HUGE_VAL);
    for (size_t i = 0; i < count; ++i) {
      weights[i] = (static_cast<double>(candidates_[begin + i].logit) - largest) / temperature;
    }
    sum += TakeExponentials(&weights);
    for (size_t i = 0; i < count; ++i) candidates_[begin + i].probability = weights[i];
  }
  return sum;
}

// Softmax over the candidates.
void Sampler::ComputeProbabilities(double temperature) {
  float largest = kImpossible;
  for (const Candidate& c : candidates_) largest = std::max(largest, c.logit);
  const double sum = SetWeights(largest, temperature);
  for (Candidate& c : candidates_) c.probability /= sum;
}

// One step of HeadOf: the end of the head is among the candidates [*begin, *end), with *before the
// sum of those that rank before. Puts them into buckets by logit, and leaves the bucket in which
// the end is. False if they are all alike.
bool Sampler::NarrowHead(double mass, size_t* begin, size_t* end, double* before) {
  constexpr int kBuckets = 256;
  const auto first = candidates_.begin() + static_cast<std::ptrdiff_t>(*begin);
  const auto last = candidates_.begin() + static_cast<std::ptrdiff_t>(*end);
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (auto it = first; it != last; ++it) {
    low = std::min<double>(low, it->logit);
    high = std::max<double>(high, it->logit);
  }
  if (low >= high) return false;
  const double scale = (kBuckets - 0.5) / (high - low);
  const auto bucket_of = [&](const Candidate& c) {
    return static_cast<int>((high - c.logit) * scale);
  };
  std::array<double, kBuckets> masses{};
  for (auto it = first; it != last; ++it)
    masses[static_cast<size_t>(bucket_of(*it))] += it->probability;
  int bucket = 0;
  for (; bucket + 1 < kBuckets && *before + masses[static_cast<size_t>(bucket)] < mass; ++bucket)
    *before += masses[static_cast<size_t>(bucket)];
  const auto head =
      std::partition(first, last, [&](const auto& c) { return bucket_of(c) < bucket; });
  const auto tail =
      std::partition(head, last, [&](const auto& c) { return bucket_of(c) == bucket; });
  *begin = static_cast<size_t>(head - candidates_.begin());
  *end = static_cast<size_t>(tail - candidates_.begin());
  return true;
}

// Moves those to the front that come first by rank until their probabilities reach `mass`, and
// returns how many they are: all, if they do not reach it. The last one of them is the last by
// rank. (In which order a sum is taken is the library's own here, but its rounding is all that
// depends on it.)
size_t Sampler::HeadOf(double mass) {
  size_t begin = 0, end = candidates_.size();
  double before = 0;
  while (end - begin > kFewCandidates && NarrowHead(mass, &begin, &end, &before)) {
  }
  const auto at = [this](size_t i) { return candidates_.begin() + static_cast<std::ptrdiff_t>(i); };
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    std::nth_element(at(begin), at(middle), at(end), RanksBefore);
    double upper = 0;
    for (size_t i = begin; i < middle; ++i) upper += candidates_[i].probability;
    if (before + upper >= mass) {
      end = middle;
    } else {
      before += upper;
      begin = middle;
    }
  }
  return end;
}

void Sampler::SortAll() {
  if (order_ == Order::kRanked) return;
  std::sort(candidates_.begin(), candidates_.end(), RanksBefore);
  order_ = Order::kRanked;
}

// Keeps the tokens whose surprise is nearest to the expected surprise, until they hold more than
// typical_p (Meister et al., "Locally Typical Sampling"; the comparison is strict as in llama.cpp).
void Sampler::KeepTypical() {
  if (options_.typical_p >= 1) return;
  SortAll();
  ComputeProbabilities(1);
  double entropy = 0;
  for (const Candidate& c : candidates_) {
    if (c.probability > 0) entropy -= c.probability * std::log(c.probability);
  }
  const auto distance = [entropy](const Candidate& c) {
    return c.probability > 0 ? std::abs(-std::log(c.probability) - entropy)
                             : std::numeric_limits<double>::infinity();
  };
  std::vector<std::pair<double, size_t>> order(candidates_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = {distance(candidates_[i]), i};
  std::sort(order.begin(), order.end());
  size_t kept = 0;
  double mass = 0;
  while (kept < order.size()) {
    mass += candidates_[order[kept++].second].probability;
    if (mass > options_.typical_p) break;
  }
  order.resize(kept);
  std::sort(order.begin(), order.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
  for (size_t i = 0; i < kept; ++i) candidates_[i] = candidates_[order[i].second];
  candidates_.resize(kept);
}

// Keeps the shortest head of the ranking whose probabilities reach top_p.
void Sampler::KeepTopP() {
  if (options_.top_p >= 1) return;
  ComputeProbabilities(1);
  if (order_ != Order::kRanked) {
    candidates_.resize(HeadOf(options_.top_p));
    order_ = Order::kHead;
    return;
  }
  double mass = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    mass += candidates_[i].probability;
    if (mass >= options_.top_p) {
      candidates_.resize(i + 1);
      break;
    }
  }
}

void Sampler::KeepMinP() {
  if (options_.min_p <= 0) return;
  float largest = kImpossible;
  for (const Candidate& c : candidates_) largest = std::max(largest, c.logit);
  const double floor = largest + std::log(std::min(options_.min_p, 1.0));
  std::erase_if(candidates_, [floor](const Candidate& c) { return c.logit < floor; });
}

// "Exclude top choices": sometimes all likely tokens but the last of them go.
void Sampler::KeepXtc() {
  if (options_.xtc_probability <= 0 || options_.xtc_threshold > 0.5 || candidates_.size() < 2)
    return;
  if (Uniform() > options_.xtc_probability) return;
  SortAll();
  ComputeProbabilities(1);
  const auto likely_end =
      std::find_if(candidates_.begin(), candidates_.end(),
                   [this](const Candidate& c) { return c.probability < options_.xtc_threshold; });
  if (likely_end - candidates_.begin() > 1) candidates_.erase(candidates_.begin(), likely_end - 1);
}

// Estimates the exponent of a Zipf distribution from the most likely tokens, and from it how many
// tokens the wanted surprise allows.
void Sampler::KeepMirostat1() {
  constexpr size_t kHead = 100;
  const size_t head = std::min(kHead, candidates_.size());
  const auto head_end = candidates_.begin() + static_cast<std::ptrdiff_t>(head);
  std::partial_sort(candidates_.begin(), head_end, candidates_.end(), RanksBefore);
  double ranks_surprises = 0, ranks_squared = 0;
  for (size_t i = 0; i + 1 < head; ++i) {
    if (candidates_[i + 1].probability <= 0) break;
    const double rank = std::log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
    ranks_surprises += rank * std::log(candidates_[i].probability / candidates_[i + 1].probability);
    ranks_squared += rank * rank;
  }
  const double exponent = ranks_squared > 0 ? ranks_surprises / ranks_squared : 1;
  const double excess = exponent - 1;
  const double size = static_cast<double>(candidates_.size());
  const double k =
      std::pow(excess * std::pow(2, mirostat_mu_) / (1 - std::pow(size, -excess)), 1 / exponent);
  // An exponent of 1 or near 0 leaves no number: then nothing is cut.
  const double kept = std::isfinite(k) ? std::clamp(k, 1.0, size) : size;
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(kept);
  std::partial_sort(candidates_.begin(), end, candidates_.end(), RanksBefore);
  candidates_.erase(end, candidates_.end());
}

// Cuts every token that is more surprising than allowed.
void Sampler::KeepMirostat2() {
  const Candidate best = *std::min_element(candidates_.begin(), candidates_.end(), RanksBefore);
  const double least = std::pow(2, -mirostat_mu_);
  std::erase_if(candidates_, [least](const Candidate& c) { return c.probability < least; });
  if (candidates_.empty()) candidates_.push_back(best);
  SortAll();
}

TokenId Sampler::SampleMirostat(std::span<const float> logits) {
  candidates_.clear();
  order_ = Order::kByToken;
  const float threshold = kImpossible;
  ScanAbove(logits, &threshold, [&](TokenId token, float logit) {
    candidates_.push_back({token, logit, 0});
  });
  if (candidates_.empty()) return FirstAllowed();
  ComputeProbabilities(options_.temperature);
  if (options_.mirostat == 1) {
    KeepMirostat1();
  } else {
    KeepMirostat2();
  }
  order_ = Order::kRanked;
  ComputeProbabilities(options_.temperature);
  const TokenId token = Draw();
  const auto drawn = std::find_if(candidates_.begin(), candidates_.end(),
                                  [token](const Candidate& c) { return c.token == token; });
  const double surprise = -std::log2(drawn->probability);
  mirostat_mu_ -= options_.mirostat_eta * (surprise - options_.mirostat_tau);
  return token;
}

// 53 random bits are exactly the doubles k / 2^53 in [0, 1).
double Sampler::Uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

TokenId Sampler::Draw() {
  const double uniform = Uniform();
  if (order_ == Order::kHead) {
    std::erase_if(candidates_, [](const Candidate& c) { return c.probability <= 0; });
    return candidates_[HeadOf(std::nextafter(uniform, 1)) - 1].token;
  }
  double mass = 0;
  const Candidate* possible = nullptr;
  for (const Candidate& c : candidates_) {
    if (c.probability <= 0) continue;
    possible = &c;
    mass += c.probability;
    if (uniform < mass) break;
  }
  return possible->token;  // rounding may leave the mass a hair below `uniform`: then it is the
                           // last possible one
}

TokenId Sampler::FirstAllowed() const {
  for (size_t word = 0; word < allowed_.size(); ++word) {
    if (allowed_[word] != 0)
      return static_cast<TokenId>(word * 64 +
                                  static_cast<size_t>(std::countr_zero(allowed_[word])));
  }
  return 0;
}

TokenId Sampler::Sample(std::span<const float> logits, std::span<const uint64_t> allowed) {
  allowed_ = allowed;
  Adjust(logits);
  if (options_.temperature <= 0) return MostLikely(logits).token;
  if (options_.mirostat > 0) return SampleMirostat(logits);
  if (options_.top_k == 1) return MostLikely(logits).token;
  if (options_.top_k <= 0 && options_.top_p < 1 && options_.typical_p >= 1) {
    CollectNucleus(logits);
  } else {
    if (options_.top_k > 0 && std::cmp_less_equal(options_.top_k, kLargestHeap)) {
      CollectTopK(logits, static_cast<size_t>(options_.top_k));
    } else {
      CollectAll(logits);
    }
    KeepTypical();
    KeepTopP();
  }
  return DrawCandidate();
}

// The end of the chain, behind top-p.
TokenId Sampler::DrawCandidate() {
  if (candidates_.empty()) return FirstAllowed();
  KeepMinP();
  KeepXtc();
  ComputeProbabilities(options_.temperature);
  return Draw();
}

// How many tokens may still be chosen behind top-k; 0: all, or so many that Sample does not rank
// them.
int64_t Sampler::TopK() const {
  if (options_.temperature <= 0) return 1;
  const bool few = options_.top_k > 0 && std::cmp_less_equal(options_.top_k, kLargestHeap);
  return options_.mirostat <= 0 && few ? options_.top_k : 0;
}

// A logit that only becomes less by the adjustments stays behind those that were before it and are
// not adjusted. So the k best after the adjustments are among the k + a best before them, with a
// tokens adjusted.
int64_t Sampler::RankedNeeded(int64_t later) const {
  const int64_t kept = TopK();
  const bool raises =
      std::any_of(options_.logit_bias.begin(), options_.logit_bias.end(),
                  [](const auto& entry) { return entry.second > 0; }) ||
      (penalties_on_ && (options_.repeat_penalty < 1 || options_.presence_penalty < 0 ||
                         options_.frequency_penalty < 0));
  if (kept == 0 || raises || options_.dry_multiplier != 0) return 0;
  const auto biased = static_cast<int64_t>(options_.logit_bias.size());
  return kept + biased + (penalties_on_ ? static_cast<int64_t>(seen_.size()) + later : 0);
}

TokenId Sampler::SampleRanked(std::span<const TokenId> tokens, std::span<const float> logits) {
  CHECK(TopK() > 0 && tokens.size() == logits.size());
  allowed_ = {};
  candidates_.clear();
  for (size_t i = 0; i < tokens.size() && tokens[i] >= 0; ++i) {
    const float logit = Adjusted(tokens[i], logits[i], {});
    if (std::isfinite(logit)) candidates_.push_back({tokens[i], logit, 0});
  }
  std::sort(candidates_.begin(), candidates_.end(), RanksBefore);
  order_ = Order::kRanked;
  if (std::cmp_less(TopK(), candidates_.size()))
    candidates_.erase(candidates_.begin() + TopK(), candidates_.end());
  if (candidates_.empty()) return FirstAllowed();
  if (TopK() == 1) return candidates_[0].token;
  KeepTypical();
  KeepTopP();
  return DrawCandidate();
}

std::vector<TokenProbability> Sampler::Logprobs(std::span<const float> logits, TokenId chosen,
                                                int count) {
  CHECK(chosen >= 0 && std::cmp_less(chosen, logits.size()))
      << "token " << chosen << " of " << logits.size();
  std::vector<Candidate> best;
  const size_t limit = std::min(static_cast<size_t>(std::max(count, 1)), logits.size());
  float threshold = kImpossible;
  ScanBlockwise(logits, 0, logits.size(), &threshold, [&](size_t i, float logit) {
    OfferToHeap(limit, {static_cast<TokenId>(i), logit, 0}, &best);
    if (best.size() == limit) threshold = best.front().logit;
  });
  std::sort_heap(best.begin(), best.end(), RanksBefore);

  double log_sum = 0;
  if (!best.empty()) {
    double sum = 0;
    for (const float logit : logits) {
      if (std::isfinite(logit)) sum += std::exp(static_cast<double>(logit) - best.front().logit);
    }
    log_sum = best.front().logit + std::log(sum);
  }
  const auto probability_of = [&](TokenId token, float logit) {
    const float value = std::isfinite(logit) ? static_cast<float>(logit - log_sum)
                                             : std::numeric_limits<float>::lowest();
    return TokenProbability{token, std::max(value, std::numeric_limits<float>::lowest())};
  };
  std::vector<TokenProbability> result{probability_of(chosen, logits[static_cast<size_t>(chosen)])};
  for (size_t i = 0; i < best.size() && std::cmp_less(i, count); ++i) {
    result.push_back(probability_of(best[i].token, best[i].logit));
  }
  return result;
}

}  // namespace puna::sampler
