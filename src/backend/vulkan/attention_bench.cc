// How fast attention is on a device, by shape of the network, depth, users and rows, and by the
// sizes that the kernels can be compiled for.
//
//   attention_bench vulkan:N [NAME=VALUE[,VALUE...]]...   e.g. few=128x32x8,128x64x8
//
//   shape   HEADSxKV_HEADSxSIZE                    rows    tokens of each user in the pass
//   users   sequences of a pass                    depth   keys before them
//   few, many      THREADSxTILExQUERIES of attention_few.comp and attention_many.comp
//   busy, shared   busy_groups and KiB of shared_bytes of AttentionTuning
//   layers  attention ops of a pass; their keys should be larger than the caches of the device
//   repeat  passes, of which the fastest counts
//
// All combinations are run. A pass is nothing but attention that reads what lies in the cache,
// which was never written: the time does not depend on values. The time of a layer is the
// difference between passes of all layers and of one. GB/s: keys and values, each counted once for
// a user. TFLOP/s: two for each product of visible keys and values.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cpu/test_plans.h"
#include "backend/vulkan/device.h"
#include "backend/vulkan/vulkan_program.h"

namespace puna::backend::vulkan {
namespace {

using Choices = std::map<std::string, std::vector<std::string>, std::less<>>;

struct Case {
  int64_t heads = 0, kv_heads = 0, size = 0, users = 0, depth = 0, rows = 0;
};

int64_t Number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  CHECK(error == std::errc() && end == text.data() + text.size()) << "not a number: " << text;
  return value;
}

std::vector<std::string> Split(std::string_view text, char by) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(by, at), text.size());
    parts.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// Three numbers with an x between them.
std::vector<int64_t> Numbers(std::string_view text) {
  std::vector<int64_t> numbers;
  for (const std::string& part : Split(text, 'x')) numbers.push_back(Number(part));
  CHECK(numbers.size() == 3) << text << " is not three numbers with an x between them";
  return numbers;
}

std::shared_ptr<const Plan> AttentionPlan(const Case& c, int64_t layers) {
  cpu::PlanBuilder b(1);
  b.plan().vocabulary = 16;
  const View q = b.Buffer(c.heads * c.size), out = b.Buffer(c.heads * c.size);
  b.Do(EmbedOp{b.Add(1, 16, q.width, 1.0f), q});
  for (int64_t layer = 0; layer < layers; ++layer) {
    AttentionOp op{.q = q, .out = out, .cache = static_cast<int>(layer)};
    op.heads = c.heads;
    op.kv_heads = c.kv_heads;
    op.k_size = op.v_size = c.size;
    op.scale = 0.1f;
    b.plan().cache_layers.push_back({c.kv_heads, c.size, c.size, 0});
    b.Do(op);
  }
  return b.Finish(out);
}

// Seconds of the fastest of `repeat` passes; below 0: it does not run.
double SecondsOfPass(const std::shared_ptr<Device>& device, const Case& c, int64_t layers,
                     int64_t repeat, const AttentionTuning& tuning) {
  const int64_t pages = (c.depth + c.rows + kPageTokens - 1) / kPageTokens;
  const CompileOptions options{.kv_pages = c.users * pages, .max_batch_tokens = c.users * c.rows};
  auto program = VulkanProgram::Load(AttentionPlan(c, layers), options, device, tuning);
  if (!program) {
    std::fprintf(stderr, "%s\n", program.error().message.c_str());
    return -1;
  }
  const std::vector<int32_t> tokens(static_cast<size_t>(c.users * c.rows), 1);
  std::vector<int32_t> table(static_cast<size_t>(c.users * pages));
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<int32_t>(i);
  std::vector<Segment> segments;
  for (int64_t user = 0; user < c.users; ++user) {
    segments.push_back(
        {user * c.rows, c.rows, c.depth,
         std::span(table).subspan(static_cast<size_t>(user * pages), static_cast<size_t>(pages))});
  }
  double best = -1;
  for (int64_t i = 0; i < repeat; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const Status ran = (*program)->Run({tokens, segments, {}}, {});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (!ran) {
      std::fprintf(stderr, "%s\n", ran.error().message.c_str());
      return -1;
    }
    if (i > 0 && (best < 0 || took.count() < best)) best = took.count();
  }
  return best;
}

void RunCase(const std::shared_ptr<Device>& device, const Case& c, int64_t layers, int64_t repeat,
             const AttentionTuning& tuning) {
  const double one = SecondsOfPass(device, c, 1, repeat, tuning),
               all = SecondsOfPass(device, c, layers, repeat, tuning);
  if (one < 0 || all < 0) return;
  const double seconds = (all - one) / static_cast<double>(layers - 1);
  const auto keys = static_cast<double>(c.users * (c.depth + c.rows));
  const double seen = static_cast<double>(c.users * c.rows) *
                      (static_cast<double>(c.depth) + (static_cast<double>(c.rows) + 1) / 2);
  const double bytes = keys * static_cast<double>(c.kv_heads * 2 * c.size * 2),
               flops = seen * static_cast<double>(c.heads * 4 * c.size);
  const auto sizes = [](const KernelSizes& k) {
    return fmt::format("{}x{}x{}", k.threads, k.tile, k.queries);
  };
  fmt::print(
      "{}x{}x{} users {:<3} depth {:<6} rows {:<5} few {} many {} busy {:<5} {:9.1f} us a layer "
      "{:8.1f} GB/s {:7.2f} TFLOP/s\n",
      c.heads, c.kv_heads, c.size, c.users, c.depth, c.rows, sizes(tuning.few), sizes(tuning.many),
      tuning.busy_groups, seconds * 1e6, bytes / seconds * 1e-9, flops / seconds * 1e-12);
  std::fflush(stdout);
}

// Calls `visit` with each combination, as one value a name.
template <typename Visit>
void ForEach(const Choices& choices, Choices::const_iterator at,
             std::map<std::string, std::string>* chosen, const Visit& visit) {
  if (at == choices.end()) return visit(*chosen);
  for (const std::string& value : at->second) {
    (*chosen)[at->first] = value;
    ForEach(choices, std::next(at), chosen, visit);
  }
}

int Main(int argc, char** argv) {
  Choices choices{{"shape", {"32x8x128"}}, {"users", {"1"}},      {"depth", {"512", "4096"}},
                  {"rows", {"1"}},         {"few", {"128x64x8"}}, {"many", {"128x32x32"}},
                  {"busy", {"512"}},       {"shared", {"48"}},    {"layers", {"32"}},
                  {"repeat", {"10"}}};
  for (int i = 2; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto name = choices.find(argument.substr(0, argument.find('=')));
    if (name == choices.end() || argument.find('=') == std::string_view::npos) {
      std::fprintf(stderr, "unknown argument %s\n", argv[i]);
      return 2;
    }
    name->second = Split(argument.substr(argument.find('=') + 1), ',');
  }
  const std::string_view device_name = argc < 2 ? "" : argv[1];
  if (!device_name.starts_with("vulkan:")) {
    std::fprintf(stderr, "usage: attention_bench vulkan:N [NAME=VALUE[,VALUE...]]...\n");
    return 2;
  }
  const auto device = Device::Open(static_cast<int>(Number(device_name.substr(7))), {});
  if (!device) {
    std::fprintf(stderr, "%s\n", device.error().message.c_str());
    return 1;
  }
  std::printf("%s\n", (*device)->info().name.c_str());
  std::map<std::string, std::string> chosen;
  ForEach(choices, choices.begin(), &chosen, [&](const std::map<std::string, std::string>& values) {
    const auto number = [&](const char* name) { return Number(values.at(name)); };
    const auto sizes = [&](const char* name) -> KernelSizes {
      const std::vector<int64_t> n = Numbers(values.at(name));
      return {static_cast<uint32_t>(n[0]), static_cast<uint32_t>(n[1]),
              static_cast<uint32_t>(n[2])};
    };
    const std::vector<int64_t> shape = Numbers(values.at("shape"));
    const Case c{shape[0], shape[1], shape[2], number("users"), number("depth"), number("rows")};
    RunCase(*device, c, number("layers"), number("repeat"),
            {sizes("few"), sizes("many"), static_cast<uint32_t>(number("busy")),
             number("shared") << 10});
  });
  return 0;
}

}  // namespace
}  // namespace puna::backend::vulkan

int main(int argc, char** argv) { return puna::backend::vulkan::Main(argc, argv); }
