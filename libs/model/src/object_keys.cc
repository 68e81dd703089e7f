#include "millrace/model/object_keys.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>

namespace millrace {
namespace {

constexpr std::string_view kExtension = ".parquet";

std::string Folder(const Incarnation& incarnation, std::string_view kind) {
  return incarnation.name_space + "/" + std::string(kind) + "/" + incarnation.name + "@" +
         std::to_string(incarnation.defined_at.value) + "/";
}

constexpr std::string_view kDateColumn = "window_date";
constexpr std::string_view kDateFolder = "window_date=";

/// Takes what stands before `end` off the front of `rest`, and `end` too.
std::optional<std::string> TakeUntil(std::string_view* rest, std::string_view end) {
  const size_t at = rest->find(end);
  if (at == rest->npos) return std::nullopt;
  std::string taken(rest->substr(0, at));
  rest->remove_prefix(at + end.size());
  return taken;
}

template <typename T>
bool TakeNumber(std::string_view* rest, std::string_view end, T* out, int base = 10) {
  const auto text = TakeUntil(rest, end);
  if (!text) return false;
  const auto [last, error] = std::from_chars(text->data(), text->data() + text->size(), *out, base);
  return error == std::errc() && last == text->data() + text->size();
}

}  // namespace

bool IsDateFolderColumn(std::string_view column) {
  return std::equal(column.begin(), column.end(), kDateColumn.begin(), kDateColumn.end(),
                    [](unsigned char c, char of_name) { return std::tolower(c) == of_name; });
}

std::string StateFolder(const Incarnation& incarnation) { return Folder(incarnation, "state"); }

std::optional<Incarnation> ParseStateFolder(std::string_view folder) {
  std::string_view rest = folder;
  const auto name_space = TakeUntil(&rest, "/state/");
  const auto name = TakeUntil(&rest, "@");
  Incarnation out;
  if (!name_space || !name || !TakeNumber(&rest, "/", &out.defined_at.value)) return std::nullopt;
  out.name_space = *name_space;
  out.name = *name;
  if (StateFolder(out) != folder) return std::nullopt;
  return out;
}

std::string StateFolder(const ShardId& shard) {
  return StateFolder(shard.incarnation) + "p" + std::to_string(shard.partition.value) + "/";
}

std::string ResultFolder(const Incarnation& incarnation) { return Folder(incarnation, "results"); }

std::string ResultFileGlob(const Incarnation& incarnation) {
  return ResultFolder(incarnation) + "*/*" + std::string(kExtension);
}

std::string ResultFileKey::Beginning() const {
  return ResultFolder(shard.incarnation) + std::string(kDateFolder) + date + "/p" +
         std::to_string(shard.partition.value) + "-" + std::to_string(first_seq) + "-";
}

std::string ResultFileKey::ToString() const {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return Beginning() + std::to_string(last_seq) + "-" + digits + std::string(kExtension);
}

std::optional<ResultFileKey> ResultFileKey::Parse(std::string_view key) {
  ResultFileKey out;
  std::string_view rest = key;
  const auto name_space = TakeUntil(&rest, "/results/");
  const auto name = TakeUntil(&rest, "@");
  if (!name_space || !name ||
      !TakeNumber(&rest, "/" + std::string(kDateFolder), &out.shard.incarnation.defined_at.value)) {
    return std::nullopt;
  }
  const auto date = TakeUntil(&rest, "/p");
  if (!date || !TakeNumber(&rest, "-", &out.shard.partition.value) ||
      !TakeNumber(&rest, "-", &out.first_seq) || !TakeNumber(&rest, "-", &out.last_seq) ||
      !TakeNumber(&rest, kExtension, &out.hash, 16)) {
    return std::nullopt;
  }
  out.shard.incarnation.name_space = *name_space;
  out.shard.incarnation.name = *name;
  out.date = *date;
  // Other spellings of a number, and parts that belong to no key, do not come back as they were.
  if (out.ToString() != key) return std::nullopt;
  return out;
}

}  // namespace millrace
