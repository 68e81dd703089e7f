#pragma once

#include <cstdint>
#include <string>

namespace millrace::process {

/// Bytes of memory that this process may take: the least limit of its cgroup and those above it
/// (version 2, or the memory controller of version 1), at most what the machine has.
int64_t MemoryLimit();

/// The same of a cgroup as /proc/self/cgroup names it, with the hierarchies mounted at `mount`.
/// INT64_MAX: there is no limit.
int64_t CgroupMemoryLimit(const std::string& proc_self_cgroup, const std::string& mount);

}  // namespace millrace::process
