#include "cli/text_windows.h"

#include <algorithm>
#include <cmath>

#include "cli/terminal.h"

namespace puna::cli {

Result<TextWindows> CutText(const tokenizer::Tokenizer& tokenizer, const std::string& text_file,
                            int64_t tokens, int64_t max_windows) {
  PUNA_ASSIGN_OR_RETURN(const std::string text, ReadInputFile(text_file));
  TextWindows windows;
  tokenizer.Encode(text, {.add_special = true}, &windows.ids);
  if (windows.ids.size() < 4) {
    return MakeError(ErrorCode::kInvalidArgument, "{} has {} tokens, at least 4 are needed",
                     text_file, windows.ids.size());
  }
  windows.tokens = std::min(windows.ids.size(), static_cast<size_t>(tokens));
  windows.count = windows.ids.size() / windows.tokens;
  if (max_windows > 0) windows.count = std::min(windows.count, static_cast<size_t>(max_windows));
  for (size_t i = 0; tokenizer.prefix() && i < windows.count; ++i)
    windows.ids[i * windows.tokens] = *tokenizer.prefix();
  return windows;
}

double NegativeLogLikelihood(std::span<const float> logits, int32_t token) {
  const float highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
  return std::log(sum) + highest - static_cast<double>(logits[static_cast<size_t>(token)]);
}

void LossSum::Add(double loss) {
  sum += loss;
  sum_of_squares += loss * loss;
  ++count;
}

double LossSum::perplexity() const { return std::exp(sum / static_cast<double>(count)); }

double LossSum::error() const {
  if (count < 2) return 0;
  const double mean = sum / static_cast<double>(count);
  const double variance = sum_of_squares / static_cast<double>(count) - mean * mean;
  return perplexity() * std::sqrt(std::max(0.0, variance) / static_cast<double>(count - 1));
}

Status ReadWindow(ModelRunner* runner, std::span<const int32_t> window, int64_t chunk,
                  bool all_outputs, LossSum* losses) {
  model::PageTable sequence = runner->NewSequence();
  const auto vocabulary = static_cast<size_t>(runner->vocabulary());
  const size_t first_scored = window.size() / 2;
  for (size_t at = 0; at < window.size();) {
    const size_t count = std::min(static_cast<size_t>(chunk), window.size() - at);
    const ModelRunner::Part part{&sequence, window.subspan(at, count)};
    const bool scored = at + count > first_scored;
    PUNA_ASSIGN_OR_RETURN(
        const auto logits,
        runner->Run({&part, 1}, scored || all_outputs ? ModelRunner::Outputs::kAll
                                                      : ModelRunner::Outputs::kLast));
    for (size_t row = 0; scored && row < count; ++row) {
      const size_t position = at + row;
      if (position < first_scored || position + 1 >= window.size()) continue;
      losses->Add(NegativeLogLikelihood(logits.subspan(row * vocabulary, vocabulary),
                                        window[position + 1]));
    }
    at += count;
  }
  return {};
}

}  // namespace puna::cli
