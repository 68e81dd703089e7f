#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.h"

namespace millrace::objectstore_s3 {

/// An element of an answer of S3, which uses little of XML: elements and text.
struct XmlElement {
  std::string name;  ///< without the prefix of a namespace
  std::string text;
  std::vector<XmlElement> children;

  /// The text of the first child of this name; empty: none has it.
  std::string_view Text(std::string_view child) const;
};

/// The outermost element. Attributes, comments and processing instructions are dropped.
/// kUnavailable: it is not such a text, or is cut off; or too deep or too large for one of S3.
Result<XmlElement> ParseXml(std::string_view text);

}  // namespace millrace::objectstore_s3
