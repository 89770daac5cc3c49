#include "api/api.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/ip/address.hpp>
#include <cctype>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <random>
#include <thread>

#include "api/access.h"
#include "api/api_keys.h"
#include "api/blocking_pool.h"
#include "api/errors.h"
#include "api/model_catalog.h"
#include "api/request_log.h"
#include "api/routes.h"
#include "api/transfer_threads.h"
#include "api/version.h"
#include "base/cores.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"

namespace puna::api {
namespace {

// For answers that were cut off at the end of a drain to say so.
constexpr std::chrono::seconds kLastWords{1};
constexpr size_t kMaxTransfers = 16;  // pulls, pushes and creations at once; more wait

registry::RegistryOptions RegistryOptionsOf() {
  registry::RegistryOptions options;
  options.key_file = registry::DefaultKeyFile();
  // Hugging Face shows its models in Ollama's form only to clients that begin like Ollama.
  options.user_agent = fmt::format("ollama/{} (amd64 linux) puna/{}", kOllamaVersion, kVersion);
  return options;
}

}  // namespace

struct ApiServer::State {
  explicit State(const Settings& settings)
      : store(settings.models, settings.no_prune),
        catalog(&store),
        registry(&store, RegistryOptionsOf()),
        transfers(kMaxTransfers) {}

  store::Store store;
  ModelCatalog catalog;
  std::unique_ptr<scheduler::Scheduler> scheduler;
  registry::Registry registry;
  BlockingPool blocking;
  TransferThreads transfers;
  std::atomic<bool> stopping = false;
  Services services;
  std::unique_ptr<AccessRules> access;
  std::unique_ptr<ApiKeys> keys;  // null: nobody is asked for one
  std::string url;
  std::unique_ptr<http::Server> server;  // last: it goes first

  std::chrono::nanoseconds last_pass{};
  std::mutex ending_mutex;
  std::condition_variable has_ended;
  bool ended = false;
  std::thread ending;  // from the first Shutdown on

  void LetGo();
  void End(std::chrono::steady_clock::time_point deadline);
};

namespace {

bool IsLoopback(const std::string& host) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  return error ? host == "localhost" : address.is_loopback();
}

// The client's own, if it is one that can stand in a log; otherwise a new one.
std::string RequestId(const http::Request& request) {
  const std::string_view given = request.Header("x-request-id");
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
  };
  if (!given.empty() && given.size() <= 64 && std::all_of(given.begin(), given.end(), plain))
    return std::string(given);
  static std::atomic<uint64_t> next{std::random_device{}()};
  return fmt::format("req-{:x}", next.fetch_add(1, std::memory_order_relaxed));
}

// Of paths that are no route, the strictest.
RouteAccess AccessOf(const Call& call) {
  return call.route == nullptr ? RouteAccess() : call.route->access;
}

// While answers end at a shutdown, whoever watches the server is told so and all others are
// refused.
http::Task<void> DispatchUnlessStopping(Call& call) {
  if (call.services.stopping->load() && !AccessOf(call).while_ending) {
    co_await SendErrorStatus(call, 503, "the server is shutting down");
  } else {
    co_await Dispatch(call);
  }
}

http::Task<void> DispatchWithKey(ApiKeys& keys, Call& call) {
  using Verdict = ApiKeys::Admission::Verdict;
  const ApiKeys::Admission admission = keys.Admit(
      KeyOfHeaders(call.request.Header("authorization"), call.request.Header("x-api-key")));
  call.key = admission.name();
  switch (admission.verdict()) {
    case Verdict::kUnknownKey:
      call.writer.SetHeader("WWW-Authenticate", "Bearer");
      co_await SendErrorStatus(call, 401, "unauthorized: the request shows no valid API key");
      break;
    case Verdict::kTooMany:
      call.writer.SetHeader("Retry-After", std::to_string(admission.retry_after().count()));
      co_await SendErrorStatus(call, 429, "too many requests with this API key");
      break;
    case Verdict::kAdmitted:
      co_await DispatchUnlessStopping(call);
      break;
  }
}

// Exceptions, above all of memory that is not there, end a request like any other error.
http::Task<void> AnswerCall(ApiKeys* keys, Call& call) {
  Error error;
  try {
    if (keys != nullptr && AccessOf(call).needs_key) {
      co_await DispatchWithKey(*keys, call);
    } else {
      co_await DispatchUnlessStopping(call);
    }
    co_return;
  } catch (const std::exception& exception) {
    error = ErrorOf(exception);
  }
  LogError("{} {} {}: {}", call.id, call.request.method, call.request.path, error.message);
  NoteError(call, error.message);
  if (!call.writer.started()) co_await SendError(call, std::move(error));
}

// What every request passes before its route: Host, Origin, preflight, key.
http::Task<void> Guarded(const AccessRules& access, ApiKeys* keys, Call& call) {
  const std::string_view host = call.request.Header("host");
  const std::string_view origin = call.request.Header("origin");
  const bool host_allowed = access.HostAllowed(host);
  if (!host_allowed || !access.OriginAllowed(origin, host)) {
    NoteError(call, host_allowed ? fmt::format("origin \"{}\" is not allowed", origin)
                                 : fmt::format("host \"{}\" is not allowed", host));
    co_await call.writer.Send(403, "", "");
    co_return;
  }
  if (!origin.empty()) {
    call.writer.SetHeader("Access-Control-Allow-Origin", std::string(origin));
    call.writer.SetHeader("Vary", "Origin");
  }
  if (call.request.method == "OPTIONS") {
    call.writer.SetHeader("Access-Control-Allow-Methods", kAllowedMethods);
    call.writer.SetHeader("Access-Control-Allow-Headers", kAllowedHeaders);
    call.writer.SetHeader("Access-Control-Max-Age", "43200");
    co_await call.writer.Send(204, "", "");
    co_return;
  }
  co_await AnswerCall(keys, call);
}

// Gives the request its id and its line in the log.
http::Task<void> Logged(const AccessRules& access, ApiKeys* keys, Services& services,
                        const http::Request& request, http::BodyReader& body,
                        http::ResponseWriter& writer) {
  const auto begin = std::chrono::steady_clock::now();
  RecordingWriter recorder(writer);
  Call call{request, body, recorder, services, {}};
  call.id = RequestId(request);
  writer.SetHeader("X-Request-Id", call.id);
  FindRoute(&call);
  co_await Guarded(access, keys, call);
  LogRequest(call, recorder.status(), std::chrono::steady_clock::now() - begin);
}

constexpr int64_t kMostMebibytes = int64_t{1} << 40;

scheduler::SchedulerOptions SchedulerOptionsOf(const Settings& settings, backend::KvType kv_type) {
  scheduler::SchedulerOptions options;
  options.backend.name = settings.device;
  options.backend.cache_folder = settings.cache_dir;
  options.backend.threads = static_cast<int>(settings.threads);
  options.backend.isa = settings.isa;
  options.kv_type = kv_type;
  options.share.layers = settings.num_gpu;
  options.share.device = static_cast<int>(settings.main_gpu);
  options.keep_alive = settings.keep_alive;
  options.context_length = settings.context_length;
  options.num_parallel = settings.num_parallel;
  options.max_loaded_models = settings.max_loaded_models;
  options.max_queue = settings.max_queue;
  options.request_timeout = settings.request_timeout;
  options.stuck_after = settings.stuck_after;
  if (!settings.prepare) options.prepare_after = std::chrono::nanoseconds(-1);
  options.speculate = settings.speculate;
  options.prefix_cache_tokens = settings.prefix_cache_tokens;
  options.prefix_folder = settings.prefix_cache_dir;
  options.prefix_folder_bytes = std::min(settings.prefix_cache_dir_mb, kMostMebibytes) << 20;
  return options;
}

}  // namespace

Result<std::unique_ptr<ApiServer>> ApiServer::Start(const ServerConfig& config) {
  const Settings& settings = config.settings;
  auto state = std::make_unique<State>(settings);
  state->last_pass = config.last_pass;
  state->store.OnChange([s = state.get()] { s->LetGo(); });
  if (config.local_model) {
    PUNA_RETURN_IF_ERROR(
        state->store.AddLocalFile(config.local_model->first, config.local_model->second));
  }
  PUNA_ASSIGN_OR_RETURN(const backend::KvType kv_type,
                        backend::ParseKvType(settings.kv_cache_type));
  const scheduler::SchedulerOptions scheduling = SchedulerOptionsOf(settings, kv_type);
  if (config.make_backend) {
    state->scheduler = scheduler::Scheduler::WithBackend(scheduling, config.make_backend());
  } else {
    PUNA_ASSIGN_OR_RETURN(state->scheduler, scheduler::Scheduler::Create(scheduling));
  }

  PUNA_RETURN_IF_ERROR(state->blocking.Start(std::max(2, UsableCores())));
  http::ServerOptions options;
  const Address address = ParseAddress(settings.host);
  options.host = config.private_port ? "127.0.0.1" : address.host;
  options.port = config.private_port ? 0 : address.port;
  options.listening_descriptor = config.listening_descriptor;
  if (settings.idle_timeout != kForever) {
    options.idle_timeout =
        std::chrono::duration_cast<std::chrono::milliseconds>(settings.idle_timeout);
  } else {
    options.idle_timeout = {};
  }
  state->access = std::make_unique<AccessRules>(settings.origins, IsLoopback(options.host));
  state->services = {settings,         &state->store,    state->scheduler.get(), &state->catalog,
                     &state->blocking, &state->registry, &state->transfers,      &state->stopping};
  if (!config.private_port) {
    options.tls_cert_file = settings.tls_cert;
    options.tls_key_file = settings.tls_key;
    if (!settings.api_keys.empty()) {
      PUNA_ASSIGN_OR_RETURN(state->keys, ApiKeys::Load(settings.api_keys));
    }
  }
  auto handler = [access = state->access.get(), keys = state->keys.get(),
                  services = &state->services](const http::Request& request, http::BodyReader& body,
                                               http::ResponseWriter& writer) -> http::Task<void> {
    return Logged(*access, keys, *services, request, body, writer);
  };
  PUNA_ASSIGN_OR_RETURN(state->server, http::Server::Start(options, std::move(handler)));
  if (!settings.no_prune) {
    if (const auto pruned = state->store.Prune(); !pruned)
      LogWarning("prune: {}", pruned.error().message);
  }
  const bool ipv6 = options.host.find(':') != std::string::npos;
  state->url = fmt::format(fmt::runtime(ipv6 ? "{}://[{}]:{}" : "{}://{}:{}"),
                           options.tls_cert_file.empty() ? "http" : "https", options.host,
                           state->server->port());
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(state)));
}

ApiServer::ApiServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

ApiServer::~ApiServer() {
  (void)Shutdown(std::chrono::steady_clock::now());
  if (state_->ending.joinable()) state_->ending.join();
}

std::string ApiServer::url() const { return state_->url; }

void ApiServer::ReadKeysAgain() {
  if (state_->keys == nullptr) {
    LogInfo("there is no file of API keys to read again");
    return;
  }
  const std::filesystem::path& file = state_->services.settings.api_keys;
  if (const Result<size_t> count = state_->keys->ReadAgain(file); count) {
    LogInfo("read {} API keys from {}", *count, file.string());
  } else {
    LogError("{}; the API keys from before stay", count.error().message);
  }
}

// What is in memory of models that the store has no longer, or whose names mean others by now,
// would keep its memory and disk space until the keep-alive ends.
void ApiServer::State::LetGo() {
  catalog.DropStale();
  const std::vector<scheduler::ResidentModel> residents = scheduler->List();
  if (residents.empty()) return;
  const std::vector<store::InstalledModel> models = store.List();
  for (const scheduler::ResidentModel& resident : residents) {
    const auto names_it = [&](const store::InstalledModel& model) {
      return model.weights.lexically_normal() == resident.weights;
    };
    const auto has_its_name = [&](const store::InstalledModel& model) {
      return EqualIgnoringCase(model.name.ShortName(), resident.name);
    };
    const auto meant = std::find_if(models.begin(), models.end(), has_its_name);
    if (meant != models.end() ? names_it(*meant)
                              : std::any_of(models.begin(), models.end(), names_it)) {
      continue;
    }
    (void)scheduler->Unload(resident.weights);
  }
}

// Takes as long as it takes.
void ApiServer::State::End(std::chrono::steady_clock::time_point deadline) {
  // Connections first: they hold requests whose answers the scheduler is still computing.
  stopping.store(true);
  if (!server->Drain(deadline)) {
    scheduler->Abort();
    server->Drain(std::chrono::steady_clock::now() + kLastWords);
  }
  server->CloseAll();
  scheduler->Shutdown(deadline);
  transfers.Join();
  blocking.Join();
}

bool ApiServer::Shutdown(std::chrono::steady_clock::time_point deadline) {
  State& s = *state_;
  std::unique_lock lock(s.ending_mutex);
  if (!s.ended && !s.ending.joinable()) {
    auto ending = StartThread("puna-ending", [&s, deadline] {
      s.End(deadline);
      const std::lock_guard lock(s.ending_mutex);
      s.ended = true;
      s.has_ended.notify_all();
    });
    if (!ending) {
      // Whoever waits here then waits for a pass that does not end, too.
      s.End(deadline);
      s.ended = true;
      return true;
    }
    s.ending = *std::move(ending);
  }
  if (s.has_ended.wait_until(lock, deadline + kLastWords + s.last_pass, [&] { return s.ended; }))
    return true;
  for (const scheduler::ResidentModel& model : s.scheduler->List()) {
    LogError("{} does not end: its pass has taken {:.0f} s so far", model.name,
             std::chrono::duration<double>(model.pass).count());
  }
  return false;
}

}  // namespace puna::api
