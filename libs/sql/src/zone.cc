#include "zone.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>

#include "source.h"
#include "suggest.h"

#include "millrace/base/facts.h"

namespace millrace {
namespace {

constexpr std::string_view kZoneFiles = "/usr/share/zoneinfo/";
constexpr int64_t kDaySeconds = 86'400;
const int64_t kEnd = DaysFromCivil(2101, 1, 1) * kDaySeconds;

/// From `at` (seconds, UTC) on local time is UTC + `offset` seconds.
struct Change {
  int64_t at;
  int64_t offset;
};

int64_t BigEndian(std::string_view bytes) {
  int64_t out = (bytes[0] & 0x80) != 0 ? -1 : 0;
  for (const char c : bytes) {
    out = static_cast<int64_t>((static_cast<uint64_t>(out) << 8) | static_cast<unsigned char>(c));
  }
  return out;
}

/// A rule of a POSIX TZ string: when in a year an offset begins.
struct Rule {
  char kind = 'M';  ///< M: month, week, weekday; J: day 1..365 without 29 February; N: day 0..365
  int month = 0;
  int week = 0;
  int day = 0;
  int64_t time = 2 * 3'600;

  /// The rule's moment in local seconds since the epoch.
  int64_t In(int64_t year) const {
    const int64_t first = DaysFromCivil(year, 1, 1);
    if (kind == 'N') return (first + day) * kDaySeconds + time;
    if (kind == 'J') {
      const bool leap = DaysFromCivil(year + 1, 1, 1) - first == 366;
      return (first + day - (leap && day >= 60 ? 0 : 1)) * kDaySeconds + time;
    }
    const int64_t month_start = DaysFromCivil(year, static_cast<unsigned>(month), 1);
    const int64_t next = month == 12 ? DaysFromCivil(year + 1, 1, 1)
                                     : DaysFromCivil(year, static_cast<unsigned>(month) + 1, 1);
    // 1970-01-01 was a Thursday; weekday 0 is Sunday.
    int64_t date = month_start + FloorMod(day - (month_start + 4), 7) + 7 * (week - 1);
    while (date >= next) date -= 7;
    return date * kDaySeconds + time;
  }
};

/// The TZ string at the end of a zone file (POSIX.1 section 8.3, with RFC 8536's hours beyond 24).
class PosixZone {
 public:
  static std::optional<PosixZone> Parse(std::string_view text) {
    PosixZone out;
    if (!TakeName(&text) || !TakeTime(&text, &out.standard_)) return std::nullopt;
    out.standard_ = -out.standard_;
    if (text.empty()) return out;
    out.summer_ = out.standard_ + 3'600;
    if (!TakeName(&text)) return std::nullopt;
    if (!text.starts_with(",")) {
      if (!TakeTime(&text, &out.summer_)) return std::nullopt;
      out.summer_ = -out.summer_;
    }
    if (!TakeRule(&text, &out.start_) || !TakeRule(&text, &out.end_) || !text.empty()) {
      return std::nullopt;
    }
    out.has_rules_ = true;
    return out;
  }

  /// Appends the changes in (after, kEnd).
  void Append(int64_t after, std::vector<Change>* out) const {
    if (!has_rules_) return;
    const int64_t first = CivilFromDays(FloorDiv(after, kDaySeconds)).year - 1;
    std::vector<Change> changes;
    for (int64_t year = first; year <= 2101; ++year) {
      changes.push_back({start_.In(year) - standard_, summer_});
      changes.push_back({end_.In(year) - summer_, standard_});
    }
    std::stable_sort(changes.begin(), changes.end(),
                     [](const Change& a, const Change& b) { return a.at < b.at; });
    for (const Change& change : changes) {
      if (change.at > after && change.at < kEnd) out->push_back(change);
    }
  }

 private:
  static bool TakeName(std::string_view* text) {
    const size_t end =
        text->starts_with("<") ? text->find('>') : text->find_first_of("+-0123456789,");
    if (text->starts_with("<")) {
      if (end == std::string_view::npos) return false;
      text->remove_prefix(end + 1);
      return true;
    }
    text->remove_prefix(std::min(end, text->size()));
    return true;
  }
  static bool TakeNumber(std::string_view* text, int64_t* out) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *out);
    if (error != std::errc()) return false;
    text->remove_prefix(static_cast<size_t>(end - text->data()));
    return true;
  }
  /// [+-]hh[:mm[:ss]]
  static bool TakeTime(std::string_view* text, int64_t* out) {
    int64_t sign = 1;
    if (text->starts_with("+") || text->starts_with("-")) {
      sign = text->front() == '-' ? -1 : 1;
      text->remove_prefix(1);
    }
    *out = 0;
    int64_t worth = 3'600;
    do {
      int64_t part = 0;
      if (!TakeNumber(text, &part)) return false;
      *out += part * worth;
      worth /= 60;
      if (!text->starts_with(":") || worth == 0) break;
      text->remove_prefix(1);
    } while (true);
    *out *= sign;
    return true;
  }
  static bool TakeRule(std::string_view* text, Rule* out) {
    if (!text->starts_with(",") || text->size() < 2) return false;
    text->remove_prefix(1);
    int64_t numbers[3] = {0, 0, 0};
    out->kind = text->front() == 'M' || text->front() == 'J' ? text->front() : 'N';
    if (out->kind != 'N') text->remove_prefix(1);
    for (int i = 0; i < (out->kind == 'M' ? 3 : 1); ++i) {
      if (i > 0) {
        if (!text->starts_with(".")) return false;
        text->remove_prefix(1);
      }
      if (!TakeNumber(text, &numbers[i])) return false;
    }
    if (out->kind == 'M') {
      if (numbers[0] < 1 || numbers[0] > 12 || numbers[1] < 1 || numbers[1] > 5) return false;
      out->month = static_cast<int>(numbers[0]);
      out->week = static_cast<int>(numbers[1]);
      out->day = static_cast<int>(numbers[2]);
    } else {
      out->day = static_cast<int>(numbers[0]);
    }
    if (!text->starts_with("/")) return true;
    text->remove_prefix(1);
    return TakeTime(text, &out->time);
  }

  int64_t standard_ = 0;
  int64_t summer_ = 0;
  bool has_rules_ = false;
  Rule start_;
  Rule end_;
};

/// One data block of a TZif file (RFC 8536 section 3).
struct Block {
  size_t size = 0;  ///< header and data
  std::vector<Change> changes;
  int64_t first_offset = 0;
};

/// Reads the block at the front of `file`; `width` is that of its times.
bool ReadBlock(std::string_view file, size_t width, Block* out) {
  constexpr size_t kHeader = 44;
  if (file.size() < kHeader || !file.starts_with("TZif")) return false;
  size_t counts[6];
  for (size_t i = 0; i < 6; ++i) {
    const int64_t count = BigEndian(file.substr(20 + 4 * i, 4));
    if (count < 0 || count > 1'000'000) return false;
    counts[i] = static_cast<size_t>(count);
  }
  const auto [ut, standard, leaps, times, types, chars] = counts;
  out->size =
      kHeader + times * (width + 1) + types * 6 + chars + leaps * (width + 4) + standard + ut;
  if (file.size() < out->size || types == 0) return false;

  const std::string_view at = file.substr(kHeader, times * width);
  const std::string_view kinds = file.substr(kHeader + times * width, times);
  const std::string_view records = file.substr(kHeader + times * (width + 1), types * 6);
  const auto offset_of = [&](size_t type) { return BigEndian(records.substr(6 * type, 4)); };
  out->first_offset = offset_of(0);
  for (size_t i = 0; i < times; ++i) {
    const auto type = static_cast<unsigned char>(kinds[i]);
    if (type >= types) return false;
    out->changes.push_back({BigEndian(at.substr(i * width, width)), offset_of(type)});
  }
  return true;
}

/// Changes of local time in [0, kEnd), the offset before them first.
Result<std::vector<Change>> ReadZone(const std::string& path, std::string_view name) {
  std::ifstream in(path, std::ios::binary);
  const std::string file((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const Error unreadable =
      Internal("the zone file is not readable; reinstall tzdata", {{"file", path}});
  Block block;
  if (!in || !ReadBlock(file, 4, &block)) return unreadable;
  std::string_view footer;
  if (file[4] >= '2') {
    // The first block has 32-bit times, for old readers; the whole zone follows.
    const std::string_view rest = std::string_view(file).substr(block.size);
    block = Block();
    if (!ReadBlock(rest, 8, &block)) return unreadable;
    footer = rest.substr(block.size);
    if (footer.size() < 2 || footer.front() != '\n' || footer.back() != '\n') return unreadable;
    footer = footer.substr(1, footer.size() - 2);
  }
  if (!footer.empty()) {
    const auto rules = PosixZone::Parse(footer);
    if (!rules) return Internal("the zone's rule is not understood", {{"zone", name}});
    rules->Append(
        block.changes.empty() ? std::numeric_limits<int32_t>::min() : block.changes.back().at,
        &block.changes);
  }
  std::vector<Change> out = {{kMinusInfinity, block.first_offset}};
  for (const Change& change : block.changes) {
    if (change.at >= kEnd) break;
    if (change.at <= 0) {
      out.front().offset = change.offset;
    } else {
      out.push_back(change);
    }
  }
  return out;
}

bool IsZoneName(std::string_view name) {
  return !name.empty() && std::isalpha(static_cast<unsigned char>(name[0])) != 0 &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) {
                       return std::isalnum(c) != 0 || c == '/' || c == '_' || c == '-' || c == '+';
                     }) &&
         !name.starts_with("posix/") && !name.starts_with("right/");
}

Error UnknownZone(std::string_view name) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = std::filesystem::recursive_directory_iterator(kZoneFiles, error);
       !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    std::string found = it->path().string().substr(kZoneFiles.size());
    if (IsZoneName(found) && !it->is_directory(error)) names.push_back(std::move(found));
  }
  if (names.empty()) return NotFound("this machine has no time zones; install tzdata");
  std::sort(names.begin(), names.end());
  // GMT+8 means UTC-8 to some and UTC+8 to others, so no near name will do.
  const bool distance = (name.starts_with("GMT") || name.starts_with("UTC")) && name.size() > 4 &&
                        (name[3] == '+' || name[3] == '-');
  if (distance) {
    const std::string hours(name.substr(4));
    return NotFound("unknown time zone " + Quoted(name) + "; for a day that begins " + hours +
                    " hours before that of UTC (UTC+" + hours + ") write 'Etc/GMT-" + hours +
                    "', for UTC-" + hours + " 'Etc/GMT+" + hours + "'");
  }
  return NotFound("unknown time zone " + Quoted(name) + "; " +
                  DidYouMean(name, names, "write a name like 'Europe/Berlin'"));
}

}  // namespace

Result<std::vector<Micros>> LocalDayStarts(std::string_view name) {
  const std::string path = std::string(kZoneFiles) + std::string(name);
  std::error_code error;
  if (!IsZoneName(name) || !std::filesystem::is_regular_file(path, error)) {
    return UnknownZone(name);
  }
  MILLRACE_ASSIGN(const std::vector<Change> changes, ReadZone(path, name));

  std::vector<Micros> out;
  size_t i = 0;
  for (int64_t date = 0;; ++date) {
    const int64_t midnight = date * kDaySeconds;
    int64_t start = 0;
    // The first change under which a clock shows `midnight` or later holds the day's start; starts
    // never go back, so the search goes on where it stopped.
    while (true) {
      start = midnight - changes[i].offset;
      if (i > 0) start = std::max(start, changes[i].at);
      if (i + 1 == changes.size() || start < changes[i + 1].at) break;
      ++i;
    }
    if (start >= kEnd) return out;
    out.push_back(start * kSecond);
  }
}

}  // namespace millrace
