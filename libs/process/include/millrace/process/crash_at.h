#pragma once

namespace millrace::process {

/// For tests of whole processes: MILLRACE_CRASH_AT=NAME:N kills this process with SIGKILL when it
/// passes the named crash point for the Nth time; MILLRACE_THROW_AT=NAME:N throws an exception
/// there that nothing expects. Without the variables nothing is installed.
void InstallCrashAtFromEnvironment();

}  // namespace millrace::process
