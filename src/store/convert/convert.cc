#include "store/convert/convert.h"

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

// Sentence Transformers say in a module of their own how tokens become one vector.
Status SetPooling(const Checkpoint& checkpoint, const Family& family,
                  gguf::StreamWriter* metadata) {
  constexpr std::pair<const char*, uint32_t> kModes[] = {{"pooling_mode_mean_tokens", 1},
                                                         {"pooling_mode_cls_token", 2},
                                                         {"pooling_mode_lasttoken", 3}};
  constexpr uint32_t kMean = 1;
  PUNA_ASSIGN_OR_RETURN(const Json pooling, checkpoint.ReadJsonFile("1_Pooling/config.json"));
  if (!family.encoder && !pooling.is_object()) return {};
  uint32_t kind = kMean;
  for (const auto& [name, number] : kModes) {
    if (pooling.is_object() && pooling.contains(name) && pooling[name] == true) kind = number;
  }
  metadata->Set(fmt::format("{}.pooling_type", family.architecture), kind);
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
  PUNA_RETURN_IF_ERROR(SetTokenizer(*checkpoint, rows, &conversion.metadata));
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
