#include "rejects.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "millrace/base/facts.h"

namespace millrace::cli {
namespace {

constexpr const char* kReasonsEnding = ".reasons";

Error CannotWrite(const std::string& path) {
  return Internal("--rejects: cannot write the file: " + std::string(std::strerror(errno)),
                  {{"file", path}});
}

}  // namespace

Rejects::Rejects(std::string path)
    : path_(std::move(path)), reasons_path_(path_ + kReasonsEnding) {}

Result<std::unique_ptr<Rejects>> Rejects::Create(const std::string& path,
                                                 const std::string& input) {
  std::unique_ptr<Rejects> rejects(new Rejects(path));
  for (const std::string& file : {rejects->path_, rejects->reasons_path_}) {
    std::error_code unknown;
    if (std::filesystem::equivalent(file, input, unknown) && !unknown)
      return Conflict("--rejects: this file is the input; choose another name", {{"file", file}});
  }
  errno = 0;
  rejects->records_.open(path, std::ios::binary | std::ios::trunc);
  if (!rejects->records_) return CannotWrite(path);
  rejects->reasons_.open(rejects->reasons_path_, std::ios::binary | std::ios::trunc);
  if (!rejects->reasons_) return CannotWrite(rejects->reasons_path_);
  return rejects;
}

void Rejects::Header(std::string_view text) { header_ = text; }

void Rejects::Add(int64_t sequence, int64_t line, std::string_view text) {
  std::unique_lock lock(mutex_);
  settled_.wait(lock, [&] { return open_.empty() || bytes_ + text.size() <= kMostBytes; });
  if (open_.empty()) first_ = sequence;
  open_.push_back({line, std::string(text)});
  bytes_ += text.size();
}

void Rejects::Settle(int64_t sequence, std::optional<std::string> reason) {
  std::lock_guard lock(mutex_);
  if (sequence < first_ || sequence - first_ >= static_cast<int64_t>(open_.size())) return;
  Record& record = open_[static_cast<size_t>(sequence - first_)];
  record.settled = true;
  record.reason = std::move(reason);
  for (; !open_.empty() && open_.front().settled; ++first_) {
    bytes_ -= open_.front().text.size();
    if (open_.front().reason) Write(open_.front());
    open_.pop_front();
  }
  settled_.notify_all();
}

void Rejects::Write(const Record& record) {
  if (written_ == 0 && !header_.empty()) records_ << header_ << '\n';
  ++written_;
  if (!record.text.empty()) records_ << record.text << '\n';
  reasons_ << "line " << record.line << (record.text.empty() ? " (too long to keep): " : ": ")
           << *record.reason << '\n';
}

Status Rejects::Finish() {
  std::lock_guard lock(mutex_);
  errno = 0;
  records_.close();
  if (!records_) return CannotWrite(path_);
  reasons_.close();
  if (!reasons_) return CannotWrite(reasons_path_);
  if (written_ > 0) return {};
  std::error_code gone;
  std::filesystem::remove(path_, gone);
  std::filesystem::remove(reasons_path_, gone);
  return {};
}

}  // namespace millrace::cli
