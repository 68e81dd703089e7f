#include <optional>

#include "eval_node.h"
#include "fold_state.h"
#include "millrace/base/check.h"
#include "millrace/model/expr_text.h"

// What the quarantine says of an expression that failed.

namespace millrace::window {
namespace {

using Node = Evaluator::Node;

std::string_view ErrorText(uint8_t error) {
  switch (error) {
    case kOverflow:
      return "value out of range";
    case kDivisionByZero:
      return "division by zero";
    case kBadCast:
      return "text cannot be read as the type it is cast to";
    default:
      return "no error";
  }
}

/// The operand whose error in `row` is the node's; nothing if the node's own operation failed.
std::optional<size_t> FailedOperand(const Node& node, size_t row) {
  const std::vector<Node>& args = node.args;
  const bool is_case = node.expr.op == Expr::Op::kCase;
  for (size_t i = 0; i < args.size(); ++i) {
    // The branch of a CASE counts only behind a condition that holds.
    const bool branch = is_case && i % 2 == 1;
    if (branch && !args[i - 1].last.True(row)) continue;
    if (args[i].last.Error(row) != 0) return i;
  }
  return std::nullopt;
}

}  // namespace

const Vec& Evaluator::last() const { return root_->last; }

const Expr& Evaluator::Culprit(const Expr& expr, size_t row) const {
  const Node* node = root_.get();
  const Expr* at = &expr;
  while (const auto operand = FailedOperand(*node, row)) {
    node = &node->args[*operand];
    at = &at->args[*operand];
  }
  return *at;
}

/// "division by zero in WHERE: a / b". `text` gives the SQL of a part of `expr`.
template <typename Text>
std::string ShardFold::State::Failure(std::string_view clause, const Evaluator& evaluator,
                                      const Expr& expr, size_t row, Text&& text) {
  const Expr& culprit = evaluator.Culprit(expr, row);
  const auto [known, is_new] = failed_texts.try_emplace(&culprit);
  if (is_new) known->second = text(culprit);
  std::string out(ErrorText(evaluator.last().Error(row)));
  return out.append(" in ").append(clause).append(": ").append(known->second);
}

std::string ShardFold::State::EventFailure(size_t row) {
  const auto text = [&](const Expr& e) { return ExprText(e, spec.stream); };
  if (where && where->last().Error(row) != 0)
    return Failure("WHERE", *where, *spec.pipeline.where, row, text);
  for (size_t i = 0; i < key_evaluators.size(); ++i) {
    if (key_evaluators[i].last().Error(row) != 0)
      return Failure("GROUP BY", key_evaluators[i], spec.pipeline.group_by[i].expr, row, text);
  }
  for (size_t k = 0; k < input_evaluators.size(); ++k) {
    const InputEvaluators& e = input_evaluators[k];
    if (e.filter && e.filter->last().Error(row) != 0)
      return Failure("FILTER", *e.filter, *plan.inputs[k].filter, row, text);
    if (e.filter && !e.filter->last().True(row)) continue;
    if (e.argument && e.argument->last().Error(row) != 0)
      return Failure("an argument", *e.argument, *plan.inputs[k].argument, row, text);
  }
  MILLRACE_CHECK(false, "no expression failed in a row that has an error");
  return {};
}

std::string ShardFold::State::GroupFailure(size_t row) {
  const auto text = [&](const Expr& e) { return GroupExprText(e, spec.stream, spec.pipeline); };
  if (having && having->last().Error(row) != 0)
    return Failure("HAVING", *having, *spec.pipeline.having, row, text);
  for (size_t c = 0; c < select.size(); ++c) {
    if (select[c].last().Error(row) != 0)
      return Failure("SELECT", select[c], spec.pipeline.select[c].expr, row, text);
  }
  MILLRACE_CHECK(false, "no expression failed in a group that has an error");
  return {};
}

}  // namespace millrace::window
