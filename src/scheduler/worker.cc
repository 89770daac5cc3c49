// The life of a worker thread: load, serve, leave. It sleeps on its condition variable when nothing
// is to do; the timeout of that sleep is the keep-alive. This is one of the two places where
// exceptions of libraries end: they fail the requests of this model, its engine is discarded, and
// the next request loads it afresh.
#include <malloc.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/exception.h"
#include "base/log.h"
#include "scheduler/scheduler_state.h"

namespace puna::scheduler {
namespace {

// Tells of the exception that is being handled, if there is memory for that, and returns it.
Error Told(std::string_view what) noexcept {
  Error error = CurrentException();
  try {
    LogError("{}: {}", what, error.message);
  } catch (...) {
  }
  return error;
}

std::chrono::nanoseconds WaitedForLoad(const Job& job, Clock::time_point ready_at) {
  return std::max(std::chrono::nanoseconds(0), std::chrono::nanoseconds(ready_at - job.submitted));
}

void Process(Job* job, Clock::time_point ready_at, engine::Engine* engine) {
  const std::chrono::nanoseconds load = WaitedForLoad(*job, ready_at);
  if (auto* generate = std::get_if<GenerateJob>(&job->work)) {
    generate->request.load = load;
    engine->Submit(std::move(generate->request), generate->stream);
  } else if (auto* load_job = std::get_if<LoadJob>(&job->work)) {
    if (const Status ready = engine->PrepareAdapters(load_job->adapters); !ready) {
      load_job->reply->Fail(ready.error());
    } else {
      load_job->reply->Give(load);
    }
  } else {
    auto& embed = std::get<EmbedJob>(job->work);
    embed.request.load = load;
    engine->Submit(std::move(embed.request), embed.reply);
  }
}

// What is expected helps nobody at once, so that it fails harms nobody.
std::vector<engine::TokenId> TokensOf(Expected expected) {
  try {
    return expected.tokens();
  } catch (...) {
    Told("nothing is computed ahead");
    return {};
  }
}

}  // namespace

void FailAll(std::deque<Job>* jobs, const Error& error) noexcept {
  for (; !jobs->empty(); jobs->pop_front()) {
    try {
      jobs->front().Fail(error);
    } catch (...) {
      Told("a callback failed");
    }
  }
}

void Scheduler::State::Work(std::shared_ptr<State> state, std::shared_ptr<Resident> resident) {
  Error error;
  std::unique_ptr<engine::Engine> engine;
  try {
    error = {ErrorCode::kUnavailable, "the server is shutting down"};
    auto loaded = state->PlaceAndLoad(resident.get());
    if (loaded) {
      engine = *std::move(loaded);
      const Status served = state->Serve(resident.get(), engine.get());
      if (!served) {
        error = served.error();
        LogError("{} is unloaded: {}", resident->weights.string(), error.message);
      }
    } else {
      error = loaded.error();
      LogWarning("loading {}: {}", resident->weights.string(), error.message);
    }
  } catch (...) {
    error = Told("the worker of a model failed and is discarded, " + resident->name);
  }
  {
    std::lock_guard lock(state->mutex);
    resident->retiring = true;  // from here on a new request gets a new resident
    resident->evicted = false;
  }
  while (engine != nullptr && !engine->idle()) {  // not after an orderly end
    try {
      engine->FailAll(error);
    } catch (...) {
      Told("a callback failed");
    }
  }
  engine.reset();
  resident->expected.clear();  // nobody adds to what a retiring model expects
  malloc_trim(0);              // so that the memory is really there for the next model
  FailAll(&resident->current, error);
  {
    std::lock_guard lock(state->mutex);
    resident->current.swap(resident->inbox);
  }
  FailAll(&resident->current, error);
  state->Leave(resident);
}

// Returns when the model is to leave memory, or with what the engine failed with; throws what the
// engine throws.
Status Scheduler::State::Serve(Resident* resident, engine::Engine* engine) {
  while (TakeJobs(resident, engine)) {
    const bool new_requests = !resident->current.empty();
    for (; !resident->current.empty(); resident->current.pop_front()) {
      if (std::holds_alternative<LoadJob>(resident->current.front().work)) {
        // As CountWaiting does for the others.
        const std::lock_guard lock(mutex);
        resident->usage.waiting = std::max<int64_t>(0, resident->usage.waiting - 1);
      }
      Process(&resident->current.front(), resident->ready_at, engine);
    }
    if (new_requests) CountWaiting(resident, engine);
    engine->Step();
    PUNA_RETURN_IF_ERROR(engine->failure());
    std::lock_guard lock(mutex);
    resident->pass_began.reset();
  }
  return {};
}

void Scheduler::State::Publish(const engine::Engine& engine, Resident* resident) {
  const backend::MemoryUse memory = engine.memory_use();  // it changes when a device gives up
  // Clients take a model for wholly on devices if its size there is its whole size; so what the
  // tokenizer holds beside it is not told.
  const bool on_devices = memory.on_device.fixed() == memory.fixed();
  resident->fixed_bytes = memory.fixed() + (on_devices ? 0 : resident->tokenizer_bytes);
  resident->page_bytes = memory.kv_page;
  resident->slot_bytes = memory.state_slot;
  resident->on_device = memory.on_device;
  resident->usage = engine.usage();
}

// Who has been let in does not wait any more, and that before anybody can have an answer: a client
// that reads its first token and asks again finds the queue as it is.
void Scheduler::State::CountWaiting(Resident* resident, engine::Engine* engine) {
  engine->Admit();
  const std::lock_guard lock(mutex);
  resident->usage = engine->usage();
}

// Publishes how things are and takes what has arrived; rests while there is nothing. False if the
// worker is to end.
bool Scheduler::State::TakeJobs(Resident* resident, engine::Engine* engine) {
  Lock lock(mutex);
  Publish(*engine, resident);
  if (engine->idle() && resident->inbox.empty()) {
    Rest(&lock, resident, engine);
    if (!engine->failure()) return true;  // Serve finds it
    if (resident->inbox.empty()) {
      // In the same breath: nobody can add a request to somebody who is leaving.
      resident->retiring = true;
      resident->evicted = false;
      return false;
    }
  }
  if (aborting) return false;
  resident->busy = true;
  resident->pass_began = Clock::now();
  // They wait until CountWaiting says otherwise; else the queue would seem empty meanwhile.
  resident->usage.waiting = resident->waiting();
  resident->current.swap(resident->inbox);
  return true;
}

// What there is to do while nobody asks for anything, and sleep. Returns when somebody asks, when
// the model is to leave, or when the engine has failed.
void Scheduler::State::Rest(Lock* lock, Resident* resident, engine::Engine* engine) {
  const Clock::time_point now = Clock::now();
  resident->busy = false;
  resident->last_used = now;
  resident->expires_at = ExpiryAfter(std::chrono::system_clock::now(), resident->keep_alive);
  const Clock::time_point deadline = ExpiryAfter(now, resident->keep_alive);
  const Clock::time_point pause = ExpiryAfter(now, options.release_after);
  for (bool more = true; more && !resident->called() && Clock::now() < deadline;) {
    lock->unlock();  // nobody else touches the engine
    more = engine->Settle();
    lock->lock();
    resident->usage = engine->usage();
  }
  if (!resident->called() && !std::exchange(resident->trimmed, true)) {
    lock->unlock();
    malloc_trim(0);
    lock->lock();
  }
  bool released = pause >= deadline;
  while (!resident->called() && engine->failure() && Clock::now() < deadline) {
    if (!resident->expected.empty()) {
      Prepare(lock, resident, engine);
      released = pause >= deadline;
      continue;
    }
    const auto woken = [&] { return resident->called() || !resident->expected.empty(); };
    const Clock::time_point until = released ? deadline : pause;
    if (until == Clock::time_point::max()) {
      resident->wake.wait(*lock, woken);
    } else if (!resident->wake.wait_until(*lock, until, woken) && !released) {
      released = true;
      lock->unlock();
      engine->ReleaseMemory();
      lock->lock();
      resident->usage = engine->usage();
    }
  }
}

// Computes the latest of what is expected once nobody has asked for anything for a while. When
// somebody does, what is computed is kept, and the rest forgotten.
void Scheduler::State::Prepare(Lock* lock, Resident* resident, engine::Engine* engine) {
  const Clock::time_point quiet = ExpiryAfter(Clock::now(), options.prepare_after);
  if (resident->wake.wait_until(*lock, quiet, [&] { return resident->called(); })) return;
  Expected expected = std::move(resident->expected.back());
  resident->expected.pop_back();
  const bool forgotten = OthersAreBusy(resident);
  lock->unlock();
  if (forgotten) {
    expected = {};  // a whole conversation, for whose end nobody is to wait
    lock->lock();
    return;
  }
  const auto stream = std::make_shared<engine::TokenStream>();
  engine::GenerateRequest request;
  request.adapters = expected.adapters;
  request.prompt = TokensOf(std::move(expected));
  request.max_tokens = 0;
  request.background = true;
  if (!request.prompt.empty()) engine->Submit(std::move(request), stream);
  while (!engine->idle() && engine->failure()) {
    lock->lock();
    if (resident->called() || OthersAreBusy(resident)) stream->Cancel();
    resident->pass_began = Clock::now();
    lock->unlock();
    engine->Step();
    lock->lock();
    resident->pass_began.reset();
    if (engine->failure()) Publish(*engine, resident);
    resident->usage.running = resident->usage.waiting = 0;  // it is nobody's request
    lock->unlock();
  }
  lock->lock();
}

bool Scheduler::State::OthersAreBusy(const Resident* resident) const {
  return std::any_of(residents.begin(), residents.end(), [&](const auto& other) {
    return other.get() != resident && (other->busy || !other->loaded || !other->inbox.empty());
  });
}

void Scheduler::State::Leave(const std::shared_ptr<Resident>& resident) {
  std::lock_guard lock(mutex);
  finished.splice(finished.end(), resident->thread);
  std::erase(residents, resident);
  ++arrivals_and_departures;
  changed.notify_all();
}

}  // namespace puna::scheduler
