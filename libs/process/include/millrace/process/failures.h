#pragma once

#include <string>

#include "millrace/base/result.h"

namespace millrace::process {

/// Exit code of a configuration that cannot be: starting again does not help.
inline constexpr int kExitConfig = 78;

/// A task or thread that ended by an exception is a part of the process that is missing from now
/// on, and nobody can say which waits for it. A new start recovers everything.
[[noreturn]] void EndProcess(const std::string& what);

/// An exception that nobody catches ends the process with a line that says so; and as many files
/// may be open as the system allows, since a shard holds a few. kUnavailable: too few.
Status PrepareProcess();

/// Both write "PROGRAM: message" to standard error and give the exit code. Of a setting, a
/// directory or a port that this process was told to use: kExitConfig, but for our own bugs.
int FailConfig(const std::string& program, const Error& error);
/// Of what lies behind them: EXIT_FAILURE if it may pass by itself, else as FailConfig.
int FailStart(const std::string& program, const Error& error);

}  // namespace millrace::process
