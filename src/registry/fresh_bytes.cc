#include "registry/fresh_bytes.h"

#include <utility>

namespace puna::registry {
namespace {

// Enough that a pause of the one who hashes does no harm, little enough for the cache of the cores.
constexpr int64_t kMaxKeptBytes = 8 << 20;
// Whoever has fallen behind has to read back, which is slower, and would never catch up again. So
// it is waited for; not for long, since it may be held up by something else.
constexpr auto kMaxWaitForRoom = std::chrono::milliseconds(100);

}  // namespace

std::string FreshBytes::Buffer() {
  const std::lock_guard lock(mutex_);
  if (spare_.empty()) return {};
  std::string buffer = std::move(spare_.back());
  spare_.pop_back();
  return buffer;
}

void FreshBytes::Offer(int64_t at, std::string bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  std::unique_lock lock(mutex_);
  const auto near = [&] { return at >= wanted_ && at - wanted_ < 2 * kMaxKeptBytes; };
  const auto fits = [&] { return kept_bytes_ + size <= kMaxKeptBytes; };
  if (near()) room_.wait_for(lock, kMaxWaitForRoom, [&] { return fits() || woken_; });
  if (!near() || !fits()) {
    bytes.clear();
    spare_.push_back(std::move(bytes));
    return;
  }
  kept_bytes_ += size;
  kept_.emplace(at, std::move(bytes));
  if (at == wanted_) changed_.notify_all();
}

std::optional<std::string> FreshBytes::Take(int64_t at) {
  const std::lock_guard lock(mutex_);
  wanted_ = at;
  while (!kept_.empty() && kept_.begin()->first <= at) {
    auto first = kept_.extract(kept_.begin());
    kept_bytes_ -= static_cast<int64_t>(first.mapped().size());
    room_.notify_all();
    if (first.key() == at) return std::move(first.mapped());
  }
  return std::nullopt;
}

int64_t FreshBytes::Next() {
  const std::lock_guard lock(mutex_);
  return kept_.empty() ? INT64_MAX : kept_.begin()->first;
}

void FreshBytes::Return(std::string buffer) {
  buffer.clear();
  const std::lock_guard lock(mutex_);
  spare_.push_back(std::move(buffer));
}

void FreshBytes::Wait(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [&] { return woken_ || kept_.contains(wanted_); });
  woken_ = false;
}

void FreshBytes::Wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_all();
  room_.notify_all();
}

}  // namespace puna::registry
