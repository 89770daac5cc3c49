// puna verify, prune and du: looking after the store of this machine. They work on its folder
// directly, with the locks that a running server takes too, so no server is needed.
#include <cstdio>
#include <cstdlib>

#include "cli/commands.h"
#include "cli/human.h"
#include "cli/json_output.h"
#include "cli/terminal.h"
#include "store/store.h"

namespace puna::cli {
namespace {

using store::Store;

store::ProgressFunction ShowOn(ProgressLines* lines) {
  return [lines](const store::Progress& progress) {
    lines->Show(progress.status, progress.completed_bytes, progress.total_bytes);
    return true;
  };
}

struct VerifyOptions {
  std::vector<std::string> models;
  bool json = false;
};

Status Verify(const Context& context, const VerifyOptions& options) {
  std::vector<store::ModelName> names;
  const Store store(context.settings.models);
  for (const std::string& model : options.models) {
    PUNA_ASSIGN_OR_RETURN(names.emplace_back(), store::ModelName::Parse(model));
  }
  ProgressLines lines;
  PUNA_ASSIGN_OR_RETURN(const auto problems, store.Verify(names, ShowOn(&lines)));
  lines.EndLine();
  for (const store::StoreProblem& problem : problems) {
    if (options.json) {
      PrintJsonLine({{"path", problem.path.string()},
                     {"digest", problem.digest},
                     {"problem", problem.what},
                     {"models", problem.models}});
    } else {
      std::string users;
      for (const std::string& name : problem.models) users += (users.empty() ? " (" : ", ") + name;
      if (!users.empty()) users += ")";
      std::printf("%s %s%s\n", problem.path.c_str(), problem.what.c_str(), users.c_str());
    }
  }
  if (options.json) {
    PrintJsonLine({{"folder", context.settings.models.string()}, {"problems", problems.size()}});
  } else if (problems.empty()) {
    std::printf("every blob is as it should be\n");
  }
  if (problems.empty()) return {};
  return MakeError(ErrorCode::kCorrupt, "{} of the store's files are not as they should be",
                   problems.size());
}

struct PruneArguments {
  bool all = false, dry_run = false, json = false;
};

Status Prune(const Context& context, const PruneArguments& arguments) {
  store::PruneOptions options;
  options.dry_run = arguments.dry_run;
  if (arguments.all) options.blobs = options.partials = std::chrono::seconds(0);
  PUNA_ASSIGN_OR_RETURN(const store::Pruned pruned, Store(context.settings.models).Prune(options));
  if (arguments.json) {
    PrintJsonLine({{"files", pruned.files}, {"bytes", pruned.bytes}});
    return {};
  }
  std::printf("%s %lld files, %s\n", arguments.dry_run ? "would delete" : "deleted",
              static_cast<long long>(pruned.files), HumanBytes(pruned.bytes).c_str());
  if (arguments.all) return {};
  // So that nobody wonders about what `du` says belongs to no model.
  const auto now = std::chrono::seconds(0);
  PUNA_ASSIGN_OR_RETURN(
      store::Pruned kept,
      Store(context.settings.models).Prune({.blobs = now, .partials = now, .dry_run = true}));
  if (arguments.dry_run) kept = {kept.files - pruned.files, kept.bytes - pruned.bytes};
  if (kept.files > 0) {
    std::printf(
        "%s more are less than an hour old or of pulls that can go on: --all takes them too\n",
        HumanBytes(kept.bytes).c_str());
  }
  return {};
}

Status PrintUsage(const Context& context, bool json) {
  const store::StoreUsage usage = Store(context.settings.models).Usage();
  if (json) {
    for (const store::StoreUsage::Model& model : usage.models) {
      PrintJsonLine(
          {{"model", model.name}, {"bytes", model.bytes}, {"own_bytes", model.own_bytes}});
    }
    PrintJsonLine({{"folder", context.settings.models.string()},
                   {"blob_bytes", usage.blob_bytes},
                   {"unused_bytes", usage.unused_bytes},
                   {"partial_bytes", usage.partial_bytes}});
    return {};
  }
  std::vector<std::vector<std::string>> rows = {{"NAME", "SIZE", "ITS OWN"}};
  for (const store::StoreUsage::Model& model : usage.models)
    rows.push_back({model.name, HumanBytes(model.bytes), HumanBytes(model.own_bytes)});
  std::fputs(FormatTable(rows).c_str(), stdout);
  std::printf("\n%s in %s", HumanBytes(usage.blob_bytes).c_str(), context.settings.models.c_str());
  if (usage.unused_bytes > 0)
    std::printf("; %s belong to no model", HumanBytes(usage.unused_bytes).c_str());
  if (usage.partial_bytes > 0)
    std::printf("; %s more of interrupted pulls", HumanBytes(usage.partial_bytes).c_str());
  std::printf("\n");
  return {};
}

}  // namespace

void AddVerify(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand(
      "verify", "Read every file of the installed models and compare it with its digest");
  auto options = std::make_shared<VerifyOptions>();
  command->add_option("MODELS", options->models, "Only these models");
  AddJsonFlag(command, &options->json);
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] { return Verify(context, *options); };
  });
}

void AddPrune(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command =
      app.add_subcommand("prune", "Delete files of the store that no model and no transfer needs");
  auto arguments = std::make_shared<PruneArguments>();
  command->add_flag("-a,--all", arguments->all,
                    "Also what is younger than an hour, and interrupted pulls of the last 14 days");
  command->add_flag("-n,--dry-run", arguments->dry_run, "Only say how much there is");
  AddJsonFlag(command, &arguments->json);
  command->callback([&context, arguments, chosen] {
    *chosen = [&context, arguments] { return Prune(context, *arguments); };
  });
}

void AddDiskUsage(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("du", "Show how much of the disk the models take");
  auto json = std::make_shared<bool>(false);
  AddJsonFlag(command, json.get());
  command->callback([&context, json, chosen] {
    *chosen = [&context, json] { return PrintUsage(context, *json); };
  });
}

}  // namespace puna::cli
