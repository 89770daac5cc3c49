// How lines of the log are written, wherever they go.
#ifndef PUNA_BASE_LOG_FORMAT_H_
#define PUNA_BASE_LOG_FORMAT_H_

#include <memory>
#include <string>

#include <spdlog/formatter.h>

namespace puna {

// `pattern` is spdlog's, in which %* stands for the message on one line (base/text.h): messages
// quote what clients send, which must neither look like further lines nor steer a terminal.
std::unique_ptr<spdlog::formatter> LogFormat(const std::string& pattern);

}  // namespace puna

#endif  // PUNA_BASE_LOG_FORMAT_H_
