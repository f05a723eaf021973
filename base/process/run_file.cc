#include "base/process/run_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/process/process_manager.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula {
namespace {

std::string PathOf(const std::string& folder, const std::string& role, const std::string& id) {
  return StrCat(folder, "/", role, "-", id, ".json");
}

absl::StatusOr<RunFile> Parse(const std::filesystem::path& path) {
  std::ifstream in(path);
  auto json = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::DataLossError(StrCat(path.string(), " is not a run file; remove it if no process of this cluster runs"));
  RunFile file;
  file.role = json.value("role", "");
  file.id = json.value("id", "");
  file.tenant = json.value("tenant", uint64_t{0});
  file.generation = json.value("generation", uint64_t{0});
  file.pid = json.value("pid", 0);
  file.start_time = json.value("start_time", uint64_t{0});
  file.address = json.value("address", "");
  file.http = json.value("http", "");
  file.control = json.value("control", "");
  file.state = json.value("state", "");
  return file;
}

}  // namespace

bool RunFile::Alive() const { return pid > 0 && start_time != 0 && ProcessStartTime(pid) == start_time; }

absl::Status WriteRunFile(const std::string& folder, const RunFile& file) {
  nlohmann::json json = {{"role", file.role},       {"id", file.id},           {"tenant", file.tenant}, {"generation", file.generation}, {"pid", file.pid},
                         {"start_time", file.start_time}, {"address", file.address}, {"http", file.http},     {"control", file.control},  {"state", file.state}};
  std::string path = PathOf(folder, file.role, file.id), temporary = path + ".new";
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return absl::UnavailableError(StrCat("cannot write ", temporary, ": ", std::strerror(errno)));
  std::string text = json.dump() + "\n";
  ssize_t n = write(fd, text.data(), text.size());
  close(fd);
  if (n != static_cast<ssize_t>(text.size()) || std::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(StrCat("cannot write ", path, ": ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::Status RemoveRunFile(const std::string& folder, const std::string& role, const std::string& id) {
  std::error_code error;
  std::filesystem::remove(PathOf(folder, role, id), error);
  if (error) return absl::UnavailableError(error.message());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RunFile>> ReadRunFiles(const std::string& folder) {
  std::vector<RunFile> files;
  std::error_code error;
  for (auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() != ".json") continue;
    ASSIGN_OR_RETURN(RunFile file, Parse(entry.path()));
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(), [](const RunFile& a, const RunFile& b) { return std::tie(a.role, a.id) < std::tie(b.role, b.id); });
  return files;
}

}  // namespace insula
