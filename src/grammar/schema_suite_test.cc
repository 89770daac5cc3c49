// The JSON Schema Test Suite, draft 2020-12, through the grammar.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "grammar/grammar.h"
#include "tests/support/shared_data.h"

namespace puna::grammar {
namespace {

struct Counts {
  int schemas = 0, unsupported_schemas = 0, unsupported_cases = 0;
  int valid = 0, accepted = 0, invalid = 0, rejected = 0;
  std::vector<std::string> wrong;
  std::map<std::string, int> reasons;
};

void Judge(const std::filesystem::path& file, Counts* counts) {
  const Json groups = Json::parse(*ReadFile(file));
  for (const Json& group : groups) {
    ++counts->schemas;
    const auto grammar = Grammar::Compile(Part::Schema(group["schema"], SchemaReading::kExact));
    if (!grammar) {
      EXPECT_TRUE(grammar.error().code == ErrorCode::kUnsupported ||
                  grammar.error().code == ErrorCode::kInvalidArgument)
          << grammar.error().message;
      ++counts->unsupported_schemas;
      counts->unsupported_cases += static_cast<int>(group["tests"].size());
      ++counts->reasons[file.filename().string() + ": " + grammar.error().message];
      continue;
    }
    for (const Json& test : group["tests"]) {
      const bool valid = test["valid"];
      const auto accepted = (*grammar)->AcceptsJson(DumpJson(test["data"]));
      ++(valid ? counts->valid : counts->invalid);
      if (accepted.has_value() && *accepted == valid) {
        ++(valid ? counts->accepted : counts->rejected);
      } else {
        counts->wrong.push_back(file.filename().string() + ": " +
                                group["description"].get<std::string>() + ": " +
                                test["description"].get<std::string>() +
                                (accepted ? "" : " (" + accepted.error().message + ")"));
      }
    }
  }
}

TEST(SchemaSuite, AcceptsTheValidAndRejectsTheInvalid) {
  PUNA_SHARED_OR_SKIP(folder, "data/json_schema/JSON-Schema-Test-Suite/tests/draft2020-12");
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    // There "format" is an annotation that rejects nothing; here it is a limit.
    if (entry.path().extension() == ".json" && entry.path().filename() != "format.json")
      files.push_back(entry.path());
  }
  for (const char* format :
       {"date", "time", "date-time", "duration", "uuid", "email", "ipv4", "ipv6", "uri"})
    files.push_back(folder / "optional" / "format" / (std::string(format) + ".json"));
  for (const char* name :
       {"anchor", "bignum", "ecmascript-regex", "non-bmp-regex", "no-schema", "id"})
    files.push_back(folder / "optional" / (std::string(name) + ".json"));
  std::sort(files.begin(), files.end());
  Counts counts;
  for (const auto& file : files) Judge(file, &counts);
  for (const auto& [reason, count] : counts.reasons)
    std::printf("unsupported (%d) %s\n", count, reason.c_str());
  for (const std::string& wrong : counts.wrong) std::printf("wrong: %s\n", wrong.c_str());
  std::printf("schemas: %d, of which %d with %d cases are not supported\n", counts.schemas,
              counts.unsupported_schemas, counts.unsupported_cases);
  std::printf("valid: %d of %d accepted; invalid: %d of %d rejected\n", counts.accepted,
              counts.valid, counts.rejected, counts.invalid);
  EXPECT_EQ(counts.accepted, counts.valid);
  EXPECT_GE(counts.rejected, 0.98 * counts.invalid);
  EXPECT_GE(counts.valid + counts.invalid, 1000);
}

}  // namespace
}  // namespace puna::grammar
