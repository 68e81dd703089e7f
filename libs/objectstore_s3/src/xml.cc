#include "xml.h"

#include <charconv>
#include <cstdint>

#include "millrace/base/facts.h"

namespace millrace::objectstore_s3 {
namespace {

/// A page of a list has a depth of 4 and about 8 elements for each of its 1,000 objects.
constexpr int kMaxDepth = 16;
constexpr size_t kMaxElements = 50'000;

void AppendUtf8(uint32_t code, std::string* out) {
  const auto byte = [out](uint32_t b) { *out += static_cast<char>(b); };
  if (code < 0x80) return byte(code);
  if (code < 0x800) return byte(0xc0 | code >> 6), byte(0x80 | (code & 0x3f));
  if (code < 0x10000) {
    return byte(0xe0 | code >> 12), byte(0x80 | (code >> 6 & 0x3f)), byte(0x80 | (code & 0x3f));
  }
  byte(0xf0 | code >> 18), byte(0x80 | (code >> 12 & 0x3f));
  byte(0x80 | (code >> 6 & 0x3f)), byte(0x80 | (code & 0x3f));
}

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  Result<XmlElement> Document() {
    SkipToElement();
    XmlElement root;
    if (!Element(0, &root))
      return Unavailable("the object store answers with what is no XML of S3",
                         {{"offset", offset_of_error_}});
    return root;
  }

 private:
  bool Fail() {
    offset_of_error_ = taken_;
    return false;
  }
  void Drop(size_t bytes) {
    rest_.remove_prefix(bytes);
    taken_ += bytes;
  }
  bool Take(std::string_view what) {
    if (!rest_.starts_with(what)) return false;
    Drop(what.size());
    return true;
  }
  bool DropBehind(std::string_view end) {
    const size_t at = rest_.find(end);
    if (at == rest_.npos) return false;
    Drop(at + end.size());
    return true;
  }
  /// Drops a comment or an instruction, if one stands here.
  bool DropOther() {
    if (Take("<!--")) return DropBehind("-->");
    if (Take("<?")) return DropBehind("?>");
    return false;
  }
  void SkipToElement() {
    for (;;) {
      const size_t at = rest_.find('<');
      if (at == rest_.npos) return;
      Drop(at);
      if (!DropOther()) return;
    }
  }

  /// Stands at the '<' of its beginning; in the end behind the '>' of its end.
  bool Element(int depth, XmlElement* out) {
    if (depth > kMaxDepth || ++elements_ > kMaxElements || !Take("<")) return Fail();
    const size_t end = rest_.find('>');
    if (end == rest_.npos || end == 0) return Fail();
    std::string_view tag = rest_.substr(0, end);
    Drop(end + 1);
    const bool empty = tag.back() == '/';
    const std::string_view full = tag.substr(0, tag.find_first_of(" \t\r\n/"));
    const size_t colon = full.find(':');
    out->name = full.substr(colon == full.npos ? 0 : colon + 1);
    return empty || Content(depth, full, out);
  }

  bool Content(int depth, std::string_view full_name, XmlElement* out) {
    for (;;) {
      const size_t at = rest_.find('<');
      if (at == rest_.npos || !Text(rest_.substr(0, at), &out->text)) return Fail();
      Drop(at);
      if (Take("</")) {
        const bool same = Take(full_name);
        return (same && DropBehind(">")) || Fail();
      }
      if (DropOther()) continue;
      out->children.emplace_back();
      if (!Element(depth + 1, &out->children.back())) return false;
    }
  }

  static bool Text(std::string_view raw, std::string* out) {
    while (!raw.empty()) {
      const size_t at = raw.find('&');
      out->append(raw.substr(0, at));
      if (at == raw.npos) break;
      const size_t end = raw.find(';', at);
      if (end == raw.npos || !Entity(raw.substr(at + 1, end - at - 1), out)) return false;
      raw.remove_prefix(end + 1);
    }
    return true;
  }

  static bool Entity(std::string_view name, std::string* out) {
    if (name == "lt") return *out += '<', true;
    if (name == "gt") return *out += '>', true;
    if (name == "amp") return *out += '&', true;
    if (name == "quot") return *out += '"', true;
    if (name == "apos") return *out += '\'', true;
    if (!name.starts_with("#")) return false;
    name.remove_prefix(1);
    const bool hex = name.starts_with("x");
    if (hex) name.remove_prefix(1);
    uint32_t code = 0;
    const auto [last, error] =
        std::from_chars(name.data(), name.data() + name.size(), code, hex ? 16 : 10);
    if (error != std::errc() || last != name.data() + name.size() || code > 0x10ffff) return false;
    AppendUtf8(code, out);
    return true;
  }

  std::string_view rest_;
  size_t taken_ = 0;
  size_t elements_ = 0;
  size_t offset_of_error_ = 0;
};

}  // namespace

std::string_view XmlElement::Text(std::string_view child) const {
  for (const XmlElement& c : children)
    if (c.name == child) return c.text;
  return {};
}

Result<XmlElement> ParseXml(std::string_view text) { return Parser(text).Document(); }

}  // namespace millrace::objectstore_s3
