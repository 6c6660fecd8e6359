/** One process of the benchmark: `client.ts <peer> send|receive <url> <messages>`. */

const [peer = "", role = "", url = "", count = "0"] = process.argv.slice(2);
const MESSAGES = Number(count);
const WINDOW = 512;
const payload = { text: "x".repeat(256 - 11) };

/** Counts what is received; tells rate and CPU from the first to the last. */
function counter(): () => void {
  let [seen, start] = [0, 0];
  let cpu = process.cpuUsage();
  return () => {
    if (++seen === 1) [start, cpu] = [performance.now(), process.cpuUsage()];
    if (seen !== MESSAGES) return;
    const used = process.cpuUsage(cpu);
    process.send?.({ rate: (MESSAGES * 1000) / (performance.now() - start), cpu: (used.user + used.system) / MESSAGES });
  };
}

const ready = (): void => void process.send?.("ready");

/** Sends all, with at most two windows under way: the next one goes out while the one before arrives. */
async function send(one: () => void, arrived: () => Promise<unknown>): Promise<void> {
  let before: Promise<unknown> = Promise.resolve();
  for (let sent = 0; sent < MESSAGES; sent += WINDOW) {
    for (let n = sent; n < Math.min(sent + WINDOW, MESSAGES); n += 1) one();
    const now = arrived();
    await before;
    before = now;
  }
  await before;
  ready();
}

async function arqon(): Promise<void> {
  const { connect } = await import("@arqon/bus");
  const bus = await connect(url);
  if (role === "receive") {
    const [topic, tick] = [await bus.join<{ text: string }>("bench:rate"), counter()];
    ready();
    for await (const message of topic) if (message.payload.text.length > 0) tick();
  } else {
    await send(
      () => {
        bus.publishNowait("bench:rate", payload);
      },
      () => bus.ping(),
    );
  }
}

async function socketIo(): Promise<void> {
  const { io } = await import("socket.io-client");
  const socket = io(url, { transports: ["websocket"] });
  await new Promise<void>((resolve) => socket.on("connect", resolve));
  if (role === "receive") {
    const tick = counter();
    socket.on("message", (message: { text: string }) => {
      if (message.text.length > 0) tick();
    });
    ready();
  } else {
    await send(
      () => void socket.emit("message", payload),
      () => socket.emitWithAck("flush"),
    );
  }
}

async function natsWs(): Promise<void> {
  const { WebSocket } = await import("ws");
  Object.assign(globalThis, { WebSocket });
  const { connect, JSONCodec } = await import("nats.ws");
  const connection = await connect({ servers: url });
  const codec = JSONCodec<{ text: string }>();
  if (role === "receive") {
    const [subscription, tick] = [connection.subscribe("bench.rate"), counter()];
    await connection.flush();
    ready();
    for await (const message of subscription) if (codec.decode(message.data).text.length > 0) tick();
  } else {
    await send(
      () => {
        connection.publish("bench.rate", codec.encode(payload));
      },
      () => connection.flush(),
    );
  }
}

const peers: Record<string, () => Promise<void>> = { "@arqon/bus": arqon, "socket.io-client": socketIo, "nats.ws": natsWs };
await peers[peer]?.();
