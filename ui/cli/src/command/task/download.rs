//! `karman task download`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::super::sandbox::{Sandbox, copy};
use crate::failure::{Failure, Kind};
use crate::format::document::text;
use crate::format::{count, task};
use crate::output::{Answer, Outcome, progress};
use crate::session::Session;

/// Symbolic links may lead in circles.
const DEPTH_MAX: usize = 32;

pub async fn run(session: &Session, found: &Value, path: &str, target: &Path) -> Outcome {
    let sandbox = Sandbox::find(session, &task::place(found)).await?;
    let wanted = sandbox.path(path);
    let mut written = Vec::new();
    if is_folder(&sandbox, path).await? {
        let mut folders = vec![(wanted.clone(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            for file in sandbox.browse(&folder).await? {
                let virtual_path = text(&file, "/path").to_owned();
                if task::is_folder(&file) {
                    if depth < DEPTH_MAX {
                        folders.push((virtual_path, depth + 1));
                    }
                    continue;
                }
                let to = place(target, task::name(&file, &wanted))?;
                fetch(&sandbox, &virtual_path, &to).await?;
                written.push(to);
            }
        }
    } else {
        let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("file");
        let to = place(target, name)?;
        fetch(&sandbox, &wanted, &to).await?;
        written.push(to);
    }
    let names: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    let text =
        format!("{} downloaded to {}\n", count(names.len() as u64, "file"), target.display());
    Ok(Answer::new(json!(names), text))
}

async fn is_folder(sandbox: &Sandbox<'_>, path: &str) -> Result<bool, Failure> {
    let Some(name) = path.rsplit('/').find(|part| !part.is_empty()) else { return Ok(true) };
    let trimmed = path.trim_end_matches('/');
    let parent = trimmed.strip_suffix(name).unwrap_or_default();
    let folder = sandbox.path(parent);
    let files = sandbox.browse(&folder).await?;
    match files.iter().find(|file| task::name(file, &folder) == name) {
        Some(file) => Ok(task::is_folder(file)),
        None => Err(Failure::new(Kind::NotFound, format!("{trimmed} does not exist"))
            .remedy("see the files with: karman task ls TASK")),
    }
}

/// Where a file goes. Names come from other people's programs: none may lead
/// out of the target.
fn place(target: &Path, name: &str) -> Result<PathBuf, Failure> {
    let name = Path::new(name);
    let inside = name.components().all(|part| matches!(part, Component::Normal(_)));
    if inside && name.file_name().is_some() {
        return Ok(target.join(name));
    }
    Err(Failure::new(
        Kind::Failed,
        format!("the agent names a file '{}' outside the sandbox", name.display()),
    ))
}

async fn fetch(sandbox: &Sandbox<'_>, from: &str, to: &Path) -> Result<(), Failure> {
    let unwritable = |error: io::Error| {
        Failure::usage(format!("cannot write {}: {error}", to.display()))
            .remedy("choose another --target-dir")
    };
    progress(&format!("{}", to.display()));
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(unwritable)?;
    }
    let response = sandbox.download(from).await?;
    let mut file = File::create(to).map_err(unwritable)?;
    copy(response, |chunk| file.write_all(chunk).map(|()| true).map_err(unwritable)).await
}
