#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/model/column.h"
#include "millrace/model/expr.h"

namespace millrace::window {

/// Why a row's expression failed; 0 is "did not".
enum EvalError : uint8_t { kNoError = 0, kOverflow, kDivisionByZero, kBadCast };

/// The value of an expression in each row of a batch. `stride` 0: one value stands for all rows. A
/// row with an error or a NULL holds some valid value. Text is views into the input or into the
/// node's own storage.
struct Vec {
  Type type = Type::kInt;
  size_t stride = 1;
  const void* values =
      nullptr;  ///< int32_t, int64_t, double, uint8_t, Int128 or std::string_view by type
  const uint8_t* nulls = nullptr;   ///< nullptr: none
  const uint8_t* errors = nullptr;  ///< nullptr: none

  template <typename T>
  const T& At(size_t row) const {
    return static_cast<const T*>(values)[row * stride];
  }
  bool Null(size_t row) const { return nulls != nullptr && nulls[row * stride] != 0; }
  uint8_t Error(size_t row) const {
    return errors != nullptr ? errors[row * stride] : uint8_t{kNoError};
  }
  /// A boolean that is neither false, NULL nor an error.
  bool True(size_t row) const { return Error(row) == 0 && !Null(row) && At<uint8_t>(row) != 0; }
};

/// Evaluates one expression over batches, column at a time, reusing its buffers. Semantics as in
/// expr.h. A result is valid until the next Run and as long as the input. Pure; not thread-safe.
class Evaluator {
 public:
  explicit Evaluator(const Expr& expr);
  ~Evaluator();
  Evaluator(Evaluator&&) noexcept;
  Evaluator& operator=(Evaluator&&) noexcept;

  Vec Run(const std::vector<Column>& input, size_t rows);

  /// What the last Run gave; without errors before the first one.
  const Vec& last() const;
  /// The part of `expr` that failed in a row in which the last Run gave an error: all of its own
  /// operands have values. `expr` is what this was made of.
  const Expr& Culprit(const Expr& expr, size_t row) const;

  struct Node;

 private:
  std::unique_ptr<Node> root_;
};

/// As a Column of `rows` rows over storage in *text_storage (for text, or if the value is
/// constant); other types are viewed.
Column ToColumn(const Vec& vec, size_t rows, ColumnData* storage);

}  // namespace millrace::window
