#include "common/log.h"

#include <gtest/gtest.h>

#include <thread>

#include "common/syscalls.h"

namespace sysbox::log {
namespace {

TEST(LogLine, JsonIsWhatEnginesParse) {
  EXPECT_EQ(format_line(Format::kJson, Level::kError, "", "no \"rootfs\"", 0),
            R"({"level":"error","msg":"no \"rootfs\"","time":"1970-01-01T00:00:00Z"})");
}

TEST(LogLine, TextIsRuncs) {
  EXPECT_EQ(format_line(Format::kText, Level::kWarning, "", "a \"b\"", 0),
            "time=\"1970-01-01T00:00:00Z\" level=warning msg=\"a \\\"b\\\"\"");
}

TEST(LogLine, JournalCarriesPriorityAndContainer) {
  EXPECT_EQ(format_line(Format::kJournal, Level::kInfo, "web1", "started", 0), "<6>[web1] started");
}

TEST(LogLine, ControlBytesCannotForgeALine) {
  EXPECT_EQ(format_line(Format::kJournal, Level::kError, "", "x\n<3>forged\x1b[2J", 0),
            "<3>x <3>forged [2J");
}

TEST(LogLine, BytesThatAreNoUtf8AreReplaced) {
  EXPECT_NE(format_line(Format::kJson, Level::kError, "", "\xff", 0).find("\xef\xbf\xbd"),
            std::string::npos);
}

TEST(ContainerScope, EndsWithItsBlockAndIsTheThreadsOwn) {
  auto [reader, writer] = sys::pipe().value();
  set_output(sys::duplicate(writer.get()).value());
  set_format(Format::kJournal);
  {
    const ContainerScope outer("one");
    {
      const ContainerScope inner("two");
      info("a");
    }
    std::thread([] { info("b"); }).join();
    info("c");
  }
  info("d");
  set_output(UniqueFd(STDERR_FILENO));
  set_format(Format::kText);
  writer.reset();
  EXPECT_EQ(sys::read_all(reader.get()).value(), "<6>[two] a\n<6>b\n<6>[one] c\n<6>d\n");
}

}  // namespace
}  // namespace sysbox::log
