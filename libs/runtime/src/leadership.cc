#include "millrace/runtime/leadership.h"

#include "millrace/base/facts.h"

namespace millrace::runtime {

Task<Status> Leadership::Claim() {
  const int64_t number = log_->fold().leader_number() + 1;
  control::Record claim = control::Claim{number, name_};
  MILLRACE_CO_TRY(co_await Write(std::move(claim), "claim the leadership"));
  number_ = number;
  co_return Status();
}

Task<Status> Leadership::Write(control::Record record, std::string what) {
  MILLRACE_CO_ASSIGN(const control::Verdict verdict, co_await log_->Write(std::move(record)));
  if (verdict == control::Verdict::kValid) co_return Status();
  if (verdict == control::Verdict::kNotLeader) {
    co_return Conflict("another process leads: ask that one to " + what,
                       {{"leader", log_->fold().leader()}});
  }
  co_return Conflict(
      "the control log refused to " + what + ": the definition changed meanwhile; try again",
      {{"verdict", control::VerdictName(verdict)}});
}

}  // namespace millrace::runtime
