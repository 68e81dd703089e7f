#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.h"

namespace millrace {

/// The candidate that `name` may be a misspelling of: the nearest by edits (swaps of neighbours
/// count as one, case as none), at most `most_edits` away and fewer than `name` has letters. Empty
/// if there is none; the first of equals.
std::string Nearest(std::string_view name, const std::vector<std::string>& candidates,
                    size_t most_edits = 2);

/// kNotFound in the one form that every part of a cluster uses for what users name. `kind` is the
/// noun of the verb that lists them:
/// "no such stream; did you mean "flights"? `millrace stream list` shows what there is
/// stream=flihgts".
Error NoSuch(std::string_view kind, const std::string& name, const std::vector<std::string>& there);

}  // namespace millrace
