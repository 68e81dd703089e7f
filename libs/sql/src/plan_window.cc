#include <optional>

#include "interval.h"
#include "plan_statement.h"
#include "zone.h"

namespace millrace {
namespace {

constexpr Micros kWeek = 7 * kDay;
/// 1970-01-05 was a Monday.
constexpr Micros kFirstMonday = 4 * kDay;

struct Interval {
  Micros value = 0;
  int64_t location = 0;
};

/// Worth of a bare number under PostgreSQL's INTERVAL '1' HOUR.
Result<Micros> FieldUnit(const Source& source, const TypeSyntax& type) {
  switch (type.interval_fields) {
    case 0:
      break;
    case 1 << 3:
      return kDay;
    case 1 << 10:
      return 3'600 * kSecond;
    case 1 << 11:
      return 60 * kSecond;
    case 1 << 12:
      return kSecond;
    case 1 << 1:
    case 1 << 2:
      return source.At(type.location, "months and years have no fixed length",
                       "write days or weeks, for example INTERVAL '7 days'");
    default:
      return source.At(type.location, "this form of INTERVAL is not supported",
                       "write for example INTERVAL '1 hour 30 minutes'");
  }
  return type.has_modifier
             ? Result<Micros>(source.At(type.location, "this form of INTERVAL is not supported",
                                        "write for example INTERVAL '1 hour'"))
             : Result<Micros>(0);
}

/// A constant interval: INTERVAL '...', '...' or one with a minus before it.
Result<Interval> ReadInterval(const Source& source, const Syntax& syntax, std::string_view name) {
  Interval out;
  out.location = syntax.location;
  if (syntax.kind == Syntax::Kind::kUnary && syntax.text == "-") {
    MILLRACE_ASSIGN(out, ReadInterval(source, syntax.args[0], name));
    out.value = -out.value;
    return out;
  }
  const bool cast = syntax.kind == Syntax::Kind::kCast && syntax.type.name == "interval";
  const Syntax& text = cast ? syntax.args[0] : syntax;
  if (text.kind != Syntax::Kind::kString) {
    return source.At(syntax.location, "the " + std::string(name) + " must be an interval",
                     "write INTERVAL '1 hour'");
  }
  Micros unit = 0;
  if (cast) {
    MILLRACE_ASSIGN(unit, FieldUnit(source, syntax.type));
  }
  auto value = unit == 0 ? ParseInterval(text.text) : ParseIntervalField(text.text, unit);
  if (!value.ok()) return source.At(text.location, "", value.error());
  out.value = *value;
  return out;
}

/// What stands behind stream and time, by name.
struct Arguments {
  std::optional<Interval> slide;
  std::optional<Interval> size;
  std::optional<Interval> offset;
  const Syntax* zone = nullptr;
};

Result<Arguments> ReadArguments(const Source& source, const Syntax& from, bool hop) {
  const std::string form = hop ? "hop(stream, time, slide, size [, offset])"
                               : "tumble(stream, time, size [, offset] [, timezone => 'zone'])";
  std::vector<std::string_view> positions;
  if (hop) positions.push_back("slide");
  positions.insert(positions.end(), {"size", "offset"});

  Arguments out;
  for (size_t i = 2; i < from.args.size(); ++i) {
    const Syntax& argument = from.args[i];
    const bool named = argument.kind == Syntax::Kind::kNamedArgument;
    if (!named && i - 2 >= positions.size()) {
      return source.At(argument.location, "too many arguments for " + from.text + "()",
                       "write " + form);
    }
    const std::string name = named ? argument.text : std::string(positions[i - 2]);
    const Syntax& value = named ? argument.args[0] : argument;
    if (name == "timezone") {
      if (value.kind != Syntax::Kind::kString) {
        return source.At(value.location, "a time zone is a text",
                         "write timezone => 'Europe/Berlin'");
      }
      out.zone = &value;
      continue;
    }
    std::optional<Interval>* slot = name == "size"           ? &out.size
                                    : name == "offset"       ? &out.offset
                                    : name == "slide" && hop ? &out.slide
                                                             : nullptr;
    if (slot == nullptr) {
      return source.At(argument.location, from.text + "() has no argument " + Quoted(name),
                       "write " + form);
    }
    if (slot->has_value()) {
      return source.At(argument.location, "the " + name + " is given twice", "write " + form);
    }
    MILLRACE_ASSIGN(*slot, ReadInterval(source, value, name));
  }
  if (!out.size || (hop && !out.slide)) {
    const std::string missing = hop && !out.slide ? "slide" : "size";
    return source.At(from.location, from.text + "() needs a " + missing, "write " + form);
  }
  return out;
}

}  // namespace

Result<WindowSpec> PlanWindow(const Source& source, const Syntax& from) {
  const bool hop = from.text == "hop";
  MILLRACE_ASSIGN(const Arguments arguments, ReadArguments(source, from, hop));
  const Interval size = *arguments.size;
  if (size.value <= 0) {
    return source.At(size.location, "the size of a window must be more than 0");
  }
  WindowSpec out;
  out.kind = hop ? WindowKind::kHop : WindowKind::kTumble;
  out.size = size.value;
  out.slide = size.value;
  if (hop) {
    out.slide = arguments.slide->value;
    if (out.slide <= 0) {
      return source.At(arguments.slide->location, "the slide must be more than 0");
    }
    if (out.slide > out.size) {
      return source.At(arguments.slide->location,
                       "the slide is larger than the size: events between windows would be lost",
                       "the slide comes first: hop(stream, time, slide, size)");
    }
    if (out.size > kMaxWindowsPerEvent * out.slide) {
      return source.At(arguments.slide->location, "an event would be in more than 1,440 windows",
                       "write a larger slide or a smaller size");
    }
  }
  if (arguments.zone != nullptr) {
    const Syntax& zone = *arguments.zone;
    if (hop) {
      return source.At(
          zone.location, "only tumble() takes a time zone",
          "write tumble(stream, time, INTERVAL '1 day', timezone => '" + zone.text + "')");
    }
    if (arguments.offset) {
      return source.At(arguments.offset->location, "a window with a time zone takes no offset",
                       "leave it out: local days begin at local midnight");
    }
    if (out.size % kDay != 0) {
      return source.At(size.location, "a window with a time zone is whole days long",
                       "for windows of hours give the zone's distance from UTC as the offset: "
                       "tumble(stream, time, INTERVAL '12 hours', INTERVAL '-8 hours') for UTC+8");
    }
    auto starts = LocalDayStarts(zone.text);
    if (!starts.ok()) {
      if (starts.error().code == Code::kInternal) return starts.error();
      return source.At(zone.location, "", starts.error());
    }
    out.zone = zone.text;
    out.day_starts = *std::move(starts);
    out.days = static_cast<int32_t>(out.size / kDay);
    return out;
  }
  if (arguments.offset) {
    out.offset = FloorMod(arguments.offset->value, out.slide);
  } else if (out.slide % kWeek == 0) {
    out.offset = FloorMod(kFirstMonday, out.slide);
  }
  return out;
}

}  // namespace millrace
