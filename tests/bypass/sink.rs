//! The truth: every frame that arrives outside.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use aegis_capture::techniques::MARKER;
use anyhow::{Context, Result, anyhow, ensure};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike as _, recvfrom, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::bed::{Bed, OUTSIDE_DEVICE, POD_V4, WAIT, pod_addresses};

/// Frames of one count that are told one by one.
const TOLD: usize = 8;
/// `PACKET_OUTGOING` of Linux (packet(7)): sent by this end.
const OUTGOING: u8 = 4;
const ARP: u16 = 0x0806;

/// Counts in a thread of its own, in the outside's network.
pub struct Sink {
    orders: Sender<Sender<Result<Frames>>>,
}

/// What arrived, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Frames {
    pub count: u64,
    /// `protocol target`, the first few.
    pub told: Vec<String>,
}

impl Sink {
    pub fn start(bed: &Bed) -> Result<Self> {
        let (orders, taken) = channel();
        let (ready, waited) = channel();
        let file = bed.outside_file();
        thread::spawn(move || {
            let counter = enter(&file).and_then(|()| Counter::open(OUTSIDE_DEVICE, &pod_addresses(), None));
            match counter {
                Ok(counter) => {
                    drop(ready.send(Ok(())));
                    counter.serve(&taken);
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
        waited.recv_timeout(WAIT).context("sink")??;
        Ok(Self { orders })
    }

    /// Everything that arrived since the last time. Waits until all frames sent before this call have arrived.
    pub fn take(&self) -> Result<Frames> {
        let (answer, answered) = channel();
        self.orders.send(answer).map_err(|_| anyhow!("the sink has ended"))?;
        answered.recv_timeout(WAIT).context("sink")?
    }
}

/// Moves this thread into a network.
pub fn enter(file: &PathBuf) -> Result<()> {
    setns(File::open(file)?, CloneFlags::CLONE_NEWNET).with_context(|| format!("enter {}", file.display()))
}

struct Counter {
    socket: std::os::fd::OwnedFd,
    link: LinkAddr,
    from: Vec<IpAddr>,
    /// Where the sidecar may send.
    except: Option<SocketAddr>,
    counted: BTreeMap<String, u64>,
}

impl Counter {
    fn open(device: &str, from: &[IpAddr], except: Option<SocketAddr>) -> Result<Self> {
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(5))?;
        setsockopt(&socket, sockopt::RcvBuf, &(8 << 20))?;
        let link = getifaddrs()?
            .filter(|interface| interface.interface_name == device)
            .find_map(|interface| interface.address.and_then(|address| address.as_link_addr().copied()))
            .with_context(|| format!("no interface {device}"))?;
        Ok(Self { socket, link, from: from.to_vec(), except, counted: BTreeMap::new() })
    }

    fn serve(mut self, orders: &Receiver<Sender<Result<Frames>>>) {
        loop {
            match orders.try_recv() {
                Ok(answer) => {
                    let frames = self.settle().map(|()| self.taken());
                    drop(answer.send(frames));
                }
                Err(TryRecvError::Empty) => drop(self.read()),
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Asks the pod for its hardware address and counts until the answer comes: the cable keeps the order.
    fn settle(&mut self) -> Result<()> {
        let own = self.link.addr().context("the interface has no hardware address")?;
        let mut question = [[0xff; 6], own].concat();
        question.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        question.extend(own);
        question.extend([10, 77, 0, 1]);
        question.extend([0; 6]);
        question.extend(POD_V4.octets());
        ensure!(self.link.len() > 0, "no link address");
        sendto(self.socket.as_raw_fd(), &question, &self.link, MsgFlags::empty())?;
        let asked = Instant::now();
        while !self.read()? {
            ensure!(asked.elapsed() < WAIT, "the pod does not answer ARP: its frames cannot be counted");
        }
        Ok(())
    }

    /// Counts one frame. True: it was the pod's answer to `settle`.
    fn read(&mut self) -> Result<bool> {
        let mut frame = vec![0; 2048];
        let (length, from) = match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut frame) {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        frame.truncate(length);
        let here = from.is_some_and(|from| from.ifindex() == self.link.ifindex() && from.pkttype() != OUTGOING);
        if !here {
            return Ok(false);
        }
        if ethertype(&frame) == Some(ARP) {
            let answer = frame.get(20..22) == Some(&[0, 2]) && frame.get(28..32) == Some(&POD_V4.octets());
            return Ok(answer);
        }
        if let Some(kind) = kind(&frame, &self.from, self.except) {
            *self.counted.entry(kind).or_default() += 1;
        }
        Ok(false)
    }

    fn taken(&mut self) -> Frames {
        let counted = std::mem::take(&mut self.counted);
        Frames { count: counted.values().sum(), told: counted.into_keys().take(TOLD).collect() }
    }
}

/// What `bypass sink` says first.
pub const COUNTING: &str = "counting";

/// `bypass sink`: for a cluster, on the machine that plays the outside.
pub fn until_input_ends(device: &str, from: &[IpAddr], except: Option<SocketAddr>) -> Result<ExitCode> {
    let mut counter = Counter::open(device, from, except)?;
    println!("{COUNTING}");
    let (ended, end) = channel();
    thread::spawn(move || {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        ended.send(()).ok();
    });
    while end.try_recv().is_err() {
        counter.read()?;
    }
    // What is on its way has this long to arrive.
    let closing = Instant::now();
    while closing.elapsed() < Duration::from_millis(500) {
        counter.read()?;
    }
    println!("{}", serde_json::to_string(&counter.taken())?);
    Ok(ExitCode::SUCCESS)
}

fn ethertype(frame: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(frame.get(12..14)?.try_into().ok()?))
}

/// `udp 203.0.113.10 443`, or none for a frame that the pod's kernel sends of itself (neighbour discovery, MLD), that
/// comes from elsewhere, or that is excepted.
fn kind(frame: &[u8], from: &[IpAddr], except: Option<SocketAddr>) -> Option<String> {
    let packet = frame.get(14..)?;
    let marked = frame.windows(MARKER.len()).any(|window| window == MARKER.as_bytes());
    let (protocol, source, target, data): (u8, IpAddr, IpAddr, &[u8]) = match ethertype(frame)? {
        0x0800 => {
            let header = usize::from(packet.first()? & 0x0f) * 4;
            let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
            (*packet.get(9)?, address(12)?.into(), address(16)?.into(), packet.get(header..)?)
        }
        0x86dd => {
            let address = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?));
            (*packet.get(6)?, address(8)?.into(), address(24)?.into(), packet.get(40..)?)
        }
        other => return Some(format!("ethertype {other:#06x}")),
    };
    let port = data.get(2..4).and_then(|port| port.try_into().ok()).map_or(0, u16::from_be_bytes);
    // Duplicate or not, a marked frame is an attempt, whatever it is dressed as and whoever it says it is from.
    if !marked {
        let own = match (protocol, data.first()) {
            (58, Some(133..=136)) | (0, _) => true,
            (6, _) if except == Some(SocketAddr::new(target, port)) => true,
            _ => !from.is_empty() && !from.contains(&source),
        };
        if own {
            return None;
        }
    }
    Some(match protocol {
        1 | 58 => format!("icmp {target}"),
        6 => format!("tcp {target} {port}"),
        17 => format!("udp {target} {port}"),
        other => format!("protocol {other} {target}"),
    })
}
