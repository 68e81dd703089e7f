#include "millrace/model/ids.h"

#include <charconv>

#include "millrace/model/batch.h"
#include "millrace/model/spec.h"

namespace millrace {

std::string Incarnation::ToString() const {
  return name_space + "/" + name + "@" + std::to_string(defined_at.value);
}

std::string ShardId::ToString() const {
  return incarnation.ToString() + "/p" + std::to_string(partition.value);
}

bool ShardId::Parse(std::string_view text, ShardId* out) {
  const size_t slash = text.find('/');
  const size_t at = text.find('@');
  const size_t p = text.rfind("/p");
  if (slash == text.npos || at == text.npos || p == text.npos || slash > at || at > p) return false;
  const auto number = [](std::string_view s, auto* v) {
    const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), *v);
    return error == std::errc() && end == s.data() + s.size() && !s.empty();
  };
  out->incarnation.name_space = text.substr(0, slash);
  out->incarnation.name = text.substr(slash + 1, at - slash - 1);
  return number(text.substr(at + 1, p - at - 1), &out->incarnation.defined_at.value) &&
         number(text.substr(p + 2), &out->partition.value);
}

std::string_view ReasonName(Reason reason) {
  switch (reason) {
    case Reason::kNone:
      return "NONE";
    case Reason::kSequenceSpan:
      return "SEQUENCE_SPAN";
    case Reason::kUnreadable:
      return "UNREADABLE";
    case Reason::kMissingColumn:
      return "MISSING_COLUMN";
    case Reason::kWrongType:
      return "WRONG_TYPE";
    case Reason::kNullEventTime:
      return "NULL_EVENT_TIME";
    case Reason::kEventTimeOutOfRange:
      return "EVENT_TIME_OUT_OF_RANGE";
    case Reason::kTooFarAhead:
      return "TOO_FAR_AHEAD";
    case Reason::kWrongPartition:
      return "WRONG_PARTITION";
    case Reason::kEvaluationError:
      return "EVALUATION_ERROR";
  }
  return "UNKNOWN";
}

std::vector<Type> GroupRowTypes(const PipelineSpec& spec) {
  std::vector<Type> types;
  for (const GroupColumn& g : spec.group_by) types.push_back(g.expr.type);
  types.push_back(Type::kTimestamp);
  types.push_back(Type::kTimestamp);
  for (const AggregateSpec& a : spec.aggregates) types.push_back(a.type);
  return types;
}

}  // namespace millrace
