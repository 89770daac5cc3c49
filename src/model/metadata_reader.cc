#include "model/metadata_reader.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/ollama_names.h"

namespace puna::model {

MetadataReader::MetadataReader(const gguf::File& file, std::string_view architecture)
    : file_(file), architecture_(architecture) {}

void MetadataReader::Fail(Error error) {
  if (ok()) status_ = tl::unexpected<Error>(std::move(error));
}

std::string MetadataReader::FullKey(std::string_view key) const {
  const bool global =
      key.starts_with("tokenizer.") || key.starts_with("general.") || key.starts_with("xielu.");
  return global ? std::string(key) : KeyInFile(file_, architecture_, key);
}

bool MetadataReader::Has(std::string_view key) const { return file_.Find(FullKey(key)) != nullptr; }

bool MetadataReader::IsArray(std::string_view key) const {
  const gguf::Value* value = file_.Find(FullKey(key));
  return value != nullptr && std::holds_alternative<std::shared_ptr<const gguf::Array>>(*value);
}

void MetadataReader::FailMissing(std::string_view key) {
  Fail({ErrorCode::kCorrupt, fmt::format("metadata key {} is missing", FullKey(key))});
}

template <typename T>
std::optional<T> MetadataReader::Take(Result<std::optional<T>> value) {
  if (value) return *std::move(value);
  Fail(std::move(value).error());
  return std::nullopt;
}

std::optional<int64_t> MetadataReader::FindInteger(std::string_view key, IntegerRange range) {
  const std::optional<int64_t> value = Take(file_.GetInteger(FullKey(key)));
  if (value && (*value < range.min || *value > range.max)) {
    Fail({ErrorCode::kCorrupt, fmt::format("metadata key {} is {}, expected {} to {}", FullKey(key),
                                           *value, range.min, range.max)});
    return std::nullopt;
  }
  return value;
}

int64_t MetadataReader::Integer(std::string_view key, IntegerRange range) {
  const std::optional<int64_t> value = FindInteger(key, range);
  if (!value) FailMissing(key);
  return value.value_or(range.min);
}

int64_t MetadataReader::Integer(std::string_view key, IntegerRange range, int64_t fallback) {
  return FindInteger(key, range).value_or(fallback);
}

std::optional<double> MetadataReader::FindNumber(std::string_view key, double min, double max) {
  const std::optional<double> value = Take(file_.GetNumber(FullKey(key)));
  if (value && !(*value >= min && *value <= max)) {
    Fail({ErrorCode::kCorrupt,
          fmt::format("metadata key {} is {}, expected {} to {}", FullKey(key), *value, min, max)});
    return std::nullopt;
  }
  return value;
}

double MetadataReader::Number(std::string_view key, double min, double max) {
  const std::optional<double> value = FindNumber(key, min, max);
  if (!value) FailMissing(key);
  return value.value_or(min);
}

double MetadataReader::Number(std::string_view key, double min, double max, double fallback) {
  return FindNumber(key, min, max).value_or(fallback);
}

double MetadataReader::Factor(std::string_view key) {
  const double factor = Number(key, 0, 1e9, 1);
  return factor == 0 ? 1 : factor;
}

bool MetadataReader::Bool(std::string_view key, bool fallback) {
  return Take(file_.GetBool(FullKey(key))).value_or(fallback);
}

std::string MetadataReader::String(std::string_view key, std::string_view fallback) {
  return std::string(Take(file_.GetString(FullKey(key))).value_or(fallback));
}

std::vector<int64_t> MetadataReader::Array(std::string_view key, IntegerRange range,
                                           int64_t at_most) {
  if (!IsArray(key)) return {};
  const Result<const gguf::Array*> array = file_.GetArray(FullKey(key));
  if (!array) {
    Fail(array.error());
    return {};
  }
  const gguf::Array& values = **array;
  if (values.kind() == gguf::Array::Kind::kString || values.kind() == gguf::Array::Kind::kFloat) {
    Fail({ErrorCode::kCorrupt,
          fmt::format("metadata key {} is no array of integers", FullKey(key))});
    return {};
  }
  std::vector<int64_t> out;
  for (int64_t i = 0; i < std::min(values.size(), at_most); ++i) {
    const int64_t value = values.integer_at(i);
    if (value < range.min || value > range.max) {
      Fail({ErrorCode::kCorrupt, fmt::format("metadata key {}[{}] is {}, expected {} to {}",
                                             FullKey(key), i, value, range.min, range.max)});
      return {};
    }
    out.push_back(value);
  }
  return out;
}

std::vector<int64_t> MetadataReader::PerLayer(std::string_view key, IntegerRange range,
                                              int64_t layers) {
  if (!IsArray(key)) return std::vector<int64_t>(static_cast<size_t>(layers), Integer(key, range));
  std::vector<int64_t> values = Array(key, range, layers);
  if (ok() && static_cast<int64_t>(values.size()) < layers) {
    Fail({ErrorCode::kCorrupt,
          fmt::format("metadata key {} has {} values, expected one for each of {} layers",
                      FullKey(key), values.size(), layers)});
  }
  values.resize(static_cast<size_t>(layers), range.min);
  return values;
}

std::vector<double> MetadataReader::NumberPerLayer(std::string_view key, double min, double max,
                                                   int64_t layers, double fallback) {
  std::vector<double> out(static_cast<size_t>(layers), fallback);
  if (!IsArray(key)) {
    out.assign(out.size(), Number(key, min, max, fallback));
    return out;
  }
  const Result<const gguf::Array*> array = file_.GetArray(FullKey(key));
  if (!array) {
    Fail(array.error());
    return out;
  }
  if ((*array)->kind() == gguf::Array::Kind::kString || (*array)->size() < layers) {
    Fail({ErrorCode::kCorrupt, fmt::format("metadata key {} is no array of {} numbers, one for "
                                           "each layer",
                                           FullKey(key), layers)});
    return out;
  }
  for (int64_t i = 0; i < layers; ++i) {
    const double value = (*array)->number_at(i);
    if (!(value >= min && value <= max)) {
      Fail({ErrorCode::kCorrupt, fmt::format("metadata key {}[{}] is {}, expected {} to {}",
                                             FullKey(key), i, value, min, max)});
      return out;
    }
    out[static_cast<size_t>(i)] = value;
  }
  return out;
}

std::vector<int64_t> MetadataReader::PerLayer(std::string_view key, IntegerRange range,
                                              int64_t layers, int64_t fallback) {
  if (!Has(key)) return std::vector<int64_t>(static_cast<size_t>(layers), fallback);
  return PerLayer(key, range, layers);
}

}  // namespace puna::model
