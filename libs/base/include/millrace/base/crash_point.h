#pragma once

#include <atomic>
#include <string_view>

namespace millrace {

/// Called at every named crash point once installed; tests kill the process or the simulated node
/// there.
using CrashPointHandler = void (*)(std::string_view name);

namespace crash_point_internal {
inline std::atomic<CrashPointHandler> handler{nullptr};
}

inline void InstallCrashPointHandler(CrashPointHandler h) {
  crash_point_internal::handler.store(h);
}

/// Marks a place between two steps of a cut, a sink or an append where a crash must change nothing.
/// One relaxed load when nothing is installed.
inline void CrashPoint(std::string_view name) {
  if (auto* h = crash_point_internal::handler.load(std::memory_order_relaxed)) [[unlikely]]
    h(name);
}

}  // namespace millrace
