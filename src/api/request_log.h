// What is written down of each request: its line in the log, and its place in the counters of
// /metrics.
#ifndef PUNA_API_REQUEST_LOG_H_
#define PUNA_API_REQUEST_LOG_H_

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "api/call.h"

namespace puna::api {

// Passes everything on, and remembers the status.
class RecordingWriter final : public http::ResponseWriter {
 public:
  explicit RecordingWriter(http::ResponseWriter& writer) : writer_(writer) {}
  // 0: nothing was answered.
  int status() const { return status_; }

  void SetHeader(std::string name, std::string value) override {
    writer_.SetHeader(std::move(name), std::move(value));
  }
  http::Task<void> Send(int status, std::string_view content_type, std::string body) override {
    Record(status);
    return writer_.Send(status, content_type, std::move(body));
  }
  http::Task<void> StartStream(int status, std::string_view content_type) override {
    Record(status);
    return writer_.StartStream(status, content_type);
  }
  http::Task<bool> Write(std::string piece) override { return writer_.Write(std::move(piece)); }
  http::Task<void> Finish() override { return writer_.Finish(); }
  bool started() const override { return writer_.started(); }
  bool client_gone() const override { return writer_.client_gone(); }
  void OnClientGone(std::function<void()> callback) override {
    writer_.OnClientGone(std::move(callback));
  }

 private:
  // What comes after a first answer is not sent.
  void Record(int status) {
    if (status_ == 0) status_ = status;
  }

  http::ResponseWriter& writer_;
  int status_ = 0;
};

// At the end of a request.
void LogRequest(const Call& call, int status, std::chrono::duration<double, std::milli> taken);

}  // namespace puna::api

#endif  // PUNA_API_REQUEST_LOG_H_
