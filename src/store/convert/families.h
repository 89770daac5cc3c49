// What each family of models is called in Hugging Face's files and in GGUF: data for the converter.
// To add a family, add a row; a transform that does not exist yet goes to gather.h.
#ifndef PUNA_STORE_CONVERT_FAMILIES_H_
#define PUNA_STORE_CONVERT_FAMILIES_H_

#include <span>
#include <string_view>

namespace puna::store {

// How a GGUF tensor comes from a stored one.
enum class Transform {
  kNone,
  kQueryPairs,  // rows of each head from halves (i, i + n/2) to neighbours (2i, 2i + 1)
  kKeyPairs,    // the same with as many heads as there are keys
  kAddOne,      // norms that are stored as the difference to 1
  kFirstHalf,   // of the rows
  kSecondHalf,
  kEvenRows,  // 0, 2, 4, ...; stored as columns where `columns` below says so
  kOddRows,
  kPositions,      // without the rows of positions that stand for padding (RoBERTa)
  kVector,         // a matrix of one row
  kExpertRows,     // experts that are stored one below the other in one matrix
  kExpertColumns,  // the same, for products from the left: stored columns are rows
};

// Names without ".weight" and ".bias", both of which are looked for. "{}" is the layer, "{e}" the
// expert: then the experts' tensors are stacked.
struct TensorRule {
  std::string_view gguf, stored;
  Transform transform = Transform::kNone;
};

enum class KeyKind { kInteger, kNumber };

// The first name that config.json has counts.
struct KeyRule {
  std::string_view gguf;  // without the architecture
  std::string_view names[4];
  KeyKind kind = KeyKind::kInteger;
};

// What a number of config.json is where it is absent.
struct ConfigDefault {
  std::string_view name;
  double value;
};

enum class RopeUse { kNone, kYes };

struct Family {
  std::string_view names[6];             // of `architectures` in config.json
  std::string_view architecture;         // general.architecture
  std::span<const TensorRule> rules[6];  // families share groups of them
  std::span<const KeyRule> keys;
  std::span<const ConfigDefault> defaults = {};
  RopeUse rope = RopeUse::kYes;
  bool encoder = false;  // sees both ways, gives one vector
  // Where config.json has a positive number under this name, the family is that of the other name.
  std::string_view mixture_key = {}, mixture_name = {};
};

// Null if the family is unknown.
const Family* FindFamily(std::string_view architecture);
std::span<const Family> AllFamilies();
// For messages: "LlamaForCausalLM, ...".
std::string_view NamesOfFamilies();
// What every family may have.
std::span<const KeyRule> CommonKeys();
// True for stored tensors that no converted model needs: buffers, heads for training, other senses,
// scales of what is no weight.
bool IsIgnored(std::string_view stored);

}  // namespace puna::store

#endif  // PUNA_STORE_CONVERT_FAMILIES_H_
