#include "base/log_format.h"

#include <spdlog/pattern_formatter.h>
#include <ctime>
#include <string_view>

#include "base/text.h"

namespace puna {
namespace {

class MessageOnOneLine final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string line = OnOneLine({message.payload.data(), message.payload.size()});
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<MessageOnOneLine>();
  }
};

}  // namespace

std::unique_ptr<spdlog::formatter> LogFormat(const std::string& pattern) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<MessageOnOneLine>('*').set_pattern(pattern);
  return formatter;
}

}  // namespace puna
