#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "millrace/base/log.h"
#include "millrace/base/result.h"

namespace millrace {

/// Errors with facts: what happened and what to do as a sentence, then ": key=value key=value". The
/// sentence is a constant; what varies is a fact, which is quoted where a reader of key=value could
/// not split it again.
///
///   Conflict("the topic exists with another number of partitions", {{"topic", name}, {"has", n}})
///   -> the topic exists with another number of partitions: topic=orders has=4
using Facts = std::initializer_list<LogField>;
Error WithFacts(Code code, std::string_view what, Facts facts);

inline Error InvalidArgument(std::string_view what, Facts facts) {
  return WithFacts(Code::kInvalidArgument, what, facts);
}
inline Error NotFound(std::string_view what, Facts facts) {
  return WithFacts(Code::kNotFound, what, facts);
}
inline Error Conflict(std::string_view what, Facts facts) {
  return WithFacts(Code::kConflict, what, facts);
}
inline Error Unavailable(std::string_view what, Facts facts) {
  return WithFacts(Code::kUnavailable, what, facts);
}
inline Error Fenced(std::string_view what, Facts facts) {
  return WithFacts(Code::kFenced, what, facts);
}
inline Error ResourceExhausted(std::string_view what, Facts facts) {
  return WithFacts(Code::kResourceExhausted, what, facts);
}
inline Error Corruption(std::string_view what, Facts facts) {
  return WithFacts(Code::kCorruption, what, facts);
}
inline Error Internal(std::string_view what, Facts facts) {
  return WithFacts(Code::kInternal, what, facts);
}

/// The same error with what was being done before it: "reading the manifest: <message>".
Error In(std::string_view doing, Error error);

/// The value of a fact as it stands behind "key=": quoted if it is empty or holds a blank, a quote,
/// "=", a tab or a line feed.
std::string FactText(std::string_view value);

}  // namespace millrace
