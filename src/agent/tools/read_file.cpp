#include "agent/tools/read_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"
#include "agent/tools/arguments.h"

namespace hanlin::agent {
namespace {

constexpr size_t kMaxEntries = 1000;

struct Root {
  std::string path;  // canonical
  UniqueFd fd;
};

// `path` below `root`, for reading; -1 with errno.
int open_beneath(int root, const std::string& path) {
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;  // no waiting for the writer of a FIFO
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  int fd = -1;
  for (int n_tries = 0; n_tries < 8; ++n_tries) {  // EAGAIN: something was renamed meanwhile
    fd = static_cast<int>(syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how));
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return fd;
}

struct ReadFileArgs {
  std::string path;
  int64_t offset = 0;
  void fields(ArgumentList& list) {
    list.add("path", &path, "A file or folder; \".\" is the folder itself").required();
    list.add("offset", &offset, "Byte at which to begin").range(0, int64_t{1} << 50);
  }
};

class ReadFile final : public TypedTool<ReadFileArgs> {
 public:
  ReadFile(std::vector<Root> roots, size_t max_bytes, const std::string& description)
      : TypedTool("read_file", description), roots_(std::move(roots)), max_bytes_(max_bytes) {}

 protected:
  Result<std::string> call(const ReadFileArgs& args, const ToolContext& context) override {
    if (args.path.find('\0') != std::string::npos) return Error{Code::kInvalidArgument, "read_file: a path has no NUL byte", "path"};
    HANLIN_ASSIGN(const UniqueFd file, open(args.path));
    struct stat info {};
    if (fstat(file.get(), &info) != 0) return failure(args.path, errno);
    if (S_ISDIR(info.st_mode)) return list(file.get(), args.path);
    if (!S_ISREG(info.st_mode)) return Error{Code::kUnsupported, fmt::format("read_file: {} is no regular file", args.path), "path"};
    return read(file.get(), args, info.st_size, context);
  }

 private:
  static Error failure(const std::string& path, int error) {
    if (error == EXDEV || error == ELOOP) {
      return {Code::kInvalidArgument, fmt::format("read_file: {} leads out of the folders that may be read", path), "path"};
    }
    const Code code = error == ENOENT || error == ENOTDIR ? Code::kNotFound : Code::kIo;
    return {code, fmt::format("read_file: {}: {}", path, std::strerror(error)), "path"};
  }

  // The first root that has it. An absolute path counts below the root it begins with.
  Result<UniqueFd> open(const std::string& path) const {
    Error error{Code::kInvalidArgument, fmt::format("read_file: {} is in no folder that may be read; give a path below {}", path, names()), "path"};
    for (const Root& root : roots_) {
      std::string inside = path;
      if (path.starts_with('/')) {
        if (path != root.path && !path.starts_with(root.path == "/" ? "/" : root.path + "/")) continue;
        inside = path.substr(std::min(path.size(), root.path.size() + 1));
        if (inside.starts_with('/')) continue;  // "/root//etc/passwd"
      }
      UniqueFd fd(open_beneath(root.fd.get(), inside));
      if (fd.get() >= 0) return fd;
      error = failure(path, errno);
    }
    return error;
  }
  std::string names() const {
    std::vector<std::string> paths;
    for (const Root& root : roots_) paths.push_back(root.path);
    return fmt::format("{}", fmt::join(paths, ", "));
  }

  Result<std::string> list(int fd, const std::string& path) const {
    const int copy = dup(fd);
    DIR* const folder = copy < 0 ? nullptr : fdopendir(copy);
    if (folder == nullptr) {
      if (copy >= 0) close(copy);
      return failure(path, errno);
    }
    std::vector<std::string> entries;
    size_t n_left_out = 0;
    while (const dirent* entry = readdir(folder)) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (entries.size() < kMaxEntries) entries.push_back(name + (entry->d_type == DT_DIR ? "/" : ""));
      else ++n_left_out;
    }
    closedir(folder);
    std::sort(entries.begin(), entries.end());
    std::string text = entries.empty() ? "(an empty folder)" : fmt::format("{}", fmt::join(entries, "\n"));
    if (n_left_out > 0) text += fmt::format("\n[{} more entries]", n_left_out);
    return cap_text(text, max_bytes_);
  }

  Result<std::string> read(int fd, const ReadFileArgs& args, int64_t size, const ToolContext& context) const {
    std::string text(max_bytes_, '\0');
    size_t n_read = 0;
    while (n_read < text.size()) {
      HANLIN_TRY(check_time(context, "read_file"));
      const ssize_t n = pread(fd, text.data() + n_read, std::min<size_t>(text.size() - n_read, 1 << 16), args.offset + static_cast<int64_t>(n_read));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failure(args.path, errno);
      if (n == 0) break;
      n_read += static_cast<size_t>(n);
    }
    text.resize(n_read);
    if (text.find('\0') != std::string::npos) return Error{Code::kUnsupported, fmt::format("read_file: {} is no text ({} bytes)", args.path, size), "path"};
    if (n_read == 0) {
      if (args.offset > 0) return Error{Code::kInvalidArgument, fmt::format("read_file: {} has {} bytes, offset is {}", args.path, size, args.offset), "offset"};
      return std::string("(an empty file)");
    }
    const int64_t end = args.offset + static_cast<int64_t>(n_read);
    if (end < size) text += fmt::format("\n[bytes {} to {} of {}; go on with offset {}]", args.offset, end, size, end);
    return text;
  }

  const std::vector<Root> roots_;
  const size_t max_bytes_;
};

}  // namespace

Result<std::shared_ptr<RunnableTool>> make_read_file(const ReadFileOptions& options) {
  std::vector<Root> roots;
  std::string names;
  for (const std::string& path : options.roots) {
    char* const canonical = realpath(path.c_str(), nullptr);
    if (canonical == nullptr) return Error{Code::kNotFound, fmt::format("read_file: root {}: {}", path, std::strerror(errno))};
    Root root{canonical, UniqueFd(::open(canonical, O_PATH | O_DIRECTORY | O_CLOEXEC))};
    free(canonical);
    if (root.fd.get() < 0) return Error{Code::kNotFound, fmt::format("read_file: root {}: {}", path, std::strerror(errno))};
    names += (names.empty() ? "" : ", ") + root.path;
    roots.push_back(std::move(root));
  }
  if (roots.empty()) return Error{Code::kInvalidArgument, "read_file: expected at least one root folder"};
  const UniqueFd probe(open_beneath(roots[0].fd.get(), "."));
  if (probe.get() < 0 && (errno == ENOSYS || errno == EPERM)) {
    return Error{Code::kUnsupported, "read_file: this kernel has no openat2 (Linux 5.6 or later is needed), or a filter forbids it"};
  }
  const std::string description = "Reads a text file, or lists a folder, below " + names + ".";
  return std::shared_ptr<RunnableTool>(std::make_shared<ReadFile>(std::move(roots), options.max_bytes, description));
}

}  // namespace hanlin::agent
