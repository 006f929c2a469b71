#include <gtest/gtest.h>

#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::testing {
namespace {

struct Row {
  const char* name;
  std::string options;
  std::optional<std::string> changed;
};

class OverlayOptions : public ::testing::TestWithParam<Row> {};

TEST_P(OverlayOptions, AskForMarksOfTheUser) {
  EXPECT_EQ(seccomp::overlay_options_for_user(GetParam().options), GetParam().changed);
}

INSTANTIATE_TEST_SUITE_P(
    Table, OverlayOptions,
    ::testing::Values(
        Row{"Plain", "lowerdir=a:b", "lowerdir=a:b,userxattr"},
        Row{"Writable", "lowerdir=a,upperdir=b,workdir=c",
            "lowerdir=a,upperdir=b,workdir=c,userxattr"},
        Row{"None", "", "userxattr"}, Row{"EmptyWords", ",lowerdir=a,,", "lowerdir=a,userxattr"},
        Row{"AskedFor", "userxattr,lowerdir=a", std::nullopt},
        Row{"AskedForLast", "lowerdir=a,userxattr", std::nullopt},
        Row{"NoWordOfItsOwn", "lowerdir=a\\,userxattr", "lowerdir=a\\,userxattr,userxattr"},
        Row{"BackslashAtTheEnd", "lowerdir=a\\", std::nullopt},
        Row{"BackslashItself", "lowerdir=a\\\\,userxattr", std::nullopt},
        Row{"NoRedirects", "redirect_dir=off,lowerdir=a", "lowerdir=a,userxattr"},
        Row{"RedirectsNotFollowed", "redirect_dir=nofollow", "redirect_dir=nofollow,userxattr"},
        Row{"Redirects", "lowerdir=a,redirect_dir=on", std::nullopt},
        Row{"RedirectsFollowed", "lowerdir=a,redirect_dir=follow", std::nullopt},
        Row{"Metacopy", "lowerdir=a,metacopy=on", std::nullopt},
        Row{"NoMetacopy", "metacopy=off", "metacopy=off,userxattr"},
        Row{"ThatJustFit", std::string(4085, 'a'), std::string(4085, 'a') + ",userxattr"},
        Row{"ThatDoNotFit", std::string(4086, 'a'), std::nullopt}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace sysbox::testing
