#include "xml.h"

#include "support/catch.h"

using namespace millrace;
using objectstore_s3::ParseXml;

TEST_CASE("an answer of S3 is read: elements, text and what text must escape") {
  const auto root =
      ParseXml(
          "<?xml version=\"1.0\"?>\n<!-- a > b -->\n"
          "<ListBucketResult xmlns=\"http://x/\"><IsTruncated>true</IsTruncated><Prefix/>"
          "<Contents a='1'><Key>a&amp;b&lt;&gt;&quot;&apos;&#233;&#x1F600;</Key><Size>7</Size>"
          "<!-- x --></Contents><s3:Contents><Key> b </Key></s3:Contents></ListBucketResult>\n")
          .value();
  CHECK(root.name == "ListBucketResult");
  CHECK(root.Text("IsTruncated") == "true");
  CHECK(root.Text("Prefix").empty());
  CHECK(root.Text("none").empty());
  REQUIRE(root.children.size() == 4);
  CHECK(root.children[2].Text("Key") == "a&b<>\"'\xc3\xa9\xf0\x9f\x98\x80");
  CHECK(root.children[2].Text("Size") == "7");
  CHECK(root.children[3].name == "Contents");
  CHECK(root.children[3].Text("Key") == " b ");
}

TEST_CASE("what is no whole answer of S3 is refused, wherever it ends") {
  const std::string whole = "<a><b>x&amp;y</b><c/><!-- d --></a>";
  REQUIRE(ParseXml(whole).ok());
  for (size_t n = 0; n < whole.size(); ++n) {
    INFO(whole.substr(0, n));
    CHECK(ParseXml(whole.substr(0, n)).error().code == Code::kUnavailable);
  }
  for (const char* text : {"", "no xml", "<a></b>", "<a>&nothing;</a>", "<a>&#x110000;</a>", "<>",
                           "<a>&amp</a>", "{\"a\": 1}", "<a><b></a></b>"})
    CHECK_FALSE(ParseXml(text).ok());
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "<a>";
  CHECK_FALSE(ParseXml(deep).ok());
}
