#pragma once

#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "eval.h"

namespace millrace::window {

/// A node with its operands and the storage of its last result.
struct Evaluator::Node {
  explicit Node(const Expr& e) : expr(e) {
    for (const Expr& a : e.args) args.emplace_back(a);
    expr.args.clear();
  }

  Expr expr;
  std::vector<Node> args;
  std::vector<Int128> fixed;  ///< backing of any fixed-width type
  std::vector<std::string_view> texts;
  std::deque<std::string> owned;
  std::vector<uint8_t> nulls;
  std::vector<uint8_t> errors;
  Vec last;  ///< what Eval gave

  template <typename T>
  T* Values(size_t rows) {
    if constexpr (std::is_same_v<T, std::string_view>) {
      texts.resize(rows);
      return texts.data();
    } else {
      fixed.resize((rows * sizeof(T) + sizeof(Int128) - 1) / sizeof(Int128) + 1);
      return reinterpret_cast<T*>(fixed.data());
    }
  }
  Vec Eval(const std::vector<Column>& input, size_t rows) { return last = Compute(input, rows); }
  Vec Compute(const std::vector<Column>& input, size_t rows);
};

}  // namespace millrace::window
