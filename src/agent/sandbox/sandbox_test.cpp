// Everything a program could try, in both kinds of sandbox. A machine that lacks a layer skips, naming it.
#include "agent/sandbox/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace hanlin::agent {
namespace {

namespace fs = std::filesystem;

class SandboxTest : public ::testing::TestWithParam<SandboxKind> {
 protected:
  void SetUp() override {
    const Status status = check_sandbox(GetParam());
    if (!status.ok()) GTEST_SKIP() << status.error().message;
  }
  ProcessOutput run(std::vector<std::string> argv, SandboxLimits limits = {}, std::string input = "") {
    auto result = run_in_sandbox({.argv = std::move(argv), .input = std::move(input), .limits = limits, .kind = GetParam()}, {});
    EXPECT_TRUE(result.ok()) << result.error().message;
    return result.ok() ? *result : ProcessOutput{};
  }
  ProcessOutput shell(const std::string& script, SandboxLimits limits = {}) { return run({"/bin/sh", "-c", script}, limits); }
  ProcessOutput python(const std::string& script, SandboxLimits limits = {}) {
    if (access("/usr/bin/python3", X_OK) != 0) return {.out = {.text = "skipped"}};
    return run({"/usr/bin/python3", "-I", "-c", script}, limits);
  }
};
INSTANTIATE_TEST_SUITE_P(Kinds, SandboxTest, ::testing::Values(SandboxKind::kNative, SandboxKind::kBubblewrap),
                         [](const auto& info) { return std::string(sandbox_kind_name(info.param)); });

TEST_P(SandboxTest, RunsProgramsAndSaysHowTheyEnd) {
  const ProcessOutput output = shell("echo out; echo err >&2; exit 7");
  EXPECT_EQ(output.out.text, "out\n");
  EXPECT_EQ(output.err.text, "err\n");
  EXPECT_EQ(output.exit_status, 7);
  EXPECT_EQ(run({"/bin/cat"}, {}, std::string(300000, 'x')).out.n_left_out, 300000 - (64 << 10));
  EXPECT_EQ(shell("kill -9 $$").exit_status, 137);
  EXPECT_EQ(shell("cd /work && echo hi > a && cat a; pwd").out.text, "hi\n/work\n");
  EXPECT_EQ(shell("ls /work").out.text, "") << "nothing is left of the run before";
}

TEST_P(SandboxTest, RunsPython) {
  if (access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "/usr/bin/python3 is not installed";
  const ProcessOutput output = python("import json, threading, subprocess, tempfile, math\n"
                                      "t = threading.Thread(target=lambda: print('thread')); t.start(); t.join()\n"
                                      "print(subprocess.run(['/bin/echo', 'child'], capture_output=True).stdout)\n"
                                      "tempfile.TemporaryFile().write(b'x'); print(math.factorial(20), '天气')");
  EXPECT_EQ(output.out.text, "thread\nb'child\\n'\n2432902008176640000 天气\n") << output.err.text;
}

TEST_P(SandboxTest, ForkBomb) {
  const ProcessOutput output = shell("b() { b | b & }; b; sleep 60", {.n_processes = 16, .wall = std::chrono::seconds(2)});
  EXPECT_TRUE(output.timed_out || output.exit_status != 0);
  const ProcessOutput counted = python("import os, time\nn = 0\n"
                                       "try:\n  while True:\n    if os.fork() == 0: time.sleep(60)\n    n += 1\n"
                                       "except OSError as e: print(n, e)", {.n_processes = 16});
  if (counted.out.text == "skipped") return;
  EXPECT_NE(counted.out.text.find("Resource temporarily unavailable"), std::string::npos) << counted.out.text << counted.err.text;
  EXPECT_LE(atoi(counted.out.text.c_str()), 16);
}

TEST_P(SandboxTest, TenGigabytes) {
  const ProcessOutput output = python("try: x = bytearray(10 << 30)\nexcept MemoryError: print('refused')");
  if (output.out.text == "skipped") return;
  EXPECT_EQ(output.out.text, "refused\n") << output.err.text;
}

TEST_P(SandboxTest, DiskFill) {
  for (const std::string folder : {"/tmp", "/work"}) {
    const ProcessOutput output = shell("for i in 1 2 3 4; do head -c 1000000 /dev/zero > " + folder + "/f$i || echo full; done", {.disk_bytes = 2 << 20});
    EXPECT_NE(output.out.text.find("full"), std::string::npos) << output.err.text;
    EXPECT_NE(output.err.text.find("No space left"), std::string::npos) << output.err.text;
  }
  for (const std::string folder : {"/", "/usr", "/etc", "/bin", "/dev", "/proc"}) EXPECT_NE(shell("echo x > " + folder + "/f").exit_status, 0) << folder;
}

TEST_P(SandboxTest, HostFiles) {
  std::string pattern = (fs::temp_directory_path() / "hanlin-secret-XXXXXX").string();
  const fs::path secret = mkdtemp(pattern.data());
  std::ofstream(secret / "f") << "secret";
  EXPECT_NE(shell("cat " + (secret / "f").string()).exit_status, 0);
  fs::remove_all(secret);
  for (const std::string path : {"/etc/passwd", "/etc/shadow", "/root", "/home", "/sys", "/.host", "/var", "/proc/1/root/etc/passwd", "/proc/kcore", "/dev/kmsg"}) {
    EXPECT_NE(shell("cat " + path + " || ls " + path).exit_status, 0) << path;
  }
  EXPECT_EQ(shell("cat /proc/*/environ | tr '\\0' '\\n' | grep -c ^HANLIN").out.text, "0\n");
  const std::string inherited = shell("ls -l /proc/self/fd").out.text;
  EXPECT_EQ(inherited.find("socket:"), std::string::npos) << inherited;
}

TEST_P(SandboxTest, SymlinkEscape) {
  EXPECT_NE(shell("ln -s /.host/etc/passwd /work/a; cat /work/a").exit_status, 0);
  EXPECT_NE(shell("ln -s ../../../../../etc/passwd /tmp/a; cat /tmp/a").exit_status, 0);
  EXPECT_NE(shell("ln -s /proc/1/root/etc/passwd a; cat a").exit_status, 0);
  std::string pattern = (fs::temp_directory_path() / "hanlin-mount-XXXXXX").string();
  const fs::path folder = mkdtemp(pattern.data());
  fs::permissions(folder, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec | fs::perms::others_read | fs::perms::others_exec);
  std::ofstream(folder / "shown.txt") << "shown";
  fs::create_symlink("/etc/passwd", folder / "link");
  const SandboxJob job{.argv = {"/bin/sh", "-c", "cat /data/in/shown.txt; cat /data/in/link; echo x > /data/in/new; ls /data/in"},
                       .mounts = {{folder.string(), "/data/in"}}, .kind = GetParam()};
  const auto output = run_in_sandbox(job, {});
  ASSERT_TRUE(output.ok()) << output.error().message;
  EXPECT_EQ(output->out.text, "shownlink\nshown.txt\n") << output->err.text;
  fs::remove_all(folder);
}

TEST_P(SandboxTest, Network) {
  const ProcessOutput output = python("import socket\n"
                                      "for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):\n"
                                      "  try: socket.socket(family); print('made')\n"
                                      "  except PermissionError: print('refused')\n");
  if (output.out.text != "skipped") { EXPECT_EQ(output.out.text, "refused\nrefused\nrefused\nrefused\n") << output.err.text; }
  EXPECT_EQ(shell("ls /proc/net/dev 2>/dev/null && grep -c eth /proc/net/dev").out.text.find("1"), std::string::npos);
}

TEST_P(SandboxTest, Ptrace) {
  const ProcessOutput output = python("import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
                                      "def call(*a):\n  r = libc.syscall(*a); return r if r >= 0 else os.strerror(ctypes.get_errno())\n"
                                      "print(call(101, 16, 1, 0, 0))\n"          // ptrace(PTRACE_ATTACH, 1)
                                      "print(call(310, 1, 0, 0, 0, 0, 0))\n"     // process_vm_readv
                                      "print(call(272, 0x10000000))\n"           // unshare(CLONE_NEWUSER)
                                      "print(call(56, 0x10000011, 0, 0, 0, 0))\n"  // clone(CLONE_NEWUSER)
                                      "print(call(165, 0, 0, 0, 0, 0))\n"        // mount
                                      "print(call(425, 1, 0))\n"                 // io_uring_setup
                                      "try: open('/proc/1/mem', 'rb').read(1)\nexcept OSError as e: print('no')\n");
  if (output.out.text == "skipped") return;
#ifdef __x86_64__
  const std::string no = "Operation not permitted\n";
  EXPECT_EQ(output.out.text, no + no + no + no + no + no + "no\n") << output.err.text;
#endif
}

TEST_P(SandboxTest, OutputFlood) {
  const ProcessOutput output = shell("head -c 20000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 3", {.max_output_bytes = 1000});
  EXPECT_EQ(output.out.text.size(), 1000u);
  EXPECT_EQ(output.out.n_left_out, 20000000 - 1000);
  EXPECT_EQ(output.err.n_left_out, 3000000 - 1000);
  EXPECT_EQ(output.exit_status, 3);
}

TEST_P(SandboxTest, IgnoresSigterm) {
  const ProcessOutput output = shell("trap '' TERM INT HUP; (trap '' TERM; setsid sleep 1000 & sleep 1000) & while true; do sleep 1000; done",
                                     {.wall = std::chrono::seconds(1)});
  EXPECT_TRUE(output.timed_out);
}

TEST_P(SandboxTest, CpuTime) {
  const ProcessOutput output = shell("while true; do :; done", {.cpu = std::chrono::seconds(1), .wall = std::chrono::seconds(120)});
  EXPECT_FALSE(output.timed_out);
  EXPECT_EQ(output.exit_status, 128 + 24);  // SIGXCPU
}

TEST_P(SandboxTest, CancelsAtOnce) {
  std::stop_source stop;
  stop.request_stop();
  const auto output = run_in_sandbox({.argv = {"/bin/sleep", "1000"}, .kind = GetParam()}, {.stop = stop.get_token()});
  ASSERT_TRUE(output.ok());
  EXPECT_TRUE(output->cancelled);
}

TEST_P(SandboxTest, SaysWhatIsWrong) {
  EXPECT_FALSE(run_in_sandbox({.argv = {"/no/such/program"}, .kind = GetParam()}, {}).ok());
  EXPECT_EQ(run_in_sandbox({.argv = {"sh"}, .kind = GetParam()}, {}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(run_in_sandbox({.argv = {}, .kind = GetParam()}, {}).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace hanlin::agent
