#include "base/log.h"

#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <memory>

#include "base/log_format.h"

namespace puna {

namespace {

// Keeps lines for AddLogFile. Those of an earlier InitLog are of the same process, and stay.
spdlog::sink_ptr FirstLines() {
  constexpr size_t kKept = 16;
  for (const spdlog::sink_ptr& sink : spdlog::default_logger()->sinks()) {
    if (std::dynamic_pointer_cast<spdlog::sinks::ringbuffer_sink_mt>(sink) != nullptr) return sink;
  }
  return std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(kKept);
}

}  // namespace

void InitLog(LogLevel level) {
  const spdlog::sinks_init_list sinks = {std::make_shared<spdlog::sinks::stderr_color_sink_mt>(),
                                         FirstLines()};
  auto logger = std::make_shared<spdlog::logger>("puna", sinks);
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
