//! The disk that all nodes begin with: a minimal prepared server, made once by
//! debootstrap and kept in the cache of this account.

use std::fs::{self, File, Permissions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use super::shape::ADMIN;
use crate::process::{say, succeeds};

const RELEASE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";
/// What a server has before anything of ours comes to it, and Python, in which
/// the sample apps are written.
const PACKAGES: &str = "ca-certificates,curl,dbus,iproute2,iputils-ping,kmod,less,nftables,\
openssh-server,procps,python3,sudo,systemd,systemd-sysv,tar,xz-utils";

/// An account that is not root and may use sudo without a password.
pub(crate) const ACCOUNT: &str = "admin";

/// Units without a purpose here: they take time at each boot, or wake up and
/// look for the world outside.
const NEEDLESS: [&str; 24] = [
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
    "remote-fs.target",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-journal-flush.service",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
    "systemd-resolved.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
];

/// Systemd in a container finds the controllers read-only; on a server they are not.
const WRITABLE_GROUPS: &str = "\
[Unit]
Description=Control groups that can be written, as on a machine
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for group in /sys/fs/cgroup /sys/fs/cgroup/*/; do \
mountpoint -q $group && mount -o remount,bind,rw $group; done; true'
";

/// The folder of the root, made where it is missing.
pub(crate) fn provide() -> Result<PathBuf> {
    let cache = cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let root = cache.join(format!("{RELEASE}-{:016x}", recipe()));
    // One at a time makes it; the others wait for it.
    let lock = File::create(cache.join("lock")).context("cannot lock the cache")?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .context("cannot lock the cache")?;
    if root.is_dir() {
        return Ok(root);
    }
    let started = Instant::now();
    let new = cache.join("new");
    remove(&new)?;
    say(&format!("making the disk that nodes begin with, once, in {}", root.display()));
    make(&new, &cache.join("debootstrap.log"))?;
    fs::rename(&new, &root).with_context(|| format!("cannot move {}", new.display()))?;
    say(&format!("made in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(root)
}

fn cache() -> Result<PathBuf> {
    let cache = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => PathBuf::from(home).join(".cache"),
        _ => bail!("neither XDG_CACHE_HOME nor HOME says where the root of the nodes may be kept"),
    };
    Ok(cache.join("karman/datacenter"))
}

/// What the root is made from; another recipe makes another root.
fn recipe() -> u64 {
    let mut hasher = DefaultHasher::new();
    include_str!("base.rs").hash(&mut hasher);
    hasher.finish()
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

fn make(root: &Path, log: &Path) -> Result<()> {
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let errors = output.try_clone().context("cannot share a file")?;
    let status = Command::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), RELEASE])
        .arg(root)
        .arg(MIRROR)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .context("cannot run debootstrap")?;
    if !status.success() {
        let text = fs::read_to_string(log).unwrap_or_default();
        let end: Vec<&str> = text.lines().rev().take(5).collect();
        bail!(
            "debootstrap failed ({status}); {} ends with:\n{}",
            log.display(),
            end.into_iter().rev().collect::<Vec<_>>().join("\n")
        );
    }
    empty(&root.join("var/cache/apt/archives"))?;
    empty(&root.join("var/lib/apt/lists"))?;
    for file in
        ["etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_ecdsa_key", "etc/ssh/ssh_host_ed25519_key"]
    {
        for file in [file.to_owned(), format!("{file}.pub")] {
            fs::remove_file(root.join(&file)).with_context(|| format!("cannot remove /{file}"))?;
        }
    }
    settle(root)
}

fn empty(folder: &Path) -> Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder.join("partial"))
        .with_context(|| format!("cannot make {}", folder.display()))
}

/// What whoever set up the server would have set up.
fn settle(root: &Path) -> Result<()> {
    let units = root.join("etc/systemd/system");
    for unit in NEEDLESS {
        let link = units.join(unit);
        if link.is_symlink() {
            fs::remove_file(&link).with_context(|| format!("cannot remove {unit}"))?;
        }
        symlink("/dev/null", &link).with_context(|| format!("cannot mask {unit}"))?;
    }
    write(&units, "writable-groups.service", WRITABLE_GROUPS)?;
    enable(&units, "sysinit.target", "/etc/systemd/system/writable-groups.service")?;
    enable(&units, "multi-user.target", "/lib/systemd/system/systemd-networkd.service")?;
    // Nobody answers there, and says so at once.
    write(root, "etc/resolv.conf", &format!("nameserver {ADMIN}\n"))?;
    write(
        root,
        "etc/ssh/sshd_config.d/datacenter.conf",
        "HostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\nMaxStartups 100\n",
    )?;
    let adduser = ["useradd", "--create-home", "--shell", "/bin/bash", ACCOUNT];
    if !succeeds(Command::new("chroot").arg(root).args(adduser)) {
        bail!("the account '{ACCOUNT}' could not be made");
    }
    write(root, "etc/sudoers.d/admin", &format!("{ACCOUNT} ALL=(ALL) NOPASSWD: ALL\n"))?;
    fs::set_permissions(root.join("etc/sudoers.d/admin"), Permissions::from_mode(0o440))
        .context("cannot change the mode of a file")
}

fn enable(units: &Path, target: &str, unit: &str) -> Result<()> {
    let folder = units.join(format!("{target}.wants"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let link = folder.join(Path::new(unit).file_name().unwrap_or_default());
    symlink(unit, &link).with_context(|| format!("cannot enable {unit}"))
}

pub(super) fn write(root: &Path, path: &str, text: &str) -> Result<()> {
    let file = root.join(path);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}
