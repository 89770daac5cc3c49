// What one rendering may cost, and its first error. Templates come with model files, so they are
// hostile until they end: every evaluated node, every copied byte and every live object is counted
// here.
//
// Errors are sticky instead of returned: the first Fail() wins, the evaluator stops at the next
// node because Charge() answers false, and whatever value is produced meanwhile is thrown away. A
// Result per operation was tried on paper and made each of the two hundred small operations of the
// language three times as long without adding safety.
#ifndef PUNA_CHAT_JINJA_JINJA_METER_H_
#define PUNA_CHAT_JINJA_JINJA_METER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace puna::chat::jinja {

struct Object;

struct Limits {
  uint64_t max_steps = 30'000'000;  // evaluated nodes, plus one per 64 bytes copied
  uint64_t max_output_bytes = uint64_t{32} << 20;
  uint64_t max_live_bytes = uint64_t{192} << 20;  // strings and containers alive at the same time
  int max_depth = 1000;  // nested evaluations: expressions, statements and macro calls together
};

// Belongs to one rendering; not thread safe.
class Meter {
 public:
  explicit Meter(const Limits& limits) : limits_(limits) {}
  ~Meter();
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  const Limits& limits() const { return limits_; }
  bool failed() const { return failed_; }
  const Error& error() const { return error_; }

  // Always false, so that a caller can write `return meter.Fail(...)`.
  template <typename... Args>
  bool Fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
    return FailWith(code, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  bool Fail(fmt::format_string<Args...> format, Args&&... args) {
    return FailWith(ErrorCode::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...));
  }
  bool FailWith(ErrorCode code, std::string message);

  // False once the rendering has failed, for whatever reason.
  bool Charge(uint64_t steps) {
    steps_ += steps;
    if (steps_ > limits_.max_steps && !failed_) FailSteps();
    return !failed_;
  }
  bool ChargeBytes(uint64_t bytes) { return Charge(1 + bytes / 64); }

  // Into how many parts a text may be split: more strings than these do not fit.
  static constexpr uint64_t kPartBytes = 160;
  size_t max_parts() const { return limits_.max_live_bytes / kPartBytes; }
  bool CanAllocateParts(size_t parts) { return CanAllocate(parts * kPartBytes); }

  // To be asked before an operation whose result can be much larger than its operands.
  bool CanAllocate(uint64_t bytes);
  void Allocated(uint64_t bytes);
  void Released(uint64_t bytes) { live_bytes_ -= bytes; }

  // Keeps `object` alive until the rendering ends and then empties it by itself. Everything that
  // can change after it was made is pinned: only such objects can form cycles or chains too long to
  // be destroyed recursively.
  void Pin(std::shared_ptr<Object> object);

  // Nesting of evaluation; false (and failed) when too deep.
  bool Enter() {
    if (++depth_ > limits_.max_depth) FailDepth();
    return !failed_;
  }
  void Leave() { --depth_; }

 private:
  void FailSteps();
  void FailDepth();

  Limits limits_;
  uint64_t steps_ = 0;
  uint64_t live_bytes_ = 0;
  int depth_ = 0;
  bool failed_ = false;
  Error error_;
  std::vector<std::shared_ptr<Object>> pinned_;
};

// Enter() and Leave() around a scope: `DepthScope scope(meter); if (!scope.ok()) return ...;`
class DepthScope {
 public:
  explicit DepthScope(Meter& meter) : meter_(meter), ok_(meter.Enter()) {}
  ~DepthScope() { meter_.Leave(); }
  DepthScope(const DepthScope&) = delete;
  DepthScope& operator=(const DepthScope&) = delete;
  bool ok() const { return ok_; }

 private:
  Meter& meter_;
  bool ok_;
};

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_JINJA_METER_H_
