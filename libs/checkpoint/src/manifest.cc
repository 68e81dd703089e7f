#include "millrace/checkpoint/manifest.h"

#include <charconv>
#include <set>

#include "millrace/base/bytes.h"
#include "millrace/model/object_keys.h"

namespace millrace::checkpoint {
namespace {

constexpr std::string_view kMagic = "MRM5";
constexpr size_t kHashDigits = 32;

/// Takes a number without sign or leading zeros and what ends it off the front of `text`.
std::optional<int64_t> TakeNumber(std::string_view* text, std::string_view end) {
  int64_t n = 0;
  const char* const last = text->data() + text->size();
  const auto [rest, error] = std::from_chars(text->data(), last, n);
  const std::string_view after(rest, static_cast<size_t>(last - rest));
  if (error != std::errc() || n < 0 || !after.starts_with(end) ||
      std::to_string(n) != text->substr(0, text->size() - after.size())) {
    return std::nullopt;
  }
  *text = after.substr(end.size());
  return n;
}

bool TakeHex(std::string_view* text) {
  const size_t n = std::min(text->find_first_not_of("0123456789abcdef"), text->size());
  text->remove_prefix(n);
  return n > 0;
}

}  // namespace

std::string Encode(const Manifest& m) {
  std::string body;
  ByteWriter w(&body);
  w.Text(m.shard.ToString());
  w.Text(m.topic);
  w.Fixed(m.epoch.value);
  w.Fixed(m.cut.value);
  w.Fixed(m.next_offset.value);
  w.Fixed(m.watermark);
  w.Fixed(m.state_hash);
  w.Varint(m.records.size());
  for (const RecordIdentity& r : m.records) {
    w.Fixed(r.offset.value);
    w.Fixed(r.hash);
  }
  w.Varint(m.files.size());
  for (const ManifestFile& f : m.files) {
    w.Text(f.file.name);
    w.Text(f.file.identity);
    w.Fixed(f.file.size);
    w.Fixed(f.file.crc32c);
    w.Text(f.object);
  }
  w.Fixed(m.ledger);
  w.Fixed(m.applied);
  w.Fixed(m.made);
  w.Varint(m.owed.size());
  for (const OwedObject& owed : m.owed) {
    w.Text(owed.object);
    w.Fixed(owed.size);
    w.Fixed(owed.crc32c);
  }
  std::string out(kMagic);
  ByteWriter(&out).Fixed(Crc32c(body));
  return out + body;
}

Result<Manifest> Decode(std::string_view bytes) {
  ByteReader r(bytes);
  if (r.Raw(kMagic.size()) != kMagic)
    return Corruption("an object is not a manifest of a known version");
  const auto crc = r.Fixed<uint32_t>();
  if (!r.ok() || Crc32c(bytes.substr(kMagic.size() + sizeof crc)) != crc) {
    return Corruption("a manifest does not match its checksum");
  }
  Manifest m;
  const bool shard_ok = ShardId::Parse(r.Text(), &m.shard);
  m.topic = r.Text();
  m.epoch = Epoch(r.Fixed<int64_t>());
  m.cut = CutNumber(r.Fixed<int64_t>());
  m.next_offset = Offset(r.Fixed<int64_t>());
  m.watermark = r.Fixed<Micros>();
  m.state_hash = r.Fixed<Hash128>();
  for (uint64_t n = r.Varint(); n > 0 && r.ok(); --n) {
    RecordIdentity id;
    id.offset = Offset(r.Fixed<int64_t>());
    id.hash = r.Fixed<uint64_t>();
    m.records.push_back(id);
  }
  for (uint64_t n = r.Varint(); n > 0 && r.ok(); --n) {
    ManifestFile f;
    f.file.name = r.Text();
    f.file.identity = r.Text();
    f.file.size = r.Fixed<int64_t>();
    f.file.crc32c = r.Fixed<uint32_t>();
    f.object = r.Text();
    m.files.push_back(std::move(f));
  }
  m.ledger = r.Fixed<window::Ledger>();
  m.applied = r.Fixed<LastRows>();
  m.made = r.Fixed<LastRows>();
  for (uint64_t n = r.Varint(); n > 0 && r.ok(); --n) {
    OwedObject owed;
    owed.object = r.Text();
    owed.size = r.Fixed<int64_t>();
    owed.crc32c = r.Fixed<uint32_t>();
    m.owed.push_back(std::move(owed));
  }
  if (!r.ok() || !r.done() || !shard_ok) return Corruption("a manifest does not decode");
  return m;
}

std::string UploadName(const ShardId& shard, Epoch epoch, CutNumber cut, std::string_view identity,
                       uint32_t crc32c, int64_t size, std::string_view kind) {
  return StateFolder(shard) + std::to_string(epoch.value) + "-" + std::to_string(cut.value) + "-" +
         std::string(identity) + "-" + std::to_string(crc32c) + "-" + std::to_string(size) + "." +
         std::string(kind);
}

std::optional<Epoch> UploadEpoch(std::string_view name) {
  const bool manifest = name.starts_with("m-");
  if (manifest) name.remove_prefix(2);
  const auto epoch = TakeNumber(&name, "-");
  if (!epoch) return std::nullopt;
  if (!TakeNumber(&name, "-")) return std::nullopt;
  if (manifest) {
    if (name.size() != kHashDigits || !TakeHex(&name) || !name.empty()) return std::nullopt;
    return Epoch(*epoch);
  }
  if (!TakeHex(&name) || !name.starts_with('-')) return std::nullopt;
  name.remove_prefix(1);
  if (!TakeNumber(&name, "-") || !TakeNumber(&name, ".")) return std::nullopt;
  if (name != "sst" && name != "rows") return std::nullopt;
  return Epoch(*epoch);
}

std::vector<std::string> Unreferenced(const Manifest& old, const std::vector<Manifest>& kept) {
  std::set<std::string> named;
  for (const Manifest& m : kept) {
    for (const ManifestFile& f : m.files) named.insert(f.object);
    for (const OwedObject& owed : m.owed) named.insert(owed.object);
  }
  std::vector<std::string> out;
  for (const OwedObject& owed : old.owed) {
    if (!named.contains(owed.object)) out.push_back(owed.object);
  }
  for (const ManifestFile& f : old.files) {
    if (!named.contains(f.object)) out.push_back(f.object);
  }
  return out;
}

}  // namespace millrace::checkpoint
