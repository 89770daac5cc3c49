// A registry in this process that behaves as ollama.com's does (token, redirect to another host
// name) and fails in the ways that networks and strangers do; and a store with a client of it.
#ifndef TESTS_SUPPORT_FAKE_REGISTRY_H_
#define TESTS_SUPPORT_FAKE_REGISTRY_H_

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/sha256.h"
#include "http/server.h"
#include "registry/registry.h"
#include "store/manifest.h"

namespace puna::testing {

inline std::string DigestOf(std::string_view bytes) { return "sha256:" + Sha256Hex(bytes); }

inline std::string RandomBytes(size_t count, uint32_t seed) {
  std::string bytes(count, '\0');
  for (char& c : bytes) {
    seed = seed * 1664525 + 1013904223;
    c = static_cast<char>(seed >> 24);
  }
  return bytes;
}

// What the registry does wrong.
struct Faults {
  bool wants_token = false;        // 401 until a signed token request was made
  bool redirects = false;          // blobs are at another host name
  bool no_ranges = false;          // answers every GET with the whole
  int busy_answers = 0;            // the first so many requests for blobs are 503
  int broken_transfers = 0;        // so many answers end in the middle
  int64_t fail_after = -1;         // after so many bytes of blobs everything is 503
  int wrong_byte_at = -1;          // of every blob
  int wrong_bytes_left = 1 << 30;  // so many answers have it
  bool shifted_ranges = false;     // sends other bytes than were asked for
  bool crawls_once = false;        // the first answer hardly moves, the others take their time
  bool halts = false;              // large answers wait after 1000 bytes until Heal, or 20 seconds
  std::string redirect_to;         // instead of the blob
  int64_t claimed_size = -1;       // of the first layer, in the manifest
  int broken_uploads = 0;          // so many answers to pieces of uploads end in the middle
  bool uploads_elsewhere = false;  // pieces of uploads go to another host name
  bool silent_manifest = false;    // the manifest comes when the server ends
};

class FakeRegistry {
 public:
  explicit FakeRegistry(Faults faults) : faults_(std::move(faults)) {
    http::ServerOptions options;
    options.port = 0;
    auto started = http::Server::Start(
        options, [this](const http::Request& request, http::BodyReader& body,
                        http::ResponseWriter& writer) { return Answer(request, body, writer); });
    server_ = *std::move(started);
  }

  std::string host() const { return fmt::format("127.0.0.1:{}", server_->port()); }
  std::string AddBlob(const std::string& bytes) {
    const std::lock_guard lock(mutex_);
    blobs_[DigestOf(bytes)] = bytes;
    return DigestOf(bytes);
  }
  // A model of these layers.
  void AddModel(const std::vector<std::string>& layers) {
    store::Manifest manifest;
    for (const std::string& layer : layers) {
      manifest.layers.push_back(
          {std::string(store::kModelType), AddBlob(layer), static_cast<int64_t>(layer.size()), ""});
    }
    if (faults_.claimed_size >= 0) manifest.layers[0].size_bytes = faults_.claimed_size;
    const std::string config = R"({"model_format":"gguf"})";
    manifest.config = {std::string(store::kConfigType), AddBlob(config),
                       static_cast<int64_t>(config.size()), ""};
    manifest_ = store::FormatManifest(manifest);
  }

  std::map<std::string, std::string> blobs() {
    const std::lock_guard lock(mutex_);
    return blobs_;
  }
  std::string manifest() {
    const std::lock_guard lock(mutex_);
    return manifest_;
  }
  void Heal() {
    const std::lock_guard lock(mutex_);
    faults_.fail_after = -1;
    halted_ = false;
    heard_enough_ = true;
  }
  std::atomic<int64_t> bytes_sent = 0;
  std::atomic<int> token_requests = 0, proxied_requests = 0;
  // A file at a path. Before the first request.
  void AddFile(const std::string& path, const std::string& bytes) {
    AddBlob(bytes);
    files_[path] = bytes;
  }
  void SetManifest(std::string text) { manifest_ = std::move(text); }

 private:
  static std::string PathOf(std::string target) {
    if (const size_t scheme = target.find("://"); scheme != std::string::npos)
      target = target.substr(target.find('/', scheme + 3));
    return target.substr(0, target.find('?'));
  }

  http::Task<void> Answer(const http::Request& request, http::BodyReader& body,
                          http::ResponseWriter& writer) {
    const std::string prefix = "/v2/library/tiny/";
    // A proxy is asked for whole URLs.
    if (const size_t at = request.target.find("://"); at != std::string::npos) ++proxied_requests;
    const std::string path = PathOf(request.target);
    if (const auto it = files_.find(path); it != files_.end()) {
      co_await AnswerBlob(DigestOf(it->second), request, writer);
    } else if (path == "/token") {
      ++token_requests;
      const bool signed_by_key =
          request.Header("authorization").starts_with("AAAAC3NzaC1lZDI1NTE5");
      co_await writer.Send(signed_by_key ? 200 : 403, "application/json", R"({"token":"secret"})");
    } else if (faults_.wants_token && !path.starts_with("/elsewhere/") &&
               request.Header("authorization") != "Bearer secret") {
      writer.SetHeader("WWW-Authenticate",
                       fmt::format("Bearer realm=\"http://{}/token\",service=\"s\","
                                   "scope=\"repository:library/tiny:pull,push\"",
                                   host()));
      co_await writer.Send(401, "", "");
    } else if (path == prefix + "manifests/latest") {
      co_await AnswerManifest(request, body, writer);
    } else if (path.starts_with(prefix + "blobs/uploads/")) {
      co_await AnswerUpload(request, body, writer);
    } else if (path.starts_with(prefix + "blobs/")) {
      const std::string digest = path.substr(prefix.size() + 6);
      if (faults_.redirects || !faults_.redirect_to.empty()) {
        writer.SetHeader("Location", !faults_.redirect_to.empty()
                                         ? faults_.redirect_to
                                         : fmt::format("http://localhost:{}/elsewhere/{}",
                                                       server_->port(), digest));
        co_await writer.Send(307, "", "");
      } else {
        co_await AnswerBlob(digest, request, writer);
      }
    } else if (path == "/elsewhere/upload") {
      co_await AnswerPieceElsewhere(request, body, writer);
    } else if (path.starts_with("/elsewhere/")) {
      // A token that leaks to the place of the bytes is a fault of the client.
      if (!request.Header("authorization").empty()) {
        co_await writer.Send(400, "", "a token");
      } else {
        co_await AnswerBlob(path.substr(11), request, writer);
      }
    } else {
      co_await writer.Send(404, "", "");
    }
  }

  http::Task<void> AnswerManifest(const http::Request& request, http::BodyReader& body,
                                  http::ResponseWriter& writer) {
    if (request.method == "PUT") {
      auto text = co_await body.ReadAll(1 << 20);
      {
        const std::lock_guard lock(mutex_);
        manifest_ = *text;
      }
      co_await writer.Send(201, "", "");
    } else {
      boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
      while (faults_.silent_manifest && !heard_enough_) {
        timer.expires_after(std::chrono::milliseconds(10));
        co_await timer.async_wait(boost::asio::use_awaitable);
      }
      const std::string text = manifest();
      co_await writer.Send(text.empty() ? 404 : 200, "application/json", text);
    }
  }

  http::Task<void> AnswerBlob(const std::string& digest, const http::Request& request,
                              http::ResponseWriter& writer) {
    std::string bytes;
    bool known = false, busy = false;
    int64_t fail_after = -1;
    {
      const std::lock_guard lock(mutex_);
      const auto it = blobs_.find(digest);
      known = it != blobs_.end();
      if (known) bytes = it->second;
      busy = faults_.busy_answers-- > 0;
      fail_after = faults_.fail_after;
    }
    if (!known || busy || (fail_after >= 0 && bytes_sent > fail_after)) {
      co_await writer.Send(known ? 503 : 404, "", "");
      co_return;
    }
    int status = 200;
    size_t begin = 0, end = bytes.size();
    if (std::sscanf(std::string(request.Header("range")).c_str(), "bytes=%zu-%zu", &begin, &end) ==
            2 &&
        !faults_.no_ranges) {
      status = 206;
      end = std::min(end + 1, bytes.size());
      writer.SetHeader("Content-Range",
                       fmt::format("bytes {}-{}/{}", begin + (faults_.shifted_ranges ? 1 : 0),
                                   end - 1, bytes.size()));
    } else {
      begin = 0;
      end = bytes.size();
    }
    std::string part = bytes.substr(begin, end - begin);
    const auto wrong = static_cast<size_t>(faults_.wrong_byte_at);
    if (faults_.wrong_byte_at >= 0 && begin <= wrong && wrong < end &&
        faults_.wrong_bytes_left-- > 0) {
      part[wrong - begin] ^= 1;
    }
    if (faults_.halts && part.size() > 1000) {
      co_await SendHalting(status, std::move(part), writer);
      co_return;
    }
    if (faults_.crawls_once && part.size() > 1000) {
      co_await SendSlowly(status, std::move(part), writer);
      co_return;
    }
    if (part.size() > 1000 && broken_so_far_++ < faults_.broken_transfers) {
      // Half of it, and then the connection goes.
      co_await writer.StartStream(status, "application/octet-stream");
      co_await writer.Write(part.substr(0, part.size() / 2));
      bytes_sent += static_cast<int64_t>(part.size() / 2);
      co_return;
    }
    bytes_sent += static_cast<int64_t>(part.size());
    co_await writer.Send(status, "application/octet-stream", std::move(part));
  }

  // About 20 MB/s, but for one answer 20 kB/s.
  http::Task<void> SendSlowly(int status, std::string bytes, http::ResponseWriter& writer) {
    const bool crawl = !crawled_.exchange(true);
    const size_t step = crawl ? 1000 : 1 << 20;
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    co_await writer.StartStream(status, "application/octet-stream");
    for (size_t at = 0; at < bytes.size(); at += step) {
      if (!co_await writer.Write(bytes.substr(at, step))) co_return;
      timer.expires_after(std::chrono::milliseconds(50));
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    co_await writer.Finish();
  }

  http::Task<void> SendHalting(int status, std::string bytes, http::ResponseWriter& writer) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    co_await writer.StartStream(status, "application/octet-stream");
    co_await writer.Write(bytes.substr(0, 1000));
    for (int i = 0; halted_ && i < 2000; ++i) {
      timer.expires_after(std::chrono::milliseconds(10));
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    co_await writer.Write(bytes.substr(1000));
    co_await writer.Finish();
  }

  http::Task<void> AnswerUpload(const http::Request& request, http::BodyReader& body,
                                http::ResponseWriter& writer) {
    auto bytes = co_await body.ReadAll(64 << 20);
    if (request.method == "POST") {
      writer.SetHeader("Location", "/v2/library/tiny/blobs/uploads/1?state=a");
      co_await writer.Send(202, "", "");
    } else if (request.method == "PATCH") {
      if (broken_uploads_so_far_++ < faults_.broken_uploads) {
        co_await writer.StartStream(202, "text/plain");
        co_await writer.Write("half of");
        co_return;
      }
      if (faults_.uploads_elsewhere) {
        writer.SetHeader("Docker-Upload-Location", "/v2/library/tiny/blobs/uploads/1?state=b");
        writer.SetHeader("Location",
                         fmt::format("http://localhost:{}/elsewhere/upload", server_->port()));
        co_await writer.Send(307, "", "");
        co_return;
      }
      AddToUpload(*bytes);
      writer.SetHeader("Location", "/v2/library/tiny/blobs/uploads/1?state=b");
      co_await writer.Send(202, "", "");
    } else {
      std::string upload, upload_etag;
      {
        const std::lock_guard lock(mutex_);
        upload.swap(upload_);
        upload_etag = std::exchange(upload_etag_, "");
      }
      const std::string digest = AddBlob(upload);
      const bool right = request.target.find(digest.substr(7)) != std::string::npos &&
                         request.target.find(upload_etag) != std::string::npos;
      co_await writer.Send(right ? 201 : 400, "", "");
    }
  }

  void AddToUpload(const std::string& bytes) {
    const std::lock_guard lock(mutex_);
    upload_ += bytes;
  }

  // As S3 does: the etag of an object in one part is the hash of the part's hash.
  http::Task<void> AnswerPieceElsewhere(const http::Request& request, http::BodyReader& body,
                                        http::ResponseWriter& writer) {
    auto bytes = co_await body.ReadAll(64 << 20);
    const bool right = request.method == "PUT" && request.Header("authorization").empty();
    if (right) AddToUpload(*bytes);
    {
      const std::lock_guard lock(mutex_);
      upload_etag_ = "etag=" + Hex(Md5(Md5(*bytes))) + "-1";
    }
    writer.SetHeader("ETag", "\"" + Hex(Md5(*bytes)) + "\"");
    co_await writer.Send(right ? 200 : 400, "", "");
  }

  static std::string Md5(std::string_view bytes) {
    std::string digest(16, '\0');
    EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
               EVP_md5(), nullptr);
    return digest;
  }
  static std::string Hex(std::string_view bytes) {
    std::string hex;
    for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return hex;
  }

  std::mutex mutex_;
  Faults faults_;
  std::map<std::string, std::string> blobs_, files_;
  std::string manifest_, upload_, upload_etag_;
  std::atomic<bool> crawled_ = false, halted_ = true, heard_enough_ = false;
  std::atomic<int> broken_so_far_ = 0, broken_uploads_so_far_ = 0;
  std::unique_ptr<http::Server> server_;
};

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest()
      : folder_(std::filesystem::temp_directory_path() /
                fmt::format("puna-registry-{}", ::getpid())) {
    std::filesystem::remove_all(folder_);
    store_ = std::make_unique<store::Store>(folder_ / "models");
    UseConnections(4);
  }
  void UseConnections(int count, std::chrono::milliseconds speed_window = std::chrono::hours(1)) {
    registry::RegistryOptions options;
    options.key_file = folder_ / "id_ed25519";
    options.retry_unit = std::chrono::milliseconds(1);
    options.connections = count;
    options.speed_window = speed_window;
    registry_ = std::make_unique<registry::Registry>(store_.get(), options);
  }
  ~RegistryTest() override { std::filesystem::remove_all(folder_); }

  static store::ModelName Name(const FakeRegistry& peer) {
    return *store::ModelName::Parse(peer.host() + "/library/tiny");
  }
  Status Pull(const FakeRegistry& peer) {
    return registry_->Pull(Name(peer), /*insecure=*/true, [&](const store::Progress& progress) {
      statuses_.push_back(progress.status);
      return !cancel_;
    });
  }
  void ExpectBlob(const std::string& bytes) {
    const auto text = ReadFile(*store_->BlobPath(DigestOf(bytes)));
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(*text, bytes);
  }
  size_t FilesInBlobs() const {
    std::error_code error;
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator(folder_ / "models/blobs", error))
      ++count;
    return count;
  }

  std::filesystem::path folder_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<registry::Registry> registry_;
  std::vector<std::string> statuses_;
  bool cancel_ = false;
  // Several parts: one is at least 8 MiB.
  const std::string weights_ = RandomBytes((20 << 20) + 123, 1);
};

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_FAKE_REGISTRY_H_
