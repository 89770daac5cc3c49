// PromptTemplate: how requests become the variables of either language, and what is derived from a
// template's text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chat/chat.h"
#include "chat/jinja_form.h"

namespace puna::chat {
namespace {

using ::testing::HasSubstr;

Message Say(std::string role, std::string content) {
  Message message;
  message.role = std::move(role);
  message.content = std::move(content);
  return message;
}

Tool Weather() {
  return {Json::parse(
      R"({"type": "function", "function": {"name": "get_weather", "description": "Weather <now>",
      "parameters": {"type": "object", "required": ["town"], "properties":
        {"town": {"type": "string", "description": "Where", "title": "T"}, "days": {"type": ["integer", "null"]}}}}})")};
}

Message Call(Json arguments) {
  Message message = Say("assistant", "");
  message.tool_calls.push_back({"id1", 0, "get_weather", std::move(arguments)});
  return message;
}

std::string Render(const Result<std::shared_ptr<const PromptTemplate>>& prompt,
                   const PromptRequest& request) {
  EXPECT_TRUE(prompt) << prompt.error().message;
  const auto text = (*prompt)->Render(request);
  EXPECT_TRUE(text) << text.error().message;
  return text ? *text : "";
}

std::string Jinja(std::string_view source, const PromptRequest& request) {
  return Render(PromptTemplate::FromJinja(source, "<s>", "</s>"), request);
}

std::string Go(std::string_view source, const PromptRequest& request) {
  return Render(PromptTemplate::FromGo(source), request);
}

TEST(JinjaPrompt, GivesTheVariablesOfHuggingFace) {
  PromptRequest request;
  request.messages = {Say("user", "hi")};
  EXPECT_EQ(Jinja("{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }}{{ eos_token "
                  "}}{% endfor %}"
                  "{{ add_generation_prompt }}{{ tools }}{{ enable_thinking is defined }}",
                  request),
            "<s>user:hi</s>TrueNoneFalse");
  request.add_generation_prompt = false;
  request.think = {true, false, ""};
  request.tools = {Weather()};
  request.extra_variables["color"] = "red";
  EXPECT_EQ(
      Jinja(
          "{{ add_generation_prompt }}{{ enable_thinking }}{{ tools[0].function.name }}{{ color }}",
          request),
      "FalseFalseget_weatherred");
  request.think = {true, true, "high"};
  EXPECT_EQ(Jinja("{{ enable_thinking }}{{ reasoning_effort }}", request), "Truehigh");
}

TEST(JinjaPrompt, KeepsTheOrderOfArgumentsAndSchemas) {
  PromptRequest request;
  request.messages = {Say("user", "?"), Call({{"zone", 1}, {"area", 2}})};
  request.tools = {Weather()};
  EXPECT_EQ(Jinja("{{ messages[1].tool_calls[0].function.arguments|tojson }}", request),
            R"({"zone": 1, "area": 2})");
  EXPECT_THAT(Jinja("{{ tools[0]|tojson }}", request), HasSubstr(R"("properties": {"town": )"));
}

TEST(JinjaPrompt, TriesTheFormsThatOtherTemplatesWant) {
  PromptRequest request;
  request.messages = {Say("system", "Be brief."), Say("user", "?"), Call({{"town", "Oslo"}})};
  EXPECT_EQ(Jinja("{{ 'args=' + messages[2].tool_calls[0].function.arguments }}", request),
            R"(args={"town":"Oslo"})");
  EXPECT_EQ(Jinja("{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no "
                  "system') }}{% endif %}"
                  "{{ m.role }}={{ m.content }};{% endfor %}",
                  request),
            "user=Be brief.\n\n?;assistant=;");
  const auto refused =
      (*PromptTemplate::FromJinja("{{ raise_exception('never') }}", "", ""))->Render(request);
  EXPECT_EQ(refused.error().message, "never");
}

TEST(JinjaPrompt, SplitsCallsWhereOneATurnIsWanted) {
  PromptRequest request;
  request.messages = {Say("user", "?"), Call({{"town", "Oslo"}}), Say("tool", "rain"),
                      Say("tool", "sun")};
  request.messages[1].content = "I look.";
  request.messages[1].tool_calls.push_back({"id2", 1, "get_weather", {{"town", "Rome"}}});
  request.messages[2].tool_call_id = "id2";
  request.messages[3].tool_call_id = "id1";
  EXPECT_EQ(Jinja("{% for m in messages %}{{ m.content }}{% if m.tool_calls %}{% if "
                  "m.tool_calls|length > 1 %}{{ raise_exception('one') }}{% endif %}"
                  "({{ m.tool_calls[0].function.arguments.town }}){% endif %};{% endfor %}",
                  request),
            "?;I look.(Oslo);sun;(Rome);rain;");
}

TEST(JinjaPrompt, ShortensIdsWhereTheirLengthIsChecked) {
  const std::string source =
      "{% for m in messages %}{% for c in m.tool_calls or [] %}{% if c.id|length != 9 %}"
      "{{ raise_exception('length') }}{% endif %}{{ c.id }},{% endfor %}"
      "{% if m.role == 'tool' %}{% if m.tool_call_id is undefined or m.tool_call_id|length != 9 %}"
      "{{ raise_exception('length') }}{% endif %}{{ m.tool_call_id }},{% endif %}{% endfor %}";
  PromptRequest request;
  request.messages = {Call({}), Say("tool", "rain"), Call({}), Say("tool", "sun")};
  request.messages[0].tool_calls[0].id = "toolu_0123456789";
  request.messages[1].tool_call_id = "toolu_0123456789";
  request.messages[2].tool_calls[0].id = "";  // as Ollama's clients send them back
  const std::string ids = Jinja(source, request);
  ASSERT_EQ(ids.size(), 40u);
  EXPECT_EQ(ids.substr(0, 10), ids.substr(10, 10));
  EXPECT_EQ(ids.substr(20, 10), ids.substr(30, 10));
  EXPECT_NE(ids.substr(0, 10), ids.substr(20, 10));
  EXPECT_EQ(ids, Jinja(source, request));
  request.messages.resize(2);
  request.messages[0].tool_calls[0].id = request.messages[1].tool_call_id = "VvvODy9mT";
  EXPECT_EQ(Jinja(source, request), "VvvODy9mT,VvvODy9mT,");
}

TEST(JinjaPrompt, SystemMessagesStayWhereTheyAre) {
  const std::string source =
      "{% for m in messages %}{% if m.role == 'system' and not loop.first %}"
      "{{ raise_exception('must be at the beginning') }}{% endif %}{{ m.role }}={{ m.content }}"
      "{{ '()' if m.tool_calls }};{% endfor %}";
  PromptRequest request;
  request.add_generation_prompt = false;
  const auto render = [&](std::vector<Message> messages) {
    request.messages = std::move(messages);
    return Jinja(source, request);
  };
  const Message main = Say("system", "S"), later = Say("system", "L"), question = Say("user", "?");
  const Message call = Call({}), result = Say("tool", "R"), answer = Say("assistant", "A");
  EXPECT_EQ(render({main, question, later, answer}), "system=S;user=?\n\nL;assistant=A;");
  EXPECT_EQ(render({main, question, answer, later, later, question}),
            "system=S;user=?;assistant=A;user=L\n\nL\n\n?;");
  EXPECT_EQ(render({main, answer, later, answer}), "system=S;assistant=A;user=L;assistant=A;");
  EXPECT_EQ(render({main, later, question}), "system=S\n\nL;user=?;");
  EXPECT_EQ(render({question, call, later, result, result}),
            "user=?;assistant=();tool=L\n\nR;tool=R;");
  EXPECT_EQ(render({question, call, result, later, result}),
            "user=?;assistant=();tool=R\n\nL;tool=R;");
  // What was rendered once is the beginning of what is rendered in every later turn.
  const std::vector<Message> all = {main,   question, later,  call,  result, later,
                                    answer, question, answer, later, answer, question};
  const std::string whole = render(all);
  for (size_t size = 1; size < all.size(); ++size) {
    std::string text = render({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size)});
    text.pop_back();  // the mark behind the last message, to which a text may be added
    EXPECT_TRUE(whole.starts_with(text)) << text;
  }
}

TEST(JinjaPrompt, SystemMessagesThatATemplatePassesOverAreText) {
  PromptRequest request;
  request.messages = {Say("system", "S"), Say("user", "a"), Say("system", " L\n"),
                      Say("assistant", "b"), Say("user", "c")};
  const std::string first_alone =
      "{% for m in messages %}{% if m.role != 'system' or loop.first %}[{{ m.role }}: "
      "{{ m.content | trim }}]{% endif %}{% endfor %}";
  EXPECT_EQ(Jinja(first_alone, request), "[system: S][user: a\n\n L][assistant: b][user: c]");
  const std::string in_place =
      "{% for m in messages %}[{{ m.role }}: {{ m.content | trim }}]{% endfor %}";
  EXPECT_EQ(Jinja(in_place, request), "[system: S][user: a][system: L][assistant: b][user: c]");
  EXPECT_EQ(Jinja("{{ messages | length }} messages", request), "5 messages");
}

TEST(JinjaPrompt, RolesAlternateWhereTheyMust) {
  const std::string source =
      "{% set n = namespace(i=0) %}{% for m in messages %}"
      "{% if m.role == 'user' or m.role == 'assistant' and not m.tool_calls %}"
      "{% if (m.role == 'user') != (n.i % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}"
      "{% if m.role == 'assistant' and not m.content %}{{ raise_exception('empty') }}{% endif %}"
      "{% set n.i = n.i + 1 %}{% endif %}{{ m.role }}={{ m.content }}{{ '()' if m.tool_calls }};"
      "{% endfor %}";
  PromptRequest request;
  const auto render = [&](std::vector<Message> messages) {
    request.messages = std::move(messages);
    return Jinja(source, request);
  };
  const Message one = Say("user", "1"), two = Say("user", "2"), call = Call({});
  const Message result = Say("tool", "R"), answer = Say("assistant", "A");
  Message thought = Say("assistant", "");
  EXPECT_EQ(render({Say("system", "S"), one, two}), "system=S;user=1\n\n2;");
  EXPECT_EQ(render({one, thought, two}), "user=1\n\n2;");
  thought.thinking = "Hm";
  EXPECT_EQ(render({one, thought, two}), "user=1\n\n2;");
  EXPECT_EQ(render({one, answer, call, result, answer, two}),
            "user=1;assistant=A();tool=R;assistant=A;user=2;");
  EXPECT_EQ(render({one, call, result, two, answer, two}),
            "user=1;assistant=();tool=R\n\n2;assistant=A;user=2;");
  EXPECT_EQ(render({one, call, two}), "user=1\n\n2;");
  EXPECT_EQ(render({answer, one}), "user=;assistant=A;user=1;");
  EXPECT_EQ(render({one, two, answer}), "user=1\n\n2;assistant=A");  // to be continued
}

TEST(JinjaPrompt, ToolsGetWhatTheyLeaveOutWhereItIsWanted) {
  const std::string source =
      "{% for t in tools %}{{ t.function.name + ':' + t.function.description + ':' }}"
      "{% for name, p in t.function.parameters.properties.items() %}"
      "{{ name + '=' + p.description }}{% if p.type == 'object' %}{{ p.additionalProperties|string "
      "}}"
      "{% endif %},{% endfor %}{{ t.function.parameters.type + ';' }}{% endfor %}";
  PromptRequest request;
  request.messages = {Say("user", "?")};
  for (const char* function :
       {R"({"name": "a"})", R"({"name": "b", "description": null, "parameters": null})",
        R"({"name": "c", "parameters": {}})",
        R"({"name": "d", "parameters": {"properties": null}})",
        R"({"name": "e", "description": "E", "parameters": {"type": "object", "properties":
            {"x": {"type": "string"}, "y": {"type": "object"}, "z": true}}})"}) {
    request.tools.push_back({{{"type", "function"}, {"function", Json::parse(function)}}});
  }
  EXPECT_EQ(Jinja(source, request),
            "a::object;b::object;c::object;d::object;e:E:x=,y=True,z=,object;");
  EXPECT_EQ(Jinja("{{ tools[0].function|tojson }}", request), R"({"name": "a"})");
}

TEST(JinjaPrompt, NoToolsAreAnEmptyListWhereOneIsWanted) {
  PromptRequest request;
  request.messages = {Say("user", "?")};
  EXPECT_EQ(Jinja("{% for tool in tools %}{{ tool }}{% endfor %}{{ tools }}", request), "[]");
  EXPECT_EQ(Jinja("{{ 'f:' + functions }}", request), "f:[]");
  EXPECT_EQ(Jinja("{{ tools }}", request), "None");
}

TEST(JinjaPrompt, TypesOfToolsLoseNullWhereItIsNotKnown) {
  const std::string source =
      "{% macro name(s) %}{% set known = {'string': 'str', 'integer': 'int', 'array': 'list'} %}"
      "{% if known[s.type] is defined %}{{ known[s.type] }}{% if 'items' in s %}[{{ "
      "name(s['items']) "
      "}}]{% endif %}{% elif s.type is iterable %}{% for t in s.type %}{{ name({'type': t}) }}"
      "{% if not loop.last %}|{% endif %}{% endfor %}{% endif %}{% endmacro %}"
      "{% for key, p in tools[0].function.parameters.properties.items() %}{{ key + '=' + name(p) "
      "}};"
      "{% endfor %}";
  PromptRequest request;
  request.messages = {Say("user", "?")};
  request.tools = {Tool{Json::parse(
      R"({"type": "function", "function": {"name": "f", "description": "", "parameters": {
          "type": "object", "properties": {
            "a": {"type": ["string", "null"], "description": ""},
            "b": {"type": ["string", "integer", "null"], "description": ""},
            "c": {"type": "null", "description": ""}, "d": {"type": ["null"], "description": ""},
            "e": {"type": "array", "items": {"type": ["integer", "null"]}, "description": ""},
            "f": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": ""},
            "type": {"type": ["null", "string"], "description": ""}}}}})")}};
  EXPECT_EQ(Jinja(source, request), "a=str;b=str|int;c=;d=;e=list[int];f=;type=str;");
  EXPECT_EQ(Jinja(source + "{{ tools[0].function.parameters.properties.f.anyOf|tojson }}", request),
            "a=str;b=str|int;c=;d=;e=list[int];f=;type=str;[{\"type\": \"string\"}]");
  EXPECT_EQ(Jinja("{{ tools[0].function.parameters.properties.a.type|tojson }}", request),
            R"(["string", "null"])");
}

TEST(JinjaPrompt, FollowsNoMoreHabitsThanItMust) {
  PromptRequest request;
  request.messages = {Say("system", "S"), Say("user", "?"), Call({}),
                      Say("tool", "R"),   Say("user", "?"), Say("system", "L")};
  request.messages[2].thinking = "Hm";
  request.messages[2].tool_calls.push_back({"id2", 1, "get_weather", Json::object()});
  request.tools = {Tool{{{"function", {{"name", "f"}}}}}};
  int rendered = 0;
  const auto wants = [&](std::vector<bool JinjaForm::*> wanted) {
    return [&rendered, wanted](const JinjaForm& form) -> Result<std::string> {
      ++rendered;
      std::string text;
      for (const auto habit : wanted) {
        if (!(form.*habit)) return MakeError(ErrorCode::kInvalidArgument, "{}", rendered);
      }
      for (const auto habit :
           {&JinjaForm::arguments_as_text, &JinjaForm::short_call_ids, &JinjaForm::one_call_a_turn,
            &JinjaForm::calls_without_content, &JinjaForm::system_in_user,
            &JinjaForm::later_system_in_user, &JinjaForm::turns, &JinjaForm::tools_as_functions,
            &JinjaForm::tools_in_full})
        text += form.*habit ? '1' : '0';
      return text;
    };
  };
  EXPECT_EQ(*RenderInForms(request, wants({})), "000000000");
  EXPECT_EQ(rendered, 1);
  EXPECT_EQ(*RenderInForms(request, wants({&JinjaForm::later_system_in_user})), "000001000");
  EXPECT_EQ(*RenderInForms(request, wants({&JinjaForm::arguments_as_text, &JinjaForm::turns,
                                           &JinjaForm::short_call_ids})),
            "110000100");
  rendered = 0;
  const auto never = [&](const JinjaForm&) -> Result<std::string> {
    return MakeError(ErrorCode::kInvalidArgument, "{}", ++rendered);
  };
  EXPECT_EQ(RenderInForms(request, never).error().message, "1");
  EXPECT_EQ(rendered, 12);
  rendered = 0;
  request = {};
  request.messages = {Say("user", "?")};
  EXPECT_FALSE(RenderInForms(request, never));
  EXPECT_EQ(rendered, 5);
}

TEST(JinjaPrompt, ContinuesAnAnswer) {
  const std::string source =
      "{% for m in messages %}<{{ m.role }}>{% if m.thinking %}<think>{{ m.thinking }}</think>"
      "{% endif %}{{ m.content|trim }}<end>{% endfor %}"
      "{% if add_generation_prompt %}<assistant><think>{% endif %}";
  PromptRequest request;
  request.messages = {Say("user", "?"), Say("assistant", "It is ")};
  EXPECT_EQ(Jinja(source, request), "<user>?<end><assistant>It is ");
  request.messages = {Say("user", "?"), Say("assistant", "One."), Say("assistant", "Two")};
  EXPECT_EQ(Jinja(source, request), "<user>?<end><assistant>One.<end><assistant>Two");
  request.messages = {Say("user", "?"), Say("assistant", "")};
  EXPECT_EQ(Jinja(source, request), "<user>?<end><assistant><think>");
  request.messages[1].thinking = "They ask";
  EXPECT_EQ(Jinja(source, request), "<user>?<end><assistant><think>They ask");
  // A template that shows no such message, or refuses it.
  const std::string refusing =
      "{% for m in messages %}{% if m.role == 'assistant' %}{{ raise_exception('no') }}{% endif %}"
      "{{ m.content }}{% endfor %}A:<think>\n{# </think> #}";
  EXPECT_EQ(Jinja(refusing, request), "?A:<think>\nThey ask");
  request.messages[1].content = "It is ";
  EXPECT_EQ(Jinja(refusing, request), "?A:<think>\nThey ask\n</think>\n\nIt is ");
  request.add_generation_prompt = false;
  EXPECT_EQ(Jinja(source, request), "<user>?<end><assistant><think>They ask</think>It is<end>");
}

TEST(JinjaPrompt, AContinuedAnswerIsReadFromWhereItIs) {
  const auto prompt = *PromptTemplate::FromJinja(
      "{% for m in messages %}{{ m.content }}{% endfor %}{# <think></think><tool_call></tool_call> "
      "#}",
      "", "");
  PromptRequest request;
  request.tools = {Weather()};
  const auto read = [&](std::string begun, std::string_view rest) {
    request.messages = {Say("user", "?"), Say("assistant", std::move(begun))};
    OutputParser parser(OutputOptionsFor(*prompt, request, *prompt->Render(request)));
    OutputDelta all = parser.Add(rest);
    const OutputDelta last = parser.Finish();
    const size_t calls = all.tool_calls.size() + last.tool_calls.size();
    return all.thinking + last.thinking + "|" + all.content + last.content + "|" +
           std::to_string(calls);
  };
  EXPECT_EQ(read("It is ", "<think> here"), "|<think> here|0");
  EXPECT_EQ(read("It is <", "b>"), "|b>|0");
  EXPECT_EQ(read("<think>\nHm", ", so</think>Yes"), ", so|Yes|0");
  EXPECT_EQ(read("<think>\n", " So</think>Yes"), "So|Yes|0");
  EXPECT_EQ(read("<tool_call>\n{\"name\": ", "\"get_weather\"}\n</tool_call>"), "||1");
}

TEST(JinjaPrompt, MarksImages) {
  PromptRequest request;
  request.messages = {Say("user", "look"), Say("user", "this [img] and that")};
  request.messages[0].images = {"a"};
  request.messages[1].images = {"b", "c"};
  EXPECT_EQ(Jinja("{% for m in messages %}{{ m.content }}|{% endfor %}", request),
            "[img-0]look|[img-2]this [img-1] and that|");
}

TEST(JinjaPrompt, CapabilitiesComeFromTheText) {
  const auto plain = *PromptTemplate::FromJinja("{{ messages }}", "", "");
  EXPECT_FALSE(plain->capabilities().tools);
  EXPECT_FALSE(plain->capabilities().thinking);
  const auto rich = *PromptTemplate::FromJinja("{% if tools %}{% endif %}<think></think>", "", "");
  EXPECT_TRUE(rich->capabilities().tools);
  EXPECT_TRUE(rich->capabilities().thinking);
  EXPECT_FALSE(rich->capabilities().insert);
  EXPECT_EQ(rich->think_tags().close, "</think>");
  PromptRequest request;
  request.suffix = "x";
  EXPECT_EQ(rich->Render(request).error().code, ErrorCode::kUnsupported);
}

TEST(GoPrompt, ConversationMergesNeighboursOfOneRole) {
  PromptRequest request;
  request.messages = {Say("system", "A"), Say("system", "B"), Say("user", "1"),  Say("user", "2"),
                      Say("tool", "x"),   Say("tool", "y"),   Say("system", "C")};
  EXPECT_EQ(Go("{{ .System }}|{{ range .Messages }}{{ .Role }}={{ .Content }};{{ end }}", request),
            "A\n\nB\n\nC|system=A\n\nB;user=1\n\n2;tool=x;tool=y;system=C;");
}

TEST(GoPrompt, SingleTurnsEndAtTheResponse) {
  const std::string source =
      "{{ if .System }}S:{{ .System }} {{ end }}U:{{ .Prompt }} A:{{ .Response }}<end>";
  PromptRequest request;
  request.messages = {Say("system", "s"), Say("user", "1"), Say("assistant", "2"),
                      Say("user", "3")};
  EXPECT_EQ(Go(source, request), "S:s U:1 A:2<end>U:3 A:");
  request.messages = {Say("user", "1"), Say("assistant", "part")};
  EXPECT_EQ(Go(source, request), "U:1 A:part");
  EXPECT_EQ(Go("{{ .Prompt }}{{ if .Response }}[{{ .Response }}]x{{ end }}y", request), "1[part");
}

TEST(GoPrompt, AResponseIsAppendedWhereThereIsNone) {
  PromptRequest request;
  request.messages = {Say("user", "1"), Say("assistant", "2"), Say("user", "3")};
  EXPECT_EQ(*PromptTemplate::Default()->Render(request), "123");
}

TEST(GoPrompt, FillsAGap) {
  PromptRequest request;
  request.prompt = "def f(";
  request.suffix = "return 1";
  EXPECT_EQ(Go("<PRE>{{ .Prompt }}<SUF>{{ .Suffix }}<MID>{{ .Response }}", request),
            "<PRE>def f(<SUF>return 1<MID>");
  EXPECT_TRUE((*PromptTemplate::FromGo("{{ .Suffix }}"))->capabilities().insert);
  EXPECT_EQ(PromptTemplate::Default()->Render(request).error().code, ErrorCode::kUnsupported);
}

TEST(GoPrompt, ToolsPrintAsOllamasJson) {
  PromptRequest request;
  request.messages = {Say("user", "?"), Call({{"town", "Oslo & <co>"}, {"days", 2}})};
  request.tools = {Weather()};
  EXPECT_EQ(Go("{{ range .Messages }}{{ range .ToolCalls }}{{ .Function.Name }}{{ "
               ".Function.Arguments }}{{ end }}{{ end }}",
               request),
            R"(get_weather{"days":2,"town":"Oslo \u0026 \u003cco\u003e"})");
  EXPECT_EQ(
      Go("{{ json .Tools }}{{ if .Messages }}{{ end }}", request),
      R"([{"type":"function","function":{"name":"get_weather","description":"Weather \u003cnow\u003e","parameters":)"
      R"({"type":"object","required":["town"],"properties":{"days":{"type":["integer","null"]},)"
      R"("town":{"type":"string","description":"Where","title":"T"}}}}}])");
  EXPECT_EQ(Go("{{ range .Tools }}{{ range $n, $p := .Function.Parameters.Properties }}{{ $n }}:{{ "
               "toTypeScriptType $p }},{{ end }}{{ end }}"
               "{{ if .Messages }}{{ end }}",
               request),
            "days:number | null,town:string,");
}

TEST(GoPrompt, ThinkingAndTagsAreInferred) {
  const auto prompt = *PromptTemplate::FromGo(
      "{{ range .Messages }}{{ if eq .Role \"assistant\" }}{{ if .Thinking }}<think>\n{{ .Thinking "
      "}}\n</think>\n{{ end }}"
      "{{ .Content }}{{ if .ToolCalls }}<tool_call>\n{{ range .ToolCalls }}{\"name\": {{ "
      ".Function.Name }}}{{ end }}{{ end }}"
      "{{ end }}{{ end }}{{ if and .IsThinkSet (not .Think) }}/no_think{{ end }}{{ .ThinkLevel "
      "}}{{ if .Tools }}t{{ end }}");
  EXPECT_TRUE(prompt->capabilities().thinking);
  EXPECT_TRUE(prompt->capabilities().tools);
  EXPECT_EQ(prompt->think_tags().open, "<think>");
  EXPECT_EQ(prompt->think_tags().close, "</think>");
  EXPECT_EQ(prompt->tool_call_tag(), "<tool_call>");
  EXPECT_EQ((*PromptTemplate::FromGo("{{ .Prompt }}"))->tool_call_tag(), "{");
  PromptRequest request;
  request.messages = {Say("user", "x")};
  request.think = {true, false, ""};
  EXPECT_EQ(*prompt->Render(request), "/no_think");
  request.think = {true, true, "high"};
  EXPECT_EQ(*prompt->Render(request), "high");
  request.think = {true, true, ""};
  EXPECT_EQ(*prompt->Render(request), "medium");
}

TEST(GoPrompt, TheTagOfCallsIsTheFirstTextThatIsMoreThanSpace) {
  const auto tag = [](const std::string& calls) {
    return (*PromptTemplate::FromGo("{{ range .Messages }}{{ if .ToolCalls }}" + calls +
                                    "{{ end }}{{ end }}"))
        ->tool_call_tag();
  };
  EXPECT_EQ(tag("\n{{ range .ToolCalls }}<tool_call>\n{\"name\": {{ . }}}{{ end }}"),
            "<tool_call>");
  EXPECT_EQ(tag("  {{ if .Content }} {{ end }}x"), "{");
  EXPECT_EQ(tag(" {\"a\": 1}"), "{");
}

TEST(GoPrompt, TypesOfPropertiesPrintAsOllamas) {
  PromptRequest request;
  request.messages = {Say("user", "?")};
  request.tools = {{Json::parse(
      R"({"type": "function", "function": {"name": "f", "parameters": {"type": "object",
          "properties": {"a": {"type": ["string"]}, "b": {"type": ["integer", "null"]}}}}})")}};
  EXPECT_EQ(Go("{{ range .Tools }}{{ range $n, $p := .Function.Parameters.Properties }}{{ $n }}:{{ "
               "$p.Type }},{{ $p.ToTypeScriptType }},{{ json $p }};{{ end }}{{ end }}"
               "{{ if .Messages }}{{ end }}",
               request),
            R"(a:string,string,{"type":"string"};b:[integer null],number | null,)"
            R"({"type":["integer","null"]};)");
}

TEST(BareLanguages, RenderCases) {
  EXPECT_EQ(*RenderJinja("{{ strftime_now('%Y') }}{{ x }}",
                         {{"strftime_now", "2026-01-15T10:30:00"}, {"x", 1}}),
            "20261");
  EXPECT_FALSE(RenderJinja("x", {{"strftime_now", "yesterday"}}));
  EXPECT_FALSE(RenderJinja("x", Json::array()));
  EXPECT_EQ(
      *RenderGo("{{ .System }}-{{ .Prompt }}-{{ .Response }}.", {{"system", "s"}, {"prompt", "p"}}),
      "s-p-");
  EXPECT_EQ(*RenderGo("{{ range .Messages }}{{ .Content }}{{ end }}",
                      Json::parse(R"({"messages": [{"role": "user", "content": "hi"}]})")),
            "hi");
}

}  // namespace
}  // namespace puna::chat
