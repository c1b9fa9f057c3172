//! Small programs that play somebody: a sidecar that only takes what is captured, an agent that holds a socket from
//! before the rules, one that hides where connections end, one that is called from outside, and the caller.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use aegis_capture::techniques::MARKER;
use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};

use crate::bed::{POD_V4, WAIT};

const PATIENCE: Duration = Duration::from_millis(800);
/// What an agent that is called answers.
pub const GREETING: &str = "here is the pod\n";

/// Takes captured connections and drops them; answers every DNS query with REFUSED.
pub fn sidecar() -> Result<ExitCode> {
    let mut threads = Vec::new();
    for address in [std::net::IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        for port in [15001, 15053] {
            let listener = TcpListener::bind((address, port))?;
            threads.push(thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    thread::spawn(move || heard(&stream));
                }
            }));
        }
        let stub = UdpSocket::bind((address, 15053))?;
        threads.push(thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = stub.recv_from(&mut query) {
                let Some(answer) = refused(query.get(..length).unwrap_or_default()) else { continue };
                // The asker may be gone.
                drop(stub.send_to(&answer, from));
            }
        }));
    }
    for thread in threads {
        drop(thread.join());
    }
    Ok(ExitCode::FAILURE)
}

/// Reads before it closes, as a proxy does: a close with unread data is a reset.
fn heard(mut stream: &TcpStream) {
    if stream.set_read_timeout(Some(PATIENCE)).is_ok() {
        drop(stream.read(&mut [0; 1024]));
    }
}

/// The query as an answer with code 5 (RFC 1035, section 4.1.1).
fn refused(query: &[u8]) -> Option<Vec<u8>> {
    let mut answer = query.to_vec();
    *answer.get_mut(2)? |= 0x80;
    *answer.get_mut(3)? = 5;
    Some(answer)
}

/// Opens a TCP connection and a UDP socket, says so, waits for a line, then sends on both.
pub fn hold(tcp: SocketAddr, udp: SocketAddr) -> Result<ExitCode> {
    let mut stream = TcpStream::connect_timeout(&tcp, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(udp)?;
    socket.send(b"before")?;
    println!("open");
    told()?;
    let data = format!("{MARKER}18");
    for _ in 0..3 {
        // Whether the kernel takes it says nothing here: the other end counts.
        drop(stream.write_all(data.as_bytes()));
        drop(socket.send(data.as_bytes()));
    }
    println!("sent");
    // Stays, so that what is held back may be sent again.
    told()?;
    Ok(ExitCode::SUCCESS)
}

/// Keeps a socket at the capture port of another loopback address for every port that a connection of the pod may get: its
/// other end is that port, as if the connection were captured. Says so when all these ports are free again.
pub fn blind() -> Result<ExitCode> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let (first, last) = range.trim().split_once('\t').context("ip_local_port_range")?;
    let addresses = (first.parse::<u16>()?..=last.parse()?).map(|port| SocketAddr::from((POD_V4, port)));
    let mut kept = Vec::new();
    for address in addresses.clone() {
        let listener = TcpListener::bind(address)?;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 2], 15001)).into())?;
        socket.connect(&address.into())?;
        // That end is closed; the kernel forgets it, and this one stays.
        drop(listener.accept()?);
        kept.push(socket);
    }
    let started = Instant::now();
    for address in addresses {
        let taken = || Socket::new(Domain::IPV4, Type::STREAM, None).and_then(|socket| socket.bind(&address.into()));
        while taken().is_err() {
            ensure!(started.elapsed() < WAIT, "{address} is not free again");
            thread::sleep(Duration::from_millis(10));
        }
    }
    println!("open");
    told()?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for a line, or for the end of the input.
fn told() -> Result<()> {
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Answers at these ports.
pub fn serve(ports: &[u16]) -> Result<ExitCode> {
    let mut threads = Vec::new();
    for &port in ports {
        // Both families: IPv6 sockets take IPv4 too.
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
        threads.push(thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                drop((&stream).write_all(GREETING.as_bytes()));
            }
        }));
    }
    println!("open");
    for thread in threads {
        drop(thread.join());
    }
    Ok(ExitCode::FAILURE)
}

/// Calls and prints the answer; fails if there is none.
pub fn call(to: SocketAddr) -> Result<ExitCode> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    print!("{answer}");
    Ok(if answer == GREETING { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
