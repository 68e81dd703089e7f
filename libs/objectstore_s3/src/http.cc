#include "http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <mutex>
#include <new>

#include "millrace/base/facts.h"

namespace millrace::objectstore_s3 {
namespace {

/// A server on the same continent answers within a tenth of it.
constexpr long kConnectTimeoutMs = 1'000;
/// How late an exchange is stopped.
constexpr std::chrono::milliseconds kLook{100};
/// Of what a server says beside the bytes of an object.
constexpr size_t kMaxHeaders = 100;

void StartLibrary() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) throw std::bad_alloc();
  });
}

/// What an exchange has moved so far.
struct Exchanged {
  const std::string_view body;
  const size_t most;
  std::string_view unsent = body;
  HttpResponse response = {};
  bool too_long = false;

  size_t moved() const { return body.size() - unsent.size() + response.body.size(); }
};

size_t TakeBody(char* data, size_t size, size_t count, void* user) {
  auto& e = *static_cast<Exchanged*>(user);
  const size_t bytes = size * count;
  e.too_long = e.response.body.size() + bytes > e.most;
  if (e.too_long) return 0;
  e.response.body.append(data, bytes);
  return bytes;
}

size_t TakeHeader(char* data, size_t size, size_t count, void* user) {
  auto& e = *static_cast<Exchanged*>(user);
  const std::string_view line(data, size * count);
  const size_t colon = line.find(':');
  if (colon == line.npos || e.response.headers.size() >= kMaxHeaders) return line.size();
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::string_view value = line.substr(colon + 1);
  const size_t from = value.find_first_not_of(" \t");
  const size_t to = value.find_last_not_of(" \t\r\n");
  e.response.headers[name] = from == value.npos ? "" : value.substr(from, to - from + 1);
  return line.size();
}

size_t GiveBody(char* data, size_t size, size_t count, void* user) {
  auto& e = *static_cast<Exchanged*>(user);
  const size_t bytes = std::min(size * count, e.unsent.size());
  std::memcpy(data, e.unsent.data(), bytes);
  e.unsent.remove_prefix(bytes);
  return bytes;
}

/// For a connection that the server had closed: curl makes another and begins again.
int SeekBody(void* user, curl_off_t offset, int) {
  auto& e = *static_cast<Exchanged*>(user);
  e.unsent = e.body.substr(static_cast<size_t>(offset));
  return CURL_SEEKFUNC_OK;
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Headers = std::unique_ptr<curl_slist, FreeList>;

Headers HeadersOf(const HttpRequest& request) {
  Headers list;
  const auto add = [&](const char* line) {
    curl_slist* longer = curl_slist_append(list.get(), line);
    if (longer == nullptr) throw std::bad_alloc();
    list.release();
    list.reset(longer);
  };
  for (const std::string& header : request.headers) add(header.c_str());
  add("Expect:");  // curl would ask first whether it may send, and wait for the answer
  return list;
}

Error ErrorOf(CURLcode code, const char* detail, const HttpRequest& request) {
  const std::string error = *detail != 0 ? detail : curl_easy_strerror(code);
  const std::string server =
      request.url.substr(0, request.url.find('/', request.url.find("//") + 2));
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
      return InvalidArgument(
          "the object store shows a certificate that is not trusted: name the file of its CA, or "
          "an "
          "endpoint that the certificate is for",
          {{"server", server}, {"error", error}});
    case CURLE_SSL_CACERT_BADFILE:
      return InvalidArgument("the file of CA certificates cannot be read: name one in PEM",
                             {{"error", error}});
    case CURLE_COULDNT_RESOLVE_HOST:
      return Unavailable("the name of the object store is not known: check the endpoint and DNS",
                         {{"server", server}, {"error", error}});
    case CURLE_COULDNT_CONNECT:
      return Unavailable("the object store takes no connection: is it running?",
                         {{"server", server}, {"error", error}});
    case CURLE_OPERATION_TIMEDOUT:
      return Unavailable("the object store did not answer in time",
                         {{"server", server}, {"error", error}});
    default:
      return Unavailable("an exchange with the object store broke",
                         {{"server", server}, {"error", error}});
  }
}

}  // namespace

struct Http::Handle {
  CURL* const easy;
  CURLM* const multi;  ///< has the connections
  const std::string ca_file;
  const std::atomic<bool>* const stopping;

  Handle(std::string ca, const std::atomic<bool>* s)
      : easy(Started(curl_easy_init)),
        multi(Started(curl_multi_init)),
        ca_file(std::move(ca)),
        stopping(s) {
    if (easy == nullptr || multi == nullptr) throw std::bad_alloc();
  }
  ~Handle() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }

  template <typename Made>
  static Made* Started(Made* (*make)()) {
    StartLibrary();
    return make();
  }

  CURLcode Perform(const HttpRequest& request, const Exchanged& exchanged,
                   const std::function<void(std::chrono::milliseconds)>& ends_within) const;
};

/// By hand and not by curl_easy_perform, which knows one limit for the whole exchange, and would
/// see only once a second that it is to stop.
CURLcode Http::Handle::Perform(
    const HttpRequest& request, const Exchanged& exchanged,
    const std::function<void(std::chrono::milliseconds)>& ends_within) const {
  using std::chrono::milliseconds;
  const auto start = std::chrono::steady_clock::now();
  if (curl_multi_add_handle(multi, easy) != CURLM_OK) return CURLE_FAILED_INIT;
  CURLcode code = CURLE_OK;
  milliseconds told{-1};
  for (int running = 1; running > 0;) {
    if (curl_multi_perform(multi, &running) != CURLM_OK) running = 0, code = CURLE_FAILED_INIT;
    const auto elapsed =
        std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
    const milliseconds limit =
        request.timeout + milliseconds(1'000 * (exchanged.moved() / (1 << 20)));
    if (limit != told) ends_within(limit - elapsed);
    told = limit;
    if (running == 0) break;
    if (*stopping) code = CURLE_ABORTED_BY_CALLBACK;
    if (elapsed >= limit) code = CURLE_OPERATION_TIMEDOUT;
    if (code != CURLE_OK) break;
    const auto wait = std::min(limit - elapsed, kLook);
    curl_multi_poll(multi, nullptr, 0, static_cast<int>(wait.count()), nullptr);
  }
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left))
    if (message->msg == CURLMSG_DONE) code = message->data.result;
  curl_multi_remove_handle(multi, easy);
  return code;
}

Http::Http(std::string ca_file, const std::atomic<bool>* stopping)
    : handle_(std::make_unique<Handle>(std::move(ca_file), stopping)) {}
Http::~Http() = default;

Result<HttpResponse> Http::Exchange(
    const HttpRequest& request, const std::function<void(std::chrono::milliseconds)>& ends_within) {
  CURL* const curl = handle_->easy;
  char detail[CURL_ERROR_SIZE] = "";
  Exchanged exchanged{request.body, request.most};
  const Headers headers = HeadersOf(request);
  const bool has_body = request.method == "PUT" || request.method == "POST";

  curl_easy_reset(curl);  // connections stay
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);  // the signature is of this path
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");  // else one that the environment names
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  if (!handle_->ca_file.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, handle_->ca_file.c_str());
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);  // else the system's count as well
  }
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (has_body) {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, &GiveBody);
    curl_easy_setopt(curl, CURLOPT_READDATA, &exchanged);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, &SeekBody);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, &exchanged);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
  }
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &TakeBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchanged);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &TakeHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchanged);

  const CURLcode code = handle_->Perform(request, exchanged, ends_within);
  if (exchanged.too_long)
    return Unavailable("the object store answers with more than was asked for",
                       {{"at_most", request.most}});
  if (code != CURLE_OK) return ErrorOf(code, detail, request);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &exchanged.response.status);
  return std::move(exchanged.response);
}

}  // namespace millrace::objectstore_s3
