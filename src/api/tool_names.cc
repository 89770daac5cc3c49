#include "api/tool_names.h"

namespace puna::api {
namespace {

std::string WithNamespace(const std::string& space, const std::string& name) {
  const std::string prefix = space.empty() ? "" : space + ".";
  return name.starts_with(prefix) ? name : prefix + name;
}

}  // namespace

std::string ToolNames::Add(const std::string& space, const std::string& name) {
  std::string told = WithNamespace(space, name);
  tools_.emplace(told, ClientToolName{space, name});
  if (!space.empty()) {
    const auto [same, is_first] = in_namespaces_.emplace(name, told);
    if (!is_first && same->second != told) same->second.clear();
  }
  return told;
}

std::string ToolNames::ForModel(const std::string& space, const std::string& name) const {
  if (!space.empty() || tools_.contains(name)) return WithNamespace(space, name);
  const auto only = in_namespaces_.find(name);
  return only == in_namespaces_.end() || only->second.empty() ? name : only->second;
}

ClientToolName ToolNames::ForClient(const std::string& called) const {
  const auto tool = tools_.find(ForModel("", called));
  return tool == tools_.end() ? ClientToolName{"", called} : tool->second;
}

}  // namespace puna::api
