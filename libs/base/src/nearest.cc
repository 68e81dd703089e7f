#include "millrace/base/nearest.h"

#include <algorithm>
#include <cctype>

namespace millrace {
namespace {

/// Edit distance with swaps of neighbours (optimal string alignment), case ignored.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  const auto same = [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  };
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min(
          {last[j] + 1, row[j - 1] + 1, last[j - 1] + (same(a[i - 1], b[j - 1]) ? 0u : 1u)});
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string Nearest(std::string_view name, const std::vector<std::string>& candidates,
                    size_t most_edits) {
  size_t best = std::min(most_edits + 1, name.size());
  std::string out;
  for (const std::string& candidate : candidates) {
    const size_t distance = Distance(name, candidate);
    if (distance < best) {
      best = distance;
      out = candidate;
    }
  }
  return out;
}

Error NoSuch(std::string_view kind, const std::string& name,
             const std::vector<std::string>& there) {
  const std::string noun(kind);
  const std::string nearest = Nearest(name, there);
  return NotFound("no such " + noun + "; " +
                  (nearest.empty() ? "" : "did you mean \"" + nearest + "\"? ") + "`millrace " +
                  noun + " list` shows what there is " + noun + "=" + name);
}

}  // namespace millrace
