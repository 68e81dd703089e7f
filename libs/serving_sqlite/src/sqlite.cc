#include "sqlite.h"

#include <cmath>
#include <limits>
#include <utility>

#include "millrace/base/facts.h"
#include "millrace/base/system_error.h"

namespace millrace::serving_sqlite {
namespace {

constexpr int kVersion = 3;
constexpr int kBusyMilliseconds = 5'000;
/// Steps of SQLite's machine between two looks at whether a statement shall stop: some 100 us.
constexpr int kStepsBetweenLooks = 10'000;

constexpr std::pair<Type, std::string_view> kDeclared[] = {
    {Type::kInt, "INT"},         {Type::kBigint, "BIGINT"}, {Type::kDouble, "DOUBLE PRECISION"},
    {Type::kText, "TEXT"},       {Type::kBool, "BOOLEAN"},  {Type::kTimestamp, "TIMESTAMPTZ_TEXT"},
    {Type::kNumeric, "NUMERIC"},
};

bool ParseNumeric(std::string_view text, Int128* out) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 38) return false;
  Int128 v = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    v = v * 10 + (c - '0');
  }
  *out = negative ? -v : v;
  return true;
}

}  // namespace

std::optional<std::string> ExactDigits(const Value& numeric) {
  const auto* v = std::get_if<Int128>(&numeric.data);
  if (v == nullptr || *v == static_cast<int64_t>(*v)) return std::nullopt;
  return FormatNumeric(*v);
}

std::string Quoted(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out.append(c == '"' ? 2 : 1, c);
  return out + "\"";
}

std::string_view DeclaredType(Type type) {
  for (const auto& [t, name] : kDeclared)
    if (t == type) return name;
  return "BLOB";
}

Type TypeOfDeclared(std::string_view declared) {
  for (const auto& [type, name] : kDeclared)
    if (name == declared) return type;
  return Type::kText;
}

Result<std::unique_ptr<Connection>> Connection::Open(const std::string& path, Use use) {
  auto connection = std::make_unique<Connection>();
  connection->path_ = path;
  sqlite3* db = nullptr;
  const int opened = sqlite3_open_v2(
      path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  connection->db_.reset(db);
  if (opened != SQLITE_OK && db != nullptr && MayPass(sqlite3_system_errno(db)))
    return SystemError("the serving store cannot be opened", sqlite3_system_errno(db), path);
  if (opened != SQLITE_OK)
    return InvalidArgument(
        "the serving store cannot be opened: choose a file that this user can write",
        {{"path", path}, {"error", sqlite3_errstr(opened)}});
  sqlite3_busy_timeout(db, kBusyMilliseconds);
  MILLRACE_TRY(connection->Run("PRAGMA journal_mode = WAL"));
  MILLRACE_TRY(connection->Run("PRAGMA synchronous = FULL"));
  MILLRACE_TRY(connection->Run("PRAGMA journal_size_limit = 67108864"));
  const bool writes = use == Use::kWrite;
  MILLRACE_TRY(
      connection->Run(writes ? "PRAGMA cache_size = -65536" : "PRAGMA cache_size = -4096"));
  MILLRACE_TRY(connection->Run("PRAGMA wal_autocheckpoint = 8192"));
  if (!writes) MILLRACE_TRY(connection->Run("PRAGMA query_only = ON"));
  MILLRACE_ASSIGN(Statement version, connection->Prepare("PRAGMA user_version"));
  MILLRACE_TRY(version.Step());
  const int64_t found = version.Integer(0);
  if (found != 0 && found != kVersion)
    return InvalidArgument(
        "the serving store has a version that this program does not know: use the version that "
        "wrote it",
        {{"path", path}, {"version", found}});
  return connection;
}

void Connection::StopWhen(const std::atomic<bool>* stop) {
  sqlite3_progress_handler(
      db_.get(), stop == nullptr ? 0 : kStepsBetweenLooks,
      [](void* flag) { return static_cast<const std::atomic<bool>*>(flag)->load() ? 1 : 0; },
      const_cast<std::atomic<bool>*>(stop));
}

Error Connection::LastError(const std::string& what) const {
  return ErrorOf(what, sqlite3_errcode(db_.get()), sqlite3_errmsg(db_.get()));
}

Error Connection::ErrorOf(const std::string& what, int code, const char* sqlite_says) const {
  const std::string facts = " path=" + path_ + " error=\"" + sqlite_says + "\"";
  const std::string text = what + facts;
  // SQLite gives a file that it cannot open the same code whatever the reason is.
  const int system = sqlite3_system_errno(db_.get());
  if ((code & 0xff) == SQLITE_CANTOPEN && MayPass(system)) return SystemError(what, system, path_);
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Corruption(what +
                        ", its file is damaged: stop Millrace, move the file with its -wal and "
                        "-shm away and start again; the tables are filled anew" +
                        facts);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return InvalidArgument(what + ": give this user the right to write the file and its folder" +
                             facts);
    case SQLITE_INTERRUPT:
      return Unavailable("the query was cancelled" + facts);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Unavailable(what + ", another program holds a lock on it: end that program" + facts);
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
      return Internal(text);
    default:
      return Unavailable(text);
  }
}

Status Connection::Run(const std::string& sql) {
  if (sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return LastError("the serving store failed");
  return {};
}

Result<Statement> Connection::Prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db_.get(), sql.data(), static_cast<int>(sql.size()), &statement,
                         nullptr) != SQLITE_OK) {
    return LastError("the serving store refused a statement");
  }
  return Statement(this, statement);
}

void Statement::BindValue(int at, const Value& value) {
  if (value.is_null()) {
    BindNull(at);
    return;
  }
  switch (value.type) {
    case Type::kInt:
    case Type::kBigint:
    case Type::kBool:
      return BindInteger(at, std::get<int64_t>(value.data));
    case Type::kText:
      return BindText(at, std::get<std::string>(value.data));
    case Type::kDouble:
      // SQLite takes a NaN for NULL.
      if (const double v = std::get<double>(value.data); !std::isnan(v)) {
        Note(sqlite3_bind_double(statement_.get(), at, v));
        return;
      }
      break;
    case Type::kNumeric: {
      const Int128 v = std::get<Int128>(value.data);
      if (v == static_cast<int64_t>(v)) return BindInteger(at, static_cast<int64_t>(v));
      Note(sqlite3_bind_double(statement_.get(), at, static_cast<double>(v)));
      return;
    }
    default:
      break;
  }
  const std::string text = ValueText(value);
  Note(sqlite3_bind_text64(statement_.get(), at, text.data(), text.size(), SQLITE_TRANSIENT,
                           SQLITE_UTF8));
}

Result<bool> Statement::Step() {
  const int unbound = std::exchange(unbound_, SQLITE_OK);
  const int code = unbound == SQLITE_OK ? sqlite3_step(statement_.get()) : unbound;
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  const int kind = code & 0xff;
  refused_ = kind == SQLITE_TOOBIG || kind == SQLITE_CONSTRAINT || kind == SQLITE_MISMATCH;
  const char* const what = "the serving store failed";
  // A value that is bound later takes the text of an earlier one's error away.
  if (unbound != SQLITE_OK) return connection_->ErrorOf(what, code, sqlite3_errstr(code));
  return connection_->LastError(what);
}

std::string Statement::Declared(int column) const {
  const char* declared = sqlite3_column_decltype(statement_.get(), column);
  return declared == nullptr ? "" : declared;
}

std::string Statement::Text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const auto n = static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column));
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), n);
}

Result<Value> Statement::ReadValue(int column, Type type) const {
  Value v{type, {}};
  const int stored = sqlite3_column_type(statement_.get(), column);
  if (stored == SQLITE_NULL) return v;
  const auto bad = [&] {
    return Corruption("the serving store holds a value of another type",
                      {{"column", Name(column)}, {"value", Text(column)}});
  };
  switch (type) {
    case Type::kText:
      v.data = Text(column);
      return v;
    case Type::kTimestamp: {
      const std::string text = Text(column);
      if (text == "infinity" || text == "-infinity") {
        v.data = text == "infinity" ? kPlusInfinity : kMinusInfinity;
        return v;
      }
      const auto t = ParseTimestamp(text);
      if (!t.ok()) return bad();
      v.data = *t;
      return v;
    }
    case Type::kNumeric: {
      Int128 n = 0;
      if (!ParseNumeric(Text(column), &n)) return bad();
      v.data = n;
      return v;
    }
    case Type::kDouble: {
      if (stored == SQLITE_FLOAT || stored == SQLITE_INTEGER) {
        v.data = sqlite3_column_double(statement_.get(), column);
        return v;
      }
      if (Text(column) != "NaN") return bad();
      v.data = std::numeric_limits<double>::quiet_NaN();
      return v;
    }
    default:
      if (stored != SQLITE_INTEGER) return bad();
      v.data = Integer(column);
      return v;
  }
}

}  // namespace millrace::serving_sqlite
