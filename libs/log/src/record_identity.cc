#include "millrace/log/record_identity.h"

#include <string>

#include "millrace/base/bytes.h"
#include "millrace/base/hash.h"

namespace millrace {

RecordIdentity IdentityOf(const LogRecord& record) {
  std::string text;
  ByteWriter w(&text);
  w.Fixed(record.offset.value);
  w.Fixed(record.append_time);
  w.Text(record.key);
  w.Fixed(Hash(record.value));
  return {record.offset, Hash(text).lo};
}

}  // namespace millrace
