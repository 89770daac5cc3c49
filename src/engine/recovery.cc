// What becomes of an engine whose program has failed. Where the model's file can no longer be read
// that is its end. Devices run out of memory as pages are written, or they are lost. Tokens and
// samplers are the engine's own, so a sequence can be computed again from its tokens, as after a
// preemption; nothing is sent twice.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/engine.h"
#include "engine/engine_state.h"

namespace puna::engine {
namespace {

Counter recoveries("puna_device_recoveries_total",
                   "Models that were loaded again because a device failed or was full");

}  // namespace

void Engine::State::StartAgain(std::unique_ptr<Sequence> sequence) {
  sequence->Admit(model::PageTable(&pool));
  waiting.push_front(std::move(sequence));
}

// Too little memory: the program is compiled again with a quarter less of it on devices, which
// leaves them in the order that it does when a model is loaded, and everybody goes on. A lost
// device: who was in the pass fails, and the others go on with what the backend can open; without
// devices, if it has not done a single pass. False if there is no program any more.
bool Engine::State::Recover() {
  const backend::MemoryUse::OnDevice taken = parts.program->memory_use().on_device;
  if (!parts.recompile || taken.layers == 0 || !CheckFile()) return false;
  const Error error = failure.error();
  const bool full = error.code == ErrorCode::kResourceExhausted;
  LogWarning("{} of the layers were on a device: {}", taken.layers, error.message);
  for (; !running.empty(); running.pop_back()) {
    if (full) {
      running.back()->DropDraft();
      StartAgain(std::move(running.back()));
    } else {
      running.back()->Fail(error);
    }
  }
  prefixes.ShrinkTo(0);
  CHECK(prefixes.pages() == 0) << "somebody holds pages of a program that is gone";
  disk.reset();
  parts.unsettled = nullptr;
  parts.program.reset();
  // Activations stay as large for fewer layers.
  const int64_t bytes = taken.weights +
                        taken.kv_page * (parts.options.kv_tokens / backend::kPageTokens) +
                        taken.state_slot * parts.options.state_slots;
  auto program = full     ? parts.recompile(taken.activations + bytes - bytes / 4)
                 : proved ? parts.recompile(std::nullopt)
                          : parts.recompile(0);
  if (!program) {
    failure = tl::unexpected<Error>(std::move(program).error());
    return false;
  }
  parts.program = *std::move(program);
  if (parts.program->Settle(0)) parts.unsettled = parts.file;
  OpenFolder();
  cost = CostModel();
  most_pages = pages_touched = slots_touched = 0;
  proved = false;
  failure = {};
  recoveries.Add();
  LogInfo("going on with {}", parts.program->Describe());
  return true;
}

}  // namespace puna::engine
