// Commands name addresses of records and of the pass block only, so they stay good while buffers
// grow: the records and the pass block say where buffers are. (The copy of the outputs names its
// buffers, and they are forgotten when those grow.) They are recorded anew for a new shape: other
// numbers of rows, other numbers of tiles of attention. A barrier stands only between
// steps of which one writes what the other touches.
#include "backend/vulkan/vulkan_program.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "backend/check_batch.h"
#include "backend/ranked_rows.h"
#include "base/check.h"
#include "base/rounding.h"

namespace puna::backend::vulkan {
namespace {

// Rows that buffers of outputs have at first: those of a large vocabulary are the largest of all,
// and most passes want few.
constexpr int64_t kFirstOutputRows = 64;
constexpr size_t kMostRecorded = 16;
constexpr uint32_t kPassUnit = 4096;
constexpr int64_t kPageKeys = kPageTokens;
constexpr uint32_t kMostRows = 65535;  // what every device allows in each direction of a grid

int64_t SlotBytes(const Slot& slot, int64_t rows, int64_t scratch_pages) {
  if (slot.fixed_bytes > 0) return slot.fixed_bytes;
  if (slot.scratch_page_bytes > 0) return slot.scratch_page_bytes * scratch_pages;
  return rows * slot.rows_per_row * slot.row_floats * static_cast<int64_t>(sizeof(float));
}

int64_t FirstRows(const Slot& slot, const CompileOptions& options) {
  return slot.kind == RowKind::kTokens ? options.max_batch_tokens
                                       : std::min(options.max_batch_tokens, kFirstOutputRows);
}

int64_t ActivationBytes(const CompiledPlan& compiled, const CompileOptions& options) {
  int64_t bytes = RoundUp(static_cast<int64_t>(compiled.records.size()), 256);
  for (const Slot& slot : compiled.slots)
    bytes += SlotBytes(slot, FirstRows(slot, options), options.max_batch_tokens / kPageKeys + 1);
  return bytes;
}

MemoryUse MemoryOf(const CompiledPlan& compiled, const WeightUpload& weights,
                   const CompileOptions& options) {
  return {.weights = weights.bytes(),
          .kv_page = compiled.page_bytes,
          .state_slot = compiled.state_bytes,
          .activations = ActivationBytes(compiled, options)};
}

bool Touches(const View& a, const View& b) {
  return a.buffer == b.buffer && a.offset < b.offset + b.width && b.offset < a.offset + a.width;
}

// What was dispatched since the last barrier.
class Hazards {
 public:
  explicit Hazards(bool adapters) : adapters_(adapters) {}
  bool NeedsBarrier(const Step& step) const {
    if (step.hidden && hidden_) return true;
    if (adapters_ && step.narrow && narrow_) return true;
    const auto any = [](const std::vector<View>& views, const std::vector<View>& others) {
      return std::ranges::any_of(views, [&](const View& a) {
        return std::ranges::any_of(others, [&](const View& b) { return Touches(a, b); });
      });
    };
    return any(step.reads, writes_) || any(step.writes, writes_) || any(step.writes, reads_);
  }
  void Add(const Step& step) {
    reads_.insert(reads_.end(), step.reads.begin(), step.reads.end());
    writes_.insert(writes_.end(), step.writes.begin(), step.writes.end());
    hidden_ = hidden_ || step.hidden;
    narrow_ = narrow_ || step.narrow;
  }
  void Clear() {
    reads_.clear();
    writes_.clear();
    hidden_ = narrow_ = false;
  }

 private:
  std::vector<View> reads_, writes_;
  bool adapters_, hidden_ = false, narrow_ = false;
};

// The pass block: a header, then arrays, in one piece of memory.
class PassBlock {
 public:
  PassBlock() : bytes_(sizeof(PassHeader)) {}
  // The place of an array, as an offset; made an address in Finish.
  template <typename T>
  uint64_t Add(std::span<const T> values) {
    bytes_.resize(static_cast<size_t>(RoundUp(static_cast<int64_t>(bytes_.size()), 16)));
    const uint64_t offset = bytes_.size();
    const auto* first = reinterpret_cast<const uint8_t*>(values.data());
    bytes_.insert(bytes_.end(), first, first + values.size_bytes());
    return offset;
  }
  size_t size() const { return bytes_.size(); }
  // `header` with offsets made addresses.
  std::span<const uint8_t> Finish(PassHeader header, uint64_t base) {
    for (uint64_t* offset : {&header.buffers, &header.token_ids, &header.positions,
                             &header.row_segments, &header.output_rows, &header.segment_infos,
                             &header.pages, &header.state_writes, &header.low_rank, &header.ranked,
                             &header.ropes, &header.given, &header.attention_tiles}) {
      *offset += base;
    }
    std::memcpy(bytes_.data(), &header, sizeof(header));
    return bytes_;
  }

 private:
  std::vector<uint8_t> bytes_;
};

}  // namespace

Result<MemoryUse> PredictMemory(const Plan& plan, const CompileOptions& options,
                                const AttentionTuning& tuning) {
  WeightUpload weights(&plan, nullptr, 0);
  PUNA_ASSIGN_OR_RETURN(const CompiledPlan compiled,
                        PlanCompiler(&plan, options, &weights, tuning).Compile());
  return MemoryOf(compiled, weights, options);
}

VulkanProgram::VulkanProgram(std::shared_ptr<const Plan> plan, const CompileOptions& options,
                             std::shared_ptr<Device> device, const AttentionTuning& tuning)
    : plan_(std::move(plan)),
      options_(options),
      tuning_(tuning),
      device_(std::move(device)),
      weights_(plan_.get(), device_.get(), 0),
      adapters_(device_.get()) {}

Result<std::unique_ptr<VulkanProgram>> VulkanProgram::Load(std::shared_ptr<const Plan> plan,
                                                           const CompileOptions& options,
                                                           std::shared_ptr<Device> device,
                                                           const AttentionTuning& tuning) {
  if (options.max_batch_tokens < 1 || options.max_batch_tokens > kMostRows ||
      options.kv_pages < 0 || options.kv_pages > INT32_MAX || options.state_slots < 0 ||
      options.state_slots > INT32_MAX) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "a batch of {} tokens with {} cache pages and {} state slots is out of range",
                     options.max_batch_tokens, options.kv_pages, options.state_slots);
  }
  PUNA_ASSIGN_OR_RETURN(const MemoryUse memory, PredictMemory(*plan, options, tuning));
  std::unique_ptr<VulkanProgram> program(
      new VulkanProgram(std::move(plan), options, std::move(device), tuning));
  program->weights_ = WeightUpload(program->plan_.get(), program->device_.get(), memory.weights);
  PUNA_RETURN_IF_ERROR(program->Prepare());
  return program;
}

Status VulkanProgram::Prepare() {
  PUNA_ASSIGN_OR_RETURN(compiled_,
                        PlanCompiler(plan_.get(), options_, &weights_, tuning_).Compile());
  memory_ = MemoryOf(compiled_, weights_, options_);
  PUNA_RETURN_IF_ERROR(weights_.Upload(options_.progress));
  PUNA_ASSIGN_OR_RETURN(records_, device_->Allocate(static_cast<int64_t>(compiled_.records.size()),
                                                    MemoryKind::kDevice));
  slots_.resize(compiled_.slots.size());
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = compiled_.slots[i];
    PUNA_RETURN_IF_ERROR(GrowSlot(i, SlotBytes(slot, FirstRows(slot, options_), 0)));
  }
  PUNA_RETURN_IF_ERROR(WriteRecords());
  pages_ = std::make_unique<PageMemory>(device_.get(), options_.kv_pages, compiled_.page_bytes);
  states_ =
      std::make_unique<PageMemory>(device_.get(), options_.state_slots, compiled_.state_bytes);
  const VkCommandPoolCreateInfo pool{.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                     .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                     .queueFamilyIndex = device_->queue_family()};
  const VkResult result =
      device_->api().CreateCommandPool(device_->handle(), &pool, nullptr, &pool_);
  if (result != VK_SUCCESS) return VulkanError(result, "creating a command pool");
  PUNA_ASSIGN_OR_RETURN(copy_commands_, NewCommands());
  if (PassTimes::wanted()) times_ = std::make_unique<PassTimes>(device_.get());
  return {};
}

VulkanProgram::~VulkanProgram() {
  if (pool_ == VK_NULL_HANDLE || device_->hangs()) return;
  device_->api().DestroyCommandPool(device_->handle(), pool_, nullptr);
}

Result<VkCommandBuffer> VulkanProgram::NewCommands() {
  const VkCommandBufferAllocateInfo allocate{
      .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
      .commandPool = pool_,
      .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
      .commandBufferCount = 1};
  VkCommandBuffer commands = VK_NULL_HANDLE;
  const VkResult result =
      device_->api().AllocateCommandBuffers(device_->handle(), &allocate, &commands);
  if (result != VK_SUCCESS) return VulkanError(result, "making a command buffer");
  return commands;
}

Status VulkanProgram::Grow(Buffer* buffer, int64_t bytes, MemoryKind kind) {
  if (*buffer && buffer->size_bytes() >= bytes) return {};
  *buffer = Buffer();
  PUNA_ASSIGN_OR_RETURN(*buffer, device_->Allocate(bytes, kind));
  return {};
}

Status VulkanProgram::GrowSlot(size_t slot, int64_t bytes) {
  return Grow(&slots_[slot], bytes, MemoryKind::kDevice);
}

Status VulkanProgram::WriteRecords() {
  std::vector<uint8_t> bytes = compiled_.records;
  for (const Relocation& relocation : compiled_.relocations) {
    const uint64_t address = slots_[relocation.slot].address() + relocation.offset;
    std::memcpy(bytes.data() + relocation.at, &address, sizeof(address));
  }
  return device_->Write(records_, 0, bytes);
}

Status VulkanProgram::MakeRoom(const PassShape& shape, int64_t scratch_pages) {
  bool moved = false;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = compiled_.slots[i];
    const int64_t needed = SlotBytes(slot, shape.rows(slot.kind), scratch_pages);
    if (needed <= slots_[i].size_bytes()) continue;
    PUNA_RETURN_IF_ERROR(
        GrowSlot(i, static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(needed)))));
    moved = true;
    if (std::cmp_equal(i, plan_->output.buffer)) ForgetCommands();
  }
  if (moved) PUNA_RETURN_IF_ERROR(WriteRecords());
  if (moved && !compiled_.pauses.empty()) ForgetCommands();  // they name slots
  PUNA_RETURN_IF_ERROR(MakeRoomForDetours(shape));
  const auto whole = static_cast<uint32_t>(shape.ranked > 0 ? shape.whole.size()
                                           : plan_->pooled  ? shape.segments
                                                            : shape.outputs);
  const auto answer_bytes = [&](uint32_t rows) {
    return RankedBytes(shape) + rows * plan_->output.width * int64_t{sizeof(float)};
  };
  if (answer_.size_bytes() < answer_bytes(whole)) {
    ForgetCommands();
    PUNA_RETURN_IF_ERROR(Grow(&answer_, answer_bytes(std::bit_ceil(whole)), MemoryKind::kAnswer));
  }
  PUNA_RETURN_IF_ERROR(
      Grow(&narrow_,
           compiled_.narrow_per_token * shape.tokens * shape.most_rank * int64_t{sizeof(float)},
           MemoryKind::kDevice));
  if (!compiled_.selects_keys) return {};
  const int64_t keys = int64_t{shape.tokens} * shape.most_keys;
  PUNA_RETURN_IF_ERROR(Grow(&selections_, plan_->selections * keys / 8, MemoryKind::kDevice));
  PUNA_RETURN_IF_ERROR(Grow(&index_scores_, keys * 4, MemoryKind::kDevice));
  return Grow(&index_order_, keys * 4, MemoryKind::kDevice);
}

Status VulkanProgram::MakeRoomForDetours(const PassShape& shape) {
  int64_t in = 0, out = 0;
  for (const Pause& pause : compiled_.pauses) {
    const int64_t row_bytes = int64_t{shape.rows(pause.rows)} * int64_t{sizeof(float)};
    in = std::max(in, row_bytes * pause.detour.in.width);
    out = std::max(out, row_bytes * pause.detour.out.width);
  }
  if (detour_in_.size_bytes() >= in && detour_out_.size_bytes() >= out) return {};
  ForgetCommands();
  const auto rounded = [](int64_t bytes) {
    return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(bytes)));
  };
  PUNA_RETURN_IF_ERROR(Grow(&detour_in_, rounded(in), MemoryKind::kAnswer));
  return Grow(&detour_out_, rounded(out), MemoryKind::kUpload);
}

Result<std::vector<SegmentInfo>> VulkanProgram::DescribeSegments(
    const Batch& batch, std::vector<uint64_t>* pages, std::vector<StateWriteInfo>* writes,
    int64_t* scratch_pages) {
  std::vector<SegmentInfo> infos;
  for (const Segment& segment : batch.segments) {
    SegmentInfo info{};
    info.first_row = static_cast<uint>(segment.first_row);
    info.tokens = static_cast<uint>(segment.tokens);
    info.start_position = static_cast<uint>(segment.start_position);
    info.encoded = static_cast<uint>(segment.encoded);
    info.first_page = static_cast<uint>(pages->size());
    info.scratch_page = static_cast<uint>(*scratch_pages);
    *scratch_pages += (segment.tokens + kPageKeys - 1) / kPageKeys;
    if (!plan_->cache_layers.empty()) {
      const int64_t count = (segment.start_position + segment.tokens + kPageKeys - 1) / kPageKeys;
      for (const int32_t page : segment.pages.first(static_cast<size_t>(count))) {
        PUNA_ASSIGN_OR_RETURN(const uint64_t address, pages_->Address(page));
        pages->push_back(address);
      }
    }
    if (!plan_->state_layers.empty()) {
      if (segment.start_position > 0) {
        PUNA_ASSIGN_OR_RETURN(info.state, states_->Address(segment.state));
      }
      info.first_write = static_cast<uint>(writes->size());
      info.writes = static_cast<uint>(segment.state_writes.size());
      for (const StateWrite& write : segment.state_writes) {
        PUNA_ASSIGN_OR_RETURN(const uint64_t to, states_->Address(write.slot));
        writes->push_back({to, static_cast<uint>(write.tokens), 0});
      }
    }
    infos.push_back(info);
  }
  return infos;
}

// [table][cosine, sine][tokens][pairs]
std::vector<float> VulkanProgram::RopeValues(const Batch& batch) const {
  const size_t tokens = batch.tokens.size();
  std::vector<float> values(compiled_.rope_values * tokens);
  for (const RopeTable& table : compiled_.ropes) {
    const size_t pairs = table.inverse_frequency.size();
    float* cosines = values.data() + table.first * tokens;
    float* sines = cosines + pairs * tokens;
    for (const Segment& segment : batch.segments) {
      for (int64_t i = 0; i < segment.tokens; ++i) {
        const auto position = static_cast<double>(segment.start_position + i);
        const size_t row = static_cast<size_t>(segment.first_row + i) * pairs;
        for (size_t p = 0; p < pairs; ++p) {
          const double angle = position * table.inverse_frequency[p];
          cosines[row + p] = static_cast<float>(std::cos(angle) * table.magnitude);
          sines[row + p] = static_cast<float>(std::sin(angle) * table.magnitude);
        }
      }
    }
  }
  return values;
}

int64_t VulkanProgram::RankedBytes(const PassShape& shape) {
  return int64_t{shape.ranked} * kMostRanked * int64_t{sizeof(RankedValue)};
}

std::vector<RankedRequest> VulkanProgram::DescribeOutputs(const Batch& batch,
                                                          std::span<const int32_t> rows,
                                                          PassShape* shape) const {
  shape->outputs = static_cast<uint32_t>(rows.size());
  shape->ranked = static_cast<uint32_t>(batch.ranked_rows.size());
  std::vector<RankedRequest> requests;
  for (uint32_t i = 0; i < shape->outputs && shape->ranked > 0; ++i) {
    const size_t next = requests.size();
    if (next == batch.ranked_rows.size() || batch.ranked_rows[next].row != rows[i]) {
      shape->whole.push_back(i);
      continue;
    }
    requests.push_back({.output_row = i,
                        .count = static_cast<uint>(batch.ranked_rows[next].values.size()),
                        .first = static_cast<uint>(next) * kMostRanked});
  }
  return requests;
}

Result<PassShape> VulkanProgram::WritePass(const Batch& batch) {
  PassShape shape;
  shape.tokens = static_cast<uint32_t>(batch.tokens.size());
  const std::vector<int32_t> output_rows = ComputedRows(batch);
  const std::vector<RankedRequest> requests = DescribeOutputs(batch, output_rows, &shape);
  shape.segments = static_cast<uint32_t>(batch.segments.size());
  shape.encodes = batch.encodes;
  std::vector<uint64_t> pages;
  std::vector<StateWriteInfo> writes;
  int64_t scratch_pages = 0, most_keys = 0;
  PUNA_ASSIGN_OR_RETURN(const std::vector<SegmentInfo> infos,
                        DescribeSegments(batch, &pages, &writes, &scratch_pages));
  std::vector<uint32_t> positions, row_segments;
  for (size_t s = 0; s < infos.size(); ++s) {
    const SegmentInfo& info = infos[s];
    for (uint i = 0; i < info.tokens; ++i) positions.push_back(info.start_position + i);
    row_segments.resize(positions.size(), static_cast<uint32_t>(s));
    most_keys = std::max<int64_t>(most_keys, info.start_position + info.tokens);
  }
  const TileList tiles = TilesFor(infos, compiled_.attention, tuning_);
  shape.tiles = tiles.counts;
  shape.most_keys = compiled_.selects_keys
                        ? std::bit_ceil(static_cast<uint32_t>(std::max<int64_t>(most_keys, 256)))
                        : 0;
  PUNA_ASSIGN_OR_RETURN(const AdapterMemory::Table low_rank,
                        adapters_.TableFor(batch, plan_->weights.size()));
  shape.adapters = low_rank.most_rank == 0 ? 0 : low_rank.adapters;
  shape.most_rank = low_rank.most_rank == 0 ? 0 : std::bit_ceil(low_rank.most_rank);
  PUNA_RETURN_IF_ERROR(MakeRoom(shape, scratch_pages));

  std::vector<uint64_t> addresses;
  for (const Buffer& slot : slots_) addresses.push_back(slot.address());
  PassHeader header{};
  header.tokens = shape.tokens;
  header.outputs = shape.outputs;
  header.segments = shape.segments;
  header.selection_words = shape.most_keys / 32;
  PassBlock block;
  header.buffers = block.Add<uint64_t>(addresses);
  header.token_ids = block.Add<int32_t>(batch.tokens);
  header.positions = block.Add<uint32_t>(positions);
  header.row_segments = block.Add<uint32_t>(row_segments);
  header.output_rows = block.Add<int32_t>(output_rows);
  header.ranked = block.Add<RankedRequest>(requests);
  header.segment_infos = block.Add<SegmentInfo>(infos);
  header.pages = block.Add<uint64_t>(pages);
  header.attention_tiles = block.Add<AttentionTile>(tiles.tiles);
  header.state_writes = block.Add<StateWriteInfo>(writes);
  header.ropes = block.Add<float>(RopeValues(batch));
  header.low_rank = block.Add<LowRankEntry>(low_rank.entries);
  header.adapters = shape.adapters;
  header.most_rank = shape.most_rank;
  header.narrow = narrow_.address();
  header.given = block.Add<float>(batch.input);
  header.selections = selections_.address();
  header.index_scores = index_scores_.address();
  header.index_order = index_order_.address();
  header.answer = header.ranked_answer = answer_.address();
  shape.pass_bytes = std::bit_ceil(std::max(static_cast<uint32_t>(block.size()), kPassUnit));
  if (!pass_ || pass_.size_bytes() < shape.pass_bytes) {
    ForgetCommands();  // they know where the block was
    PUNA_RETURN_IF_ERROR(Grow(&pass_, shape.pass_bytes, MemoryKind::kDevice));
    PUNA_RETURN_IF_ERROR(Grow(&upload_, shape.pass_bytes, MemoryKind::kUpload));
  }
  const std::span<const uint8_t> bytes = block.Finish(header, pass_.address());
  uint8_t* to = pass_.mapped() != nullptr ? pass_.mapped() : upload_.mapped();
  std::memcpy(to, bytes.data(), bytes.size());
  return shape;
}

void VulkanProgram::Free(const Recorded& pass) {
  device_->api().FreeCommandBuffers(
      device_->handle(), pool_, static_cast<uint32_t>(pass.commands.size()), pass.commands.data());
}

void VulkanProgram::ForgetCommands() {
  for (const Recorded& pass : recorded_) Free(pass);
  recorded_.clear();
}

// By a copy command, which a driver gives to what moves data fastest: a shader that wrote the
// logits to the host's memory did so at 1.6 GB/s on an H100.
void VulkanProgram::RecordAnswer(CommandRecorder* recorder, VkCommandBuffer commands,
                                 const PassShape& shape) {
  const View& output = plan_->output;
  std::vector<uint32_t> rows = shape.whole;
  if (shape.ranked == 0) {
    rows.resize(shape.rows(compiled_.output_rows));
    std::iota(rows.begin(), rows.end(), 0);
  }
  if (compiled_.output_rows == RowKind::kTokens || rows.empty() || shape.encodes) return;
  constexpr VkDeviceSize kValue = sizeof(float);
  const auto width = static_cast<VkDeviceSize>(output.width);
  const auto stride =
      static_cast<VkDeviceSize>(compiled_.slots[static_cast<size_t>(output.buffer)].row_floats);
  const VkDeviceSize first = static_cast<VkDeviceSize>(output.offset) * kValue;
  auto to = static_cast<VkDeviceSize>(RankedBytes(shape));
  std::vector<VkBufferCopy> regions;
  for (const uint32_t row : rows) {
    const VkDeviceSize from = first + row * stride * kValue;
    if (!regions.empty() && regions.back().srcOffset + regions.back().size == from) {
      regions.back().size += width * kValue;
    } else {
      regions.push_back({from, to, width * kValue});
    }
    to += width * kValue;
  }
  recorder->Wait(VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
                 VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT);
  device_->api().CmdCopyBuffer(commands, slots_[static_cast<size_t>(output.buffer)].handle(),
                               answer_.handle(), static_cast<uint32_t>(regions.size()),
                               regions.data());
  if (times_ != nullptr) times_->Add(commands, fmt::format("copy of outputs [{}]", rows.size()));
}

// Of a pass that is recorded, the next commands.
Status VulkanProgram::BeginCommands(Recorded* pass, std::unique_ptr<CommandRecorder>* recorder) {
  PUNA_ASSIGN_OR_RETURN(const VkCommandBuffer commands, NewCommands());
  pass->commands.push_back(commands);
  const VkCommandBufferBeginInfo begin{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  const VkResult result = device_->api().BeginCommandBuffer(commands, &begin);
  if (result != VK_SUCCESS) return VulkanError(result, "recording a pass");
  *recorder = std::make_unique<CommandRecorder>(device_.get(), commands, records_.address(),
                                                pass_.address(), times_.get());
  if (times_ != nullptr) times_->Begin(commands);
  return {};
}

Status VulkanProgram::EndCommands(const Recorded& pass, CommandRecorder* recorder) {
  recorder->Wait(VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                 VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                 VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
  if (times_ != nullptr) recorded_names_[pass.commands.back()] = times_->TakeNames();
  const VkResult result = device_->api().EndCommandBuffer(pass.commands.back());
  if (result != VK_SUCCESS) return VulkanError(result, "recording a pass");
  return {};
}

void VulkanProgram::RecordCrossing(const Pause& pause, const PassShape& shape, bool to_host,
                                   CommandRecorder* recorder, VkCommandBuffer commands) {
  constexpr VkDeviceSize kValue = sizeof(float);
  const View& view = to_host ? pause.detour.in : pause.detour.out;
  const auto slot = static_cast<size_t>(view.buffer);
  const auto stride = static_cast<VkDeviceSize>(compiled_.slots[slot].row_floats) * kValue;
  const VkDeviceSize bytes = static_cast<VkDeviceSize>(view.width) * kValue;
  std::vector<VkBufferCopy> regions;
  for (uint32_t row = 0; row < shape.rows(pause.rows); ++row) {
    const VkDeviceSize in_slot = static_cast<VkDeviceSize>(view.offset) * kValue + row * stride;
    const VkDeviceSize at_host = row * bytes;
    regions.push_back({to_host ? in_slot : at_host, to_host ? at_host : in_slot, bytes});
  }
  const VkBuffer on_device = slots_[slot].handle();
  if (to_host) {
    recorder->Wait(VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
                   VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT);
  }
  device_->api().CmdCopyBuffer(commands, to_host ? on_device : detour_out_.handle(),
                               to_host ? detour_in_.handle() : on_device,
                               static_cast<uint32_t>(regions.size()), regions.data());
  if (!to_host) {  // and what the commands before the pause have written
    recorder->Wait(VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                   VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_SHADER_WRITE_BIT,
                   VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                   VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                       VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
  }
}

Status VulkanProgram::RecordSteps(Recorded* pass, std::unique_ptr<CommandRecorder>* recorder) {
  const PassShape& shape = pass->shape;
  const std::span<const Step> all(compiled_.steps);
  Hazards hazards(shape.adapters > 0);
  for (const Step& step :
       shape.encodes ? all.first(compiled_.encoder_steps) : all.subspan(compiled_.encoder_steps)) {
    if (step.pause >= 0) {
      const Pause& pause = compiled_.pauses[static_cast<size_t>(step.pause)];
      if (shape.rows(pause.rows) == 0) continue;
      (*recorder)->Finish();
      RecordCrossing(pause, shape, /*to_host=*/true, recorder->get(), pass->commands.back());
      PUNA_RETURN_IF_ERROR(EndCommands(*pass, recorder->get()));
      pass->pauses.push_back(step.pause);
      PUNA_RETURN_IF_ERROR(BeginCommands(pass, recorder));
      RecordCrossing(pause, shape, /*to_host=*/false, recorder->get(), pass->commands.back());
      hazards.Clear();
      continue;
    }
    if (step.needed && !step.needed(**recorder, shape)) continue;
    if (hazards.NeedsBarrier(step)) {
      (*recorder)->Barrier();
      hazards.Clear();
    }
    PUNA_RETURN_IF_ERROR(step.record(recorder->get(), shape));
    hazards.Add(step);
  }
  (*recorder)->Finish();
  return {};
}

Status VulkanProgram::RecordPass(Recorded* pass) {
  std::unique_ptr<CommandRecorder> recorder;
  PUNA_RETURN_IF_ERROR(BeginCommands(pass, &recorder));
  if (pass_.mapped() == nullptr) {
    const VkBufferCopy copy{0, 0, pass->shape.pass_bytes};
    device_->api().CmdCopyBuffer(pass->commands.back(), upload_.handle(), pass_.handle(), 1, &copy);
    recorder->Wait(VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT,
                   VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT);
  }
  PUNA_RETURN_IF_ERROR(RecordSteps(pass, &recorder));
  RecordAnswer(recorder.get(), pass->commands.back(), pass->shape);
  return EndCommands(*pass, recorder.get());
}

Result<const VulkanProgram::Recorded*> VulkanProgram::CommandsFor(const PassShape& shape) {
  const auto found =
      std::ranges::find_if(recorded_, [&](const Recorded& pass) { return pass.shape == shape; });
  if (found != recorded_.end()) {
    recorded_.splice(recorded_.begin(), recorded_, found);
    return &recorded_.front();
  }
  if (recorded_.size() >= kMostRecorded) {
    Free(recorded_.back());
    recorded_.pop_back();
  }
  recorded_.push_front({.shape = shape, .commands = {}, .pauses = {}});
  const Status status = RecordPass(&recorded_.front());
  if (!status) {
    Free(recorded_.front());
    recorded_.pop_front();
    return tl::unexpected<Error>(status.error());
  }
  return &recorded_.front();
}

Status VulkanProgram::Run(const Batch& batch, std::span<float> out) {
  CheckBatch(*plan_, options_, batch, most_ranked());
  CHECK(!batch.tokens.empty()) << "an empty batch";
  CHECK(static_cast<int64_t>(out.size()) == OutputRows(*plan_, batch) * plan_->output.width)
      << out.size();
  if (failure_) failure_ = RunPass(batch, out);
  return failure_;
}

Status VulkanProgram::RunPass(const Batch& batch, std::span<float> out) {
  PUNA_RETURN_IF_ERROR(FlushCopies());
  PUNA_ASSIGN_OR_RETURN(const PassShape shape, WritePass(batch));
  PUNA_ASSIGN_OR_RETURN(const Recorded* pass, CommandsFor(shape));
  for (size_t i = 0; i < pass->commands.size(); ++i) {
    PUNA_RETURN_IF_ERROR(device_->Run(pass->commands[i]));
    if (times_ != nullptr) times_->Read(recorded_names_[pass->commands[i]], shape.tokens);
    if (i == pass->pauses.size()) break;
    PUNA_RETURN_IF_ERROR(TakeDetour(compiled_.pauses[static_cast<size_t>(pass->pauses[i])], shape));
  }
  if (!out.empty())
    std::memcpy(out.data(), answer_.mapped() + RankedBytes(shape), out.size_bytes());
  ReadRanked(batch);
  return {};
}

Status VulkanProgram::TakeDetour(const Pause& pause, const PassShape& shape) {
  CHECK(options_.detour) << "a detour that nobody computes";
  const size_t rows = shape.rows(pause.rows);
  const auto values = [&](const Buffer& buffer, const View& view) {
    return std::span(reinterpret_cast<float*>(buffer.mapped()),
                     rows * static_cast<size_t>(view.width));
  };
  return options_.detour(pause.detour.detour, values(detour_in_, pause.detour.in),
                         values(detour_out_, pause.detour.out));
}

// A workgroup leaves what it found in no particular order.
void VulkanProgram::ReadRanked(const Batch& batch) const {
  std::vector<float> values;
  std::vector<int32_t> columns;
  for (size_t i = 0; i < batch.ranked_rows.size(); ++i) {
    const RankedRow& row = batch.ranked_rows[i];
    values.clear();
    columns.clear();
    for (size_t j = 0; j < row.values.size(); ++j) {
      RankedValue found;
      std::memcpy(&found, answer_.mapped() + (i * kMostRanked + j) * sizeof(found), sizeof(found));
      constexpr uint kSign = 0x80000000;
      const uint bits = (found.key & kSign) != 0 ? found.key ^ kSign : ~found.key;
      values.push_back(std::bit_cast<float>(bits));
      columns.push_back(found.key == 0 ? -1 : static_cast<int32_t>(found.column));
    }
    RankCandidates(values, columns, row);
  }
}

// Whole pages: what lies behind the first `tokens` is not visible to anybody until it is written
// again.
void VulkanProgram::CopyPage(int32_t from, int32_t to, int64_t tokens) {
  if (plan_->cache_layers.empty() || from == to || tokens == 0) return;
  CHECK(from >= 0 && from < options_.kv_pages && to >= 0 && to < options_.kv_pages)
      << from << " to " << to;
  CHECK(tokens >= 0 && tokens <= kPageTokens) << tokens;
  copies_.push_back({from, to});
}

Status VulkanProgram::FlushCopies() {
  if (copies_.empty()) return {};
  const std::vector<PageCopy> copies = std::exchange(copies_, {});
  for (const PageCopy& copy : copies) PUNA_RETURN_IF_ERROR(pages_->Address(copy.to));
  const Api& api = device_->api();
  const VkCommandBufferBeginInfo begin{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                       .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
  api.BeginCommandBuffer(copy_commands_, &begin);
  for (const PageCopy& copy : copies) {
    const VkBufferCopy region{static_cast<VkDeviceSize>(pages_->OffsetOf(copy.from)),
                              static_cast<VkDeviceSize>(pages_->OffsetOf(copy.to)),
                              static_cast<VkDeviceSize>(pages_->page_bytes())};
    api.CmdCopyBuffer(copy_commands_, pages_->BufferOf(copy.from).handle(),
                      pages_->BufferOf(copy.to).handle(), 1, &region);
    // The next may read what this one wrote.
    CommandRecorder(device_.get(), copy_commands_, 0, 0)
        .Wait(VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT,
              VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
              VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT |
                  VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT);
  }
  api.EndCommandBuffer(copy_commands_);
  return device_->Run(copy_commands_);
}

void VulkanProgram::ReleasePage(int32_t page) {
  if (plan_->cache_layers.empty()) return;
  CHECK(page >= 0 && page < options_.kv_pages) << page;
  if (failure_) failure_ = FlushCopies();
  pages_->Release(page);
}

std::string VulkanProgram::Describe() const {
  return fmt::format("vulkan:{} {}", device_->info().index, device_->info().name);
}

}  // namespace puna::backend::vulkan
