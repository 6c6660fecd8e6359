// Answers requests on jobs:square until it is told to stop. Run it, then: arqonbus request jobs:square 12
import { connect } from "@arqon/bus";

const bus = await connect(process.argv[2] ?? "ws://127.0.0.1:9100", { name: "squares", kind: "worker" });
bus.on("state", (state) => console.log(`the connection is ${state}`));
await bus.respond("jobs:square", ({ payload }) => (typeof payload === "number" ? { square: payload ** 2 } : { error: "a number is wanted" }));
console.log("ready");
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => bus.drain());
