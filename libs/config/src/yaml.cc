#include "yaml.h"

#include <yaml-cpp/yaml.h>

#include <fstream>

#include "millrace/base/facts.h"

namespace millrace::config {
namespace {

constexpr size_t kMaxBytes = 1 << 20;

/// Goes through a file's tree and takes down its leaves.
class Flattener {
 public:
  explicit Flattener(std::string path) : path_(std::move(path)) {}

  Status Section(const YAML::Node& map, const std::string& prefix) {
    for (const auto& entry : map) {
      if (!entry.first.IsScalar()) return Wrong("a setting's name must be plain text", entry.first);
      MILLRACE_TRY(Entry(prefix + entry.first.Scalar(), entry.first, entry.second));
    }
    return {};
  }

  std::vector<Given> given() && { return std::move(given_); }

 private:
  Status Entry(const std::string& key, const YAML::Node& name, const YAML::Node& value) {
    if (value.IsMap()) return Section(value, key + ".");
    std::string text;
    if (value.IsScalar()) {
      text = value.Scalar();
    } else if (value.IsSequence()) {
      for (const auto& item : value) {
        if (!item.IsScalar()) return Wrong("a list in a configuration may hold values only", item);
        text += (text.empty() ? "" : ",") + item.Scalar();
      }
    } else {
      return Wrong("a setting has no value: leave it out, or write \"\" for an empty one", name);
    }
    given_.push_back({key, text, Place(name)});
    return {};
  }

  std::string Place(const YAML::Node& node) const {
    return path_ + ":" + std::to_string(node.Mark().line + 1);
  }
  Error Wrong(std::string_view what, const YAML::Node& node) const {
    return InvalidArgument(what, {{"at", Place(node)}});
  }

  const std::string path_;
  std::vector<Given> given_;
};

}  // namespace

Result<std::string> ReadWhole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes(kMaxBytes + 1, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  // A directory opens, and fails only when it is read.
  if (in.bad() || (in.fail() && !in.eof()))
    return InvalidArgument("a file of the configuration cannot be read", {{"path", path}});
  bytes.resize(static_cast<size_t>(in.gcount()));
  if (bytes.size() > kMaxBytes)
    return InvalidArgument("a file of the configuration is larger than any can be",
                           {{"path", path}, {"limit", kMaxBytes}});
  return bytes;
}

Result<std::vector<Given>> ReadYaml(const std::string& path) {
  MILLRACE_ASSIGN(const std::string bytes, ReadWhole(path));
  try {
    const YAML::Node root = YAML::Load(bytes);
    if (root.IsNull()) return std::vector<Given>();
    if (!root.IsMap())
      return InvalidArgument("a configuration is a map of sections, such as `log:`",
                             {{"path", path}});
    Flattener flattener(path);
    MILLRACE_TRY(flattener.Section(root, ""));
    return std::move(flattener).given();
  } catch (const YAML::Exception& e) {
    return InvalidArgument(
        "a configuration is no YAML",
        {{"at", path + ":" + std::to_string(e.mark.line + 1)}, {"error", e.msg}});
  }
}

}  // namespace millrace::config
