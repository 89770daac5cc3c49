#include "base/log_file.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "base/file.h"

namespace puna {
namespace {

constexpr size_t kMaxBytes = 8 << 20;
constexpr size_t kKept = 3;

}  // namespace

std::filesystem::path DefaultLogFile() { return HomeDirectory() / ".puna" / "logs" / "server.log"; }

Status AddLogFile(const std::filesystem::path& path) {
  try {
    auto sink =
        std::make_shared<spdlog::sinks::rotating_file_sink_mt>(path.string(), kMaxBytes, kKept);
    sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    spdlog::default_logger()->sinks().push_back(std::move(sink));
  } catch (const spdlog::spdlog_ex& error) {
    return MakeError(ErrorCode::kPermissionDenied, "log file {}: {}", path.string(), error.what());
  }
  return {};
}

}  // namespace puna
