//! Which devices the processes of a group may use: a list of the first
//! generation, a small program of the kernel's own kind in the second.
#![expect(unsafe_code, reason = "no safe function loads programs into the kernel")]

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use nix::libc;

use super::{Error, Group, write};
use crate::plan::ANY;
use crate::spec::{Access, Device, Kind};

pub(super) fn allow(group: &Group, devices: &[Device]) -> Result<(), Error> {
    let Some(folder) = &group.devices else { return Ok(()) };
    if group.unified {
        let failed = |source| Error { path: folder.clone(), source };
        return attach(folder, &program(devices)).map_err(failed);
    }
    write(&folder.join("devices.deny"), &"a")?;
    devices.iter().try_for_each(|device| write(&folder.join("devices.allow"), &line(device)))
}

/// `c 1:3 rwm`.
fn line(device: &Device) -> String {
    let Device { path: _, kind, major, minor, mode: _, access } = device;
    let kind = match kind {
        Kind::Character => 'c',
        Kind::Block => 'b',
    };
    let minor = if *minor == ANY { "*".to_owned() } else { minor.to_string() };
    let Access { read, write, mknod } = access;
    let letters = [(read, 'r'), (write, 'w'), (mknod, 'm')];
    let access: String =
        letters.into_iter().filter(|(given, _)| **given).map(|(_, letter)| letter).collect();
    format!("{kind} {major}:{minor} {access}")
}

/// One instruction of the kernel's machine.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u8,
    /// The target in the lower half, the source in the upper.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE: u8 = 0xb4;
const MOVE_REGISTER: u8 = 0xbc;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

fn instruction(code: u8, target: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: source << 4 | target, offset, immediate }
}

/// The question is in register 1: kind and access in one word, major, minor.
/// The answer is 1 for yes.
fn program(devices: &[Device]) -> Vec<Instruction> {
    let mut program = vec![
        instruction(LOAD_WORD, 2, 1, 0, 0),
        instruction(MOVE_REGISTER, 3, 2, 0, 0),
        instruction(AND, 2, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, 3, 0, 0, 16),
        instruction(LOAD_WORD, 4, 1, 4, 0),
        instruction(LOAD_WORD, 5, 1, 8, 0),
    ];
    for device in devices {
        program.extend(rule(device));
    }
    program.extend([instruction(MOVE, 0, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)]);
    program
}

/// Falls through to the next rule unless everything is as it says.
fn rule(device: &Device) -> Vec<Instruction> {
    const BLOCK: i32 = 1;
    const CHARACTER: i32 = 2;
    let kind = match device.kind {
        Kind::Block => BLOCK,
        Kind::Character => CHARACTER,
    };
    let Access { read, write, mknod } = device.access;
    let granted = i32::from(mknod) | i32::from(read) << 1 | i32::from(write) << 2;
    let mut tests = vec![
        vec![instruction(JUMP_UNLESS_EQUAL, 2, 0, 0, kind)],
        // Nothing is wanted beyond what is granted.
        vec![
            instruction(MOVE_REGISTER, 1, 3, 0, 0),
            instruction(AND, 1, 0, 0, !granted & 7),
            instruction(JUMP_UNLESS_EQUAL, 1, 0, 0, 0),
        ],
        vec![instruction(JUMP_UNLESS_EQUAL, 4, 0, 0, device.major.cast_signed())],
    ];
    if device.minor != ANY {
        tests.push(vec![instruction(JUMP_UNLESS_EQUAL, 5, 0, 0, device.minor.cast_signed())]);
    }
    let mut rule: Vec<Instruction> = tests.concat();
    rule.extend([instruction(MOVE, 0, 0, 0, 1), instruction(EXIT, 0, 0, 0, 0)]);
    let length = rule.len();
    for (index, instruction) in rule.iter_mut().enumerate() {
        if instruction.code == JUMP_UNLESS_EQUAL {
            instruction.offset = i16::try_from(length - index - 1).unwrap_or(i16::MAX);
        }
    }
    rule
}

/// What the kernel wants to know to load a program; the rest of its record is
/// nothing.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    length: u32,
    instructions: u64,
    license: u64,
    unused: [u64; 14],
}

#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    unused: [u64; 14],
}

const LOAD: libc::c_long = 5;
const ATTACH: libc::c_long = 8;
const PROGRAM_FOR_DEVICES: u32 = 15;
const ATTACH_FOR_DEVICES: u32 = 6;
/// Beside those of the groups above, all of which must agree.
const BESIDE_OTHERS: u32 = 2;

/// The program stays for as long as the group.
fn attach(folder: &Path, program: &[Instruction]) -> io::Result<()> {
    let folder = File::open(folder)?;
    let load = Load {
        kind: PROGRAM_FOR_DEVICES,
        length: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..Load::default()
    };
    // SAFETY: the record points at `program` and a literal, which outlive the
    // call, and is as long as it says.
    let loaded = unsafe { libc::syscall(libc::SYS_bpf, LOAD, &raw const load, size_of::<Load>()) };
    if loaded < 0 {
        return Err(io::Error::last_os_error());
    }
    let number = RawFd::try_from(loaded).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given this number to nobody else.
    let loaded = unsafe { OwnedFd::from_raw_fd(number) };
    let attach = Attach {
        target: folder.as_raw_fd().cast_unsigned(),
        program: loaded.as_raw_fd().cast_unsigned(),
        kind: ATTACH_FOR_DEVICES,
        flags: BESIDE_OTHERS,
        ..Attach::default()
    };
    // SAFETY: the record holds two open files and is as long as it says.
    let attached =
        unsafe { libc::syscall(libc::SYS_bpf, ATTACH, &raw const attach, size_of::<Attach>()) };
    if attached < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
