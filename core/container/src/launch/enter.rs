//! The process itself, between its birth and its first instruction.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::libc;
use nix::sys::signal::SigSet;
use nix::unistd::{Gid, Uid, execve, fchown};
use rustix::fs::FileType;
use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::report::Reporter;
use super::{
    Files, Outside, SCORE_FILE, death_with_parent, first, flags, kernel, rights, terminal,
};
use crate::passwd::{self, Identified};
use crate::plan::{Kind, Plan, Step};
use crate::spec::{Root, Spec, User};

/// Where programs are searched by those who do not say it.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What it becomes.
#[derive(Debug)]
pub(super) struct Task<'a> {
    pub(super) spec: &'a Spec,
    pub(super) plan: &'a Plan,
    pub(super) outside: &'a Outside,
    /// The first process of the container that it lives in.
    pub(super) container: Option<&'a OwnedFd>,
}

/// What is found out on the way.
struct State {
    user: Option<Identified>,
    environment: Vec<(String, String)>,
}

impl Task<'_> {
    /// Returns only if it was not executed.
    pub(super) fn run(&self, files: Files, reporter: Reporter) -> i32 {
        let Err(reason) = self.go(files, &reporter) else { return 0 };
        reporter.say(&reason);
        1
    }

    fn go(&self, files: Files, reporter: &Reporter) -> Result<(), String> {
        self.begin(files).map_err(|error| format!("cannot prepare the process: {error}"))?;
        self.join().map_err(|error| format!("cannot join the container: {error}"))?;
        if self.container.is_none() || !self.plan.makes.contains(&Kind::Pid) {
            first::set_up(&self.plan.setup)?;
        }
        let environment = self.spec.process.environment.clone();
        let mut state = State { user: self.outside.user.clone(), environment };
        for step in &self.plan.process {
            self.perform(step, &mut state, reporter).map_err(|problem| match problem {
                Problem::Said(reason) => reason,
                Problem::Kernel(error) => format!("cannot {step}: {error}"),
            })?;
        }
        Ok(())
    }

    fn begin(&self, files: Files) -> io::Result<()> {
        // What the shim waits for by other means, the task must hear.
        SigSet::empty().thread_set_mask()?;
        kernel::reset_signals();
        let Files { stdin, stdout, stderr } = files;
        dup2_stdin(&stdin)?;
        dup2_stdout(&stdout)?;
        dup2_stderr(&stderr)?;
        join_groups(self.outside)?;
        if self.outside.spared {
            std::fs::write(SCORE_FILE, "0")?;
        }
        Ok(())
    }

    fn join(&self) -> io::Result<()> {
        if let (Some(container), true) = (self.container, self.plan.makes.contains(&Kind::Pid)) {
            // It has joined and made all that there is; its processes have been
            // joined by the parent.
            let all = [Kind::Mount, Kind::Ipc, Kind::Uts, Kind::Cgroup, Kind::Network];
            return kernel::join(container, flags(all));
        }
        for (file, kinds) in &self.outside.joins {
            kernel::join(file, *kinds)?;
        }
        match flags(self.plan.makes.iter().copied()) {
            0 => Ok(()),
            made => kernel::unshare(made),
        }
    }

    fn perform(&self, step: &Step, state: &mut State, reporter: &Reporter) -> Result<(), Problem> {
        match step {
            Step::Session => {
                setsid().map_err(io::Error::from)?;
            }
            Step::Find(user) => self.find(user, state)?,
            Step::Terminal(size) => terminal::open(*size, state.user.as_ref(), reporter)?,
            Step::Limit(limit) => rights::limit(limit)?,
            Step::Directory { path, make } => {
                if *make && !path.exists() {
                    std::fs::create_dir_all(path)?;
                }
                std::env::set_current_dir(path)?;
            }
            Step::Bound(bounding) => rights::bound(bounding)?,
            Step::Filter(seccomp) => rights::filter(seccomp, &self.spec.capabilities)?,
            Step::Become { keep } => {
                if let Some(user) = &state.user {
                    rights::become_user(user, *keep)?;
                }
            }
            Step::Grant(effective) => rights::grant(effective)?,
            Step::NoNewPrivileges => {
                rustix::thread::set_no_new_privs(true).map_err(io::Error::from)?;
            }
            Step::Bind => {
                death_with_parent()?;
                if reporter.is_alone() {
                    return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
                }
            }
            Step::Execute(program) => self.execute(program, state)?,
            other => return Err(Problem::Said(format!("cannot {other} in a process"))),
        }
        Ok(())
    }

    /// By the files of the image, if it is one.
    fn find(&self, user: &User, state: &mut State) -> Result<(), Problem> {
        state.user = match user {
            User::Own => None,
            User::Ids { uid, gid, groups } => {
                let groups = groups.clone();
                Some(Identified { uid: *uid, gid: *gid, groups, home: None })
            }
            User::Named(_) if state.user.is_some() => state.user.take(),
            User::Named(name) => {
                let found = passwd::find(name, &read("/etc/passwd")?, &read("/etc/group")?);
                Some(found.map_err(|error| Problem::Said(error.to_string()))?)
            }
        };
        if let Some(user) = &state.user {
            give_output(user);
        }
        let home = state.user.as_ref().and_then(|user| user.home.clone());
        let in_image = matches!(self.spec.root, Root::Image { .. });
        if let (Some(home), true) = (home, in_image)
            && !state.environment.iter().any(|(name, _)| name == "HOME")
        {
            state.environment.push(("HOME".to_owned(), home));
        }
        Ok(())
    }

    fn execute(&self, program: &str, state: &State) -> Result<(), Problem> {
        let text = |text: &str| CString::new(text).map_err(io::Error::from);
        let arguments = &self.spec.process.arguments;
        let arguments = arguments.iter().map(|it| text(it)).collect::<Result<Vec<_>, _>>()?;
        let variables = state.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let variables = variables.map(|it| text(&it)).collect::<Result<Vec<_>, _>>()?;
        let named = state.environment.iter().find(|(name, _)| name == "PATH");
        let folders = named.map_or(PATH_DEFAULT, |(_, value)| value);
        let mut failure = nix::errno::Errno::ENOENT;
        for path in candidates(program, folders) {
            let Err(error) = execve(&text(&path)?, &arguments, &variables);
            match error {
                nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR => {}
                // Another folder may hold one that can be executed.
                nix::errno::Errno::EACCES => failure = error,
                error => return Err(io::Error::from(error).into()),
            }
        }
        Err(io::Error::from(failure).into())
    }
}

fn candidates(program: &str, folders: &str) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let folder = |folder: &str| if folder.is_empty() { ".".to_owned() } else { folder.to_owned() };
    folders.split(':').map(|it| format!("{}/{program}", folder(it))).collect()
}

/// A file of an image; whatever it is, it is not waited for.
fn read(path: &str) -> io::Result<String> {
    let opened =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    file.take(passwd::FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// This process is counted with its container from now on.
pub(super) fn join_groups(outside: &Outside) -> io::Result<()> {
    outside.entrances.iter().try_for_each(|mut entrance| entrance.write_all(b"0"))
}

/// This process has nothing to read and nothing to say.
pub(super) fn silence() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

/// Who runs may open his output once more, as `/dev/stdout`.
fn give_output(user: &Identified) {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    for file in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let kind = rustix::fs::fstat(file).map(|found| FileType::from_raw_mode(found.st_mode));
        if matches!(kind, Ok(FileType::RegularFile | FileType::Fifo)) {
            // Who may not give it away runs as himself.
            let _own = fchown(file, Some(uid), Some(gid));
        }
    }
}

/// Why a step failed.
enum Problem {
    Kernel(io::Error),
    /// In words that need no addition.
    Said(String),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Kernel(error)
    }
}
