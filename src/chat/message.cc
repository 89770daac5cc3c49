#include "chat/chat.h"

namespace puna::chat {
namespace {

const Json* FunctionOf(const Tool& tool) {
  if (!tool.definition.is_object()) return nullptr;
  const auto function = tool.definition.find("function");
  return function != tool.definition.end() && function->is_object() ? &*function : nullptr;
}

}  // namespace

std::string Tool::name() const {
  const Json* function = FunctionOf(*this);
  if (function == nullptr) return {};
  const auto name = function->find("name");
  return name != function->end() && name->is_string() ? name->get<std::string>() : std::string();
}

const Json* Tool::parameters() const {
  const Json* function = FunctionOf(*this);
  if (function == nullptr) return nullptr;
  const auto parameters = function->find("parameters");
  return parameters != function->end() ? &*parameters : nullptr;
}

}  // namespace puna::chat
