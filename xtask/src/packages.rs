//! Debian packages: which are missing, and installing them.

use std::process::Command;

use anyhow::Result;

use crate::mesos_go;
use crate::process::{exists, is_root, run, say, succeeds, warn};

/// Something this machine must be able to do, and the package that brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub package: &'static str,
    pub purpose: &'static str,
    present: fn() -> bool,
}

/// For the sample apps.
pub(crate) const PYTHON: Need =
    Need { package: "python3", purpose: "the sample apps", present: || exists("python3") };

/// For binaries that run everywhere.
pub(crate) const MUSL: Need = Need {
    package: "musl-tools",
    purpose: "static binaries",
    present: || exists("musl-gcc") && exists("strip"),
};

/// For the nodes of a datacenter.
pub(crate) const DATACENTER_NEEDS: [Need; 5] = [
    Need {
        package: "systemd-container",
        purpose: "the nodes of a datacenter",
        present: || exists("systemd-nspawn"),
    },
    Need {
        package: "debootstrap",
        purpose: "the disk that nodes begin with",
        present: || exists("debootstrap"),
    },
    Need {
        package: "openssh-client",
        purpose: "logging in to nodes",
        present: || exists("ssh") && exists("ssh-keygen"),
    },
    Need { package: "iproute2", purpose: "the network of nodes", present: || exists("ip") },
    Need { package: "nftables", purpose: "partitions between nodes", present: || exists("nft") },
];

/// For comparing containers.
pub(crate) const CONTAINER_NEEDS: [Need; 3] = [
    Need { package: "runc", purpose: "containers to compare with", present: || exists("runc") },
    Need { package: "crun", purpose: "containers to compare with", present: || exists("crun") },
    Need {
        package: "busybox-static",
        purpose: "the image of containers",
        present: || std::path::Path::new("/bin/busybox").is_file(),
    },
];

/// For the tests.
pub(crate) const TEST_NEEDS: [Need; 8] = [
    PYTHON,
    Need {
        package: "python3-venv",
        purpose: "the tests with published client libraries",
        present: || succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])),
    },
    Need {
        package: "docker-registry",
        purpose: "the tests that pull images",
        present: || exists("docker-registry"),
    },
    Need {
        package: "dnsutils",
        purpose: "the tests that ask names with dig",
        present: || exists("dig"),
    },
    Need {
        package: "chromium",
        purpose: "the tests of the dashboard in a browser",
        present: || exists("chromium"),
    },
    Need {
        package: "chromium-driver",
        purpose: "the tests of the dashboard in a browser",
        present: || exists("chromedriver"),
    },
    Need {
        package: "golang-go",
        purpose: "the tests with mesos-go, a client that speaks protobuf",
        present: || exists("go"),
    },
    Need {
        package: "golang-github-mesos-mesos-go-dev",
        purpose: "the tests with mesos-go, a client that speaks protobuf",
        present: mesos_go::libraries_present,
    },
];

/// Installs what is missing, if we may. What is missing afterwards.
pub(crate) fn provide(needs: &[Need]) -> Result<Vec<Need>> {
    let missing: Vec<Need> = needs.iter().filter(|need| !(need.present)()).copied().collect();
    if missing.is_empty() {
        return Ok(missing);
    }
    let names: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let line =
        format!("apt-get update && apt-get install -y --no-install-recommends {}", names.join(" "));
    if !is_root() || !exists("apt-get") {
        say(&format!("this machine lacks {}; run as root:\n    {line}", names.join(", ")));
        return Ok(missing);
    }
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(&names);
    if let Err(error) = apt(&["update", "-qq"]).and_then(|()| apt(&install)) {
        warn(&format!("PACKAGES WERE NOT INSTALLED: {error}"));
    }
    Ok(missing.into_iter().filter(|need| !(need.present)()).collect())
}
