#include "exact_sum.h"

#include <rapidcheck.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <numeric>

#include "support/catch.h"

using namespace millrace;
using namespace millrace::window;

namespace {

/// A number as digits of 32 bits, least first, the lowest bit standing for 2^-1074. Slow and plain.
class Digits {
 public:
  void Add(double v) {
    int exponent = 0;
    auto m = static_cast<int64_t>(std::ldexp(std::frexp(v, &exponent), 53));
    exponent -= 53;
    if (exponent < -1074) {
      m /= int64_t{1} << (-1074 - exponent);  // subnormals: the bits lost are zeros
      exponent = -1074;
    }
    Add(m, exponent);
  }
  void Add(Int128 m, int exponent) {
    const bool negative = m < 0;
    UInt128 u = negative ? -static_cast<UInt128>(m) : static_cast<UInt128>(m);
    for (auto bit = static_cast<size_t>(exponent + 1074); u != 0; u >>= 1, ++bit) {
      const int64_t v = static_cast<int64_t>(u & 1) << (bit % 32);
      digits_[bit / 32] += negative ? -v : v;
    }
  }

  /// The value / n, to the nearest double, ties to even.
  double Rounded(uint64_t n) const {
    std::vector<int64_t> d(digits_, digits_ + kSize);
    const auto carry = [&] {
      for (size_t i = 0; i + 1 < kSize; ++i) {
        const int64_t c = d[i] >> 32;
        d[i] -= c << 32;
        d[i + 1] += c;
      }
    };
    carry();
    const bool negative = d[kSize - 1] < 0;
    if (negative) {
      for (int64_t& digit : d) digit = -digit;
      carry();
    }
    // 64 more bits below, so that the quotient has all that decides.
    UInt128 rest = 0;
    std::vector<bool> bits((kSize + 2) * 32);
    for (size_t i = kSize + 2; i-- > 0;) {
      for (int b = 31; b >= 0; --b) {
        rest = rest * 2 + (i >= 2 ? static_cast<uint64_t>(d[i - 2] >> b) & 1 : 0);
        bits[i * 32 + static_cast<size_t>(b)] = rest >= n;
        if (rest >= n) rest -= n;
      }
    }
    size_t top = bits.size();
    while (top > 0 && !bits[top - 1]) --top;
    if (top == 0 && rest == 0) return 0.0;
    const size_t low = std::max<size_t>(top >= 53 ? top - 53 : 0, 64);  // 64: 2^-1074
    uint64_t mantissa = 0;
    for (size_t i = top; i-- > low;) mantissa = mantissa * 2 + (bits[i] ? 1 : 0);
    bool sticky = rest != 0;
    for (size_t i = 0; i + 1 < low; ++i) sticky = sticky || bits[i];
    if (bits[low - 1] && (sticky || mantissa % 2 == 1)) ++mantissa;
    const double v = std::ldexp(static_cast<double>(mantissa), static_cast<int>(low) - 64 - 1074);
    return negative ? -v : v;
  }

 private:
  static constexpr size_t kSize = 72;
  int64_t digits_[kSize] = {};
};

uint64_t Bits(double v) { return std::bit_cast<uint64_t>(v); }

double Sum(const std::vector<double>& values, uint64_t n = 1) {
  ExactSum sum;
  ExactSum::Wides wides;
  for (const double v : values) sum.Add(v, &wides);
  return sum.Rounded(n, wides);
}

rc::Gen<double> Finite() {
  const auto power = [](int low, int high) {
    return rc::gen::apply([](int e, int64_t m) { return std::ldexp(static_cast<double>(m), e); },
                          rc::gen::inRange(low, high),
                          rc::gen::element<int64_t>(1, -1, 3, -5, (1ll << 53) - 1));
  };
  return rc::gen::oneOf(
      rc::gen::suchThat(rc::gen::map(rc::gen::arbitrary<uint64_t>(),
                                     [](uint64_t bits) { return std::bit_cast<double>(bits); }),
                        [](double v) { return std::isfinite(v); }),
      power(-60, 60), power(-1074, -1000), power(900, 970),
      rc::gen::element(0.0, -0.0, 0.1, 1e308, -1e308, DBL_MAX, -DBL_MAX, DBL_TRUE_MIN, DBL_MIN),
      rc::gen::map(rc::gen::inRange(-100'000, 100'000), [](int v) { return v / 100.0; }));
}

rc::Gen<uint64_t> Divisor() {
  return rc::gen::oneOf(
      rc::gen::just<uint64_t>(1), rc::gen::inRange<uint64_t>(1, 1000),
      rc::gen::suchThat(rc::gen::arbitrary<uint64_t>(), [](uint64_t n) { return n > 0; }),
      rc::gen::just(~uint64_t{0}));
}

}  // namespace

TEST_CASE("a sum of doubles, and its mean, is the exact one rounded once") {
  CHECK(rc::check([] {
    const auto values = *rc::gen::container<std::vector<double>>(Finite());
    const auto n = *Divisor();
    Digits exact;
    for (const double v : values) exact.Add(v);
    RC_ASSERT(Bits(Sum(values, n)) == Bits(exact.Rounded(n)));
  }));
}

TEST_CASE("neither order, nor grouping, nor storage changes a sum") {
  CHECK(rc::check([] {
    auto values = *rc::gen::container<std::vector<double>>(
        rc::gen::oneOf(Finite(), rc::gen::element(HUGE_VAL, -HUGE_VAL, std::nan(""))));
    const auto n = *Divisor();
    const double expected = Sum(values, n);
    const auto order =
        *rc::gen::container<std::vector<uint32_t>>(values.size(), rc::gen::arbitrary<uint32_t>());
    std::vector<size_t> at(values.size());
    std::iota(at.begin(), at.end(), 0);
    std::sort(at.begin(), at.end(), [&](size_t a, size_t b) { return order[a] < order[b]; });
    ExactSum parts[3];
    ExactSum::Wides wides[3];
    for (const size_t i : at) parts[order[i] % 3].Add(values[i], &wides[order[i] % 3]);
    std::string stored;
    parts[1].Encode(&stored, wides[1]);
    ExactSum restored;
    ByteReader in(stored);
    RC_ASSERT(restored.Decode(&in, &wides[2]));
    RC_ASSERT(in.done());
    parts[2].Merge(restored, wides[2], &wides[2]);
    parts[2].Merge(parts[0], wides[0], &wides[2]);
    RC_ASSERT(Bits(parts[2].Rounded(n, wides[2])) == Bits(expected));
  }));
}

TEST_CASE("a copy of a sum on another page holds its own value") {
  ExactSum::Wides from(3);
  ExactSum sum;
  for (const double v : {1e300, 1.0, 1e-300}) sum.Add(v, &from);
  ExactSum::Wides to(1);
  ExactSum copy = sum;
  copy.MoveWide(from, &to);
  copy.Add(-1e300, &to);
  CHECK(copy.Rounded(1, to) == 1.0);
  CHECK(sum.Rounded(1, from) == 1e300);
}

TEST_CASE("hard cases of rounding") {
  const double tiny = DBL_TRUE_MIN;
  const double two53 = 0x1p53;
  SECTION("ties go to even, and one bit far below decides") {
    CHECK(Sum({1, 0x1p-53}) == 1);
    CHECK(Sum({1, 0x1p-53, tiny}) == 1 + 0x1p-52);
    CHECK(Sum({1 + 0x1p-52, 0x1p-53}) == 1 + 0x1p-51);
    CHECK(Sum({two53, 1}) == two53);
    CHECK(Sum({two53, 1, 1}) == two53 + 2);
    CHECK(Sum({two53, 1, 1, 1}) == two53 + 4);
    CHECK(Sum({-two53, -1, -tiny}) == -two53 - 2);
  }
  SECTION("a sum beyond the range comes back into it") {
    CHECK(Sum({1e308, 1e308, -1e308}) == 1e308);
    CHECK(Sum({1e308, 1e308}) == HUGE_VAL);
    CHECK(Sum({-1e308, -1e308}) == -HUGE_VAL);
    CHECK(Sum({1e308, 1e308}, 2) == 1e308);
    CHECK(Sum({1e16, 1, -1e16}) == 1);
  }
  SECTION("half a unit beyond the largest double is infinity, less is not") {
    CHECK(Sum({DBL_MAX, 0x1p970}) == HUGE_VAL);
    CHECK(Sum({DBL_MAX, 0x1p970, -tiny}) == DBL_MAX);
    CHECK(Sum({-DBL_MAX, -0x1p970, tiny}) == -DBL_MAX);
  }
  SECTION("subnormals") {
    CHECK(Sum({tiny, tiny, tiny}) == 3 * tiny);
    CHECK(Sum({tiny}, 2) == 0);
    CHECK(Sum({tiny, tiny, tiny}, 2) == 2 * tiny);
    CHECK(Sum({tiny, tiny, tiny, tiny, tiny}, 2) == 2 * tiny);
    CHECK(Sum({DBL_MIN, -tiny}) == DBL_MIN - tiny);
  }
  SECTION("zeros have their sign by the rules") {
    CHECK(Bits(Sum({})) == Bits(0.0));
    CHECK(Bits(Sum({-0.0, -0.0})) == Bits(0.0));
    CHECK(Bits(Sum({1e300, -1e300})) == Bits(0.0));
    CHECK(Bits(Sum({-tiny}, 4)) == Bits(-0.0));
  }
  SECTION("NaN and both infinities give the one NaN") {
    CHECK(Bits(Sum({HUGE_VAL, -HUGE_VAL, 1})) == 0x7ff8000000000000);
    CHECK(Bits(Sum({-std::nan("7"), 1})) == 0x7ff8000000000000);
    CHECK(Sum({HUGE_VAL, -1e308}) == HUGE_VAL);
    CHECK(Sum({-HUGE_VAL, 1e308}, 3) == -HUGE_VAL);
  }
}

TEST_CASE("a quotient of integers is rounded once") {
  CHECK(rc::check([] {
    const auto high = *rc::gen::oneOf(rc::gen::just<int64_t>(0), rc::gen::just<int64_t>(-1),
                                      rc::gen::arbitrary<int64_t>());
    const auto low = *rc::gen::oneOf(
        rc::gen::inRange<uint64_t>(0, 1000),
        rc::gen::map(rc::gen::inRange(50, 64), [](int e) { return (uint64_t{1} << e) + 1; }),
        rc::gen::arbitrary<uint64_t>());
    const auto n = *Divisor();
    const auto v =
        static_cast<Int128>(static_cast<UInt128>(static_cast<uint64_t>(high)) << 64 | low);
    Digits exact;
    exact.Add(v, 0);
    RC_ASSERT(Bits(RoundedQuotient(v, n)) == Bits(exact.Rounded(n)));
  }));
  CHECK(RoundedQuotient(0, 3) == 0);
  CHECK(RoundedQuotient((Int128{1} << 53) + 1, 1) == 0x1p53);
  CHECK(RoundedQuotient((Int128{1} << 54) + 3, 2) == 0x1p53 + 2);
}
