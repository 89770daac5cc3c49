#include "api/progress_stream.h"

#include <atomic>
#include <deque>
#include <mutex>
#include <optional>

#include "api/errors.h"
#include "api/transfer_threads.h"

namespace puna::api {
namespace {

Json ProgressJson(const store::Progress& progress) {
  Json json = {{"status", progress.status}};
  if (!progress.digest.empty()) json["digest"] = progress.digest;
  if (progress.total_bytes > 0) {
    json["total"] = progress.total_bytes;
    json["completed"] = progress.completed_bytes;
  }
  return json;
}

// Lines that another thread produces and the connection writes. Thread safe.
class LineQueue {
 public:
  explicit LineQueue(boost::asio::any_io_executor executor) : notifier_(std::move(executor)) {}
  void Push(std::string line) {
    {
      const std::lock_guard lock(mutex_);
      lines_.push_back(std::move(line));
    }
    notifier_.Notify();
  }
  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    notifier_.Notify();
  }
  // The lines so far; nothing when closed and empty.
  http::Task<std::optional<std::string>> Next() {
    while (true) {
      {
        const std::lock_guard lock(mutex_);
        std::string all;
        for (const std::string& line : lines_) all += line;
        lines_.clear();
        if (!all.empty()) co_return all;
        if (closed_) co_return std::nullopt;
      }
      co_await notifier_.Wait(std::chrono::hours(1));
    }
  }

 private:
  http::Notifier notifier_;
  std::mutex mutex_;
  std::deque<std::string> lines_;
  bool closed_ = false;
};

}  // namespace

Result<bool> ReadStreamField(const Json& json, std::string_view owner) {
  bool stream = true;
  Fields fields(json, owner);
  fields.Read("stream", &stream);
  PUNA_RETURN_IF_ERROR(fields.status());
  return stream;
}

http::Task<void> RunWithProgress(Call& call, bool stream, ProgressWork work) {
  // The work must go on touching only what it owns if the client goes away.
  auto queue = std::make_shared<LineQueue>(co_await boost::asio::this_coro::executor);
  auto outcome = std::make_shared<Status>();
  auto gone = std::make_shared<std::atomic<bool>>(false);
  call.writer.OnClientGone([gone] { gone->store(true); });
  const Status posted = call.services.transfers->Post(
      [queue, outcome, gone, stream, stopping = call.services.stopping, work = std::move(work)] {
        try {
          *outcome = work([&](const store::Progress& progress) {
            if (stream) queue->Push(DumpJson(ProgressJson(progress)) + "\n");
            return !gone->load() && !stopping->load();
          });
        } catch (const std::exception& exception) {
          *outcome = tl::unexpected(ErrorOf(exception));
        }
        queue->Close();
      });
  if (!posted) co_return co_await SendError(call, posted.error());
  std::optional<std::string> lines = co_await queue->Next();
  // What fails before the first line has a status of its own.
  if (!lines && !*outcome) co_return co_await SendError(call, outcome->error());
  if (!lines) {
    Json success = {{"status", "success"}};
    co_return co_await SendJson(call, 200, std::move(success));
  }
  co_await call.writer.StartStream(200, "application/x-ndjson");
  for (; lines; lines = co_await queue->Next()) co_await call.writer.Write(*std::move(lines));
  if (!*outcome) {
    const Error& error = outcome->error();
    NoteError(call, error.message);
    std::string line = DumpJson(ErrorBody(Dialect::kOllama, error, call.id)) + "\n";
    co_await call.writer.Write(std::move(line));
  }
  co_await call.writer.Finish();
}

}  // namespace puna::api
