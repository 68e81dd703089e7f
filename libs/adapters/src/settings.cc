#include "millrace/adapters/adapters.h"
#include "millrace/base/facts.h"
#include "millrace/serving_postgres/postgres_serving_store.h"

namespace millrace::adapters {
namespace {

constexpr int kMostReplicas = 9;

void AddKafka(log_kafka::Options* kafka, config::Settings* settings) {
  using Login = log_kafka::Security::Login;
  log_kafka::Security* const security = &kafka->security;
  settings->Text("log.kafka.brokers", &kafka->brokers, "host:port, several with commas between");
  settings->Text("log.kafka.group", &kafka->group,
                 "consumer group under which Kafka's tools show the progress");
  settings->Number("log.kafka.replication", &kafka->replication, 1, kMostReplicas,
                   "copies of each record");
  settings->Number("log.kafka.min_insync_replicas", &kafka->min_insync_replicas, 1, kMostReplicas,
                   "copies that must be written before a record is acknowledged");
  settings->Switch("log.kafka.tls", &security->tls, "encrypt the connections");
  settings->Text("log.kafka.ca_file", &security->ca_file,
                 "PEM file of the authorities to trust; the system's if empty");
  settings->Text("log.kafka.certificate_file", &security->certificate_file,
                 "PEM file of this client's certificate");
  settings->Text("log.kafka.key_file", &security->key_file, "PEM file of its key");
  settings->Secret("log.kafka.key_password", &security->key_password, "opens the key");
  settings->Choice("log.kafka.login", &security->login,
                   {{"none", Login::kNone},
                    {"plain", Login::kPlain},
                    {"scram-sha-256", Login::kScramSha256},
                    {"scram-sha-512", Login::kScramSha512}},
                   "how this client logs in");
  settings->Text("log.kafka.user", &security->user, "who logs in");
  settings->Secret("log.kafka.password", &security->password, "of the user");
  settings->Switch("log.kafka.insecure", &security->insecure,
                   "allow a password on a connection that is not encrypted");
}

void AddS3(objectstore_s3::Options* s3, config::Settings* settings) {
  using objectstore_s3::Addressing;
  using objectstore_s3::Checksum;
  using From = objectstore_s3::Credentials::From;
  using By = objectstore_s3::Encryption::By;
  objectstore_s3::Credentials* const credentials = &s3->credentials;
  settings->Text("objects.s3.endpoint", &s3->endpoint,
                 "http:// or https://host:port; AWS in the region if empty");
  settings->Text("objects.s3.region", &s3->region, "us-east-1 if empty");
  settings->Text("objects.s3.bucket", &s3->bucket, "which must exist");
  settings->Text("objects.s3.prefix", &s3->prefix, "stands before every key; ends in /");
  settings->Choice("objects.s3.addressing", &s3->addressing,
                   {{"auto", Addressing::kAuto},
                    {"path", Addressing::kPath},
                    {"virtual-host", Addressing::kVirtualHost}},
                   "where an address names the bucket");
  settings->Choice("objects.s3.credentials", &credentials->from,
                   {{"values", From::kValues},
                    {"files", From::kFiles},
                    {"environment", From::kEnvironment},
                    {"chain", From::kSdkChain}},
                   "where the keys are from; chain is where the AWS SDK looks");
  settings->Secret("objects.s3.access_key", &credentials->access_key, "for values");
  settings->Secret("objects.s3.secret_key", &credentials->secret_key, "for values");
  settings->Secret("objects.s3.session_token", &credentials->session_token, "for values");
  settings->Text("objects.s3.access_key_file", &credentials->access_key_file,
                 "for files, which are read again each minute");
  settings->Text("objects.s3.secret_key_file", &credentials->secret_key_file, "for files");
  settings->Text("objects.s3.session_token_file", &credentials->session_token_file, "for files");
  settings->Text("objects.s3.ca_file", &s3->ca_file,
                 "PEM file of the authorities to trust; the system's if empty");
  settings->Choice("objects.s3.encryption", &s3->encryption.by,
                   {{"bucket", By::kBucket},
                    {"store-key", By::kStoreKey},
                    {"kms", By::kKmsKey},
                    {"customer-key", By::kCustomerKey}},
                   "which key the store encrypts with; bucket asks for nothing");
  settings->Text("objects.s3.kms_key_id", &s3->encryption.kms_key_id, "the account's if empty");
  settings->Text("objects.s3.customer_key_file", &s3->encryption.customer_key_file, "32 bytes");
  settings->Choice("objects.s3.checksum", &s3->checksum,
                   {{"auto", Checksum::kAuto},
                    {"when_required", Checksum::kWhenRequired},
                    {"when_supported", Checksum::kWhenSupported}},
                   "whether puts carry a checksum that the store keeps; auto: on AWS");
  constexpr int kMostThreads = 256;
  settings->Number("objects.s3.threads", &s3->threads, 1, kMostThreads, "requests at a time");
}

}  // namespace

void AddSettings(Options* options, config::Settings* settings) {
  settings->Choice("log.kind", &options->log,
                   {{"embedded", LogKind::kEmbedded}, {"kafka", LogKind::kKafka}},
                   "where events and decisions are kept");
  AddKafka(&options->kafka, settings);
  settings->Choice("objects.kind", &options->objects,
                   {{"directory", ObjectsKind::kDirectory}, {"s3", ObjectsKind::kS3}},
                   "where checkpoints and result files are kept");
  AddS3(&options->s3, settings);
  settings->Choice("serving.kind", &options->serving,
                   {{"sqlite", ServingKind::kSqlite}, {"postgres", ServingKind::kPostgres}},
                   "where result tables are kept");
  settings->Secret("serving.postgres.connection", &options->postgres,
                   "connection string or URI of libpq");
}

Status Check(const Options& options) {
  if (options.log == LogKind::kKafka) {
    const Status kafka = log_kafka::Check(options.kafka);
    if (!kafka.ok()) return In("log.kafka", kafka.error());
  }
  if (options.objects == ObjectsKind::kS3) {
    const Status s3 = objectstore_s3::Check(options.s3);
    if (!s3.ok()) return In("objects.s3", s3.error());
  }
  if (options.serving == ServingKind::kPostgres) {
    const Status postgres = serving_postgres::CheckConnection(options.postgres);
    if (!postgres.ok()) return In("serving.postgres.connection", postgres.error());
  }
  return {};
}

}  // namespace millrace::adapters
