#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "app/commands.h"
#include "app/meminfo.h"
#include "base/compute_pool.h"
#include "base/json.h"
#include "hub/model_cache.h"
#include "hub/pull.h"
#include "kernels/table.h"
#include "model/packed_file.h"

namespace hanlin::app {
namespace {

// One finding. `advice` is empty when all is well.
struct Finding {
  std::string what, value, advice;
};

std::string isa_levels() {
  std::string levels;
  for (int i = 0; i <= static_cast<int>(kernels::best_isa()); ++i) {
    const auto isa = static_cast<kernels::Isa>(i);
    if (kernels::isa_supported(isa)) levels += (levels.empty() ? "" : " ") + std::string(kernels::isa_name(isa));
  }
  return levels;
}

// Empty if the port can be bound, else the system's words.
std::string port_problem(const std::string& host, int64_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::strerror(errno);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(fd, 1) == 0;
  const std::string problem = bound ? "" : std::strerror(errno);
  close(fd);
  return problem;
}

std::vector<Finding> examine(const Config& config) {
  std::vector<Finding> findings;
  findings.push_back({"processor", kernels::cpu_description(), ""});
  const bool slow = kernels::best_isa() == kernels::Isa::kScalar;
  findings.push_back({"levels", isa_levels(), slow ? "no AVX2: models will run, but slowly" : ""});
  const int n_cores = available_cores();
  findings.push_back({"cores", fmt::format("{} usable", n_cores),
                      config.threads > n_cores ? fmt::format("threads = {} is more than there are cores: set it to 0", config.threads) : ""});

  const int64_t n_free = meminfo_bytes("MemAvailable");
  findings.push_back({"memory", fmt::format("{} free of {}", format_bytes(n_free), format_bytes(meminfo_bytes("MemTotal"))),
                      n_free < (int64_t{2} << 30) ? "less than 2 GiB are free: use small models" : ""});

  const hub::HubSettings hub = hub::hub_settings();
  std::error_code ec;
  std::filesystem::path existing = hub.cache_dir;
  while (!existing.empty() && existing != existing.root_path() && !std::filesystem::exists(existing, ec)) existing = existing.parent_path();
  if (existing.empty()) existing = ".";
  const auto space = std::filesystem::space(existing, ec);
  const auto n_disk = ec ? int64_t{0} : static_cast<int64_t>(space.available);
  const bool writable = access(existing.c_str(), W_OK) == 0;
  findings.push_back({"model cache", hub.cache_dir, writable ? "" : existing.string() + " is not writable: set HF_HOME to a directory of yours"});
  findings.push_back({"disk", format_bytes(n_disk) + " free", n_disk < (int64_t{1} << 30) ? "less than 1 GiB is free: `hanlin rm` models, or set HF_HOME to another disk" : ""});

  const auto models = hub::ModelCache(hub.cache_dir).list();
  std::string names;
  for (const auto& model : models) names += (names.empty() ? "" : ", ") + hub::display_name(model.repository, model.file, hub::Catalog::built_in());
  findings.push_back({"models", names.empty() ? "none" : names, names.empty() ? "fetch one: hanlin pull qwen2.5-coder-0.5b" : ""});

  const std::string packed = packed_dir(config);
  if (const PackedUsage usage = packed_usage(packed); usage.n_files > 0) {
    findings.push_back({"packed", fmt::format("{} in {} file{} of {} (may be deleted; --packed-cache off makes none)", format_bytes(usage.n_bytes), usage.n_files,
                                              usage.n_files == 1 ? "" : "s", packed), ""});
  }

  const std::string problem = config.port == 0 ? "" : port_problem(config.host, config.port);
  findings.push_back({"port", fmt::format("{}:{} {}", config.host, config.port, problem.empty() ? "is free" : problem),
                      problem.empty() ? "" : "choose another: hanlin serve --port N"});
  return findings;
}

}  // namespace

Command doctor_command() {
  auto json = std::make_shared<bool>(false);
  Command command{.name = "doctor",
                  .summary = "Look at processor, memory, disk, models and port, and say what to mend",
                  .examples =
                      "  hanlin doctor                # a line per finding, advice where something is wrong\n"
                      "  hanlin doctor --port 9000    # with the settings you mean to serve with",
                  .config_flags = true};
  command.options.add("json", json.get(), "Print JSON");
  command.run = [json](LoadedConfig& config) -> Status {
    Json list = Json::array();
    for (const Finding& finding : examine(config.values)) {
      list.push_back({{"what", finding.what}, {"value", finding.value}, {"ok", finding.advice.empty()}, {"advice", finding.advice}});
      if (*json) continue;
      fmt::print("{} {:<12} {}\n", finding.advice.empty() ? "ok     " : "problem", finding.what, finding.value);
      if (!finding.advice.empty()) fmt::print("{:21}{}\n", "", finding.advice);
    }
    if (*json) fmt::print("{}\n", dump_json(list, 2));
    return {};
  };
  return command;
}

}  // namespace hanlin::app
