//! Two network namespaces: a pod, and everything that is not the pod.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Address of the pod.
pub const POD_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Address of the pod.
pub const POD_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);
/// Address outside.
pub const SINK_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// Address outside.
pub const SINK_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0x10);
/// The sidecar's user here.
pub const SIDECAR_UID: u32 = 31_234;
/// The port that the pod declares.
pub const DECLARED: u16 = 8080;
/// The outside's end of the cable.
pub const OUTSIDE_DEVICE: &str = "out0";
/// Longest wait for something that takes milliseconds.
pub const WAIT: Duration = Duration::from_secs(10);
const PREFIX: &str = "aegis-bypass";

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    pub capture: PathBuf,
    pub probe: PathBuf,
    pub this: PathBuf,
}

impl Programs {
    pub fn find(folder: Option<PathBuf>) -> Result<Self> {
        let this = std::env::current_exe()?;
        let folder = folder.or_else(|| this.parent().map(Path::to_owned)).context("this program has no folder")?;
        let programs = Self { capture: folder.join("aegis-capture"), probe: folder.join("aegis-probe"), this };
        for program in [&programs.capture, &programs.probe] {
            ensure!(program.is_file(), "{} is not there: build aegis-capture, or use --programs", program.display());
        }
        Ok(programs)
    }
}

/// A process that ends with its owner.
pub struct Running(pub Child);

impl Running {
    pub fn start(mut command: Command) -> Result<Self> {
        Ok(Self(command.spawn().with_context(|| format!("start {}", command.get_program().display()))?))
    }

    pub fn kill(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The two namespaces. Removed when dropped, also by a panic.
pub struct Bed {
    pod: String,
    outside: String,
}

impl Bed {
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        needs_root()?;
        sweep();
        let name = format!("{PREFIX}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let bed = Self { pod: format!("{name}-pod"), outside: format!("{name}-outside") };
        let (pod, outside) = (&bed.pod, &bed.outside);
        ip(&format!("netns add {pod}"))?;
        ip(&format!("netns add {outside}"))?;
        ip(&format!("link add eth0 netns {pod} type veth peer name {OUTSIDE_DEVICE} netns {outside}"))?;
        for (namespace, device, v4, v6) in
            [(pod, "eth0", "10.77.0.2/24", "fd77::2/64"), (outside, OUTSIDE_DEVICE, "10.77.0.1/24", "fd77::1/64")]
        {
            ip(&format!("-n {namespace} link set lo up"))?;
            ip(&format!("-n {namespace} address add {v4} dev {device}"))?;
            ip(&format!("-n {namespace} address add {v6} dev {device} nodad"))?;
            ip(&format!("-n {namespace} link set {device} up"))?;
        }
        ip(&format!("-n {outside} address add {SINK_V4}/32 dev lo"))?;
        ip(&format!("-n {outside} address add {SINK_V6}/128 dev lo nodad"))?;
        ip(&format!("-n {pod} route add default via 10.77.0.1"))?;
        ip(&format!("-n {pod} -6 route add default via fd77::1"))?;
        // As container runtimes set it for pods.
        let range = bed.pod("sh").args(["-c", "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range"]).output()?;
        ensure!(range.status.success(), "ping_group_range: {}", said(&range));
        bed.joined()?;
        Ok(bed)
    }

    /// Waits until packets of both families pass: nobody listens at the port, so the other end refuses.
    fn joined(&self) -> Result<()> {
        let file = PathBuf::from(format!("/run/netns/{}", self.pod));
        let waiting = std::thread::spawn(move || -> Result<()> {
            crate::sink::enter(&file)?;
            for address in [IpAddr::from(SINK_V4), SINK_V6.into()] {
                let started = Instant::now();
                let refused = || {
                    TcpStream::connect_timeout(&(address, 9).into(), Duration::from_millis(200))
                        .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
                };
                while !refused() {
                    ensure!(started.elapsed() < WAIT, "no packet passes to {address}");
                }
            }
            Ok(())
        });
        waiting.join().map_err(|_| anyhow::anyhow!("the wait panicked"))?
    }

    /// A program in the pod's network.
    pub fn pod(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        within(&self.pod, program)
    }

    /// A program in the outside's network.
    pub fn outside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        within(&self.outside, program)
    }

    /// File that stands for the outside's network.
    pub fn outside_file(&self) -> PathBuf {
        PathBuf::from(format!("/run/netns/{}", self.outside))
    }

    /// Loads the ruleset with the real program.
    pub fn capture(&self, programs: &Programs) -> Result<serde_json::Value> {
        let uid = SIDECAR_UID.to_string();
        let loaded = self
            .pod(&programs.capture)
            .args(["--sidecar-uid", &uid, "--inbound-tcp", &DECLARED.to_string()])
            .output()?;
        ensure!(loaded.status.success(), "aegis-capture: {}", said(&loaded));
        Ok(serde_json::from_slice(&loaded.stdout)?)
    }

    /// Runs nft in the pod, as a container with `NET_ADMIN` could.
    pub fn nft(&self, rule: &str) -> Result<()> {
        let done = self.pod("nft").arg(rule).output()?;
        ensure!(done.status.success(), "nft {rule}: {}", said(&done));
        Ok(())
    }

    /// Starts the stand-in for the sidecar, or a real one, and waits until it takes captured connections.
    pub fn sidecar(&self, programs: &Programs, command: Option<&str>) -> Result<Running> {
        let mut process = self.pod("setpriv");
        let uid = SIDECAR_UID.to_string();
        process.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--no-new-privs"]);
        match command {
            Some(command) => process.args(["sh", "-c", &format!("exec {command}")]),
            None => process.arg(&programs.this).arg("stand-in"),
        };
        process.stdin(Stdio::null()).stdout(Stdio::null());
        let mut running = Running::start(process)?;
        let started = Instant::now();
        let table = format!("/proc/{}/net/tcp", running.0.id());
        // 15001 and 15053 in the kernel's writing, listening.
        let takes = |port: &str| {
            fs::read_to_string(&table)
                .is_ok_and(|text| text.lines().any(|line| line.contains(port) && line.contains(" 0A ")))
        };
        while !(takes(":3A99 ") && takes(":3ACD ")) {
            if let Some(status) = running.0.try_wait()? {
                bail!("the sidecar ended: {status}");
            }
            ensure!(started.elapsed() < WAIT, "the sidecar does not listen at 15001 and 15053");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(running)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for namespace in [&self.pod, &self.outside] {
            drop(ip(&format!("netns delete {namespace}")));
        }
    }
}

/// Addresses of the pod: who sends, at the sink.
pub fn pod_addresses() -> [IpAddr; 2] {
    [POD_V4.into(), POD_V6.into()]
}

fn needs_root() -> Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let bits = u64::from_str_radix(effective.trim(), 16)?;
    // CAP_NET_ADMIN 12, CAP_SYS_ADMIN 21 (capabilities(7)).
    ensure!(
        bits & (1 << 12) != 0 && bits & (1 << 21) != 0,
        "the bypass suite makes network namespaces: run it as root with CAP_NET_ADMIN and CAP_SYS_ADMIN"
    );
    Ok(())
}

/// Removes what a suite that was killed has left behind.
fn sweep() {
    let Ok(names) = fs::read_dir("/run/netns") else { return };
    for name in names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            drop(ip(&format!("netns delete {name}")));
        }
    }
}

fn within(namespace: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}")).arg("--").arg(program);
    command
}

fn ip(arguments: &str) -> Result<()> {
    let done = Command::new("ip").args(arguments.split(' ')).output().context("ip (iproute2)")?;
    ensure!(done.status.success(), "ip {arguments}: {}", said(&done));
    Ok(())
}

/// What a program said on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
