// Checked access to the hyper-parameters of a GGUF file, for the specs in model/arch.
//
// The first problem sticks: from then on every call returns its fallback, so a spec reads straight
// down and whoever called it asks status() once. Keys are given without the "<architecture>." in
// front unless they hold a full path ("tokenizer.", "general.", "xielu.").
#ifndef PUNA_MODEL_METADATA_READER_H_
#define PUNA_MODEL_METADATA_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"

namespace puna::model {

struct IntegerRange {
  int64_t min = 0;
  int64_t max = 0;
};
// Larger than anything that exists, small enough that products of two or three of them fit int64.
inline constexpr IntegerRange kLayerRange = {1, 4096};
inline constexpr IntegerRange kWidthRange = {1, int64_t{1} << 20};     // embedding_length
inline constexpr IntegerRange kHiddenRange = {1, int64_t{1} << 24};    // feed_forward_length
inline constexpr IntegerRange kHeadRange = {1, int64_t{1} << 14};      // heads
inline constexpr IntegerRange kHeadSizeRange = {1, int64_t{1} << 14};  // values per head
inline constexpr IntegerRange kExpertRange = {0, int64_t{1} << 14};
inline constexpr IntegerRange kConvolutionRange = {2, 1024};  // tokens that a convolution sees
inline constexpr IntegerRange kContextRange = {1, int64_t{1} << 31};  // tokens
inline constexpr IntegerRange kVocabularyRange = {1, int64_t{1} << 26};

class MetadataReader {
 public:
  // The file outlives the reader.
  MetadataReader(const gguf::File& file, std::string_view architecture);

  const gguf::File& file() const { return file_; }
  const std::string& architecture() const { return architecture_; }
  const Status& status() const { return status_; }
  bool ok() const { return status_.has_value(); }
  // Records an error unless there is one already.
  void Fail(Error error);

  bool Has(std::string_view key) const;
  // Required. kCorrupt naming the key if absent, of another type or out of range; then range.min.
  int64_t Integer(std::string_view key, IntegerRange range);
  // Absent: `fallback`, which need not be in the range.
  int64_t Integer(std::string_view key, IntegerRange range, int64_t fallback);
  // Finite numbers in [min, max].
  double Number(std::string_view key, double min, double max);
  double Number(std::string_view key, double min, double max, double fallback);
  // What something is multiplied by; 1 where it is absent, or 0, as llama.cpp saves what is absent.
  double Factor(std::string_view key);
  bool Bool(std::string_view key, bool fallback);
  std::string String(std::string_view key, std::string_view fallback);
  // One value per layer: an array of at least `layers` integers, or one for all. Always returns
  // `layers` values.
  std::vector<int64_t> PerLayer(std::string_view key, IntegerRange range, int64_t layers);
  std::vector<int64_t> PerLayer(std::string_view key, IntegerRange range, int64_t layers,
                                int64_t fallback);
  // The same of finite numbers in [min, max].
  std::vector<double> NumberPerLayer(std::string_view key, double min, double max, int64_t layers,
                                     double fallback);
  // The array at `key`, booleans and integers alike; empty if the key is absent or holds a single
  // value.
  std::vector<int64_t> Array(std::string_view key, IntegerRange range, int64_t at_most);

 private:
  std::string FullKey(std::string_view key) const;
  template <typename T>
  std::optional<T> Take(Result<std::optional<T>> value);
  std::optional<int64_t> FindInteger(std::string_view key, IntegerRange range);
  std::optional<double> FindNumber(std::string_view key, double min, double max);
  void FailMissing(std::string_view key);
  bool IsArray(std::string_view key) const;

  const gguf::File& file_;
  std::string architecture_;
  Status status_;
};

}  // namespace puna::model

#endif  // PUNA_MODEL_METADATA_READER_H_
