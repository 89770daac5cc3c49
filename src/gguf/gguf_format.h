// What the reader and the writer must agree on: the numbers of the GGUF format.
#ifndef PUNA_GGUF_GGUF_FORMAT_H_
#define PUNA_GGUF_GGUF_FORMAT_H_

#include <cstdint>
#include <string_view>

namespace puna::gguf {

inline constexpr std::string_view kMagic = "GGUF";
inline constexpr uint32_t kOldestVersion = 2;
inline constexpr uint32_t kNewestVersion = 3;
inline constexpr uint64_t kDefaultAlignmentBytes = 32;
inline constexpr uint64_t kMaxAlignmentBytes = uint64_t{1} << 20;
inline constexpr uint32_t kMaxDims = 4;
// Limits of puna, far above what models need, so that a large hostile file cannot claim much
// memory.
inline constexpr uint64_t kMaxKeys = uint64_t{1} << 20;
inline constexpr uint64_t kMaxTensors = uint64_t{1} << 20;
inline constexpr uint64_t kMaxArrayStrings = uint64_t{1} << 24;
// llama.cpp refuses names of 64 bytes and more.
inline constexpr size_t kMaxWrittenTensorNameBytes = 63;
inline constexpr std::string_view kAlignmentKey = "general.alignment";
inline constexpr std::string_view kSplitIndexKey = "split.no";
inline constexpr std::string_view kSplitCountKey = "split.count";
inline constexpr std::string_view kSplitTensorsKey = "split.tensors.count";

// The types of metadata values; the numbers are the format's.
enum class ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};
inline constexpr uint32_t kValueTypes = 13;

struct ValueTypeTraits {
  std::string_view name;
  int bytes;  // 0 for strings and arrays
};
inline constexpr ValueTypeTraits kValueTypeTraits[kValueTypes] = {
    {"uint8", 1},  {"int8", 1},    {"uint16", 2},  {"int16", 2},  {"uint32", 4},
    {"int32", 4},  {"float32", 4}, {"bool", 1},    {"string", 0}, {"array", 0},
    {"uint64", 8}, {"int64", 8},   {"float64", 8},
};

}  // namespace puna::gguf

#endif  // PUNA_GGUF_GGUF_FORMAT_H_
