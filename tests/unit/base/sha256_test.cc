#include "millrace/base/sha256.h"
#include "support/catch.h"

namespace millrace {
namespace {

TEST_CASE("SHA-256 gives the digests of FIPS 180-4, however the bytes are cut") {
  Sha256 empty;
  CHECK(empty.HexDigest() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 whole;
  whole.Add("abc");
  CHECK(whole.HexDigest() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 cut;
  cut.Add("a");
  cut.Add("");
  cut.Add("bc");
  CHECK(cut.HexDigest() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace millrace
