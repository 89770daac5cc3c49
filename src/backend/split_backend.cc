// What is on the devices is decided when a plan is compiled: from all layers downwards, the first
// share whose weights, activations and whole cache fit into what the drivers say is free. If memory
// runs short all the same, because others took it, a smaller share is tried.
//
// The order in which weights leave the devices is that of the bytes of them that a token reads: one
// row of the embeddings, few of a mixture's experts, all of an ordinary layer. The output matrix is
// read as a layer is, but has no part of the cache, which takes memory before it is read; so it is
// the last to go.
#include "backend/split_backend.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "backend/experts_split.h"
#include "backend/plan_split.h"
#include "backend/ranked_rows.h"
#include "base/check.h"
#include "base/log.h"

namespace puna::backend {
namespace {

int64_t BytesOf(const MemoryUse& use, const CompileOptions& options) {
  return use.fixed() + use.kv_page * options.kv_pages + use.state_slot * options.state_slots;
}

void Add(const MemoryUse& use, bool on_device, MemoryUse* sum) {
  sum->weights += use.weights;
  sum->kv_page += use.kv_page;
  sum->state_slot += use.state_slot;
  sum->activations += use.activations;
  if (!on_device) return;
  sum->on_device.weights += use.weights;
  sum->on_device.kv_page += use.kv_page;
  sum->on_device.state_slot += use.state_slot;
  sum->on_device.activations += use.activations;
}

constexpr int kCpu = -1;

// A part of a plan and who computes it: a device by its index, or the CPU.
struct Part {
  int device = kCpu;
  int64_t layers = 0;
  std::shared_ptr<const Plan> plan;
  // Of a device: the mixtures that the CPU computes for it, by the number of their detour.
  std::vector<std::shared_ptr<const Plan>> experts;
};

// How the experts of a part are compiled. They are small plans, but the model need not be small.
CompileOptions ExpertOptions(const Part& part, CompileOptions options) {
  int64_t bytes = 0;
  for (const auto& plan : part.experts) {
    for (const Weight& weight : plan->weights)
      bytes += weight.RowBytes() * weight.rows * weight.experts;
  }
  if (bytes >= options.exact_below_bytes) options.exact_below_bytes = 0;
  options.kv_pages = options.state_slots = 0;
  return options;
}

// The mixtures of a part that the CPU computes, while the part's own program waits.
class DistantExperts {
 public:
  // All programs have the memory of their activations in common.
  Status CompileNext(const Part& part, const CompileOptions& options, Backend* cpu) {
    plans_.push_back(part.experts[plans_.size()]);
    CompileOptions own = ExpertOptions(part, options);
    if (!programs_.empty()) own.activations_of = programs_[0].get();
    PUNA_ASSIGN_OR_RETURN(auto program, cpu->Compile(plans_.back(), own));
    programs_.push_back(std::move(program));
    return {};
  }
  static MemoryUse Predict(const Part& part, const CompileOptions& options, const Backend& cpu) {
    MemoryUse sum;
    for (const auto& plan : part.experts)
      AddProgram(cpu.Predict(*plan, ExpertOptions(part, options)), &sum);
    return sum;
  }
  // Of the weights of one of them.
  static int64_t Bytes(const Part& part, size_t index, const CompileOptions& options,
                       const Backend& cpu) {
    return cpu.Predict(*part.experts[index], ExpertOptions(part, options)).weights;
  }

  // The pass that the part's program is about to run.
  void Begin(const Batch& batch) {
    by_tokens_.clear();
    by_outputs_.clear();
    const std::vector<int32_t> outputs = ComputedRows(batch);
    for (const Segment& segment : batch.segments) {
      const auto first = std::lower_bound(outputs.begin(), outputs.end(), segment.first_row);
      const auto last = std::lower_bound(first, outputs.end(), segment.first_row + segment.tokens);
      AddRows(segment, segment.tokens, &by_tokens_);
      AddRows(segment, last - first, &by_outputs_);
    }
    rows_.resize(batch.tokens.size());
    std::iota(rows_.begin(), rows_.end(), 0);
    tokens_.assign(batch.tokens.size(), 0);
  }
  Status Run(int detour, std::span<const float> in, std::span<float> out) {
    const int64_t width = plans_[static_cast<size_t>(detour)]->input.width;
    const size_t rows = in.size() / static_cast<size_t>(width);
    const bool whole = rows == tokens_.size();
    return programs_[static_cast<size_t>(detour)]->Run(
        {.tokens = std::span(tokens_).first(rows),
         .segments = whole ? by_tokens_ : by_outputs_,
         .output_rows = std::span(rows_).first(rows),
         .input = in},
        out);
  }
  bool Settle(double seconds) {
    bool more = false;
    for (const auto& program : programs_) more = program->Settle(more ? 0 : seconds) || more;
    return more;
  }
  MemoryUse memory_use() const {
    MemoryUse sum;
    for (const auto& program : programs_) AddProgram(program->memory_use(), &sum);
    return sum;
  }
  size_t count() const { return programs_.size(); }

 private:
  static void AddProgram(const MemoryUse& use, MemoryUse* sum) {
    sum->weights += use.weights;
    sum->activations = std::max(sum->activations, use.activations);
  }
  static void AddRows(const Segment& of, int64_t rows, std::vector<Segment>* segments) {
    if (rows == 0) return;
    const int64_t first =
        segments->empty() ? 0 : segments->back().first_row + segments->back().tokens;
    segments->push_back({.first_row = first, .tokens = rows, .adapters = of.adapters});
  }

  std::vector<std::shared_ptr<const Plan>> plans_;
  std::vector<std::unique_ptr<Program>> programs_;
  std::vector<int32_t> tokens_, rows_;
  std::vector<Segment> by_tokens_, by_outputs_;
};

class SplitProgram final : public Program {
 public:
  struct Stage {
    Part part;
    std::unique_ptr<DistantExperts> experts;  // where the part has some
    std::unique_ptr<Program> program;

    Status Run(const Batch& batch, std::span<float> out) const {
      if (experts != nullptr) experts->Begin(batch);
      return program->Run(batch, out);
    }
  };
  explicit SplitProgram(std::vector<Stage> stages) : stages_(std::move(stages)) {}

  Status Run(const Batch& batch, std::span<float> out) override {
    Batch step = batch;
    if (stages_.size() > 1) {
      all_rows_.resize(batch.tokens.size());
      std::iota(all_rows_.begin(), all_rows_.end(), 0);
      step.output_rows = all_rows_;
      step.ranked_rows = {};
    }
    for (size_t i = 0; i + 1 < stages_.size(); ++i) {
      std::vector<float>& crossing = crossing_[i % 2];
      crossing.resize(batch.tokens.size() *
                      static_cast<size_t>(stages_[i].part.plan->output.width));
      PUNA_RETURN_IF_ERROR(stages_[i].Run(step, crossing));
      step.input = crossing;
    }
    step.output_rows = batch.output_rows;
    step.ranked_rows = batch.ranked_rows;
    return stages_.back().Run(step, out);
  }
  int64_t most_ranked() const override { return stages_.back().program->most_ranked(); }
  void CopyPage(int32_t from, int32_t to, int64_t tokens) override {
    for (const Stage& stage : stages_) stage.program->CopyPage(from, to, tokens);
  }
  void ReleasePage(int32_t page) override {
    for (const Stage& stage : stages_) stage.program->ReleasePage(page);
  }
  std::span<uint8_t> PageBytes(int32_t page) override {
    if (stages_.size() > 1) return {};
    return stages_[0].program->PageBytes(page);
  }
  std::string PageFormat() const override {
    return stages_.size() > 1 ? "" : stages_[0].program->PageFormat();
  }
  bool Settle(double seconds) override {
    bool more = false;
    for (const Stage& stage : stages_) {
      more = stage.program->Settle(more ? 0 : seconds) || more;
      if (stage.experts != nullptr) more = stage.experts->Settle(more ? 0 : seconds) || more;
    }
    return more;
  }
  MemoryUse memory_use() const override {
    MemoryUse sum;
    for (const Stage& stage : stages_) {
      const bool on_device = stage.part.device != kCpu;
      Add(stage.program->memory_use(), on_device, &sum);
      if (stage.experts != nullptr) Add(stage.experts->memory_use(), false, &sum);
      if (on_device) sum.on_device.layers += stage.part.layers;
    }
    return sum;
  }
  int64_t untouched_bytes() const override {
    int64_t sum = 0;
    for (const Stage& stage : stages_) sum += stage.program->untouched_bytes();
    return sum;
  }
  void ReleaseActivations() override {
    for (const Stage& stage : stages_) stage.program->ReleaseActivations();
  }
  std::string Describe() const override {
    std::string text;
    for (const auto& [part, experts, program] : stages_) {
      const std::string what = part.layers > 0 ? std::to_string(part.layers) : "embeddings";
      if (stages_.size() > 1)
        text += fmt::format("{}{} on ", text.empty() ? "layers: " : ", ", what);
      text += program->Describe();
      if (experts != nullptr) text += fmt::format(" (experts of {} on the CPU)", experts->count());
    }
    return text;
  }

 private:
  std::vector<Stage> stages_;
  std::vector<float> crossing_[2];  // read by one part while the next is written
  std::vector<int32_t> all_rows_;
};

// A plan, and the ways to divide it.
class Divider {
 public:
  explicit Divider(std::shared_ptr<const Plan> plan)
      : plan_(std::move(plan)),
        cuts_(FindCuts(*plan_)),
        layers_(std::max<int64_t>(1, CountLayers(*plan_))) {}

  const std::shared_ptr<const Plan>& plan() const { return plan_; }
  // At least 1: then there is nothing to be cut.
  int64_t layers() const { return layers_; }

  // Whether the plan can be cut so that the last `layers` of it are apart.
  bool CanCut(int64_t layers) const {
    return layers == layers_ ||
           (std::cmp_less(layers, cuts_.size()) && cuts_[static_cast<size_t>(layers)].has_value());
  }

  // The last layers on the devices, counts[d] on device d in their order, those before on the CPU.
  // `lookups_apart`: if all layers are on devices, what they look up is not. `distant`: so many
  // mixtures of the devices, from the first on, are for the CPU. Empty if the plan cannot be cut
  // there.
  std::vector<Part> Divide(const std::vector<int64_t>& counts, bool lookups_apart,
                           int64_t distant = 0) const {
    std::vector<Part> parts = DivideLayers(counts, lookups_apart);
    for (Part& part : parts) {
      const int64_t here =
          part.device == kCpu || distant == 0 ? 0 : std::min(distant, CountExperts(*part.plan));
      distant -= here;
      if (here == 0) continue;
      ExpertsApart apart = TakeExpertsApart(*part.plan, here);
      part.plan = std::make_shared<const Plan>(std::move(apart.plan));
      for (Plan& plan : apart.experts)
        part.experts.push_back(std::make_shared<const Plan>(std::move(plan)));
    }
    return parts;
  }

 private:
  std::vector<Part> DivideLayers(const std::vector<int64_t>& counts, bool lookups_apart) const {
    std::vector<Part> parts;
    int64_t left = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    if (left < layers_ || lookups_apart) parts.push_back({kCpu, layers_ - left, nullptr});
    std::vector<PlanCut> borders;
    for (size_t d = 0; d < counts.size(); ++d) {
      if (counts[d] == 0) continue;
      if (!parts.empty()) {
        if (std::cmp_greater_equal(left, cuts_.size()) || !cuts_[static_cast<size_t>(left)])
          return {};
        borders.push_back(*cuts_[static_cast<size_t>(left)]);
      }
      parts.push_back({static_cast<int>(d), counts[d], nullptr});
      left -= counts[d];
    }
    if (parts.size() == 1) {
      parts[0].plan = plan_;
      return parts;
    }
    std::vector<Plan> plans = SplitPlan(*plan_, borders);
    for (size_t i = 0; i < parts.size(); ++i)
      parts[i].plan = std::make_shared<const Plan>(std::move(plans[i]));
    return parts;
  }

  std::shared_ptr<const Plan> plan_;
  std::vector<std::optional<PlanCut>> cuts_;
  int64_t layers_;
};

// `layers` by what is free, every layer given to somebody.
std::vector<int64_t> ByRoom(int64_t layers, const std::vector<int64_t>& room) {
  double left = 0;
  for (const int64_t bytes : room) left += static_cast<double>(bytes);
  std::vector<int64_t> counts(room.size());
  for (size_t d = 0; d < room.size() && left > 0; ++d) {
    const double share = static_cast<double>(room[d]) / left;
    counts[d] = std::min(layers, static_cast<int64_t>(static_cast<double>(layers) * share + 0.5));
    layers -= counts[d];
    left -= static_cast<double>(room[d]);
  }
  return counts;
}

class SplitBackend final : public Backend {
 public:
  SplitBackend(std::vector<std::unique_ptr<Backend>> devices, std::unique_ptr<Backend> cpu)
      : devices_(std::move(devices)), cpu_(std::move(cpu)) {
    CHECK(!devices_.empty());
  }
  std::string_view name() const override { return devices_[0]->name(); }

  Result<std::unique_ptr<Program>> Compile(std::shared_ptr<const Plan> plan,
                                           const CompileOptions& options) override {
    PUNA_RETURN_IF_ERROR(CheckDevice(options.share));
    const Divider divider(std::move(plan));
    CompileOptions smaller = options;
    const int64_t most = MostLayers(options.share, divider);
    while (most > 0) {
      const std::vector<Part> parts = Choose(divider, smaller, most);
      if (parts.empty()) break;
      PUNA_RETURN_IF_ERROR(CheckSystem(parts, options));
      bool device_failed = false;
      auto program = CompileParts(parts, options, &device_failed);
      if (program || !device_failed || program.error().code == ErrorCode::kCancelled)
        return program;
      LogWarning("{} of {} layers cannot be computed on a device: {}", DeviceLayers(parts),
                 divider.layers(), program.error().message);
      if (program.error().code != ErrorCode::kResourceExhausted) break;  // it is of no use at all
      const int64_t tried = DeviceBytes(parts, options);
      smaller.share.promised_bytes =
          PromiseAllBut(tried - std::max<int64_t>(1, tried / 8), *this, smaller.share);
    }
    PUNA_RETURN_IF_ERROR(CheckSystem({{kCpu, divider.layers(), divider.plan()}}, options));
    return cpu_->Compile(divider.plan(), options);
  }

  MemoryUse Predict(const Plan& plan, const CompileOptions& options) const override {
    // Not owned: nothing keeps it beyond this call.
    const Divider divider(std::shared_ptr<const Plan>(std::shared_ptr<const Plan>(), &plan));
    const std::vector<int64_t> room = Room(options.share);
    for (int64_t most = MostLayers(options.share, divider); most > 0; --most) {
      const std::vector<Part> parts = divider.Divide(WholeOn(Roomiest(room), most), false);
      if (!parts.empty()) return Sum(parts, options);
    }
    return cpu_->Predict(plan, options);
  }

  MemoryUse PredictNow(const Plan& plan, const CompileOptions& options) const override {
    if (!CheckDevice(options.share)) return cpu_->Predict(plan, options);
    const Divider divider(std::shared_ptr<const Plan>(std::shared_ptr<const Plan>(), &plan));
    const std::vector<Part> parts = Choose(divider, options, MostLayers(options.share, divider));
    return parts.empty() ? cpu_->Predict(plan, options) : Sum(parts, options);
  }

  std::vector<DeviceMemory> devices() const override {
    std::vector<DeviceMemory> all;
    for (const auto& device : devices_) {
      for (const DeviceMemory& memory : device->devices()) all.push_back(memory);
    }
    return all;
  }

 private:
  MemoryUse Sum(const std::vector<Part>& parts, const CompileOptions& options) const {
    MemoryUse sum;
    for (const Part& part : parts) {
      Add(OwnerOf(part).Predict(*part.plan, options), part.device != kCpu, &sum);
      Add(DistantExperts::Predict(part, options, *cpu_), false, &sum);
    }
    sum.on_device.layers = DeviceLayers(parts);
    return sum;
  }
  Status CheckDevice(const DeviceShare& share) const {
    if (share.device < 0 || std::cmp_less(share.device, devices_.size())) return {};
    return MakeError(ErrorCode::kInvalidArgument, "there is no device {}, only {} in use",
                     share.device, devices_.size());
  }
  // Whether the system has the memory for what is not on devices.
  Status CheckSystem(const std::vector<Part>& parts, const CompileOptions& options) const {
    if (!options.share.system_bytes) return {};
    int64_t needed = 0, layers = 0, all_layers = 0;
    for (const Part& part : parts) {
      all_layers += part.layers;
      needed += DistantExperts::Predict(part, options, *cpu_).fixed();
      if (part.device != kCpu) continue;
      needed += BytesOf(cpu_->Predict(*part.plan, options), options);
      layers += part.layers;
    }
    const int64_t available = options.share.system_bytes();
    if (needed <= available) return {};
    const int64_t told = std::max<int64_t>(0, available);  // less, where others were promised more
    constexpr double kGibibyte = 1 << 30;
    return MakeError(
        ErrorCode::kResourceExhausted,
        "the CPU's part of the model ({} of {} layers) needs {} bytes ({:.2f} GiB), {} "
        "bytes ({:.2f} GiB) are available",
        layers, all_layers, needed, static_cast<double>(needed) / kGibibyte, told,
        static_cast<double>(told) / kGibibyte);
  }
  static int64_t MostLayers(const DeviceShare& share, const Divider& divider) {
    return share.layers < 0 ? divider.layers() : std::min(share.layers, divider.layers());
  }
  static int64_t DeviceLayers(const std::vector<Part>& parts) {
    int64_t layers = 0;
    for (const Part& part : parts) layers += part.device != kCpu ? part.layers : 0;
    return layers;
  }
  int64_t DeviceBytes(const std::vector<Part>& parts, const CompileOptions& options) const {
    int64_t bytes = 0;
    for (const Part& part : parts) {
      if (part.device != kCpu)
        bytes += BytesOf(OwnerOf(part).Predict(*part.plan, options), options);
    }
    return bytes;
  }
  Backend& OwnerOf(const Part& part) const {
    return part.device == kCpu ? *cpu_ : *devices_[static_cast<size_t>(part.device)];
  }

  // What may be taken on each device; what was promised to others is divided as it is free.
  std::vector<int64_t> Room(const DeviceShare& share) const {
    std::vector<int64_t> room;
    int64_t all = 0;
    for (size_t d = 0; d < devices_.size(); ++d) {
      const std::vector<DeviceMemory> memory = devices_[d]->devices();
      const bool usable = share.device < 0 || share.device == static_cast<int>(d);
      room.push_back(usable && !memory.empty() ? memory[0].available_bytes : 0);
      all += room.back();
    }
    const double kept = all <= share.promised_bytes
                            ? 0
                            : 1 - static_cast<double>(share.promised_bytes) /
                                      static_cast<double>(std::max<int64_t>(all, 1));
    for (int64_t& bytes : room) bytes = static_cast<int64_t>(static_cast<double>(bytes) * kept);
    return room;
  }
  static size_t Roomiest(const std::vector<int64_t>& room) {
    return static_cast<size_t>(std::max_element(room.begin(), room.end()) - room.begin());
  }
  std::vector<int64_t> WholeOn(size_t device, int64_t layers) const {
    std::vector<int64_t> counts(devices_.size());
    counts[device] = layers;
    return counts;
  }

  // Moves layers from devices that have too little room for theirs to those that have most to
  // spare, until all fit; empty: they do not. (The last part has the output matrix beside its
  // layers.)
  std::vector<Part> Balance(const Divider& divider, const CompileOptions& options,
                            const std::vector<int64_t>& room, std::vector<int64_t> counts,
                            int64_t most_moved, bool lookups_apart, int64_t distant) const {
    for (int64_t moved = 0; moved <= most_moved; ++moved) {
      std::vector<Part> parts = divider.Divide(counts, lookups_apart, distant);
      std::vector<int64_t> spare = room;
      for (const Part& part : parts) {
        if (part.device == kCpu) continue;
        spare[static_cast<size_t>(part.device)] -=
            BytesOf(OwnerOf(part).Predict(*part.plan, options), options);
      }
      const auto [least, most] = std::minmax_element(spare.begin(), spare.end());
      if (parts.empty() || *least >= 0) return parts;
      if (*most <= 0) return {};
      --counts[static_cast<size_t>(least - spare.begin())];
      ++counts[static_cast<size_t>(most - spare.begin())];
    }
    return {};
  }

  // `layers` on the devices, with `distant` mixtures of them on the CPU; empty: they do not fit.
  std::vector<Part> Place(const Divider& divider, const CompileOptions& options,
                          const std::vector<int64_t>& room, int64_t layers, bool lookups_apart,
                          int64_t distant) const {
    std::vector<Part> parts = Balance(divider, options, room, WholeOn(Roomiest(room), layers),
                                      /*most_moved=*/0, lookups_apart, distant);
    if (parts.empty() && devices_.size() > 1) {
      parts = Balance(divider, options, room, ByRoom(layers, room), layers, lookups_apart, distant);
    }
    if (DeviceLayers(parts) == 0) parts.clear();
    return parts;
  }

  // `layers` on the devices with as few weights on the CPU as must be; empty: they do not fit.
  std::vector<Part> PlaceLayers(const Divider& divider, const CompileOptions& options,
                                const std::vector<int64_t>& room, int64_t layers) const {
    const auto place = [&](bool lookups_apart, int64_t distant) {
      return Place(divider, options, room, layers, lookups_apart, distant);
    };
    std::vector<Part> best = place(false, 0);
    if (!best.empty()) return best;
    const std::vector<int64_t> whole = WholeOn(Roomiest(room), layers);
    const bool apart = layers == divider.layers() && !divider.Divide(whole, true).empty();
    if (apart) best = place(true, 0);
    if (!best.empty()) return best;
    int64_t mixtures = 0;
    for (const Part& part : divider.Divide(whole, apart))
      mixtures += part.device == kCpu ? 0 : CountExperts(*part.plan);
    if (mixtures == 0) return {};
    best = place(apart, mixtures);
    for (int64_t least = 1, enough = mixtures; !best.empty() && least < enough;) {
      const int64_t middle = (least + enough) / 2;
      std::vector<Part> parts = place(apart, middle);
      if (parts.empty()) {
        least = middle + 1;
      } else {
        enough = middle;
        best = std::move(parts);
      }
    }
    return best;
  }

  // The division with most layers on the devices, `most` or less, that fits; empty: none. More
  // layers take more memory, so it is looked for by halving.
  std::vector<Part> Choose(const Divider& divider, const CompileOptions& options,
                           int64_t most) const {
    const std::vector<int64_t> room = Room(options.share);
    std::vector<int64_t> counts;  // that can be cut off
    for (int64_t layers = 1; layers <= most; ++layers) {
      if (divider.CanCut(layers)) counts.push_back(layers);
    }
    std::vector<Part> best;
    for (size_t fitting = 0, beyond = counts.size(); fitting < beyond;) {
      // All of them first: mostly they fit.
      const size_t at = beyond == counts.size() ? beyond - 1 : (fitting + beyond) / 2;
      std::vector<Part> parts = PlaceLayers(divider, options, room, counts[at]);
      if (parts.empty()) {
        beyond = at;
      } else {
        fitting = at + 1;
        best = std::move(parts);
      }
    }
    return best;
  }

  // Devices first: they are what may fail, and sets `device_failed` then.
  Result<std::unique_ptr<Program>> CompileParts(const std::vector<Part>& parts,
                                                const CompileOptions& options,
                                                bool* device_failed) {
    std::vector<SplitProgram::Stage> stages;
    int64_t all = 0, done = 0;
    for (const Part& part : parts) {
      std::unique_ptr<DistantExperts> experts;
      if (!part.experts.empty()) experts = std::make_unique<DistantExperts>();
      stages.push_back({part, std::move(experts), nullptr});
      all += OwnerOf(part).Predict(*part.plan, options).weights +
             DistantExperts::Predict(part, options, *cpu_).weights;
    }
    // Of a plan with `here` bytes of weights: its part of all.
    const auto options_for = [&](int64_t here) {
      CompileOptions own = options;
      if (!options.progress) return own;
      own.progress = [&options, before = done, here, all](int64_t part, int64_t parts) {
        const double share = parts > 0 ? static_cast<double>(part) / static_cast<double>(parts) : 1;
        return options.progress(before + static_cast<int64_t>(share * static_cast<double>(here)),
                                all);
      };
      return own;
    };
    for (const bool on_device : {true, false}) {
      for (SplitProgram::Stage& stage : stages) {
        if ((stage.part.device != kCpu) != on_device) continue;
        const int64_t bytes = OwnerOf(stage.part).Predict(*stage.part.plan, options).weights;
        CompileOptions own = options_for(bytes);
        own.detour = [experts = stage.experts.get()](int detour, std::span<const float> in,
                                                     std::span<float> out) {
          return experts->Run(detour, in, out);
        };
        auto program = OwnerOf(stage.part).Compile(stage.part.plan, own);
        *device_failed = !program && on_device;
        PUNA_ASSIGN_OR_RETURN(stage.program, std::move(program));
        done += bytes;
      }
    }
    for (SplitProgram::Stage& stage : stages) {
      for (size_t i = 0; i < stage.part.experts.size(); ++i) {
        const int64_t bytes = DistantExperts::Bytes(stage.part, i, options, *cpu_);
        PUNA_RETURN_IF_ERROR(
            stage.experts->CompileNext(stage.part, options_for(bytes), cpu_.get()));
        done += bytes;
      }
    }
    return std::make_unique<SplitProgram>(std::move(stages));
  }

  std::vector<std::unique_ptr<Backend>> devices_;
  std::unique_ptr<Backend> cpu_;
};

}  // namespace

int64_t FreeBytes(const Backend& backend, const DeviceShare& share) {
  const std::vector<DeviceMemory> devices = backend.devices();
  int64_t free = 0;
  for (size_t d = 0; d < devices.size(); ++d) {
    if (share.device < 0 || std::cmp_equal(share.device, d)) free += devices[d].available_bytes;
  }
  return free;
}

int64_t PromiseAllBut(int64_t bytes, const Backend& backend, const DeviceShare& share) {
  return std::max(share.promised_bytes, FreeBytes(backend, share) - bytes);
}

std::unique_ptr<Backend> CreateSplitBackend(std::vector<std::unique_ptr<Backend>> devices,
                                            std::unique_ptr<Backend> cpu) {
  return std::make_unique<SplitBackend>(std::move(devices), std::move(cpu));
}

}  // namespace puna::backend
