// Whether a model fits, who has to go for it, and how large its key/value pool becomes.
//
// A pool takes memory only as its pages are first written, so what the system reports as available
// still contains what the loaded models were promised: those promises are subtracted. Victims are
// idle models first, the least recently used of them; then the least recently used busy one, which
// finishes the requests it has and gets no new ones (a new request for it waits for its turn to
// load again), so that a stream of requests for one model cannot shut out another for good. Nobody
// is evicted for a model that would not fit even alone.
#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "backend/split_backend.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/sha256.h"
#include "gguf/gguf.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "scheduler/memory.h"
#include "scheduler/scheduler_state.h"
#include "tokenizer/table_bytes.h"

namespace puna::scheduler {
namespace {

Counter loads("puna_loads_total", "Models that were loaded");
Histogram load_seconds("puna_load_seconds", "Duration of loading a model", SecondsBounds());
Counter evictions("puna_model_evictions_total", "Models unloaded to make room for others");

// A model that is worth loading can hold at least this much text.
constexpr int64_t kLeastContext = 2048;
// The pool holds one full context. Models with a short one get room for several users, up to this
// many tokens.
constexpr int64_t kSharedPoolTokens = 65536;
constexpr int64_t kExpectedUsers = 8;
// Nobody says that the client of a request has gone: who waits for a place looks as often as this.
constexpr std::chrono::milliseconds kSweepInterval{100};
// The share of what is free after the weights that a pool may take: the rest is for other models
// and everybody else.
constexpr double kPoolShare = 0.5;
// A pool is made smaller so that layers stay on a device, but not smaller than this; rather it
// takes more of what is free there.
constexpr int64_t kLeastDeviceContext = 8192;
constexpr double kMostPoolShare = 0.9;
// State slots of networks with recurrent layers: two while a user's sequence advances, the others
// keep beginnings of prompts.
constexpr int64_t kSlotsPerUser = 6;

std::string Gibibytes(int64_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / (1 << 30));
}

// SHA-256 of the file: its name where that is what it says, as in the store. Empty if the model is
// spread over several files or cannot be read.
std::string WeightsDigest(const std::filesystem::path& weights, const gguf::File& file) {
  constexpr std::string_view kPrefix = "sha256-";
  const std::string name = weights.filename().string();
  const std::string_view digits =
      std::string_view(name).substr(std::min(kPrefix.size(), name.size()));
  if (name.starts_with(kPrefix) && digits.size() == 64 &&
      digits.find_first_not_of("0123456789abcdef") == std::string_view::npos) {
    return std::string(digits);
  }
  const auto parts = file.GetInteger("split.count");
  if (!parts || parts->value_or(1) > 1) return {};
  const auto mapped = MappedFile::Open(weights);
  if (!mapped) return {};
  Sha256 hash;
  hash.Update((*mapped)->bytes());
  return hash.FinishHex();
}

// Ends a turn, however the load ends.
template <typename End>
struct AtEnd {
  End end;
  ~AtEnd() { end(); }
};
template <typename End>
AtEnd(End) -> AtEnd<End>;

}  // namespace

void Scheduler::State::Sweep(Lock* lock, Resident* resident) {
  std::deque<Job>& inbox = resident->inbox;
  const auto first_unwanted = std::stable_partition(inbox.begin(), inbox.end(),
                                                    [](const Job& job) { return job.wanted(); });
  if (first_unwanted == inbox.end()) return;
  const Error cancelled{ErrorCode::kCancelled, "the request was cancelled"};
  std::deque<Job> unwanted(std::make_move_iterator(first_unwanted),
                           std::make_move_iterator(inbox.end()));
  inbox.erase(first_unwanted, inbox.end());
  lock->unlock();
  FailAll(&unwanted, cancelled);
  lock->lock();
}

// A load that nobody wants any more retires the resident in the same breath, so that no new request
// gets into its inbox and fails with somebody else's cancellation.
Status Scheduler::State::CheckWanted(Lock* lock, Resident* resident) {
  if (aborting) return MakeError(ErrorCode::kUnavailable, "the server is shutting down");
  Sweep(lock, resident);
  if (!resident->inbox.empty()) return {};
  resident->retiring = true;
  return MakeError(ErrorCode::kCancelled, "nobody waits for the model any more");
}

Result<std::unique_ptr<engine::Engine>> Scheduler::State::PlaceAndLoad(Resident* resident) {
  const Clock::time_point begin = Clock::now();
  PUNA_ASSIGN_OR_RETURN(Placement placement, PlaceInTurn(resident));
  if (!placement.engine.prefix_folder.empty())
    placement.engine.weights_digest = WeightsDigest(resident->weights, *placement.file);
  Status wanted;  // why the load was given up, if it was
  placement.engine.progress = [&](int64_t done, int64_t) {
    Lock lock(mutex);
    resident->packed_bytes = done;
    wanted = CheckWanted(&lock, resident);
    return wanted.has_value();
  };
  auto loaded = engine::Engine::Load(placement.file, backend.get(), placement.engine);
  if (!wanted) return tl::unexpected<Error>(std::move(wanted).error());
  PUNA_ASSIGN_OR_RETURN(auto engine, std::move(loaded));
  std::lock_guard lock(mutex);
  resident->loaded = resident->busy = true;
  ++arrivals_and_departures;
  Publish(*engine, resident);
  resident->context_length = engine->context_length();
  resident->ready_at = Clock::now();
  loads.Add();
  load_seconds.Observe(std::chrono::duration<double>(resident->ready_at - begin).count());
  LogInfo("loaded {} in {} ms: {}, context {} tokens, pool {} tokens, {}", resident->name,
          std::chrono::duration_cast<std::chrono::milliseconds>(resident->ready_at - begin).count(),
          Gibibytes(resident->fixed_bytes), resident->context_length,
          resident->usage.pages * backend::kPageTokens, engine->Describe());
  changed.notify_all();
  return engine;
}

// Decisions about memory are made one after another; reading and packing goes on side by side.
Result<Scheduler::State::Placement> Scheduler::State::PlaceInTurn(Resident* resident) {
  {
    const std::lock_guard lock(mutex);
    turns.push_back(resident);
  }
  const auto its_turn = [&] { return turns.front() == resident; };
  const AtEnd end_of_turn{[&] {
    const std::lock_guard lock(mutex);
    if (its_turn()) SpareEvicted();
    std::erase(turns, resident);
    changed.notify_all();
  }};
  {
    Lock lock(mutex);
    while (!changed.wait_for(lock, kSweepInterval, its_turn)) Sweep(&lock, resident);
  }
  return Place(resident);
}

// Whoever was to make room in a turn that is over, and is still there, was evicted in vain: the
// newcomer gave up. It stays, unless somebody has begun to load it again.
void Scheduler::State::SpareEvicted() {
  for (const auto& victim : residents) {
    if (!std::exchange(victim->evicted, false)) continue;
    const bool replaced = std::any_of(residents.begin(), residents.end(), [&](const auto& other) {
      return !other->retiring && other->weights == victim->weights &&
             other->embeddings == victim->embeddings;
    });
    victim->retiring = replaced;
  }
}

Result<Scheduler::State::Room> Scheduler::State::MeasureRoom(Resident* resident, int64_t context,
                                                             Placement* placement) {
  Room room;
  PUNA_ASSIGN_OR_RETURN(room.use,
                        engine::Engine::Predict(placement->file, *backend, placement->engine));
  room.least_tokens = std::min(context, kLeastContext);
  room.least_slots = room.use.state_slot > 0 ? engine::kLeastStateSlots : 0;
  room.tokenizer = tokenizer::TableBytes(*placement->file);
  const int64_t least = room.fixed() + room.use.kv_page * model::PagesFor(room.least_tokens) +
                        room.use.state_slot * room.least_slots;
  // Without devices all of it is the system's.
  PUNA_ASSIGN_OR_RETURN(room.available, MakeRoom(resident, least, [&](Lock* lock) {
                          if (devices == 0u) return least;
                          return SystemBytes(lock, resident, placement, room.tokenizer,
                                             room.least_tokens, room.least_slots);
                        }));
  return room;
}

Result<Scheduler::State::Room> Scheduler::State::FindRoom(Resident* resident, int64_t context,
                                                          Placement* placement) {
  auto room = MeasureRoom(resident, context, placement);
  if (room || room.error().code != ErrorCode::kResourceExhausted) return room;
  placement->engine.weights_in_file = true;
  auto in_file = MeasureRoom(resident, context, placement);
  if (!in_file && in_file.error().code == ErrorCode::kResourceExhausted) return room;
  if (in_file) {
    LogWarning("{}: its weights stay in the file, and each pass reads them from there",
               room.error().message);
  }
  return in_file;
}

Result<Scheduler::State::Placement> Scheduler::State::Place(Resident* resident) {
  const size_t opened = backend->devices().size();
  {
    Lock lock(mutex);
    devices = opened;
    PUNA_RETURN_IF_ERROR(CheckWanted(&lock, resident));
  }
  Placement placement;
  // The plan keeps the file alive while it is loaded; a model that is loaded again opens it anew.
  placement.file = std::exchange(resident->file, nullptr);
  if (placement.file == nullptr) {
    PUNA_ASSIGN_OR_RETURN(placement.file, gguf::File::Open(resident->weights));
  }
  engine::EngineOptions& engine = placement.engine;
  engine.tokenizer = std::exchange(resident->tokenizer, nullptr);
  engine.kv_type = options.kv_type;
  engine.share = resident->share;
  engine.max_sequences = options.num_parallel;
  engine.embeddings = resident->embeddings;
  engine.prefix_cache = options.prefix_cache;
  engine.prefix_cache_tokens = options.prefix_cache_tokens;
  engine.prefix_folder = options.prefix_folder;
  engine.prefix_folder_bytes = options.prefix_folder_bytes;
  PUNA_ASSIGN_OR_RETURN(const model::ModelConfig config, model::ReadConfig(*placement.file));
  const int64_t context = std::max<int64_t>(1, config.context_length);
  PUNA_ASSIGN_OR_RETURN(const Room room, FindRoom(resident, context, &placement));
  const backend::MemoryUse& use = room.use;

  int64_t pool_bytes = 0;
  if (!resident->embeddings && !config.embeddings_only) {
    const int64_t users = options.num_parallel > 0 ? options.num_parallel : kExpectedUsers;
    double budget = kPoolShare * static_cast<double>(room.available - room.fixed());
    if (use.state_slot > 0) {
      // Half of it at most for states: beside attention layers they are the smaller part.
      const double slot_bytes = static_cast<double>(use.state_slot);
      engine.state_slots =
          std::clamp(static_cast<int64_t>(budget / 2 / slot_bytes), room.least_slots,
                     std::max(room.least_slots, kSlotsPerUser * users));
      budget -= static_cast<double>(engine.state_slots) * slot_bytes;
    }
    const int64_t shared =
        context < kSharedPoolTokens / users ? context * users : kSharedPoolTokens;
    engine.kv_tokens = std::max(context, shared);
    if (use.kv_page > 0) {
      const auto affordable = static_cast<int64_t>(budget / static_cast<double>(use.kv_page));
      if (affordable < engine.kv_tokens / backend::kPageTokens)
        engine.kv_tokens = affordable * backend::kPageTokens;
    }
    engine.kv_tokens = std::max(TokensBesideLayers(use, engine, context), room.least_tokens);
    Lock lock(mutex);
    // Layers that are not on devices have their part of the pool in the system's memory.
    while (devices != 0u && engine.kv_tokens > room.least_tokens &&
           SystemBytes(&lock, resident, &placement, room.tokenizer, engine.kv_tokens,
                       engine.state_slots) > AvailableBytes(resident).system) {
      engine.kv_tokens =
          std::max(room.least_tokens, model::PagesFor(engine.kv_tokens / 2) * backend::kPageTokens);
    }
    pool_bytes =
        use.kv_page * model::PagesFor(engine.kv_tokens) + use.state_slot * engine.state_slots;
  }
  std::lock_guard lock(mutex);
  resident->placed = true;
  resident->fixed_bytes = room.fixed();
  resident->tokenizer_bytes = room.tokenizer;
  resident->weights_in_file = engine.weights_in_file;
  resident->planned_pool_bytes = pool_bytes;
  resident->planned_device_bytes = use.on_device.fixed() +
                                   use.on_device.kv_page * model::PagesFor(engine.kv_tokens) +
                                   use.on_device.state_slot * engine.state_slots;
  engine.share.promised_bytes = PromisedDeviceBytes(resident);
  // Asked by the model's worker, which both of them outlive.
  engine.share.system_bytes = [this, resident] {
    const std::lock_guard lock(mutex);
    return AvailableBytes(resident).system - resident->tokenizer_bytes;
  };
  return placement;
}

int64_t Scheduler::State::TokensBesideLayers(const backend::MemoryUse& use,
                                             const engine::EngineOptions& engine,
                                             int64_t context) const {
  const std::lock_guard lock(mutex);
  if (use.on_device.kv_page == 0) return engine.kv_tokens;
  const int64_t left = DeviceBytes(engine.share) - PromisedDeviceBytes(nullptr) -
                       use.on_device.fixed() - use.on_device.state_slot * engine.state_slots;
  for (const double part : {kPoolShare, kMostPoolShare}) {
    const double pages =
        part * static_cast<double>(left) / static_cast<double>(use.on_device.kv_page);
    const auto tokens = static_cast<int64_t>(pages) * backend::kPageTokens;
    if (tokens >= std::min(context, kLeastDeviceContext)) return std::min(tokens, engine.kv_tokens);
  }
  return engine.kv_tokens;
}

int64_t Scheduler::State::DeviceBytes(const backend::DeviceShare& share) const {
  if (devices == 0u || share.layers == 0) return 0;
  return backend::FreeBytes(*backend, share);
}

int64_t Scheduler::State::PromisedDeviceBytes(const Resident* newcomer) const {
  int64_t bytes = 0;
  for (const auto& other : residents) {
    if (other.get() != newcomer) bytes += other->reserved_device_bytes();
  }
  return bytes;
}

bool Scheduler::State::DevicesAreSystems() const {
  const std::vector<backend::DeviceMemory> memory = backend->devices();
  return std::all_of(memory.begin(), memory.end(),
                     [](const auto& device) { return device.is_systems; });
}

Scheduler::State::Available Scheduler::State::AvailableBytes(const Resident* newcomer) const {
  std::optional<int64_t> measured, address_space;
  if (options.available_memory) {
    measured = options.available_memory();
  } else {
    measured = AvailableMemory();
    address_space = AvailableAddressSpace();
  }
  constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max() / 2;
  if (!measured && !address_space) return {.system = kUnlimited};
  int64_t promised = 0, being_loaded = 0;
  for (const auto& other : residents) {
    if (other.get() == newcomer) continue;
    promised += other->reserved_bytes();
    if (!other->loaded) being_loaded += other->reserved_bytes();
  }
  const bool apart = devices != 0u && !DevicesAreSystems();
  const int64_t on_devices = apart ? PromisedDeviceBytes(newcomer) : 0;
  Available available{.system = measured.value_or(kUnlimited) - (promised - on_devices)};
  // What is promised to a loaded model has its addresses already.
  if (address_space) available.system = std::min(available.system, *address_space - being_loaded);
  if (!apart) return available;
  // Of a model that is for the CPU alone, what devices have or owe is no concern.
  if (newcomer->share.layers != 0) available.devices = DeviceBytes(newcomer->share) - on_devices;
  return available;
}

int64_t Scheduler::State::SystemBytes(Lock* lock, const Resident* resident, Placement* placement,
                                      int64_t tokenizer_bytes, int64_t tokens,
                                      int64_t slots) const {
  while (true) {
    const uint64_t seen = arrivals_and_departures;
    placement->engine.share.promised_bytes = PromisedDeviceBytes(resident);
    lock->unlock();
    engine::EngineOptions engine = placement->engine;
    engine.kv_tokens = tokens;
    if (slots > 0) engine.state_slots = slots;
    const Result<backend::MemoryUse> use =
        engine::Engine::PredictNow(placement->file, *backend, engine);
    const bool shared = DevicesAreSystems();
    lock->lock();
    if (seen != arrivals_and_departures) continue;
    // What cannot be predicted cannot be compiled either, and is told then.
    if (!use) return tokenizer_bytes;
    const auto bytes = [&](const auto& part) {
      return part.fixed() + part.kv_page * model::PagesFor(tokens) + part.state_slot * slots;
    };
    return tokenizer_bytes + bytes(*use) - (shared ? 0 : bytes(use->on_device));
  }
}

std::shared_ptr<Resident> Scheduler::State::ChooseVictim(const Resident* newcomer) const {
  std::shared_ptr<Resident> victim;
  const auto rank = [](const Resident& r) { return std::tuple(!r.retiring, r.busy, r.last_used); };
  for (const auto& other : residents) {
    if (other.get() == newcomer || !other->loaded) continue;
    if (victim == nullptr || rank(*other) < rank(*victim)) victim = other;
  }
  return victim;
}

Result<int64_t> Scheduler::State::MakeRoom(Resident* resident, int64_t needed_bytes,
                                           const std::function<int64_t(Lock*)>& system_bytes) {
  Lock lock(mutex);
  resident->fixed_bytes = needed_bytes;
  while (true) {
    PUNA_RETURN_IF_ERROR(CheckWanted(&lock, resident));
    const int64_t of_system = system_bytes(&lock);
    const Available free = AvailableBytes(resident);
    const int64_t available = free.all();
    int64_t loaded = 0, held_by_others = 0;
    for (const auto& other : residents) {
      if (other.get() == resident || !other->placed) continue;
      ++loaded;
      held_by_others += other->loaded ? other->size_bytes() + other->reserved_bytes() -
                                            other->usage.unsettled_bytes  // in both
                                      : other->fixed_bytes + other->planned_pool_bytes;
    }
    const bool too_many = options.max_loaded_models > 0 && loaded >= options.max_loaded_models;
    const bool fits = available >= needed_bytes && free.system >= of_system;
    // Others may have been promised more than there still is.
    const auto told = [](int64_t bytes) { return std::max<int64_t>(0, bytes); };
    if (fits && !too_many) return available;
    if (available >= needed_bytes && !fits && loaded == 0) {
      return MakeError(ErrorCode::kResourceExhausted,
                       "{} needs {} bytes ({}) beside what fits on the devices, {} bytes ({}) are "
                       "available",
                       resident->name, of_system, Gibibytes(of_system), told(free.system),
                       Gibibytes(told(free.system)));
    }
    if (available < needed_bytes && available + held_by_others < needed_bytes) {
      return MakeError(ErrorCode::kResourceExhausted,
                       "{} needs {} bytes ({}), {} bytes ({}) are available{}", resident->name,
                       needed_bytes, Gibibytes(needed_bytes), told(available),
                       Gibibytes(told(available)),
                       loaded > 0 ? " and unloading other models would not free enough" : "");
    }
    const std::shared_ptr<Resident> victim = ChooseVictim(resident);
    if (victim == nullptr) {  // the others are only being loaded; nobody breaks off a load
      changed.wait_for(lock, kSweepInterval);
      continue;
    }
    if (!victim->retiring) {
      LogInfo("unloading {} to make room for {}", victim->name, resident->name);
      evictions.Add();
      victim->retiring = victim->evicted = true;
    }
    victim->wake.notify_one();
    const auto gone = [&] {
      return aborting || std::find(residents.begin(), residents.end(), victim) == residents.end();
    };
    while (!changed.wait_for(lock, kSweepInterval, gone))
      PUNA_RETURN_IF_ERROR(CheckWanted(&lock, resident));
  }
}

}  // namespace puna::scheduler
