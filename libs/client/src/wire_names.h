#pragma once

#include <initializer_list>
#include <string>

#include "millrace/base/facts.h"
#include "millrace/model/column.h"

namespace millrace::client {

inline Error NotUnderstood(const std::string& what, const std::string& value) {
  return Internal(
      "the server sent something that this program does not know; use the server's "
      "version of millrace",
      {{what, value}});
}

/// The one of `all` that the server means.
template <typename E, typename NameOf>
Result<E> ByName(std::initializer_list<E> all, NameOf name_of, const std::string& what,
                 const std::string& name) {
  for (const E one : all)
    if (name_of(one) == name) return one;
  return NotUnderstood(what, name);
}

inline Result<Type> TypeOf(const std::string& name) {
  return ByName({Type::kInt, Type::kBigint, Type::kDouble, Type::kText, Type::kBool,
                 Type::kTimestamp, Type::kNumeric},
                TypeName, "type", name);
}

}  // namespace millrace::client
