#include "millrace/base/hash.h"

#include <string>

#include "support/catch.h"

using namespace millrace;

TEST_CASE("CRC-32C gives the check values of RFC 3720") {
  CHECK(Crc32c("123456789") == 0xe3069283u);
  CHECK(Crc32c(std::string(32, '\0')) == 0x8a9136aau);
  CHECK(Crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
  CHECK(Crc32c("456789", Crc32c("123")) == Crc32c("123456789"));
}

TEST_CASE("CRC-32C is the same in one call and byte by byte") {
  std::string bytes;
  uint32_t x = 1;
  for (int i = 0; i < 20'000; ++i)
    bytes.push_back(static_cast<char>((x = x * 1664525 + 1013904223) >> 24));
  uint32_t slow = 0;
  for (size_t n = 0; n < bytes.size(); ++n) {
    if (n < 2000 || n % 611 == 0) CHECK(Crc32c(std::string_view(bytes).substr(0, n)) == slow);
    slow = Crc32c(std::string_view(bytes).substr(n, 1), slow);
  }
}

TEST_CASE("murmur2 agrees with the hash of Kafka's Java client") {
  // Known values of org.apache.kafka.common.utils.Utils.murmur2, as unsigned.
  CHECK(Murmur2("21") == static_cast<uint32_t>(-973932308));
  CHECK(Murmur2("foobar") == static_cast<uint32_t>(-790332482));
  CHECK(Murmur2("a-little-bit-long-string") == static_cast<uint32_t>(-985981536));
  CHECK(Murmur2("a-little-bit-longer-string") == static_cast<uint32_t>(-1486304829));
  CHECK(Murmur2("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8") ==
        static_cast<uint32_t>(-58897971));
  CHECK(Murmur2("abc") == static_cast<uint32_t>(479470107));
}

TEST_CASE("the hash of a set of rows does not depend on their order") {
  Hash128 a;
  Hash128 b;
  for (const char* s : {"one", "two", "three"}) a += Hash(s);
  for (const char* s : {"three", "one", "two"}) b += Hash(s);
  CHECK(a == b);
  b += Hash("four");
  CHECK_FALSE(a == b);
}
TEST_CASE("a hash behind a head is that of all bytes at once, as others compute it") {
  // mmh3.hash64 of Python, x64.
  const std::string_view rows[] = {
      "row one", "a second row that is longer than one block of sixteen bytes", ""};
  const Hash128 expected[] = {{0x740c1d25a5633e57, 0xb63612962e8e427e},
                              {0xb789afdaee0bdc5d, 0x11f51ec5717755f},
                              {0xa578a1a767e95380, 0x48309d7288f982f9}};
  Hash128 hash;
  for (size_t i = 0; i < std::size(rows); ++i) {
    std::string all(reinterpret_cast<const char*>(&hash), sizeof hash);
    all += rows[i];
    CHECK(Hash(all) == expected[i]);
    hash = HashBehind(hash, rows[i]);
    CHECK(hash == expected[i]);
  }
}
