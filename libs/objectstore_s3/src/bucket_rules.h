#pragma once

#include <string>
#include <vector>

#include "xml.h"

namespace millrace::objectstore_s3 {

/// The names of the rules in a bucket's lifecycle configuration that would remove current objects
/// under a prefix, or move them to where they cannot be read at once. Rules for old versions and
/// for uploads that were not completed do no harm. Neither do rules for tags: our objects have
/// none.
std::vector<std::string> RulesThatRemove(const XmlElement& configuration,
                                         const std::string& prefix);

}  // namespace millrace::objectstore_s3
