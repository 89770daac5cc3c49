// config.json to the metadata of GGUF.
#ifndef PUNA_STORE_CONVERT_HF_CONFIG_H_
#define PUNA_STORE_CONVERT_HF_CONFIG_H_

#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "gguf/gguf_stream.h"
#include "store/convert/checkpoint.h"
#include "store/convert/families.h"
#include "store/convert/gather.h"
#include "store/convert/model_writer.h"

namespace puna::store {

// Sets the keys of the network and adds the tensors that are computed from the config (factors of
// stretched ropes). Gives what the conversion of the other tensors asks.
Result<GatherShape> SetNetwork(const Checkpoint& checkpoint, const Family& family,
                               gguf::StreamWriter* metadata, std::vector<TensorSource>* tensors);

// A number of the config in [low, high]; `absent` where there is none or null.
Result<int64_t> ConfigInteger(const Json& config, std::string_view name, int64_t low, int64_t high,
                              int64_t absent);

}  // namespace puna::store

#endif  // PUNA_STORE_CONVERT_HF_CONFIG_H_
