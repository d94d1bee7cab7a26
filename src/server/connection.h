// One client socket with the primitives a session needs: a deadline on everything, a way to sleep and be woken, and an eye on
// the peer while an answer is being made. Included by few sources only: Asio is heavy.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <memory>
#include <string>

namespace hanlin::server {

namespace asio = boost::asio;

inline constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);  // an operation returns its error beside its result

// All functions run on the connection's strand (the socket's executor), except abort_from_any_thread and
// close_if_idle_from_any_thread.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  explicit Connection(asio::ip::tcp::socket socket);

  asio::ip::tcp::socket& socket() { return socket_; }
  boost::beast::flat_buffer& buffer() { return buffer_; }
  asio::any_io_executor executor() { return socket_.get_executor(); }

  // Socket operations that are still pending after `timeout` fail with operation_aborted, and timed_out() is true.
  void arm_deadline(std::chrono::milliseconds timeout);
  void disarm_deadline();
  bool timed_out() const { return timed_out_; }

  // Returns at `until` or after wake(), whichever is first; spurious returns are possible, so callers loop.
  asio::awaitable<void> sleep_until(std::chrono::steady_clock::time_point until);
  void wake() { wake_timer_.cancel(); }

  // Waits for the first byte of a request, at most `timeout`. False when there will be none.
  asio::awaitable<bool> wait_readable(std::chrono::milliseconds timeout);
  // Writes all of `data`. False when the peer is gone or too slow.
  asio::awaitable<bool> write(std::string data, std::chrono::milliseconds timeout);
  // Sends our end of stream and discards what the peer still sends, so that it can read our last answer; then closes.
  asio::awaitable<void> linger_and_close(std::chrono::milliseconds timeout);
  void close();

  // While watching, end of stream or an error sets peer_gone() and wakes the sleeper; bytes of the next request are kept.
  void start_watching();
  void stop_watching() { watching_ = false; }
  bool peer_gone() const { return peer_gone_; }
  bool aborted() const { return aborted_; }

  void abort_from_any_thread();          // fail all pending operations, wake the sleeper
  void close_if_idle_from_any_thread();  // the same if no request has begun

 private:
  void await_deadline(uint64_t number);
  void abort();
  void on_readable();

  asio::ip::tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
  asio::steady_timer deadline_timer_;
  asio::steady_timer wake_timer_;
  uint64_t deadline_number_ = 0;  // which arming the pending timer belongs to
  bool timed_out_ = false;
  bool watching_ = false;
  bool wait_pending_ = false;  // the watcher's async_wait is out
  bool peer_gone_ = false;
  bool aborted_ = false;
  bool idle_ = false;
};

}  // namespace hanlin::server
