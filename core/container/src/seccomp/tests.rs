use super::*;

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

/// What a filter answers, by a machine of our own.
fn ask(program: &BpfProgram, number: i64, arguments: [u64; 6]) -> u32 {
    let mut data = vec![u32::try_from(number).unwrap(), AUDIT_ARCH, 0, 0];
    for argument in arguments {
        data.push(u32::try_from(argument & 0xffff_ffff).unwrap());
        data.push(u32::try_from(argument >> 32).unwrap());
    }
    let (mut value, mut at) = (0_u32, 0_usize);
    loop {
        let instruction = &program[at];
        let k = instruction.k;
        at += 1;
        let jump = |yes| usize::from(if yes { instruction.jt } else { instruction.jf });
        match instruction.code {
            0x20 => value = data[usize::try_from(k).unwrap() / 4],
            0x05 => at += usize::try_from(k).unwrap(),
            0x15 => at += jump(value == k),
            0x25 => at += jump(value > k),
            0x35 => at += jump(value >= k),
            0x54 => value &= k,
            0x06 => return k,
            other => panic!("instruction {other:x}"),
        }
    }
}

/// The strictest answer.
fn answer(programs: &[BpfProgram], call: &str, arguments: [u64; 6]) -> u32 {
    let number = table::number(call).unwrap();
    let answers = programs.iter().rev().map(|program| ask(program, number, arguments));
    answers.min_by_key(|answer| (answer & 0xffff_0000).cast_signed()).unwrap()
}

fn standard_filters(rights: &BTreeSet<Capability>) -> Vec<BpfProgram> {
    filters(&Seccomp::Default, rights).unwrap()
}

#[test]
fn the_usual_filter_stops_what_reaches_the_machine() {
    let programs = standard_filters(&Capability::standard());
    let refused = [
        "mount",
        "umount2",
        "setns",
        "unshare",
        "pivot_root",
        "bpf",
        "keyctl",
        "kexec_load",
        "init_module",
        "io_uring_setup",
        "open_by_handle_at",
        "perf_event_open",
        "reboot",
        "swapon",
        "userfaultfd",
        "move_mount",
        "fsopen",
        "settimeofday",
        "syslog",
        "acct",
    ];
    for call in refused {
        assert_eq!(answer(&programs, call, [0; 6]), ERRNO | EPERM, "{call}");
    }
    let allowed = [
        "read",
        "execve",
        "exit_group",
        "mmap",
        "futex",
        "chroot",
        "setuid",
        "capset",
        "prctl",
        "ptrace",
        "seccomp",
        "openat2",
        "statx",
        "epoll_pwait2",
        "socket",
        "clone",
        "fchmodat2",
    ];
    for call in allowed {
        assert_eq!(answer(&programs, call, [0; 6]), ALLOW, "{call}");
    }
}

#[test]
fn arguments_decide_where_they_matter() {
    let programs = standard_filters(&Capability::standard());
    let first = |value: u64| [value, 0, 0, 0, 0, 0];
    let new_user = 0x1000_0000;
    let sigchld = 17;
    assert_eq!(answer(&programs, "clone", first(sigchld)), ALLOW);
    assert_eq!(answer(&programs, "clone", first(new_user | sigchld)), ERRNO | EPERM);
    assert_eq!(answer(&programs, "clone3", first(0)), ERRNO | ENOSYS);
    assert_eq!(answer(&programs, "socket", first(2)), ALLOW);
    assert_eq!(answer(&programs, "socket", first(40)), ERRNO | EPERM);
    assert_eq!(answer(&programs, "personality", first(0xffff_ffff)), ALLOW);
    assert_eq!(answer(&programs, "personality", first(0x40_0000)), ERRNO | EPERM);
}

#[test]
fn a_right_opens_its_calls() {
    let mut rights = Capability::standard();
    rights.insert(Capability::named("SYS_TIME").unwrap());
    let programs = standard_filters(&rights);
    assert_eq!(answer(&programs, "settimeofday", [0; 6]), ALLOW);
    assert_eq!(answer(&programs, "mount", [0; 6]), ERRNO | EPERM);
    rights.insert(Capability::named("SYS_ADMIN").unwrap());
    let programs = standard_filters(&rights);
    assert_eq!(answer(&programs, "mount", [0; 6]), ALLOW);
    assert_eq!(answer(&programs, "clone3", [0; 6]), ALLOW);
    assert_eq!(answer(&programs, "keyctl", [0; 6]), ERRNO | EPERM);
}

#[test]
fn newer_calls_are_not_there_and_other_processors_end() {
    let programs = standard_filters(&Capability::standard());
    let newer = programs.iter().rev().map(|program| ask(program, table::NEWEST + 1, [0; 6]));
    let newer: Vec<u32> = newer.collect();
    // Of equals, the kernel takes that of the filter that was set last.
    assert_eq!(newer, [ERRNO | ENOSYS, ALLOW, ERRNO | EPERM]);
    let first = &programs[0];
    assert!(first.iter().any(|instruction| instruction.k == KILL_PROCESS));
}

#[test]
fn profiles_of_people_are_understood() {
    let text = br#"{
        "defaultAction": "SCMP_ACT_ERRNO", "archMap": null, "syscalls": [
          {"names": ["read", "of_another_processor"], "action": "SCMP_ACT_ALLOW", "args": null},
          {"name": "write", "action": "SCMP_ACT_ALLOW", "comment": "", "includes": {},
           "args": [{"index": 0, "value": 1, "valueTwo": 0, "op": "SCMP_CMP_EQ"},
                    {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]},
          {"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
          {"names": ["bind"], "action": "SCMP_ACT_KILL_PROCESS"},
          {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
          {"names": ["listen"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390"]}}
        ]}"#;
    let profile = Profile::parse(text).unwrap();
    let stored: Profile = serde_json::from_str(&serde_json::to_string(&profile).unwrap()).unwrap();
    assert_eq!(stored, profile);
    let programs = filters(&Seccomp::Profile(profile), &BTreeSet::new()).unwrap();
    let first = |value: u64| [value, 0, 0, 0, 0, 0];
    for (call, arguments, expected) in [
        ("read", first(0), ALLOW),
        ("write", first(1), ALLOW),
        ("write", first(2), ALLOW),
        ("write", first(3), ERRNO | EPERM),
        ("mkdirat", first(0), ERRNO | 13),
        ("bind", first(0), KILL_PROCESS),
        ("mount", first(0), ERRNO | EPERM),
        ("listen", first(0), ERRNO | EPERM),
        ("openat", first(0), ERRNO | EPERM),
    ] {
        assert_eq!(answer(&programs, call, arguments), expected, "{call} {arguments:?}");
    }
}

#[test]
fn what_is_no_profile_is_refused() {
    assert!(Profile::parse(b"{}").is_err());
    assert!(Profile::parse(br#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#).is_err());
    let profile = br#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"],
        "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]}"#;
    let profile = Profile::parse(profile).unwrap();
    let error = filters(&Seccomp::Profile(profile), &BTreeSet::new()).unwrap_err();
    assert_eq!(error.to_string(), "the profile looks at argument 6 of a call, which has 6");
}
