// The inside of the Scheduler: what the front door (scheduler.cc), the worker threads (worker.cc)
// and the placement of models in memory (placement.cc) share.
//
// One mutex guards everything here except what a comment says only the worker touches. It is held
// for moments only: never while a model's file is read, a step runs, a callback is called or a
// conversation is freed. What is read under it is the little that the system tells about memory.
#ifndef PUNA_SCHEDULER_SCHEDULER_STATE_H_
#define PUNA_SCHEDULER_SCHEDULER_STATE_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/duration.h"
#include "engine/engine.h"
#include "scheduler/scheduler.h"

namespace puna::scheduler {

using Clock = std::chrono::steady_clock;

// `now` + `keep_alive`; time_point::max() for kForever and everything that would overflow.
template <typename TimePoint>
TimePoint ExpiryAfter(TimePoint now, std::chrono::nanoseconds keep_alive) {
  const bool forever =
      keep_alive < std::chrono::nanoseconds(0) || keep_alive >= TimePoint::max() - now;
  return forever ? TimePoint::max()
                 : now + std::chrono::duration_cast<typename TimePoint::duration>(keep_alive);
}

struct GenerateJob {
  engine::GenerateRequest request;
  std::shared_ptr<engine::TokenStream> stream;
};
struct LoadJob {
  std::vector<engine::AdapterReference> adapters;
  Clock::time_point deadline = Clock::time_point::max();
  std::shared_ptr<engine::Reply<std::chrono::nanoseconds>> reply;
};
struct EmbedJob {
  engine::EmbedRequest request;
  std::shared_ptr<engine::Reply<engine::Embeddings>> reply;
};

struct Job {
  Clock::time_point submitted;
  std::variant<GenerateJob, LoadJob, EmbedJob> work;

  // Without effect if it has ended already.
  void Fail(const Error& error);
  // False if whoever asked has gone away, or its time is over.
  bool wanted() const;
  bool late() const;
  // Whether it is counted among those that wait.
  bool counts() const;
};

// Fails all of them and takes them out. What a callback throws is told in the log.
void FailAll(std::deque<Job>* jobs, const Error& error) noexcept;

// What Scheduler::Expect was told.
struct Expected {
  std::vector<engine::AdapterReference> adapters;
  std::function<std::vector<engine::TokenId>()> tokens;
};

// One model in memory, or on its way there or out, with its worker thread.
struct Resident {
  std::string name;
  std::string digest;
  std::shared_ptr<const Json> details;
  std::filesystem::path weights;
  std::shared_ptr<const gguf::File> file;                 // null: opened from `weights`
  std::weak_ptr<const gguf::File> loaded_from;            // `file` as it was given
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;  // of the file; null: read from there
  bool embeddings = false;
  backend::DeviceShare share;  // as it was asked for
  std::chrono::nanoseconds keep_alive{};
  std::optional<std::chrono::nanoseconds> asked_keep_alive;  // the latest of a request

  std::condition_variable wake;  // for its worker, with State::mutex
  std::deque<Job> inbox;
  std::deque<Expected> expected;  // the latest last
  bool placed = false;            // it has a place in memory, which it may not have filled yet
  bool loaded = false;            // the engine is there, and its memory taken
  bool retiring = false;          // takes no new requests; leaves when it is idle
  bool evicted = false;           // retiring only to make room, and so may stay if nobody needs it
  bool busy = false;  // the engine has requests, or the inbox was taken and is being worked on
  Clock::time_point last_used;
  std::chrono::system_clock::time_point expires_at;  // while idle

  // Published by the worker.
  int64_t fixed_bytes = 0;  // weights, activations and tokenizer; before loading as predicted
  int64_t tokenizer_bytes = 0;
  bool weights_in_file = false;
  int64_t packed_bytes = 0;          // while loading: of the weights
  int64_t planned_pool_bytes = 0;    // while loading: of the key/value cache
  int64_t planned_device_bytes = 0;  // while loading: of all that, in the memory of devices
  int64_t page_bytes = 0, slot_bytes = 0;
  backend::MemoryUse::OnDevice on_device;  // how much of all that is on devices
  engine::EngineUsage usage;
  int64_t context_length = 0;
  std::optional<Clock::time_point> pass_began;  // while one is under way

  std::list<std::thread> thread;  // its one, as it moves to State::finished without more memory
  std::deque<Job>
      current;  // only the worker: what it took from the inbox and has not handed on yet
  Clock::time_point ready_at;  // only the worker
  bool trimmed = false;        // only the worker: what loading left on the heap is given back

  // Its worker is to stop resting.
  bool called() const { return !inbox.empty() || retiring; }
  int64_t waiting() const {
    return std::count_if(inbox.begin(), inbox.end(),
                         [](const Job& job) { return job.counts() && job.wanted(); }) +
           usage.waiting;
  }
  int64_t size_bytes() const {
    return fixed_bytes - usage.untouched_bytes + usage.adapter_bytes +
           page_bytes * usage.pages_touched + slot_bytes * usage.state_slots_touched;
  }
  // How much of size_bytes() is in the memory of devices.
  int64_t device_bytes() const {
    return on_device.fixed() + on_device.kv_page * usage.pages_touched +
           on_device.state_slot * usage.state_slots_touched;
  }
  // What it may still take memory for: pages and slots, weights that are not there yet, and
  // activations of wider passes.
  int64_t reserved_bytes() const {
    if (loaded) {
      return page_bytes * (usage.pages - usage.pages_touched) +
             slot_bytes * (usage.state_slots - usage.state_slots_touched) + usage.unsettled_bytes +
             usage.untouched_bytes;
    }
    return placed ? std::max<int64_t>(0, fixed_bytes - packed_bytes) + planned_pool_bytes : 0;
  }
  // How much of reserved_bytes() is for the memory of devices.
  int64_t reserved_device_bytes() const {
    if (loaded) {
      return on_device.kv_page * (usage.pages - usage.pages_touched) +
             on_device.state_slot * (usage.state_slots - usage.state_slots_touched);
    }
    return placed ? std::max<int64_t>(0, planned_device_bytes - packed_bytes) : 0;
  }
};

// Whoever waits for an accepted request: its stream or its Reply.
struct Waiter {
  std::weak_ptr<void> who;
  void (*fail)(void* who, const Error& error);
};

struct Scheduler::State {
  SchedulerOptions options;
  std::unique_ptr<backend::Backend> backend;

  mutable std::mutex mutex;
  std::condition_variable changed;  // a resident left or is loaded, a turn ended, or `aborting`
  std::vector<std::shared_ptr<Resident>> residents;
  uint64_t arrivals_and_departures = 0;  // of models, from and to memory
  std::optional<size_t> devices;  // of the backend, which opens them when a model is first placed
  std::vector<Waiter> waiters;    // those that are not known to be gone
  size_t waiters_to_sweep = 0;
  std::list<std::thread> finished;    // threads that have nothing more to do than end
  std::deque<const Resident*> turns;  // models are placed one at a time, in this order
  bool shutting_down = false;         // no new requests
  bool aborting = false;              // no running ones either

  // scheduler.cc
  void JoinFinished();
  // The mutex is held for these.
  Status CheckAdmission(const Job& job) const;
  backend::DeviceShare ShareOf(const ModelReference& model) const;
  bool IsPlacedAs(const Resident& resident, const ModelReference& model) const;
  Result<Resident*> FindOrStart(const ModelReference& model, const std::shared_ptr<State>& self);
  Status Enqueue(const ModelReference& model, Job* job, const std::shared_ptr<State>& self);
  Clock::time_point DeadlineOf(const Job& job) const;
  void Note(const Job& job);
  void Retire();

  // worker.cc: the body of a worker thread.
  static void Work(std::shared_ptr<State> state, std::shared_ptr<Resident> resident);
  Status Serve(Resident* resident, engine::Engine* engine);
  using Lock = std::unique_lock<std::mutex>;
  bool TakeJobs(Resident* resident, engine::Engine* engine);
  void Rest(Lock* lock, Resident* resident, engine::Engine* engine);
  void Prepare(Lock* lock, Resident* resident, engine::Engine* engine);
  bool OthersAreBusy(const Resident* resident) const;
  void CountWaiting(Resident* resident, engine::Engine* engine);
  void Leave(const std::shared_ptr<Resident>& resident);
  // What the engine has in memory and is doing, for everybody else. The mutex is held.
  static void Publish(const engine::Engine& engine, Resident* resident);

  // placement.cc
  struct Placement {
    std::shared_ptr<const gguf::File> file;
    engine::EngineOptions engine;
  };
  Result<std::unique_ptr<engine::Engine>> PlaceAndLoad(Resident* resident);
  Result<Placement> PlaceInTurn(Resident* resident);
  Result<Placement> Place(Resident* resident);
  // What a model takes, beside what there is.
  struct Room {
    backend::MemoryUse use;
    int64_t tokenizer = 0;                      // bytes
    int64_t least_tokens = 0, least_slots = 0;  // of the pool
    int64_t available = 0;                      // bytes, others having been evicted

    int64_t fixed() const { return use.fixed() + tokenizer; }  // bytes
  };
  // Evicts others until the model, trained for `context` tokens, fits with the least pool. One that
  // does not fit even alone gets by with its weights in the file, if what is left then fits; else
  // the error has the numbers of the whole.
  Result<Room> FindRoom(Resident* resident, int64_t context, Placement* placement);
  Result<Room> MeasureRoom(Resident* resident, int64_t context, Placement* placement);
  // Evicts others until `needed_bytes` are there, and of them in the system's memory what
  // `system_bytes` says, which may let go of the mutex meanwhile; returns how many bytes there are.
  Result<int64_t> MakeRoom(Resident* resident, int64_t needed_bytes,
                           const std::function<int64_t(Lock*)>& system_bytes);
  // Of the tokens that the pool of a model would have, as many as keep on the devices what is to be
  // computed there, if that is enough to be of use.
  int64_t TokensBesideLayers(const backend::MemoryUse& use, const engine::EngineOptions& engine,
                             int64_t context) const;
  // Of a model with so many tokens of cache: what the system's memory must hold, as layers would be
  // divided now. Tells the placement what others were promised. To divide a large plan takes
  // milliseconds, in which the mutex is not held; what it says holds when it returns.
  int64_t SystemBytes(Lock* lock, const Resident* resident, Placement* placement,
                      int64_t tokenizer_bytes, int64_t tokens, int64_t slots) const;
  // The mutex is held for these.
  int64_t DeviceBytes(const backend::DeviceShare& share) const;
  int64_t PromisedDeviceBytes(const Resident* newcomer) const;
  std::shared_ptr<Resident> ChooseVictim(const Resident* newcomer) const;
  bool DevicesAreSystems() const;
  struct Available {
    int64_t system = 0, devices = 0;

    int64_t all() const { return system + devices; }
  };
  // What a newcomer may take. Devices without memory of their own have none here.
  Available AvailableBytes(const Resident* newcomer) const;
  // Fails the requests in the inbox that are late or that nobody waits for any more, for which it
  // lets go of the mutex.
  void Sweep(Lock* lock, Resident* resident);
  // Sweeps; an error if nobody is left.
  Status CheckWanted(Lock* lock, Resident* resident);
  void SpareEvicted();
};

}  // namespace puna::scheduler

#endif  // PUNA_SCHEDULER_SCHEDULER_STATE_H_
