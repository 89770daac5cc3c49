// The part of `puna bench` that measures what guessed tokens bring.
#ifndef PUNA_CLI_BENCH_REPLAY_H_
#define PUNA_CLI_BENCH_REPLAY_H_

#include <cstdint>
#include <memory>
#include <string>

#include "backend/backend.h"
#include "base/result.h"
#include "gguf/gguf.h"

namespace puna::cli {

struct ReplayOptions {
  std::string prompt, output;  // files of token ids
  int64_t repetitions = 5;
  backend::KvType kv_type = backend::KvType::kF16;
  bool json = false;
};

Status RunReplay(const ReplayOptions& options, std::shared_ptr<const gguf::File> file,
                 backend::Backend* backend);

}  // namespace puna::cli

#endif  // PUNA_CLI_BENCH_REPLAY_H_
