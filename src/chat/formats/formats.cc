// The table. The first whose used_by says yes is taken, so a format stands above those it could be
// mistaken for.
#include "chat/formats/formats.h"

#include <algorithm>

namespace puna::chat {

std::span<const ToolFormat> ToolFormats() {
  static const ToolFormat kFormats[] = {
      MistralFormat(),
      HermesFormat(),
      Llama3Format(),
      PlainJsonFormat(),
  };
  return kFormats;
}

const ToolFormat* FindToolFormat(std::string_view name) {
  const auto formats = ToolFormats();
  const auto found = std::find_if(formats.begin(), formats.end(),
                                  [&](const ToolFormat& f) { return f.name == name; });
  return found == formats.end() ? nullptr : &*found;
}

}  // namespace puna::chat
