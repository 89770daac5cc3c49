// What preparing a request needs of a model: manifest, metadata, tokenizer and prompt template, but
// no weights. Built on first use, kept for the models used last. Thread safe.
#ifndef PUNA_API_MODEL_CATALOG_H_
#define PUNA_API_MODEL_CATALOG_H_

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "api/constraint.h"
#include "api/options.h"
#include "api/prompt_guard.h"
#include "base/result.h"
#include "chat/chat.h"
#include "gguf/gguf.h"
#include "scheduler/scheduler.h"
#include "store/store.h"
#include "tokenizer/tokenizer.h"

namespace puna::api {

// What lists say of a model beyond its manifest.
struct ModelSummary {
  // "completion", "tools", "thinking", "insert", "embedding", in Ollama's order, then what the
  // config adds to them.
  std::vector<std::string> capabilities;
  int64_t context_length = 0;  // in tokens; 0: unknown
  int64_t embedding_length = 0;
};

struct ModelEntry {
  store::InstalledModel installed;
  std::shared_ptr<const gguf::File> file;
  std::vector<std::shared_ptr<const gguf::File>> adapters;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;  // null: a model without a vocabulary,
  std::string no_tokenizer;                               // or with one of an unknown kind
  std::shared_ptr<const chat::PromptTemplate> prompt_template;
  std::vector<chat::Message> messages;                // that every conversation begins with
  std::shared_ptr<const ControlTexts> control_texts;  // null with the tokenizer
  std::shared_ptr<ConstraintCache> constraints;       // null with the tokenizer
  bool embedding = false;                             // an embedding model: it has a pooling type
  bool ranks = false;          // an embedding model whose output is a score of query and document
  int64_t context_length = 0;  // as trained, in tokens
  int64_t embedding_length = 0;
  std::shared_ptr<const Json> details;  // as ModelDetails says

  // kUnsupported that says why there is no tokenizer; `name`: as the request calls the model.
  Status RequireTokenizer(std::string_view name) const;
  // False if its weights or adapters were replaced or deleted since.
  bool IsCurrent() const;
  ModelSummary Summary() const;
  // What the scheduler needs to know of it. Of the options, where it is to be computed.
  scheduler::ModelReference Reference(bool embeddings, const GenerationOptions& options) const;
};

class ModelCatalog {
 public:
  explicit ModelCatalog(store::Store* store);

  // `name` as a client wrote it. A malformed name is kInvalidArgument "invalid model name"; an
  // unknown one is kNotFound "model '<as written>' not found".
  Result<std::shared_ptr<const ModelEntry>> Get(std::string_view name);

  // The same that Get's entry says, without its tokenizer; kept for every model. What cannot be
  // read says nothing.
  ModelSummary SummaryOf(const store::InstalledModel& installed);

  // Lets go of models whose files were replaced or deleted: they keep their disk space as long as
  // somebody has them open.
  void DropStale();

 private:
  Result<std::shared_ptr<const ModelEntry>> Build(store::InstalledModel installed,
                                                  bool with_tokenizer) const;
  store::Store* store_;
  std::mutex mutex_;
  std::list<std::shared_ptr<const ModelEntry>> recent_;  // most recently used first
  std::map<std::string, ModelSummary> summaries_;        // by the digest of the manifest
};

// Whether a manifest only names a model at another host: there are no weights.
bool IsRemote(const store::InstalledModel& model);

// "details" of a model in tags, show and ps.
Json ModelDetails(const store::InstalledModel& model, const ModelSummary& summary);

}  // namespace puna::api

#endif  // PUNA_API_MODEL_CATALOG_H_
