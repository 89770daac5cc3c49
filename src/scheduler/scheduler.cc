// The front door: requests become jobs in the inbox of a resident model, whose worker takes them
// from there.
#include "scheduler/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "scheduler/scheduler_state.h"

namespace puna::scheduler {
namespace {

Counter requests("puna_requests_total", "Requests to generate, embed or load");
Counter refused("puna_requests_refused_total", "Requests refused because too many were waiting");

// Conversations of one model whose next turns are prepared; each keeps its texts until then.
constexpr size_t kMostExpected = 8;

const Error kShuttingDown{ErrorCode::kUnavailable, "the server is shutting down"};

}  // namespace

std::string_view ModelStateName(ModelState state) {
  switch (state) {
    case ModelState::kLoading:
      return "loading";
    case ModelState::kRunning:
      return "running";
    case ModelState::kStopping:
      return "stopping";
  }
  return "";
}

void Job::Fail(const Error& error) {
  const auto fail = [&](const auto& who) {
    if (late()) {
      who->Expire();
    } else {
      who->Fail(error);
    }
  };
  if (const auto* generate = std::get_if<GenerateJob>(&work)) {
    fail(generate->stream);
  } else if (const auto* load = std::get_if<LoadJob>(&work)) {
    fail(load->reply);
  } else {
    fail(std::get<EmbedJob>(work).reply);
  }
}

bool Job::late() const {
  Clock::time_point deadline;
  if (const auto* generate = std::get_if<GenerateJob>(&work)) {
    deadline = generate->request.deadline;
  } else if (const auto* load = std::get_if<LoadJob>(&work)) {
    deadline = load->deadline;
  } else {
    deadline = std::get<EmbedJob>(work).request.deadline;
  }
  return deadline <= Clock::now();
}

bool Job::wanted() const {
  bool gone = false;
  if (const auto* generate = std::get_if<GenerateJob>(&work)) {
    gone = generate->stream->cancelled() || generate->stream.use_count() == 1;
  } else if (const auto* load = std::get_if<LoadJob>(&work)) {
    gone = load->reply->ended();
  } else {
    gone = std::get<EmbedJob>(work).reply->ended();
  }
  return !gone && !late();
}

bool Job::counts() const {
  const auto* generate = std::get_if<GenerateJob>(&work);
  return generate == nullptr || !generate->request.further_choice;
}

Scheduler::Scheduler(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Scheduler>> Scheduler::Create(const SchedulerOptions& options) {
  PUNA_ASSIGN_OR_RETURN(auto backend, backend::CreateBackend(options.backend));
  return WithBackend(options, std::move(backend));
}

std::unique_ptr<Scheduler> Scheduler::WithBackend(const SchedulerOptions& options,
                                                  std::unique_ptr<backend::Backend> backend) {
  auto state = std::make_shared<State>();
  state->options = options;
  state->backend = std::move(backend);
  return std::unique_ptr<Scheduler>(new Scheduler(std::move(state)));
}

Scheduler::~Scheduler() { Shutdown(Clock::now()); }

Status Scheduler::State::CheckAdmission(const Job& job) const {
  if (shutting_down) return tl::unexpected<Error>(kShuttingDown);
  if (options.max_queue <= 0 || !job.counts()) return {};
  int64_t waiting = 0;
  for (const auto& resident : residents) waiting += resident->waiting();
  if (waiting < options.max_queue) return {};
  refused.Add();
  // Ollama's words, two spaces included: clients look for them.
  return MakeError(ErrorCode::kUnavailable,
                   "server busy, please try again.  maximum pending requests exceeded");
}

backend::DeviceShare Scheduler::State::ShareOf(const ModelReference& model) const {
  backend::DeviceShare share = options.share;
  if (model.device_layers) share.layers = *model.device_layers;
  if (model.device) share.device = *model.device;
  return share;
}

// What a request does not say is as it is.
bool Scheduler::State::IsPlacedAs(const Resident& resident, const ModelReference& model) const {
  if (devices == 0u) return true;
  const backend::DeviceShare wanted = ShareOf(model);
  const backend::DeviceShare& has = resident.share;
  // Of one device, the first and all of them are the same.
  const bool same_device =
      wanted.device == has.device || (devices == 1u && std::max(wanted.device, has.device) == 0);
  return (!model.device_layers || wanted.layers == has.layers) && (!model.device || same_device);
}

// They have let go of the mutex for the last time.
void Scheduler::State::JoinFinished() {
  std::list<std::thread> threads;
  {
    const std::lock_guard lock(mutex);
    threads.swap(finished);
  }
  for (std::thread& thread : threads) thread.join();
}

Result<Resident*> Scheduler::State::FindOrStart(const ModelReference& model,
                                                const std::shared_ptr<State>& self) {
  const std::filesystem::path weights = model.weights.lexically_normal();
  for (const auto& resident : residents) {
    if (resident->retiring || resident->weights != weights ||
        resident->embeddings != model.embeddings) {
      continue;
    }
    const bool same_file = model.file == nullptr || resident->loaded_from.lock() == model.file;
    if (same_file && IsPlacedAs(*resident, model)) return resident.get();
    resident->retiring = true;  // it finishes what it has
    resident->wake.notify_one();
  }
  auto resident = std::make_shared<Resident>();
  resident->weights = weights;
  resident->file = model.file;
  resident->loaded_from = model.file;
  resident->tokenizer = model.tokenizer;
  resident->embeddings = model.embeddings;
  resident->share = ShareOf(model);
  // Once the thread is there, which begins by waiting for the mutex, no memory is needed any more.
  residents.reserve(residents.size() + 1);
  resident->thread.emplace_back();
  PUNA_ASSIGN_OR_RETURN(resident->thread.front(),
                        StartThread("puna-model", [self, resident] { Work(self, resident); }));
  residents.push_back(resident);
  return resident.get();
}

// Those that are gone are looked for when the list has doubled.
void Scheduler::State::Note(const Job& job) {
  if (waiters.size() >= waiters_to_sweep) {
    std::erase_if(waiters, [](const Waiter& waiter) { return waiter.who.expired(); });
    waiters_to_sweep = std::max<size_t>(64, 2 * waiters.size());
  }
  const auto note = [&]<typename Who>(const std::shared_ptr<Who>& who) {
    waiters.push_back(
        {who, [](void* known, const Error& error) { static_cast<Who*>(known)->Fail(error); }});
  };
  if (const auto* generate = std::get_if<GenerateJob>(&job.work)) {
    note(generate->stream);
  } else if (const auto* load = std::get_if<LoadJob>(&job.work)) {
    note(load->reply);
  } else {
    note(std::get<EmbedJob>(job.work).reply);
  }
}

// On success the job has been taken.
Status Scheduler::State::Enqueue(const ModelReference& model, Job* job,
                                 const std::shared_ptr<State>& self) {
  JoinFinished();
  std::lock_guard lock(mutex);
  requests.Add();
  PUNA_RETURN_IF_ERROR(CheckAdmission(*job));
  PUNA_ASSIGN_OR_RETURN(Resident* const resident, FindOrStart(model, self));
  resident->name = model.name;
  resident->digest = model.digest;
  resident->details = model.details;
  // A request's sticks, as in Ollama.
  if (model.keep_alive) resident->asked_keep_alive = model.keep_alive;
  resident->keep_alive =
      resident->asked_keep_alive.value_or(model.default_keep_alive.value_or(options.keep_alive));
  resident->last_used = Clock::now();
  Note(*job);
  resident->inbox.push_back(std::move(*job));
  resident->wake.notify_one();
  return {};
}

std::shared_ptr<engine::TokenStream> Scheduler::Generate(const ModelReference& model,
                                                         engine::GenerateRequest request) {
  auto stream = std::make_shared<engine::TokenStream>();
  Job job{Clock::now(), {}};
  request.submitted = job.submitted;
  request.speculate = request.speculate && state_->options.speculate;
  request.deadline = std::min(request.deadline, state_->DeadlineOf(job));
  request.adapters = model.adapters;
  if (request.context_length <= 0) request.context_length = state_->options.context_length;
  job.work = GenerateJob{std::move(request), stream};
  if (Status status = state_->Enqueue(model, &job, state_); !status)
    stream->Fail(std::move(status).error());
  return stream;
}

Clock::time_point Scheduler::State::DeadlineOf(const Job& job) const {
  if (options.request_timeout <= std::chrono::nanoseconds(0)) return Clock::time_point::max();
  return ExpiryAfter(job.submitted, options.request_timeout);
}

std::function<void()> Scheduler::Load(const ModelReference& model,
                                      std::function<void(Result<std::chrono::nanoseconds>)> done) {
  const auto reply = std::make_shared<engine::Reply<std::chrono::nanoseconds>>(std::move(done));
  Job job{Clock::now(), {}};
  job.work = LoadJob{model.adapters, state_->DeadlineOf(job), reply};
  if (Status status = state_->Enqueue(model, &job, state_); !status) job.Fail(status.error());
  return [reply] { reply->Cancel(); };
}

void Scheduler::Expect(const ModelReference& model,
                       std::function<std::vector<engine::TokenId>()> tokens) {
  if (state_->options.prepare_after < std::chrono::nanoseconds(0)) return;
  const std::filesystem::path weights = model.weights.lexically_normal();
  Expected forgotten;  // dies when the mutex is free again
  const std::lock_guard lock(state_->mutex);
  for (const auto& resident : state_->residents) {
    if (resident->retiring || resident->embeddings || resident->weights != weights) continue;
    if (resident->expected.size() >= kMostExpected) {
      forgotten = std::move(resident->expected.front());
      resident->expected.pop_front();
    }
    resident->expected.push_back({model.adapters, std::move(tokens)});
    resident->wake.notify_one();
    return;
  }
}

std::function<void()> Scheduler::Embed(const ModelReference& model,
                                       std::vector<std::vector<engine::TokenId>> inputs,
                                       std::function<void(Result<Embeddings>)> done) {
  const auto reply = std::make_shared<engine::Reply<Embeddings>>(std::move(done));
  Job job{Clock::now(), {}};
  engine::EmbedRequest request;
  request.inputs = std::move(inputs);
  request.adapters = model.adapters;
  request.submitted = job.submitted;
  request.deadline = state_->DeadlineOf(job);
  job.work = EmbedJob{std::move(request), reply};
  if (Status status = state_->Enqueue(model, &job, state_); !status) job.Fail(status.error());
  return [reply] { reply->Cancel(); };
}

Status Scheduler::Unload(const std::filesystem::path& weights) {
  std::lock_guard lock(state_->mutex);
  bool found = false;
  for (const auto& resident : state_->residents) {
    if (resident->weights != weights.lexically_normal()) continue;
    resident->evicted = false;
    if (resident->retiring) continue;
    found = resident->retiring = true;
    resident->wake.notify_one();
  }
  if (!found) return MakeError(ErrorCode::kNotFound, "{} is not loaded", weights.string());
  return {};
}

std::vector<ResidentModel> Scheduler::List() const {
  std::vector<ResidentModel> models;
  const auto now = std::chrono::system_clock::now();
  std::lock_guard lock(state_->mutex);
  for (const auto& resident : state_->residents) {
    ResidentModel model;
    model.name = resident->name;
    model.digest = resident->digest;
    model.details = resident->details;
    model.weights = resident->weights;
    model.size_bytes = resident->size_bytes();
    model.size_vram_bytes = resident->device_bytes();
    model.context_length = resident->context_length;
    if (state_->options.context_length > 0) {
      model.context_length = std::min(model.context_length, state_->options.context_length);
    }
    model.state = resident->retiring ? ModelState::kStopping
                  : resident->loaded ? ModelState::kRunning
                                     : ModelState::kLoading;
    model.expires_at = resident->loaded && !resident->busy ? resident->expires_at
                                                           : ExpiryAfter(now, resident->keep_alive);
    if (resident->retiring) model.expires_at = std::chrono::system_clock::time_point::min();
    model.waiting_requests = resident->waiting();
    model.running_requests = resident->usage.running;
    model.weights_in_file = resident->weights_in_file;
    model.pages = resident->usage.pages;
    model.pages_in_use = resident->usage.pages_in_use;
    if (resident->pass_began) model.pass = Clock::now() - *resident->pass_began;
    models.push_back(std::move(model));
  }
  std::stable_sort(
      models.begin(), models.end(),
      [](const ResidentModel& a, const ResidentModel& b) { return a.expires_at > b.expires_at; });
  return models;
}

Scheduler::Health Scheduler::health() const {
  Health health;
  std::lock_guard lock(state_->mutex);
  health.accepting = !state_->shutting_down;
  for (const auto& resident : state_->residents) {
    if (!resident->pass_began) continue;
    if (Clock::now() - *resident->pass_began > state_->options.stuck_after)
      health.stuck.push_back(resident->name);
  }
  return health;
}

// The mutex is held.
void Scheduler::State::Retire() {
  shutting_down = true;
  for (const auto& resident : residents) {
    resident->retiring = true;
    resident->evicted = false;
    resident->wake.notify_one();
  }
}

void Scheduler::Abort() {
  std::vector<Waiter> waiters;
  {
    std::lock_guard lock(state_->mutex);
    state_->aborting = true;
    state_->Retire();
    state_->changed.notify_all();
    waiters.swap(state_->waiters);
  }
  for (const Waiter& waiter : waiters) {
    if (const auto who = waiter.who.lock()) waiter.fail(who.get(), kShuttingDown);
  }
}

void Scheduler::Shutdown(std::chrono::steady_clock::time_point deadline) {
  State& s = *state_;
  {
    std::unique_lock lock(s.mutex);
    s.Retire();
    const auto empty = [&] { return s.residents.empty(); };
    if (!s.changed.wait_until(lock, deadline, empty)) {
      lock.unlock();
      Abort();
      lock.lock();
      s.changed.wait(lock, empty);
    }
  }
  s.JoinFinished();
}

}  // namespace puna::scheduler
