#include "runc-ext/help.h"

#include <algorithm>
#include <array>

#include "common/result.h"

namespace sysbox::runc {
namespace {

struct Description {
  std::string_view command;
  std::string_view text;
};

// What the one line of the summary leaves open; in the order of the names.
constexpr std::array kDescriptions = {
    Description{"", R"(An OCI runtime whose containers behave like small virtual machines: systemd,
Docker and Kubernetes run in them unchanged, and root inside is nobody outside.
It takes the place of runc: the same bundles, commands, flags and output.
It needs the services sysbox-mgr and sysbox-fs.

A bundle is a directory with a config.json and the container's root file
system. `spec` writes a config.json to begin with; `run` makes a container of
the bundle, runs its program and deletes it.)"},
    Description{"checkpoint",
                R"(Not supported: what sysbox-fs serves inside a container cannot be saved by
CRIU. Stop the container and start it again instead.)"},
    Description{"create",
                R"(Makes the container of a bundle: its ids, namespaces, mounts, cgroups. Its
program waits for `start`. The id is letters, digits and _ + - . only.)"},
    Description{"delete",
                R"(Takes away everything that belongs to a container that has stopped, or was never
started.)"},
    Description{"events", R"(Shows what happens in a container, and what it uses, as JSON.)"},
    Description{"exec", R"(The process gets the user, environment, capabilities and limits of the
container's own one as far as neither a flag nor --process says otherwise.
It ends with the process's exit status, or with 255 if it could not be run.)"},
    Description{"features",
                R"(For engines that want to know before they ask: namespaces, capabilities, mount
options, seccomp, cgroups.)"},
    Description{"help", "Without a command: the help of the program."},
    Description{"init", "The runtime's own way into a container; nothing for people to call."},
    Description{"kill",
                R"(The signal is a name (TERM, SIGTERM, sigterm, RTMIN+3) or a number; 0 only asks
whether the container runs.)"},
    Description{"list", R"(Those whose state is in the directory of the global flag --root.)"},
    Description{"pause",
                R"(All processes of the container, and those started in it later, stand still until
`resume`.)"},
    Description{"ps", R"(As the host sees them: user ids and process ids of the host.)"},
    Description{"restore", R"(Not supported, like `checkpoint`.)"},
    Description{"resume", "The counterpart of `pause`."},
    Description{"run", R"(`create`, `start`, and unless detached the wait for the program's end and
`delete`. It ends with the program's exit status, or 128 + the signal that
killed it; signals that it gets are passed on to the program.)"},
    Description{"spec",
                R"(Writes the config.json of a container with a shell. What makes it a machine is
added when it is created.)"},
    Description{"start", R"(The program of a created container begins to run, in the background.)"},
    Description{"state",
                R"(As the OCI runtime specification has it, with the root file system, the time of
creation and the annotations.)"},
    Description{"update",
                R"(From a file with `linux.resources` of a config.json, or by single flags.)"},
};
static_assert(std::is_sorted(kDescriptions.begin(), kDescriptions.end(),
                             [](const Description& a, const Description& b) {
                               return a.command < b.command;
                             }));

std::string_view description_of(std::string_view command) {
  const auto* found =
      std::find_if(kDescriptions.begin(), kDescriptions.end(),
                   [command](const Description& row) { return row.command == command; });
  return found != kDescriptions.end() ? found->text : "";
}

std::string indented(std::string_view text) {
  std::string out = "   ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "   ";
  }
  return out;
}

std::string section(std::string_view title, const std::string& text) {
  return text.empty() ? "" : join("\n", title, ":\n", text, "\n");
}

}  // namespace

std::string help_text(const HelpPage& page) {
  const bool of_program = page.command.empty();
  const std::string name = of_program ? "sysbox-runc" : join("sysbox-runc ", page.command);
  const std::string usage =
      of_program
          ? join(name, " [global options] command [command options] [arguments...]")
          : join(name, " [command options]", page.arguments.empty() ? "" : " ", page.arguments);
  return join("NAME:\n   ", name, " - ", page.summary, "\n", section("USAGE", "   " + usage),
              section("DESCRIPTION", indented(description_of(page.command))),
              section("COMMANDS", page.commands),
              section(of_program ? "GLOBAL OPTIONS" : "OPTIONS", page.options));
}

}  // namespace sysbox::runc
