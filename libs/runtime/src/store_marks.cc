#include "millrace/runtime/store_marks.h"

#include "millrace/base/facts.h"
#include "millrace/base/log.h"

namespace millrace::runtime {
namespace {

/// What a view keeps lies in NAMESPACE/state/ or NAMESPACE/results/, so none of it has this key.
constexpr const char* kMarkKey = "_millrace/cluster";

/// The mark that stands in the object store, which is `mine` if none did. A store of objects cannot
/// set one only where none is. Of two new clusters that begin at the same moment both may see their
/// own here; the one whose mark was replaced is refused when it next begins to lead.
Task<Result<std::string>> MarkObjects(ObjectStore* objects, std::string mine, bool adopt) {
  const auto found = co_await objects->Get(kMarkKey);
  if (!found.ok() && found.error().code != Code::kNotFound) co_return found.error();
  if (found.ok() && !adopt) co_return std::string(found->bytes);
  MILLRACE_CO_TRY(co_await objects->Put(kMarkKey, Buffer::Own(mine)));
  MILLRACE_CO_ASSIGN(const Buffer put, co_await objects->Get(kMarkKey));
  co_return std::string(put.bytes);
}

Status Compare(std::string_view store, const std::string& found, const std::string& mine) {
  if (found == mine) return {};
  return InvalidArgument(
      "the " + std::string(store) +
          " belongs to another cluster, or to this one on another log: configure its own stores, "
          "or start once with --adopt if it was restored or moved and nobody else uses it",
      {{"has", found}, {"wanted", mine}});
}

}  // namespace

Task<Status> OwnStores(Ports ports, std::string cluster, bool adopt) {
  MILLRACE_CO_ASSIGN(const std::string log, co_await ports.log->Identity());
  const std::string mine = "cluster=" + cluster + " log=" + log;
  MILLRACE_CO_ASSIGN(const std::string tables, co_await ports.tables->Mark(mine, adopt));
  MILLRACE_CO_TRY(Compare("serving store", tables, mine));
  MILLRACE_CO_ASSIGN(const std::string objects, co_await MarkObjects(ports.objects, mine, adopt));
  MILLRACE_CO_TRY(Compare("object store", objects, mine));
  if (adopt) LogWarn("the stores belong to this cluster from now on", {{"mark", mine}});
  co_return Status();
}

}  // namespace millrace::runtime
