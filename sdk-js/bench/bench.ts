/**
 * Receive rates in one run: this package, socket.io-client and nats.ws over WebSocket, raw `ws`; and of those with a server at hand only. Each
 * client is a process of its own; publishers and servers are shared code of the same kind. Medians of interleaved rounds.
 */

import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { createServer as createTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MESSAGES = Number(process.env["MESSAGES"] ?? 60_000);
const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const client = fileURLToPath(new URL("client.ts", import.meta.url));
const ioServer = fileURLToPath(new URL("socketio-server.ts", import.meta.url));
const release = fileURLToPath(new URL("../../target/release/arqonbus", import.meta.url));
const nats = process.env["NATS_SERVER"] ?? "/usr/sbin/nats-server";

interface Peer {
  name: string;
  url: string;
  server: ChildProcess;
}

async function freePort(): Promise<number> {
  const server = createTcp().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address ? address.port : 0;
}

async function peers(): Promise<Peer[]> {
  const all: Peer[] = [];
  const program = process.env["ARQONBUS"] ?? release;
  const bus = spawn(program, ["serve", "--port", "0", "--admin", "127.0.0.1:0", "--announce", "--set", `limits.outbox_bytes=${64 << 20}`], { stdio: ["ignore", "pipe", "ignore"] });
  const [line] = (await once(bus.stdout, "data")) as [Buffer];
  all.push({ name: "@arqon/bus", url: `ws://${(JSON.parse(line.toString().split("\n")[0] ?? "") as { listen: string }).listen}`, server: bus });
  const port = await freePort();
  const io = fork(ioServer, [String(port)], { execArgv: ["--import", "tsx"] });
  await once(io, "message");
  all.push({ name: "socket.io-client", url: `http://127.0.0.1:${port}`, server: io });
  if (existsSync(nats)) {
    const [wsPort, tcpPort] = [await freePort(), await freePort()];
    const config = join(mkdtempSync(join(tmpdir(), "nats-")), "nats.conf");
    writeFileSync(config, `host: 127.0.0.1\nport: ${tcpPort}\nwebsocket { host: "127.0.0.1", port: ${wsPort}, no_tls: true }\n`);
    const server = spawn(nats, ["-c", config], { stdio: "ignore" });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    all.push({ name: "nats.ws", url: `ws://127.0.0.1:${wsPort}`, server });
  } else process.stdout.write("no nats-server: nats.ws is NOT measured (set NATS_SERVER)\n");
  return all;
}

interface Result {
  rate: number;
  cpu: number;
}

/**
 * One subscriber and one publisher, each a process. A held subscriber stands still until all is published, so that only its own speed
 * counts; otherwise the slower of the two and the server does.
 */
async function round({ name, url }: Peer, held: boolean): Promise<Result> {
  const start = (role: string): ChildProcess => fork(client, [name, role, url, String(MESSAGES)], { execArgv: ["--import", "tsx"] });
  const receiver = start("receive");
  await once(receiver, "message");
  if (held) receiver.kill("SIGSTOP");
  const sender = start("send");
  if (held) {
    await once(sender, "message");
    receiver.kill("SIGCONT");
  }
  const [result] = (await once(receiver, "message")) as [Result];
  sender.kill();
  receiver.kill();
  return result;
}

const median = (values: number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const all = await peers();
process.stdout.write(`${MESSAGES} messages of 256 bytes, medians of ${ROUNDS} interleaved rounds, Node ${process.version}\n`);
for (const held of [true, false]) {
  const results = new Map(all.map(({ name }) => [name, [] as Result[]]));
  for (let number = 0; number < ROUNDS; number += 1) for (const peer of all) results.get(peer.name)?.push(await round(peer, held));
  const own = median(results.get("@arqon/bus")?.map(({ rate }) => rate) ?? []);
  process.stdout.write(held ? "a held subscriber:\n" : "a publisher and a subscriber at the same time:\n");
  for (const [name, rounds] of results) {
    const rate = median(rounds.map((one) => one.rate));
    const cpu = median(rounds.map((one) => one.cpu));
    process.stdout.write(`${name.padEnd(18)} ${Math.round(rate).toString().padStart(8)}/s  ${cpu.toFixed(1).padStart(6)} µs CPU each  ${(own / rate).toFixed(2)} ×\n`);
  }
}
for (const { server } of all) server.kill();
