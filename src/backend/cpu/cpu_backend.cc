#include "backend/cpu/cpu_backend.h"

#include "backend/cpu/cpu_program.h"
#include "base/cores.h"

namespace puna::backend::cpu {
namespace {

constexpr int kMaxThreads = 1024;

class CpuBackend final : public Backend {
 public:
  CpuBackend(Isa isa, int threads, InputObserver* observer) : machine_(isa, threads, observer) {}
  const Status& started() const { return machine_.pool.status(); }
  std::string_view name() const override { return "cpu"; }

  Result<std::unique_ptr<Program>> Compile(std::shared_ptr<const Plan> plan,
                                           const CompileOptions& options) override {
    PUNA_ASSIGN_OR_RETURN(std::unique_ptr<CpuProgram> program,
                          CpuProgram::Outline(std::move(plan), options, &machine_));
    PUNA_RETURN_IF_ERROR(program->Load());
    return std::unique_ptr<Program>(std::move(program));
  }

  MemoryUse Predict(const Plan& plan, const CompileOptions& options) const override {
    // The outline does not outlive this call, so it need not own the plan.
    const std::shared_ptr<const Plan> borrowed(std::shared_ptr<const void>(), &plan);
    const auto program = CpuProgram::Outline(borrowed, options, &machine_);
    return program ? (*program)->memory_use() : MemoryUse{};
  }

 private:
  mutable Machine machine_;
};

}  // namespace

Result<std::unique_ptr<Backend>> CreateCpuBackend(const BackendOptions& options,
                                                  InputObserver* observer) {
  PUNA_ASSIGN_OR_RETURN(const Isa isa, ChooseIsa(options.isa));
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return MakeError(ErrorCode::kInvalidArgument, "{} threads, expected 1 to {}, or 0 for all",
                     options.threads, kMaxThreads);
  }
  auto backend = std::make_unique<CpuBackend>(
      isa, options.threads == 0 ? UsableCores() : options.threads, observer);
  PUNA_RETURN_IF_ERROR(backend->started());
  return backend;
}

}  // namespace puna::backend::cpu
