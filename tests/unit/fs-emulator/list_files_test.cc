#include "fs-emulator/list_files.h"

#include <gtest/gtest.h>

#include "common/syscalls.h"

namespace sysbox::fs {
namespace {

TEST(EmulatedFilesPage, IsWhatTheTablesSay) {
  const Result<std::string> page = sys::read_file(SYSBOX_SOURCE_ROOT "/docs/emulated-files.md");
  ASSERT_TRUE(page.ok()) << page.error().message();
  EXPECT_EQ(page.value(), list_files_as_markdown())
      << "run: sysbox-fs --list-files > docs/emulated-files.md";
}

}  // namespace
}  // namespace sysbox::fs
