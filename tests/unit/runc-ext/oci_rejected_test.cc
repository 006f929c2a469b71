// Every mistake in a config.json is refused, with its place and what was wrong in one line.

#include <gtest/gtest.h>

#include "tests/unit/runc-ext/spec_fixtures.h"

namespace sysbox::runc {
namespace {

// A change to the small spec (see changed_spec()), and the message it must give.
struct Mistake {
  const char* name;
  const char* pointer;
  const char* value;
  const char* message;
};
void PrintTo(const Mistake& row, std::ostream* out) { *out << row.name; }

class RejectedSpecs : public testing::TestWithParam<Mistake> {};

TEST_P(RejectedSpecs, NameThePlaceAndTheCause) {
  const Mistake& row = GetParam();
  const Result<OciSpec> spec = parse_spec(changed_spec(row.pointer, row.value).dump());
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.error().message(), row.message);
  EXPECT_EQ(spec.error().code(), EINVAL);
}

std::string name_of(const testing::TestParamInfo<Mistake>& row) { return row.param.name; }

INSTANTIATE_TEST_SUITE_P(
    Whole, RejectedSpecs,
    testing::Values(
        Mistake{"NoVersion", "/ociVersion", "", "ociVersion: is missing"},
        Mistake{"Version2", "/ociVersion", R"("2.0.0")",
                "ociVersion: '2.0.0' is not a version 1.x"},
        Mistake{"VersionNumber", "/ociVersion", "1.0",
                "ociVersion: expected a string, found the number 1.0"},
        Mistake{"NoRoot", "/root", "", "root: is missing"},
        Mistake{"NoRootPath", "/root", "{}", "root.path: is missing"},
        Mistake{"EmptyRootPath", "/root/path", R"("")", "root.path: is empty"},
        Mistake{"NulInRootPath", "/root/path", R"("a\u0000b")", "root.path: holds a NUL character"},
        Mistake{"LongHostName", "/hostname",
                R"("0123456789012345678901234567890123456789012345678901234567890123456789")",
                "hostname: is longer than 64 bytes"},
        Mistake{"Annotations", "/annotations", R"({"a": 1})",
                "annotations.a: expected a string, found the number 1"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Process, RejectedSpecs,
    testing::Values(
        Mistake{"Array", "/process", "[]", "process: expected an object, found an array"},
        Mistake{"NoArgs", "/process/args", "", "process.args: is missing"},
        Mistake{"EmptyArgs", "/process/args", "[]",
                "process.args: is empty: there is nothing to run"},
        Mistake{"NoCwd", "/process/cwd", "", "process.cwd: is missing"},
        Mistake{"RelativeCwd", "/process/cwd", R"("tmp")",
                "process.cwd: 'tmp' is not an absolute path"},
        Mistake{"NegativeUid", "/process/user", R"({"uid": -1})",
                "process.user.uid: expected a whole number between 0 and 4294967295, found the "
                "number -1"},
        Mistake{"NoUid", "/process/user", R"({"uid": 4294967295})",
                "process.user.uid: 4294967295 is not a user id"},
        Mistake{"NoGid", "/process/user", R"({"gid": 4294967295})",
                "process.user.gid: 4294967295 is not a group id"},
        Mistake{"Umask", "/process/user", R"({"umask": 512})",
                "process.user.umask: 512 is above 0777 (511)"},
        Mistake{"ConsoleSize", "/process/consoleSize", R"({"height": 70000})",
                "process.consoleSize.height: expected a whole number between 0 and 65535, found "
                "the number 70000"},
        Mistake{"EnvWithoutValue", "/process/env", R"(["A=1", "B"])",
                "process.env[1]: 'B' is not NAME=VALUE"},
        Mistake{"EnvWithoutName", "/process/env", R"(["=1"])",
                "process.env[0]: '=1' is not NAME=VALUE"},
        Mistake{"Capabilities", "/process/capabilities", R"({"bounding": "CAP_CHOWN"})",
                "process.capabilities.bounding: expected an array, found a string"},
        Mistake{"UnknownRlimit", "/process/rlimits",
                R"([{"type": "NOFILE", "soft": 1, "hard": 1}])",
                "process.rlimits[0].type: 'NOFILE' is not a resource limit"},
        Mistake{"RlimitTwice", "/process/rlimits",
                R"([{"type": "RLIMIT_CPU", "soft": 1, "hard": 1},
                    {"type": "RLIMIT_CPU", "soft": 2, "hard": 2}])",
                "process.rlimits[1].type: 'RLIMIT_CPU' is listed twice"},
        Mistake{"SoftAboveHard", "/process/rlimits",
                R"([{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}])",
                "process.rlimits[0].soft: 2 is above the hard limit, 1"},
        Mistake{"OomScore", "/process/oomScoreAdj", "-1001",
                "process.oomScoreAdj: -1001 is not between -1000 and 1000"},
        Mistake{"SchedulerPolicy", "/process/scheduler", R"({"policy": "SCHED_FAIR"})",
                "process.scheduler.policy: 'SCHED_FAIR' is not a scheduling policy"},
        Mistake{"SchedulerWithoutPolicy", "/process/scheduler", R"({"nice": 1})",
                "process.scheduler.policy: is missing"},
        Mistake{"SchedulerFlag", "/process/scheduler",
                R"({"policy": "SCHED_RR", "flags": ["RESET"]})",
                "process.scheduler.flags: 'RESET' is not a scheduling flag"},
        Mistake{"SchedulerNice", "/process/scheduler", R"({"policy": "SCHED_BATCH", "nice": 20})",
                "process.scheduler.nice: 20 is not between -20 and 19"},
        Mistake{"SchedulerPriority", "/process/scheduler",
                R"({"policy": "SCHED_OTHER", "priority": 5})",
                "process.scheduler.priority: goes with the policies SCHED_FIFO and SCHED_RR only"},
        Mistake{"SchedulerDeadline", "/process/scheduler",
                R"({"policy": "SCHED_RR", "deadline": 5})",
                "process.scheduler.deadline: goes with the policy SCHED_DEADLINE only"},
        Mistake{"IoPriorityClass", "/process/ioPriority", R"({"class": "IOPRIO_CLASS_WOW"})",
                "process.ioPriority.class: 'IOPRIO_CLASS_WOW' is not an I/O scheduling class"},
        Mistake{"IoPriority", "/process/ioPriority",
                R"({"class": "IOPRIO_CLASS_BE", "priority": 8})",
                "process.ioPriority.priority: 8 is not between 0 and 7"},
        Mistake{"CpuAffinity", "/process/execCPUAffinity", R"({"initial": "0-"})",
                "process.execCPUAffinity.initial: '0-' is not a list of CPUs such as 0-3,7"},
        Mistake{"FinalCpuAffinity", "/process/execCPUAffinity", R"({"final": "3-1"})",
                "process.execCPUAffinity.final: '3-1' is not a list of CPUs such as 0-3,7"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Mounts, RejectedSpecs,
    testing::Values(Mistake{"NoDestination", "/mounts", R"([{"type": "tmpfs"}])",
                            "mounts[0].destination: is missing"},
                    Mistake{"EmptyDestination", "/mounts",
                            R"([{"destination": "", "type": "tmpfs"}])",
                            "mounts[0].destination: is empty"},
                    Mistake{"OverRoot", "/mounts", R"([{"destination": "/a/..", "type": "tmpfs"}])",
                            "mounts[0].destination: would hide the root file system"},
                    Mistake{"NoType", "/mounts", R"([{"destination": "/a", "source": "/b"}])",
                            "mounts[0].type: is missing, and there is no option 'bind' or 'rbind'"},
                    Mistake{"BindOfNothing", "/mounts",
                            R"([{"destination": "/a", "options": ["rbind"]}])",
                            "mounts[0].source: is missing: a bind mount needs one"},
                    Mistake{"OneMapping", "/mounts",
                            R"([{"destination": "/a", "source": "/b", "options": ["bind"],
                     "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}])",
                            "mounts[0].gidMappings: is missing: both mappings or none"},
                    Mistake{"IdmapOfTmpfs", "/mounts",
                            R"([{"destination": "/a", "type": "tmpfs", "options": ["idmap"]}])",
                            "mounts[0].options: only bind mounts can be id-mapped"},
                    Mistake{"Options", "/mounts",
                            R"([{"destination": "/a", "type": "tmpfs", "options": ["ro", 1]}])",
                            "mounts[0].options[1]: expected a string, found the number 1"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Linux, RejectedSpecs,
    testing::Values(
        Mistake{"NamespaceType", "/linux/namespaces/0/type", R"("net")",
                "linux.namespaces[0].type: 'net' is not a type of namespace"},
        Mistake{"NamespaceTwice", "/linux/namespaces/4/type", R"("pid")",
                "linux.namespaces[4].type: 'pid' is listed twice"},
        Mistake{"NamespacePath", "/linux/namespaces/0/path", R"("ns")",
                "linux.namespaces[0].path: 'ns' is not an absolute path"},
        Mistake{"EmptyMapping", "/linux/uidMappings",
                R"([{"containerID": 0, "hostID": 1, "size": 0}])",
                "linux.uidMappings[0].size: is zero"},
        Mistake{"MappingPastTheEnd", "/linux/gidMappings",
                R"([{"containerID": 0, "hostID": 4294967290, "size": 6}])",
                "linux.gidMappings[0].size: 6 ids do not fit below 4294967295"},
        Mistake{"MappingsOverlap", "/linux/uidMappings",
                R"([{"containerID": 0, "hostID": 100, "size": 10},
                    {"containerID": 10, "hostID": 109, "size": 10}])",
                "linux.uidMappings[1]: overlaps linux.uidMappings[0]"},
        Mistake{"DeviceType", "/linux/devices", R"([{"type": "x", "path": "/d"}])",
                "linux.devices[0].type: 'x' is not one of b, c, u, p"},
        Mistake{"DevicePath", "/linux/devices",
                R"([{"type": "c", "path": "d", "major": 1, "minor": 1}])",
                "linux.devices[0].path: 'd' is not an absolute path"},
        Mistake{"DeviceWithoutNumber", "/linux/devices", R"([{"type": "b", "path": "/d"}])",
                "linux.devices[0].major: is missing"},
        Mistake{"DeviceNumber", "/linux/devices",
                R"([{"type": "c", "path": "/d", "major": 4096, "minor": 1}])",
                "linux.devices[0].major: 4096 is not between 0 and 4095"},
        Mistake{"Clock", "/linux/timeOffsets", R"({"realtime": {"secs": 1}})",
                "linux.timeOffsets.realtime: expected monotonic or boottime"},
        Mistake{"Nanoseconds", "/linux/timeOffsets", R"({"boottime": {"nanosecs": 1000000000}})",
                "linux.timeOffsets.boottime.nanosecs: 1000000000 is a second or more"},
        Mistake{"Sysctl", "/linux/sysctl", R"({"net/../kernel/panic": "1"})",
                "linux.sysctl: 'net/../kernel/panic' is no sysctl"},
        Mistake{"Propagation", "/linux/rootfsPropagation", R"("public")",
                "linux.rootfsPropagation: 'public' is not a kind of mount propagation"},
        Mistake{"MaskedPath", "/linux/maskedPaths", R"(["/a", ""])",
                "linux.maskedPaths[1]: '' is not an absolute path"},
        Mistake{"Personality", "/linux/personality", R"({"domain": "SOLARIS"})",
                "linux.personality.domain: 'SOLARIS' is neither LINUX nor LINUX32"},
        Mistake{"IntelRdt", "/linux/intelRdt", R"({"closID": "../x"})",
                "linux.intelRdt.closID: '../x' is no name of a class"},
        Mistake{"SysctlOfTheHostname", "/linux/sysctl", R"({"kernel.hostname": "x"})",
                "linux.sysctl: sysctl \"kernel.hostname\" is not allowed as it conflicts with the "
                "OCI \"hostname\" field"},
        Mistake{"DeviceAtDev", "/linux/devices",
                R"([{"path": "/dev/", "type": "c", "major": 1, "minor": 3}])",
                "linux.devices[0].path: '/dev/' cannot be a device"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Resources, RejectedSpecs,
    testing::Values(
        Mistake{"MemoryLimit", "/linux/resources", R"({"memory": {"limit": -2}})",
                "linux.resources.memory.limit: -2 is less than -1"},
        Mistake{"MemoryText", "/linux/resources", R"({"memory": {"limit": "1g"}})",
                "linux.resources.memory.limit: expected a whole number between "
                "-9223372036854775808 and 9223372036854775807, found a string"},
        Mistake{"Swappiness", "/linux/resources", R"({"memory": {"swappiness": 201}})",
                "linux.resources.memory.swappiness: 201 is not between 0 and 200"},
        Mistake{"Quota", "/linux/resources", R"({"cpu": {"quota": -5}})",
                "linux.resources.cpu.quota: -5 is less than -1"},
        Mistake{"Idle", "/linux/resources", R"({"cpu": {"idle": 2}})",
                "linux.resources.cpu.idle: 2 is not 0 or 1"},
        Mistake{"DeviceRuleType", "/linux/resources", R"({"devices": [{"type": "u"}]})",
                "linux.resources.devices[0].type: 'u' is not one of a, b, c"},
        Mistake{"DeviceRuleAccess", "/linux/resources", R"({"devices": [{"access": "rx"}]})",
                "linux.resources.devices[0].access: 'rx' is not made of r, w and m"},
        Mistake{"PageSize", "/linux/resources",
                R"({"hugepageLimits": [{"pageSize": "2MB/../x", "limit": 1}]})",
                "linux.resources.hugepageLimits[0].pageSize: '2MB/../x' is not a size such as "
                "2MB"},
        Mistake{"Unified", "/linux/resources", R"({"unified": {"../memory.max": "1"}})",
                "linux.resources.unified: '../memory.max' is not the name of a cgroup file"},
        Mistake{"Rdma", "/linux/resources", R"({"rdma": {"mlx": {"hcaHandles": -1}}})",
                "linux.resources.rdma.mlx.hcaHandles: expected a whole number between 0 and "
                "4294967295, found the number -1"},
        Mistake{"Weight", "/linux/resources", R"({"blockIO": {"weight": 65536}})",
                "linux.resources.blockIO.weight: expected a whole number between 0 and 65535, "
                "found the number 65536"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Seccomp, RejectedSpecs,
    testing::Values(
        Mistake{"NoDefault", "/linux/seccomp", "{}", "linux.seccomp.defaultAction: is missing"},
        Mistake{"Default", "/linux/seccomp", R"({"defaultAction": "DENY"})",
                "linux.seccomp.defaultAction: 'DENY' is not a seccomp action"},
        Mistake{"Architecture", "/linux/seccomp",
                R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_Z80"]})",
                "linux.seccomp.architectures[0]: 'SCMP_ARCH_Z80' is not a seccomp architecture"},
        Mistake{"Flag", "/linux/seccomp",
                R"({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["FAST"]})",
                "linux.seccomp.flags[0]: 'FAST' is not a seccomp flag"},
        Mistake{"Action", "/linux/seccomp",
                R"({"defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{"names": ["read"], "action": "NO"}]})",
                "linux.seccomp.syscalls[0].action: 'NO' is not a seccomp action"},
        Mistake{"NoNames", "/linux/seccomp",
                R"({"defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{"names": [], "action": "SCMP_ACT_LOG"}]})",
                "linux.seccomp.syscalls[0].names: is empty"},
        Mistake{"Operator", "/linux/seccomp",
                R"({"defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG",
                                  "args": [{"index": 0, "value": 1, "op": "="}]}]})",
                "linux.seccomp.syscalls[0].args[0].op: '=' is not a seccomp operator"},
        Mistake{"Index", "/linux/seccomp",
                R"({"defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG",
                                  "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]})",
                "linux.seccomp.syscalls[0].args[0].index: 6 is not between 0 and 5"}),
    name_of);

}  // namespace
}  // namespace sysbox::runc
