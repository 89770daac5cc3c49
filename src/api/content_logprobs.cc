#include "api/content_logprobs.h"

#include <algorithm>
#include <utility>

namespace puna::api {

void ContentLogprobs::Add(std::optional<LogprobEntry> entry, std::string_view text) {
  if (entry) tokens_.push_back({*std::move(entry), end_, end_ + text.size()});
  if (tokens_.empty()) return;
  text_ += text;
  end_ += text.size();
}

void ContentLogprobs::Take(std::string_view content, size_t undecided,
                           std::vector<LogprobEntry>* out) {
  if (tokens_.empty()) return;
  const size_t decided_end = std::max(begin_, end_ - std::min(undecided, end_));
  const std::string_view decided = std::string_view(text_).substr(0, decided_end - begin_);
  // Marks before it may have the same letters, so it is the last such text. It is no text at all
  // where a mark within it was taken out.
  const size_t found = decided.rfind(content);
  const bool whole = found == std::string_view::npos;
  const size_t from = whole ? begin_ : begin_ + found;
  const size_t to = whole ? decided_end : from + content.size();
  while (!tokens_.empty() && tokens_.front().begin < decided_end) {
    Token& token = tokens_.front();
    const bool of_content =
        !content.empty() && token.begin < to && (token.end > from || token.begin == from);
    if (of_content && !token.taken) out->push_back(token.entry);
    token.taken = token.taken || of_content;
    if (token.end > decided_end) break;
    tokens_.pop_front();
  }
  text_.erase(0, decided_end - begin_);
  begin_ = decided_end;
}

}  // namespace puna::api
