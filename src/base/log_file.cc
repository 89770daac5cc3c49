#include "base/log_file.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/log_format.h"
#include "base/repeated_trouble.h"

namespace puna {
namespace {

constexpr size_t kMaxBytes = 8 << 20;
constexpr size_t kKept = 3;

// The library tells each line that it could not write.
class LogFileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // `others` show what is wrong with this one.
  LogFileSink(const std::filesystem::path& path, std::vector<spdlog::sink_ptr> others)
      : file_(path.string(), kMaxBytes, kKept), others_(std::move(others)) {
    file_.set_formatter(LogFormat("%Y-%m-%dT%H:%M:%S.%e%z %l %*"));
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    try {
      file_.log(message);
      file_.flush();
      trouble_.Worked();
    } catch (const spdlog::spdlog_ex& error) {
      if (!trouble_.IsNews()) return;
      const std::string text = fmt::format("lines of the log are lost: {}", error.what());
      for (const spdlog::sink_ptr& other : others_)
        other->log({message.logger_name, spdlog::level::warn, text});
    }
  }
  void flush_() override {}  // each line was

  spdlog::sinks::rotating_file_sink_st file_;
  const std::vector<spdlog::sink_ptr> others_;
  RepeatedTrouble trouble_;
};

}  // namespace

std::filesystem::path DefaultLogFile() { return HomeDirectory() / ".puna" / "logs" / "server.log"; }

Status AddLogFile(const std::filesystem::path& path) {
  try {
    std::vector<spdlog::sink_ptr>& sinks = spdlog::default_logger()->sinks();
    // What was said before there was a file, such as of settings, stands at its beginning.
    std::vector<spdlog::details::log_msg_buffer> first_lines;
    std::erase_if(sinks, [&](const spdlog::sink_ptr& sink) {
      const auto kept = std::dynamic_pointer_cast<spdlog::sinks::ringbuffer_sink_mt>(sink);
      if (kept != nullptr) first_lines = kept->last_raw();
      return kept != nullptr;
    });
    const auto file = std::make_shared<LogFileSink>(path, sinks);
    for (const spdlog::details::log_msg& line : first_lines) file->log(line);
    sinks.push_back(file);
  } catch (const spdlog::spdlog_ex& error) {
    return MakeError(ErrorCode::kPermissionDenied, "log file {}: {}", path.string(), error.what());
  }
  return {};
}

}  // namespace puna
