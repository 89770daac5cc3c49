// Ollama compares a template with 37 stored ones and takes the nearest if fewer than 100 characters
// differ. Storing other people's templates is not for us, and a format shows in a template anyway:
// by the texts that it writes around messages, and by not being much longer than the stored ones,
// because a template that does more than they do is not near them. So each format is a row of such
// texts and bounds of length; the first row that fits is the answer. Checked against Ollama's own
// samples.
#include "chat/detect.h"

#include <algorithm>

#include "chat/jinja/py_text.h"

namespace puna::chat {
namespace {

struct Row {
  std::string_view name;
  std::vector<std::string_view> texts;  // all must occur
  int64_t min_length;                   // in characters
  int64_t max_length;
  std::string_view never = {};  // must not occur
};

const std::vector<KnownTemplate>& Known() {
  static const std::vector<KnownTemplate> kKnown = {
      {"alfred", {"<start_system>", "<end_message>", "<start_user>", "<start_assistant>"}},
      {"alpaca", {"### Instruction:", "### Response"}},
      {"chatml", {"<|im_start|>", "<|im_end|>"}},
      {"chatqa", {"System:", "User:", "Assistant:", "<|begin_of_text|>"}},
      {"codellama-70b-instruct", {"Source:", "Destination:", "<step>"}},
      {"command-r", {"<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"}},
      {"falcon-instruct", {"User:", "Assistant:"}},
      {"gemma-instruct", {"<start_of_turn>", "<end_of_turn>"}},
      {"gemma3-instruct", {"<end_of_turn>"}},
      {"granite-instruct", {"System:", "Question:", "Answer:"}},
      {"llama2-chat", {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"}},
      {"llama3-instruct", {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}},
      {"magicoder", {"@@ Instruction", "@@ Response"}},
      {"mistral-instruct", {"<|im_start|>", "<|im_end|>"}},  // sic
      {"openchat", {"<|end_of_turn|>"}},
      {"phi-3", {"<|end|>", "<|system|>", "<|user|>", "<|assistant|>"}},
      {"solar-instruct", {"### System:", "### User:", "### Assistant"}},
      {"starcoder2-instruct", {"### Instruction", "### Response", "<|endoftext|>"}},
      {"zephyr", {"<|system|>", "</s>", "<|user|>", "<|assistant|>"}},
  };
  return kKnown;
}

const std::vector<Row>& Rows() {
  static const std::vector<Row> kRows = {
      {"alfred", {"<start_user>", "<end_message>", "<start_assistant>"}, 430, 640},
      {"alpaca", {"### Instruction:", "### Response:"}, 940, 1140},
      {"starcoder2-instruct", {"### Instruction", "### Response"}, 470, 680},
      {"magicoder", {"@@ Instruction", "@@ Response"}, 470, 680},
      {"chatml", {"<|im_start|>", "<|im_end|>"}, 90, 730, "tool"},
      {"chatml", {"<|im_start|>", "<|im_end|>"}, 1740, 1940, "tool"},
      {"falcon-instruct", {"User:", "Falcon:"}, 240, 460},
      {"codellama-70b-instruct", {"Source: ", "<step>"}, 430, 640},
      {"command-r", {"<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"}, 1100, 1310},
      {"gemma3-instruct", {"<start_of_turn>", "<start_of_image>"}, 1430, 1640},
      {"gemma-instruct", {"<start_of_turn>", "<end_of_turn>"}, 490, 700},
      {"granite-instruct", {"Question:", "Answer:"}, 270, 480},
      {"llama2-chat", {"[INST]", "<<SYS>>"}, 710, 920},
      {"mistral-instruct", {"[INST]", "[/INST]"}, 370, 580},
      {"llama3-instruct", {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, 290, 490},
      {"llama3-instruct", {"<|start_header_id|>", "<|python_tag|>", "<|eot_id|>"}, 4510, 4720},
      {"openchat", {"GPT4 Correct", "<|end_of_turn|>"}, 120, 330},
      {"phi-3", {"<|end|>", "<|assistant|>"}, 110, 370},
      {"solar-instruct", {"### User:", "### Assistant:"}, 300, 510},
      {"zephyr", {"<|user|>", "<|assistant|>"}, 200, 510, "<|end|>"},
      {"chatqa", {"User: ", "Assistant:"}, 350, 790},
  };
  return kRows;
}

}  // namespace

const KnownTemplate* DetectTemplate(std::string_view jinja_source) {
  const int64_t length = jinja::CountCodepoints(jinja_source);
  const auto fits = [&](const Row& row) {
    const bool excluded =
        !row.never.empty() && jinja_source.find(row.never) != std::string_view::npos;
    return length >= row.min_length && length <= row.max_length && !excluded &&
           std::all_of(row.texts.begin(), row.texts.end(), [&](std::string_view text) {
             return jinja_source.find(text) != std::string_view::npos;
           });
  };
  const auto row = std::find_if(Rows().begin(), Rows().end(), fits);
  if (row == Rows().end()) return nullptr;
  const auto known = std::find_if(Known().begin(), Known().end(),
                                  [&](const KnownTemplate& k) { return k.name == row->name; });
  return &*known;
}

}  // namespace puna::chat
