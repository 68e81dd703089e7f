#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/model/column.h"

namespace millrace::window {

/// A signed fixed-point number wide enough for any sum of 2^63 doubles: least bit 2^-1074, two's
/// complement. The role of Neal's superaccumulator ("Fast exact summation using small and large
/// superaccumulators", 2015), without his carry-save chunks: values rarely come here.
struct WideSum {
  static constexpr size_t kLimbs = 35;
  uint64_t limbs[kLimbs] = {};

  /// Adds m * 2^exponent, exponent >= -1074.
  void Add(Int128 m, int exponent);
  void Add(const WideSum& o);
};

/// An exact sum of doubles, rounded once when read, so neither order nor grouping can matter. Most
/// sums fit a 128-bit fixed-point window whose exponent the first value sets; one that does not
/// moves into a WideSum of the page that holds it.
struct ExactSum {
  Int128 sum = 0;
  int32_t exponent = 0;  ///< of the least bit of `sum`; meaningful if kFixed
  enum Form : uint8_t { kEmpty, kFixed, kWide } form = kEmpty;
  uint8_t special = 0;  ///< bits: 1 NaN, 2 +infinity, 4 -infinity
  uint32_t wide = 0;    ///< index into the page's WideSums if kWide

  using Wides = std::vector<WideSum>;

  void Add(double v, Wides* wides);
  void Merge(const ExactSum& o, const Wides& other_wides, Wides* wides);
  /// Of a copy that stands on another page than the original: takes its WideSum along.
  void MoveWide(const Wides& from, Wides* to) {
    if (form != kWide) return;
    to->push_back(from[wide]);
    wide = static_cast<uint32_t>(to->size()) - 1;
  }
  /// The sum divided by n (1: the sum itself), rounded once to nearest, ties to even. An exact zero
  /// is +0, beyond the range an infinity.
  double Rounded(uint64_t n, const Wides& wides) const;

  void Encode(std::string* out, const Wides& wides) const;
  bool Decode(ByteReader* in, Wides* wides);

 private:
  void AddExact(Int128 m, int e, Wides* wides);
  void Widen(Wides* wides);
};

/// v / n rounded once, n > 0.
double RoundedQuotient(Int128 v, uint64_t n);

}  // namespace millrace::window
