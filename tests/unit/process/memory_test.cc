#include <filesystem>
#include <fstream>
#include <limits>

#include "memory.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace millrace::process {
namespace {

void Write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

TEST_CASE("the memory of a cgroup is the least limit of it and of those above") {
  const test::TempDir dir;
  const std::filesystem::path mount = dir.path();
  CHECK(CgroupMemoryLimit("0::/a/b\n", mount) == kNone);
  Write(mount / "a/b/memory.max", "max\n");
  CHECK(CgroupMemoryLimit("0::/a/b\n", mount) == kNone);
  Write(mount / "a/memory.max", "4096\n");
  CHECK(CgroupMemoryLimit("0::/a/b\n", mount) == 4096);
  Write(mount / "a/b/memory.max", "1024\n");
  CHECK(CgroupMemoryLimit("0::/a/b\n", mount) == 1024);
  CHECK(CgroupMemoryLimit("0::/\n", mount) == kNone);
  // A container sees its own group at the root of the mount.
  Write(mount / "memory.max", "512\n");
  CHECK(CgroupMemoryLimit("0::/a/b\n", mount) == 512);
  CHECK(CgroupMemoryLimit("0::/\n", mount) == 512);
}

TEST_CASE("the memory of a cgroup of version 1 is that of its memory controller") {
  const test::TempDir dir;
  const std::filesystem::path mount = dir.path();
  Write(mount / "memory/a/memory.limit_in_bytes", "2048\n");
  Write(mount / "memory/b/memory.limit_in_bytes", "1\n");
  CHECK(CgroupMemoryLimit("5:cpu,cpuacct:/b\n4:memory:/a\nnonsense\n", mount) == 2048);
}

TEST_CASE("a process has at most the memory of its machine") {
  CHECK(MemoryLimit() > 0);
  CHECK(MemoryLimit() < kNone);
}

}  // namespace
}  // namespace millrace::process
