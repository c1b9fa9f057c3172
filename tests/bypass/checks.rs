//! What is no technique of its own: loading twice, calls from outside, sockets from before, a sidecar that dies, and
//! captures that are broken on purpose, which the attempts must notice.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use aegis_capture::techniques::{Place, TABLE};
use aegis_decision::probe::Outcome;
use anyhow::{Context, Result, bail, ensure};

use crate::bed::{Bed, DECLARED, POD_V4, POD_V6, Programs, Running, SINK_V4, WAIT, said};
use crate::persona::Persona;
use crate::report::Check;
use crate::sink::{Sink, enter};

/// Kills of the sidecar in one check.
const KILLS: u32 = 20;

type Claim = fn(&Programs) -> Result<String>;

/// Runs all checks. A check that cannot be carried out has failed.
pub fn run(programs: &Programs) -> Result<Vec<Check>> {
    // Made once first, so that missing rights are one clear error and not ten failed checks.
    drop(Bed::new()?);
    let claims: [(&'static str, Claim); 10] = [
        ("loaded twice is loaded once", loaded_twice),
        ("a wrong ruleset is not called loaded", refused_without_rights),
        ("a call to a declared port is answered, to another one not", inbound),
        ("BYP-18: a socket from before the rules is dead", old_socket),
        ("THR-8: nothing leaves while the sidecar is killed in a loop", killed),
        ("broken: IPv6 let through is noticed", |programs| broken(programs, &IPV6_OPEN)),
        ("broken: one port let through is noticed", |programs| broken(programs, &PORT_OPEN)),
        ("broken: one port let through and hidden by sockets of the agent's is noticed", blinded),
        ("broken: rules deleted by a container with NET_ADMIN are noticed", |programs| broken(programs, &DELETED)),
        ("broken: first layer deleted, the second stops packet sockets", second_layer_alone),
    ];
    Ok(claims
        .into_iter()
        .map(|(name, claim)| match claim(programs) {
            Ok(detail) => Check { name, passed: true, detail, frames: None },
            Err(error) => Check { name, passed: false, detail: format!("{error:#}"), frames: None },
        })
        .collect())
}

fn loaded_twice(programs: &Programs) -> Result<String> {
    let bed = Bed::new()?;
    let listed = || -> Result<String> {
        let listed = bed.pod("nft").args(["list", "ruleset"]).output()?;
        ensure!(listed.status.success(), "nft: {}", said(&listed));
        // The mark is new at each load.
        let text = String::from_utf8(listed.stdout)?;
        Ok(text.lines().map(|line| line.split("mark").next().unwrap_or_default().to_owned() + "\n").collect())
    };
    let first = bed.capture(programs)?;
    let once = listed()?;
    let second = bed.capture(programs)?;
    ensure!(first == second, "said {first}, then {second}");
    ensure!(once == listed()?, "rules differ after the second load");
    Ok(first.to_string())
}

fn refused_without_rights(programs: &Programs) -> Result<String> {
    let bed = Bed::new()?;
    let tried = Persona::Hardened.command(&bed, &programs.capture).args(["--sidecar-uid", "31234"]).output()?;
    ensure!(tried.status.code() == Some(1) && said(&tried).contains("NET_ADMIN"), "said {}", said(&tried));
    let tried = bed.pod(&programs.capture).args(["--sidecar-uid", "31234", "--nft", "/nowhere/nft"]).output()?;
    ensure!(tried.status.code() == Some(1) && said(&tried).contains("/nowhere/nft"), "said {}", said(&tried));
    Ok("without NET_ADMIN and without nft it says which is missing".to_owned())
}

fn inbound(programs: &Programs) -> Result<String> {
    let bed = Bed::new()?;
    bed.capture(programs)?;
    let other = DECLARED + 1;
    let mut agent = Persona::Hardened.command(&bed, &programs.this);
    agent.args(["serve", &DECLARED.to_string(), &other.to_string()]).stdout(Stdio::piped());
    let mut agent = Running::start(agent)?;
    line(&mut agent.0)?;
    for address in crate::bed::pod_addresses() {
        let call =
            |port| bed.outside(&programs.this).args(["call", &SocketAddr::new(address, port).to_string()]).output();
        let answered = call(DECLARED)?;
        ensure!(answered.status.success(), "{address} does not answer at {DECLARED}: {}", said(&answered));
        ensure!(!call(other)?.status.success(), "{address} answers at {other}, which is not declared");
    }
    Ok(format!("{POD_V4} and {POD_V6} answer at {DECLARED}, not at {other}"))
}

/// Also without rules the socket must be alive, or the check would prove nothing.
fn old_socket(programs: &Programs) -> Result<String> {
    let mut counts = Vec::new();
    for captured in [false, true] {
        let bed = Bed::new()?;
        let to = listen_outside(&bed)?;
        let mut agent = Persona::Hardened.command(&bed, &programs.this);
        agent.args(["hold", &to.to_string(), &format!("{SINK_V4}:7001")]);
        agent.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut agent = Running::start(agent)?;
        let mut said = reader(&mut agent.0)?;
        expect(&mut said, "open")?;
        if captured {
            bed.capture(programs)?;
        }
        let _sidecar = if captured { Some(bed.sidecar(programs, None)?) } else { None };
        let sink = Sink::start(&bed)?;
        sink.take()?;
        agent.0.stdin.as_mut().context("stdin")?.write_all(b"\n")?;
        expect(&mut said, "sent")?;
        counts.push(sink.take()?);
    }
    let [open, captured] = counts.as_slice() else { bail!("two runs") };
    ensure!(open.count > 0, "without rules nothing arrived: the check proves nothing");
    ensure!(captured.count == 0, "{} frames arrived: {:?}", captured.count, captured.told);
    Ok(format!("{} frames without rules, 0 with", open.count))
}

/// An agent that tries all transports without pause, while the sidecar dies and comes back.
fn killed(programs: &Programs) -> Result<String> {
    let bed = Bed::new()?;
    bed.capture(programs)?;
    let sink = Sink::start(&bed)?;
    sink.take()?;
    let stop = AtomicBool::new(false);
    let runs = thread::scope(|scope| -> Result<u32> {
        let load = scope.spawn(|| -> Result<u32> {
            let mut runs = 0;
            while !stop.load(Ordering::Relaxed) {
                Persona::Hardened.attempt(&bed, programs, &[1, 2, 3, 4, 5, 6, 9, 13])?;
                runs += 1;
            }
            Ok(runs)
        });
        let killing = (0..KILLS).try_for_each(|_| bed.sidecar(programs, None).map(|mut sidecar| sidecar.kill()));
        // Once more with nobody there, from the beginning to the end of a run.
        let alone = Persona::Hardened.attempt(&bed, programs, &[1, 2, 3, 4, 5, 6, 9, 13]);
        stop.store(true, Ordering::Relaxed);
        let runs = load.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        killing?;
        alone?;
        Ok(runs)
    })?;
    let frames = sink.take()?;
    ensure!(frames.count == 0, "{} frames left: {:?}", frames.count, frames.told);
    ensure!(runs > 0, "no run of the load ended");
    Ok(format!("0 frames in {KILLS} kills and {runs} runs"))
}

/// What somebody with `NET_ADMIN` did to the rules, and the technique that must notice.
struct Breakage {
    rules: &'static [&'static str],
    noticed_by: u8,
}

const IPV6_OPEN: Breakage = Breakage {
    rules: &[
        "insert rule inet aegis capture meta nfproto ipv6 return",
        "insert rule inet aegis leave meta nfproto ipv6 accept",
        "delete table netdev aegis_egress",
    ],
    noticed_by: 2,
};
const PORT_OPEN: Breakage = Breakage {
    rules: &["insert rule inet aegis leave udp dport 443 accept", "delete table netdev aegis_egress"],
    noticed_by: 4,
};
const DELETED: Breakage =
    Breakage { rules: &["delete table inet aegis", "delete table netdev aegis_egress"], noticed_by: 1 };

fn broken(programs: &Programs, breakage: &Breakage) -> Result<String> {
    let bed = Bed::new()?;
    bed.capture(programs)?;
    let _sidecar = bed.sidecar(programs, None)?;
    let sink = Sink::start(&bed)?;
    let inside: Vec<u8> =
        TABLE.iter().filter(|technique| technique.place == Place::Inside).map(|technique| technique.number).collect();
    let whole = Persona::Hardened.attempt(&bed, programs, &inside)?;
    ensure!(whole.got_out().is_empty(), "before it was broken: {:?}", whole.got_out());
    ensure!(sink.take()?.count == 0, "frames before it was broken");
    for rule in breakage.rules {
        bed.nft(rule)?;
    }
    let found = Persona::Hardened.attempt(&bed, programs, &inside)?;
    let frames = sink.take()?;
    let name = format!("BYP-{}", breakage.noticed_by);
    let noticed = found.attempts.iter().find(|attempt| attempt.technique == name && attempt.outcome == Outcome::GotOut);
    ensure!(frames.count > 0, "nothing left: it was not broken");
    let noticed = noticed.with_context(|| format!("{name} did not notice: {:?}", found.got_out()))?;
    Ok(format!(
        "{} of {} attempts got out, such as {name} {}",
        found.got_out().len(),
        found.attempts.len(),
        noticed.target
    ))
}

/// The agent holds sockets that look like the ends of captured connections. One port is let through: every connection to
/// it has such an end, and got out.
fn blinded(programs: &Programs) -> Result<String> {
    let bed = Bed::new()?;
    // Few ports, and a short memory: otherwise the same takes an agent a minute.
    let quick =
        "echo 40000 40511 > /proc/sys/net/ipv4/ip_local_port_range; echo 1 > /proc/sys/net/ipv4/tcp_fin_timeout";
    let set = bed.pod("sh").args(["-ec", quick]).output()?;
    ensure!(set.status.success(), "{}", said(&set));
    bed.capture(programs)?;
    let _sidecar = bed.sidecar(programs, None)?;
    let mut agent = Persona::Hardened.command(&bed, &programs.this);
    agent.arg("blind").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut agent = Running::start(agent)?;
    line(&mut agent.0)?;
    let sink = Sink::start(&bed)?;
    sink.take()?;
    let whole = Persona::Hardened.attempt(&bed, programs, &[1])?;
    ensure!(whole.unproven().is_none() && whole.got_out().is_empty(), "before it was broken: {:?}", whole.attempts);
    ensure!(sink.take()?.count == 0, "frames before it was broken");
    for rule in [
        "insert rule inet aegis capture tcp dport 443 return",
        "insert rule inet aegis leave tcp dport 443 accept",
        "delete table netdev aegis_egress",
    ] {
        bed.nft(rule)?;
    }
    let found = Persona::Hardened.attempt(&bed, programs, &[1])?;
    ensure!(sink.take()?.count > 0, "nothing left: it was not broken");
    let expected = [format!("BYP-1 tcp {SINK_V4}:443")];
    ensure!(found.got_out() == expected, "got out: {:?}", found.attempts);
    Ok(format!("{} got out", expected.concat()))
}

fn second_layer_alone(programs: &Programs) -> Result<String> {
    let bed = Bed::new()?;
    let loaded = bed.capture(programs)?;
    if let Some(reason) = loaded.get("without_netdev") {
        return Ok(format!("this kernel has none: {reason}"));
    }
    bed.nft("delete table inet aegis")?;
    let sink = Sink::start(&bed)?;
    sink.take()?;
    let held = Persona::DefaultRoot.attempt(&bed, programs, &[4, 6, 10, 11])?;
    let frames = sink.take()?;
    ensure!(frames.count == 0, "{} frames left: {:?}", frames.count, frames.told);
    // The others may be called out all the same: a packet that waits for its neighbour is dropped after the send.
    let packets = held.attempts.iter().filter(|attempt| attempt.technique == "BYP-11");
    for attempt in packets {
        ensure!(attempt.outcome == Outcome::Blocked, "{}: {}", attempt.target, attempt.detail);
    }
    bed.nft("delete table netdev aegis_egress")?;
    Persona::DefaultRoot.attempt(&bed, programs, &[11])?;
    let open = sink.take()?;
    ensure!(open.count > 0, "without either layer nothing left: the check proves nothing");
    Ok(format!("0 frames; without it {}", open.count))
}

/// A server outside that takes connections and reads.
fn listen_outside(bed: &Bed) -> Result<SocketAddr> {
    let file = bed.outside_file();
    let (told, heard) = channel();
    thread::spawn(move || {
        let listener = enter(&file).and_then(|()| Ok(TcpListener::bind((SINK_V4, 7000))?));
        match listener {
            Ok(listener) => {
                drop(told.send(Ok(())));
                // Ends with the suite; the connection stays open until then.
                let kept: Vec<_> = listener.incoming().take(1).collect();
                thread::park();
                drop(kept);
            }
            Err(error) => drop(told.send(Err(error))),
        }
    });
    heard.recv_timeout(WAIT)??;
    Ok(SocketAddr::new(SINK_V4.into(), 7000))
}

fn reader(child: &mut Child) -> Result<BufReader<std::process::ChildStdout>> {
    Ok(BufReader::new(child.stdout.take().context("stdout")?))
}

fn line(child: &mut Child) -> Result<()> {
    expect(&mut reader(child)?, "open")
}

fn expect(from: &mut impl BufRead, word: &str) -> Result<()> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    ensure!(line.trim() == word, "said {line:?} instead of {word:?}");
    Ok(())
}
