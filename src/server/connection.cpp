#include "server/connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>

namespace hanlin::server {
namespace {

// Pipelined bytes kept while an answer is being made; beyond it the socket is left unread.
constexpr size_t kMaxReadAhead = 64 << 10;
constexpr size_t kMaxDiscarded = size_t{1} << 30;
constexpr std::chrono::milliseconds kCancelAgain{20};
using boost::system::error_code;

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket)
    : socket_(std::move(socket)), deadline_timer_(socket_.get_executor()), wake_timer_(socket_.get_executor()) {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);  // for the watcher's read_some; asynchronous operations do not mind
}

void Connection::arm_deadline(std::chrono::milliseconds timeout) {
  deadline_timer_.expires_after(timeout);
  await_deadline(++deadline_number_);
}

void Connection::await_deadline(uint64_t number) {
  deadline_timer_.async_wait([self = shared_from_this(), number](const error_code& error) {
    if (error || number != self->deadline_number_) return;
    self->timed_out_ = true;
    error_code ignored;
    self->socket_.cancel(ignored);
    // Writing or reading a message takes several operations of the socket. One that had just succeeded when we cancelled is
    // followed by another that we did not see, so this goes on until the caller has noticed.
    self->deadline_timer_.expires_after(kCancelAgain);
    self->await_deadline(number);
  });
}

void Connection::disarm_deadline() {
  ++deadline_number_;
  deadline_timer_.cancel();
}

asio::awaitable<void> Connection::sleep_until(std::chrono::steady_clock::time_point until) {
  wake_timer_.expires_at(until);
  co_await wake_timer_.async_wait(kNoThrow);
}

asio::awaitable<bool> Connection::wait_readable(std::chrono::milliseconds timeout) {
  if (buffer_.size() > 0) co_return true;
  if (aborted_ || peer_gone_) co_return false;
  idle_ = true;
  arm_deadline(timeout);
  const auto [error] = co_await socket_.async_wait(asio::ip::tcp::socket::wait_read, kNoThrow);
  disarm_deadline();
  idle_ = false;
  co_return !error && !aborted_ && !timed_out_;
}

asio::awaitable<bool> Connection::write(std::string data, std::chrono::milliseconds timeout) {
  if (aborted_) co_return false;
  // The kernel's buffer nearly always takes a token's frame at once: no operation to start, no deadline to arm.
  error_code error;
  const size_t n_sent = socket_.write_some(asio::buffer(data), error);
  if (!error && n_sent == data.size()) co_return true;
  if (error && error != asio::error::would_block) co_return false;
  arm_deadline(timeout);
  const auto [failure, n_written] = co_await asio::async_write(socket_, asio::buffer(data) + n_sent, kNoThrow);
  disarm_deadline();
  co_return !failure && n_sent + n_written == data.size();
}

asio::awaitable<void> Connection::linger_and_close(std::chrono::milliseconds timeout) {
  stop_watching();
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  std::string discarded(16 << 10, '\0');
  timed_out_ = false;
  arm_deadline(timeout);
  for (size_t n_total = 0; n_total < kMaxDiscarded && !aborted_ && !timed_out_;) {
    const auto [error, n_read] = co_await socket_.async_read_some(asio::buffer(discarded), kNoThrow);
    if (error) break;
    n_total += n_read;
  }
  disarm_deadline();
  close();
}

void Connection::close() {
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
}

void Connection::start_watching() {
  watching_ = true;
  if (wait_pending_ || peer_gone_ || buffer_.size() >= kMaxReadAhead) return;
  wait_pending_ = true;
  socket_.async_wait(asio::ip::tcp::socket::wait_read, [self = shared_from_this()](const error_code& error) {
    self->wait_pending_ = false;
    if (!error && self->watching_) self->on_readable();
  });
}

void Connection::on_readable() {
  error_code error;
  const size_t n_read = socket_.read_some(buffer_.prepare(4096), error);
  buffer_.commit(n_read);
  if (!error || error == asio::error::would_block) return start_watching();
  peer_gone_ = true;
  wake();
}

void Connection::abort() {
  aborted_ = true;
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);  // what is not pending yet fails, too
  socket_.cancel(ignored);
  wake();
}

void Connection::abort_from_any_thread() {
  asio::post(executor(), [self = shared_from_this()] { self->abort(); });
}

void Connection::close_if_idle_from_any_thread() {
  asio::post(executor(), [self = shared_from_this()] {
    if (self->idle_) self->abort();
  });
}

}  // namespace hanlin::server
