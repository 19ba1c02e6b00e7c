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
