//! Where one page is performed: its bus, its processes, its connections.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::Difference;
use super::compare::Names;
use super::page::{Block, Command, Kind, Page};
use super::processes::{Place, Process, wait_until};
use super::websocket::{Received, WebSocket};

/// The ports that pages name: the bus and its admin listener, the same of a second node, Redis. Each stands for a free one.
const PORTS: [&str; 5] = ["9100", "9101", "9110", "9111", "6379"];
/// What pages tell people to type, and what is run: the same programs, built by now.
const BUILT: &[(&str, &str)] = &[("cargo run --release -- ", "arqonbus "), ("cargo run -q -p arqonbus-client --example ", "")];
/// How a page starts its own bus.
const SERVE: &str = "arqonbus serve";
/// What else a page may leave running that joins nothing: it is there once its ports answer.
const SERVERS: [&str; 2] = [SERVE, "redis-server"];

/// One page's performance.
pub(super) struct Stage<'r> {
    root: &'r Path,
    place: Place,
    ports: [u16; PORTS.len()],
    names: Names,
    running: Vec<Running>,
    server: Option<Running>,
    connections: HashMap<String, WebSocket>,
}

/// A command in the background, and what the page says that it prints.
struct Running {
    process: Process,
    line: usize,
    printed: Vec<String>,
    range: std::ops::Range<usize>,
}

impl<'r> Stage<'r> {
    pub(super) fn new(root: &'r Path, page: &Page) -> Result<Self, String> {
        let directory = env::temp_dir().join(format!("arqonbus-docs-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let programs = crate::target_directory(root).join("debug");
        let ports = free_ports().map_err(|error| error.to_string())?;
        let env = vec![("ARQONBUS_URL".to_owned(), format!("ws://127.0.0.1:{}", ports[0]))];
        let place = Place { directory, programs, env };
        let mut stage = Self { root, place, ports, names: Names::default(), running: Vec::new(), server: None, connections: HashMap::new() };
        if !stage.place.programs.join("arqonbus").is_file() {
            return Err(": nothing is built; run `cargo build --workspace --all-targets` first".to_owned());
        }
        let needs_bus = page.blocks.iter().any(|block| matches!(block.kind, Kind::Console { .. } | Kind::Frames { .. }));
        let brings_bus = page.blocks.iter().filter(|block| block.kind == Kind::Console { background: true });
        if needs_bus && !brings_bus.flat_map(|block| &block.body).any(|line| translated(line).contains(SERVE)) {
            stage.serve(SERVE, 0, Vec::new(), 0..0)?;
        }
        Ok(stage)
    }

    /// Does what one block says, and compares.
    pub(super) fn play(&mut self, block: &Block, differences: &mut Vec<Difference>) -> Result<(), String> {
        match &block.kind {
            Kind::Console { background: false } => block.commands()?.iter().try_for_each(|command| self.command(block, command, differences)),
            Kind::Console { background: true } => self.background(block),
            Kind::Frames { connection } => self.frames(block, connection.as_deref(), differences),
            Kind::File(name) => {
                let text = block.body.join("\n") + "\n";
                fs::write(self.place.directory.join(name), self.to_run(&text)).map_err(|error| error.to_string())
            }
            Kind::From(path) => self.stands_in(block, path),
            Kind::Shown => Ok(()),
        }
    }

    fn command(&mut self, block: &Block, command: &Command, differences: &mut Vec<Difference>) -> Result<(), String> {
        let actual = self.place.run(&self.to_run(&translated(&command.text)))?;
        let printed = &block.body[command.output.clone()];
        let range = block.range(command.output.start, command.output.end);
        self.compare(block.line, printed, &actual, range, differences);
        Ok(())
    }

    fn background(&mut self, block: &Block) -> Result<(), String> {
        let [command] = &block.commands()?[..] else { return Err("one command is left running, not several".to_owned()) };
        let line = translated(&command.text);
        let printed = block.body[command.output.clone()].to_vec();
        let range = block.range(command.output.start, command.output.end);
        if line.starts_with(SERVE) && self.server.is_none() {
            return self.serve(&line, block.line, printed, range);
        }
        if SERVERS.iter().any(|server| line.starts_with(server)) {
            return self.serve_beside(&line, block.line, printed, range);
        }
        let before = self.joins()?;
        let awaited = line.split_whitespace().filter(|word| word.contains(':')).count().max(1) as u64;
        let process = self.place.start(&format!("exec {}", self.to_run(&line)), &[], &format!("background-{}", block.line))?;
        let mut running = Running { process, line: block.line, printed, range };
        let mut joined = Ok(before);
        wait_until(|| {
            joined = self.joins();
            running.process.has_ended() || joined.as_ref().map_or(true, |joins| *joins >= before + awaited)
        });
        if joined? < before + awaited {
            return Err(format!("`{line}` joined nothing; it says\n{}", running.process.lines().join("\n")));
        }
        self.running.push(running);
        Ok(())
    }

    fn serve(&mut self, line: &str, at: usize, printed: Vec<String>, range: std::ops::Range<usize>) -> Result<(), String> {
        let env = [("ARQONBUS_LISTEN", format!("127.0.0.1:{}", self.ports[0])), ("ARQONBUS_ADMIN", format!("127.0.0.1:{}", self.ports[1]))];
        let process = self.place.start(&format!("exec {}", self.to_run(line)), &env, "server")?;
        let mut running = Running { process, line: at, printed, range };
        let up = wait_until(|| running.process.has_ended() || self.joins().is_ok());
        if !up || running.process.has_ended() {
            return Err(format!("the bus does not start; it says\n{}", running.process.lines().join("\n")));
        }
        self.server = Some(running);
        Ok(())
    }

    /// Starts a second node, or a Redis.
    fn serve_beside(&mut self, line: &str, at: usize, printed: Vec<String>, range: std::ops::Range<usize>) -> Result<(), String> {
        let process = self.place.start(&format!("exec {}", self.to_run(line)), &[], &format!("background-{at}"))?;
        let mut running = Running { process, line: at, printed, range };
        let ports: Vec<u16> = PORTS.iter().zip(self.ports).filter(|(named, _)| line.contains(*named)).map(|(_, port)| port).collect();
        let answers = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
        let up = wait_until(|| running.process.has_ended() || ports.iter().all(answers));
        if !up || running.process.has_ended() {
            return Err(format!("`{line}` does not start; it says\n{}", running.process.lines().join("\n")));
        }
        self.running.push(running);
        Ok(())
    }

    fn frames(&mut self, block: &Block, name: Option<&str>, differences: &mut Vec<Difference>) -> Result<(), String> {
        let name = name.map_or_else(|| format!("line {}", block.line), str::to_owned);
        let mut socket = match self.connections.remove(&name) {
            Some(socket) => socket,
            None => self.open(block).map_err(|error| format!("no connection: {error}"))?,
        };
        for (index, line) in block.body.iter().enumerate() {
            if let Some(text) = line.strip_prefix("→ ") {
                socket.send(&self.to_run(text)).map_err(|error| error.to_string())?;
            } else if line.starts_with("← ") {
                let actual = match socket.receive() {
                    Ok(Received::Text(text)) => format!("← {text}"),
                    Ok(Received::Closed(code)) => format!("← close {code}"),
                    Err(error) => return Err(format!("line {}: nothing came: {error}", block.line + index + 1)),
                };
                self.compare(block.line, std::slice::from_ref(line), &[actual], block.range(index, index + 1), differences);
            } else {
                return Err(format!("a line of frames begins with → or ←, not {line:?}"));
            }
        }
        if !name.starts_with("line ") {
            self.connections.insert(name, socket);
        }
        Ok(())
    }

    /// A new connection; its welcome is passed over unless the page prints it.
    fn open(&self, block: &Block) -> io::Result<WebSocket> {
        let mut socket = WebSocket::open(self.ports[0])?;
        if !block.body.first().is_some_and(|line| line.starts_with("← ") && line.contains("\"welcome\"")) {
            socket.receive()?;
        }
        Ok(socket)
    }

    fn stands_in(&self, block: &Block, path: &str) -> Result<(), String> {
        let text = fs::read_to_string(self.root.join(path)).map_err(|error| format!("cannot read {path}: {error}"))?;
        let stripped = |line: &str| line.trim().to_owned();
        let lines: Vec<String> = text.lines().map(stripped).filter(|line| !line.is_empty()).collect();
        let wanted: Vec<String> = block.body.iter().map(|line| stripped(line)).filter(|line| !line.is_empty()).collect();
        if lines.windows(wanted.len().max(1)).any(|window| window == wanted) { Ok(()) } else { Err(format!("does not stand like this in {path}")) }
    }

    /// Ends what is running, and compares what it printed.
    pub(super) fn end(mut self, differences: &mut Vec<Difference>) -> Result<(), String> {
        for mut running in std::mem::take(&mut self.running) {
            wait_until(|| running.process.has_ended() || running.process.lines().len() >= running.printed.len());
            self.compare_beginning(&running, differences);
        }
        self.connections.clear();
        let Some(mut server) = self.server.take() else { return Ok(()) };
        server.process.terminate(&self.place.directory)?;
        let status = server.process.wait().ok_or("the bus does not end")?;
        if !status.success() {
            return Err(format!(": the bus ended with {status}; it says\n{}", server.process.lines().join("\n")));
        }
        self.compare_beginning(&server, differences);
        Ok(())
    }

    /// A page shows the beginning of what a command in the background prints; all of it where it ends with `…` is another matter.
    fn compare_beginning(&mut self, running: &Running, differences: &mut Vec<Difference>) {
        let lines = running.process.lines();
        let dotted = running.printed.iter().any(|line| line.trim() == "…");
        let shown = if dotted { lines.len() } else { lines.len().min(running.printed.len()) };
        self.compare(running.line, &running.printed, &lines[..shown], running.range.clone(), differences);
    }

    fn compare(&mut self, line: usize, printed: &[String], actual: &[String], range: std::ops::Range<usize>, differences: &mut Vec<Difference>) {
        let actual: Vec<String> = actual.iter().map(|line| self.to_page(line)).collect();
        if !self.names.match_lines(printed, &actual) {
            differences.push(Difference { line, expected: printed.to_vec(), actual, range });
        }
    }

    /// With this run's ports and names.
    fn to_run(&self, text: &str) -> String {
        PORTS.iter().zip(self.ports).fold(self.names.apply(text), |text, (named, port)| text.replace(named, &port.to_string()))
    }

    /// With the page's ports and directory.
    fn to_page(&self, text: &str) -> String {
        let directory = format!("{}/", self.place.directory.display());
        PORTS.iter().zip(self.ports).fold(text.replace(&directory, ""), |text, (named, port)| text.replace(&port.to_string(), named))
    }

    /// How many joins the bus was asked for.
    fn joins(&self) -> Result<u64, String> {
        let metrics = get(self.ports[1], "/metrics").map_err(|error| format!("the bus does not answer: {error}"))?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("arqonbus_commands_total{command=\"join_channel\"} "));
        Ok(line.and_then(|count| count.trim().parse().ok()).unwrap_or(0))
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // What is left lies among the system's temporary files.
        let _ = fs::remove_dir_all(PathBuf::from(&self.place.directory));
    }
}

fn translated(line: &str) -> String {
    BUILT.iter().fold(line.to_owned(), |line, (typed, run)| line.replace(typed, run))
}

/// All are held until all are known, so that they differ.
fn free_ports() -> io::Result<[u16; PORTS.len()]> {
    let held = PORTS.map(|_| TcpListener::bind(("127.0.0.1", 0)));
    let mut ports = [0; PORTS.len()];
    for (port, listener) in ports.iter_mut().zip(held) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}

fn get(port: u16, path: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}
