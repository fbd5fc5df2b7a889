//! Real web clients: curl and wrk.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{Host, Outcome, Process, Spread, eventually};

/// curl's exit status when the connection was refused.
const CURL_REFUSED: u32 = 7;

/// Answers to many requests, each on a connection of its own.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Who answered.
    pub spread: Spread,
    /// Connections refused by RST.
    pub refused: u64,
    /// Every other failure, by curl's exit status.
    pub failed: Vec<u32>,
    /// The longest that a refusal took, from the start of the request.
    pub slowest_refusal: Duration,
}

impl Answers {
    pub fn total(&self) -> u64 {
        self.spread.total() + self.refused + self.failed.len() as u64
    }

    /// Fails unless every request was answered.
    pub fn all_answered(&self) -> Result<()> {
        let lost = self.total() - self.spread.total();
        ensure!(
            lost == 0,
            "{lost} of {} requests got no answer ({} refused)",
            self.total(),
            self.refused
        );
        Ok(())
    }
}

/// Sends `count` requests with curl, one after the other, each on a new connection.
pub fn get_many(client: &Host, from: SocketAddr, count: usize) -> Result<Answers> {
    let url = format!("http://{from}/?[1-{count}]");
    let outcome = client.run(
        "curl",
        &[
            "--silent",
            "--max-time",
            "5",
            "--header",
            "Connection: close",
            "--write-out",
            "%{exitcode} %{time_total}\\n",
            &url,
        ],
    )?;
    let answers = parse_answers(&outcome.stdout)
        .with_context(|| format!("curl {url}: {}", outcome.stderr))?;
    let seen = answers.total();
    ensure!(seen == count as u64, "curl reported {seen} of {count} requests: {}", outcome.stderr);
    Ok(answers)
}

/// For each request: the body's one line, when there is one, then curl's line
/// of exit status and seconds.
fn parse_answers(output: &str) -> Result<Answers> {
    let mut answers = Answers::default();
    let mut names = Vec::new();
    let mut body = None;
    for line in output.lines() {
        let report = line.split_once(' ').and_then(|(status, seconds)| {
            Some((status.parse::<u32>().ok()?, seconds.parse::<f64>().ok()?))
        });
        match report {
            None => body = Some(line.to_owned()),
            Some((0, _)) => names.push(body.take().context("an answer without a body")?),
            Some((CURL_REFUSED, seconds)) => {
                answers.refused += 1;
                answers.slowest_refusal =
                    answers.slowest_refusal.max(Duration::from_secs_f64(seconds));
            }
            Some((status, _)) => answers.failed.push(status),
        }
    }
    answers.spread = names.into_iter().collect();
    Ok(answers)
}

/// A download by curl that takes several seconds.
#[derive(Debug)]
pub struct Download {
    curl: Process,
    /// Where curl puts what it got.
    target: PathBuf,
    /// What it should get.
    source: PathBuf,
    server: String,
}

impl Download {
    /// Starts it, and returns once the first bytes are there.
    pub(crate) fn start(
        client: &Host,
        from: SocketAddr,
        source: PathBuf,
        number: usize,
    ) -> Result<Self> {
        let name = format!("download-{number}");
        let target = client.dir.join(&name);
        let headers = client.dir.join(format!("{name}.headers"));
        let url = format!("http://{from}/slow");
        let mut curl = client.spawn(
            &name,
            "curl",
            &[
                "--silent".as_ref(),
                "--show-error".as_ref(),
                "--no-buffer".as_ref(),
                "--dump-header".as_ref(),
                headers.as_os_str(),
                "--output".as_ref(),
                target.as_os_str(),
                url.as_ref(),
            ],
        )?;
        let server = eventually(Duration::from_secs(10), "a download to begin", || {
            if bytes(&target) == 0 {
                curl.check_alive()?;
                return Ok(None);
            }
            let headers = fs::read_to_string(&headers)?;
            let server = headers.lines().find_map(|line| line.strip_prefix("X-Server: "));
            Ok(server.map(str::to_owned))
        })?;
        Ok(Self { curl, target, source, server })
    }

    /// Who sends it.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Bytes that have arrived.
    pub fn received(&self) -> u64 {
        bytes(&self.target)
    }

    /// Bytes that it has when it is complete.
    pub fn size(&self) -> u64 {
        bytes(&self.source)
    }

    /// Whether it still runs.
    pub fn running(&mut self) -> Result<bool> {
        Ok(self.curl.exited()?.is_none())
    }

    /// Waits for its end, however it ends.
    pub fn end(self, patience: Duration) -> Result<Outcome> {
        self.curl.wait(patience)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Unless every byte arrived as it was sent.
    pub fn finish(self, patience: Duration) -> Result<()> {
        let outcome = self.curl.wait(patience)?;
        outcome.stdout().context("the download was broken off")?;
        let same = fs::read(&self.target)? == fs::read(&self.source)?;
        ensure!(same, "the download differs from the file that the server has");
        Ok(())
    }
}

fn bytes(path: &std::path::Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// What wrk measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    pub requests: u64,
    pub requests_per_second: f64,
    /// Connections that were not made.
    pub connect_errors: u64,
    /// Connections broken while in use, and answers other than 2xx and 3xx.
    pub other_errors: u64,
}

/// Loads a service with wrk over `connections` connections that stay open.
pub fn wrk(client: &Host, to: SocketAddr, connections: usize, seconds: u64) -> Result<Load> {
    let connections = connections.to_string();
    let url = format!("http://{to}/");
    let duration = format!("{seconds}s");
    let outcome = client.run("wrk", &["-t", "1", "-c", &connections, "-d", &duration, &url])?;
    let report = outcome.stdout()?;
    parse_wrk(&report).with_context(|| format!("wrk reported:\n{report}"))
}

fn parse_wrk(report: &str) -> Result<Load> {
    let line = |needle: &str| report.lines().find(|line| line.contains(needle));
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let requests =
        line(" requests in ").and_then(first).context("no count of requests")?.parse()?;
    let rate = line("Requests/sec:")
        .and_then(|line| line.split_whitespace().nth(1))
        .context("no rate")?
        .parse()?;
    let mut load = Load { requests, requests_per_second: rate, connect_errors: 0, other_errors: 0 };
    // "  Socket errors: connect 1, read 2, write 3, timeout 4"
    if let Some(errors) = line("Socket errors:") {
        let mut counts =
            errors.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u64>().ok());
        load.connect_errors = counts.next().context("no count of connect errors")?;
        load.other_errors = counts.sum();
    }
    if let Some(other) = line("Non-2xx or 3xx responses:") {
        load.other_errors += other.rsplit(' ').next().context("no count")?.parse::<u64>()?;
    }
    Ok(load)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_reports_are_read() {
        let answers =
            parse_answers("server-1\n0 0.001\n7 0.25\nserver-2\n0 0.1\n28 5.0\nserver-1\n0 0.2\n")
                .unwrap();
        assert_eq!(answers.spread.to_string(), "server-1 2, server-2 1");
        assert_eq!((answers.refused, answers.failed.as_slice()), (1, &[28][..]));
        assert_eq!(answers.slowest_refusal, Duration::from_millis(250));
        assert!(answers.all_answered().is_err());
    }

    #[test]
    fn wrk_reports_are_read() {
        let calm = "  1 threads and 8 connections\n  20000 requests in 1.00s, 3.1MB read\nRequests/sec:  19876.54\n";
        let load = parse_wrk(calm).unwrap();
        assert_eq!((load.requests, load.connect_errors, load.other_errors), (20000, 0, 0));
        let rough = format!(
            "{calm}  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\n"
        );
        let load = parse_wrk(&rough).unwrap();
        assert_eq!((load.connect_errors, load.other_errors), (1, 14));
    }
}
