// Messages to prompt, and model text back to a message.
//
// A PromptTemplate turns a conversation into the text that a model was trained on. It is made from
// the Jinja template of a GGUF file or from a Go template of a Modelfile. An OutputParser
// (chat/output_parser.h) goes the other way.
//
// Templates and requests are hostile input: rendering is bounded in steps, depth and bytes, and
// every failure is an Error.
#ifndef PUNA_CHAT_CHAT_H_
#define PUNA_CHAT_CHAT_H_

#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace puna::chat {

struct ToolCall {
  std::string id;
  int index = 0;  // within its message
  std::string name;
  Json arguments = Json::object();
};

// The one form of a message inside puna; every API dialect converts from and to it.
struct Message {
  std::string role;  // "system", "user", "assistant", "tool"; others are passed on to the template
  std::string content;
  std::string thinking;
  std::vector<ToolCall> tool_calls;
  std::string tool_name;            // of a "tool" message: which tool answered
  std::string tool_call_id;         // and to which call
  std::vector<std::string> images;  // bytes of image files
};

// A tool as the request defined it: {"type": "function", "function": {"name", "description",
// "parameters": schema}}.
struct Tool {
  Json definition;
  std::string name() const;        // "" where absent
  const Json* parameters() const;  // the schema; null where absent
};

struct Think {
  bool is_set = false;  // whether the request said anything
  bool on = false;
  std::string level;  // "low", "medium", "high", "max", or "" for plain true and false
};

struct PromptRequest {
  std::vector<Message> messages;
  std::vector<Tool> tools;
  Think think;
  bool add_generation_prompt =
      true;          // Jinja only: whether the prompt ends with the opening of the assistant's turn
  std::tm now = {};  // local time, for templates that tell the date
  // Completion with a gap (fill in the middle): used instead of `messages` where both are not
  // empty, Go templates only.
  std::string prompt;
  std::string suffix;
  Json extra_variables =
      Json::object();  // further variables for Jinja templates ("chat_template_kwargs")
};

struct Capabilities {
  bool tools = false;
  bool thinking = false;
  bool insert = false;  // can fill a gap between prompt and suffix
};

// The texts around the thinking in a model's output; both empty if unknown.
struct ThinkTags {
  std::string open;
  std::string close;
  bool empty() const { return open.empty(); }
};

// Immutable and thread safe.
class PromptTemplate {
 public:
  // The template of a GGUF file ("tokenizer.chat_template"), with the texts of the tokens that it
  // may mention. Fails with kInvalidArgument ("line N: ...") for what is not valid Jinja.
  static Result<std::shared_ptr<const PromptTemplate>> FromJinja(std::string_view source,
                                                                 std::string_view bos_token,
                                                                 std::string_view eos_token);
  // The template of a Modelfile, in the language of Go's text/template with Ollama's functions. One
  // that mentions neither .Messages nor .Response gets {{ .Response }} appended, as Ollama does.
  static Result<std::shared_ptr<const PromptTemplate>> FromGo(std::string_view source);
  // For a model without any template: the prompt as it is, "{{ .Prompt }}".
  static std::shared_ptr<const PromptTemplate> Default();
  virtual ~PromptTemplate() = default;

  // The prompt. Images leave "[img-N]" in the text, N counting from 0 over the conversation, where
  // the message has "[img]", else before the message's text.
  //
  // A conversation that ends with text of the assistant asks for the rest of it. Jinja: the prompt
  // ends with that text, as the template writes it in an earlier answer. Go: the template decides,
  // as in Ollama.
  //
  // Jinja templates differ in what they accept. If one fails, the request is tried again in the
  // forms that others want (chat/jinja_form.h). The error told is the first one. Fails with
  // kInvalidArgument (the template's own words, or what is wrong in it), kUnsupported (a suffix
  // that the template has no place for) and kResourceExhausted.
  virtual Result<std::string> Render(const PromptRequest& request) const = 0;

  // Derived as Ollama derives them: a Jinja template that mentions tools or tool_call has tools,
  // one with <think> and </think> has thinking; a Go template has what its variables .Tools and
  // .Suffix and its inferred think tags say.
  const Capabilities& capabilities() const { return capabilities_; }
  const ThinkTags& think_tags() const { return think_tags_; }
  const std::string& source() const { return source_; }
  bool is_jinja() const { return is_jinja_; }
  // How a model that is prompted so writes its answers: a name of tool_format.h's table, or "go".
  const std::string& output_format() const { return output_format_; }
  // Go templates: the text that the template puts before a tool call, "{" where it has none of its
  // own. Empty for Jinja.
  const std::string& tool_call_tag() const { return tool_call_tag_; }

 protected:
  PromptTemplate(std::string_view source, bool is_jinja) : source_(source), is_jinja_(is_jinja) {}
  std::string source_;
  bool is_jinja_;
  Capabilities capabilities_;
  ThinkTags think_tags_;
  std::string output_format_;
  std::string tool_call_tag_;
};

// A piece of a model's answer.
struct OutputDelta {
  std::string content;
  std::string thinking;
  std::vector<ToolCall> tool_calls;  // complete ones only
  bool empty() const { return content.empty() && thinking.empty() && tool_calls.empty(); }
};

struct OutputOptions {
  ThinkTags think_tags;          // empty: no thinking is looked for
  bool starts_thinking = false;  // the prompt ends within thinking
  std::vector<Tool> tools;       // empty: no tool calls are looked for
  std::string format;            // a name of tool_format.h's table, or "go"
  std::string tool_call_tag;     // of format "go"
  std::string given;             // the end of the prompt that is the beginning of the answer
};

// What to expect from a model that was given `prompt`, the rendering of `request`. `parser` is what
// the model's PARSER says; "" and unknown names leave it to the template.
OutputOptions OutputOptionsFor(const PromptTemplate& prompt_template, const PromptRequest& request,
                               std::string_view prompt, std::string_view parser = {});
// The texts of such answers that may be control tokens of the vocabulary: these must be shown.
std::vector<std::string> OutputMarks(const OutputOptions& options);
// Whether Ollama has a RENDERER of this name. What it would write, the model file's own template
// writes here.
bool IsRenderer(std::string_view name);
// Whether a PARSER of this name is known.
bool IsParser(std::string_view name);
// Whether a model can be made with them: known names, and a Go template that can be executed; empty
// ones are left out.
Status CheckPromptParts(std::string_view renderer, std::string_view parser,
                        const std::string& go_template);

// Turns a model's text, as it comes, into content, thinking and tool calls. However the text is cut
// into pieces, the deltas add up to the same. A tag is never part of content or thinking, and
// nothing else is lost but white space around tags and calls: what looks like a call and is none
// becomes content. Work is linear in the text. Not thread safe; one per answer.
class OutputParser {
 public:
  explicit OutputParser(const OutputOptions& options);
  ~OutputParser();
  OutputParser(OutputParser&&) noexcept;
  OutputParser& operator=(OutputParser&&) noexcept;

  OutputDelta Add(std::string_view text);
  // At the end of the answer: what was held back. Nothing may be added afterwards.
  OutputDelta Finish();
  // How many bytes at the end of the text so far may still become anything.
  size_t undecided_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The bare languages, for tests and `puna eval template`. Jinja: `variables` are what the template
// sees, except that "strftime_now" may give the time as "2026-01-15T10:30:00"; lists cannot be
// changed, as in Python's sandbox. Go: "messages", "tools", "system", "prompt", "suffix",
// "response", "think" as in a request; a template for single turns runs once a turn.
Result<std::string> RenderJinja(std::string_view source, const Json& variables);
Result<std::string> RenderGo(std::string_view source, const Json& variables);

}  // namespace puna::chat

#endif  // PUNA_CHAT_CHAT_H_
