#pragma once

#include <utility>
#include <vector>

#include "millrace/model/expr.h"

namespace millrace::test {

inline Expr Make(Expr::Op op, Type type, std::vector<Expr> args) {
  Expr e;
  e.op = op;
  e.type = type;
  e.args = std::move(args);
  return e;
}

inline Expr ColumnOf(int32_t index, Type type = Type::kInt) {
  Expr e = Make(Expr::Op::kColumn, type, {});
  e.index = index;
  return e;
}

}  // namespace millrace::test
