#include "bucket_rules.h"

namespace millrace::objectstore_s3 {
namespace {

const XmlElement* Child(const XmlElement& of, std::string_view name) {
  for (const XmlElement& child : of.children)
    if (child.name == name) return &child;
  return nullptr;
}

/// The prefix of the objects that the rule is for: in the rule itself, in its filter, or in what
/// the filter puts together.
std::string_view PrefixOf(const XmlElement& rule) {
  const XmlElement* at = &rule;
  for (const char* name : {"Filter", "And"}) {
    if (Child(*at, "Prefix") != nullptr) break;
    const XmlElement* inner = Child(*at, name);
    if (inner == nullptr) break;
    at = inner;
  }
  return at->Text("Prefix");
}

bool IsForTags(const XmlElement& rule) {
  const XmlElement* filter = Child(rule, "Filter");
  if (filter == nullptr) return false;
  const XmlElement* both = Child(*filter, "And");
  return Child(*filter, "Tag") != nullptr || (both != nullptr && Child(*both, "Tag") != nullptr);
}

/// An expiration may also be one of markers alone, which stand for objects that are gone.
bool Removes(const XmlElement& rule) {
  const XmlElement* expiration = Child(rule, "Expiration");
  const bool expires = expiration != nullptr && (Child(*expiration, "Days") != nullptr ||
                                                 Child(*expiration, "Date") != nullptr);
  return expires || Child(rule, "Transition") != nullptr;
}

}  // namespace

std::vector<std::string> RulesThatRemove(const XmlElement& configuration,
                                         const std::string& prefix) {
  std::vector<std::string> names;
  for (const XmlElement& rule : configuration.children) {
    if (rule.name != "Rule" || rule.Text("Status") != "Enabled") continue;
    const std::string_view of = PrefixOf(rule);
    const bool ours = of.starts_with(prefix) || std::string_view(prefix).starts_with(of);
    if (!ours || IsForTags(rule) || !Removes(rule)) continue;
    const std::string_view id = rule.Text("ID");
    names.emplace_back(id.empty() ? "(without a name)" : id);
  }
  return names;
}

}  // namespace millrace::objectstore_s3
