// What the setting "auto" chooses, from made-up lists of devices, and what becomes of what it
// chose.
#include "backend/auto_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "backend/cpu/test_networks.h"
#include "backend/device_choice.h"
#include "tests/support/shared_data.h"

namespace puna::backend {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using vulkan::DeviceInfo;
using namespace cpu;  // NOLINT: the plans and batches of its tests

DeviceInfo Device(int index, const std::string& kind, const std::string& unfit = "",
                  const std::string& id = "") {
  DeviceInfo device;
  device.index = index;
  device.name = "device " + std::to_string(index);
  device.kind = kind;
  device.software = kind == "software";
  device.unfit = unfit;
  device.id = id;
  return device;
}

std::vector<int> Taken(std::string_view setting, const std::vector<DeviceInfo>& devices) {
  std::vector<int> taken;
  const std::vector<DeviceChoice> choices = ChooseDevices(setting, devices);
  EXPECT_EQ(choices.size(), devices.size());
  for (size_t i = 0; i < choices.size(); ++i) {
    EXPECT_NE(choices[i].why, "");
    if (choices[i].used) taken.push_back(devices[i].index);
  }
  return taken;
}

TEST(DeviceChoice, AutoTakesDiscreteGpus) {
  EXPECT_THAT(Taken("auto", {}), ElementsAre());
  EXPECT_THAT(Taken("auto", {Device(0, "software")}), ElementsAre());
  EXPECT_THAT(Taken("auto", {Device(0, "integrated"), Device(1, "virtual"), Device(2, "other")}),
              ElementsAre());
  EXPECT_THAT(Taken("auto", {Device(0, "discrete")}), ElementsAre(0));
  EXPECT_THAT(Taken("auto", {Device(0, "integrated"), Device(1, "discrete"), Device(2, "software"),
                             Device(3, "discrete")}),
              ElementsAre(1, 3));
  EXPECT_THAT(Taken("auto", {Device(0, "discrete", "no 64-bit integers"), Device(1, "discrete")}),
              ElementsAre(1));
}

TEST(DeviceChoice, AutoTakesAGpuOnceThoughItHasTwoDrivers) {
  EXPECT_THAT(Taken("auto", {Device(0, "discrete", "", "a"), Device(1, "discrete", "", "b"),
                             Device(2, "discrete", "", "a")}),
              ElementsAre(0, 1));
  // What the first of them lacks, the other may have.
  EXPECT_THAT(Taken("auto", {Device(0, "discrete", "old", "a"), Device(1, "discrete", "", "a")}),
              ElementsAre(1));
}

TEST(DeviceChoice, OtherSettingsTakeWhatTheyName) {
  const std::vector<DeviceInfo> devices = {Device(0, "software"), Device(1, "integrated"),
                                           Device(2, "discrete")};
  EXPECT_THAT(Taken("cpu", devices), ElementsAre());
  EXPECT_THAT(Taken("reference", devices), ElementsAre());
  EXPECT_THAT(Taken("vulkan", devices), ElementsAre(1));
  EXPECT_THAT(Taken("vulkan:0", devices), ElementsAre(0));
  EXPECT_THAT(Taken("vulkan:2,vulkan:0", devices), ElementsAre(0, 2));
  EXPECT_THAT(Taken("vulkan:1", {Device(0, "discrete"), Device(1, "discrete", "old")}),
              ElementsAre());
}

TEST(DeviceChoice, SaysWhyNot) {
  const auto choices =
      ChooseDevices("auto", {Device(0, "software"), Device(1, "integrated"),
                             Device(2, "discrete", "no 16-bit storage"), Device(3, "discrete")});
  EXPECT_THAT(choices[0].why, HasSubstr("software"));
  EXPECT_THAT(choices[1].why, HasSubstr("PUNA_DEVICE=vulkan:1"));
  EXPECT_THAT(choices[2].why, HasSubstr("no 16-bit storage"));
  EXPECT_THAT(choices[3].why, HasSubstr("discrete"));
}

class DiscreteGpuTest : public ::testing::Test {
 protected:
  void AddToBus(const std::string& slot, const std::string& kind, const std::string& maker) const {
    const auto folder = root_.path() / "sys/bus/pci/devices" / slot;
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "class") << kind << "\n";
    std::ofstream(folder / "vendor") << maker << "\n";
  }
  bool MayHaveOne() const { return MayHaveDiscreteGpu(root_.path()); }

  testing::TemporaryDirectory root_;
};

TEST_F(DiscreteGpuTest, IsLookedForOnTheBus) {
  EXPECT_FALSE(MayHaveOne());
  AddToBus("0000:00:00.0", "0x060000", "0x10de");  // a bridge
  AddToBus("0000:00:02.0", "0x030000", "0x8086");  // of an Intel processor
  AddToBus("0000:03:00.0", "0x030000", "0x1a03");  // of a management controller
  AddToBus("0000:04:00.0", "", "0x10de");
  EXPECT_FALSE(MayHaveOne());
  AddToBus("0000:17:00.0", "0x030200", "0x10de");
  EXPECT_TRUE(MayHaveOne());
}

TEST_F(DiscreteGpuTest, MayBeOfAnyMaker) {
  AddToBus("0000:03:00.0", "0x030000", "0x8086");
  EXPECT_TRUE(MayHaveOne());
}

TEST_F(DiscreteGpuTest, MayBeAnAccelerator) {
  AddToBus("0000:03:00.0", "0x120000", "0x1002");
  EXPECT_TRUE(MayHaveOne());
}

TEST_F(DiscreteGpuTest, IsSeenByItsDriverWithoutABus) {
  std::filesystem::create_directories(root_.path() / "dev");
  std::ofstream(root_.path() / "dev/nvidiactl") << "";
  EXPECT_TRUE(MayHaveOne());
}

// Two discrete devices, which are the reference backend, beside others.
class AutoBackendTest : public ::testing::Test {
 protected:
  std::unique_ptr<Backend> Make() {
    return CreateAutoBackend({.list = [this]() -> Result<std::vector<DeviceInfo>> {
                                ++listed_;
                                if (!error_.empty())
                                  return MakeError(ErrorCode::kUnsupported, "{}", error_);
                                return devices_;
                              },
                              .open = [this](int index) -> Result<std::unique_ptr<Backend>> {
                                opened_.push_back(index);
                                if (broken_.contains(index))
                                  return MakeError(ErrorCode::kInternal, "it is broken");
                                return std::make_unique<GpuBackend>(runs_plans_);
                              }},
                             MakeBackend("cpu"));
  }
  static std::string WhereItRuns(Backend* backend) {
    const CompileOptions options{.kv_type = KvType::kF32, .kv_pages = 8, .max_batch_tokens = 32};
    const auto program = backend->Compile(Decoder(Shape()), options);
    return program ? (*program)->Describe() : program.error().message;
  }

  class GpuBackend final : public Backend {
   public:
    explicit GpuBackend(bool runs_plans) : runs_plans_(runs_plans) {}
    std::string_view name() const override { return "gpu"; }
    Result<std::unique_ptr<Program>> Compile(std::shared_ptr<const Plan> plan,
                                             const CompileOptions& options) override {
      if (!runs_plans_) return MakeError(ErrorCode::kUnsupported, "an op is missing");
      return inner_->Compile(std::move(plan), options);
    }
    MemoryUse Predict(const Plan& plan, const CompileOptions& options) const override {
      return inner_->Predict(plan, options);
    }
    std::vector<DeviceMemory> devices() const override { return {{int64_t{1} << 40}}; }

   private:
    std::unique_ptr<Backend> inner_ = MakeBackend("reference");
    bool runs_plans_;
  };

  std::vector<DeviceInfo> devices_ = {Device(0, "software"), Device(1, "discrete"),
                                      Device(2, "integrated"), Device(3, "discrete")};
  std::string error_;
  std::set<int> broken_;
  bool runs_plans_ = true;
  int listed_ = 0;
  std::vector<int> opened_;
};

TEST_F(AutoBackendTest, LooksOnceAndNotBeforeItIsAsked) {
  const auto backend = Make();
  EXPECT_EQ(listed_, 0);
  EXPECT_EQ(backend->devices().size(), 2u);
  EXPECT_EQ(WhereItRuns(backend.get()), "reference");
  EXPECT_EQ(listed_, 1);
  EXPECT_THAT(opened_, ElementsAre(1, 3));
}

TEST_F(AutoBackendTest, WithoutADiscreteGpuTheCpuComputes) {
  devices_ = {Device(0, "software"), Device(1, "integrated")};
  const auto backend = Make();
  EXPECT_THAT(WhereItRuns(backend.get()), StartsWith("cpu"));
  EXPECT_EQ(backend->name(), "cpu");
  EXPECT_TRUE(backend->devices().empty());
  EXPECT_THAT(opened_, ElementsAre());
}

TEST_F(AutoBackendTest, WithoutALoaderTheCpuComputes) {
  error_ = "no Vulkan loader on this machine";
  EXPECT_THAT(WhereItRuns(Make().get()), StartsWith("cpu"));
}

TEST_F(AutoBackendTest, ADeviceThatCannotBeOpenedIsLeftOut) {
  broken_ = {1};
  const auto backend = Make();
  EXPECT_EQ(backend->devices().size(), 1u);
  EXPECT_EQ(WhereItRuns(backend.get()), "reference");
  broken_ = {1, 3};
  const auto without = Make();
  EXPECT_TRUE(without->devices().empty());
  EXPECT_THAT(WhereItRuns(without.get()), StartsWith("cpu"));
}

TEST_F(AutoBackendTest, AModelThatADeviceCannotRunGoesToTheCpu) {
  runs_plans_ = false;
  EXPECT_THAT(WhereItRuns(Make().get()), StartsWith("cpu"));
}

TEST(AutoBackend, IsABackendOfThisMachine) {
  const auto backend = CreateBackend({.name = "auto"});
  ASSERT_TRUE(backend) << backend.error().message;
  EXPECT_FALSE(CreateBackend({.name = "auto", .isa = "quantum"}));
  EXPECT_FALSE(CreateBackend({.name = "auto:0"}));
}

}  // namespace
}  // namespace puna::backend
