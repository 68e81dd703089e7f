#include "bucket.h"

#include <algorithm>
#include <charconv>

#include "millrace/base/hash.h"
#include "millrace/objectstore/object_key.h"
#include "xml.h"

namespace millrace::objectstore_s3 {
namespace {

/// S3's limit. With kPieceBytes each, the largest object is 80 GB.
constexpr int kMaxParts = 10'000;
/// Pages that one call reads before it finds what it looks for: a million objects of others.
constexpr int kMaxPages = 1'000;

std::string Crc32cText(std::string_view bytes) {
  const uint32_t sum = Crc32c(bytes);
  std::string big_endian;
  for (const int shift : {24, 16, 8, 0}) big_endian += static_cast<char>(sum >> shift & 0xff);
  return Base64(big_endian);
}

template <typename T>
bool ReadNumber(std::string_view text, T* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

std::string XmlText(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&') escaped += "&amp;";
    if (c == '<') escaped += "&lt;";
    if (c == '>') escaped += "&gt;";
    if (c != '&' && c != '<' && c != '>') escaped += c;
  }
  return escaped;
}

/// The size of the object of which an answer holds the bytes from `at` on: "bytes 0-9/1000".
Result<int64_t> SizeOf(const HttpResponse& response, const std::string& key, int64_t at) {
  if (response.status != 206 && at == 0) return static_cast<int64_t>(response.body.size());
  const auto range = response.headers.find("content-range");
  const std::string text = range == response.headers.end() ? "" : range->second;
  int64_t size = 0;
  if (response.status != 206 || !text.starts_with("bytes " + std::to_string(at) + "-") ||
      !ReadNumber(text.substr(std::min(text.size(), text.find('/') + 1)), &size))
    return Unavailable("the object store does not say which part of an object it gives",
                       {{"key", key}, {"offset", at}, {"content_range", text}});
  return size;
}

/// Every key in a folder lies below it, and no folder between: "a/b/" -> "a/b0".
std::string BehindFolder(std::string folder) {
  if (!folder.empty()) folder.back() = '/' + 1;
  return folder;
}

Error GivenUp() { return Unavailable("the call was given up before"); }

/// A store that keeps objects as files.
bool IsFolderOfOthers(const Answer& answer) {
  return answer.code == "ObjectParentIsFile" || answer.code == "ExistingObjectIsDirectory";
}

}  // namespace

/// What fails is kUnavailable for all but Probe: the port has no other word for a store that cannot
/// be used.
Result<Answer> Bucket::Ask(const Work& work, const Request& request) {
  auto answer = requests_.Send(work, request);
  if (!answer.ok() && answer.error().code == Code::kInvalidArgument)
    return Unavailable(answer.error().message);
  return answer;
}

Status Bucket::Probe(const Work& work) {
  Request request{"GET", "", {{"list-type", "2"}, {"max-keys", "1"}, {"prefix", prefix_}}, {}, {}};
  MILLRACE_ASSIGN(const Answer answer, requests_.Send(work, request));
  if (answer.ok()) return {};
  Error refused = Refused("the bucket cannot be listed", prefix_, answer);
  if (IsMisconfigured(answer)) refused.code = Code::kInvalidArgument;
  return refused;
}

/// The next kPieceBytes, or what is left. `ahead` is what was read already and what is read too
/// far.
Result<std::string> Bucket::ReadPiece(const Work& work, ByteSource* source, std::string* ahead) {
  std::string piece = std::move(*ahead);
  ahead->clear();
  while (piece.size() < kPieceBytes) {
    Result<std::string> read = std::string();
    if (!work.ForCaller([&] { read = source->Read(kStreamPiece); })) return GivenUp();
    if (!read.ok()) return read;
    if (read->empty()) break;
    piece += *read;
  }
  if (piece.size() > kPieceBytes) {
    *ahead = piece.substr(kPieceBytes);
    piece.resize(kPieceBytes);
  }
  return piece;
}

Status Bucket::Put(const Work& work, const std::string& key, ByteSource* source) {
  std::string ahead;
  MILLRACE_ASSIGN(std::string first, ReadPiece(work, source, &ahead));
  // One byte more tells whether it is all.
  if (first.size() == kPieceBytes && ahead.empty()) {
    MILLRACE_ASSIGN(ahead, ReadPiece(work, source, &ahead));
  }
  if (ahead.empty()) return PutWhole(work, key, first);
  return PutParts(work, key, std::move(first), std::move(ahead), source);
}

void Bucket::AddChecksum(Request* request) const {
  if (requests_.checksums()) request->headers["x-amz-checksum-crc32c"] = Crc32cText(request->body);
}

Status Bucket::PutWhole(const Work& work, const std::string& key, std::string_view bytes) {
  Request request{"PUT", prefix_ + key, {}, requests_.new_object_headers(), bytes};
  request.headers["content-type"] = "application/octet-stream";
  AddChecksum(&request);
  MILLRACE_ASSIGN(const Answer answer, Ask(work, request));
  if (IsFolderOfOthers(answer))
    return InvalidArgument("an object's key is a folder of other objects", {{"key", key}});
  if (!answer.ok()) return Refused("an object cannot be put", key, answer);
  return {};
}

Status Bucket::PutParts(const Work& work, const std::string& key, std::string first,
                        std::string ahead, ByteSource* source) {
  Request begin{"POST", prefix_ + key, {{"uploads", ""}}, requests_.new_object_headers(), {}};
  begin.headers["content-type"] = "application/octet-stream";
  if (requests_.checksums()) begin.headers["x-amz-checksum-algorithm"] = "CRC32C";
  MILLRACE_ASSIGN(const Answer begun, Ask(work, begin));
  if (IsFolderOfOthers(begun))
    return InvalidArgument("an object's key is a folder of other objects", {{"key", key}});
  if (!begun.ok()) return Refused("an upload cannot be begun", key, begun);
  MILLRACE_ASSIGN(const XmlElement answer, ParseXml(begun.http.body));
  Upload upload{std::string(answer.Text("UploadId")), "", 0};

  Status put;
  while (put.ok() && !first.empty()) {
    put = PutPart(work, key, first, &upload);
    if (!put.ok()) break;
    auto next = ReadPiece(work, source, &ahead);
    if (next.ok()) first = std::move(*next);
    if (!next.ok()) put = next.error();
  }
  if (put.ok()) put = Complete(work, key, upload);
  if (!put.ok()) {
    const Request abort{"DELETE", prefix_ + key, {{"uploadId", upload.id}}, {}, {}};
    Ask(work, abort).Ignore("its parts take space until a rule of the bucket removes them");
  }
  return put;
}

Status Bucket::PutPart(const Work& work, const std::string& key, std::string_view bytes,
                       Upload* upload) {
  if (upload->number == kMaxParts)
    return InvalidArgument("an object is larger than 10,000 parts of an upload can be",
                           {{"key", key}});
  const std::string number = std::to_string(++upload->number);
  Request request{"PUT",
                  prefix_ + key,
                  {{"partNumber", number}, {"uploadId", upload->id}},
                  requests_.bytes_headers(),
                  bytes};
  AddChecksum(&request);
  MILLRACE_ASSIGN(const Answer answer, Ask(work, request));
  if (!answer.ok()) return Refused("a part of an object cannot be put", key, answer);
  const auto etag = answer.http.headers.find("etag");
  if (etag == answer.http.headers.end())
    return Unavailable("the object store gives no ETag for a part of an upload", {{"key", key}});
  upload->parts +=
      "<Part><PartNumber>" + number + "</PartNumber><ETag>" + XmlText(etag->second) + "</ETag>";
  if (requests_.checksums())
    upload->parts += "<ChecksumCRC32C>" + Crc32cText(bytes) + "</ChecksumCRC32C>";
  upload->parts += "</Part>";
  return {};
}

Status Bucket::Complete(const Work& work, const std::string& key, const Upload& upload) {
  const std::string body =
      "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" + upload.parts +
      "</CompleteMultipartUpload>";
  Request request{"POST", prefix_ + key, {{"uploadId", upload.id}}, {}, body};
  // The store may put the parts together before it answers.
  request.longer = upload.number * std::chrono::milliseconds(500);
  MILLRACE_ASSIGN(const Answer answer, Ask(work, request));
  if (!answer.ok()) return Refused("an upload cannot be completed", key, answer);
  MILLRACE_ASSIGN(const XmlElement done, ParseXml(answer.http.body));
  if (done.name != "CompleteMultipartUploadResult")
    return Unavailable("the object store does not say that an upload is complete", {{"key", key}});
  return {};
}

Status Bucket::Get(const Work& work, const std::string& key, ByteSink* sink) {
  int64_t size = 0;
  std::string etag;
  for (int64_t at = 0; at == 0 || at < size;) {
    Request request{"GET", prefix_ + key, {}, requests_.bytes_headers(), {}};
    request.most = kPieceBytes;
    request.headers["range"] =
        "bytes=" + std::to_string(at) + "-" + std::to_string(at + int64_t{kPieceBytes} - 1);
    // All pieces are of one object, also if another is put under the key between them.
    if (at > 0) request.headers["if-match"] = etag;
    MILLRACE_ASSIGN(const Answer answer, Ask(work, request));
    if (answer.code == "NoSuchKey") return Absent(work, key);
    if (at == 0 && answer.code == "InvalidRange") break;  // it is empty
    if (!answer.ok()) return Refused("an object cannot be read", key, answer);

    const std::string& bytes = answer.http.body;
    MILLRACE_ASSIGN(const int64_t now, SizeOf(answer.http, key, at));
    const auto found = answer.http.headers.find("etag");
    const std::string tag = found == answer.http.headers.end() ? "" : found->second;
    const int64_t wanted = std::min(int64_t{kPieceBytes}, now - at);
    if (static_cast<int64_t>(bytes.size()) != wanted || (now > wanted && tag.empty()) ||
        (at > 0 && (now != size || tag != etag)))
      return Unavailable("the object store gives another part of an object than was asked for",
                         {{"key", key}, {"offset", at}, {"bytes", bytes.size()}, {"etag", tag}});
    size = now;
    etag = tag;
    at += wanted;
    Status written;
    if (wanted > 0 && !work.ForCaller([&] { written = sink->Write(bytes); })) return GivenUp();
    MILLRACE_TRY(written);
    if (wanted == 0) break;
  }
  Status finished;
  if (!work.ForCaller([&] { finished = sink->Finish(); })) return GivenUp();
  return finished;
}

/// What a call gives for an object that the store says is absent. A store that knows neither the
/// bucket nor us may say so too; one that lists the bucket does.
Error Bucket::Absent(const Work& work, const std::string& key) {
  const auto page = ListPage(work, key, "", 1);
  if (!page.ok()) return page.error();
  if (!page->objects.empty() && page->objects.front().key == key)
    return Unavailable("the object store says that an object is absent, and lists it",
                       {{"key", key}});
  return NotFound("no object has this key", {{"key", key}});
}

Result<ObjectInfo> Bucket::Stat(const Work& work, const std::string& key) {
  // A list and not a HEAD, whose answer has no text: nobody could tell an object that is absent
  // from a bucket that is. The key itself is the first that begins with it.
  MILLRACE_ASSIGN(const Page page, ListPage(work, key, "", 1));
  if (page.objects.empty() || page.objects.front().key != key)
    return NotFound("no object has this key", {{"key", key}});
  return page.objects.front();
}

Result<Bucket::Page> Bucket::ListPage(const Work& work, const std::string& prefix,
                                      const std::string& after, size_t limit) {
  Request request{"GET",
                  "",
                  {{"list-type", "2"},
                   {"max-keys", std::to_string(std::min(limit, kMaxObjectsListed))},
                   {"prefix", prefix_ + prefix}},
                  {},
                  {}};
  if (!after.empty()) request.query["start-after"] = prefix_ + after;
  MILLRACE_ASSIGN(const Answer answer, Ask(work, request));
  if (!answer.ok()) return Refused("objects cannot be listed", prefix, answer);
  return ReadPage(answer.http.body, prefix, after);
}

Result<Bucket::Page> Bucket::ReadPage(const std::string& body, const std::string& prefix,
                                      const std::string& after) {
  MILLRACE_ASSIGN(const XmlElement root, ParseXml(body));
  const auto odd = [&](const char* what, std::string_view key) {
    return Unavailable(what, {{"prefix", prefix}, {"key", key}});
  };
  if (root.name != "ListBucketResult") return odd("a list of objects is none", root.name);
  Page page;
  page.more = root.Text("IsTruncated") == "true";
  std::string last = after;
  for (const XmlElement& child : root.children) {
    if (child.name != "Contents") continue;
    const std::string_view key = child.Text("Key");
    if (!key.starts_with(prefix_ + prefix))
      return odd("the object store lists what was not asked for", key);
    ObjectInfo info{std::string(key.substr(prefix_.size())), 0, 0};
    if (!page.objects.empty() && info.key <= last)
      return odd("the object store does not list in the order of bytes, which is needed", key);
    last = info.key;
    const auto modified = ParseTimestamp(child.Text("LastModified"));
    if (!ReadNumber(child.Text("Size"), &info.size) || !modified.ok())
      return odd("the object store lists an object without size or time", key);
    info.modified = *modified;
    page.objects.push_back(std::move(info));
  }
  if (page.more && page.objects.empty()) return odd("a list goes on and holds nothing", "");
  return page;
}

Result<std::vector<ObjectInfo>> Bucket::List(const Work& work, const std::string& prefix,
                                             const std::string& after, size_t limit) {
  limit = std::min(limit, kMaxObjectsListed);
  std::vector<ObjectInfo> found;
  std::string behind = after;
  for (int pages = 0; pages < kMaxPages; ++pages) {
    MILLRACE_ASSIGN(const Page page, ListPage(work, prefix, behind, limit - found.size()));
    for (const ObjectInfo& object : page.objects)
      if (object.key > after && CheckObjectKey(object.key).ok()) found.push_back(object);
    if (!page.more || found.size() >= limit) return found;
    behind = page.objects.back().key;
  }
  return Unavailable(
      "too many objects of others lie between those of ours: use a bucket or a "
      "prefix of its own",
      {{"prefix", prefix}});
}

Result<std::vector<std::string>> Bucket::ListFolders(const Work& work, const std::string& prefix,
                                                     const std::string& after, size_t limit) {
  limit = std::min(limit, kMaxObjectsListed);
  // Without a delimiter: with one a store also gives folders in which only a marker is left.
  std::vector<std::string> found;
  std::string last = after;
  std::string behind = BehindFolder(after);
  for (int pages = 0; pages < kMaxPages + static_cast<int>(kMaxObjectsListed); ++pages) {
    MILLRACE_ASSIGN(const Page page, ListPage(work, prefix, behind, kMaxObjectsListed));
    for (const ObjectInfo& object : page.objects) {
      behind = object.key;
      const size_t slash = object.key.find('/', prefix.size());
      if (slash == std::string::npos || !CheckObjectKey(object.key).ok()) continue;
      std::string folder = object.key.substr(0, slash + 1);
      behind = BehindFolder(folder);
      if (folder <= last) continue;
      last = folder;
      found.push_back(std::move(folder));
      if (found.size() == limit) return found;
    }
    if (!page.more) return found;
  }
  return Unavailable(
      "too many objects of others lie between those of ours: use a bucket or a "
      "prefix of its own",
      {{"prefix", prefix}});
}

Status Bucket::Delete(const Work& work, const std::string& key) {
  const Request request{"DELETE", prefix_ + key, {}, {}, {}};
  MILLRACE_ASSIGN(const Answer answer, Ask(work, request));
  if (answer.ok()) return {};
  if (answer.code == "NoSuchKey") {
    const Error absent = Absent(work, key);
    if (absent.code == Code::kNotFound) return {};
    return absent;
  }
  return Refused("an object cannot be deleted", key, answer);
}

}  // namespace millrace::objectstore_s3
