// One text under way: its configurations over stacks of its own. What is shared between texts is
// the MaskCache of the constraint.
#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "grammar/automaton.h"
#include "grammar/configuration.h"
#include "grammar/grammar.h"
#include "grammar/mask_cache.h"
#include "grammar/token_trie.h"

namespace puna::grammar {
namespace {

// Stacks that are not used any more are thrown away beyond so many frames.
constexpr size_t kManyFrames = 8192;
// Forced text is looked ahead so far at once.
constexpr size_t kLongestForced = 512;

// The only byte that may come next, or -1.
int OnlyByte(const Stepper& stepper, const Closure& closure) {
  if (closure.complete) return -1;
  bool allowed[256];
  stepper.AllowedBytes(closure, &allowed);
  const auto begin = std::begin(allowed), end = std::end(allowed);
  const auto first = std::find(begin, end, true);
  if (first == end || std::find(first + 1, end, true) != end) return -1;
  return static_cast<int>(first - begin);
}

}  // namespace

Constraint::Constraint(std::shared_ptr<const Grammar> grammar,
                       std::shared_ptr<const TokenTrie> trie)
    : grammar_(std::move(grammar)),
      trie_(std::move(trie)),
      cache_(std::make_unique<MaskCache>(&grammar_->automaton(), trie_.get())) {}
Constraint::~Constraint() = default;
int64_t Constraint::vocabulary_size() const { return trie_->vocabulary_size(); }
size_t Constraint::mask_bytes() const { return cache_->bytes(); }

std::shared_ptr<const TokenTrie> MakeTokenTrie(
    std::shared_ptr<const tokenizer::Tokenizer> tokenizer) {
  return std::make_shared<TokenTrie>(std::move(tokenizer));
}

struct Matcher::Impl {
  explicit Impl(std::shared_ptr<const Constraint> constraint_in)
      : constraint(std::move(constraint_in)), stepper(&constraint->grammar().automaton()) {
    const Automaton& automaton = constraint->grammar().automaton();
    if (automaton.satisfiable()) kernel = {{automaton.start(), kBottom}};
    stepper.Close(kernel, &closure);
  }

  // False if a byte is not allowed; then nothing changed.
  bool Take(std::string_view bytes) {
    const std::vector<Config> kernel_before = kernel;
    const Closure closure_before = closure;
    for (const char byte : bytes) {
      stepper.Step(closure, static_cast<uint8_t>(byte), &kernel);
      stepper.Close(kernel, &closure);
      if (!kernel.empty()) continue;
      kernel = kernel_before;
      closure = closure_before;
      return false;
    }
    if (stepper.frames().size() > drop_beyond) DropUnusedFrames();
    return true;
  }

  void DropUnusedFrames() {
    const Frames old = stepper.frames();
    Frames& frames = stepper.frames();
    frames.Clear();
    for (Config& config : kernel) {
      std::vector<StateId> stack;
      for (FrameId f = config.frame; f != kBottom; f = old.below(f)) stack.push_back(old.then(f));
      config.frame = kBottom;
      for (auto then = stack.rbegin(); then != stack.rend(); ++then)
        config.frame = frames.Push(*then, config.frame);
    }
    stepper.Close(kernel, &closure);
    drop_beyond = std::max(kManyFrames, 2 * frames.size());
  }

  std::string ForcedText() {
    std::string text;
    Closure at = closure;
    std::vector<Config> next;
    while (text.size() < kLongestForced) {
      const int byte = OnlyByte(stepper, at);
      if (byte < 0) break;
      text += static_cast<char>(byte);
      stepper.Step(at, static_cast<uint8_t>(byte), &next);
      stepper.Close(next, &at);
    }
    return text;
  }

  std::shared_ptr<const Constraint> constraint;
  Stepper stepper;
  std::vector<Config> kernel;
  Closure closure;
  size_t drop_beyond = kManyFrames;  // frames
  std::vector<uint64_t> mask;
};

Matcher::Matcher(std::shared_ptr<const Constraint> constraint)
    : impl_(std::make_unique<Impl>(std::move(constraint))) {}
Matcher::~Matcher() = default;
Matcher::Matcher(Matcher&&) noexcept = default;
Matcher& Matcher::operator=(Matcher&&) noexcept = default;

Result<std::span<const uint64_t>> Matcher::Mask() {
  const TokenTrie& trie = impl_->constraint->trie();
  impl_->mask.assign(trie.mask_words(), 0);
  if (impl_->stepper.overflowed()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the grammar is too ambiguous: more than {} ways to read the text at once",
                     Stepper::kMaxConfigs);
  }
  PUNA_RETURN_IF_ERROR(
      impl_->constraint->cache_->AddAllowed(impl_->kernel, impl_->stepper.frames(), impl_->mask));
  if (complete()) {
    for (const TokenId token : trie.end_tokens())
      impl_->mask[static_cast<size_t>(token) / 64] |= uint64_t{1}
                                                      << (static_cast<size_t>(token) % 64);
  }
  return std::span<const uint64_t>(impl_->mask);
}

Status Matcher::Accept(TokenId token) {
  const TokenTrie& trie = impl_->constraint->trie();
  const std::string bytes = trie.BytesOf(token);
  if (bytes.empty() || !impl_->Take(bytes)) {
    return MakeError(ErrorCode::kInvalidArgument, "the grammar does not allow token {}", token);
  }
  return {};
}

bool Matcher::complete() const { return impl_->closure.complete; }
bool Matcher::finished() const { return impl_->closure.complete && impl_->closure.reading.empty(); }

// Tokens are kept as long as no longer token could take their place: the last ones of the forced
// text may be the beginning of a token that goes on behind it, which the model would rather choose.
std::vector<TokenId> Matcher::Forced() const {
  const TokenTrie& trie = impl_->constraint->trie();
  const std::string text = impl_->ForcedText();
  // Bytes of control tokens are not for the tokenizer.
  const size_t plain = std::min(text.find(kSpecialMark), text.size());
  std::vector<TokenId> tokens;
  std::string_view rest = std::string_view(text).substr(0, plain);
  if (plain == 0) {
    if (text.empty()) return {};
    const auto [token, length] = trie.Longest(text);
    if (token >= 0 && !trie.AnyLonger(text)) tokens.push_back(token);
    return tokens;
  }
  trie.tokenizer().Encode(rest, {}, &tokens);
  std::string written;
  for (const TokenId token : tokens) written += trie.BytesOf(token);
  if (written != rest) {  // the tokenizer adds or changes something at the front of a text
    tokens.clear();
    for (std::string_view left = rest; !left.empty();) {
      const auto [token, length] = trie.Longest(left);
      if (token < 0) break;
      tokens.push_back(token);
      left.remove_prefix(length);
    }
  }
  size_t kept = 0;
  for (; kept < tokens.size(); ++kept) {
    if (trie.AnyLonger(rest)) break;
    rest.remove_prefix(trie.BytesOf(tokens[kept]).size());
  }
  tokens.resize(kept);
  return tokens;
}

}  // namespace puna::grammar
