//! A network of the test's own: the test runs again inside new network and mount namespaces, as root, where addresses of
//! the public Internet are on the loopback interface and nothing leaves the machine. The test itself is the agent; the
//! sidecar runs under a user of its own, whom the packet rules exempt.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// User of the sidecar.
pub const SIDECAR: u32 = 30_123;
/// A host of the "Internet".
pub const HOST: &str = "11.0.0.1";
/// Its name server.
pub const DNS: &str = "11.0.0.53";
/// Routed, redirected, and never there.
pub const NOWHERE: &str = "11.9.9.9";

/// The sidecar's program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_aegis-proxy");
/// Where it is inside, since its user may not be let into the folders that it lies in.
const PROGRAM_INSIDE: &str = "/mnt/aegis-proxy";

const INSIDE: &str = "AEGIS_TEST_NAMESPACE";
const HOSTS: &str = "127.0.0.1 localhost erp.example
::1 localhost
11.0.0.1 api.example models.store.example other.example
10.1.2.3 inner.example
127.0.0.1 loop.example
169.254.169.254 metadata.example
";
const RULES: &str = "table inet aegis {
  chain output {
    type nat hook output priority -100; policy accept;
    meta skuid 30123 return
    ip daddr 127.0.0.0/8 return
    ip6 daddr ::1 return
    udp dport 53 redirect to :15053
    tcp dport 53 redirect to :15053
    meta l4proto tcp redirect to :15001
  }
}
";

/// Runs `inside` in namespaces of its own. `test` is the path of the calling test, which is run again in there.
pub fn run<F: Future<Output = ()>>(test: &str, inside: impl FnOnce() -> F) {
    if std::env::var(INSIDE).is_ok_and(|name| name == test) {
        set_up();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(inside());
        return;
    }
    if !is_root() {
        let message = format!("{test} needs root: it makes a network namespace; AEGIS_NO_ROOT=1 leaves it out");
        assert!(std::env::var("AEGIS_NO_ROOT").is_ok_and(|value| value == "1"), "{message}");
        println!("left out: {message}");
        return;
    }
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, test)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("test result: ok. 1 passed"), "{out}\n{err}");
}

/// The sidecar's program, in the namespaces or outside of them.
pub fn program() -> &'static str {
    if std::env::var_os(INSIDE).is_some() { PROGRAM_INSIDE } else { PROGRAM }
}

/// The same command as the sidecar's user, who owns the folder from now on.
pub fn as_user(mut command: Command, folder: &Path) -> Command {
    let owner = format!("{SIDECAR}:{SIDECAR}");
    sh(&["chown", "-R", &owner, folder.to_str().unwrap()]);
    command.uid(SIDECAR).gid(SIDECAR);
    command
}

/// The same, with captured connections coming in.
pub fn as_sidecar(command: Command, folder: &Path) -> Command {
    let mut command = as_user(command, folder);
    command.args(["--level", "Captured", "--capture-listen", "127.0.0.1:15001,[::1]:15001"]);
    command.args(["--dns-listen", "127.0.0.1:15053,[::1]:15053"]);
    command
}

fn is_root() -> bool {
    let out = Command::new("id").arg("-u").output().unwrap().stdout;
    out.trim_ascii() == b"0"
}

fn set_up() {
    sh(&["ip", "link", "set", "lo", "up"]);
    for address in [HOST, DNS] {
        sh(&["ip", "address", "add", &format!("{address}/32"), "dev", "lo"]);
    }
    sh(&["ip", "-6", "address", "add", "2600::1/128", "dev", "lo", "nodad"]);
    sh(&["ip", "route", "add", "default", "dev", "lo"]);
    sh(&["ip", "-6", "route", "add", "default", "dev", "lo"]);
    sh(&["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/mnt"]);
    sh(&["touch", PROGRAM_INSIDE]);
    sh(&["mount", "--bind", PROGRAM, PROGRAM_INSIDE]);
    let folder = tempfile::tempdir().unwrap().keep();
    for (name, text) in [("hosts", HOSTS), ("resolv.conf", "nameserver 11.0.0.53\noptions attempts:1 timeout:1\n")] {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        sh(&["chmod", "a+rX", folder.to_str().unwrap(), file.to_str().unwrap()]);
        let place = std::fs::canonicalize(Path::new("/etc").join(name)).unwrap();
        sh(&["mount", "--bind", file.to_str().unwrap(), place.to_str().unwrap()]);
    }
    let rules = folder.join("rules.nft");
    std::fs::write(&rules, RULES).unwrap();
    sh(&["nft", "-f", rules.to_str().unwrap()]);
    // Mounted files stay as long as they are used.
    std::fs::remove_dir_all(folder).unwrap();
}

fn sh(words: &[&str]) {
    let (program, arguments) = words.split_first().unwrap();
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}
