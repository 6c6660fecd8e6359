// Packs the orders of orders:new, together with every other one that runs. Run some, then: arqonbus pub orders:new '{"item":"lamp","count":2}'
import { connect, Rejected, Unknown } from "@arqon/bus";

const [url = "ws://127.0.0.1:9100", name = "packer"] = process.argv.slice(2);
const bus = await connect(url, { name, kind: "worker" });
const jobs = await bus.join("orders:new", { group: "packers", maxInFlight: 1 });
jobs.on("lost", ({ jobs: count }) => console.log(`${count} orders went to others`));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => bus.drain());
console.log("ready");

for await (const job of jobs) {
  const { item, count } = job.payload;
  try {
    if (typeof item !== "string") await job.nack({ dead: true, reason: "no item" });
    else if (count > 10) await job.nack({ delayMs: 5_000, reason: "not that many in stock" });
    else {
      console.log(`packed ${count} × ${item}`);
      await job.ack();
    }
  } catch (error) {
    // Somebody else has it by now, or will: nothing is lost.
    if (!(error instanceof Rejected || error instanceof Unknown)) throw error;
    console.log(`too late: ${error.message}`);
  }
}
