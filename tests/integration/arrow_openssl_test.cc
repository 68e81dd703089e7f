// The pinned libparquet exports the functions of the libcrypto that was linked into it. Where the
// dynamic linker meets them before the system's, libssl and gRPC run on a mixture of two OpenSSL
// builds, which can crash in TLS. cmake/FindArrow.cmake puts the system's first on every link line.
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <link.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <parquet/properties.h>

#include <string>
#include <vector>

#include "support/catch.h"

namespace {

std::string LibraryOf(void* address) {
  Dl_info info{};
  return dladdr(address, &info) != 0 ? info.dli_fname : "unknown";
}

std::vector<std::string> LoadedLibraries() {
  std::vector<std::string> names;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        static_cast<std::vector<std::string>*>(out)->emplace_back(info->dlpi_name);
        return 0;
      },
      &names);
  return names;
}

std::string LibraryWith(const std::string& part) {
  for (const std::string& name : LoadedLibraries()) {
    if (name.find(part) != std::string::npos) return name;
  }
  return "";
}

}  // namespace

TEST_CASE("with parquet loaded, OpenSSL's functions are those of the system's libraries") {
  // The call keeps libparquet among the libraries of this program.
  REQUIRE(parquet::default_writer_properties() != nullptr);
  REQUIRE(LibraryWith("libparquet.so") != "");
  const std::string crypto = LibraryWith("/libcrypto.so");
  const std::string ssl = LibraryWith("/libssl.so");
  REQUIRE(crypto != "");
  REQUIRE(ssl != "");

  // What this program calls, and what the libraries it loads get: the first in the global order.
  CHECK(LibraryOf(reinterpret_cast<void*>(&EVP_MD_CTX_new)) == crypto);
  CHECK(LibraryOf(reinterpret_cast<void*>(&SSL_CTX_new)) == ssl);
  for (const char* name :
       {"EVP_MD_CTX_new", "EVP_DigestInit_ex", "EVP_CIPHER_CTX_new", "RAND_bytes", "X509_STORE_new",
        "BIO_new", "ERR_get_error", "OPENSSL_init_crypto"}) {
    CAPTURE(name);
    CHECK(LibraryOf(dlsym(RTLD_DEFAULT, name)) == crypto);
  }
  CHECK(LibraryOf(dlsym(RTLD_DEFAULT, "SSL_CTX_new")) == ssl);
}

TEST_CASE("Kafka's client takes the system's authorities for TLS in a program that holds Parquet") {
  // With two OpenSSL builds in one process this crashes.
  char why[512] = "";
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", why, sizeof(why));
  rd_kafka_conf_set(conf, "security.protocol", "ssl", why, sizeof(why));
  rd_kafka_conf_set(conf, "log_level", "0", why, sizeof(why));
  rd_kafka_t* kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
  INFO(why);
  REQUIRE(kafka != nullptr);
  rd_kafka_destroy(kafka);
}
