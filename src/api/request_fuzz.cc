// Any body, as each dialect reads it: a request or an error, never an exception or a crash.
#include <cstdint>
#include <string_view>

#include "api/anthropic_messages.h"
#include "api/api_keys.h"
#include "api/fields.h"
#include "api/media.h"
#include "api/ollama_types.h"
#include "api/openai_responses.h"
#include "api/openai_types.h"
#include "api/options.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace puna::api;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)ApiKeys::Parse(text);
  (void)DecodeImageText(text);
  const auto body = ParseBody(text);
  if (!body) return 0;
  (void)ReadMessagesRequest(*body, /*counting=*/false);
  (void)ReadResponsesRequest(*body);
  GenerationRequest native;
  Fields fields(*body, "ChatRequest");
  (void)ReadCommonFields(*body, &fields, &native);
  (void)ReadMessages(&fields, &native.messages);
  (void)ReadTools(&fields, &native.tools);
  GenerationOptions options;
  (void)ApplyOptions(native.options, &options);
  GenerationRequest openai;
  (void)ReadOpenAiSampling(*body, &fields, {"max_tokens"}, &openai);
  (void)ReadOpenAiToolChoice(body->value("tool_choice", puna::Json()), &openai.tools);
  (void)ReadOpenAiFormat("response_format", body->value("response_format", puna::Json()),
                         &openai.constraint);
  return 0;
}
