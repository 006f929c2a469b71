// sysbox-runc: an OCI runtime whose containers behave like small virtual machines.

#include <fcntl.h>
#include <unistd.h>

#include "runc-ext/cli.h"

namespace {

// A caller may have closed a standard stream; what we open next must not take its place. Not
// close-on-exec: the container's process inherits them.
void fill_standard_fds() {
  int fd = -1;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_fds();
  return sysbox::runc::run_command_line({argv + (argc > 0 ? 1 : 0), argv + argc});
}
