#include "exact_sum.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace millrace::window {
namespace {

enum Special : uint8_t { kNaN = 1, kPlus = 2, kMinus = 4 };

/// Bits below the first value's least bit that the window keeps for finer values.
constexpr int kFineBits = 40;

bool BitAt(const uint64_t* limbs, size_t bit) { return (limbs[bit / 64] >> (bit % 64)) & 1; }

/// The magnitude limbs[0, n) * 2^e, divided by `divisor`, negated if `negative`, rounded once.
double Round(const uint64_t* magnitude, size_t n, int e, bool negative, uint64_t divisor) {
  // Two limbs of zeros below keep the quotient at least 65 bits wide, so its lost bits only matter
  // as "some bit is set".
  uint64_t q[WideSum::kLimbs + 2] = {};
  std::memcpy(q + 2, magnitude, n * sizeof(uint64_t));
  e -= 128;
  uint64_t remainder = 0;
  for (size_t i = n + 2; i-- > 0;) {
    const UInt128 part = (static_cast<UInt128>(remainder) << 64) | q[i];
    q[i] = static_cast<uint64_t>(part / divisor);
    remainder = static_cast<uint64_t>(part % divisor);
  }
  size_t top = n + 2;
  while (top > 0 && q[top - 1] == 0) --top;
  if (top == 0) return 0.0;
  const int high = static_cast<int>(top * 64) - 1 - std::countl_zero(q[top - 1]);
  const int least = std::max(high + e - 52, -1074);
  const int drop = least - e;
  if (drop > high + 1) return negative ? -0.0 : 0.0;
  uint64_t mantissa = 0;
  for (int bit = high; bit >= drop; --bit)
    mantissa = (mantissa << 1) | (BitAt(q, static_cast<size_t>(bit)) ? 1 : 0);
  bool rest = remainder != 0;
  for (int bit = 0; bit < drop - 1 && !rest; ++bit) rest = BitAt(q, static_cast<size_t>(bit));
  const bool half = drop > 0 && BitAt(q, static_cast<size_t>(drop - 1));
  if (half && (rest || (mantissa & 1) != 0)) ++mantissa;
  const double v = std::ldexp(static_cast<double>(mantissa), least);
  return negative ? -v : v;
}

/// Round() of a magnitude of two limbs, which nearly all sums fit.
double Round(UInt128 magnitude, int e, bool negative, uint64_t divisor) {
  if (magnitude == 0) return 0.0;
  const auto top = static_cast<uint64_t>(magnitude >> 64);
  const int zeros =
      top != 0 ? std::countl_zero(top) : 64 + std::countl_zero(static_cast<uint64_t>(magnitude));
  UInt128 q = magnitude << zeros;
  e -= zeros;
  bool rest = false;
  if (divisor != 1) {
    // At least 2^127 / 2^64: the quotient keeps the 54 bits that decide, `rest` tells of the
    // others.
    rest = q % divisor != 0;
    q /= divisor;
    const auto high = static_cast<uint64_t>(q >> 64);
    const int shift =
        high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(static_cast<uint64_t>(q));
    q <<= shift;
    e -= shift;
  }
  // q has bit 127 set. 53 bits of it stay, fewer where the result is subnormal.
  const int drop = std::max(75, -1074 - e);
  if (drop > 128) return negative ? -0.0 : 0.0;
  uint64_t mantissa = drop == 128 ? 0 : static_cast<uint64_t>(q >> drop);
  const UInt128 half = static_cast<UInt128>(1) << (drop - 1);
  const UInt128 lost = q & (half + (half - 1));
  if (lost > half || (lost == half && (rest || (mantissa & 1) != 0))) ++mantissa;
  const double v = std::ldexp(static_cast<double>(mantissa), e + drop);
  return negative ? -v : v;
}

UInt128 Magnitude(Int128 v) { return v < 0 ? -static_cast<UInt128>(v) : static_cast<UInt128>(v); }

}  // namespace

void WideSum::Add(Int128 m, int exponent) {
  const auto bit = static_cast<size_t>(exponent + 1074);
  const size_t limb = bit / 64;
  const unsigned shift = bit % 64;
  const auto u = static_cast<UInt128>(m);
  const uint64_t sign = m < 0 ? ~uint64_t{0} : 0;
  uint64_t part[3] = {static_cast<uint64_t>(u), static_cast<uint64_t>(u >> 64), sign};
  if (shift != 0) {
    part[2] = (sign << shift) | (part[1] >> (64 - shift));
    part[1] = (part[1] << shift) | (part[0] >> (64 - shift));
    part[0] <<= shift;
  }
  unsigned carry = 0;
  for (size_t i = limb; i < kLimbs; ++i) {
    const uint64_t add = i - limb < 3 ? part[i - limb] : sign;
    const UInt128 s = static_cast<UInt128>(limbs[i]) + add + carry;
    limbs[i] = static_cast<uint64_t>(s);
    carry = static_cast<unsigned>(s >> 64);
  }
}

void WideSum::Add(const WideSum& o) {
  unsigned carry = 0;
  for (size_t i = 0; i < kLimbs; ++i) {
    const UInt128 s = static_cast<UInt128>(limbs[i]) + o.limbs[i] + carry;
    limbs[i] = static_cast<uint64_t>(s);
    carry = static_cast<unsigned>(s >> 64);
  }
}

void ExactSum::Add(double v, Wides* wides) {
  if (!std::isfinite(v)) [[unlikely]] {
    special |= std::isnan(v) ? kNaN : v > 0 ? kPlus : kMinus;
    return;
  }
  const auto bits = std::bit_cast<uint64_t>(v);
  const int biased = static_cast<int>((bits >> 52) & 0x7ff);
  const uint64_t fraction = bits & ((uint64_t{1} << 52) - 1);
  const auto magnitude =
      static_cast<int64_t>(biased == 0 ? fraction : fraction | (uint64_t{1} << 52));
  if (magnitude == 0) return;
  AddExact(v < 0 ? -magnitude : magnitude, std::max(biased, 1) - 1075, wides);
}

void ExactSum::AddExact(Int128 m, int e, Wides* wides) {
  if (form == kEmpty) {
    form = kFixed;
    exponent = std::max(e - kFineBits, -1074);
  }
  if (form == kFixed) {
    int shift = e - exponent;
    if (shift < 0) {
      const auto low = static_cast<uint64_t>(m);
      const int zeros = low == 0 ? 64 : std::countr_zero(low);
      if (zeros >= -shift) {
        m >>= -shift;
        shift = 0;
      }
    }
    const Int128 limit = static_cast<Int128>(1)
                         << (126 - std::max(shift, 0) > 0 ? 126 - std::max(shift, 0) : 0);
    Int128 next = 0;
    if (shift >= 0 && shift < 126 && m < limit && m > -limit &&
        !__builtin_add_overflow(sum, m * (static_cast<Int128>(1) << shift), &next)) {
      sum = next;
      return;
    }
    // What was shifted right to fit keeps its place: m now stands at exponent + shift.
    e = exponent + shift;
    Widen(wides);
  }
  (*wides)[wide].Add(m, e);
}

void ExactSum::Widen(Wides* wides) {
  wide = static_cast<uint32_t>(wides->size());
  wides->emplace_back();
  wides->back().Add(sum, exponent);
  sum = 0;
  form = kWide;
}

void ExactSum::Merge(const ExactSum& o, const Wides& other_wides, Wides* wides) {
  special |= o.special;
  if (o.form == kFixed) {
    if (form == kEmpty) {
      form = kFixed;
      exponent = o.exponent;
    }
    if (form == kFixed && o.exponent < exponent) {
      // Take the finer exponent if this sum can be written with it.
      const int shift = exponent - o.exponent;
      const Int128 limit = shift < 126 ? static_cast<Int128>(1) << (126 - shift) : 0;
      if (sum < limit && sum > -limit) {
        sum *= static_cast<Int128>(1) << shift;
        exponent = o.exponent;
      }
    }
    if (o.sum != 0) AddExact(o.sum, o.exponent, wides);
  } else if (o.form == kWide) {
    const WideSum other = other_wides[o.wide];
    if (form != kWide) Widen(wides);
    (*wides)[wide].Add(other);
  }
}

double ExactSum::Rounded(uint64_t n, const Wides& wides) const {
  if ((special & kNaN) != 0 || special == (kPlus | kMinus))
    return std::bit_cast<double>(uint64_t{0x7ff8000000000000});
  if (special == kPlus) return HUGE_VAL;
  if (special == kMinus) return -HUGE_VAL;
  double v = 0;
  if (form == kFixed) {
    v = Round(Magnitude(sum), exponent, sum < 0, n);
  } else if (form == kWide) {
    WideSum w = wides[wide];
    const bool negative = (w.limbs[WideSum::kLimbs - 1] >> 63) != 0;
    if (negative) {
      for (uint64_t& limb : w.limbs) limb = ~limb;
      WideSum one;
      one.Add(1, -1074);
      w.Add(one);
    }
    v = Round(w.limbs, WideSum::kLimbs, -1074, negative, n);
  }
  return v;
}

double RoundedQuotient(Int128 v, uint64_t n) {
  // The quotient of two doubles is rounded once; these two are exact.
  constexpr uint64_t kExact = uint64_t{1} << 53;
  const UInt128 u = Magnitude(v);
  if (u < kExact && n < kExact)
    return static_cast<double>(static_cast<int64_t>(v)) / static_cast<double>(n);
  return Round(u, 0, v < 0, n);
}

void ExactSum::Encode(std::string* out, const Wides& wides) const {
  ByteWriter w(out);
  w.Fixed(form);
  w.Fixed(special);
  if (form == kFixed) {
    w.Fixed(exponent);
    w.Fixed(sum);
  } else if (form == kWide) {
    w.Fixed(wides[wide]);
  }
}

bool ExactSum::Decode(ByteReader* in, Wides* wides) {
  form = in->Fixed<Form>();
  special = in->Fixed<uint8_t>();
  if (form == kFixed) {
    exponent = in->Fixed<int32_t>();
    sum = in->Fixed<Int128>();
  } else if (form == kWide) {
    wide = static_cast<uint32_t>(wides->size());
    wides->push_back(in->Fixed<WideSum>());
  }
  return in->ok() && form <= kWide && (form != kFixed || (exponent >= -1074 && exponent < 1024));
}

}  // namespace millrace::window
