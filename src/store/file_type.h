// The file types of GGUF (general.file_type): a name such as "Q4_K_M" and what it means for each
// tensor. A type has a main tensor type and exceptions for tensors that suffer more from few bits;
// they are those of llama.cpp's quantizer (src/llama-quant.cpp), so that a name means the same
// everywhere. Thread safe, no state.
#ifndef PUNA_STORE_FILE_TYPE_H_
#define PUNA_STORE_FILE_TYPE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/gguf.h"
#include "quant/quant.h"

namespace puna::store {

// In which layers, or under which condition, a tensor gets another type than the main one.
enum class When {
  kNever,
  kAlways,
  kFirstTwo,
  kFirstFour,
  kFirst16th,
  kFirst8th,
  kFirst8thPlain,     // and no importance matrix is given
  kFirst8thWeighted,  // and one is given
  kMoreBits,          // the first and the last eighth, and every third layer between
  kWideGroups,        // at least four query heads share a value head
};

struct TypeRule {
  When when = When::kNever;
  quant::TensorType type = quant::TensorType::kF32;
};
// The first one that applies; none: the main type.
using TypeRules = std::array<TypeRule, 2>;

struct FileType {
  std::string_view name;
  std::optional<uint32_t> number;         // general.file_type
  std::optional<quant::TensorType> main;  // nothing where puna has no encoder
  bool uniform = false;                   // every matrix has the main type
  TypeRules value = {}, down = {}, attention_output = {};
  std::optional<quant::TensorType> eight_experts_output = std::nullopt;
};

// All published ones, in the order of their numbers; those without `main` can only be read.
std::span<const FileType> AllFileTypes();
// By name or alias ("Q4_K" is Q4_K_M), in any case; null if unknown.
const FileType* FindFileType(std::string_view name);
const FileType* FindFileType(int64_t number);
// One tensor type for every matrix.
FileType UniformFileType(quant::TensorType type);
// "F32, F16, ...": what can be written.
std::string WritableFileTypes();

// What the rules ask of a model.
struct ModelShape {
  std::string architecture;
  int64_t layers = 0, experts = 0, heads = 0, kv_heads = 0;
  bool weighted = false;  // an importance matrix is given
};
// From the metadata; what is absent is 0.
ModelShape ShapeOf(const gguf::File& file);

struct TensorShape {
  std::string_view name;  // as in GGUF
  std::vector<int64_t> dims;
  quant::TensorType type = quant::TensorType::kF32;  // of the source
};

// False for vectors, norms, routers and other small or sensitive tensors, whose type no file type
// changes.
bool MayChangeType(const TensorShape& tensor);

// The type for each tensor, in the given order. Rows that the blocks of a type do not fill get one
// of smaller blocks, in the end F16. REQUIRES: type.main.
std::vector<quant::TensorType> ChooseTypes(const FileType& type, const ModelShape& shape,
                                           std::span<const TensorShape> tensors);

}  // namespace puna::store

#endif  // PUNA_STORE_FILE_TYPE_H_
