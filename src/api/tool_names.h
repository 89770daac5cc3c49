// Clients of the Responses API put tools into namespaces and call them by two names; models are
// told of each tool by one.
#ifndef PUNA_API_TOOL_NAMES_H_
#define PUNA_API_TOOL_NAMES_H_

#include <map>
#include <string>

namespace puna::api {

struct ClientToolName {
  std::string space;  // empty: in no namespace
  std::string name;
};

// The tools of one request.
class ToolNames {
 public:
  // Returns what the model is told: "space.name", or the name alone where it begins so already.
  std::string Add(const std::string& space, const std::string& name);
  // What the model is told of a tool that the client names, whether it is there or not. Without a
  // namespace, a name that no tool has is that of the only namespace with such a tool.
  std::string ForModel(const std::string& space, const std::string& name) const;
  // What the client knows the tool by that the model called. Models too leave the namespace out.
  ClientToolName ForClient(const std::string& called) const;

 private:
  std::map<std::string, ClientToolName> tools_;  // by what the model is told
  // What the model is told, by the name within the namespace; empty where several have it.
  std::map<std::string, std::string> in_namespaces_;
};

}  // namespace puna::api

#endif  // PUNA_API_TOOL_NAMES_H_
