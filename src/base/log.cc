#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

#include <memory>

#include "base/log_format.h"

namespace puna {

void InitLog(LogLevel level) {
  auto logger = std::make_shared<spdlog::logger>(
      "puna", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_formatter(LogFormat("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %*"));
  switch (level) {
    case LogLevel::kTrace:
      logger->set_level(spdlog::level::trace);
      break;
    case LogLevel::kDebug:
      logger->set_level(spdlog::level::debug);
      break;
    case LogLevel::kInfo:
      logger->set_level(spdlog::level::info);
      break;
    case LogLevel::kWarning:
      logger->set_level(spdlog::level::warn);
      break;
    case LogLevel::kError:
      logger->set_level(spdlog::level::err);
      break;
  }
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace puna
