#include "http/byte_stream.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/async_base.hpp>

namespace puna::http {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;

struct TlsContext::State {
  ssl::context context{ssl::context::tls_server};
};

TlsContext::TlsContext() : state_(std::make_unique<State>()) {}
TlsContext::~TlsContext() = default;

Result<std::unique_ptr<TlsContext>> TlsContext::Load(const std::string& certificate_file,
                                                     const std::string& key_file) {
  std::unique_ptr<TlsContext> tls(new TlsContext());
  ssl::context& context = tls->state_->context;
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  error_code error;
  context.use_certificate_chain_file(certificate_file, error);
  if (error) {
    return MakeError(ErrorCode::kInvalidArgument, "certificate {}: {}", certificate_file,
                     error.message());
  }
  context.use_private_key_file(key_file, ssl::context::pem, error);
  if (error) {
    return MakeError(ErrorCode::kInvalidArgument, "private key {}: {}", key_file, error.message());
  }
  return tls;
}

struct ByteStream::Tls {
  Tls(boost::beast::tcp_stream& tcp, ssl::context& context) : stream(tcp, context) {}
  ssl::stream<boost::beast::tcp_stream&> stream;
};

ByteStream::ByteStream(asio::ip::tcp::socket socket, TlsContext* tls) : tcp_(std::move(socket)) {
  if (tls != nullptr) tls_ = std::make_unique<Tls>(tcp_, tls->state().context);
}

ByteStream::~ByteStream() = default;

asio::awaitable<bool> ByteStream::Handshake() {
  if (tls_ == nullptr) co_return true;
  const auto [error] = co_await tls_->stream.async_handshake(ssl::stream_base::server,
                                                             asio::as_tuple(asio::use_awaitable));
  co_return !error;
}

asio::awaitable<void> ByteStream::Shutdown() {
  if (tls_ == nullptr) co_return;
  co_await tls_->stream.async_shutdown(asio::as_tuple(asio::use_awaitable));
}

void ByteStream::StartRead(asio::mutable_buffer buffer, Handler handler,
                           asio::cancellation_slot slot) {
  auto cancellable = asio::bind_cancellation_slot(slot, std::move(handler));
  if (tls_ == nullptr) {
    tcp_.async_read_some(buffer, std::move(cancellable));
  } else {
    tls_->stream.async_read_some(buffer, std::move(cancellable));
  }
}

void ByteStream::StartWrite(const Pieces& pieces, Handler handler) {
  if (tls_ == nullptr) {
    tcp_.async_write_some(pieces, std::move(handler));
  } else {
    tls_->stream.async_write_some(pieces, std::move(handler));
  }
}

}  // namespace puna::http
