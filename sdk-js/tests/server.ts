/** The real server as a child process, and a wire that can be cut. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect as connectTcp, createServer, type Server as TcpServer, type Socket } from "node:net";
import { createInterface } from "node:readline";

export const ARQONBUS = process.env["ARQONBUS"] ?? new URL("../../target/debug/arqonbus", import.meta.url).pathname;

/** A running server. */
export class Server implements AsyncDisposable {
  #child: ChildProcess;
  readonly #args: string[];
  readonly port: number;

  private constructor(child: ChildProcess, port: number, args: string[]) {
    this.#child = child;
    this.port = port;
    this.#args = args;
  }

  static async start(...args: string[]): Promise<Server> {
    const [child, port] = await spawned(0, args);
    return new Server(child, port, args);
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  /** Kills it as a power cut would. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }

  /** Starts it again, on the same port. */
  async restart(): Promise<void> {
    await this.kill();
    [this.#child] = await spawned(this.port, this.#args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

async function spawned(port: number, args: string[]): Promise<[ChildProcess, number]> {
  const child = spawn(ARQONBUS, ["serve", "--port", String(port), "--admin", "127.0.0.1:0", "--announce", ...args], { stdio: ["ignore", "pipe", "ignore"] });
  const failed = once(child, "exit").then(() => {
    throw new Error(`the server did not start: ${ARQONBUS}`);
  });
  const [line] = (await Promise.race([once(createInterface(child.stdout), "line"), failed])) as [string];
  failed.catch(() => undefined);
  return [child, Number((JSON.parse(line) as { listen: string }).listen.split(":").pop())];
}

/** A wire to a server that tests cut. */
export class Wire implements AsyncDisposable {
  readonly #server: TcpServer;
  readonly #sockets = new Set<Socket>();
  /** How many connections there were. */
  accepted = 0;
  /** While true, connections are closed at once. */
  down = false;

  private constructor(port: number) {
    this.#server = createServer((near) => {
      this.accepted += 1;
      if (this.down) return void near.destroy();
      const far = connectTcp(port, "127.0.0.1");
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => undefined).on("close", () => {
          this.#sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
      }
      near.pipe(far).pipe(near);
    });
  }

  static async to(server: Server): Promise<Wire> {
    const wire = new Wire(server.port);
    wire.#server.listen(0, "127.0.0.1");
    await once(wire.#server, "listening");
    return wire;
  }

  get url(): string {
    const address = this.#server.address();
    return `ws://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  }

  /** Cuts every connection, as a network does that changes. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** Waits for a condition, with a deadline. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, deadlineMs = 20_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
