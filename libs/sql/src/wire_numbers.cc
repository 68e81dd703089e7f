#include <algorithm>
#include <utility>

#include "millrace/model/spec.h"
#include "millrace/pipeline/v1/pipeline.pb.h"

// The codec casts an enum of libs/model to the number of the same name on the wire, and back. Here
// the compiler holds the two lists against each other, so that no enumerator moves unnoticed.

namespace millrace {
namespace {

namespace pb = pipeline::v1;

/// Each pair has one number, and the pairs are all that the wire knows, 1 to `last`.
template <typename Ours, typename Wire, size_t kCount>
constexpr bool SameNumbers(const std::pair<Ours, Wire> (&pairs)[kCount], Wire last) {
  int number = 0;
  return kCount == static_cast<size_t>(last) &&
         std::all_of(std::begin(pairs), std::end(pairs), [&](const auto& pair) {
           ++number;
           return static_cast<int>(pair.first) == number && static_cast<int>(pair.second) == number;
         });
}

constexpr std::pair<Type, pb::Type> kTypes[] = {
    {Type::kInt, pb::TYPE_INT},         {Type::kBigint, pb::TYPE_BIGINT},
    {Type::kDouble, pb::TYPE_DOUBLE},   {Type::kText, pb::TYPE_TEXT},
    {Type::kBool, pb::TYPE_BOOL},       {Type::kTimestamp, pb::TYPE_TIMESTAMP},
    {Type::kNumeric, pb::TYPE_NUMERIC},
};
static_assert(SameNumbers(kTypes, pb::Type_MAX));

constexpr std::pair<RecordFormat, pb::RecordFormat> kFormats[] = {
    {RecordFormat::kArrow, pb::RECORD_FORMAT_ARROW},
    {RecordFormat::kJson, pb::RECORD_FORMAT_JSON},
};
static_assert(SameNumbers(kFormats, pb::RecordFormat_MAX));

using Op = Expr::Op;
constexpr std::pair<Op, pb::Op> kOperators[] = {
    {Op::kColumn, pb::OP_COLUMN},
    {Op::kLiteral, pb::OP_LITERAL},
    {Op::kAdd, pb::OP_ADD},
    {Op::kSubtract, pb::OP_SUBTRACT},
    {Op::kMultiply, pb::OP_MULTIPLY},
    {Op::kDivide, pb::OP_DIVIDE},
    {Op::kModulo, pb::OP_MODULO},
    {Op::kNegate, pb::OP_NEGATE},
    {Op::kEqual, pb::OP_EQUAL},
    {Op::kNotEqual, pb::OP_NOT_EQUAL},
    {Op::kLess, pb::OP_LESS},
    {Op::kLessEqual, pb::OP_LESS_EQUAL},
    {Op::kGreater, pb::OP_GREATER},
    {Op::kGreaterEqual, pb::OP_GREATER_EQUAL},
    {Op::kAnd, pb::OP_AND},
    {Op::kOr, pb::OP_OR},
    {Op::kNot, pb::OP_NOT},
    {Op::kIsNull, pb::OP_IS_NULL},
    {Op::kIsNotNull, pb::OP_IS_NOT_NULL},
    {Op::kCast, pb::OP_CAST},
    {Op::kCase, pb::OP_CASE},
    {Op::kCoalesce, pb::OP_COALESCE},
    {Op::kNullIf, pb::OP_NULL_IF},
};
static_assert(SameNumbers(kOperators, pb::Op_MAX));

constexpr std::pair<WindowKind, pb::WindowKind> kWindows[] = {
    {WindowKind::kTumble, pb::WINDOW_KIND_TUMBLE},
    {WindowKind::kHop, pb::WINDOW_KIND_HOP},
};
static_assert(SameNumbers(kWindows, pb::WindowKind_MAX));

constexpr std::pair<Aggregate, pb::AggregateKind> kAggregates[] = {
    {Aggregate::kCountStar, pb::AGGREGATE_KIND_COUNT_STAR},
    {Aggregate::kCount, pb::AGGREGATE_KIND_COUNT},
    {Aggregate::kSum, pb::AGGREGATE_KIND_SUM},
    {Aggregate::kMin, pb::AGGREGATE_KIND_MIN},
    {Aggregate::kMax, pb::AGGREGATE_KIND_MAX},
    {Aggregate::kAvg, pb::AGGREGATE_KIND_AVG},
};
static_assert(SameNumbers(kAggregates, pb::AggregateKind_MAX));

constexpr std::pair<StartKind, pb::StartKind> kStarts[] = {
    {StartKind::kEarliest, pb::START_KIND_EARLIEST},
    {StartKind::kLatest, pb::START_KIND_LATEST},
    {StartKind::kTime, pb::START_KIND_TIME},
};
static_assert(SameNumbers(kStarts, pb::StartKind_MAX));

}  // namespace
}  // namespace millrace
