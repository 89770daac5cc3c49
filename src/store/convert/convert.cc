#include "store/convert/convert.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <map>

#include "store/convert/families.h"
#include "store/convert/gather.h"
#include "store/convert/hf_config.h"
#include "store/convert/hf_tokenizer.h"

namespace puna::store {
namespace {

using quant::TensorType;

Result<const Family*> FamilyOf(const Checkpoint& checkpoint) {
  const Json& config = checkpoint.whole_config();
  const auto list = config.find("architectures");
  const bool named =
      list != config.end() && list->is_array() && !list->empty() && (*list)[0].is_string();
  if (!named)
    return MakeError(ErrorCode::kInvalidArgument, "config.json has no list 'architectures'");
  const auto name = (*list)[0].get<std::string>();
  const Family* family = FindFamily(name);
  if (family == nullptr) {
    return MakeError(ErrorCode::kUnsupported, "unsupported architecture \"{}\"; supported are {}",
                     name.substr(0, 100), NamesOfFamilies());
  }
  if (!family->mixture_key.empty()) {
    PUNA_ASSIGN_OR_RETURN(
        const int64_t step,
        ConfigInteger(config, family->mixture_key, 0, std::numeric_limits<int32_t>::max(), 0));
    if (step > 0) family = FindFamily(family->mixture_name);
  }
  return family;
}

// How Sentence Transformers make one vector of many: up to version 5.3 by a flag for each way, then
// by a name. Nothing where the module does not say.
std::vector<std::string> PoolingModes(const Json& pooling) {
  constexpr std::string_view kFlag = "pooling_mode_", kTokens = "_tokens", kToken = "_token";
  std::vector<std::string> modes;
  for (const auto& [name, value] : pooling.items()) {
    std::string mode;
    if (name == "pooling_mode") {
      mode = value.is_string() ? value.get<std::string>() : DumpJson(value);
    } else if (name.starts_with(kFlag) && value == true) {
      mode = name.substr(kFlag.size());
      for (const std::string_view ending : {kTokens, kToken}) {
        if (mode.ends_with(ending)) mode.erase(mode.size() - ending.size());
      }
    }
    const bool known = std::find(modes.begin(), modes.end(), mode) != modes.end();
    if (!mode.empty() && !known) modes.push_back(std::move(mode));
  }
  return modes;
}

Status SetPooling(const Checkpoint& checkpoint, const Family& family,
                  gguf::StreamWriter* metadata) {
  constexpr std::pair<std::string_view, uint32_t> kModes[] = {
      {"mean", 1}, {"cls", 2}, {"lasttoken", 3}};
  PUNA_ASSIGN_OR_RETURN(const Json pooling, checkpoint.ReadJsonFile("1_Pooling/config.json"));
  if (!family.encoder && !pooling.is_object()) return {};
  std::vector<std::string> modes;
  if (pooling.is_object()) modes = PoolingModes(pooling);
  if (modes.empty()) modes = {"mean"};
  const auto* known = std::find_if(std::begin(kModes), std::end(kModes),
                                   [&](const auto& mode) { return mode.first == modes[0]; });
  if (modes.size() > 1 || known == std::end(kModes)) {
    return MakeError(ErrorCode::kUnsupported,
                     "1_Pooling/config.json: pooling by {} is not supported; supported are one of "
                     "mean, cls and lasttoken",
                     fmt::format("{}", fmt::join(modes, " and ")).substr(0, 200));
  }
  metadata->Set(fmt::format("{}.pooling_type", family.architecture), known->second);
  return {};
}

// The type that most of the weights have.
const FileType* StoredType(const Checkpoint& checkpoint, std::span<const TensorSource> tensors) {
  std::map<TensorType, int64_t> values;
  bool eight_bits = false;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    eight_bits |=
        tensor.stored->type == ElementType::kF8E4M3 || tensor.stored->type == ElementType::kF8E5M2;
  }
  if (eight_bits) return FindFileType("Q8_0");
  for (const TensorSource& tensor : tensors)
    values[tensor.type] += tensor.rows() * tensor.columns();
  const auto most =
      std::max_element(values.begin(), values.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  const TensorType type = most == values.end() ? TensorType::kF32 : most->first;
  return FindFileType(quant::TraitsOf(type).name);
}

int64_t EmbeddingRows(std::span<const TensorSource> tensors) {
  const auto it = std::find_if(tensors.begin(), tensors.end(), [](const TensorSource& tensor) {
    return tensor.name == "token_embd.weight";
  });
  return it == tensors.end() ? 0 : it->rows();
}

}  // namespace

Result<Conversion> PlanConversion(const ModelFiles& files) {
  PUNA_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::Open(files));
  PUNA_ASSIGN_OR_RETURN(const Family* family, FamilyOf(*checkpoint));
  Conversion conversion;
  PUNA_ASSIGN_OR_RETURN(
      const GatherShape shape,
      SetNetwork(*checkpoint, *family, &conversion.metadata, &conversion.tensors));
  std::vector<TensorRule> rules;
  for (const auto group : family->rules) rules.insert(rules.end(), group.begin(), group.end());
  PUNA_ASSIGN_OR_RETURN(std::vector<TensorSource> gathered,
                        GatherTensors(checkpoint, rules, shape));
  conversion.stored_type = StoredType(*checkpoint, gathered);
  conversion.tensors.insert(conversion.tensors.end(), std::make_move_iterator(gathered.begin()),
                            std::make_move_iterator(gathered.end()));
  const int64_t rows = EmbeddingRows(conversion.tensors);
  if (rows == 0) return MakeError(ErrorCode::kInvalidArgument, "the model has no token embeddings");
  PUNA_RETURN_IF_ERROR(SetPooling(*checkpoint, *family, &conversion.metadata));
  PUNA_RETURN_IF_ERROR(SetTokenizer(*checkpoint, rows, &conversion.metadata, &conversion.warnings));
  conversion.shape = {.architecture = std::string(family->architecture),
                      .layers = shape.layers,
                      .experts = shape.experts,
                      .heads = shape.heads,
                      .kv_heads = shape.kv_heads};
  return conversion;
}

Status WriteConversion(Conversion conversion, const FileType* type, const QuantizeOptions& options,
                       const WriteProgress& progress, AtomicFile* out) {
  const FileType& wanted = type == nullptr ? *conversion.stored_type : *type;
  std::vector<TensorShape> shapes;
  for (const TensorSource& tensor : conversion.tensors)
    shapes.push_back({tensor.name, tensor.dims, tensor.type});
  // Experts that are stored in four bits stay as they are, whatever is beside them.
  const bool as_stored = type == nullptr && wanted.main == TensorType::kMXFP4;
  std::vector<TensorType> types(shapes.size());
  for (size_t i = 0; i < shapes.size(); ++i) types[i] = shapes[i].type;
  conversion.shape.weighted = options.imatrix != nullptr;
  if (!as_stored) types = ChooseTypes(wanted, conversion.shape, shapes);
  conversion.metadata.Set("general.quantization_version", uint32_t{2});
  conversion.metadata.Set("general.file_type", *wanted.number);
  return WriteWithTypes(&conversion.metadata, conversion.tensors, types, options, progress, out);
}

}  // namespace puna::store
