#include "api/fields.h"

#include <gtest/gtest.h>

#include <string>

namespace puna::api {
namespace {

std::string List(int count, const std::string& value) {
  std::string text = "{\"x\":[" + value;
  for (int i = 1; i < count; ++i) text += "," + value;
  return text + "]}";
}

std::string ErrorOf(const std::string& body) {
  const auto json = ParseBody(body);
  return json ? "" : json.error().message;
}

TEST(ParseBody, SmallTextsDoNotBecomeLargeRequests) {
  EXPECT_EQ(ErrorOf(List(100'000, "{}")), "");
  EXPECT_EQ(ErrorOf(List(1'900'000, "1")), "");
  EXPECT_EQ(ErrorOf("{\"x\":\"" + std::string(8'000'000, '{') + "\"}"), "") << "a picture, say";
  EXPECT_EQ(ErrorOf(List(200'000, "{}")),
            "the body has more than 200000 objects or 2000000 values");
  EXPECT_NE(ErrorOf(List(2'100'000, "1")).find("2000000 values"), std::string::npos);
  EXPECT_NE(ErrorOf(List(2'100'000, "[]")).find("2000000 values"), std::string::npos);
}

TEST(ParseBody, NamesWhatIsNoObject) {
  EXPECT_EQ(ErrorOf("null"), "json: cannot unmarshal null into Go value of type object");
  EXPECT_EQ(ErrorOf("1"), "json: cannot unmarshal number into Go value of type object");
  EXPECT_EQ(ErrorOf("[]"), "json: cannot unmarshal array into Go value of type object");
}

TEST(ParseBody, StringsAreTakenAsGoTakesThem) {
  EXPECT_EQ((*ParseBody(R"({"x":"hello \ud83d"})"))["x"], "hello \uFFFD");
  EXPECT_EQ((*ParseBody("{\"x\":\"caf\xE9\"}"))["x"], "caf\uFFFD");
  EXPECT_EQ((*ParseBody(R"({"\udc00":1})"))["\uFFFD"], 1);
  EXPECT_EQ(ErrorOf("{\"x\":\xE9}"), "invalid character '\\xe9' looking for beginning of value");
  EXPECT_EQ(ErrorOf(R"({"x":"\ud83d)"), "unexpected EOF");
}

}  // namespace
}  // namespace puna::api
