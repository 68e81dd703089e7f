#include <cmath>
#include <functional>

#include "cast.h"
#include "eval_node.h"
#include "millrace/base/check.h"

namespace millrace::window {

namespace {

using Node = Evaluator::Node;

/// Calls `f` with a value of the C++ type that holds `type`.
template <typename F>
void WithType(Type type, F&& f) {
  switch (type) {
    case Type::kInt:
      return f(int32_t{});
    case Type::kBigint:
    case Type::kTimestamp:
      return f(int64_t{});
    case Type::kDouble:
      return f(double{});
    case Type::kBool:
      return f(uint8_t{});
    case Type::kNumeric:
      return f(Int128{});
    case Type::kText:
      return f(std::string_view{});
  }
}

Vec FromColumn(Node* node, const Column& c, size_t rows) {
  if (c.type == Type::kText) {
    auto* out = node->Values<std::string_view>(rows);
    for (size_t i = 0; i < rows; ++i) out[i] = c.Text(i);
    return {c.type, 1, out, c.nulls, nullptr};
  }
  if (c.type == Type::kNumeric) {
    auto* out = node->Values<Int128>(rows);
    std::memcpy(out, c.values, rows * sizeof(Int128));
    return {c.type, 1, out, c.nulls, nullptr};
  }
  return {c.type, 1, c.values, c.nulls, nullptr};
}

Vec FromLiteral(Node* node) {
  const Expr& e = node->expr;
  node->nulls.assign(1, e.is_null ? 1 : 0);
  Vec v{e.type, 0, nullptr, e.is_null ? node->nulls.data() : nullptr, nullptr};
  WithType(e.type, [&]<typename T>(T) {
    T* out = node->Values<T>(1);
    if constexpr (std::is_same_v<T, std::string_view>) {
      out[0] = e.text;
    } else if constexpr (std::is_same_v<T, double>) {
      out[0] = e.real;
    } else {
      out[0] = static_cast<T>(e.integer);
    }
    v.values = out;
  });
  return v;
}

/// Nulls and errors of a strict operator: an error of any operand, left first, else NULL if any is.
/// Leaves nullptr where nothing can be.
void StrictFlags(Node* node, const Vec* a, size_t n, size_t rows, Vec* out) {
  bool nulls = false;
  bool errors = false;
  for (size_t k = 0; k < n; ++k) {
    nulls |= a[k].nulls != nullptr;
    errors |= a[k].errors != nullptr;
  }
  if (nulls) {
    node->nulls.assign(rows, 0);
    for (size_t k = 0; k < n; ++k) {
      if (a[k].nulls == nullptr) continue;
      for (size_t i = 0; i < rows; ++i) node->nulls[i] |= a[k].nulls[i * a[k].stride];
    }
    out->nulls = node->nulls.data();
  }
  if (errors) {
    node->errors.assign(rows, 0);
    for (size_t k = 0; k < n; ++k) {
      for (size_t i = 0; i < rows && a[k].errors != nullptr; ++i) {
        if (node->errors[i] == 0) node->errors[i] = a[k].errors[i * a[k].stride];
      }
    }
    out->errors = node->errors.data();
  }
}

void SetError(Node* node, Vec* out, size_t rows, size_t row, uint8_t error) {
  if (out->errors == nullptr) {
    node->errors.assign(rows, 0);
    out->errors = node->errors.data();
  }
  if (node->errors[row] == 0) node->errors[row] = error;
}

template <typename T>
bool InRange(T v) {
  if constexpr (std::is_same_v<T, Int128>) return v <= kMaxNumeric && v >= -kMaxNumeric;
  return true;
}

/// One arithmetic step; gives an error code. Integers check, doubles fail when finite operands make
/// an infinity.
template <typename T>
uint8_t Arithmetic(Expr::Op op, T a, T b, T* out) {
  if constexpr (std::is_same_v<T, double>) {
    if (op == Expr::Op::kDivide && b == 0) return kDivisionByZero;
    switch (op) {
      case Expr::Op::kAdd:
        *out = a + b;
        break;
      case Expr::Op::kSubtract:
        *out = a - b;
        break;
      case Expr::Op::kMultiply:
        *out = a * b;
        break;
      default:
        *out = a / b;
    }
    return std::isinf(*out) && std::isfinite(a) && std::isfinite(b) ? kOverflow : kNoError;
  } else {
    bool over = false;
    switch (op) {
      case Expr::Op::kAdd:
        over = __builtin_add_overflow(a, b, out);
        break;
      case Expr::Op::kSubtract:
        over = __builtin_sub_overflow(a, b, out);
        break;
      case Expr::Op::kMultiply:
        over = __builtin_mul_overflow(a, b, out);
        break;
      default:
        if (b == 0) return kDivisionByZero;
        // The least value divided by -1: the quotient does not fit, the remainder is 0.
        if (b == -1) {
          if (op == Expr::Op::kModulo) return *out = 0, kNoError;
          over = __builtin_sub_overflow(T{0}, a, out);
        } else {
          *out = op == Expr::Op::kDivide ? a / b : a % b;
        }
    }
    return over || !InRange(*out) ? kOverflow : kNoError;
  }
}

Vec EvalArithmetic(Node* node, const Vec a, const Vec b, size_t rows) {
  const Vec ab[] = {a, b};
  Vec out{node->expr.type, 1, nullptr, nullptr, nullptr};
  StrictFlags(node, ab, 2, rows, &out);
  WithType(out.type, [&]<typename T>(T) {
    if constexpr (std::is_same_v<T, int32_t> || std::is_same_v<T, int64_t> ||
                  std::is_same_v<T, double> || std::is_same_v<T, Int128>) {
      T* values = node->Values<T>(rows);
      const Expr::Op op = node->expr.op;
      for (size_t i = 0; i < rows; ++i) {
        T v{};
        const uint8_t error = Arithmetic<T>(op, a.At<T>(i), b.At<T>(i), &v);
        if (error != 0) [[unlikely]] {
          v = T{};
          if (!out.Null(i)) SetError(node, &out, rows, i, error);
        }
        values[i] = v;
      }
      out.values = values;
    }
  });
  MILLRACE_CHECK(out.values != nullptr, "arithmetic over a type that has none");
  return out;
}

template <typename T>
int Compare(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, double>) {
    // NaN is the largest and equal to itself.
    if (std::isnan(a)) return std::isnan(b) ? 0 : 1;
    if (std::isnan(b)) return -1;
  }
  return a < b ? -1 : (b < a ? 1 : 0);
}

// The operands are copies, here and below: a store of a byte may change, for all the compiler
// knows, what lies behind a reference.
template <typename T, typename Test>
void CompareRows(const Vec a, const Vec b, size_t rows, uint8_t* out, Test test) {
  if constexpr (std::is_integral_v<T>) {
    if (a.stride == 1 && b.stride == 0) {  // as in most filters
      const T* const values = static_cast<const T*>(a.values);
      for (size_t i = 0; i < rows; ++i) out[i] = test(Compare<T>(values[i], b.At<T>(0))) ? 1 : 0;
      return;
    }
  }
  for (size_t i = 0; i < rows; ++i) out[i] = test(Compare<T>(a.At<T>(i), b.At<T>(i))) ? 1 : 0;
}

Vec EvalComparison(Node* node, const Vec& a, const Vec& b, size_t rows) {
  const Vec ab[] = {a, b};
  Vec out{Type::kBool, 1, nullptr, nullptr, nullptr};
  StrictFlags(node, ab, 2, rows, &out);
  auto* values = node->Values<uint8_t>(rows);
  WithType(a.type, [&]<typename T>(T) {
    switch (node->expr.op) {
      case Expr::Op::kEqual:
        return CompareRows<T>(a, b, rows, values, [](int c) { return c == 0; });
      case Expr::Op::kNotEqual:
        return CompareRows<T>(a, b, rows, values, [](int c) { return c != 0; });
      case Expr::Op::kLess:
        return CompareRows<T>(a, b, rows, values, [](int c) { return c < 0; });
      case Expr::Op::kLessEqual:
        return CompareRows<T>(a, b, rows, values, [](int c) { return c <= 0; });
      case Expr::Op::kGreater:
        return CompareRows<T>(a, b, rows, values, [](int c) { return c > 0; });
      default:
        return CompareRows<T>(a, b, rows, values, [](int c) { return c >= 0; });
    }
  });
  out.values = values;
  return out;
}

/// AND stops at the first false or error, OR at the first true or error; a NULL before that makes
/// the rest's "go on" NULL.
Vec EvalLogic(Node* node, const std::vector<Vec>& args, size_t rows) {
  const bool stop = node->expr.op == Expr::Op::kOr;
  auto* values = node->Values<uint8_t>(rows);
  node->nulls.assign(rows, 0);
  node->errors.assign(rows, 0);
  for (size_t i = 0; i < rows; ++i) {
    values[i] = stop ? 0 : 1;
    for (const Vec& a : args) {
      if (a.Error(i) != 0) {
        node->errors[i] = a.Error(i);
        break;
      }
      if (a.Null(i)) {
        node->nulls[i] = 1;
      } else if ((a.At<uint8_t>(i) != 0) == stop) {
        values[i] = stop ? 1 : 0;
        node->nulls[i] = 0;
        break;
      }
    }
  }
  return {Type::kBool, 1, values, node->nulls.data(), node->errors.data()};
}

/// CASE, COALESCE and NULLIF: each row takes value, NULL and error from one operand.
Vec EvalChoice(Node* node, const std::vector<Vec>& args, size_t rows,
               const std::function<int(size_t row, uint8_t* error)>& pick) {
  Vec out{node->expr.type, 1, nullptr, nullptr, nullptr};
  node->nulls.assign(rows, 0);
  node->errors.assign(rows, 0);
  WithType(out.type, [&]<typename T>(T) {
    T* values = node->Values<T>(rows);
    for (size_t i = 0; i < rows; ++i) {
      values[i] = T{};
      uint8_t error = kNoError;
      const int k = pick(i, &error);
      if (error != 0) {
        node->errors[i] = error;
      } else if (k < 0) {
        node->nulls[i] = 1;
      } else {
        const Vec& a = args[static_cast<size_t>(k)];
        node->errors[i] = a.Error(i);
        node->nulls[i] = a.Null(i) ? 1 : 0;
        values[i] = a.At<T>(i);
      }
    }
    out.values = values;
  });
  out.nulls = node->nulls.data();
  out.errors = node->errors.data();
  return out;
}

int PickCase(const std::vector<Vec>& args, size_t row, uint8_t* error) {
  size_t k = 0;
  for (; k + 1 < args.size(); k += 2) {
    if ((*error = args[k].Error(row)) != 0) return -1;
    if (args[k].True(row)) return static_cast<int>(k) + 1;
  }
  return k < args.size() ? static_cast<int>(k) : -1;
}

int PickCoalesce(const std::vector<Vec>& args, size_t row, uint8_t* error) {
  for (size_t k = 0; k < args.size(); ++k) {
    if ((*error = args[k].Error(row)) != 0) return -1;
    if (!args[k].Null(row)) return static_cast<int>(k);
  }
  return -1;
}

int PickNullIf(const std::vector<Vec>& args, size_t row, uint8_t* error) {
  if ((*error = args[0].Error(row)) != 0 || (*error = args[1].Error(row)) != 0) return -1;
  if (args[0].Null(row) || args[1].Null(row)) return 0;
  int c = 0;
  WithType(args[0].type,
           [&]<typename T>(T) { c = Compare<T>(args[0].At<T>(row), args[1].At<T>(row)); });
  return c == 0 ? -1 : 0;
}

Vec EvalCast(Node* node, const Vec& a, size_t rows) {
  Vec out{node->expr.type, 1, nullptr, nullptr, nullptr};
  StrictFlags(node, &a, 1, rows, &out);
  node->owned.clear();
  WithType(out.type, [&]<typename To>(To) {
    To* values = node->Values<To>(rows);
    WithType(a.type, [&]<typename From>(From) {
      for (size_t i = 0; i < rows; ++i) {
        values[i] = To{};
        if (out.Null(i) || out.Error(i) != 0) continue;
        uint8_t error = kNoError;
        if constexpr (std::is_same_v<To, std::string_view>) {
          values[i] = node->owned.emplace_back(CastToText(a.type, a.At<From>(i)));
        } else {
          error = CastValue<From, To>(a.type, out.type, a.At<From>(i), &values[i]);
        }
        if (error != 0) SetError(node, &out, rows, i, error);
      }
    });
    out.values = values;
  });
  return out;
}

Vec EvalNegate(Node* node, const Vec& a, size_t rows) {
  Vec out{node->expr.type, 1, nullptr, nullptr, nullptr};
  StrictFlags(node, &a, 1, rows, &out);
  WithType(out.type, [&]<typename T>(T) {
    if constexpr (!std::is_same_v<T, std::string_view> && !std::is_same_v<T, uint8_t>) {
      T* values = node->Values<T>(rows);
      for (size_t i = 0; i < rows; ++i) {
        if constexpr (std::is_same_v<T, double>) {
          values[i] = -a.At<T>(i);
        } else if (__builtin_sub_overflow(T{0}, a.At<T>(i), &values[i])) {
          values[i] = 0;
          if (!out.Null(i)) SetError(node, &out, rows, i, kOverflow);
        }
      }
      out.values = values;
    }
  });
  MILLRACE_CHECK(out.values != nullptr, "negation of a type that has none");
  return out;
}

Vec EvalNullTest(Node* node, const Vec& a, size_t rows) {
  const bool want = node->expr.op == Expr::Op::kIsNull;
  auto* values = node->Values<uint8_t>(rows);
  for (size_t i = 0; i < rows; ++i) values[i] = a.Null(i) == want ? 1 : 0;
  if (a.errors == nullptr) return {Type::kBool, 1, values, nullptr, nullptr};
  node->errors.resize(rows);
  for (size_t i = 0; i < rows; ++i) node->errors[i] = a.Error(i);
  return {Type::kBool, 1, values, nullptr, node->errors.data()};
}

Vec EvalNot(Node* node, const Vec& a, size_t rows) {
  Vec out{Type::kBool, 1, nullptr, nullptr, nullptr};
  StrictFlags(node, &a, 1, rows, &out);
  auto* values = node->Values<uint8_t>(rows);
  for (size_t i = 0; i < rows; ++i) values[i] = a.At<uint8_t>(i) != 0 ? 0 : 1;
  out.values = values;
  return out;
}

}  // namespace

Vec Evaluator::Node::Compute(const std::vector<Column>& input, size_t rows) {
  using Op = Expr::Op;
  if (expr.op == Op::kColumn) return FromColumn(this, input[static_cast<size_t>(expr.index)], rows);
  if (expr.op == Op::kLiteral) return FromLiteral(this);
  std::vector<Vec> v;
  v.reserve(args.size());
  for (Node& a : args) v.push_back(a.Eval(input, rows));
  switch (expr.op) {
    case Op::kAdd:
    case Op::kSubtract:
    case Op::kMultiply:
    case Op::kDivide:
    case Op::kModulo:
      return EvalArithmetic(this, v[0], v[1], rows);
    case Op::kNegate:
      return EvalNegate(this, v[0], rows);
    case Op::kEqual:
    case Op::kNotEqual:
    case Op::kLess:
    case Op::kLessEqual:
    case Op::kGreater:
    case Op::kGreaterEqual:
      return EvalComparison(this, v[0], v[1], rows);
    case Op::kAnd:
    case Op::kOr:
      return EvalLogic(this, v, rows);
    case Op::kNot:
      return EvalNot(this, v[0], rows);
    case Op::kIsNull:
    case Op::kIsNotNull:
      return EvalNullTest(this, v[0], rows);
    case Op::kCast:
      return EvalCast(this, v[0], rows);
    case Op::kCase:
      return EvalChoice(this, v, rows, [&](size_t i, uint8_t* e) { return PickCase(v, i, e); });
    case Op::kCoalesce:
      return EvalChoice(this, v, rows, [&](size_t i, uint8_t* e) { return PickCoalesce(v, i, e); });
    case Op::kNullIf:
      return EvalChoice(this, v, rows, [&](size_t i, uint8_t* e) { return PickNullIf(v, i, e); });
    default:
      break;
  }
  MILLRACE_CHECK(false, "an expression of no known kind");
  return {};
}

Evaluator::Evaluator(const Expr& expr) : root_(std::make_unique<Node>(expr)) {}
Evaluator::~Evaluator() = default;
Evaluator::Evaluator(Evaluator&&) noexcept = default;
Evaluator& Evaluator::operator=(Evaluator&&) noexcept = default;

Vec Evaluator::Run(const std::vector<Column>& input, size_t rows) {
  return root_->Eval(input, rows);
}

Column ToColumn(const Vec& vec, size_t rows, ColumnData* storage) {
  if (vec.stride == 1 && vec.type != Type::kText) return {vec.type, vec.values, nullptr, vec.nulls};
  storage->Clear();
  for (size_t i = 0; i < rows; ++i) {
    if (vec.Null(i)) {
      storage->AppendNull();
    } else if (vec.type == Type::kText) {
      storage->AppendText(vec.At<std::string_view>(i));
    } else {
      WithType(vec.type, [&]<typename T>(T) {
        if constexpr (std::is_same_v<T, double>) {
          storage->AppendDouble(vec.At<T>(i));
        } else if constexpr (std::is_same_v<T, Int128>) {
          storage->AppendNumeric(vec.At<T>(i));
        } else if constexpr (!std::is_same_v<T, std::string_view>) {
          storage->AppendInteger(static_cast<int64_t>(vec.At<T>(i)));
        }
      });
    }
  }
  return storage->View();
}

}  // namespace millrace::window
