#include "runc-ext/system_container/init_program.h"

#include "tests/unit/runc-ext/image_fixture.h"

namespace sysbox::runc {
namespace {

class InitProgram : public ImageTest {
 protected:
  bool is_systemd(const std::vector<std::string>& args, const std::vector<std::string>& env = {}) {
    OciProcess process;
    process.args = args;
    process.env = env;
    process.cwd = "/opt";
    return runs_systemd(process, *rootfs_);
  }
};

TEST_F(InitProgram, SystemdIsFoundThroughLinks) {
  add_systemd();
  add_link("/init", "sbin/../sbin/init");
  add_link("/opt/start", "../init");
  add_link("/usr/sbin/init", "../lib/systemd/systemd");
  for (const char* path : {"/sbin/init", "/usr/sbin/init", "/lib/systemd/systemd",
                           "/usr/lib/systemd/systemd", "/init", "./start", "init"}) {
    EXPECT_TRUE(is_systemd({path, "--log-level=debug"})) << path;
  }
  EXPECT_TRUE(is_systemd({"start"}, {"PATH=/bin", "PATH=/bin:/opt"})) << "by the last PATH";
  EXPECT_FALSE(is_systemd({"init"}, {"PATH=/bin:/opt"}));
}

TEST_F(InitProgram, OtherProgramsAreNotSystemd) {
  add_systemd();
  add_file("/bin/sh");
  add_file("/usr/lib/systemd/systemd-journald");
  add_file("/usr/bin/mysystemd");
  add_link("/loop", "/loop2");
  add_link("/loop2", "/loop");
  add_link("/broken", "/none/systemd");
  add_directory("/etc/systemd");
  for (const char* program :
       {"/bin/sh", "/usr/lib/systemd/systemd-journald", "/usr/bin/mysystemd", "/loop", "/broken",
        "/etc/systemd", "/none", "sh", "", "/", "/bin/sh/systemd", "systemd"}) {
    EXPECT_FALSE(is_systemd({program})) << program;
  }
  EXPECT_FALSE(is_systemd({}));
}

TEST_F(InitProgram, OtherInitsAreNotSystemd) {
  add_file("/bin/busybox");
  add_link("/sbin/init", "/bin/busybox");
  EXPECT_FALSE(is_systemd({"/sbin/init"}));
  add_file("/lib/sysvinit/init");
  add_link("/usr/sbin/init", "/lib/sysvinit/init");
  EXPECT_FALSE(is_systemd({"/usr/sbin/init"}));
}

TEST_F(InitProgram, EntrypointsThatEndInSystemd) {
  add_systemd();
  add_file("/entrypoint.sh");
  add_file("/bin/sh");
  add_file("/usr/bin/tini");
  add_file("/bin/true");
  EXPECT_TRUE(is_systemd({"/entrypoint.sh", "/sbin/init"}));
  EXPECT_TRUE(is_systemd({"/entrypoint.sh", "/sbin/init", "--log-target=journal", "3"}));
  EXPECT_TRUE(is_systemd({"tini", "-g", "--", "/lib/systemd/systemd"}));
  EXPECT_TRUE(is_systemd({"/bin/sh", "-c", "mount -a; exec /sbin/init --log-level=err"}));
  EXPECT_FALSE(is_systemd({"/entrypoint.sh", "/bin/true"}));
  EXPECT_FALSE(is_systemd({"/entrypoint.sh", "/sbin/init", "/bin/true"}));
  EXPECT_FALSE(is_systemd({"/entrypoint.sh", "init"})) << "a word like any other";
  EXPECT_FALSE(is_systemd({"/bin/sh", "-c", "exec /sbin/init; exec /bin/true"}));
  EXPECT_FALSE(is_systemd({"/bin/sh", "-c", "ls -l /sbin/init"}));
}

TEST_F(InitProgram, LinksStayInsideTheImage) {
  // Outside, this name exists and is systemd's; inside the image it is nothing.
  const ScratchDirectory outside;
  const std::string program = outside / "systemd";
  std::ofstream(program) << "x";
  add_link("/absolute", program);
  add_link("/climbing", "../../../../../../../.." + program);
  for (const std::string& path : {std::string("/absolute"), std::string("/climbing"), program}) {
    EXPECT_FALSE(is_systemd({path})) << path;
  }
}

TEST_F(InitProgram, ReleaseOfSystemdByItsLibrary) {
  EXPECT_EQ(systemd_release(*rootfs_), std::nullopt);
  add_file("/usr/lib/systemd/libsystemd-shared-.so");
  add_file("/usr/lib/systemd/libsystemd-shared-x258.so");
  EXPECT_EQ(systemd_release(*rootfs_), std::nullopt);
  add_file("/usr/lib/systemd/libsystemd-shared-252.so");
  EXPECT_EQ(systemd_release(*rootfs_), 252);
  add_file("/usr/lib/aarch64-linux-gnu/systemd/libsystemd-shared-258.1-1~deb14u1.so");
  EXPECT_EQ(systemd_release(*rootfs_), 258);
}

TEST_F(InitProgram, PathsAreResolvedAsFarAsTheyExist) {
  add_directory("/run");
  add_link("/var/run", "/run");
  add_link("/var/lock", "../run/lock");
  add_link("/etc/resolv.conf", "../run/resolve/stub.conf");
  add_link("/up", "../../..");
  add_link("/self", "self");
  EXPECT_EQ(resolved_path(*rootfs_, "/"), "/");
  EXPECT_EQ(resolved_path(*rootfs_, "/run/x/y"), "/run/x/y");
  EXPECT_EQ(resolved_path(*rootfs_, "/var/run/secrets/token"), "/run/secrets/token");
  EXPECT_EQ(resolved_path(*rootfs_, "/var/lock"), "/run/lock");
  EXPECT_EQ(resolved_path(*rootfs_, "/etc/resolv.conf"), "/run/resolve/stub.conf");
  EXPECT_EQ(resolved_path(*rootfs_, "/up/var/run/"), "/run");
  EXPECT_EQ(resolved_path(*rootfs_, "/self/x"), "/self/x") << "a loop is left as it is";
  EXPECT_EQ(resolved_path(*rootfs_, "/none/../var/run"), "/run");
}

}  // namespace
}  // namespace sysbox::runc
