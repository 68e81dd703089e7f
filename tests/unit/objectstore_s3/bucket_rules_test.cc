#include "bucket_rules.h"

#include "support/catch.h"

using namespace millrace;
using objectstore_s3::ParseXml;
using objectstore_s3::RulesThatRemove;

namespace {

using Names = std::vector<std::string>;

/// Of one rule with this content.
Names Of(const std::string& rule, const std::string& prefix = "ours/") {
  return RulesThatRemove(ParseXml("<LifecycleConfiguration><Rule><ID>r</ID>" + rule +
                                  "</Rule></LifecycleConfiguration>")
                             .value(),
                         prefix);
}

const std::string kOn = "<Status>Enabled</Status>";
const std::string kExpires = "<Expiration><Days>30</Days></Expiration>";
std::string In(const std::string& filter) { return "<Filter>" + filter + "</Filter>"; }

}  // namespace

TEST_CASE("a rule that removes or moves objects of ours is named") {
  CHECK(Of(kOn + kExpires) == Names{"r"});
  CHECK(Of(kOn + "<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>") == Names{"r"});
  CHECK(Of(kOn + "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>") ==
        Names{"r"});
  CHECK(Of(kOn + kExpires + "<Prefix>ou</Prefix>") == Names{"r"});
  CHECK(Of(kOn + kExpires + In("<Prefix>ours/default/</Prefix>")) == Names{"r"});
  CHECK(Of(kOn + kExpires +
           In("<And><Prefix>ours/</Prefix><ObjectSizeLessThan>9"
              "</ObjectSizeLessThan></And>")) == Names{"r"});
  CHECK(Of(kOn + kExpires + In("<Prefix>others/</Prefix>"), "") == Names{"r"});
}

TEST_CASE("a rule that leaves objects of ours alone is not named") {
  CHECK(Of("<Status>Disabled</Status>" + kExpires).empty());
  CHECK(Of(kOn + kExpires + In("<Prefix>others/</Prefix>")).empty());
  CHECK(Of(kOn + kExpires + In("<And><Prefix>others/</Prefix></And>")).empty());
  CHECK(Of(kOn + kExpires + In("<Tag><Key>a</Key><Value>b</Value></Tag>")).empty());
  CHECK(
      Of(kOn + kExpires + In("<And><Prefix>ours/</Prefix><Tag><Key>a</Key></Tag></And>")).empty());
  CHECK(Of(kOn + "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"
                 "</Expiration>")
            .empty());
  CHECK(Of(kOn + "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
                 "</NoncurrentVersionExpiration>")
            .empty());
  CHECK(Of(kOn + "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
                 "</AbortIncompleteMultipartUpload>")
            .empty());
  CHECK(RulesThatRemove({}, "").empty());
}
