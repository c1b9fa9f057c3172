//! Becoming somebody else. These attempts change the process, so each runs in a process of its own.

use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::{env, fs, process, thread};

use aegis_decision::probe::Outcome;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, chown, getegid, geteuid, getuid, setgid, setuid};

use super::{Finding, Ground, LIMIT, datagram, peers, raw, tcp};

/// Runs the attempt in a child of this program and waits for its word, at most [`LIMIT`].
pub(super) fn in_child(number: u8, ground: &Ground) -> Finding {
    run(&ground.executor, number, ground)
}

/// What the child does.
pub(super) fn in_this_process(number: u8, ground: &Ground) -> Finding {
    match number {
        20 => namespaces(ground),
        21 => become_user(ground),
        22 => become_group(ground),
        // The second half of BYP-23: this program was started as the sidecar's user.
        23 => leaves(23, ground),
        _ => Finding::not_applicable("no such attempt"),
    }
}

fn run(program: &Path, number: u8, ground: &Ground) -> Finding {
    let broken = |what: String| Finding::not_applicable(format!("cannot be tried: {what}"));
    let child = Command::new(program)
        .args(["attempt", &number.to_string(), &serde_json::json!(ground).to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return broken(error.to_string()),
    };
    let Some(mut output) = child.stdout.take() else { return broken("no output".to_owned()) };
    let (said, heard) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        drop(output.read_to_string(&mut text));
        drop(said.send(text));
    });
    let text = heard.recv_timeout(LIMIT);
    // Ended already, or has had its time.
    drop(child.kill());
    drop(child.wait());
    match text.map(|text| serde_json::from_str(&text)) {
        Ok(Ok(finding)) => finding,
        Ok(Err(_)) => Finding::blocked("the process was ended by the kernel"),
        Err(_) => broken(format!("no result in {} s", LIMIT.as_secs())),
    }
}

/// Sends as whoever this process is by now.
fn leaves(number: u8, ground: &Ground) -> Finding {
    let udp = datagram::udp(number, SocketAddr::new(ground.v4.into(), 443));
    if udp.outcome == Outcome::GotOut {
        return Finding::out(format!("as user {}, group {}: {}", geteuid(), getegid(), udp.detail));
    }
    udp
}

fn become_user(ground: &Ground) -> Finding {
    let Some(uid) = ground.sidecar() else { return Finding::not_applicable("the sidecar's user is not known") };
    if getuid().as_raw() == uid {
        return leaves(21, ground);
    }
    match setuid(Uid::from_raw(uid)) {
        Err(error) => Finding::blocked(format!("setuid {uid}: {error:?}")),
        Ok(()) => leaves(21, ground),
    }
}

fn become_group(ground: &Ground) -> Finding {
    // The sidecar's group has the number of its user.
    let Some(gid) = ground.sidecar() else { return Finding::not_applicable("the sidecar's group is not known") };
    match setgid(Gid::from_raw(gid)) {
        Err(error) => Finding::blocked(format!("setgid {gid}: {error:?}")),
        Ok(()) => leaves(22, ground),
    }
}

/// A copy of this program, given to the sidecar's user with the setuid bit, then run.
pub(super) fn setuid_program(ground: &Ground) -> Finding {
    let Some(uid) = ground.sidecar() else { return Finding::not_applicable("the sidecar's user is not known") };
    let no_new_privileges = fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.split_whitespace().eq(["NoNewPrivs:", "1"])));
    if no_new_privileges {
        return Finding::blocked("no_new_privs: the setuid bit and file capabilities have no effect");
    }
    let folder = env::temp_dir().join(format!("aegis-probe-{}-{:08x}", process::id(), rand::random::<u32>()));
    let finding = given_away(&folder, uid, ground);
    drop(fs::remove_dir_all(&folder));
    finding
}

fn given_away(folder: &Path, uid: u32, ground: &Ground) -> Finding {
    let program: PathBuf = folder.join("program");
    let copied = fs::create_dir(folder)
        .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::copy(&ground.executor, &program));
    if let Err(error) = copied {
        return Finding::not_applicable(format!("no place for a program: {error}"));
    }
    if let Err(error) = chown(&program, Some(Uid::from_raw(uid)), None) {
        return Finding::blocked(format!("chown to {uid}: {error:?}"));
    }
    if let Err(error) = fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)) {
        return Finding::blocked(format!("setuid bit: {error}"));
    }
    run(&program, 23, ground)
}

/// A user namespace in which this process is the sidecar's user and has every capability, then a network of its own.
fn namespaces(ground: &Ground) -> Finding {
    let outer = getuid();
    if let Err(error) = unshare(CloneFlags::CLONE_NEWUSER) {
        return Finding::blocked(format!("no user namespace: {error:?}"));
    }
    let inner = ground.sidecar().unwrap_or(0);
    // Refused where the map may not be written; then the process is nobody in its namespace, and tries all the same.
    let mapped = fs::write("/proc/self/uid_map", format!("{inner} {outer} 1")).is_ok();
    let to = SocketAddr::new(ground.v4.into(), 443);
    let mut tried = vec![datagram::udp(20, to), raw::icmp(20, to), raw::frames(20, ground.v4, 8080)];
    // Users of outside have no number here, or one for all (user_namespaces(7)): the sidecar's is that of its listener.
    tried.push(tcp::connect(to, tcp::Kind::Plain, peers::sidecar_uid()));
    if let Some(out) = tried.iter().find(|finding| finding.outcome == Outcome::GotOut) {
        return Finding::out(format!("in a user namespace (mapped: {mapped}): {}", out.detail));
    }
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        return Finding::blocked(format!("user namespace (mapped: {mapped}) gives nothing; no network: {error:?}"));
    }
    // The new network has one interface, loopback, which is down: whatever is sent there stays there.
    match datagram::no_route(to) {
        Some(_) => {
            Finding::blocked(format!("user namespace (mapped: {mapped}) gives nothing; its network has no route"))
        }
        None => Finding::out("the new network has a route"),
    }
}
