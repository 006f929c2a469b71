#include "fs-emulator/container_history.h"

#include <gtest/gtest.h>

#include <random>

namespace sysbox::fs {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(CpuHistory, SpreadsUseAndIdlesTheRest) {
  CpuHistory history;
  const CpuTable table = history.update({10 * kSecond, 4 * kSecond, 2 * kSecond, 2});
  ASSERT_EQ(table.cpus.size(), 2U);
  EXPECT_EQ(table.cpus[0].user_ns, 2 * kSecond);
  EXPECT_EQ(table.cpus[1].system_ns, 1 * kSecond);
  EXPECT_EQ(table.cpus[0].idle_ns, 7 * kSecond);
  EXPECT_EQ(table.total.idle_ns, 14 * kSecond);
}

TEST(CpuHistory, NeverGoesBackWhateverComes) {
  std::minstd_rand random(1);
  CpuHistory history;
  CpuTable before = history.update({});
  for (int i = 0; i < 2000; ++i) {
    const CpuSample sample{random() % 100 * kSecond, random() % 100 * kSecond,
                           random() % 100 * kSecond, random() % 5};
    const CpuTable after = history.update(sample);
    EXPECT_GE(after.total.user_ns, before.total.user_ns);
    EXPECT_GE(after.total.system_ns, before.total.system_ns);
    EXPECT_GE(after.total.idle_ns, before.total.idle_ns);
    for (std::size_t cpu = 0; cpu < std::min(after.cpus.size(), before.cpus.size()); ++cpu) {
      EXPECT_GE(after.cpus[cpu].user_ns, before.cpus[cpu].user_ns);
      EXPECT_GE(after.cpus[cpu].idle_ns, before.cpus[cpu].idle_ns);
    }
    before = after;
  }
}

TEST(CpuHistory, ABusyCpuIsNeverIdleHoweverOftenItIsLookedAt) {
  CpuHistory history;
  CpuTable table;
  constexpr std::uint64_t kMs = kSecond / 1000;
  // What is used comes in ticks of 4 ms; a reader looks each millisecond.
  for (std::uint64_t ms = 1; ms <= 10'000; ++ms) {
    table = history.update({ms * kMs, ms / 4 * 4 * kMs, 0, 1});
  }
  EXPECT_LE(table.total.idle_ns, 4 * kMs);
  EXPECT_EQ(table.total.user_ns, 10 * kSecond);
}

TEST(CpuHistory, DoesNotMakeUpForCpusThatAreGone) {
  CpuHistory history;
  // Four cpus were busy for an hour; at the moment of the first look one is left.
  history.update({3600 * kSecond, 4 * 3600 * kSecond, 0, 1});
  const CpuTable table = history.update({3610 * kSecond, 4 * 3600 * kSecond, 0, 1});
  EXPECT_GE(table.total.idle_ns, 9 * kSecond);
}

TEST(ContainerHistory, ContextSwitchesNeverGoBack) {
  ContainerHistory history;
  TaskCensus census;
  for (const std::uint64_t seen : {100U, 150U, 20U, 30U}) {
    census.context_switches = seen;
    history.take_in(census);
  }
  EXPECT_EQ(history.context_switches, 160U);
}

TEST(CpuHistory, ACpuThatComesBackGoesOnWhereItWas) {
  CpuHistory history;
  history.update({10 * kSecond, 4 * kSecond, 0, 2});
  history.update({20 * kSecond, 6 * kSecond, 0, 1});
  const CpuTable table = history.update({30 * kSecond, 8 * kSecond, 0, 2});
  EXPECT_EQ(table.cpus[1].user_ns, 3 * kSecond);
}

TEST(LoadAverage, ApproachesWhatIsBusy) {
  LoadAverage load;
  load.update(0, 0, 0);
  // Two cpus' worth for an hour, without a reader.
  load.update(3600 * kSecond, 7200 * kSecond, 2);
  for (const double average : load.averages()) EXPECT_NEAR(average, 2.0, 0.1);
  load.update(3660 * kSecond, 7200 * kSecond, 0);
  EXPECT_NEAR(load.averages()[0], 2.0 / 2.718, 0.05);
  EXPECT_GT(load.averages()[2], 1.8);
}

TEST(LoadAverage, QueueCountsWhenLookedAtOften) {
  LoadAverage load;
  for (std::uint64_t second = 0; second <= 600; second += 5) {
    load.update(second * kSecond, second * kSecond, 8);  // one cpu busy, eight want it
  }
  EXPECT_NEAR(load.averages()[0], 8.0, 0.1);
}

TEST(LoadAverage, CountsTasksEveryFiveSecondsAtMost) {
  LoadAverage load;
  EXPECT_TRUE(load.wants_count(0));
  load.update(10 * kSecond, 0, 0);
  EXPECT_FALSE(load.wants_count(14 * kSecond));
  EXPECT_TRUE(load.wants_count(15 * kSecond));
}

TEST(ContainerHistory, KeepsTheContainersOwnHistoryAmongManyCgroups) {
  ContainerHistory history;
  history.cpu_history("").update({10 * kSecond, 4 * kSecond, 0, 1});
  for (int i = 0; i < 1000; ++i) history.cpu_history("/nested" + std::to_string(i));
  EXPECT_EQ(history.cpu_history("").update({10 * kSecond, 0, 0, 1}).total.user_ns, 4 * kSecond);
}

TEST(ContainerHistory, ALaterProcessGoesOnWhereThisOneWas) {
  ContainerHistory history;
  history.load.update(1'000'000'000, 0, 3);
  history.load.update(7'000'000'000, 1'000'000'000, 3);
  history.take_in({5, 2, 1, 77, 1000});
  EXPECT_TRUE(history.has_changed());
  // More than the cpu has: what a new history would make of the same use is less.
  CpuHistory& own = history.cpu_history("");
  own.update({1'000'000'000, 5'000'000'000, 0, 2});
  const CpuTable before = own.update({1'100'000'000, 5'000'000'000, 0, 1});
  history.cpu_history("/inner").update({1'000'000'000, 10, 20, 4});
  const std::string saved = history.save();
  EXPECT_FALSE(history.has_changed());

  ContainerHistory later;
  ASSERT_TRUE(later.load_saved(saved));
  EXPECT_EQ(later.load.averages(), history.load.averages());
  EXPECT_EQ(later.census.context_switches, 1000U);
  EXPECT_EQ(later.last_pid, 77U);
  const CpuTable after = later.cpu_history("").update({1'100'000'000, 5'000'000'000, 0, 1});
  EXPECT_EQ(after.total.user_ns, before.total.user_ns);
  EXPECT_EQ(after.total.idle_ns, before.total.idle_ns);
  EXPECT_EQ(after.cpus.size(), 1U);
  EXPECT_EQ(later.cpu_history("/inner").update({1'000'000'000, 10, 20, 4}).cpus.size(), 4U);
}

TEST(ContainerHistory, WhatIsDamagedLeavesANewOne) {
  ContainerHistory history;
  history.cpu_history("/a").update({1'000'000'000, 10, 20, 4});
  const std::string saved = history.save();
  for (const std::string& bad : {saved.substr(1), saved + "x", saved.substr(0, 100),
                                 std::string(300, '\xff'), std::string("x")}) {
    ContainerHistory later;
    EXPECT_FALSE(later.load_saved(bad));
    EXPECT_EQ(later.last_pid, 0U);
    EXPECT_EQ(later.cpu_history("/a").update({}).total.user_ns, 0U);
  }
}

}  // namespace
}  // namespace sysbox::fs
