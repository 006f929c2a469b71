#include "runc-ext/cli.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/syscalls.h"
#include "runc-ext/commands/signal_names.h"
#include "runc-ext/container/listen_fds.h"
#include "runc-ext/oci/mounts.h"
#include "runc-ext/oci/seccomp.h"
#include "runc-ext/oci/spec.h"
#include "tests/unit/runc-ext/scratch_directory.h"

namespace sysbox::runc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

std::string content(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Runs the command line in a child, for it has one log and one exit.
Outcome run(
    std::vector<std::string> words, const std::function<void()>& prepare = [] {}) {
  const ScratchDirectory scratch;
  const pid_t child = ::fork();
  if (child == 0) {
    const int out = ::open((scratch / "out").c_str(), O_WRONLY | O_CREAT, 0600);
    const int err = ::open((scratch / "err").c_str(), O_WRONLY | O_CREAT, 0600);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    ::close_range(3, ~0U, 0);
    prepare();
    ::_exit(run_command_line(words));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, content(scratch / "out"),
          content(scratch / "err")};
}

// As run(), with an empty state directory.
Outcome run_at(const ScratchDirectory& root, std::vector<std::string> words) {
  words.insert(words.begin(), {"--root", root.path()});
  return run(std::move(words));
}

struct Parsed {
  bool force = false;
  int number = 7;
  std::string bundle = "default";
  std::vector<std::string> env;
  std::vector<std::string> arguments;
  std::string error;
};

Parsed parse(const std::vector<std::string>& words, FlagPlace place = FlagPlace::kAnywhere) {
  Parsed out;
  Flags flags;
  flags.add("--force,-f", out.force, "");
  flags.add("--number", out.number, "");
  flags.add("--bundle,-b", out.bundle, "");
  flags.add("--env,-e", out.env, "");
  Result<std::vector<std::string>> arguments = flags.parse(words, place);
  if (arguments.ok()) {
    out.arguments = std::move(arguments).value();
  } else {
    out.error = arguments.error().message();
  }
  return out;
}

TEST(Flags, TakeValuesInEverySpelling) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"--bundle", "/x"},
                                             {"--bundle=/x"},
                                             {"-b", "/x"},
                                             {"-b=/x"},
                                             {"-bundle", "/x"},
                                             {"-bundle=/x"}}) {
    const Parsed parsed = parse(words);
    EXPECT_EQ(parsed.error, "");
    EXPECT_EQ(parsed.bundle, "/x") << words.front();
    EXPECT_THAT(parsed.arguments, IsEmpty());
  }
}

TEST(Flags, KeepValuesThatLookLikeSyntaxAsTheyAre) {
  for (const char* value : {"", "{}", "[a,b]", "--", "-f", "a=b=c", "\"q\"", "%%", "a b"}) {
    const Parsed parsed = parse({"--bundle", value, "--env", value, "-e", value});
    EXPECT_EQ(parsed.error, "");
    EXPECT_EQ(parsed.bundle, value);
    EXPECT_THAT(parsed.env, ElementsAre(value, value));
    EXPECT_FALSE(parsed.force);
  }
}

TEST(Flags, TakeTheLastOfSeveralSingleValues) {
  EXPECT_EQ(parse({"-b", "1", "-b", "2"}).bundle, "2");
  EXPECT_EQ(parse({"--number=1", "--number=2"}).number, 2);
}

TEST(Flags, TakeTrueAndFalse) {
  EXPECT_TRUE(parse({"--force"}).force);
  EXPECT_TRUE(parse({"-f=true"}).force);
  EXPECT_FALSE(parse({"--force=false"}).force);
}

TEST(Flags, MayFollowArguments) {
  const Parsed parsed = parse({"id", "--force", "-", "-b", "x", "--", "-f"});
  EXPECT_TRUE(parsed.force);
  EXPECT_EQ(parsed.bundle, "x");
  EXPECT_THAT(parsed.arguments, ElementsAre("id", "-", "-f"));
}

TEST(Flags, BeforeArgumentsLeaveTheArgumentsAlone) {
  const Parsed parsed =
      parse({"-f", "id", "ls", "-b", "--unknown", "--"}, FlagPlace::kBeforeArguments);
  EXPECT_EQ(parsed.error, "");
  EXPECT_TRUE(parsed.force);
  EXPECT_EQ(parsed.bundle, "default");
  EXPECT_THAT(parsed.arguments, ElementsAre("id", "ls", "-b", "--unknown", "--"));
}

TEST(Flags, ThatAreWrongAreNamed) {
  EXPECT_EQ(parse({"--bogus=1"}).error, "unknown flag '--bogus'");
  EXPECT_EQ(parse({"id", "-x"}).error, "unknown flag '-x'");
  EXPECT_EQ(parse({"--bundle"}).error, "flag '--bundle' needs a value");
  EXPECT_THAT(parse({"--number", "four"}).error, HasSubstr("--number"));
  EXPECT_THAT(parse({"--number", "99999999999"}).error, HasSubstr("--number"));
  EXPECT_THAT(parse({"--force=maybe"}).error, HasSubstr("force"));
}

TEST(Flags, BesideAWrongOneAreStillTaken) { EXPECT_EQ(parse({"--bogus", "-b", "x"}).bundle, "x"); }

TEST(CommandLine, TellsItsVersionAsRuncDoes) {
  for (const char* flag : {"--version", "-v"}) {
    const Outcome outcome = run({flag});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out,
                MatchesRegex("sysbox-runc version [0-9.]+\ncommit: [0-9a-z]+\nspec: 1\\.2\\.1\n"
                             "libseccomp: [0-9.]+\n"));
  }
}

TEST(CommandLine, ListsItsCommandsOnHelp) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"--help"}, {"-h"}, {}}) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("   create      create a container"));
    EXPECT_THAT(outcome.out, HasSubstr("--log-format"));
  }
}

TEST(CommandLine, ExplainsOneCommandOnHelp) {
  const Outcome outcome = run({"exec", "--help"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, StartsWith("NAME:\n   sysbox-runc exec - "));
  EXPECT_THAT(outcome.out, HasSubstr("sysbox-runc exec [command options] <container-id> "));
  EXPECT_EQ(run({"help", "exec"}).out, outcome.out);
  EXPECT_THAT(outcome.out, HasSubstr("--additional-gids"));
}

struct BadLine {
  const char* name;
  std::vector<std::string> words;
  int code;
  const char* message;
};
class BadLines : public ::testing::TestWithParam<BadLine> {};
TEST_P(BadLines, GiveOneLineOnStandardErrorAndInTheLog) {
  const ScratchDirectory root;
  std::vector<std::string> words = {"--root",     root.path(),    "--log",
                                    root / "log", "--log-format", "json"};
  words.insert(words.end(), GetParam().words.begin(), GetParam().words.end());
  const Outcome outcome = run(words);
  EXPECT_EQ(outcome.code, GetParam().code);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().message));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  const nlohmann::json line = nlohmann::json::parse(content(root / "log"), nullptr, false);
  ASSERT_TRUE(line.is_object()) << content(root / "log");
  EXPECT_EQ(line["level"], "error");
  EXPECT_EQ(line["msg"].get<std::string>() + "\n", outcome.err);
  EXPECT_TRUE(line["time"].is_string());
}
INSTANTIATE_TEST_SUITE_P(
    CommandLine, BadLines,
    ::testing::Values(
        BadLine{"UnknownCommand", {"frobnicate"}, 3, "No help topic for 'frobnicate'"},
        BadLine{"HelpOfUnknownCommand", {"frobnicate", "-h"}, 3, "No help topic for 'frobnicate'"},
        BadLine{"Checkpoint", {"checkpoint", "--image-path", "/x", "x"}, 1, "not supported"},
        BadLine{"Restore", {"restore", "--bundle", "/x", "x"}, 1, "not supported"},
        BadLine{"Init", {"init"}, 1, "internal"},
        BadLine{"UnknownGlobalFlag", {"--bogus", "list"}, 1, "unknown flag '--bogus'"},
        BadLine{"UnknownFlag", {"create", "--bogus", "x"}, 1, "unknown flag '--bogus'"},
        BadLine{"UnknownFlagOfExec",
                {"exec", "--bogus", "x", "ls"},
                255,
                "exec failed: unknown flag '--bogus'"},
        BadLine{"MissingId", {"start"}, 1, "\"start\" requires exactly 1 argument(s), not 0"},
        BadLine{
            "TooMany", {"state", "a", "b"}, 1, "\"state\" requires exactly 1 argument(s), not 2"},
        BadLine{"TooFew", {"exec"}, 255, "\"exec\" requires a minimum of 1 argument(s)"},
        BadLine{"Rootless", {"--rootless=maybe", "list"}, 1, "'maybe' is not true, false"},
        BadLine{"HostRoot", {"--root", "/", "list"}, 1, "--root must not be empty or /"},
        BadLine{"EmptyRoot", {"--root=", "list"}, 1, "--root must not be empty or /"},
        BadLine{"StateOfNobody", {"state", "x"}, 1, "does not exist"},
        BadLine{"StartOfNobody", {"start", "x"}, 1, "does not exist"},
        BadLine{"KillOfNobody", {"kill", "x", "9"}, 1, "does not exist"},
        BadLine{"DeleteOfNobody", {"delete", "x"}, 1, "does not exist"},
        BadLine{"PauseOfNobody", {"pause", "x"}, 1, "does not exist"},
        BadLine{"ExecOfNobody", {"exec", "x", "ls"}, 255, "does not exist"},
        BadLine{"BadId", {"delete", "--force", "../x"}, 1, "invalid container ID format"},
        BadLine{"BadSignal", {"kill", "x", "FOO"}, 1, "unknown signal 'FOO'"},
        BadLine{"BadFormat", {"list", "-f", "xml"}, 1, "unknown format 'xml'"},
        BadLine{"NoBundle", {"create", "--bundle", "/does/not/exist", "x"}, 1, "/does/not/exist"},
        BadLine{"NoDescriptor", {"run", "--preserve-fds", "1", "x"}, 1, "descriptor 3 is not open"},
        BadLine{"NegativeDescriptors", {"run", "--preserve-fds=-1", "x"}, 1, "--preserve-fds"},
        BadLine{"ExecCgroupOutside",
                {"exec", "--cgroup", "a/../..", "x", "ls"},
                255,
                "a/../.. is not a sub cgroup path"},
        BadLine{"ExecCgroupWithoutController",
                {"exec", "--cgroup", "cpu:a", "--cgroup", "b", "x", "ls"},
                255,
                "b (missing <controller>: prefix)"},
        BadLine{"ExecCgroupTwice",
                {"exec", "--cgroup", "cpu,pids:a", "--cgroup", "cpu:b", "x", "ls"},
                255,
                "controller cpu specified multiple times"},
        BadLine{"UpdateBadFlag", {"update", "--memory", "x", "y"}, 1, "invalid value for memory"}),
    [](const auto& row) { return row.param.name; });

TEST(CommandLine, WithoutALogFileLogsToStandardErrorOnce) {
  const Outcome outcome = run({"frobnicate"});
  EXPECT_THAT(outcome.err, StartsWith("time=\""));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
}

TEST(CommandLine, AppendsToItsLog) {
  const ScratchDirectory scratch;
  for (int i = 0; i < 2; ++i) run({"--log", scratch / "log", "frobnicate"});
  const std::string log = content(scratch / "log");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 2);
}

TEST(CommandLine, WithALogThatCannotBeWrittenSaysSo) {
  const Outcome outcome = run({"--log", "/does/not/exist/log", "list"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("/does/not/exist/log"));
}

TEST(CommandLine, AcceptsWhatEnginesAlwaysPass) {
  const ScratchDirectory root;
  const Outcome outcome = run({"--root", root.path(), "--criu", "/usr/bin/criu", "--rootless=auto",
                               "--debug", "--log-format=text", "list", "--quiet"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

TEST(CommandLine, RefusesWorkForOthersThanRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  const Outcome outcome = run({"create", "x"}, [] { static_cast<void>(::setresuid(1, 1, 1)); });
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("'create' must be run as root"));
}

TEST(DeleteCommand, ForcedOnAnUnknownContainerIsContent) {
  const ScratchDirectory root;
  const Outcome outcome = run_at(root, {"delete", "x", "--force"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err, "");
}

TEST(ListCommand, WithoutContainersPrintsWhatRuncPrints) {
  const ScratchDirectory root;
  EXPECT_EQ(run_at(root, {"list"}).out,
            "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
  EXPECT_EQ(run_at(root, {"list", "--format=json"}).out, "null\n");
  EXPECT_EQ(run_at(root, {"list", "-q"}).out, "");
}

// A container whose process has ended, as a crash of the host's engine leaves it.
void leave_stopped_container(const ScratchDirectory& root) {
  ContainerRecord record;
  record.id = "a-container-of-some-length";
  record.oci_version = "1.2.0";
  record.bundle = "/b";
  record.rootfs = "/b/rootfs";
  record.created = "2024-01-02T03:04:05.6Z";
  record.process.args = {"sh"};
  record.process.cwd = "/";
  const Result<StateDir> directory = StateDir::create(root.path(), record.id);
  ASSERT_TRUE(directory.ok());
  ASSERT_TRUE(directory.value().save(record).ok());
}

TEST(ListCommand, ShowsAStoppedContainer) {
  const ScratchDirectory root;
  leave_stopped_container(root);
  const Outcome table = run_at(root, {"list"});
  EXPECT_THAT(table.out, HasSubstr("\na-container-of-some-length   0           stopped     /b"
                                   "          2024-01-02T03:04:05.6Z   "));
  const nlohmann::json json = nlohmann::json::parse(run_at(root, {"list", "-f", "json"}).out);
  ASSERT_EQ(json.size(), 1U);
  EXPECT_EQ(json[0]["status"], "stopped");
  EXPECT_EQ(json[0]["pid"], 0);
  EXPECT_NE(json[0]["owner"], "");
}

TEST(ListCommand, LeavesOutWhatIsDamagedAndSaysSo) {
  const ScratchDirectory root;
  leave_stopped_container(root);
  ASSERT_TRUE(StateDir::create(root.path(), "damaged").ok());
  const Outcome outcome = run_at(root, {"list", "-q"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "a-container-of-some-length\n");
  EXPECT_THAT(outcome.err, HasSubstr("delete --force damaged"));
}

TEST(StateCommand, PrintsTheStateOfAStoppedContainer) {
  const ScratchDirectory root;
  leave_stopped_container(root);
  const Outcome outcome = run_at(root, {"state", "a-container-of-some-length"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json state = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(state["ociVersion"], "1.2.0");
  EXPECT_EQ(state["status"], "stopped");
  EXPECT_EQ(state["bundle"], "/b");
}

// The words that engines look for in errors.
TEST(Commands, OnAStoppedContainerFailInRuncsWords) {
  const ScratchDirectory root;
  leave_stopped_container(root);
  const std::string id = "a-container-of-some-length";
  EXPECT_THAT(run_at(root, {"kill", id}).err, HasSubstr("container not running"));
  EXPECT_THAT(run_at(root, {"start", id}).err,
              HasSubstr("cannot start a container that has stopped"));
  EXPECT_THAT(run_at(root, {"exec", id, "ls"}).err,
              HasSubstr("cannot exec in a stopped container"));
  EXPECT_THAT(run_at(root, {"pause", id}).err, HasSubstr("container not running"));
  EXPECT_THAT(run_at(root, {"resume", id}).err, HasSubstr("container not paused"));
}

TEST(ExecCommand, RefusesWhatItCannotRun) {
  const ScratchDirectory root;
  leave_stopped_container(root);
  const std::string id = "a-container-of-some-length";
  EXPECT_THAT(run_at(root, {"exec", id}).err, HasSubstr("exec args cannot be empty"));
  EXPECT_THAT(run_at(root, {"exec", id, "--"}).err, HasSubstr("exec args cannot be empty"));
  EXPECT_THAT(run_at(root, {"exec", "-u", "root", id, "ls"}).err,
              HasSubstr("'root' is not a number"));
  EXPECT_THAT(run_at(root, {"exec", "-u", "1:x", id, "ls"}).err, HasSubstr("'x' is not a number"));
  EXPECT_THAT(run_at(root, {"exec", "--cwd", "tmp", id, "ls"}).err, HasSubstr("absolute path"));
  EXPECT_THAT(run_at(root, {"exec", "--cap", "CAP_X", id, "ls"}).err, HasSubstr("'CAP_X'"));
  EXPECT_THAT(run_at(root, {"exec", "-t", "-d", id, "ls"}).err,
              HasSubstr("cannot allocate tty if runc will detach without setting console socket"));
}

TEST(ExecCommand, NamesAProcessFilesMistake) {
  const ScratchDirectory root;
  std::ofstream(root / "p.json") << R"({"args": ["ls"], "cwd": 5})";
  const Outcome outcome = run_at(root, {"exec", "--process", root / "p.json", "x"});
  EXPECT_EQ(outcome.code, 255);
  EXPECT_THAT(outcome.err, HasSubstr("p.json"));
  EXPECT_THAT(outcome.err, HasSubstr("cwd"));
}

TEST(SpecCommand, WritesAConfigurationThatWeTake) {
  const ScratchDirectory bundle;
  ASSERT_EQ(run({"spec", "--bundle", bundle.path()}).code, 0);
  const Result<OciSpec> spec = parse_spec(content(bundle / "config.json"));
  ASSERT_TRUE(spec.ok()) << spec.error().message();
  EXPECT_THAT(spec.value().process->args, ElementsAre("sh"));
  EXPECT_TRUE(spec.value().process->terminal);
}

TEST(SpecCommand, LeavesAnExistingConfigurationAlone) {
  const ScratchDirectory bundle;
  std::ofstream(bundle / "config.json") << "mine";
  const Outcome outcome = run({"spec", "-b", bundle.path()});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("config.json exists"));
  EXPECT_EQ(content(bundle / "config.json"), "mine");
}

nlohmann::json features() { return nlohmann::json::parse(run({"features"}).out); }

TEST(FeaturesCommand, TellsWhatContainerdAsksFor) {
  const nlohmann::json json = features();
  EXPECT_EQ(json["ociVersionMin"], "1.0.0");
  EXPECT_THAT(json["linux"]["namespaces"], ::testing::Contains("user"));
  EXPECT_THAT(json["linux"]["capabilities"], ::testing::Contains("CAP_SYS_ADMIN"));
  EXPECT_EQ(json["linux"]["mountExtensions"]["idmap"]["enabled"], true);
  EXPECT_EQ(json["linux"]["cgroup"]["systemd"], true);
}

TEST(FeaturesCommand, PromisesOnlyMountOptionsThatAreOptions) {
  const nlohmann::json words = features()["mountOptions"];
  ASSERT_GT(words.size(), 40U);
  EXPECT_TRUE(std::is_sorted(words.begin(), words.end()));
  for (const std::string word : words) {
    if (word == "sync" || word == "async" || word == "dirsync" || word == "lazytime" ||
        word == "nolazytime") {
      continue;  // for the superblock: the file system gets them
    }
    OciMount mount;
    apply_mount_option(mount, word);
    EXPECT_THAT(mount.data, IsEmpty()) << word << " is taken for a file system's option";
  }
}

TEST(FeaturesCommand, PromisesOnlySeccompWordsThatTheParserTakes) {
  const nlohmann::json seccomp = features()["linux"]["seccomp"];
  for (const auto& action : seccomp["actions"]) {
    for (const auto& op : seccomp["operators"]) {
      const nlohmann::json profile = {{"defaultAction", action},
                                      {"architectures", seccomp["archs"]},
                                      {"flags", seccomp["knownFlags"]},
                                      {"syscalls",
                                       {{{"names", {"read"}},
                                         {"action", action},
                                         {"args", {{{"index", 0}, {"value", 1}, {"op", op}}}}}}}};
      const auto parsed = parse_seccomp(profile, "seccomp");
      EXPECT_TRUE(parsed.ok()) << parsed.error().message();
    }
  }
}

TEST(Signal, IsKnownByNumberAndByEverySpellingOfItsName) {
  const std::vector<std::pair<std::string, int>> known = {
      {"9", SIGKILL},
      {"KILL", SIGKILL},
      {"SIGKILL", SIGKILL},
      {"sigkill", SIGKILL},
      {"term", SIGTERM},
      {"0", 0},
      {"WINCH", SIGWINCH},
      {"IOT", SIGABRT},
      {"RTMIN", SIGRTMIN},
      {"RTMIN+3", SIGRTMIN + 3},
      {"SIGRTMIN+14", SIGRTMIN + 14},
      {"RTMAX-1", SIGRTMAX - 1},
      {"37", 37},
  };
  for (const auto& [text, number] : known) {
    const Result<int> signal = parse_signal(text);
    ASSERT_TRUE(signal.ok()) << text;
    EXPECT_EQ(signal.value(), number) << text;
  }
}

TEST(Signal, ThatDoesNotExistIsRefused) {
  for (const char* text : {"", "FOO", "SIG", "-1", "65", "999", "9x", " 9", "RTMIN+99", "RTMIN-1",
                           "RTMAX+1", "RTMIN+", "SIGSIGKILL"}) {
    EXPECT_FALSE(parse_signal(text).ok()) << text;
  }
}

TEST(ListenFds, AreTakenOnlyIfMeantForUs) {
  ::setenv("LISTEN_FDS", "2", 1);
  ::setenv("LISTEN_PID", std::to_string(::getpid() + 1).c_str(), 1);
  EXPECT_EQ(find_listen_fds().count, 0);
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  const ListenFds found = find_listen_fds();
  ::unsetenv("LISTEN_PID");
  ::unsetenv("LISTEN_FDS");
  EXPECT_EQ(found.count, 2);
  EXPECT_THAT(found.env, ElementsAre("LISTEN_FDS=2", "LISTEN_PID=1"));
}

}  // namespace
}  // namespace sysbox::runc
