#include "runc-ext/uid_shift/overlay_layers.h"

#include <gtest/gtest.h>

namespace sysbox::runc {
namespace {

using Strings = std::vector<std::string>;

TEST(OverlayLayers, ReadsDockersOptions) {
  const OverlayLayers layers =
      parse_overlay_options(
          "rw,lowerdir=/d/l/A:/d/l/B,upperdir=/d/id/diff,workdir=/d/id/work,index=off", "/base")
          .value();
  EXPECT_EQ(layers.lower, (Strings{"/d/l/A", "/d/l/B"}));
  EXPECT_EQ(layers.upper, "/d/id/diff");
  EXPECT_EQ(layers.work, "/d/id/work");
  EXPECT_EQ(layers.options, (Strings{"index=off"}));
}

TEST(OverlayLayers, RelativeLayersAreBelowTheBase) {
  const OverlayLayers layers =
      parse_overlay_options("ro,lowerdir=l/A:l/B,upperdir=id/diff,workdir=id/work", "/base")
          .value();
  EXPECT_EQ(layers.lower, (Strings{"/base/l/A", "/base/l/B"}));
  EXPECT_EQ(layers.upper, "/base/id/diff");
}

TEST(OverlayLayers, ReadsLayersOneByOne) {
  EXPECT_EQ(parse_overlay_options("rw,lowerdir+=/a,lowerdir+=/b", "/").value().lower,
            (Strings{"/a", "/b"}));
}

TEST(OverlayLayers, EscapedCharactersBelongToNames) {
  // overlayfs writes a colon of a name as "\:", the kernel's mountinfo the backslash as \134.
  EXPECT_EQ(parse_overlay_options("rw,lowerdir=/a\\134:b:/c\\040d", "/").value().lower,
            (Strings{"/a:b", "/c d"}));
}

TEST(OverlayLayers, UpperAndWorkDirectoryMustShareTheirParent) {
  const auto layers = parse_overlay_options("rw,lowerdir=/a,upperdir=/b/u,workdir=/c/w", "/");
  ASSERT_FALSE(layers.ok());
  EXPECT_NE(layers.error().message().find("are not in one directory"), std::string::npos);
}

TEST(OverlayLayers, WithoutLayersIsRefused) {
  EXPECT_FALSE(parse_overlay_options("rw,index=off", "/").ok());
  EXPECT_FALSE(parse_overlay_options("rw,lowerdir+=/a,datadir+=/b", "/").ok());
}

TEST(FindOverlay, AnOrdinaryDirectoryIsNone) {
  EXPECT_FALSE(find_overlay("/proc").value().has_value());
}

TEST(OverlayLayers, ImagesAreMadeOfTheUpperLayerOfRootsOverlaysOnly) {
  OverlayLayers layers =
      parse_overlay_options("lowerdir=/l,upperdir=/c/u,workdir=/c/w", "").value();
  EXPECT_EQ(find_layer_for_images(layers), "/c/u");
  layers.options.emplace_back("userxattr");
  EXPECT_EQ(find_layer_for_images(layers), "");
  EXPECT_EQ(find_layer_for_images(std::nullopt), "");
}

}  // namespace
}  // namespace sysbox::runc
