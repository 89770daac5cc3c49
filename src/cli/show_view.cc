#include "cli/show_view.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

#include "cli/human.h"
#include "store/store.h"

namespace puna::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

void AddSection(const std::string& title, const Rows& rows, std::string* out) {
  if (rows.empty()) return;
  *out += "  " + title + "\n" + FormatTable(rows, "    ");
  *out += "\n";
}

// "key   value" lines, split at the first run of spaces.
Rows SplitParameters(const std::string& text) {
  Rows rows;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const size_t key_end = std::min(line.find(' '), line.size());
    const size_t value = std::min(line.find_first_not_of(' ', key_end), line.size());
    if (!line.empty()) rows.push_back({line.substr(0, key_end), line.substr(value)});
    at = end + 1;
  }
  return rows;
}

// The first lines that say something.
Rows Head(const std::string& text, size_t lines) {
  Rows rows;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    line.erase(line.begin(), std::find_if_not(line.begin(), line.end(),
                                              [](unsigned char c) { return std::isspace(c); }));
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())) != 0)
      line.pop_back();
    at = end + 1;
    if (line.empty()) continue;
    if (rows.size() == lines) {
      rows.push_back({"..."});
      break;
    }
    rows.push_back({std::move(line)});
  }
  return rows;
}

std::string ValueText(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array() && value.size() > 3) {
    return fmt::format("[{}, {}, {}, ...+{} more]", DumpJson(value[0]), DumpJson(value[1]),
                       DumpJson(value[2]), value.size() - 3);
  }
  return DumpJson(value);
}

Rows ModelRows(const Json& show) {
  const Json details = show.value("details", Json::object());
  const Json info = show.value("model_info", Json::object());
  const std::string architecture =
      JsonString(info, "general.architecture", JsonString(details, "family"));
  Rows rows;
  const auto add = [&](const char* label, const std::string& value) {
    if (!value.empty()) rows.push_back({label, value});
  };
  const auto from_info = [&](const char* key) {
    const auto it = info.find(architecture + "." + key);
    return it == info.end() || it->is_null() ? "" : ValueText(*it);
  };
  add("architecture", architecture);
  add("parameters", JsonString(details, "parameter_size"));
  add("context length", from_info("context_length"));
  add("embedding length", from_info("embedding_length"));
  add("quantization", JsonString(details, "quantization_level"));
  add("requires", JsonString(show, "requires"));
  return rows;
}

// The rows that Ollama shows: a projector of one sense has its sizes under that sense.
Rows ProjectorRows(const Json& show) {
  const Json info = show.value("projector_info", Json::object());
  const std::string architecture = JsonString(info, "general.architecture");
  Rows rows;
  if (!architecture.empty()) rows.push_back({"architecture", architecture});
  if (const auto count = info.find("general.parameter_count");
      count != info.end() && count->is_number_unsigned()) {
    rows.push_back({"parameters", store::HumanParameterCount(count->get<uint64_t>())});
  }
  const auto add = [&](const char* label, const char* key) {
    for (const char* sense : {"vision", "audio"}) {
      const auto value = info.find(fmt::format("{}.{}.{}", architecture, sense, key));
      if (value == info.end() || !value->is_number()) continue;
      rows.push_back({label, ValueText(*value)});
      return;
    }
  };
  add("embedding length", "embedding_length");
  add("dimensions", "projection_dim");
  return rows;
}

Rows MetadataRows(const Json& show) {
  Rows rows;
  const Json info = show.value("model_info", Json::object());
  for (const auto& [key, value] : info.items()) {
    if (!value.is_null()) rows.push_back({key, ValueText(value)});
  }
  return rows;
}

Rows TensorRows(const Json& show) {
  Rows rows;
  for (const Json& tensor : show.value("tensors", Json::array())) {
    rows.push_back({JsonString(tensor, "name"), JsonString(tensor, "type"),
                    DumpJson(tensor.value("shape", Json::array()))});
  }
  return rows;
}

}  // namespace

std::string FormatModelInfo(const Json& show, bool verbose) {
  std::string out;
  AddSection("Model", ModelRows(show), &out);
  Rows capabilities;
  for (const Json& capability : show.value("capabilities", Json::array()))
    capabilities.push_back({ValueText(capability)});
  AddSection("Capabilities", capabilities, &out);
  AddSection("Projector", ProjectorRows(show), &out);
  AddSection("Parameters", SplitParameters(JsonString(show, "parameters")), &out);
  if (verbose) {
    AddSection("Metadata", MetadataRows(show), &out);
    AddSection("Tensors", TensorRows(show), &out);
  }
  AddSection("System", Head(JsonString(show, "system"), 2), &out);
  AddSection("License", Head(JsonString(show, "license"), 2), &out);
  return out;
}

Result<std::string> FormatModelPart(const Json& show, const std::string& part) {
  std::string text = JsonString(show, part);
  if (text.empty()) return MakeError(ErrorCode::kNotFound, "the model has no {}", part);
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

}  // namespace puna::cli
