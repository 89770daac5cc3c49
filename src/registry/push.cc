// A blob goes up in chunks, one after the other: a registry says with each answer where the next
// goes. One that answers with a redirect wants the chunk at another place (object storage), without
// our token.
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <span>
#include <thread>

#include "base/check.h"
#include "base/hex.h"
#include "http/url.h"
#include "registry/registry.h"
#include "registry/session.h"
#include "store/manifest.h"
#include "store/progress_pace.h"

namespace puna::registry {
namespace {

constexpr int64_t kChunkBytes = 100 << 20;
constexpr int kPushTries = 6;

// What object storage names an upload of several chunks by.
class Md5 {
 public:
  Md5() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    CHECK(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_md5(), nullptr) == 1);
  }
  void Update(std::span<const uint8_t> bytes) {
    CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  std::array<uint8_t, 16> Finish() {
    std::array<uint8_t, 16> digest;
    CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
    return digest;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

Result<std::array<uint8_t, 16>> Md5OfFile(const std::filesystem::path& path, int64_t begin,
                                          int64_t end) {
  Md5 md5;
  std::ifstream file(path, std::ios::binary);
  file.seekg(begin);
  std::vector<uint8_t> piece(1 << 20);
  while (begin < end) {
    const auto count = std::min(end - begin, static_cast<int64_t>(piece.size()));
    if (!file.read(reinterpret_cast<char*>(piece.data()), count))
      return MakeError(ErrorCode::kInternal, "{} became shorter", path.string());
    md5.Update(std::span(piece).first(static_cast<size_t>(count)));
    begin += count;
  }
  return md5.Finish();
}

Status Pause(std::chrono::milliseconds time, Listener& listener) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
    if (listener.Cancelled()) return MakeError(ErrorCode::kCancelled, "cancelled");
    std::this_thread::sleep_for(std::min(time, store::ProgressPace::kInterval));
  }
  return {};
}

class BlobUpload {
 public:
  BlobUpload(Session& session, const store::Layer& layer, std::filesystem::path blob,
             const store::ProgressFunction& progress)
      : session_(session), layer_(layer), blob_(std::move(blob)), progress_(progress) {}

  Status Run();

 private:
  Status Start();
  Status SendChunk(int64_t begin, int64_t end);
  Status SendChunkElsewhere(const std::string& url, int64_t begin, int64_t end);
  Status Finish();
  Result<std::string> NextUrl(const http::ClientResponse& response) const;
  Status Report(int64_t done) const {
    return store::Report(progress_, {"pushing " + layer_.digest.substr(7, 12), layer_.digest,
                                     layer_.size_bytes, done});
  }
  http::ClientRequest ChunkRequest(const std::string& url, int64_t begin, int64_t end);

  Session& session_;
  const store::Layer& layer_;
  const std::filesystem::path blob_;
  const store::ProgressFunction& progress_;
  std::string url_;  // where the next request goes
  // Hash of the hashes of the chunks that went elsewhere: a registry compares it with what the
  // place of the chunks makes of them (S3's "etag" of an object in parts).
  Md5 chunk_md5s_;
  int64_t chunk_count_ = 0;
  store::ProgressPace pace_;
};

Result<std::string> BlobUpload::NextUrl(const http::ClientResponse& response) const {
  std::string next(response.Header("docker-upload-location"));
  if (next.empty()) next = response.Header("location");
  if (next.empty()) {
    return MakeError(ErrorCode::kCorrupt, "the registry does not say where blob {} goes",
                     layer_.digest);
  }
  return http::ResolveUrl(url_, next);
}

Status BlobUpload::Start() {
  http::ClientRequest request;
  request.method = "POST";
  url_ = session_.Url("blobs/uploads/");
  // What was taken from another model of the same registry need not travel.
  if (!layer_.from.empty()) {
    if (const auto from = store::ModelName::Parse(layer_.from)) {
      url_ += "?mount=" + layer_.digest + "&from=" + from->name_space + "/" + from->model;
    }
  }
  request.url = url_;
  PUNA_ASSIGN_OR_RETURN(const http::ClientResponse response, session_.Send(std::move(request)));
  if (response.status == 201) {
    url_.clear();
    return {};
  }
  if (response.status != 202) return StatusError("push blob " + layer_.digest, response);
  PUNA_ASSIGN_OR_RETURN(url_, NextUrl(response));
  return {};
}

http::ClientRequest BlobUpload::ChunkRequest(const std::string& url, int64_t begin, int64_t end) {
  http::ClientRequest request;
  request.url = url;
  request.headers = {{"Content-Type", "application/octet-stream"}, {"Expect", ""}};
  request.body_file = blob_;
  request.body_file_offset = static_cast<uint64_t>(begin);
  request.body_file_bytes = static_cast<uint64_t>(end - begin);
  request.on_upload = [this, begin](uint64_t sent, uint64_t) {
    return !pace_.Due() || Report(begin + static_cast<int64_t>(sent)).has_value();
  };
  return request;
}

Status BlobUpload::SendChunk(int64_t begin, int64_t end) {
  http::ClientRequest request = ChunkRequest(url_, begin, end);
  request.method = "PATCH";
  request.headers.emplace_back("Content-Range", fmt::format("{}-{}", begin, end - 1));
  request.headers.emplace_back("X-Redirect-Uploads", "1");
  PUNA_ASSIGN_OR_RETURN(const http::ClientResponse response, session_.Send(std::move(request)));
  if (response.status == 307) {
    PUNA_ASSIGN_OR_RETURN(const std::string elsewhere,
                          http::ResolveUrl(url_, std::string(response.Header("location"))));
    if (!response.Header("docker-upload-location").empty()) {
      PUNA_ASSIGN_OR_RETURN(url_, NextUrl(response));
    }
    return SendChunkElsewhere(elsewhere, begin, end);
  }
  if (response.status < 200 || response.status > 204)
    return StatusError("push blob " + layer_.digest, response);
  PUNA_ASSIGN_OR_RETURN(url_, NextUrl(response));
  return {};
}

Status BlobUpload::SendChunkElsewhere(const std::string& url, int64_t begin, int64_t end) {
  http::ClientRequest request = ChunkRequest(url, begin, end);
  request.method = "PUT";
  BlobSource place;
  place.url = url;
  place.at_registry = false;
  PUNA_ASSIGN_OR_RETURN(const http::ClientResponse response,
                        session_.SendTo(place, std::move(request)));
  if (response.status < 200 || response.status > 204)
    return StatusError("push blob " + layer_.digest, response);
  PUNA_ASSIGN_OR_RETURN(const auto md5, Md5OfFile(blob_, begin, end));
  chunk_md5s_.Update(md5);
  ++chunk_count_;
  return {};
}

Status BlobUpload::Finish() {
  http::ClientRequest request;
  request.method = "PUT";
  request.url = url_ + (url_.find('?') == std::string::npos ? "?" : "&") +
                "digest=" + http::EncodeComponent(layer_.digest);
  if (chunk_count_ > 0)
    request.url += "&etag=" + WriteHex(chunk_md5s_.Finish()) + "-" + std::to_string(chunk_count_);
  request.headers = {{"Content-Length", "0"}};
  PUNA_ASSIGN_OR_RETURN(const http::ClientResponse response, session_.Send(std::move(request)));
  if (response.status != 201) return StatusError("push blob " + layer_.digest, response);
  return {};
}

Status BlobUpload::Run() {
  http::ClientRequest head;
  head.method = "HEAD";
  head.url = session_.Url("blobs/" + layer_.digest);
  PUNA_ASSIGN_OR_RETURN(const http::ClientResponse there, session_.Send(std::move(head)));
  if (there.status != 200) {
    PUNA_RETURN_IF_ERROR(Start());
    const bool mounted = url_.empty();
    for (int64_t begin = 0; begin < layer_.size_bytes && !mounted; begin += kChunkBytes) {
      PUNA_RETURN_IF_ERROR(SendChunk(begin, std::min(begin + kChunkBytes, layer_.size_bytes)));
    }
    if (!mounted) PUNA_RETURN_IF_ERROR(Finish());
  }
  return Report(layer_.size_bytes);
}

}  // namespace

Status Registry::Push(const store::ModelName& typed, bool insecure,
                      const store::ProgressFunction& told) {
  const store::ModelName name = store_->Spelling(typed);
  Listener listener(told);
  const store::ProgressFunction& progress = listener.progress();
  PUNA_RETURN_IF_ERROR(Say(progress, "retrieving manifest"));
  PUNA_ASSIGN_OR_RETURN(const std::string text, store_->ReadManifestText(name));
  PUNA_ASSIGN_OR_RETURN(const store::Manifest manifest, store::ParseManifest(text));
  Session session(name, insecure, options_, [&] { return listener.Cancelled(); });
  session.FindScheme();
  std::vector<store::Layer> layers = manifest.layers;
  layers.push_back(manifest.config);
  for (const store::Layer& layer : layers) {
    PUNA_ASSIGN_OR_RETURN(const std::filesystem::path blob, store_->BlobPath(layer.digest));
    // An upload that broke is begun anew: registries forget what came of it.
    for (int i = 0;; ++i) {
      const Status sent = BlobUpload(session, layer, blob, progress).Run();
      if (sent) break;
      if (sent.error().code != ErrorCode::kUnavailable || i + 1 == kPushTries) return sent;
      PUNA_RETURN_IF_ERROR(Pause(options_.retry_unit * (1 << i), listener));
    }
  }
  PUNA_RETURN_IF_ERROR(Say(progress, "pushing manifest"));
  http::ClientRequest request;
  request.method = "PUT";
  request.url = session.Url("manifests/" + name.tag);
  request.headers = {{"Content-Type", std::string(store::kManifestType)}};
  request.body = text;
  PUNA_ASSIGN_OR_RETURN(const http::ClientResponse response, session.Send(std::move(request)));
  if (response.status < 200 || response.status > 204) return StatusError("push manifest", response);
  return Say(progress, "success");
}

}  // namespace puna::registry
