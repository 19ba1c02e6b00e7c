use super::*;
use crate::spec::standard;

#[test]
fn a_line_says_kind_number_and_access() {
    let mut device = standard().remove(0);
    assert_eq!(line(&device), "c 1:3 rwm");
    device.kind = Kind::Block;
    device.minor = ANY;
    device.access = Access::USE;
    assert_eq!(line(&device), "b 1:* rw");
}

/// What the program answers, by a machine of our own.
fn ask(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> u32 {
    let memory = [access << 16 | kind, major, minor];
    let mut registers = [0_u32; 11];
    let mut at = 0;
    loop {
        let Instruction { code, registers: named, offset, immediate } = program[at];
        let (target, source) = (usize::from(named & 15), usize::from(named >> 4));
        at += 1;
        match code {
            LOAD_WORD => registers[target] = memory[usize::try_from(offset).unwrap() / 4],
            AND => registers[target] &= immediate.cast_unsigned(),
            SHIFT_RIGHT => registers[target] >>= immediate,
            MOVE => registers[target] = immediate.cast_unsigned(),
            MOVE_REGISTER => registers[target] = registers[source],
            JUMP_UNLESS_EQUAL => {
                if registers[target] != immediate.cast_unsigned() {
                    at += usize::try_from(offset).unwrap();
                }
            }
            EXIT => return registers[0],
            other => panic!("instruction {other:x}"),
        }
    }
}

#[test]
fn the_program_allows_what_is_listed_and_no_more() {
    const BLOCK: u32 = 1;
    const CHARACTER: u32 = 2;
    const MKNOD: u32 = 1;
    const READ: u32 = 2;
    const WRITE: u32 = 4;
    let mut devices = standard();
    devices.push(Device { minor: ANY, major: 136, access: Access::USE, ..devices[0].clone() });
    let program = program(&devices);
    for (kind, access, major, minor, allowed) in [
        (CHARACTER, READ | WRITE, 1, 3, true),
        (CHARACTER, MKNOD, 5, 0, true),
        (CHARACTER, READ, 1, 1, false),
        (BLOCK, READ, 1, 3, false),
        (CHARACTER, READ | WRITE, 136, 77, true),
        (CHARACTER, MKNOD, 136, 77, false),
        (CHARACTER, READ | MKNOD, 136, 77, false),
        (BLOCK, READ, 254, 0, false),
    ] {
        let answer = ask(&program, kind, access, major, minor);
        assert_eq!(answer == 1, allowed, "{kind} {access} {major}:{minor}");
    }
}

/// A folder of the second generation, if it is mounted and we may make one.
fn second_generation() -> Option<std::path::PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let point = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let point = fields.next()?;
        (fields.next()? == "cgroup2").then(|| std::path::PathBuf::from(point))
    })?;
    let folder = point.join(format!("karman-test-devices-{}", std::process::id()));
    std::fs::create_dir(&folder).ok().map(|()| folder)
}

#[test]
fn the_kernel_takes_the_program_and_heeds_it() {
    let Some(folder) = second_generation() else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI lacks control groups");
        eprintln!("\n*** THIS TEST DID NOT RUN: no control group of the second generation ***\n");
        return;
    };
    let attached = attach(&folder, &program(&standard()));
    let script = "echo 0 > $0/cgroup.procs; head -c 1 /dev/zero && echo zero; \
                  head -c 1 /dev/mem > /dev/null; head -c 1 /dev/kmsg > /dev/null && echo kmsg; true";
    let output =
        std::process::Command::new("sh").arg("-c").arg(script).arg(&folder).output().unwrap();
    std::fs::remove_dir(&folder).unwrap();
    attached.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("zero") && !said.contains("kmsg"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("not permitted"), "{output:?}");
}
