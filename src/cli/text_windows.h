// A text cut into windows of tokens that a model reads one after the other, for measurements.
#ifndef PUNA_CLI_TEXT_WINDOWS_H_
#define PUNA_CLI_TEXT_WINDOWS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/model_runner.h"
#include "tokenizer/tokenizer.h"

namespace puna::cli {

// Windows of equal length; what does not fill one at the end is left out. Each begins like a text,
// as llama.cpp measures: where the model has a BOS token, it stands in the place of the first.
struct TextWindows {
  std::vector<int32_t> ids;
  size_t tokens = 0;  // of a window
  size_t count = 0;

  std::span<const int32_t> At(size_t index) const {
    return std::span(ids).subspan(index * tokens, tokens);
  }
};

// At most `tokens` a window (fewer if the text is shorter) and `max_windows` windows (0: all). A
// text of less than 4 tokens is kInvalidArgument.
Result<TextWindows> CutText(const tokenizer::Tokenizer& tokenizer, const std::string& text_file,
                            int64_t tokens, int64_t max_windows);

// -log softmax(logits)[token], in nats.
double NegativeLogLikelihood(std::span<const float> logits, int32_t token);

struct LossSum {
  double sum = 0, sum_of_squares = 0;
  int64_t count = 0;

  void Add(double loss);
  double perplexity() const;
  // Standard error of the perplexity, from that of the mean loss.
  double error() const;
};

// Lets the model read the window in passes of `chunk` tokens and adds the losses of the tokens in
// its second half, as llama.cpp measures: each has at least half a window before it. `all_outputs`:
// outputs are computed for the first half too, so that the last layer sees every token.
Status ReadWindow(ModelRunner* runner, std::span<const int32_t> window, int64_t chunk,
                  bool all_outputs, LossSum* losses);

}  // namespace puna::cli

#endif  // PUNA_CLI_TEXT_WINDOWS_H_
