#include "topics.h"

#include <cstdio>
#include <optional>

#include "file.h"
#include "millrace/base/bytes.h"
#include "millrace/base/facts.h"
#include "millrace/base/hash.h"
#include "millrace/base/log.h"
#include "millrace/base/system_error.h"

namespace millrace::log_embedded {
namespace {

constexpr uint32_t kMagic = 0x3354524d;  // "MRT3"
constexpr std::string_view kOlderMagic = "MRT2";
constexpr const char* kFiles[] = {"topics", "topics.copy"};

std::string Encode(const Topics& topics) {
  std::string body;
  ByteWriter w(&body);
  w.Fixed(topics.identity);
  w.Fixed(topics.next_id);
  w.Varint(topics.by_name.size());
  for (const auto& [name, topic] : topics.by_name) {
    w.Text(name);
    w.Fixed(topic.id);
    w.Fixed(topic.partitions());
    for (const int64_t start : topic.starts) w.Fixed(start);
  }
  std::string bytes;
  ByteWriter head(&bytes);
  head.Fixed(kMagic);
  head.Fixed(Crc32c(body));
  return bytes + body;
}

Result<Topics> Decode(std::string_view bytes, const std::string& path) {
  const Error damaged = Corruption("the topics of the log are damaged", {{"path", path}});
  if (bytes.starts_with(kOlderMagic))
    return InvalidArgument(
        "the log has a format that this program does not know: use the version that wrote it",
        {{"path", path}, {"format", 2}});
  ByteReader r(bytes);
  if (r.Fixed<uint32_t>() != kMagic) return damaged;
  const auto crc = r.Fixed<uint32_t>();
  if (!r.ok() || Crc32c(bytes.substr(2 * sizeof(uint32_t))) != crc) return damaged;
  Topics topics;
  topics.identity = r.Fixed<std::array<uint32_t, 4>>();
  topics.next_id = r.Fixed<uint32_t>();
  const uint64_t n = r.Varint();
  for (uint64_t i = 0; i < n && r.ok(); ++i) {
    const std::string name(r.Text());
    Topic& topic = topics.by_name[name];
    topic.id = r.Fixed<uint32_t>();
    const auto partitions = r.Fixed<int32_t>();
    for (int32_t p = 0; p < partitions && r.ok(); ++p) topic.starts.push_back(r.Fixed<int64_t>());
  }
  if (!r.ok() || !r.done()) return damaged;
  return topics;
}

}  // namespace

std::string Topics::IdentityText() const {
  std::string text;
  for (const uint32_t word : identity) {
    char hex[9];
    std::snprintf(hex, sizeof hex, "%08x", word);
    text += hex;
  }
  return text;
}

Result<Topics> Topics::Load(const std::string& directory) {
  Error error = NotFound("the log has no topics", {{"directory", directory}});
  std::optional<Topics> found;
  bool alike = true;
  for (const char* name : kFiles) {
    const std::string path = directory + "/" + name;
    const Result<std::string> bytes = ReadWholeFile(path);
    if (!bytes.ok() && bytes.error().code != Code::kNotFound) return bytes.error();
    Result<Topics> topics = bytes.ok() ? Decode(*bytes, path) : Result<Topics>(bytes.error());
    if (!topics.ok()) {
      if (topics.error().code == Code::kInvalidArgument) return topics.error();
      if (topics.error().code == Code::kCorruption) error = topics.error();
      alike = false;
    } else if (found) {
      alike = alike && Encode(*found) == *bytes;
    } else {
      found = std::move(*topics);
    }
  }
  if (!found) return error;
  if (!alike) {
    // The first one leads: a process that died between the two had made no promise about it yet.
    LogWarn("the two files that name the topics were not alike, they are written again",
            {{"directory", directory}, {"error", error.message}});
    found->Save(directory).Ignore("the next start does it");
  }
  return std::move(*found);
}

Status Topics::Save(const std::string& directory) const {
  const std::string bytes = Encode(*this);
  for (const char* name : kFiles) MILLRACE_TRY(ReplaceFile(directory, name, bytes));
  return {};
}

}  // namespace millrace::log_embedded
