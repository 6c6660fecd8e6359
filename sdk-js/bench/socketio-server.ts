/** A Socket.IO server that relays to everybody else. */

import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"] });
io.on("connection", (socket) => {
  socket.on("message", (message) => socket.broadcast.emit("message", message));
  socket.on("flush", (done: () => void) => {
    done();
  });
});
http.listen(Number(process.argv[2]), "127.0.0.1", () => void process.send?.("ready"));
