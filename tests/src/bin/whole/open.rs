//! Open loop: calls at a fixed rate, whatever became of the ones before. A call's time runs from the moment at which it
//! was to be sent, so that waiting for a slow answer before it counts.

use std::thread;
use std::time::{Duration, Instant};

use aegis_tests::spread::quantile;
use anyhow::{Result, anyhow};
use nix::sys::prctl::set_timerslack;

use crate::line::Line;
use crate::way::{Way, in_turn};

/// Connections, each with a thread: enough that one that waits keeps no other from being on time.
const CONNECTIONS: u32 = 32;
/// Time until the first call, so that all threads wait for it.
const LEAD: Duration = Duration::from_millis(20);
/// Share of the rate that must have been reached; below it, the times say nothing but that it was not.
const REACHED: f64 = 0.97;

/// How it is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Rounds.
    pub rounds: usize,
    /// Time of one measurement.
    pub slice: Duration,
    /// Calls a second.
    pub rate: u32,
}

/// What one measurement said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slice {
    /// Microseconds that half of the calls answered with 200 did not exceed.
    pub p50: f64,
    /// Microseconds that 99 of 100 of them did not exceed.
    pub p99: f64,
    /// Whether the rate was reached.
    pub reached: bool,
    /// Calls that were answered otherwise than with 200. There should be none.
    pub failed: usize,
}

/// Measures all ways [in turn](in_turn). Of each way, its measurements.
pub fn measure(ways: &[Way], bytes: usize, plan: Plan) -> Result<Vec<Vec<Slice>>> {
    in_turn(ways, bytes, plan.rounds, |way, requests| slice(way, requests, plan))
}

fn slice(way: &Way, requests: &[Vec<u8>], plan: Plan) -> Result<Slice> {
    let mut lines = way.warm(requests, CONNECTIONS as usize)?;
    let schedule =
        Schedule { began: Instant::now() + LEAD, every: Duration::from_secs(1) / plan.rate, until: plan.slice };
    let times = thread::scope(|scope| {
        let callers: Vec<_> = lines
            .iter_mut()
            .zip(0..)
            .map(|(line, first)| scope.spawn(move || schedule.call(line, first, requests)))
            .collect();
        callers.into_iter().try_fold(Vec::new(), |mut all, caller| -> Result<Vec<Option<f64>>> {
            all.extend(caller.join().map_err(|_| anyhow!("a caller panicked"))??);
            Ok(all)
        })
    })?;
    let took = schedule.began.elapsed();
    let answered = times.len();
    let mut went: Vec<f64> = times.into_iter().flatten().collect();
    let reached = f64::from(u32::try_from(answered)?) / took.as_secs_f64() >= REACHED * f64::from(plan.rate);
    let failed = answered.saturating_sub(went.len());
    if went.is_empty() {
        return Ok(Slice { p50: f64::NAN, p99: f64::NAN, reached, failed });
    }
    Ok(Slice { p50: quantile(&mut went, 50)?, p99: quantile(&mut went, 99)?, reached, failed })
}

/// When which call is to be sent.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    began: Instant,
    every: Duration,
    until: Duration,
}

impl Schedule {
    /// Makes every call whose number is `first` and then one more of each connection. Microseconds of each; none for one
    /// that was not answered with 200.
    fn call(self, line: &mut Line, first: u32, requests: &[Vec<u8>]) -> Result<Vec<Option<f64>>> {
        // The kernel may let a thread sleep 50 microseconds longer than it asked for, which is as long as a call.
        set_timerslack(1)?;
        let mut times = Vec::new();
        let numbers = (first..).step_by(CONNECTIONS as usize);
        for (number, request) in numbers.zip(requests.iter().cycle().skip(first as usize)) {
            let after = self.every * number;
            if after >= self.until {
                break;
            }
            let due = self.began + after;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let went = line.goes(request)?;
            times.push(went.then(|| due.elapsed().as_secs_f64() * 1e6));
        }
        Ok(times)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};

    use super::*;

    /// A server for one connection. Its first answer, which is to the call that warms up, is at once, its second late.
    fn server(late: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for number in 0.. {
                if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    thread::sleep(if number == 1 { late } else { Duration::ZERO });
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                } else {
                    return;
                }
            }
        });
        address
    }

    #[test]
    fn calls_that_wait_behind_a_late_answer_count_as_late() {
        let requests = vec![b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(); 3];
        let mut line = Line::open(server(Duration::from_millis(200))).unwrap();
        assert!(line.goes(requests.first().unwrap()).unwrap());
        let every = Duration::from_secs(1) / 640;
        let schedule = Schedule { began: Instant::now(), every, until: Duration::from_millis(500) };
        let times = schedule.call(&mut line, 0, &requests).unwrap();
        assert_eq!(times.len(), 10, "every 32nd of 640 a second, for half a second");
        // One call each 50 ms, and the first is answered after 200.
        for (time, least) in times.iter().zip([200_000.0, 150_000.0, 100_000.0, 50_000.0]) {
            assert!(time.unwrap() >= least, "{times:?}");
        }
    }
}
