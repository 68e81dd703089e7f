#include "suggest.h"

#include <algorithm>

#include "millrace/base/nearest.h"
#include "source.h"

namespace millrace {

std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates,
                       std::string_view fallback) {
  const std::string nearest = Nearest(name, candidates, std::max<size_t>(1, name.size() / 3));
  if (nearest.empty()) return std::string(fallback);
  return "did you mean " + Quoted(nearest) + "?";
}

std::string Joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace millrace
