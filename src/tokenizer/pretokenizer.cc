#include "tokenizer/pretokenizer.h"

#include <algorithm>

namespace puna::tokenizer {

const PreTokenizerTraits* FindPreTokenizer(std::string_view name) {
  const auto known = KnownPreTokenizers();
  const auto it = std::lower_bound(
      known.begin(), known.end(), name,
      [](const PreTokenizerTraits& row, std::string_view wanted) { return row.name < wanted; });
  return it != known.end() && it->name == name ? &*it : nullptr;
}

const PreTokenizerTraits& DefaultPreTokenizer() { return *FindPreTokenizer("default"); }

Result<PreTokenizer> PreTokenizer::New(std::span<const SplitStage> stages, bool use_functions) {
  PreTokenizer pretokenizer;
  for (const SplitStage& stage : stages) {
    if (use_functions && stage.function != nullptr) {
      pretokenizer.stages_.push_back({stage.function, nullptr});
      continue;
    }
    PUNA_ASSIGN_OR_RETURN(PatternSplitter pattern, PatternSplitter::Compile(stage.pattern));
    pretokenizer.stages_.push_back(
        {nullptr, std::make_shared<const PatternSplitter>(std::move(pattern))});
  }
  return pretokenizer;
}

void PreTokenizer::RunStage(const Stage& stage, std::string_view text, size_t base,
                            std::vector<size_t>* ends) {
  if (stage.function != nullptr) {
    stage.function(text, base, ends);
  } else {
    stage.pattern->Split(text, base, ends);
  }
}

void PreTokenizer::Split(std::string_view text, std::vector<size_t>* ends) const {
  if (text.empty()) return;
  if (stages_.size() == 1) {
    RunStage(stages_[0], text, 0, ends);
    return;
  }
  std::vector<size_t> pieces = {text.size()};
  std::vector<size_t> finer;
  for (const Stage& stage : stages_) {
    finer.clear();
    size_t begin = 0;
    for (const size_t end : pieces) {
      RunStage(stage, text.substr(begin, end - begin), begin, &finer);
      begin = end;
    }
    pieces.swap(finer);
  }
  ends->insert(ends->end(), pieces.begin(), pieces.end());
}

}  // namespace puna::tokenizer
