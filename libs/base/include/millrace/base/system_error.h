#pragma once

#include <string>
#include <string_view>

#include "millrace/base/result.h"

namespace millrace {

/// Whether what failed with this errno may succeed later, though nothing that was asked for changes:
/// descriptors, memory or space ran out, or a device failed. It says nothing about the file.
bool MayPass(int error);

/// What to do about an errno, in a few words: "the disk is full, free some space".
std::string_view RemedyOf(int error);

/// kUnavailable: what could not be done, what to do about it, and to which file or folder.
Error SystemError(const std::string& what, int error, const std::string& path);

/// Whether the message of a library names an error that may pass: many give one code to all.
bool NamesPassingError(std::string_view message);

/// All bytes of a file. kNotFound: it is not there. Anything else is kUnavailable: a file is never
/// taken for shorter than it is.
Result<std::string> ReadWholeFile(const std::string& path);

}  // namespace millrace
