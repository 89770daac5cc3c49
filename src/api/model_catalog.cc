#include "api/model_catalog.h"

#include <algorithm>
#include <climits>

#include "api/ollama_types.h"
#include "base/duration.h"
#include "base/log.h"
#include "gguf/gguf_guard.h"

namespace puna::api {
namespace {

constexpr size_t kKeptModels = 16;
// GGUF's number for it in <architecture>.pooling_type.
constexpr int64_t kRankPooling = 4;

// The text of a token for templates that mention it; "" where there is none.
std::string TokenText(const tokenizer::Tokenizer* tokenizer, std::optional<tokenizer::TokenId> id) {
  return tokenizer != nullptr && id ? std::string(tokenizer->RawTextOf(*id)) : "";
}

// Which template a model is prompted with: of the Modelfile's Go template and the file's own Jinja
// template the one that can do more (tools, thinking), the Go template on a draw, as Ollama
// decides. A model without either is prompted plainly.
Result<std::shared_ptr<const chat::PromptTemplate>> ChooseTemplate(const ModelEntry& entry) {
  std::shared_ptr<const chat::PromptTemplate> go, jinja;
  if (entry.installed.template_text) {
    auto parsed = chat::PromptTemplate::FromGo(*entry.installed.template_text);
    if (!parsed) return WithContext(std::move(parsed).error(), "template error");
    go = *std::move(parsed);
  }
  PUNA_ASSIGN_OR_RETURN(const auto source, entry.file->GetString("tokenizer.chat_template"));
  if (source && !source->empty()) {
    const tokenizer::Tokenizer* tokenizer = entry.tokenizer.get();
    auto parsed = chat::PromptTemplate::FromJinja(
        *source, TokenText(tokenizer, tokenizer ? tokenizer->bos() : std::nullopt),
        TokenText(tokenizer, tokenizer ? tokenizer->eos() : std::nullopt));
    if (parsed) {
      jinja = *std::move(parsed);
    } else {
      LogWarning("{}: chat template: {}", entry.installed.name.ShortName(), parsed.error().message);
    }
  }
  const auto score = [](const auto& one) {
    return one->capabilities().tools + one->capabilities().thinking;
  };
  // A RENDERER bypasses the Modelfile's template.
  if (jinja && !JsonString(entry.installed.config, "renderer").empty()) return jinja;
  if (go && (!jinja || score(go) >= score(jinja))) return go;
  if (jinja) return jinja;
  return chat::PromptTemplate::Default();
}

// Where a name says that its model is: behind its tag, as Ollama's clients write it.
struct Source {
  std::string_view name;  // without ":local"
  bool cloud = false;
};
Result<Source> SourceOf(std::string_view written) {
  constexpr std::string_view kLocal = ":local", kCloud = ":cloud", kCloudTag = "-cloud";
  Source source{written};
  const bool local = written.ends_with(kLocal);
  if (local) source.name.remove_suffix(kLocal.size());
  const bool has_tag = source.name.find(':') != std::string_view::npos;
  source.cloud = source.name.ends_with(kCloud) || (has_tag && source.name.ends_with(kCloudTag));
  if (local && source.cloud) {
    return MakeError(ErrorCode::kInvalidArgument, "use either :local or :cloud, not both: \"{}\"",
                     written);
  }
  return source;
}

// What a config says itself. What this version cannot do is left out, whoever claims it.
ModelSummary SummaryOfConfig(const Json& config) {
  ModelSummary out;
  const Json capabilities = config.value("capabilities", Json());
  for (const Json& one : capabilities) {
    const std::string name = one.is_string() ? one.get<std::string>() : "";
    if (name == "completion" || name == "tools" || name == "insert" || name == "thinking" ||
        name == "embedding") {
      out.capabilities.push_back(name);
    }
  }
  const auto length = [&](const char* key) -> int64_t {
    const Json value = config.value(key, Json());
    return value.is_number_integer() ? value.get<int64_t>() : 0;
  };
  out.context_length = length("context_length");
  out.embedding_length = length("embedding_length");
  return out;
}

}  // namespace

Status ModelEntry::RequireTokenizer(std::string_view name) const {
  if (tokenizer != nullptr) return {};
  return MakeError(ErrorCode::kUnsupported, "\"{}\" runs on token ids only (puna eval): {}", name,
                   no_tokenizer);
}

bool ModelEntry::IsCurrent() const {
  return file->IsCurrent() && std::all_of(adapters.begin(), adapters.end(),
                                          [](const auto& adapter) { return adapter->IsCurrent(); });
}

ModelSummary ModelEntry::Summary() const {
  ModelSummary out = SummaryOfConfig(installed.config);
  std::vector<std::string> known = {embedding ? "embedding" : "completion"};
  const chat::Capabilities& from_template = prompt_template->capabilities();
  if (!embedding && from_template.tools) known.emplace_back("tools");
  if (!embedding && from_template.insert) known.emplace_back("insert");
  if (!embedding && from_template.thinking) known.emplace_back("thinking");
  for (std::string& more : out.capabilities) {
    if (std::find(known.begin(), known.end(), more) == known.end())
      known.push_back(std::move(more));
  }
  out.capabilities = std::move(known);
  if (out.context_length == 0) out.context_length = context_length;
  if (out.embedding_length == 0) out.embedding_length = embedding_length;
  return out;
}

scheduler::ModelReference ModelEntry::Reference(bool embeddings,
                                                const GenerationOptions& options) const {
  scheduler::ModelReference reference;
  if (options.num_gpu >= 0) reference.device_layers = options.num_gpu;
  if (options.main_gpu >= 0)
    reference.device = static_cast<int>(std::min<int64_t>(options.main_gpu, INT_MAX));
  reference.name = installed.name.ShortName();
  reference.digest = installed.digest;
  reference.details = details;
  reference.weights = installed.weights;
  reference.file = file;
  reference.tokenizer = tokenizer;
  reference.embeddings = embeddings;
  if (const auto keep_alive = installed.parameters.find("keep_alive");
      keep_alive != installed.parameters.end() && keep_alive->is_string()) {
    if (const auto parsed = ParseKeepAlive(keep_alive->get<std::string>()))
      reference.default_keep_alive = *parsed;
  }
  for (const auto& adapter : adapters) reference.adapters.push_back({adapter});
  return reference;
}

ModelCatalog::ModelCatalog(store::Store* store) : store_(store) {}

Result<std::shared_ptr<const ModelEntry>> ModelCatalog::Build(store::InstalledModel installed,
                                                              bool with_tokenizer) const {
  if (IsRemote(installed)) {
    return MakeError(ErrorCode::kPermissionDenied,
                     "ollama cloud is disabled: '{}' is a model at {}, puna works on this machine "
                     "only",
                     installed.name.ShortName(), JsonString(installed.config, "remote_host"));
  }
  auto entry = std::make_shared<ModelEntry>();
  entry->installed = std::move(installed);
  PUNA_ASSIGN_OR_RETURN(entry->file, store_->OpenWeights(entry->installed));
  PUNA_ASSIGN_OR_RETURN(entry->adapters, store_->OpenAdapters(entry->installed));
  const gguf::File& file = *entry->file;
  gguf::Guard(file);
  if (with_tokenizer) {
    auto tokenizer = tokenizer::Tokenizer::FromGguf(file);
    if (tokenizer) {
      entry->tokenizer = *std::move(tokenizer);
      entry->control_texts = std::make_shared<ControlTexts>(*entry->tokenizer);
      entry->constraints = std::make_shared<ConstraintCache>(entry->tokenizer);
    } else if (tokenizer.error().code != ErrorCode::kUnsupported) {
      return tl::unexpected(std::move(tokenizer).error());
    } else {
      entry->no_tokenizer = tokenizer.error().message;
    }
  }
  PUNA_ASSIGN_OR_RETURN(const auto architecture, file.GetString("general.architecture"));
  const std::string prefix = std::string(architecture.value_or("")) + ".";
  PUNA_ASSIGN_OR_RETURN(const auto context, file.GetInteger(prefix + "context_length"));
  PUNA_ASSIGN_OR_RETURN(const auto width, file.GetInteger(prefix + "embedding_length"));
  PUNA_ASSIGN_OR_RETURN(const auto pooling, file.GetInteger(prefix + "pooling_type"));
  entry->context_length = context.value_or(0);
  entry->embedding_length = width.value_or(0);
  entry->embedding = pooling.value_or(0) > 0;
  entry->ranks = pooling.value_or(0) == kRankPooling;
  PUNA_ASSIGN_OR_RETURN(entry->prompt_template, ChooseTemplate(*entry));
  entry->details = std::make_shared<Json>(ModelDetails(entry->installed, entry->Summary()));
  const Json own = {{"messages", entry->installed.messages}};
  Fields fields(own, entry->installed.name.ShortName());
  PUNA_RETURN_IF_ERROR(ReadMessages(&fields, &entry->messages));
  PUNA_RETURN_IF_ERROR(gguf::CheckReadable(file));
  return entry;
}

ModelSummary ModelCatalog::SummaryOf(const store::InstalledModel& installed) {
  {
    const std::lock_guard lock(mutex_);
    const auto it = summaries_.find(installed.digest);
    if (it != summaries_.end()) return it->second;
  }
  const auto entry = Build(installed, /*with_tokenizer=*/false);
  if (!entry) return SummaryOfConfig(installed.config);
  constexpr size_t kMostSummaries = 10000;  // those of deleted models count too
  const std::lock_guard lock(mutex_);
  if (summaries_.size() >= kMostSummaries) summaries_.clear();
  return summaries_[installed.digest] = (*entry)->Summary();
}

Result<std::shared_ptr<const ModelEntry>> ModelCatalog::Get(std::string_view written) {
  if (written.empty()) return MakeError(ErrorCode::kNotFound, "model '' not found");
  PUNA_ASSIGN_OR_RETURN(const Source source, SourceOf(written));
  const auto name = store::ModelName::Parse(source.name);
  if (!name) return MakeError(ErrorCode::kInvalidArgument, "invalid model name");
  auto installed = store_->Find(*name);
  if (!installed) {
    if (installed.error().code != ErrorCode::kNotFound)
      return tl::unexpected(std::move(installed).error());
    if (source.cloud) {
      return MakeError(ErrorCode::kPermissionDenied,
                       "ollama cloud is disabled: '{}' needs ollama.com, puna works on this "
                       "machine only",
                       written);
    }
    return MakeError(ErrorCode::kNotFound, "model '{}' not found", written);
  }
  const auto same = [&](const auto& entry) {
    return entry->installed.digest == installed->digest &&
           SameName(entry->installed.name, installed->name);
  };
  {
    const std::lock_guard lock(mutex_);
    const auto it = std::find_if(recent_.begin(), recent_.end(), same);
    if (it != recent_.end() && (*it)->IsCurrent()) {
      recent_.splice(recent_.begin(), recent_, it);
      return recent_.front();
    }
  }
  PUNA_ASSIGN_OR_RETURN(auto entry, Build(*std::move(installed), /*with_tokenizer=*/true));
  DropStale();
  const std::lock_guard lock(mutex_);
  recent_.push_front(entry);
  if (recent_.size() > kKeptModels) recent_.pop_back();
  return entry;
}

void ModelCatalog::DropStale() {
  std::list<std::shared_ptr<const ModelEntry>> dropped;  // they die when the mutex is free again
  const std::lock_guard lock(mutex_);
  for (auto it = recent_.begin(); it != recent_.end();) {
    const auto entry = it++;
    if (!(*entry)->IsCurrent()) dropped.splice(dropped.end(), recent_, entry);
  }
}

bool IsRemote(const store::InstalledModel& model) {
  return model.weights.empty() && !model.bundled &&
         !JsonString(model.config, "remote_host").empty();
}

Json ModelDetails(const store::InstalledModel& model, const ModelSummary& summary) {
  Json families = model.config.contains("model_families") ? model.config["model_families"] : Json();
  Json details = {{"parent_model", model.parent_model},
                  {"format", JsonString(model.config, "model_format")},
                  {"family", JsonString(model.config, "model_family")},
                  {"families", std::move(families)},
                  {"parameter_size", JsonString(model.config, "model_type")},
                  {"quantization_level", JsonString(model.config, "file_type")}};
  if (summary.context_length > 0) details["context_length"] = summary.context_length;
  if (summary.embedding_length > 0) details["embedding_length"] = summary.embedding_length;
  return details;
}

}  // namespace puna::api
