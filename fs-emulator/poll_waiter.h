#pragma once

// Whom to tell when a poll(2) of an emulated file has something to say.

#include <fuse_lowlevel.h>
#include <poll.h>

#include <memory>

namespace sysbox::fs {

struct PollWaiterDestroyer {
  void operator()(struct fuse_pollhandle* waiter) const { fuse_pollhandle_destroy(waiter); }
};
using PollWaiter = std::unique_ptr<struct fuse_pollhandle, PollWaiterDestroyer>;

// What the kernel says of any file that is always ready (DEFAULT_POLLMASK).
constexpr unsigned kAlwaysReady = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

}  // namespace sysbox::fs
