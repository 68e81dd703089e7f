#pragma once

#include <string>
#include <vector>

#include "millrace/objectstore/object_store.h"
#include "requests.h"

namespace millrace::objectstore_s3 {

/// The calls of the port, on a thread that may block. Keys were checked. Threads: any.
class Bucket {
 public:
  /// `customer_key`: 32 bytes, or empty.
  Bucket(const Options& options, const std::string& customer_key)
      : prefix_(options.prefix), requests_(options, customer_key) {}

  using Work = Calls::Work;

  /// kInvalidArgument: the store answers, and the configuration is wrong.
  Status Probe(const Work& work);
  Status Put(const Work& work, const std::string& key, ByteSource* source);
  Status Get(const Work& work, const std::string& key, ByteSink* sink);
  Result<ObjectInfo> Stat(const Work& work, const std::string& key);
  Result<std::vector<ObjectInfo>> List(const Work& work, const std::string& prefix,
                                       const std::string& after, size_t limit);
  Result<std::vector<std::string>> ListFolders(const Work& work, const std::string& prefix,
                                               const std::string& after, size_t limit);
  Status Delete(const Work& work, const std::string& key);

 private:
  /// Some of what the bucket holds, by key; whatever names those have.
  struct Page {
    std::vector<ObjectInfo> objects;
    bool more = false;
  };
  struct Upload {
    std::string id;
    std::string parts;  ///< what completes it says of the parts so far
    int number = 0;
  };

  Result<Answer> Ask(const Work& work, const Request& request);
  Result<std::string> ReadPiece(const Work& work, ByteSource* source, std::string* ahead);
  void AddChecksum(Request* request) const;
  Status PutWhole(const Work& work, const std::string& key, std::string_view bytes);
  Status PutParts(const Work& work, const std::string& key, std::string first, std::string ahead,
                  ByteSource* source);
  Status PutPart(const Work& work, const std::string& key, std::string_view bytes, Upload* upload);
  Status Complete(const Work& work, const std::string& key, const Upload& upload);
  Result<Page> ListPage(const Work& work, const std::string& prefix, const std::string& after,
                        size_t limit);
  Result<Page> ReadPage(const std::string& body, const std::string& prefix,
                        const std::string& after);
  Error Absent(const Work& work, const std::string& key);

  const std::string prefix_;
  Requests requests_;
};

}  // namespace millrace::objectstore_s3
