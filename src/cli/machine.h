// What the operating system tells about this machine and about what it lets this process have.
#ifndef PUNA_CLI_MACHINE_H_
#define PUNA_CLI_MACHINE_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace puna::cli {

struct Machine {
  std::string processor;        // its model name
  int cores = 0;                // that this process may use
  double cpu_quota = 0;         // cores' worth of time that a control group leaves; 0: all
  int64_t memory_bytes = 0;     // of the machine
  int64_t available_bytes = 0;  // without swapping
  int64_t memory_limit = 0;     // of a control group; 0: none
  int64_t swap_used_bytes = 0;
  std::string huge_pages;  // "always", "madvise", "never"
  std::string governor;    // of the first core's clock; may be empty
  std::vector<std::string> gpus;
};

// `root` stands before /proc and /sys, for tests.
Machine ReadMachine(const std::filesystem::path& root = "/");

// What would make models run faster or larger, a sentence each. `isa` is the instruction set whose
// kernels are used, `threads` the setting (0: all cores).
std::vector<std::string> Advice(const Machine& machine, const std::string& isa, int64_t threads);

}  // namespace puna::cli

#endif  // PUNA_CLI_MACHINE_H_
