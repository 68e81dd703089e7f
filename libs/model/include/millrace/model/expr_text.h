#pragma once

#include <string>

#include "millrace/model/spec.h"

namespace millrace {

/// A longer text is cut before a character, and "..." stands for the rest.
inline constexpr size_t kMaxExprText = 200;

/// SQL of an expression over the stream's columns, as docs/semantics.md describes it. A pure
/// function of the plan: output rows have it.
std::string ExprText(const Expr& expr, const StreamSpec& stream);

/// The same for HAVING and SELECT, whose columns are the group row's: in their place stands what
/// they were made from.
std::string GroupExprText(const Expr& expr, const StreamSpec& stream, const PipelineSpec& view);

}  // namespace millrace
