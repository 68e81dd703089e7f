#include "millrace/base/utf8.h"

#include <string>

#include "support/catch.h"

namespace millrace {
namespace {

TEST_CASE("text in UTF-8 is one prefix, zero bytes and the last character included") {
  const std::string text = GENERATE(std::string(), std::string("a\0b", 3), "caf\xc3\xa9",
                                    "\xe2\x82\xac", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf");
  CHECK(Utf8Prefix(text) == text.size());
}

TEST_CASE("the first byte that is not UTF-8 is found") {
  // Latin-1, a tail alone, cut short, over-long, a surrogate, beyond U+10FFFF.
  const std::string bad = GENERATE("\xe9", "\x80", "\xe2\x82", "\xc0\xaf", "\xe0\x80\xaf",
                                   "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5", "\xff");
  CHECK(Utf8Prefix("\xc3\xa9:" + bad + "x") == 3);
  CHECK(Utf8Prefix(bad) == 0);
}

}  // namespace
}  // namespace millrace
