// --json of the commands that list things: one object a line, for scripts.
#ifndef PUNA_CLI_JSON_OUTPUT_H_
#define PUNA_CLI_JSON_OUTPUT_H_

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/json.h"

namespace puna::cli {

inline void AddJsonFlag(CLI::App* command, bool* json) {
  command->add_flag("--json", *json, "One JSON object a line");
}

inline void PrintJsonLine(const Json& object) { std::printf("%s\n", DumpJson(object).c_str()); }

}  // namespace puna::cli

#endif  // PUNA_CLI_JSON_OUTPUT_H_
